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

from heliostat.batch import SEEN, Accepted, Deferred, JobState, Observation, Rejected, later, unasked
from heliostat.errors import OperatorError, said
from heliostat.files import make, put
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
    ours: bool = True  # until another worker may have it


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be done at ``now``, by directory; whether it ``looks`` at all that are there.

    Else it ``listens`` which of those jobs have told of their end; nothing but their directories is asked of these, so
    they may come and go meanwhile.
    """

    now: float
    looks: bool
    listens: Mapping[Path, Watched] = field(default_factory=dict)
    submit: dict[Path, Watched] = field(default_factory=dict)
    cancel: dict[Path, Watched] = field(default_factory=dict)
    observe: dict[Path, Watched] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.submit or self.observe or self.listens)


@dataclass(slots=True)
class Found:
    """What came of an errand to ``jobs``: replies and observations by directory.

    Of those that are ``left``, which nobody wanted any more, nothing is to be collected.
    """

    errand: Errand
    jobs: dict[Path, Watched] = field(default_factory=dict)
    replies: dict[Path, Reply] = field(default_factory=dict)
    seen: dict[Path, Observation] = field(default_factory=dict)
    left: set[Path] = field(default_factory=set)


def look(batch: Batch, errand: Errand) -> Found:
    """Go on an errand. It never raises: a system that cannot be asked is unknown, never failed."""
    found = Found(errand, errand.submit | errand.observe)
    try:
        _look(batch, errand, found)
    except Exception as error:  # noqa: BLE001 - a defect in one batch system stops neither worker nor jobs
        LOG.warning("%s on %s: %s", batch.system, batch.place, said(error) or type(error).__name__)
        reason = f"{batch.system} could not be looked at: {said(error) or type(error).__name__}"
        for place in errand.submit:
            found.replies.setdefault(place, Deferred(reason))
        for place in errand.observe:
            found.seen.setdefault(place, unasked(reason))
    return found


def _look(batch: Batch, errand: Errand, found: Found) -> None:
    if errand.submit:
        replies = batch.submit([job.request for job in errand.submit.values()])
        found.replies.update(zip(errand.submit, replies, strict=True))
    if errand.looks:
        _observe(batch, errand, found)
    elif errand.listens:
        _listen(batch, errand, found)
    for place, job in found.jobs.items():
        _leave(batch, place, job, found)
        _tell(batch, job, found.replies.get(place), found.seen.get(place), errand.now)


def _observe(batch: Batch, errand: Errand, found: Found) -> None:
    if errand.cancel:
        with suppress(OperatorError):  # it is asked again at the next look
            batch.cancel(list(errand.cancel), GRACE_SECONDS)
    there = [place for place in errand.submit if isinstance(found.replies[place], Accepted)] + list(errand.observe)
    if there:
        try:
            found.seen.update(zip(there, batch.observe(there), strict=True))
        except OperatorError as error:
            found.seen.update(dict.fromkeys(there, unasked(str(error))))


def _listen(batch: Batch, errand: Errand, found: Found) -> None:
    for place, seen in batch.told().items():
        if (job := errand.listens.get(place)) is not None:
            found.jobs[place], found.seen[place] = job, seen


def _leave(batch: Batch, place: Path, job: Watched, found: Found) -> None:
    """See to it that a job that nobody wants leaves nothing elsewhere when it is over; else it is not over yet."""
    seen = found.seen.get(place)
    stopped = job.work.stop is not None and job.ours  # in this order: what is lost is no longer ours, and then stopped
    unwanted = stopped and seen is not None and seen.state.final
    if not unwanted and not isinstance(found.replies.get(place), Rejected):
        return
    try:
        batch.collect(place, NOTHING)
        found.left.add(place)
    except (OperatorError, OSError) as error:
        if seen is not None:
            found.seen[place] = unasked(said(error))


def _tell(batch: Batch, job: Watched, reply: Reply | None, seen: Observation | None, now: float) -> None:
    """Write down for others what was seen, where it is not what was told before."""
    if isinstance(reply, Deferred | Rejected):
        told = ("", str(JobState.unknown), f"not submitted: {reply.reason}")
    elif seen is None:
        if not isinstance(reply, Accepted) or not job.told:
            return  # the first look says it better
        told = (reply.handle, str(JobState.submitted), "")
    else:
        merged = later(job.seen, seen)
        handle = reply.handle if isinstance(reply, Accepted) else job.handle or ""
        reason = seen.reason if seen.state is JobState.unknown else merged.reason
        told = (handle, str(merged.state), reason or "")
    by_itself = seen is not None and seen.exit_code is not None and not seen.reason
    if told == job.told or (by_itself and told[:1] == job.told[:1]):  # the file with its exit code says so
        return
    handle, state, reason = told
    line = {"system": batch.system, "place": batch.place, "handle": handle, "state": state, "reason": reason, "at": now}
    with suppress(OSError):  # its directory is gone or full: the job is seen to its end all the same
        (put if job.told else make)(f"{job.directory}/{SEEN}", json.dumps(line))
        job.told = told
