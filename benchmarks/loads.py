"""The loads that are measured, as the bare loop carries them; `engine` has the same ones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.bare import BATCH, Born, PostgresQueue, SqliteQueue, work
from benchmarks.databases import rest

if TYPE_CHECKING:
    from benchmarks.bare import Changes, Queue

FIRST_RUN = 1_000_000_000_000_000_000


def open_queue(url: str) -> Queue:
    """Make the bare tables in an empty database."""
    scheme, _, path = url.partition(":///")
    return SqliteQueue(path) if scheme == "sqlite" else PostgresQueue(url)


def chain_runs(url: str, runs: int, steps: int, batch: int = BATCH) -> dict[str, float]:
    """Runs of a few steps, each begun by the one before."""
    queue, ids, now = open_queue(url), range(FIRST_RUN, FIRST_RUN + runs), time.time()
    queue.load([(run, 1) for run in ids], [Born(run, 1, "0", now) for run in ids])

    def follow(run: int, number: int, changes: Changes) -> None:
        if number < steps:
            changes.born.append(Born(run, number + 1, "0", changes.now))
            changes.opened[run] += 1

    return work(queue, follow, tasks=runs * steps, batch=batch)


def chain(url: str, steps: int) -> dict[str, float]:
    """One run of many steps, so one task in a commit."""
    return chain_runs(url, runs=1, steps=steps, batch=1)


def fan(url: str, width: int) -> dict[str, float]:
    """One task that gives birth to many, and one that waits for them all."""
    queue, now = open_queue(url), time.time()
    queue.load([(FIRST_RUN, 1)], [Born(FIRST_RUN, 1, "0", now)])

    def follow(run: int, number: int, changes: Changes) -> None:
        if number == 1:
            changes.born = [Born(run, item + 3, str(item), changes.now) for item in range(width)]
            changes.born.append(Born(run, 2, "", changes.now, "pending", width))
            changes.opened[run] += width + 1
        elif number > 2:
            changes.arrived[run, 2] = changes.arrived.get((run, 2), 0) + 1

    return work(queue, follow, tasks=width + 2)


def backlog(url: str, waiting: int, tasks: int) -> dict[str, float]:
    """Some tasks, while many more wait behind them."""
    queue, now = open_queue(url), time.time()
    ready = (Born(FIRST_RUN, number, "0", now) for number in range(tasks + waiting))
    queue.load([(FIRST_RUN, tasks + waiting)], ready)
    rest(url)
    return work(queue, lambda *_: None, tasks=tasks)
