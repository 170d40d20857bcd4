"""The bare loop: `sbatch` for each job, and `squeue` once a second until none is there any more.

It keeps nothing, so it is the least that anybody does who has jobs run by these commands.
"""

from __future__ import annotations

import getpass
import resource
import subprocess
import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.jobs.work import Task

OPTIONS = ["--parsable", "--output=/dev/null", "--ntasks=1"]
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")

spent: Counter[str] = Counter()  #: seconds of processor time that each command took, over all calls
calls: Counter[str] = Counter()


def carry(task: Task) -> dict[int, float]:
    """Submit, ask, and note of each job when it was seen to have ended; of an array when all were."""
    numbers: dict[str, int] = {}
    begun: dict[int, float] = {}
    if task.form == "array":
        handle = _run("sbatch", *OPTIONS, f"--array=0-{task.count - 1}", str(task.script))
        numbers = {f"{handle}_{number}": number for number in range(task.count)}
    asked_at = time.monotonic()
    for number in range(task.count if task.form == "single" else 0):
        numbers[_run("sbatch", *OPTIONS, str(task.script), str(number))] = number
        if time.monotonic() - asked_at > task.ask_seconds:
            _look(numbers, begun)
            asked_at = time.monotonic()
    while len(begun) < task.count:
        time.sleep(task.ask_seconds)
        _look(numbers, begun)
    return begun if task.form == "single" else {0: max(begun.values())}


def _look(numbers: dict[str, int], begun: dict[int, float]) -> None:
    said = _run("squeue", "--noheader", "--array", "--states=all", f"--user={getpass.getuser()}", "--format=%i|%T")
    for line in said.splitlines():
        handle, _, state = line.partition("|")
        if state not in ENDED or (number := numbers.get(handle)) in begun or number is None:
            continue
        if state != "COMPLETED":
            raise RuntimeError(f"job {handle} ended as {state}")
        begun[number] = time.time()


def _run(*command: str) -> str:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent[command[0]] += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    calls[command[0]] += 1
    return said


def client_seconds() -> dict[str, float]:
    """What one call of each command takes of a processor."""
    return {command: spent[command] / number for command, number in calls.items()}
