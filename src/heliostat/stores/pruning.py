"""Forgetting runs: whole ones, in bounded transactions, which note the files they leave; and workers long gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat.store import SEVERAL
from heliostat.stores.sqlrows import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from heliostat.stores.sqlrows import SqlRows

TASKS_AT_ONCE = 5000  #: about as many tasks as one transaction forgets
LINES_AT_ONCE = 1000  #: of the journal, where they tell of several runs
LITTLE_SECONDS = 86_400.0  #: more than from a heartbeat to the next, or from the drawing of a run's key to its begin
NOTED = ("discarded_runs", "discarded_artifacts")
TABLES = ("tasks", "gates", "records", "artifacts", "attempts", "journal", "runs")


def prune(
    transaction: Callable[[], AbstractContextManager[SqlRows]],
    again: Callable[[Callable[[], int]], int],
    before: float,
    limit: int,
) -> int:
    """Forget at most ``limit`` runs that ended before a time; answers how many."""
    done = 0

    def work() -> int:
        with transaction() as rows:
            chosen: list[int] = []
            tasks = 0
            for run, last in rows.fetch("prune_find", before=before, most=limit - done):
                if chosen and tasks + last > TASKS_AT_ONCE:
                    break
                chosen.append(run)
                tasks += last
            chosen = [run.id for run in rows.run_lock(sorted(chosen)) if run.state.final and run.open <= 0]
            for table in (*NOTED, *TABLES) if chosen else ():
                rows.later(f"prune_{table}", ids=listed(chosen))
            return len(chosen)

    def lines() -> int:
        with transaction() as rows:
            return rows.run("prune_several", several=SEVERAL, most=LINES_AT_ONCE, before=before)

    while done < limit and (more := again(work)):
        done += more

    def workers() -> int:
        with transaction() as rows:
            return rows.run("prune_workers", before=unneeded(before, *(row[0] for row in rows.fetch("run_oldest"))))

    while again(lines) == LINES_AT_ONCE:
        pass
    again(workers)
    return done


def unneeded(before: float, *oldest: float) -> float:
    """Before which time a worker must have ended, so that no attempt leads to it; ``oldest`` is when a run began.

    The oldest run is the one with the lowest key. Keys are in order of time, but drawn a little before a run begins,
    and a worker goes on for a little after its last heartbeat.
    """
    return min(before, *(began_at - LITTLE_SECONDS for began_at in oldest)) if oldest else before


def done_with(
    transaction: Callable[[], AbstractContextManager[SqlRows]],
    again: Callable[[Callable[[], int]], int],
    discarded: Sequence[int],
) -> None:
    """Strike out what is gone from among the files."""

    def work() -> int:
        with transaction() as rows:
            return rows.run("discarded_done", ids=listed(discarded))

    if discarded:
        again(work)
