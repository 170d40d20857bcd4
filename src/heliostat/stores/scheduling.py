"""What ticks lead to: one starts a run and its schedule goes on, another is a handler's; a part of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat import planner
from heliostat.errors import Conflict, NotFound, nearest
from heliostat.queue import Hold
from heliostat.store import Answer, FireTicks, Follow, SetSchedule
from heliostat.trigger import moved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliostat.planner import Change
    from heliostat.store import Command
    from heliostat.stores.commit import Commit, OpenRun
    from heliostat.task import Attempt, Task, TaskState

TRIES = 100  #: ticks whose keys somebody else may have used


def scheduled(commit: Commit, verb: FireTicks | Follow | SetSchedule, command: Command) -> Answer:
    """Carry out what concerns a schedule."""
    match verb:
        case FireTicks():
            return _fire(commit, verb)
        case Follow():
            return _follow(commit, verb)
        case SetSchedule():
            return _set(commit, verb, command)


def _fire(commit: Commit, fire: FireTicks) -> Answer:
    """Have the schedule go on from where it was read, and with it start the runs; else somebody else has done so."""
    if not commit.rows.schedule_fire(fire.schedule, fire.next_at, fire.last_at):
        return Answer(done=False, note="nothing to do: the schedule has gone on, or is paused")
    new = 0
    for start in fire.starts:
        try:
            new += commit.launch(start)[1]
        except Conflict as error:
            if error.__class__ is not Conflict:  # its id is taken: the caller draws another
                raise
    return Answer(done=bool(new), note="" if new else "these ticks have come before")


def _follow(commit: Commit, follow: Follow) -> Answer:
    graph, schedule = follow.graph, follow.schedule
    if graph.trigger is None:
        done = commit.rows.schedule_drop(schedule)
    else:
        done = commit.rows.schedule_follow(schedule, graph.id, moved(graph.trigger, schedule, commit.now))
    if done:
        commit.told({"workflow": graph.name, "follows": graph.label})
    return Answer(done=done)


def _set(commit: Commit, change: SetSchedule, command: Command) -> Answer:
    found = {schedule.workflow: schedule for schedule in commit.rows.schedule_lock([change.workflow])}
    schedule = found.get(change.workflow)
    if schedule is None:
        known = [schedule.workflow for schedule in commit.rows.schedule_list()]
        raise NotFound(f"workflow {change.workflow!r} has no schedule{nearest(change.workflow, known)}")
    if schedule.paused == change.paused:
        return Answer(done=False, note=f"the workflow was {'paused' if change.paused else 'not paused'} already")
    next_at = schedule.next_at
    if not change.paused:  # what was not wanted while it was paused is not caught up; and the clock may have been set
        trigger = commit.known.graph(commit.rows, schedule.graph).trigger
        assert trigger is not None
        next_at = trigger.after(commit.now)
    commit.rows.schedule_pause(change.workflow, next_at, paused=change.paused)
    hold = Hold("workflow", change.workflow, commit.now, command.actor, command.reason)
    commit.rows.hold_set(hold, on=change.paused)
    commit.told({"workflow": change.workflow, "paused": change.paused, "reason": command.reason})
    return Answer()


def poll_again(commit: Commit, run: OpenRun, task: Attempt | Task, state: TaskState, changes: Sequence[Change]) -> None:
    """A polled handler has settled a tick: the next one waits for its time, unless the run is over.

    The next is after the one that was settled, whatever a clock says; those that were missed meanwhile are none.
    """
    if not planner.goes_on(task.message, state, changes):
        return
    node, time = run.graph[task.node], max(commit.now, task.due_at or 0.0)
    for _ in range(TRIES):
        tick = planner.tick(run.graph, node, time)
        try:
            commit.create(run, tick, task.number)
        except Conflict:  # somebody has used its key for a message of another kind
            time = tick.due_at or time
        else:
            return
