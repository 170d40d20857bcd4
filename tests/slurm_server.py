"""A private Slurm of one node for tests: on loopback, under /tmp, gone when its user is gone.

    with slurm_server() as slurm:
        subprocess.run(["sbatch", …], env={**os.environ, **slurm.environment})

It has more processors than the machine, so that many small jobs run at once, and three partitions: ``main``, ``closed``
whose jobs wait, and ``short``, for at most two minutes. Memory is watched every second, since there may be no cgroups.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

GUARDIAN = Path(__file__).with_name("guardian.py")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo", "scontrol")
START_SECONDS = 240  # on a machine that does much else
CPUS = 48


class NoSlurmError(Exception):
    """No Slurm can be started here, and the message says what to do about it."""


def installed() -> bool:
    """Whether its programs are on the path."""
    return all(shutil.which(program) for program in PROGRAMS)


@dataclass
class Slurm:
    """A controller and a node that are there, or were, and can be started again with what they kept."""

    directory: Path
    guardians: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """By which its commands find it."""
        return {"SLURM_CONF": str(self.directory / "slurm.conf")}

    def start(self) -> None:
        """Start both, and wait until jobs can run."""
        self.start_controller()
        self._start("slurmd", "-D", "-N", _host())
        self._wait(lambda: "idle" in self.command("sinfo", "--noheader", "--format=%T"))

    def start_controller(self) -> None:
        """Start the controller, and wait until it answers."""
        self._start("slurmctld", "-D")
        self._wait(lambda: "is UP" in self.command("scontrol", "ping"))

    def stop_controller(self) -> None:
        """Stop the controller: its commands fail until it is started again."""
        self._stop("slurmctld")

    def stop(self) -> None:
        """End all jobs and both daemons; what they kept stays in the directory."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.command("scancel", f"--user={getpass.getuser()}")
            self.command("scancel", "--signal=KILL", "--full", f"--user={getpass.getuser()}")
        for program in ("slurmd", "slurmctld"):
            self._stop(program)

    def command(self, *words: str) -> str:
        """Have one of its commands run; answers with all that it said."""
        environment = {**os.environ, **self.environment}
        ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=200)
        return ran.stdout + ran.stderr

    def completed(self) -> list[dict[str, str]]:
        """All jobs that have ended, once for each time that one was submitted, as the controller wrote them down."""
        log = self.directory / "log" / "jobcomp.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [dict(word.partition("=")[::2] for word in line.split() if "=" in word) for line in lines]

    def named(self, name: str) -> list[dict[str, str]]:
        """Those of them whose name begins so."""
        return [job for job in self.completed() if job.get("Name", "").startswith(name)]

    def end_soon(self, handle: str) -> None:
        """Let the walltime of a job be over in a second; the controller looks every half minute."""
        self.command("scontrol", "update", f"JobId={handle}", "EndTime=now+1")

    def _start(self, *command: str) -> None:
        own = self.directory / f"run-{command[0]}"
        own.mkdir(exist_ok=True)
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        self.guardians[command[0]] = subprocess.Popen(
            [sys.executable, str(GUARDIAN), str(own), "env", *settings, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def _stop(self, program: str) -> None:
        if guardian := self.guardians.pop(program, None):
            with guardian:
                pass

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                logs = sorted((self.directory / "log").glob("*.log"))
                said = "\n".join(log.read_text("utf-8", "replace")[-1500:] for log in logs)
                self.stop()
                raise NoSlurmError(f"Slurm did not start. It said: {said}")
            time.sleep(0.05)


@contextlib.contextmanager
def slurm_server(**settings: str) -> Iterator[Slurm]:
    """Start a Slurm, and stop it at the end; ``settings`` are words of slurm.conf that are to be otherwise.

    Raises:
        NoSlurmError: Slurm is not installed, or did not start.
    """
    if not installed():
        raise NoSlurmError("The tests need Slurm: install slurm-wlm (make test does if it may).")
    with tempfile.TemporaryDirectory(prefix="sl-", dir="/tmp", ignore_cleanup_errors=True) as name:
        server = Slurm(Path(name))  # its sockets lie in it, and their paths may have 108 bytes
        for folder in ("state", "spool", "log"):
            (server.directory / folder).mkdir()
        configuration = _configuration(server.directory)
        for name, value in settings.items():
            configuration = re.sub(rf"(?m)^{name}=.*$", f"{name}={value}", configuration)
        (server.directory / "slurm.conf").write_text(configuration)
        # A job is a login shell. Whatever start-up files the one who tests has, they are not what is tested, and some
        # wait for a lock that a killed job has left.
        (server.directory / "home").mkdir()
        prolog = server.directory / "prolog"
        prolog.write_text(f"#!/bin/sh\necho export HOME={server.directory}/home\n")
        prolog.chmod(0o755)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _configuration(home: Path) -> str:
    me, host = getpass.getuser(), _host()
    controller, node = _free_ports()
    return f"""ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={me}
SlurmdUser={me}
AuthType=auth/none
CredType=cred/none
SlurmctldPort={controller}
SlurmdPort={node}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/controller.pid
SlurmdPidFile={home}/node.pid
SlurmctldLogFile={home}/log/controller.log
SlurmdLogFile={home}/log/node.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherParams=OverMemoryKill
JobAcctGatherFrequency=task=1
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerNode=1000
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=5
KillWait=2
MinJobAge=600
MaxJobCount=20000
MaxArraySize=2001
PlugStackConfig=/dev/null
TaskProlog={home}/prolog
JobCompType=jobcomp/filetxt
JobCompLoc={home}/log/jobcomp.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={CPUS} RealMemory=64000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=closed Nodes=ALL MaxTime=INFINITE State=DOWN
PartitionName=short Nodes=ALL MaxTime=2 State=UP
"""


def _host() -> str:
    return socket.gethostname().partition(".")[0]


def _free_ports() -> tuple[int, int]:
    """Two ports that nobody uses."""
    with socket.socket() as first, socket.socket() as second:
        for one in (first, second):
            one.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]
