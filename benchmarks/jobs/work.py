"""What is to be done, and what every job notes: which one it was, and when it ended.

A note is a line appended to a file, the same for all. It counts what really ran: a job too many, or one that ran
twice, makes the measure fail.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Form: TypeAlias = Literal["single", "array"]

_SCRIPT = """#!/bin/sh
# $1: which job it is; in an array its index says so
sleep {seconds:g}
echo "${{1:-$SLURM_ARRAY_TASK_ID}}" "$(date +%s.%N)" >> {notes}
"""


@dataclass(frozen=True, slots=True)
class Task:
    """So many jobs of so many ``seconds``, each a submission or all of them an array.

    The files of jobs are in ``place``, and what is to survive a power cut in ``disk``; ``ask_seconds`` are between two
    questions to the scheduler, where whoever asks leaves us the choice.
    """

    form: Form
    count: int
    place: Path
    disk: Path
    seconds: float = 1.0
    ask_seconds: float = 1.0

    @property
    def script(self) -> Path:
        """What each job is: ``sh script NUMBER``."""
        return self.place / "nap.sh"

    def write(self) -> None:
        """Make the script."""
        self.script.write_text(_SCRIPT.format(seconds=self.seconds, notes=self.place / "notes"), "utf-8")

    def ended(self) -> dict[int, float]:
        """When each job ended, in seconds since 1970; each must have run once.

        Raises:
            RuntimeError: one did not run, or ran twice.
        """
        notes = (self.place / "notes").read_text("utf-8").split("\n")[:-1]
        runs = Counter(int(note.split()[0]) for note in notes)
        if odd := {number: runs[number] for number in {*range(self.count), *runs} if runs[number] != 1}:
            raise RuntimeError(f"of {self.count} jobs, some did not run once but so often: {odd}")
        return {int(number): float(ended_at) for number, ended_at in (note.split() for note in notes)}
