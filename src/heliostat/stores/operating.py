"""What operators do to tasks: try again, say how one came out, have it come sooner; a part of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat import codec, planner
from heliostat.errors import BadInput, Ended, NotFound
from heliostat.run import public_id
from heliostat.store import Answer, Resolve, SetTask, TryAgain
from heliostat.stores.reopening import go_on, title
from heliostat.stores.scheduling import poll_again
from heliostat.task import TaskState

if TYPE_CHECKING:
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
        go_on(commit, run, task)
        what = "tried again"
    elif isinstance(verb, Resolve):
        _resolve(commit, run, task, verb.state, verb.result, command)
        what = "skipped" if verb.state is TaskState.skipped else "said to have succeeded"
    elif commit.rows.task_set(run.id, task.number, verb.priority):
        what = f"priority {verb.priority}"
    else:
        raise Ended(f"{title(task)} is {task.state}; its priority changes nothing any more")
    told = {"number": task.number, "did": what, "by": command.actor, "reason": command.reason}
    run.facts["tasks"] = [*run.facts.get("tasks", ()), told]  # type: ignore[misc]
    return Answer(run.id, task.number)


def _resolve(commit: Commit, run: OpenRun, task: Task, state: TaskState, result: str | None, command: Command) -> None:
    graph, node, number = run.graph, run.graph[task.node], task.number
    if node.name in graph.reviews:
        raise BadInput(f"{title(task)} is a review: it can be decided, or withdrawn")
    if (failed := task.state is TaskState.failed) or not run.takes:
        go_on(commit, run, task, but=(run.id, number))
    elif task.state not in OPEN:
        raise Ended(f"{title(task)} is {task.state}; only what is ready, waits or has failed can be said to be over")
    value = None if result is None else codec.decode(result)
    if state is TaskState.succeeded and node.name in graph.listed and not isinstance(value, list):
        raise BadInput(f"{title(task)}: {graph.listed[node.name]} goes over its list, so its result must be one")
    reason = None if state is TaskState.succeeded else f"skipped by {command.actor}" + _because(command)
    if not commit.rows.task_decide(run.id, number, state, result, reason, commit.now):
        raise Ended(f"{title(task)} has just begun")
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
