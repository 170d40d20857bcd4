"""Jobs from their submission to their end: what a worker asks of each batch system, when, and what comes of it."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from heliostat.batch import Accepted, Deferred, JobState, Rejected, later
from heliostat.executor import Submitted
from heliostat.look import GRACE_SECONDS, Errand, Found, Watched, look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from heliostat.batch import Batch, Observation, Systems
    from heliostat.executor import Work

LOG = logging.getLogger("heliostat.worker")

MOST_GATHERING = 10  #: times its gathering a batch system waits for more requests, while they keep coming
AT_ONCE = 20  #: jobs that are submitted one by one before those that are there are looked at again
LOOKED_AT = 1_000  #: jobs that are looked at in a second, at most: the more there are, the more rarely at each
LISTENING = 100  #: the same where jobs tell of their end, and looks are for those that cannot any more
TOLD = 4_000  #: by how many jobs it grows by a second how long it takes to hear of them, so that some come together
SELDOM_SECONDS = 15.0  #: between looks at all of those, at most
AGAIN_SECONDS = (1.0, 60.0)  #: between tries to submit what the batch system would not have, growing
FOREVER = float("inf")


class Came(NamedTuple):
    """A job that needs no more watching: it has ended, nobody wants it, or its batch system rejected it."""

    work: Work
    over: bool = False  # nobody wants it any more
    rejected: str | None = None


@dataclass(slots=True)
class _Lookout:
    """The jobs of one batch system, for which one errand at a time is under way."""

    batch: Batch
    deaf: bool  # whether its jobs cannot tell of their end
    jobs: dict[tuple[int, int], Watched] = field(default_factory=dict)
    places: dict[Path, Watched] = field(default_factory=dict)  # the same by their directories
    due: float = 0.0  # when the next errand may have something to do
    pause: float = 0.0  # between looks, where the jobs are few
    looked_at: float = -FOREVER  # at all of them
    heard_at: float = -FOREVER  # of those that have ended, or looked
    rest_at: float = FOREVER  # when what the last errand has left is due
    stopping: bool = False  # whether some are to stop
    looking: bool = False
    found: Found | None = None  # what the last errand came to, until the cycle takes it

    def hurry(self, now: float) -> None:
        self.pause = self.batch.pauses[0]
        self.due = min(self.due, now)
        self.rest_at = now

    @property
    def look_at(self) -> float:
        often = self.deaf or self.stopping
        spread = len(self.jobs) / LOOKED_AT if often else min(len(self.jobs) / LISTENING, SELDOM_SECONDS)
        return self.looked_at + max(self.pause, spread)

    @property
    def listen_at(self) -> float:
        return FOREVER if self.deaf else self.heard_at + max(self.pause, len(self.jobs) / TOLD)

    def add(self, job: Watched) -> None:
        self.jobs[job.work.task] = self.places[job.directory.absolute()] = job

    def remove(self, job: Watched) -> None:
        del self.jobs[job.work.task]
        self.places.pop(job.directory.absolute(), None)


class Watch:
    """All jobs of a worker, each in the batch system of its queue, and looked at with one question per system.

    ``aside`` has something done that takes time: in line, or by a thread, which rings the worker when it is done.
    ``veil`` is called so for a job that has ended and that nobody will collect, before it is told of.
    """

    def __init__(
        self,
        systems: Systems,
        veil: Callable[[Work], None] = lambda _: None,
        aside: Callable[[Callable[[], None]], None] = lambda act: act(),
    ) -> None:
        self._systems, self._veil, self._aside = systems, veil, aside
        self._lookouts: dict[int, _Lookout] = {}
        self.jobs: dict[tuple[int, int], Watched] = {}
        self._veiled: deque[Came] = deque()

    @property
    def due(self) -> float:
        """When the next tick has something to do, unless what is done aside rings before."""
        if self._veiled:
            return 0.0
        dues = [_due(lookout) for lookout in self._lookouts.values() if lookout.jobs or lookout.found]
        return min(dues, default=FOREVER)

    def begin(self, work: Work, submitted: Submitted, now: float) -> None:
        """Have a job that was just prepared submitted, which may find it there, and watch it."""
        lookout = self._lookout(work)
        job = Watched(work, submitted.directory, submitted.request, now)
        self.jobs[work.task] = job
        lookout.add(job)
        lookout.hurry(now)

    def hurry(self, now: float) -> None:
        """Look at all of them soon: some are to stop."""
        for lookout in self._lookouts.values():
            lookout.hurry(now)
            lookout.looked_at = -FOREVER

    def clear(self) -> None:
        """Watch none of them any more: they are others'."""
        self.jobs.clear()
        for lookout in self._lookouts.values():
            lookout.jobs.clear()
            lookout.places.clear()

    def tick(self, now: float) -> list[Came]:
        """Take what was found, and have the next look made where it is time."""
        came: list[Came] = []
        for lookout in list(self._lookouts.values()):
            if lookout.found is not None:
                came += self._take(lookout, now)
            if lookout.looking or not lookout.jobs or now < lookout.due:
                continue
            if errand := _errand(lookout, now):
                lookout.looking = True
                self._aside(partial(_go, lookout, errand))
            else:
                lookout.due = lookout.rest_at
            if lookout.found is not None:
                came += self._take(lookout, now)
        if over := [each for each in came if each.over]:
            self._aside(partial(self._veil_all, over))
        came = [each for each in came if not each.over]
        while self._veiled:
            came.append(self._veiled.popleft())
        return [each for each in came if self._forget(each.work)]

    def _veil_all(self, over: list[Came]) -> None:
        for each in over:
            try:
                self._veil(each.work)
            except Exception:
                LOG.exception("what the job of task %s has printed could not be looked through", each.work.task)
            self._veiled.append(each)  # its task comes to its end all the same

    def _forget(self, work: Work) -> bool:
        """Watch a job no more; answers whether it was, and is not another's by now."""
        job = self.jobs.get(work.task)
        if job is None or job.work is not work:
            return False
        del self.jobs[work.task]
        return True

    def _lookout(self, work: Work) -> _Lookout:
        batch = self._systems.of(work.attempt.queue)
        if id(batch) not in self._lookouts:
            self._lookouts[id(batch)] = _Lookout(batch, batch.ended() is None)
        return self._lookouts[id(batch)]

    def _take(self, lookout: _Lookout, now: float) -> list[Came]:
        found, lookout.found, lookout.looking = lookout.found, None, False
        assert found is not None
        came: list[Came] = []
        due = lookout.rest_at
        for task, job in found.jobs.items():
            if lookout.jobs.get(task) is not job:  # another try at the same task, begun since, or not ours any more
                continue
            reply = found.replies.get(task)
            if isinstance(reply, Accepted):
                job.handle = reply.handle
            elif isinstance(reply, Deferred):
                job.pause = min(max(AGAIN_SECONDS[0], job.pause * 2), AGAIN_SECONDS[1])
                job.retry_at = now + job.pause
                due = min(due, job.retry_at)
            seen = found.seen.get(task)
            if seen is not None:
                job.seen = later(job.seen, seen)
            if isinstance(reply, Rejected):
                came.append(self._drop(lookout, job, reply.reason))
            elif seen is not None and (job.seen.state.final or _given_up(job, seen, found.reached, now)):
                came.append(self._drop(lookout, job))
        first, last = lookout.batch.pauses
        if found.looked:
            lookout.stopping = any(job.work.stop is not None for job in lookout.jobs.values())
            lookout.looked_at = now
        if found.looked or not lookout.deaf:
            lookout.pause = first if came or lookout.stopping else min(max(first, lookout.pause) * 1.5, last)
            lookout.heard_at = now
        lookout.due = min(due, lookout.look_at, lookout.listen_at)
        return came

    def _drop(self, lookout: _Lookout, job: Watched, rejected: str | None = None) -> Came:
        work = job.work
        lookout.remove(job)
        work.job = job.directory
        return Came(work, work.stop is not None, rejected)


