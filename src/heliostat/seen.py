"""What was last seen of a job, as whoever watches it has written it into the job's directory for all others."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING

from heliostat.batch import BEGINS, COMMAND, EXIT_CODE, SEEN, JobState
from heliostat.checks import lasting
from heliostat.files import opened
from heliostat.printed import Tries, job_directory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from heliostat.context import Surroundings
    from heliostat.store import Busy, Store
    from heliostat.task import Task

MOST_BYTES = 1 << 16
LOOKED_AT = 2000  #: running tasks whose jobs are looked at together


@dataclass(frozen=True, slots=True)
class Seen:
    """A job: in which batch system, where its commands run, its id there, its state and why, and since when that."""

    system: str
    place: str
    handle: str
    state: JobState
    reason: str
    at: float

    def words(self) -> str:
        """In short, without which job it is: ``pending in slurm: Resources``."""
        return self._told(f"in {self.system}")

    def sentence(self, now: float) -> str:
        """At length: ``pending in slurm on login1 (job 1234) for 12 min: Resources``."""
        job = f" (job {self.handle})" if self.handle else ""
        on = f" on {self.place}" if self.place else ""
        return self._told(f"in {self.system}{on}{job} for {lasting(now - self.at)}")

    def _told(self, where: str) -> str:
        word = {JobState.submitted: "pending", JobState.ended: "ended", JobState.lost: "lost"}.get(
            self.state, str(self.state)
        )
        return f"{word} {where}" + (f": {self.reason}" if self.reason else "")


def standings(store: Store, around: Surroundings, limit: int = LOOKED_AT) -> list[tuple[Busy, str]]:
    """How the jobs of running tasks stand, in words that are the same for many; of those whose files are here."""
    tries = cache(partial(Tries, around))
    jobs = ((task, seen(tries(task.run).of(task.number, task.tried)[-1])) for task in store.busy(limit))
    return [(task, job.words()) for task, job in jobs if job is not None]


def grouped(standing: Iterable[str]) -> dict[str, int]:
    """How many jobs stand alike, whenever each is expected to begin: of that, the first time is told."""
    found: dict[str, list[str]] = {}
    for words in standing:
        alike, _, time = words.partition(BEGINS)
        found.setdefault(alike.rstrip(", :"), []).append(time)
    return {f"{alike}{_first(times)}": len(times) for alike, times in found.items()}


def _first(times: list[str]) -> str:
    planned = sorted(filter(None, times))
    if not planned:
        return ""
    return f", {'the first ' if len(times) > 1 else ''}{BEGINS}{planned[0]}"


def jobs_words(around: Surroundings, task: Task, now: float) -> str | None:
    """How the job of a running task stands, in a sentence; None where it is none, or its files are not here."""
    directory = job_directory(around, task.run, task.number, task.failures + 1)
    if (job := seen(directory)) is not None:
        return job.sentence(now)
    return "its job is submitted and not seen yet" if directory.is_dir() else None


def last_job(around: Surroundings, task: Task) -> tuple[Path, Seen | None] | None:
    """The directory of a task's newest job, and what was seen of it; None where it has none, or it is not here."""
    for tried in (task.failures + 1, task.failures):
        directory = job_directory(around, task.run, task.number, tried)
        if directory.is_dir():
            return directory, seen(directory)
    return None


def command(directory: Path) -> str | None:
    """What a job runs, as it stands in its directory."""
    try:
        with opened(directory / COMMAND) as file:
            return file.read(MOST_BYTES).decode(errors="replace").strip()
    except OSError:
        return None


def seen(directory: Path) -> Seen | None:
    """What was last seen of the job of a directory; None where there is none, or nobody has seen it yet."""
    try:
        with opened(directory / SEEN) as file:
            data = json.loads(file.read(MOST_BYTES))
        said = {name: str(data[name] or "") for name in ("system", "place", "handle", "reason")}
        found = Seen(**said, state=JobState(data["state"]), at=float(data["at"]))
        with suppress(FileNotFoundError):  # where it ended by itself, whoever watched it wrote no more
            if not found.state.final:
                return replace(found, state=JobState.ended, reason="", at=(directory / EXIT_CODE).stat().st_mtime)
        return found
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):  # none, or damaged
        return None
