"""On what terms queues run: as operators set it, and as it is configured; a part of the ledger."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from heliostat import codec
from heliostat.errors import BadInput, NotFound, nearest
from heliostat.graph import NAME
from heliostat.queue import MOST, Hold, Queue, pace
from heliostat.store import KEEP, KEEP_RATE, Answer, SetQueue

if TYPE_CHECKING:
    from heliostat.queue import Terms
    from heliostat.store import Command
    from heliostat.stores.commit import Commit


def set_queue(commit: Commit, change: SetQueue, command: Command) -> Answer:
    """What an operator sets, which holds until an operator says otherwise."""
    queue = commit.rows.queue_get(change.name)
    if queue is None:
        known = sorted({queue.name for _, queue in commit.rows.lane_list()})
        raise NotFound(f"there is no queue {change.name!r}{nearest(change.name, known)}")
    terms: dict[str, int | str | None] = {}
    if change.limit != KEEP:
        terms["limit"] = limited(change.limit, "queue", queue.name)
    if change.rate != KEEP_RATE:
        terms["rate"] = change.rate
        if change.rate is not None:
            pace(change.rate, f"queue {queue.name}: rate")
    queue = (queue.as_configured() if change.as_configured else queue).set_by_hand(**terms)
    if change.paused is not None:
        queue = replace(queue, paused=change.paused)
        hold = Hold("queue", queue.name, commit.now, command.actor, command.reason)
        commit.rows.hold_set(hold, on=change.paused)
    _write(commit, queue, command.reason)
    return Answer()


def configure(commit: Commit, name: str, terms: Terms) -> Answer:
    """What is configured, as far as no operator has said otherwise; the answer notes where one has."""
    if not NAME.fullmatch(name):
        raise BadInput(f"{name!r} is no name for a queue; use letters, digits, _ . -")
    limited(terms.limit, "queue", name)
    if terms.rate is not None:
        pace(terms.rate, f"queue {name}: rate")
    known = commit.rows.queue_have(name)
    queue = known.follow(terms)
    if queue == known:
        done = False
    elif (done := (queue.limit, queue.rate) != (known.limit, known.rate)) is True:
        _write(commit, queue, "as configured")
    else:
        commit.rows.queue_set(queue)
    kept = [term for term in terms._fields if getattr(queue, term) != getattr(terms, term)]
    words = (f"{term} {getattr(queue, term) or 'none'} was set by hand and stays" for term in kept)
    return Answer(done=done, note=f"queue {name}: {', '.join(words)}" if kept else "")


def _write(commit: Commit, queue: Queue, reason: str) -> None:
    commit.rows.queue_set(queue)
    terms = {"limit": queue.limit, "rate": queue.rate, "paused": queue.paused}
    commit.told({"queue": queue.name, **terms, "reason": reason})


def limited(limit: object, what: str, name: str) -> int | None:
    """A limit that an operator sets; raises BadInput."""
    if isinstance(limit, int) and limit < 1:
        raise BadInput(f"{what} {name}: the limit must be at least 1; pause the {what} to stop it")
    return None if limit is None else codec.whole(limit, f"{what} {name}: limit", 1, MOST)
