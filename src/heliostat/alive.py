"""Whether a worker's process is alive, as far as another process of the same machine can see."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliostat.queue import WorkerInfo


def birth(pid: int) -> str:
    """Where and when a process was born: boot, process namespace and start time, or nothing where it cannot be seen."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - a magic link, not a path
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
    return f"{boot} {space} {started}"


def gone(worker: WorkerInfo) -> bool:
    """Whether a worker's process ran on this machine and is surely dead."""
    mine = birth(os.getpid())
    if not mine or not worker.process or mine.split()[:2] != worker.process.split()[:2]:
        return False
    return birth(worker.pid) != worker.process
