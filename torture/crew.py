"""Worker processes: begun, kept at their number, frozen, killed, and ended with the campaign however it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.nursery import nursery
from torture.worker import Manner, work


@dataclass(frozen=True, slots=True)
class Member:
    """A worker process, and the line whose end ends it."""

    process: BaseProcess
    line: Connection

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process.pid is not None
        return self.process.pid


@dataclass
class Crew:
    """Workers on one database. ``keep`` begins one for each that has died, as a supervisor would."""

    database: str
    files: Path
    notes: Path
    size: int
    manner: Callable[[], Manner]
    members: list[Member] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    deaths: int = 0
    strays: int = 0  #: of them, those that nobody killed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(grace=10.0 if kind is None else 0.0)

    def begin(self, manner: Manner | None = None) -> Member:
        """Start a worker."""
        ours, theirs = nursery().Pipe()
        process = nursery().Process(target=self.worker(theirs, manner or self.manner()), daemon=True)
        process.start()
        theirs.close()
        member = Member(process, ours)
        with self.lock:
            self.members.append(member)
        return member

    def worker(self, line: Connection, manner: Manner) -> Callable[[], None]:
        """What a new process does."""
        return partial(work, line, self.database, self.files, self.notes, manner)

    def keep(self) -> None:
        """Bring the crew to its size."""
        with self.lock:
            dead = [member for member in self.members if not member.process.is_alive()]
            for member in dead:
                self.members.remove(member)
                self.strays += member.process.exitcode != -signal.SIGKILL
                self.bury(member)
            self.deaths += len(dead)
            while len(self.members) < self.size:
                self.begin()

    def alive(self) -> list[int]:
        """The process ids of the workers that live."""
        with self.lock:
            return [member.pid for member in self.members if member.process.is_alive()]

    def send(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to a worker and to all that belongs to it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def carriers(self, pid: int) -> list[int]:
        """The processes of a worker that carry tasks."""
        return [pid]

    def bury(self, member: Member) -> None:
        """See to it that nothing is left of a worker."""
        member.process.kill()
        member.process.join()
        member.process.close()
        member.line.close()

    def signal(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to a worker, if it is still there."""
        with self.lock:
            if pid in self.alive():
                self.send(pid, number)

    def stop(self, grace: float = 10.0) -> None:
        """Ask all to end, and kill those that do not in time."""
        with self.lock:
            for pid in self.alive():
                self.signal(pid, signal.SIGTERM)
                self.signal(pid, signal.SIGCONT)
            until = time.monotonic() + grace
            for member in self.members:
                member.process.join(max(0.0, until - time.monotonic()))
                self.bury(member)
            self.members.clear()