def _due(lookout: _Lookout) -> float:
    if lookout.found is not None:
        return 0.0
    return FOREVER if lookout.looking else lookout.due


def _go(lookout: _Lookout, errand: Errand) -> None:
    lookout.found = look(lookout.batch, errand)


def _errand(lookout: _Lookout, now: float) -> Errand:
    """What is to be done now; ``rest_at`` says when the rest is due."""
    looks = now >= lookout.look_at
    errand = Errand(now, looks, {} if looks or lookout.deaf else lookout.places)
    if now < min(lookout.look_at, lookout.rest_at):
        return errand
    together: dict[tuple[int, int], Watched] = {}
    single: dict[tuple[int, int], Watched] = {}
    dues = [] if errand.looks else [lookout.look_at]
    for task, job in lookout.jobs.items():
        stopping = job.work.stop is not None
        if stopping or job.handle is not None:
            if errand.looks:
                errand.observe[task] = job
            if errand.looks and stopping:
                job.stopping_at = now if job.stopping_at is None else job.stopping_at
                errand.cancel[task] = job
        elif job.retry_at > now:
            dues.append(job.retry_at)
        else:
            gathered = lookout.batch.gathering(job.request.queue) > 0
            (together if gathered else single)[task] = job
    if now < (at := _gathered_at(lookout.batch, together.values())):
        dues.append(at)
    else:
        errand.submit.update(together)
    errand.submit.update(islice(single.items(), AT_ONCE))
    if len(single) > AT_ONCE:
        dues.append(now)
    lookout.rest_at = min(dues, default=FOREVER)
    return errand


def _gathered_at(batch: Batch, jobs: Iterable[Watched]) -> float:
    """When no more are waited for that could be submitted with these."""
    fresh = [job for job in jobs if not job.pause]
    if not fresh:
        return 0.0
    gathering = max(batch.gathering(job.request.queue) for job in fresh)
    begun = [job.begun_at for job in fresh]
    return min(max(begun) + gathering, min(begun) + gathering * MOST_GATHERING)


def _given_up(job: Watched, seen: Observation, reached: bool, now: float) -> bool:  # noqa: FBT001 - a fact, no option
    """Whether a job was told to stop, and the system that was told knows nothing of it when the grace is over."""
    late = job.stopping_at is not None and now >= job.stopping_at + GRACE_SECONDS
    return late and reached and seen.state is JobState.unknown
