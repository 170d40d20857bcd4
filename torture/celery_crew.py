"""Celery's workers as a crew: each is a group of processes, which a signal reaches as a whole."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from torture.celery_worker import work
from torture.crew import Crew, Member
from torture.worker import Manner

POOLS = (("threads", 4), ("prefork", 2))  #: as many of each: one process with threads, and one that has others work


@dataclass
class CeleryCrew(Crew):
    """``celery worker``, as often as asked for."""

    broker: str = ""
    pool: tuple[str, int] = POOLS[0]  #: of the next one
    pools: dict[int, tuple[str, int]] = field(default_factory=dict)  #: by process id

    def __post_init__(self) -> None:
        (self.files / "heliostat.toml").write_text('apps = ["torture.flows", "torture.others"]\n')

    def begin(self, manner: Manner | None = None) -> Member:
        """Start a worker, with the pool of which there are fewest: who takes the place of another can do as much."""
        with self.lock:
            here = Counter(self.pools.get(member.pid) for member in self.members)
            self.pool = min(POOLS, key=lambda pool: here[pool])
            member = super().begin(manner)
            self.pools[member.pid] = self.pool
        return member

    def worker(self, line: Connection, manner: Manner) -> Callable[[], None]:
        pool, slots = self.pool
        given = (line, self.database, self.broker, self.files, self.notes, manner)
        return partial(work, *given, ("--pool", pool, "--concurrency", str(slots)))

    def send(self, pid: int, number: signal.Signals) -> None:
        if number is signal.SIGTERM:  # from Celery's parent alone: it lets its pool finish
            super().send(pid, number)
            return
        try:
            os.killpg(pid, number)
        except ProcessLookupError:  # it has not come so far as to have a group
            super().send(pid, number)

    def carriers(self, pid: int) -> list[int]:
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            return [int(child) for child in children] or [pid]
        return []

    def bury(self, member: Member) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(member.pid, signal.SIGKILL)
        super().bury(member)
