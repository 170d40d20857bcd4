"""Forgetting runs: whole ones, in bounded transactions, which note the files they leave; and workers long gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat.stores.sqlrows import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from heliostat.stores.sqlrows import SqlRows

TASKS_AT_ONCE = 5000  #: about as many tasks as one transaction forgets
LINES_AT_ONCE = 1000  #: numbers of the journal among which lines that tell of several runs are looked for
LITTLE_SECONDS = 86_400.0  #: more than from a heartbeat to the next, or from the drawing of a run's key to its begin
NOTED = ("discarded_runs", "discarded_artifacts")
TABLES = ("tasks", "gates", "records", "artifacts", "attempts", "holds", "newest", "journal", "runs")


def prune(
    transaction: Callable[[], AbstractContextManager[SqlRows]],
    again: Callable[[Callable[[], int]], int],
    before: float,
    limit: int,
) -> int:
    """Forget at most ``limit`` runs that ended before a time; answers how many."""

    def alone(work: Callable[[SqlRows, float, int], int], given: int) -> int:
        def once() -> int:
            with transaction() as rows:
                return work(rows, before, given)

        return again(once)

    done, first = 0, 1
    while done < limit and (more := alone(_runs, limit - done)):
        done += more
    while done < limit and (first := alone(_lines, first)):
        pass  # where more runs may be left, the next call looks through what these leave
    alone(_workers, 0)
    return done


def _runs(rows: SqlRows, before: float, most: int) -> int:
    """Forget runs whole; answers how many."""
    chosen: list[int] = []
    tasks = 0
    for run, last in rows.fetch("prune_find", before=before, most=most):
        if chosen and tasks + last > TASKS_AT_ONCE:
            break
        chosen.append(run)
        tasks += last
    chosen = [run.id for run in rows.run_lock(sorted(chosen)) if run.state.final and run.open <= 0]
    for table in (*NOTED, *TABLES) if chosen else ():
        rows.later(f"prune_{table}", ids=listed(chosen))
    return len(chosen)


def _lines(rows: SqlRows, before: float, first: int) -> int:
    """Forget lines of some numbers; answers the first of the next ones, or 0 where all are young."""
    ((start, oldest),) = rows.fetch("journal_oldest", first=first, most=LINES_AT_ONCE)
    if start is None or oldest >= before:
        return 0
    beyond: int = start + LINES_AT_ONCE
    rows.later("prune_several", first=first, beyond=beyond, before=before)
    return beyond


def _workers(rows: SqlRows, before: float, _: int) -> int:
    """Forget workers long gone; answers how many."""
    oldest = [row[0] for row in rows.fetch("run_oldest")]
    return rows.run("prune_workers", before=unneeded(before, *oldest))


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
