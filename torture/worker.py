"""A worker as a process of its own, and what can be wrong with it: a death at a commit, a clock, a mutant.

Nothing of this is in the engine: the process puts it around the engine's parts before it begins to work.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import heliostat
from torture import mutants
from torture.flows import NOTES
from torture.load import FLOWS

When = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a worker works.

    ``crash``: at which of its commits it dies, and on which side of it. ``unanswered``: of so many commits on
    PostgreSQL one is carried out and its answer lost. ``until``: the monotonic time after which it does neither.
    ``strikes``: a file that grows by a byte each time. ``clock``: a file whose modification time says how far the wall
    clock is off (see ``offset``). ``mute``: no ticket that it issues arrives, until then. ``mutant``: a defect of the
    engine, by name.
    """

    lease: float = 2.0
    slots: int = 4
    crash: tuple[When, int] | None = None
    clock: Path | None = None
    unanswered: int = 0
    until: float = float("inf")
    strikes: Path | None = None
    mute: bool = False
    mutant: str = ""


def work(line: Connection, database: str, files: Path, notes: Path, manner: Manner) -> None:
    """Offer all flows, say that it is ready, and work until the line is cut or says to stop."""
    os.environ[NOTES] = str(notes)
    sys.stderr = (files / "workers.log").open("a", buffering=1, encoding="utf-8")
    over = threading.Event()
    if manner.clock is not None:
        step_clock(manner.clock)
    if manner.mutant:
        mutants.MUTANTS[manner.mutant].apply()
    with heliostat.open(database, files=files, slots=manner.slots, lease_seconds=manner.lease) as engine:
        for flow in FLOWS.values():
            engine.add(flow.workflow)
        worker = engine.worker()
        if manner.crash is not None:
            die_at(engine.store, *manner.crash, manner)
        if manner.unanswered:
            lose_answers(manner)

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
        worker.stop(grace=5.0)


def step_clock(file: Path) -> None:
    """Have this process's wall clock be off by what the file says at the time."""
    true = time.time
    time.time = lambda: true() + offset(file)


def offset(file: Path) -> float:
    """How far the wall clock is off, in seconds."""
    return file.stat().st_mtime - ZERO


ZERO = 100_000.0  #: the modification time of the clock's file where the clock is right


def strikes(manner: Manner) -> bool:
    """Whether a fault may still strike; it is noted that it does."""
    if time.monotonic() >= manner.until:
        return False
    if manner.strikes is not None:
        with manner.strikes.open("ab", buffering=0) as file:
            file.write(b".")
    return True


def die_at(store: Any, when: When, count: int, manner: Manner) -> None:
    """Kill this process at its so manieth transaction from now on: with all its statements done, or committed."""
    transaction, left = store.transaction, count

    @contextmanager
    def counted() -> Iterator[Any]:
        nonlocal left
        left -= 1
        fatal = left == 0
        with transaction() as rows:
            yield rows
            if fatal and when == "before" and strikes(manner):
                os.kill(os.getpid(), signal.SIGKILL)
        if fatal and when == "after" and strikes(manner):
            os.kill(os.getpid(), signal.SIGKILL)

    store.transaction = counted


def lose_answers(manner: Manner) -> None:
    """Have the connection break right after some commits, before their answer is heard."""
    import psycopg

    from heliostat.stores.postgresrows import PostgresRows

    commit, chance = PostgresRows.commit, random.Random()

    def unheard(self: PostgresRows) -> None:
        commit(self)
        if chance.randrange(manner.unanswered) == 0 and strikes(manner):
            self._connection.close()
            raise psycopg.OperationalError("the answer to COMMIT was lost")

    PostgresRows.commit = unheard  # type: ignore[method-assign]
