"""The measures, taken in turn: in each round every entry, so that a slow minute of the machine falls on all alike."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.jobs.catalogue import ENTRIES, PSIJ
from benchmarks.jobs.measure import measured
from benchmarks.jobs.results import Results, Taken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.jobs.catalogue import Entry


def take(
    count: int,
    rounds: int,
    entries: Iterable[Entry] = ENTRIES.values(),
    seconds: float = 1.0,
    say: Callable[[str], object] = print,
) -> Results:
    """All measures, or those until Ctrl-C; an entry of which one could not be taken is not asked again."""
    taken = {entry: Taken(entry.name) for entry in entries}
    before = os.getloadavg()[0]
    turns = [(turn, entry) for turn in range(rounds) for entry in taken]
    with suppress(KeyboardInterrupt):  # what was taken until then is kept
        for turn, entry in turns:
            one = taken[entry]
            if one.missing:
                continue
            say(f"round {turn + 1} of {rounds}: {count:,} jobs by {entry.title}")
            try:
                taken[entry] = replace(one, measures=[*one.measures, measured(entry, count, seconds)])
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                taken[entry] = replace(one, missing=str(error).splitlines()[-1])
    place = {
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "load before and after": f"{before:.1f} and {os.getloadavg()[0]:.1f}",
        "rounds": str(rounds),
    }
    return Results(count, place, versions(), [one for one in taken.values() if one.measures or one.missing])


def versions() -> dict[str, str]:
    """What took part, by its version."""
    found = {"Python": platform.python_version(), "heliostat": version("heliostat")}
    slurm = subprocess.run(["slurmctld", "-V"], capture_output=True, text=True, check=False).stdout.split()
    found["Slurm"] = slurm[-1] if slurm else "unknown"
    if PSIJ.exists():
        code = "from importlib.metadata import version; print(version('psij-python'))"
        ran = subprocess.run([PSIJ, "-c", code], capture_output=True, text=True, check=True, cwd=Path("/"))
        found["psij-python"] = ran.stdout.strip()
    return found
