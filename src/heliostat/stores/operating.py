"""What operators do to tasks: try again, cancel, say how one came out, have it come sooner; a part of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat import codec, planner
from heliostat.errors import BadInput, Ended, NotFound
from heliostat.run import public_id
from heliostat.store import Answer, Cancel, Resolve, SetTask, TryAgain
from heliostat.stores.reopening import go_on, title
from heliostat.stores.scheduling import poll_again
from heliostat.task import CANCELLED_BY, TaskState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliostat.planner import Change
    from heliostat.store import Command
    from heliostat.stores.commit import Commit, OpenRun
    from heliostat.task import Task

OPEN = (TaskState.ready, TaskState.waiting)  #: in which it can be said how a task came out


def operated(commit: Commit, run: OpenRun, verb: TryAgain | Resolve | Cancel | SetTask, command: Command) -> Answer:
    """Carry out what an operator asks for; the run is locked."""
    if verb.number is None:
        return _after_deadline(commit, run, verb.deadline_at, command)
    task = commit.rows.task_get(run.id, verb.number)
    if task is None:
        raise NotFound(f"run {public_id(run.id)} has no task {verb.number}")
    said: Answer | None = None
    if isinstance(verb, TryAgain):
        go_on(commit, run, task)
        commit.rows.run_dated(run.id, verb.deadline_at)
        what = "tried again"
    elif isinstance(verb, Resolve):
        _resolve(commit, run, task, verb.state, verb.result, command)
        what = "skipped" if verb.state is TaskState.skipped else "said to have succeeded"
    elif isinstance(verb, Cancel):
        if not (said := _cancel(commit, run, task, command)).done:
            return said
        what = "cancelled"
    elif commit.rows.task_set(run.id, task.number, verb.priority):
        what = f"priority {verb.priority}"
    else:
        raise Ended(f"{title(task)} is {task.state}; its priority changes nothing any more")
    told = {"number": task.number, "did": what, "by": command.actor, "reason": command.reason}
    run.facts["tasks"] = [*run.facts.get("tasks", ()), told]  # type: ignore[misc]
    return Answer(run.id, task.number, note="" if said is None else said.note)


def _cancel(commit: Commit, run: OpenRun, task: Task, command: Command) -> Answer:
    graph, node, number = run.graph, run.graph[task.node], task.number
    if node.name in graph.reviews:
        raise BadInput(f"{title(task)} is a review: it can be decided, or withdrawn")
    if run.state.final and node.epilogue is None and not task.state.final:
        raise Ended(f"{title(task)} is {task.state}; its run {run.state.over}, and what is left of it ends with it")
    reason = f"{CANCELLED_BY} {command.actor}" + _because(command)
    if task.state in OPEN and commit.rows.task_decide(run.id, number, TaskState.failed, None, reason, commit.now):
        run.open -= 1
        _settled(commit, run, task, TaskState.failed, planner.failed(graph, node, task.item, reason))
        return Answer(run.id, number)
    if commit.rows.task_call_off(run.id, number, reason):
        return Answer(run.id, number, note="it runs, and is asked to stop")
    if task.state is TaskState.running and task.unmet:
        return Answer(run.id, number, done=False, note=f"nothing to do: {task.reason}, and is to stop")
    inside = "; it is a run, which can be cancelled" if node.name in graph.parts and not task.state.final else ""
    raise Ended(f"{title(task)} is {task.state}; only what is ready, waits or runs can be cancelled{inside}")


def _after_deadline(commit: Commit, run: OpenRun, deadline_at: float | None, command: Command) -> Answer:
    """A run that failed for its deadline goes on with what was left, and with another deadline or none."""
    go_on(commit, run, None)
    commit.rows.run_dated(run.id, deadline_at)
    run.facts |= {"by": command.actor, "reason": command.reason}
    return Answer(run.id)


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
    choice, width = value if isinstance(value, str) else None, len(value) if isinstance(value, list) else None
    _settled(commit, run, task, state, planner.after(graph, node, state, task.item, choice, width))


def _settled(commit: Commit, run: OpenRun, task: Task, state: TaskState, changes: Sequence[Change]) -> None:
    """A task has come out so without an attempt, and this follows from it."""
    run.note(state, task.number)
    if task.key is not None:
        commit.turns[run.id, task.key] = None
    commit.apply(run, changes, task.number)
    if task.node in run.graph.polled:
        poll_again(commit, run, task, state, changes)
    if task.join is not None and not planner.keeps_place(state, changes):
        commit.joined(run.id, task.join)


def _because(command: Command) -> str:
    return f": {command.reason}" if command.reason else ""
