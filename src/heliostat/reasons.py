"""What a whole run waits for: its open tasks by the reason why they are not over, each reason once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heliostat.run import task_id
from heliostat.task import TaskState

if TYPE_CHECKING:
    from heliostat.handle import RunHandle
    from heliostat.store import Store

LOOKED_AT = 20  #: tasks of a node in a state that are asked one by one; a run may have a million
TOLD = 5  #: tasks of a reason that are named
OTHERS = "not asked one by one; `heliostat task explain` tells of each"
_VARYING = re.compile(r'"(?:[^"\\]|\\.)*["…]|\d+(?:[.,]\d+)*')  # values as JSON, and whatever is counted


@dataclass(slots=True)
class Reason:
    """What some tasks in one state wait for: the words of the first of them, and of which nodes they are."""

    state: TaskState
    why: str
    alike: bool = False  # the words of others differ in numbers, times and values
    nodes: dict[str, int] = field(default_factory=dict)
    first: list[str] = field(default_factory=list)

    @property
    def tasks(self) -> int:
        """How many there are."""
        return sum(self.nodes.values())


def alike(words: str) -> str:
    """The same for words that differ in numbers, times and values only."""
    return _VARYING.sub("#", words)


def reasons(store: Store, run: RunHandle) -> list[Reason]:
    """The reasons of all open tasks, those of most tasks first.

    Of the tasks of one node in one state the first are asked. If they all say the same, so do the others, as far as
    anybody knows; else the others are counted under a reason of their own.
    """
    found: dict[tuple[TaskState, str], Reason] = {}
    for node, counts in sorted(store.states(run.key).items()):
        for state, count in counts.items():
            if not state.final and count:
                _ask(store, run, node, state, count, found)
    return sorted(found.values(), key=lambda reason: -reason.tasks)


def _ask(
    store: Store, run: RunHandle, node: str, state: TaskState, count: int, found: dict[tuple[TaskState, str], Reason]
) -> None:
    mine = set()
    asked = store.tasks(run.key, state, node, limit=LOOKED_AT)
    for task in asked:
        words = run.explain(task.number)
        key = (state, alike(words))
        reason = found.setdefault(key, Reason(state, words))
        reason.alike = reason.alike or words != reason.why
        reason.nodes[node] = reason.nodes.get(node, 0) + 1
        if len(reason.first) < TOLD:
            reason.first.append(task_id(run.key, task.number))
        mine.add(key)
    if (left := count - len(asked)) > 0:
        reason = found[mine.pop()] if len(mine) == 1 else found.setdefault((state, OTHERS), Reason(state, OTHERS))
        reason.nodes[node] = reason.nodes.get(node, 0) + left


def summary(store: Store, run: RunHandle, found: list[Reason]) -> str:
    """How a run stands, in a sentence."""
    info = run.info
    if not found:
        return run.explain()
    tasks = sum(reason.tasks for reason in found)
    words = f"run {run.id} of {run.graph.label} is {info.state}" + (" and paused" if info.paused else "")
    failed = sum(counts.get(TaskState.failed, 0) for counts in store.states(run.key).values())
    words += f"; {tasks:,} task{'s are' if tasks != 1 else ' is'} not over"
    return words + (f", {failed:,} failed" if failed else "")
