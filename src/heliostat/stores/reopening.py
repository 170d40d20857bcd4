"""A run that has failed goes on: with what is part of it, and with what it is part of; a part of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat.effects import End
from heliostat.errors import Conflict, Ended
from heliostat.queue import Hold
from heliostat.run import OVERDUE, RunState, key_before, public_id, task_id
from heliostat.stores.commit import ENDED_WITH, MANY
from heliostat.task import TaskState

if TYPE_CHECKING:
    from heliostat.graph import Node
    from heliostat.store import Reference
    from heliostat.stores.commit import Commit, OpenRun
    from heliostat.task import Task

NOBODY = (0, 0)


def go_on(commit: Commit, run: OpenRun, task: Task | None, *, but: Reference = NOBODY) -> None:
    """Have a run that failed go on: what made it fail is tried again, but for one task, and its end is undone.

    Without a ``task`` it failed for its deadline. A run that is part of another one goes on with that, if it was that
    one's failure too.
    """
    if task is None:
        if run.state is not RunState.failed or run.reason != OVERDUE:
            raise Ended(f"run {public_id(run.id)} has not failed for a deadline; it {run.state.over}")
    elif task.state is not TaskState.failed or task.number not in _stopped(commit, run):
        raise Ended(f"{title(task)} is {task.state}: {_why_not(run, task, run.graph[task.node])}")
    if run.state is not RunState.failed:
        raise Ended(f"run {public_id(run.id)} is failing; it can be tried again when what still runs has ended")
    if run.row.parent is None or run.row.parent_task is None:
        _see_replaced(commit, run)
        _reopen(commit, run, but)
        return
    whole = commit.reached([run.row.parent])
    place = commit.rows.task_get(run.row.parent, run.row.parent_task)
    if not whole or place is None or run.id not in _newest(commit, whole[0], place):
        parent = public_id(run.row.parent)
        raise Conflict(f"run {public_id(run.id)} has told its end to run {parent}; what comes now would not be heard")
    go_on(commit, whole[0], place, but=but)


def _see_replaced(commit: Commit, run: OpenRun) -> None:
    """In whose place another one has come, that does not go on beside it."""
    key = key_before(commit.rows.run_key(run.id))
    other = None if key is None else commit.rows.run_by_key(run.graph.name, key)
    if other is not None:
        told = f"run {public_id(other[0])}, which has the key {key!r} now"
        raise Conflict(f"run {public_id(run.id)} was replaced by {told}; that one can be tried again, or replaced")


def _newest(commit: Commit, run: OpenRun, task: Task) -> list[int]:
    """The run that a task is, if it is one."""
    if task.node not in run.graph.parts:
        return []
    return [part for number, _, part in commit.rows.task_parts(run.id, task.node) if number == task.number]


def _reopen(commit: Commit, run: OpenRun, but: Reference) -> bool:
    """Undo a run's end; answers whether there is anything with which it goes on."""
    rows, stopped = commit.rows, _stopped(commit, run)
    if but[0] == run.id:
        stopped.pop(but[1], None)
    rows.run_dated(run.id, None)  # it may have failed for it, and would again at once
    rows.task_cancel(run.id, "the run was over", commit.now, MANY)  # what its end and the sweep had left
    rows.task_revive(run.id, commit.now)
    if run.graph.reviews:
        rows.task_reask(run.id, run.graph.reviews)
    before, completed = run.state, run.result
    run.state, run.result, run.reason, run.ended_at, run.closing = RunState.active, None, None, None, False
    parts = _reopen_parts(commit, run, stopped, but)
    rows.task_again([_again(commit, run, number, name) for number, name in stopped.items() if number not in parts])
    run.open = rows.task_open(run.id) + int(run.graph.stays_open)
    by_itself = before is RunState.cancelled and not (run.row.reason or "").startswith(ENDED_WITH)
    if by_itself and not run.open:
        run.state, run.result, run.reason, run.ended_at = before, run.row.result, run.row.reason, run.row.ended_at
        return False
    commit.turns |= dict.fromkeys((run.id, key) for key in rows.task_keys(run.id))
    for number, name, missing in rows.task_heard(run.id):
        if number not in parts and missing > commit.gate(run, run.graph[name])[0]:  # nobody has told it
            commit.joined(run.id, number)
    if completed is not None:  # by what it let finish as it failed
        commit.apply(run, [End(RunState.succeeded, completed)])
    run.facts["reopened"] = True
    return True


def _again(commit: Commit, run: OpenRun, number: int, name: str) -> tuple[int, int, int, int]:
    """A task that is tried again, with what it misses and what is unmet: one may have been called off at its gate."""
    shut, unmet = commit.gate(run, run.graph[name])
    if unmet:  # it would have been skipped, and is now
        commit.joined(run.id, number)
    return run.id, number, shut + unmet, unmet


def _reopen_parts(commit: Commit, run: OpenRun, stopped: dict[int, str], but: Reference) -> set[int]:
    """Have what is part of a run go on, too, as far as it has not succeeded; answers the tasks that wait for it."""
    waiting: set[int] = set()
    for node in run.graph.parts:
        found = [
            row for row in commit.rows.task_parts(run.id, node) if row[1] is TaskState.pending or row[0] in stopped
        ]
        parts = {part.id: part for part in commit.reached([row[2] for row in found])}
        for number, state, key in found:
            part = parts.get(key)
            if part is None or part.state is RunState.succeeded:
                continue  # a pending task hears of it now, and one that has failed is tried again
            if part.state.final and not _reopen(commit, part, but):
                continue
            if part.paused:  # the end of the whole, which lifts that, had not come to it yet
                commit.hold(part, Hold("run", "", commit.now, commit.actor), on=False)
            waiting.add(number)
            if state is TaskState.failed:
                commit.rows.task_await([(run.id, number)])
    return waiting


def _stopped(commit: Commit, run: OpenRun) -> dict[int, str]:
    """What made a run fail, by number: no edge catches the failure of the node, and nobody said that it may fail."""
    graph = run.graph
    failed = commit.rows.task_failures(run.id)
    return {number: name for number, name in failed if not (graph[name].may_fail or graph.caught(name))}


def _why_not(run: OpenRun, task: Task, node: Node) -> str:
    if task.state is not TaskState.failed:
        return "only what has failed can be tried again"
    if task.number and node.epilogue:
        return "it ran after the run's end"
    return f"the run went on without it and {run.state.over if run.state.final else 'is active'}"


def title(task: Task) -> str:
    """A task as a sentence names it."""
    return f"{task.title} ({task_id(task.run, task.number)})"
