"""Databases with worker processes, and waiting for what they do."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Self

import heliostat
from heliostat.engine import Engine
from heliostat.handle import RunHandle
from heliostat.task import TaskState
from tests.acceptance.worker import Manner, work
from tests.nursery import nursery

DEADLINE_SECONDS = 200.0  #: far more than anything here takes; a test that waits so long has failed


def wait_until(condition: Callable[[], object], what: str = "", seconds: float = DEADLINE_SECONDS) -> None:
    """Wait until something holds; raise TimeoutError, saying what was waited for, if it does not in time.

    Who is waited for needs the processor, too: so the pauses between looks grow, to a tenth of the time that went by.
    """
    begun, pause = time.monotonic(), Event()
    while not condition():
        waited = time.monotonic() - begun
        if waited > seconds:
            raise TimeoutError(f"waited {seconds:g} s for {what or condition}")
        pause.wait(min(max(0.01, waited / 10), 0.2))


def ended(*runs: RunHandle) -> None:
    """Wait until runs have ended; if one does not, the error says why."""
    for run in runs:
        _wait_for(run, lambda run=run: run.over, "its end")  # type: ignore[misc]


def reached(run: RunHandle, count: int, node: str | None = None, state: TaskState = TaskState.succeeded) -> None:
    """Wait until so many tasks of a run (or of one of its nodes) have reached a state."""
    _wait_for(run, lambda: len(run.tasks(state, node)) >= count, f"{count} × {node or 'any task'} {state}")


def _wait_for(run: RunHandle, condition: Callable[[], object], what: str) -> None:
    try:
        wait_until(condition, what)
    except TimeoutError as error:
        error.add_note(run.explain())
        raise


@dataclass(frozen=True)
class Member:
    """A worker process, and the line that tells it when the tests have ended."""

    process: BaseProcess
    line: Connection


@dataclass
class Crew:
    """Worker processes on one database; ended, however the block of its ``with`` ends."""

    database: str
    files: Path
    modules: tuple[str, ...]
    manner: Manner = field(default_factory=Manner)
    members: list[Member] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(grace=10.0 if kind is None else 0.0)

    def begin(self, count: int = 1, **manner: Any) -> None:
        """Start workers, and wait until they are ready to work."""
        begun = [self._begin(replace(self.manner, **manner)) for _ in range(count)]
        self.members += begun
        for member in begun:
            assert member.line.recv() == "ready"

    def _begin(self, manner: Manner) -> Member:
        ours, theirs = nursery().Pipe()
        given = (theirs, self.database, self.files, self.modules, manner)
        process = nursery().Process(target=work, args=given, daemon=True)
        process.start()
        theirs.close()
        return Member(process, ours)

    @property
    def alive(self) -> list[int]:
        """The process ids of the members that have not ended."""
        return [pid for member in self.members if member.process.is_alive() and (pid := member.process.pid)]

    def kill(self, *pids: int) -> None:
        """Kill members (all of them, where none is named) with SIGKILL, and see them gone."""
        for pid in pids or self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not set(pids or self.alive) & set(self.alive), "the killed to be gone")

    def stop(self, grace: float = 10.0) -> None:
        """Ask all members to end, and kill those that do not in time."""
        for pid in self.alive:
            with contextlib.suppress(ProcessLookupError):  # it may have ended just now
                os.kill(pid, signal.SIGTERM)
                os.kill(pid, signal.SIGCONT)
        for member in self.members:
            member.process.join(grace)
            member.process.kill()
            member.process.join()
            member.process.close()
            member.line.close()
        self.members.clear()


@dataclass
class Hall:
    """A database, an engine on it that does not work itself, and, where a test asks for it, a crew."""

    database: str
    files: Path
    engine: Engine
    crew: Crew | None = None
    workers: int = 0
    new_crew: Callable[[Hall, tuple[str, ...], Manner], Any] | None = None  # where other than plain workers work

    def hire(self, *modules: str, **manner: Any) -> Crew:
        """A crew for this database, still without members."""
        if self.new_crew is not None:
            crew: Crew = self.new_crew(self, modules, Manner(**manner))
            return crew
        return Crew(self.database, self.files, modules, Manner(**manner))

    def freeze(self, pid: int) -> None:
        """Stop a process where it holds no lock: of a file, unlike of a server, nobody can take one from it."""
        with self._alone():
            os.kill(pid, signal.SIGSTOP)
            wait_until(lambda: _stopped(pid), f"{pid} to stop")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others from writing, where the database is a file."""
        if not self.database.startswith("sqlite"):
            yield
            return
        with contextlib.closing(sqlite3.connect(self.files / "heliostat.db", timeout=DEADLINE_SECONDS)) as lite:
            lite.execute("BEGIN IMMEDIATE")
            yield
            lite.rollback()


def _stopped(pid: int) -> bool:
    """Whether no thread of a process runs."""
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(thread.read_text("utf-8").rpartition(")")[2].split()[0] == "T" for thread in threads)


@contextlib.contextmanager
def opened(database: str, files: Path, broker: str = "") -> Iterator[Hall]:
    """A hall without workers."""
    with heliostat.open(database, files=files, broker=broker) as engine:
        engine.store.upgrade()
        yield Hall(database, files, engine)


# what functions under test do to the world, so that the tests see it


def mark(directory: str, name: str) -> None:
    """Leave a line with this process's id in a file."""
    with (Path(directory) / name).open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")


def marks(directory: str | Path, name: str) -> list[int]:
    """The ids of the processes that left a mark, in order."""
    file = Path(directory) / name
    return [int(line) for line in file.read_text("utf-8").split()] if file.exists() else []


def wait_for_marks(directory: str | Path, name: str, count: int = 1) -> None:
    """Wait until so many marks were left."""
    wait_until(lambda: len(marks(directory, name)) >= count, f"{count} × {name}")
