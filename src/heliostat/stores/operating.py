"""What operators do to tasks: try again, say how one came out, have it come sooner; a part of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat import codec, planner
from heliostat.errors import BadInput, Conflict, Ended, NotFound
from heliostat.run import RunState, public_id, task_id
from heliostat.store import Answer, Resolve, SetTask, TryAgain
from heliostat.stores.scheduling import poll_again
from heliostat.task import TaskState

if TYPE_CHECKING:
    from heliostat.graph import Node
    from heliostat.store import Command
    from heliostat.stores.commit import Commit, OpenRun
    from heliostat.task import Task

OPEN = (TaskState.ready, TaskState.waiting)  #: in which it can be said how a task came out


def operated(commit: Commit, run: OpenRun, verb: TryAgain | Resolve | SetTask, command: Command) -> Answer:
    """Carry out what an operator asks for; the run is locked."""
    task = commit.rows.task_get(run.id, verb.number)
    if task is None:
        raise NotFound(f"run {public_id(run.id)} has no task {verb.number}")
    if isinstance(verb, TryAgain):
        _go_on(commit, run, task)
        what = "tried again"
    elif isinstance(verb, Resolve):
        _resolve(commit, run, task, verb.state, verb.result, command)
        what = "skipped" if verb.state is TaskState.skipped else "said to have succeeded"
    elif commit.rows.task_set(run.id, task.number, verb.priority):
        what = f"priority {verb.priority}"
    else:
        raise Ended(f"{_title(task)} is {task.state}; its priority changes nothing any more")
    told = {"number": task.number, "did": what, "by": command.actor, "reason": command.reason}
    run.facts["tasks"] = [*run.facts.get("tasks", ()), told]  # type: ignore[misc]
    return Answer(run.id, task.number)


def _go_on(commit: Commit, run: OpenRun, task: Task, *, but: int = 0) -> None:
    """Have a run that failed go on: what made it fail is tried again, but for one task, and its end is undone."""
    node = run.graph[task.node]
    if task.state is not TaskState.failed or task.number not in (stopped := _stopped(commit, run)):
        raise Ended(f"{_title(task)} is {task.state}: {_why_not(run, task, node)}")
    if run.state is not RunState.failed:
        raise Ended(f"run {public_id(run.id)} is failing; it can be tried again when what still runs has ended")
    if run.row.parent is not None:
        parent = public_id(run.row.parent)
        raise Conflict(f"run {public_id(run.id)} has told its end to run {parent}; what comes now would not be heard")
    rows = commit.rows
    run.state, run.result, run.reason, run.ended_at, run.closing = RunState.active, None, None, None, False
    rows.run_undated(run.id)  # it may have failed for it, and would again at once
    rows.task_revive(run.id)
    if run.graph.reviews:
        rows.task_reask(run.id, run.graph.reviews)
    rows.task_again([(run.id, number) for number in stopped if number != but])
    run.open = rows.task_open(run.id) + int(run.graph.stays_open)
    commit.turns |= dict.fromkeys((run.id, key) for key in rows.task_keys(run.id))
    for number in rows.task_heard(run.id):
        commit.joined(run.id, number)
    run.facts["reopened"] = True


def _stopped(commit: Commit, run: OpenRun) -> set[int]:
    """The tasks that made a run fail: no edge catches their failure, and nobody said that it may be."""
    graph = run.graph
    failed = commit.rows.task_failures(run.id)
    return {number for number, name in failed if not (graph[name].may_fail or graph.caught(name))}


def _why_not(run: OpenRun, task: Task, node: Node) -> str:
    if task.state is not TaskState.failed:
        return "only what has failed can be tried again"
    if task.number and node.epilogue:
        return "it ran after the run's end"
    return f"the run went on without it and {run.state.over if run.state.final else 'is active'}"


def _resolve(commit: Commit, run: OpenRun, task: Task, state: TaskState, result: str | None, command: Command) -> None:
    graph, node, number = run.graph, run.graph[task.node], task.number
    if node.name in graph.reviews:
        raise BadInput(f"{_title(task)} is a review: it can be decided, or withdrawn")
    if (failed := task.state is TaskState.failed) or not run.takes:
        _go_on(commit, run, task, but=number)
    elif task.state not in OPEN:
        raise Ended(f"{_title(task)} is {task.state}; only what is ready, waits or has failed can be said to be over")
    value = None if result is None else codec.decode(result)
    if state is TaskState.succeeded and node.name in graph.listed and not isinstance(value, list):
        raise BadInput(f"{_title(task)}: {graph.listed[node.name]} goes over its list, so its result must be one")
    reason = None if state is TaskState.succeeded else f"skipped by {command.actor}" + _because(command)
    if not commit.rows.task_decide(run.id, number, state, result, reason, commit.now):
        raise Ended(f"{_title(task)} has just begun")
    run.open -= not failed
    run.note(state, number)
    if task.key is not None:
        commit.turns[run.id, task.key] = None
    choice, width = value if isinstance(value, str) else None, len(value) if isinstance(value, list) else None
    changes = planner.after(graph, node, state, task.item, choice, width)
    commit.apply(run, changes, number)
    if node.name in graph.polled:
        poll_again(commit, run, task, state, changes)
    if task.join is not None:
        commit.joined(run.id, task.join)


def _because(command: Command) -> str:
    return f": {command.reason}" if command.reason else ""


def _title(task: Task) -> str:
    return f"{task.title} ({task_id(task.run, task.number)})"
