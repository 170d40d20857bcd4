"""Four ratios that the project wants to see, and whether they are seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.peers.catalogue import ENTRIES
from benchmarks.peers.workloads import WORKLOADS

if TYPE_CHECKING:
    from benchmarks.peers.results import Results


@dataclass(frozen=True, slots=True)
class Goal:
    """One of Heliostat's figures should be so many times as good as the best of some peers."""

    said: str
    workload: str
    ours: str
    rivals: tuple[str, ...]
    factor: float


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a goal was reached."""

    goal: Goal
    rival: str
    ratio: float

    @property
    def met(self) -> bool:
        """Whether it was."""
        return self.ratio >= self.goal.factor


RIVALS = tuple(entry.name for entry in ENTRIES.values() if entry.rival)

GOALS = (
    Goal("On SQLite, steps per second: at least 8 × the fastest peer", "runs", "heliostat/sqlite", RIVALS, 8),
    Goal(
        "On PostgreSQL, steps per second: at least 20 × the faster of DBOS and Procrastinate",
        "runs",
        "heliostat/postgresql",
        ("dbos/postgresql", "procrastinate"),
        20,
    ),
    Goal(
        "Through Celery and RabbitMQ, steps per second: at least 5 × plain Celery",
        "runs",
        "heliostat/celery",
        ("celery",),
        5,
    ),
    Goal("On SQLite, a step of a long chain: shorter than any peer's", "chain", "heliostat/sqlite", RIVALS, 1),
)


def reached(results: Results) -> list[Reached]:
    """Each goal of which both sides were measured."""
    found = []
    for goal in GOALS:
        ours, fewer = results.of(goal.ours, goal.workload), WORKLOADS[goal.workload].fewer_is_better
        theirs = [taken for rival in goal.rivals if (taken := results.of(rival, goal.workload))]
        if ours and theirs:
            best = (min if fewer else max)(theirs, key=lambda taken: taken.median)
            ratio = best.median / ours.median if fewer else ours.median / best.median
            found.append(Reached(goal, best.peer, ratio))
    return found
