"""A worker as a process of its own, for tests that need several of them, or want to kill one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import heliostat
from heliostat.loading import load
from heliostat.outcome import Outcome
from heliostat.store import Ask, Batch, Store
from heliostat.task import Attempt


@dataclass(frozen=True)
class Manner:
    """How a worker works; times are in seconds.

    ``crash`` has it kill itself right before or right after the transaction that records an attempt at a task of
    that node, unless an attempt at the task was lost before. ``polls``: whether a worker of Celery's looks for work
    itself while the broker is away; one that does not has done whatever it did by ticket. ``untold``: the broker does
    not tell it that a queue from which it consumes was removed.
    """

    lease: float = 15.0
    slots: int = 8
    grace: float = 5.0
    crash: tuple[Literal["before", "after"], str] | None = None
    polls: bool = True
    untold: bool = False


class CrashingStore:
    """A store whose process dies right before or right after one commit."""

    def __init__(self, store: Store, when: str, node: str) -> None:
        self._store, self._when, self._node = store, when, node

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def settle(
        self, worker: str, outcomes: Sequence[tuple[Attempt, Outcome]], now: float, ask: Ask | None = None
    ) -> Batch:
        """Settle, and die where that was asked for."""
        meant = any(attempt.node == self._node and not attempt.rescues for attempt, _ in outcomes)
        if meant and self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        batch = self._store.settle(worker, outcomes, now, ask)
        if meant:
            os.kill(os.getpid(), signal.SIGKILL)
        return batch


def work(line: Connection, database: str, files: Path, modules: Sequence[str], manner: Manner) -> None:
    """Offer the workflows of the modules, say that it is ready, and work until SIGTERM, or until the line is cut.

    The line is cut when the tests end, however they do: so no worker outlives them.
    """
    over = threading.Event()
    with heliostat.open(database, files=files, slots=manner.slots, lease_seconds=manner.lease) as engine:
        for module in modules:
            for workflow in load(module):
                engine.add(workflow)
        worker = engine.worker()
        if manner.crash is not None:
            worker.store = CrashingStore(worker.store, *manner.crash)

        def end(*_: object) -> None:
            over.set()
            worker.bell.set()

        def listen() -> None:
            with suppress(EOFError, OSError):
                line.recv()
            end()

        signal.signal(signal.SIGTERM, end)
        threading.Thread(target=listen, daemon=True).start()
        line.send("ready")
        worker.serve(over.is_set)
        worker.stop(grace=manner.grace)
