"""Who is measured: by what name, in which environment, with which settings.

The page takes its words from here, so what is said about the settings stands beside what sets them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.jobs.work import Form

ROOT = Path(__file__).resolve().parents[2]
PSIJ = ROOT / ".venv-psij" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Entry:
    """One that has jobs run; ``python`` is the interpreter of its environment."""

    name: str
    title: str
    module: str
    form: Form
    settings: str
    python: str = sys.executable
    ask_seconds: float = 1.0


_FIRST = "One process, eight threads, SQLite with `synchronous=FULL`. It asks as it sees fit: a second after a "
_FIRST += "submission, then less and less often."
_BARE = "A loop that keeps nothing and asks for all jobs once a second."

ENTRIES = {
    entry.name: entry
    for entry in (
        Entry(
            "heliostat/single",
            "Heliostat, single jobs",
            "on_heliostat",
            "single",
            f"{_FIRST} A run for each job and the step after it.",
        ),
        Entry(
            "psij/single",
            "PSI/J, as it comes",
            "on_psij",
            "single",
            "A job object each, and a call-back. It asks every 30 s, which is its default.",
            str(PSIJ),
            30,
        ),
        Entry("bare/single", "`sbatch` and `squeue`, single jobs", "on_bare", "single", _BARE),
        Entry(
            "heliostat/array",
            "Heliostat, an array",
            "on_heliostat",
            "array",
            "The same with `array` set for the queue: one run maps a job over a list, and a step gets all results.",
        ),
        Entry("bare/array", "`sbatch --array` and `squeue`", "on_bare", "array", _BARE),
        Entry(
            "psij/eager",
            "PSI/J, eager",
            "on_psij",
            "single",
            "The same with `queue_polling_interval=1`.",
            str(PSIJ),
        ),
    )
}
