"""Celery's workers as real processes, for tests that need some of them, or want to kill one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self

from heliostat.store import Store
from tests.acceptance.crew import wait_until
from tests.acceptance.worker import Manner
from tests.celery_worker import work
from tests.nursery import nursery

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 240.0


@dataclass
class Celery:
    """One ``celery worker``, which ends with its line."""

    directory: Path
    process: BaseProcess
    line: Connection

    @property
    def pid(self) -> int:
        """The process id of the parent of the pool; 0 until it has one."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.directory / "pid").read_text())
        return 0

    @property
    def log(self) -> str:
        """What it has said so far."""
        file = self.directory / "log"
        return file.read_text("utf-8", "replace") if file.exists() else ""

    @property
    def children(self) -> list[int]:
        """The process ids of its pool."""
        with contextlib.suppress(OSError):
            return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        return []

    @property
    def alive(self) -> bool:
        """Whether the parent of the pool is there."""
        return there(self.pid)

    @property
    def ended(self) -> bool:
        """Whether the parent of the pool was there, and was killed: one that ends well takes its id away."""
        return (pid := self.pid) > 0 and not there(pid)

    def ask(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the parent a signal, if it is there: one that has ended well has taken its id away."""
        if (pid := self.pid) > 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        """Kill it with all that belongs to it, and forget it."""
        assert self.process.pid is not None
        if self.process.is_alive():  # it may not have come so far as to have a group
            self.process.kill()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.join()
        self.process.close()
        self.line.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def there(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    with contextlib.suppress(OSError):
        return pid > 0 and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@dataclass
class CeleryCrew:
    """Celery's workers on one database and one virtual host, each a process with threads; as ``crew.Crew``."""

    database: str
    files: Path
    modules: tuple[str, ...]
    broker: str
    store: Store
    manner: Manner = field(default_factory=Manner)
    settings: str = ""  # further lines of their heliostat.toml
    members: list[Celery] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop(grace=10.0 if error[0] is None else 0.0)

    def begin(self, count: int = 1, **manner: Any) -> None:
        """Start workers, and wait until they are ready to work."""
        manners = replace(self.manner, **manner)
        begun = [self._start(manners, "--pool", "threads", "--concurrency", str(manners.slots)) for _ in range(count)]
        for member in begun:
            self._ready(member, lambda member=member: {member.pid})  # type: ignore[misc]

    def one(self, *options: str, concurrency: int = 1) -> Celery:
        """Start a worker with options of Celery's, and wait until all its processes are ready to work."""
        member = self._start(self.manner, *options, "--concurrency", str(concurrency))
        single = "threads" in options or "solo" in options
        self._ready(member, lambda: {member.pid} if single else member.children, 1 if single else concurrency)
        return member

    def _start(self, manner: Manner, *options: str) -> Celery:
        directory = Path(tempfile.mkdtemp(prefix="heliostat-celery-", dir="/tmp"))
        (directory / "heliostat.toml").write_text(f"apps = {json.dumps(self.modules)}\n{self.settings}")
        told = ("--loglevel", "INFO", "--hostname", f"{directory.name}@%h", "--without-mingle", "--without-gossip")
        settings = {
            "HELIOSTAT_DATABASE": self.database,
            "HELIOSTAT_BROKER": self.broker,
            "HELIOSTAT_FILES": str(self.files),
            "HELIOSTAT_TEST_MANNER": json.dumps(asdict(manner)),
            "PYTHONPATH": str(ROOT),
        }
        ours, theirs = nursery().Pipe()
        given = (theirs, directory, {**os.environ, **settings}, (*told, *options))
        process = nursery().Process(target=work, args=given, daemon=True)
        process.start()
        theirs.close()
        self.members.append(Celery(directory, process, ours))
        return self.members[-1]

    def _ready(self, member: Celery, pids: Any, count: int = 1) -> None:
        def ready() -> bool:
            if member.ended:  # from when it is connected it may be given what it dies of, before anybody looks
                return "Connected to amqp" in member.log
            active = {worker.pid for worker in self.store.workers()}
            return len(active & set(pids())) >= count and "ready." in member.log

        try:
            wait_until(ready, "Celery to be ready", START_SECONDS)
        except TimeoutError as error:
            error.add_note(member.log)
            raise

    @property
    def alive(self) -> Sequence[int]:
        """The process ids of the workers that have not ended."""
        return [pid for member in self.members if there(pid := member.pid)]

    def kill(self, *pids: int) -> None:
        """Kill workers (all of them, where none is named) with SIGKILL, and see them gone."""
        killed = pids or tuple(self.alive)
        for pid in killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(there, killed)), "the killed to be gone")

    def stop(self, grace: float = 10.0) -> None:
        """Ask all workers to end, and kill those that do not in time."""
        for member in self.members:
            member.ask(signal.SIGTERM)
            member.ask(signal.SIGCONT)
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not any(member.alive for member in self.members), "the workers to end", grace)
        for member in self.members:
            member.stop()
        self.members.clear()


@dataclass
class Pool(CeleryCrew):
    """One worker of Celery's: several members are the processes of its pool, a single one has threads."""

    def begin(self, count: int = 1, **manner: Any) -> None:
        """Start a worker with so many processes, and wait until they are ready to work."""
        if count == 1:
            super().begin(**manner)
        else:
            self.one(concurrency=count)

    @property
    def alive(self) -> Sequence[int]:
        """The process ids of the pool."""
        return [pid for member in self.members for pid in member.children or [member.pid] if there(pid)]
