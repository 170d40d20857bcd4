"""What people do to reviews: claim them, give them back, decide them, withdraw them; a part of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat import codec, planner
from heliostat.errors import BadInput, Conflict, Ended, NotFound
from heliostat.review import decision, told
from heliostat.run import public_id, task_id
from heliostat.store import Answer, Claim, Decide
from heliostat.task import TaskState

if TYPE_CHECKING:
    from heliostat.review import Review
    from heliostat.store import Command
    from heliostat.stores.commit import Commit, OpenRun

WITHDRAWN = "withdrawn"


def reviewed(commit: Commit, run: OpenRun, verb: Claim | Decide, command: Command) -> Answer:
    """Carry out what somebody does to a review; its run is locked."""
    review = commit.rows.review_find(run.id, verb.number)
    if review is None:
        return _not_open(commit, run, verb, command)
    by = command.actor
    if review.claimed_by not in (None, by) and not (isinstance(verb, Claim) and not verb.on):
        raise Conflict(f"{_title(review)} is claimed by {review.claimed_by}; it must be released first")
    if isinstance(verb, Decide):
        return _decided(commit, run, review, verb, command)
    if verb.on == (review.claimed_by is not None):
        return Answer(run.id, verb.number, done=False, note="nothing to do: " + _claimed(review))
    commit.rows.review_claim(run.id, verb.number, *((by, commit.now) if verb.on else (None, None)))
    _tell(run, review, command, "claimed" if verb.on else "released")
    return Answer(run.id, verb.number)


def _claimed(review: Review) -> str:
    return "nobody has claimed it" if review.claimed_by is None else f"{review.claimed_by} has claimed it already"


def _decided(commit: Commit, run: OpenRun, review: Review, verb: Decide, command: Command) -> Answer:
    node, number, by, why = run.graph[review.node], verb.number, command.actor, command.reason
    assert node.review is not None
    if verb.choice is None:
        state, result, reason = TaskState.skipped, None, f"{WITHDRAWN} by {by}" + (f": {why}" if why else "")
    else:
        choice = node.review.chosen(verb.choice, node.name)
        state, result, reason = TaskState.succeeded, decision(choice, by, why, commit.now), None
    if not commit.rows.task_decide(run.id, number, state, result, reason, commit.now):
        raise Ended(f"{_title(review)}: its deadline has passed, and a worker decides it just now")
    commit.rows.review_close([(run.id, number)])
    run.note(state, number)
    run.open -= 1
    _tell(run, review, command, WITHDRAWN if verb.choice is None else f"decided: {verb.choice}")
    commit.apply(run, planner.after(run.graph, node, state, review.item, verb.choice), number)
    return Answer(run.id, number)


def _not_open(commit: Commit, run: OpenRun, verb: Claim | Decide, command: Command) -> Answer:
    """Say what became of it; to say the same decision twice is no mistake."""
    task = commit.rows.task_get(run.id, verb.number)
    if task is None and run.state.final:
        raise Ended(f"run {public_id(run.id)} {run.state.over}; nobody is asked any more")
    if task is None:
        raise NotFound(f"run {public_id(run.id)} has no task {verb.number} yet; a review is born by what it waits for")
    if task.node not in run.graph.reviews:
        raise BadInput(f"task {task_id(run.id, task.number)} is of {task.title}, which is no review")
    if run.state.final and not task.state.final:
        raise Ended(f"run {public_id(run.id)} {run.state.over}; nobody is asked any more")
    if not task.state.final:
        raise NotFound(f"{task.title} of run {public_id(run.id)} is {task.state}; nobody is asked yet")
    said = task.reason or ""
    made = codec.decode(task.result or "null")
    if isinstance(verb, Decide) and verb.choice is None and said.startswith(f"{WITHDRAWN} by {command.actor}"):
        return Answer(run.id, task.number, done=False, note=f"nothing to do: {said}")
    if isinstance(made, dict):
        said = told(made)
        if isinstance(verb, Decide) and (made["choice"], made["by"]) == (verb.choice, command.actor):
            return Answer(run.id, task.number, done=False, note=f"nothing to do: {said}")
    raise Ended(f"{task.title} of run {public_id(run.id)} is over: {said or task.state}")


def _tell(run: OpenRun, review: Review, command: Command, what: str) -> None:
    """Keep in the journal who has done what to a review, and why."""
    told = {"number": review.number, "did": what, "by": command.actor, "reason": command.reason}
    run.facts["reviews"] = [*run.facts.get("reviews", ()), told]  # type: ignore[misc]


def _title(review: Review) -> str:
    item = "" if review.item is None else f"[{review.item}]"
    return f"{review.node}{item} of run {public_id(review.run)}"
