"""This machine and its processes: which it is, since when, and which process a number means."""

from __future__ import annotations

import os
import subprocess
import time
from functools import lru_cache
from pathlib import Path

from heliostat.batches.shared import read


@lru_cache(maxsize=1)
def linux() -> bool:
    """Whether there is a /proc to read."""
    return Path("/proc/self/stat").exists()


def started(pid: int) -> str | None:
    """When a process began, as the wrapper wrote it down; None for one that is gone or a zombie."""
    if linux():
        told = (read(Path(f"/proc/{pid}/stat")) or "").rpartition(")")[2].split()
        return told[19] if told and told[0] not in ("Z", "X") else None
    state, _, begin = _said("ps", "-o", "state=,lstart=", "-p", str(pid)).strip().partition(" ")
    return None if state[:1] in ("", "Z") else " ".join(begin.split())


def now() -> float:
    """Seconds on a clock that nobody sets and that goes on during sleep; the wrapper reads the same one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_REALTIME))


@lru_cache(maxsize=1)
def host() -> str:
    """Its name."""
    return os.uname().nodename


@lru_cache(maxsize=1)
def boot() -> str:
    """What is different after each start of the machine."""
    if linux():
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return _said("sysctl", "-n", "kern.bootsessionuuid").strip()


def _said(*command: str) -> str:
    """What a small program says, where there is no /proc to read."""
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout
