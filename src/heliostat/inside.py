"""Tasks that are runs, told as what they are: one attempt for each run, as long as it took.

Such a task is leased twice for each run, to begin it and to hear of its end, which is nobody's affair.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heliostat.graph import Graph
    from heliostat.run import Run
    from heliostat.store import AttemptRecord, Store
    from heliostat.task import Task

ALL = 1_000_000  #: runs inside one; a page that is never full


def _inside(store: Store, run: int) -> dict[int, list[Run]]:
    """The runs that tasks of a run are or have been, oldest first, by the numbers of these tasks."""
    found: dict[int, list[Run]] = {}
    for part in store.parts(run, ALL):
        found.setdefault(part.parent_task or 0, []).append(part)
    return found


def as_runs(store: Store, graph: Graph, tasks: Iterable[Task]) -> list[Task]:
    """Tasks of one run; those that are runs have as many attempts as there were, and began with the first of them."""
    found = list(tasks)
    if not any(task.node in graph.parts for task in found):
        return found
    inside = _inside(store, found[0].run)
    return [_as_runs(task, inside.get(task.number, [])) if task.node in graph.parts else task for task in found]


def _as_runs(task: Task, runs: list[Run]) -> Task:
    return replace(task, count=len(runs), started_at=runs[0].created_at if runs else None)


def past_runs(store: Store, graph: Graph, task: Task, past: list[AttemptRecord]) -> list[AttemptRecord]:
    """The attempts at a task that ended otherwise than well, numbered as its runs are."""
    if task.node not in graph.parts:
        return past
    ended = [run.ended_at for run in store.children(task.run, task.number) if run.ended_at is not None]
    return [replace(each, count=max(1, sum(at <= each.ended_at for at in ended))) for each in past]


def traffic(store: Store, graph: Graph, run: int) -> list[tuple[str | None, str, int, float]]:
    """What ``Store.traffic`` answers; nodes that are runs took as long as these did."""
    told = store.traffic(run)
    if not graph.parts:
        return told
    took = _seconds(store, graph, run)
    return [(who, node, n, took.pop(node, 0.0) if node in graph.parts else ran) for who, node, n, ran in told]


def _seconds(store: Store, graph: Graph, run: int) -> dict[str, float]:
    """How long the runs took that have ended, by the nodes that they are."""
    took = {
        number: sum(part.ended_at - part.created_at for part in parts if part.ended_at is not None)
        for number, parts in _inside(store, run).items()
    }
    return {
        node: sum(took.get(task.number, 0.0) for task in store.tasks(run, node=node, limit=ALL)) for node in graph.parts
    }
