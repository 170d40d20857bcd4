"""One measure, in a process and on a Slurm of its own, so that nothing of another one is left over."""

from __future__ import annotations

import importlib
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.jobs.work import Task

if TYPE_CHECKING:
    from benchmarks.jobs.catalogue import Entry
    from tests.slurm_server import Slurm

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 1_800
#: Where the files of jobs are, if there is such a place: what a disk takes to make a file is its own matter.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - what is made within has names of its own
SUBMISSIONS = ("REQUEST_SUBMIT_BATCH_JOB",)
QUESTIONS = ("REQUEST_JOB_INFO", "REQUEST_JOB_USER_INFO", "REQUEST_JOB_INFO_SINGLE")
#: On a cluster each node watches its own few jobs; here all of them together would read the whole process table.
QUIET = {
    "JobAcctGatherType": "jobacct_gather/none",
    "JobAcctGatherParams": "NoShared",
    "ProctrackType": "proctrack/pgid",
}


@dataclass(frozen=True, slots=True)
class Measure:
    """What came of it, in seconds.

    ``own`` is the processor time of the process that has the jobs run, ``started`` that of all that it has started:
    shells, `sbatch`, `squeue`. Gaps are from a job's end to the next step's begin. ``client`` is what one call of each
    command takes, where that was measured. Submissions and questions are as Slurm has counted them.
    """

    own: float
    started: float
    whole: float
    gap: float
    longest_gap: float
    client: dict[str, float] = field(default_factory=dict)
    submissions: int = 0
    questions: int = 0


def measured(entry: Entry, count: int, seconds: float = 1.0) -> Measure:
    """Take a measure on a Slurm that is started for it.

    Raises:
        RuntimeError: it could not be taken; the message ends with the reason.
    """
    from tests.slurm_server import slurm_server  # the process that measures needs none of it

    with slurm_server(**QUIET) as slurm:
        return measured_on(slurm, entry, count, seconds)


def measured_on(slurm: Slurm, entry: Entry, count: int, seconds: float) -> Measure:
    """Start a process that takes a measure, at home where no login shell finds anything to do."""
    if not Path(entry.python).exists():
        environment = Path(entry.python).parents[1].name
        raise RuntimeError(f"{entry.title} is not installed: make bench puts it into {environment}")
    with (
        tempfile.TemporaryDirectory(prefix="heliostat-jobs-", dir=MEMORY) as place,
        tempfile.TemporaryDirectory(prefix="heliostat-jobs-") as disk,
    ):
        task = Task(entry.form, count, Path(place), Path(disk), seconds, entry.ask_seconds)
        slurm.command("sdiag", "--reset")
        ran = subprocess.run(
            [entry.python, "-m", __name__, entry.module, json.dumps(asdict(task), default=str)],
            cwd=place,
            env=os.environ | slurm.environment | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}", "HOME": place},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    if ran.returncode:
        raise RuntimeError((ran.stderr or ran.stdout).strip()[-2000:])
    counts = {"submissions": counted(slurm, SUBMISSIONS), "questions": counted(slurm, QUESTIONS)}
    return Measure(**json.loads(ran.stdout.splitlines()[-1]) | counts)


def counted(slurm: Slurm, messages: tuple[str, ...]) -> int:
    """How often Slurm was asked something, by its own count."""
    found = re.findall(r"^\s*(REQUEST_\w+)\s*\(\s*\d+\)\s+count:(\d+)", slurm.command("sdiag"), re.MULTILINE)
    return sum(int(number) for message, number in found if message in messages)


def take(module: str, task: Task) -> Measure:
    """Have the jobs run, and read what it took."""
    driver = importlib.import_module(f"benchmarks.jobs.drivers.{module}")
    task.write()
    own, started, begun_at = _used(resource.RUSAGE_SELF), _used(resource.RUSAGE_CHILDREN), time.monotonic()
    begun: dict[int, float] = driver.carry(task)
    whole = time.monotonic() - begun_at
    own, started = _used(resource.RUSAGE_SELF) - own, _used(resource.RUSAGE_CHILDREN) - started
    ended = task.ended()
    ends = ended if task.form == "single" else {0: max(ended.values())}
    gaps = [begun[number] - ended_at for number, ended_at in ends.items()]
    client = driver.client_seconds() if hasattr(driver, "client_seconds") else {}
    return Measure(own, started, whole, statistics.median(gaps), max(gaps), client)


def _used(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def main(module: str, task: str) -> None:
    """Take the measure, in the process that was started for it."""
    given = json.loads(task)
    taken = take(module, Task(**given | {name: Path(given[name]) for name in ("place", "disk")}))
    print(json.dumps(asdict(taken)), flush=True)
    os._exit(0)  # PSI/J leaves a thread behind that asks for ever


if __name__ == "__main__":
    main(*sys.argv[1:])
