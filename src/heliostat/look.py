"""One look at a batch system: submit what is prepared, cancel what is not wanted, see how the jobs stand.

A look may take as long as the system takes to answer, so it is made beside the worker's cycle, which only hands over
an errand and takes what was found. It changes nothing but the files of the jobs.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heliostat.batch import SEEN, Accepted, Deferred, JobState, Observation, Rejected, later, put
from heliostat.errors import OperatorError, said

if TYPE_CHECKING:
    from pathlib import Path

    from heliostat.batch import Batch, JobRequest, Reply
    from heliostat.executor import Work

LOG = logging.getLogger("heliostat.worker")

GRACE_SECONDS = 5.0  #: between asking a job to end and killing it
NOT_THERE = Observation(JobState.unknown)  #: what is known of a job that no batch system was asked for yet


@dataclass(slots=True)
class Watched:
    """A job that a worker watches; changed by its cycle, and ``told`` by the look that is under way.

    ``handle`` is None until the batch system has it. ``told`` is what stands in its ``job.seen``.
    """

    work: Work
    directory: Path
    request: JobRequest
    begun_at: float
    handle: str | None = None
    seen: Observation = NOT_THERE
    stopping_at: float | None = None  # since when nobody wants it any more
    retry_at: float = 0.0
    pause: float = 0.0
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Errand:
    """What a look is to do at ``now``, by task."""

    now: float
    submit: dict[tuple[int, int], Watched]
    cancel: dict[tuple[int, int], Watched]
    observe: dict[tuple[int, int], Watched]

    def __bool__(self) -> bool:
        return bool(self.submit or self.cancel or self.observe)


@dataclass(slots=True)
class Found:
    """What came of a look: replies and observations by task, and whether the system has answered."""

    replies: dict[tuple[int, int], Reply] = field(default_factory=dict)
    seen: dict[tuple[int, int], Observation] = field(default_factory=dict)
    reached: bool = True


def look(batch: Batch, errand: Errand) -> Found:
    """Go on an errand. It never raises: a system that cannot be asked is unknown, never failed."""
    found = Found()
    try:
        _look(batch, errand, found)
    except Exception as error:  # noqa: BLE001 - a defect in one batch system stops neither worker nor jobs
        LOG.warning("%s on %s: %s", batch.system, batch.place, said(error) or type(error).__name__)
        reason = f"{batch.system} could not be looked at: {said(error) or type(error).__name__}"
        found.reached = False
        for task in errand.submit:
            found.replies.setdefault(task, Deferred(reason))
        for task in errand.observe:
            found.seen.setdefault(task, Observation(JobState.unknown, reason=reason))
    return found


def _look(batch: Batch, errand: Errand, found: Found) -> None:
    if errand.submit:
        replies = batch.submit([job.request for job in errand.submit.values()])
        found.replies.update(zip(errand.submit, replies, strict=True))
    if errand.cancel:
        with suppress(OperatorError):  # it is asked again at the next look
            batch.cancel([job.directory for job in errand.cancel.values()], GRACE_SECONDS)
    there = {task: job for task, job in errand.submit.items() if isinstance(found.replies[task], Accepted)}
    there |= errand.observe
    if there:
        try:
            found.seen.update(zip(there, batch.observe([job.directory for job in there.values()]), strict=True))
        except OperatorError as error:
            found.reached = False
            found.seen.update(dict.fromkeys(there, Observation(JobState.unknown, reason=str(error))))
    for task, job in (errand.submit | errand.observe).items():
        reply, seen = found.replies.get(task), found.seen.get(task)
        _tell(batch, job, reply, seen, errand.now)


def _tell(batch: Batch, job: Watched, reply: Reply | None, seen: Observation | None, now: float) -> None:
    """Write down for others what was seen, where it is not what was told before."""
    if isinstance(reply, Deferred | Rejected):
        told = ("", str(JobState.unknown), f"not submitted: {reply.reason}")
    else:
        handle = reply.handle if isinstance(reply, Accepted) else job.handle or ""
        merged = later(job.seen, seen or NOT_THERE)
        reason = seen.reason if seen is not None and seen.state is JobState.unknown else merged.reason
        told = (handle, str(merged.state), reason or "")
    if told == job.told:
        return
    job.told = told
    handle, state, reason = told
    line = {"system": batch.system, "place": batch.place, "handle": handle, "state": state, "reason": reason, "at": now}
    with suppress(OSError):  # its directory is gone or full: the job is seen to its end all the same
        put(job.directory / SEEN, json.dumps(line))
