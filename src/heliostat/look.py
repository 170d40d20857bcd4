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

from heliostat.batch import SEEN, Accepted, Deferred, JobState, Observation, Rejected, later
from heliostat.errors import OperatorError, said
from heliostat.files import put
from heliostat.job import JobSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from heliostat.batch import Batch, JobRequest, Reply
    from heliostat.executor import Work

LOG = logging.getLogger("heliostat.worker")

GRACE_SECONDS = 5.0  #: between asking a job to end and killing it
NOTHING = JobSpec(":")  #: wanted of a job that nobody wants any more, but for what it said
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
    """What is to be done at ``now``, by task; whether it ``looks`` at all that are there.

    Else it ``listens`` which of those at these directories have told of their end.
    """

    now: float
    looks: bool
    listens: Mapping[Path, Watched] = field(default_factory=dict)
    submit: dict[tuple[int, int], Watched] = field(default_factory=dict)
    cancel: dict[tuple[int, int], Watched] = field(default_factory=dict)
    observe: dict[tuple[int, int], Watched] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.submit or self.observe or self.listens)


@dataclass(slots=True)
class Found:
    """What came of an errand to ``jobs``: replies and observations by task.

    ``looked`` is whether it was looked at all that are there, ``reached`` whether the system has answered.
    """

    jobs: dict[tuple[int, int], Watched] = field(default_factory=dict)
    looked: bool = True
    replies: dict[tuple[int, int], Reply] = field(default_factory=dict)
    seen: dict[tuple[int, int], Observation] = field(default_factory=dict)
    reached: bool = True


def look(batch: Batch, errand: Errand) -> Found:
    """Go on an errand. It never raises: a system that cannot be asked is unknown, never failed."""
    found = Found(errand.submit | errand.observe, errand.looks)
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
    accepted = [task for task in errand.submit if isinstance(found.replies[task], Accepted)]
    if errand.looks:
        _observe(batch, errand, accepted, found)
    else:
        _listen(batch, errand, found)
    unwanted = errand.cancel | {t: job for t, job in errand.submit.items() if isinstance(found.replies[t], Rejected)}
    for task, job in unwanted.items():
        _leave(batch, task, job, found)
    for task, job in found.jobs.items():
        reply, seen = found.replies.get(task), found.seen.get(task)
        _tell(batch, job, reply, seen, errand.now)


def _observe(batch: Batch, errand: Errand, accepted: list[tuple[int, int]], found: Found) -> None:
    if errand.cancel:
        with suppress(OperatorError):  # it is asked again at the next look
            batch.cancel([job.directory for job in errand.cancel.values()], GRACE_SECONDS)
    there = {task: errand.submit[task] for task in accepted} | errand.observe
    if there:
        try:
            found.seen.update(zip(there, batch.observe([job.directory for job in there.values()]), strict=True))
        except OperatorError as error:
            found.reached = False
            found.seen.update(dict.fromkeys(there, Observation(JobState.unknown, reason=str(error))))


def _listen(batch: Batch, errand: Errand, found: Found) -> None:
    for directory, seen in (batch.ended() or {}).items():
        if (job := errand.listens.get(directory)) is not None:
            found.jobs[job.work.task], found.seen[job.work.task] = job, seen


def _leave(batch: Batch, task: tuple[int, int], job: Watched, found: Found) -> None:
    """See to it that an ended job whose outputs nobody wants leaves nothing elsewhere; else it has not ended yet."""
    if task in found.seen and not found.seen[task].state.final:
        return
    try:
        batch.collect(job.directory, NOTHING)
    except OperatorError as error:
        found.reached = False
        if task in found.seen:
            found.seen[task] = Observation(JobState.unknown, reason=str(error))


def _tell(batch: Batch, job: Watched, reply: Reply | None, seen: Observation | None, now: float) -> None:
    """Write down for others what was seen, where it is not what was told before."""
    if isinstance(reply, Deferred | Rejected):
        told = ("", str(JobState.unknown), f"not submitted: {reply.reason}")
    elif seen is None:
        return
    else:
        merged = later(job.seen, seen)
        handle = reply.handle if isinstance(reply, Accepted) else job.handle or ""
        reason = seen.reason if seen.state is JobState.unknown else merged.reason
        told = (handle, str(merged.state), reason or "")
    if told == job.told:
        return
    job.told = told
    handle, state, reason = told
    line = {"system": batch.system, "place": batch.place, "handle": handle, "state": state, "reason": reason, "at": now}
    with suppress(OSError):  # its directory is gone or full: the job is seen to its end all the same
        put(job.directory / SEEN, json.dumps(line))
