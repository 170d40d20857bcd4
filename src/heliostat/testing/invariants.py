"""What must hold of a run's rows whatever happens: at every commit, and when all is over.

They look at the tables themselves, with questions of their own, so that a mistake of the engine's cannot hide.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from heliostat.run import RUN_MOVES, RunState
from heliostat.task import TASK_MOVES, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heliostat.stores.memory import Tables


def possible(tables: Tables, moves: Iterable[tuple[str, Any, Any]]) -> None:
    """Raise AssertionError if a commit moved a state backwards or left rows that contradict one another."""
    for what, before, after in moves:
        table: Any = TASK_MOVES if isinstance(before, TaskState) else RUN_MOVES
        assert after in table[before], f"{what} went from {before} to {after}"
    for run in tables.runs.values():
        tasks = tables.tasks[run.id].values()
        holders = Counter(task.key for task in tasks if task.holds)
        assert all(count == 1 for count in holders.values()), f"a serial key is held twice: {holders}"
        stays = tables.graphs[run.graph].stays_open and not run.closing
        expected = sum(not task.state.final for task in tasks) + int(stays and run.state is RunState.active)
        counted = run.open == expected or (run.state.final and run.open > expected)  # until the sweep has looked
        assert counted, f"run {run.public} counts {run.open} open tasks, and there are {expected}"
        for task in tasks:
            assert task.missing >= 0, f"{task.node} {task.number} misses {task.missing}"
    running = Counter(tables.lanes[lane].queue for lane, rows in tables.running.items() for _ in rows)
    for queue in tables.queues.values():
        assert queue.limit is None or running[queue.name] <= queue.limit, f"queue {queue.name} is above its limit"
    for lane in tables.lanes.values():
        assert lane.limit is None or len(tables.running[lane.id]) <= lane.limit, f"node {lane.node} is above its limit"


def at_rest(tables: Tables) -> None:
    """Raise AssertionError if runs that are over have left anything behind."""
    for run in tables.runs.values():
        assert run.state.final, f"run {run.public} is {run.state}"
        assert run.open == 0, f"run {run.public} counts {run.open} open tasks after its end"
        for task in tables.tasks[run.id].values():
            where = f"{task.node} {task.number} of run {run.public}"
            assert task.state.final, f"{where} is {task.state}"
            assert not task.holds, f"{where} holds its serial key"
            assert task.ended_at is not None, f"{where} has no end"
    assert not any(tables.running.values()), "a slot is taken for good"
    assert not any(tables.ready.values()), "something is still ready"
