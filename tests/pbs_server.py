"""A private PBS for tests, whose commands are ``tests/pbs_commands.py``: OpenPBS or Torque, gone when its user is gone.

with pbs_server("openpbs") as server:
server.path  # a directory with qsub, qstat, qdel, … for PATH
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
COMMANDS = ("qsub", "qstat", "qdel", "qhold", "qrls", "qsig", "qselect")
SETTINGS = {
    "server": "pbs",
    "queue": "workq",
    "queues": ["workq", "fast"],
    "accounts": [],
    "cores": 64,
    "largest": 64,
    "history": True,
    "keep": 300,
    "kill_delay": 2.0,
}


@dataclass
class Pbs:
    """A server that is there; what was submitted to it is known."""

    directory: Path
    flavour: str

    @property
    def path(self) -> Path:
        """Where its commands are."""
        return self.directory / "bin"

    @property
    def environment(self) -> dict[str, str]:
        """One in which its commands are found first."""
        return {**os.environ, "PATH": f"{self.path}:{os.environ['PATH']}"}

    def set(self, **settings: object) -> None:
        """Change what the server is told."""
        file = self.directory / "settings"
        known = json.loads(file.read_text()) if file.exists() else {**SETTINGS, "flavour": self.flavour}
        new = file.with_suffix(".new")
        new.write_text(json.dumps({**known, **settings}))
        new.replace(file)

    def break_(self, command: str, **wrong: object) -> None:
        """Have a command go wrong, as ``fault`` in the commands says."""
        (self.directory / "faults" / command).write_text(json.dumps(wrong))

    def mend(self) -> None:
        """Have all commands go well again."""
        for file in (self.directory / "faults").iterdir():
            file.unlink()

    def submissions(self) -> list[str]:
        """The names of all that was ever submitted, in order."""
        file = self.directory / "submissions"
        return [line.split()[1] for line in file.read_text().splitlines()] if file.exists() else []

    def calls(self, command: str) -> int:
        """How often a command was called."""
        file = self.directory / "calls"
        return file.read_text().split().count(command) if file.exists() else 0

    def do(self, *command: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Call one of the commands."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


@contextlib.contextmanager
def pbs_server(flavour: str) -> Iterator[Pbs]:
    """Start one, and stop it at the end with all of its jobs."""
    with tempfile.TemporaryDirectory(prefix=f"heliostat-{flavour}-", dir="/tmp") as name:
        server = Pbs(Path(name), flavour)
        for folder in ("bin", "jobs", "scripts", "output", "faults", "run", "home"):
            (server.directory / folder).mkdir()
        server.set()
        program = shlex.join([sys.executable, "-I", "-S", str(HERE / "pbs_commands.py"), name])
        for command in COMMANDS:
            script = server.path / command
            script.write_text(f'#!/bin/sh\nexec {program} {command} "$@"\n')
            script.chmod(0o755)
        guardian = subprocess.Popen(
            [sys.executable, str(HERE / "guardian.py"), str(server.directory / "run"), *shlex.split(program), "serve"],
            env={**os.environ, "HOME": f"{server.directory}/home"},  # jobs are login shells, as under Slurm
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            yield server
        finally:
            with guardian:
                pass
            _end_jobs(server)


def _end_jobs(server: Pbs) -> None:
    """Kill what still runs: each job is a session, which its shell leads."""
    files = (file for file in (server.directory / "jobs").iterdir() if file.suffix != ".new")
    jobs = [json.loads(file.read_text()) for file in files]
    leaders = {str(job["pid"]) for job in jobs if "pid" in job and "ended" not in job}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "stat").read_text().rpartition(")")[2].split()[3] in leaders:
                os.kill(int(process.name), signal.SIGKILL)
