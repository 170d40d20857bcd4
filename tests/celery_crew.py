"""Celery's workers as real processes, for tests that need some of them, or want to kill one."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from heliostat.engine import Engine
from tests.acceptance.crew import wait_until

GUARDIAN = Path(__file__).with_name("guardian.py")
ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0


@dataclass
class Celery:
    """One ``celery worker``: its guardian ends it with the tests, however they end."""

    directory: Path
    guardian: subprocess.Popen[bytes]
    pid: int = 0

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
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        return False

    def ask(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the parent a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def stop(self) -> None:
        """Have it stopped, and wait until it is."""
        with self.guardian:
            pass


@dataclass
class CeleryCrew:
    """Workers of Celery on one database and one virtual host; ended with the block of its ``with``."""

    database: str
    broker: str
    files: Path
    modules: tuple[str, ...]
    members: list[Celery] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            member.stop()

    def begin(self, engine: Engine, *options: str, concurrency: int = 1, awaits: Sequence[str] = ("ready.",)) -> Celery:
        """Start a worker, and wait until it is ready and all its processes show life."""
        there = {worker.id for worker in engine.store.workers()}
        directory = Path(tempfile.mkdtemp(prefix="heliostat-celery-", dir="/tmp"))
        (directory / "heliostat.toml").write_text(f"apps = {json.dumps(self.modules)}\n")
        command = [sys.executable, "-m", "celery", "-A", "heliostat.celery", "worker", "--loglevel", "INFO"]
        command += ["--concurrency", str(concurrency), "--pidfile", str(directory / "pid")]
        command += ["--hostname", f"{directory.name}@%h", "--without-mingle", "--without-gossip", *options]
        settings = {
            "HELIOSTAT_DATABASE": self.database,
            "HELIOSTAT_BROKER": self.broker,
            "HELIOSTAT_FILES": str(self.files),
            "PYTHONPATH": str(ROOT),
        }
        script = f"cd {directory} && exec {shlex.join(command)}"
        guardian = subprocess.Popen(
            [sys.executable, str(GUARDIAN), str(directory), "sh", "-c", script],
            env=os.environ | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        member = Celery(directory, guardian)
        self.members.append(member)
        processes = concurrency if "threads" not in options and "solo" not in options else 1

        def ready() -> bool:
            active = [worker for worker in engine.store.workers() if worker.id not in there]
            return len(active) >= processes and all(word in member.log for word in awaits)

        try:
            wait_until(ready, "Celery to be ready", START_SECONDS)
        except TimeoutError as error:
            error.add_note(member.log)
            raise
        member.pid = int((directory / "pid").read_text())
        return member
