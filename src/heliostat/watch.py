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
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from heliostat.batch import Batch, Observation, Systems
    from heliostat.executor import Work

LOG = logging.getLogger("heliostat.worker")

MOST_GATHERING = 10  #: times its gathering a batch system waits for more requests, while they keep coming
AT_ONCE = 40  #: jobs that are submitted one by one before those that are there are seen to again
LOOKED_AT = 1_000  #: jobs that are looked at in a second, at most: the more there are, the more rarely at each
LOOKED_AT_BESIDES = 40  #: the same where jobs tell of their end: looks are for those that cannot any more
LONGEST_SECONDS = 30.0  #: between two looks at all of those
LISTENED_TO = 2_000  #: jobs that are listened to in a second: with many of them, some end before it is listened again
AGAIN_SECONDS = (1.0, 60.0)  #: between tries to submit what the batch system would not have, growing
FOREVER = float("inf")


class Came(NamedTuple):
    """A job that needs no more watching: it has ended, nobody wants it, or its batch system rejected it."""

    work: Work
    over: bool = False  # nobody wants it any more
    rejected: str | None = None


@dataclass(slots=True)
class _Lookout:
    """The jobs of one batch system by their directories; one errand at a time is under way for them."""

    batch: Batch
    jobs: dict[Path, Watched] = field(default_factory=dict)
    pause: float = 0.0  # between looks, where the jobs are few
    looked_at: float = -FOREVER  # when all were
    heard_at: float = -FOREVER  # when they were last listened to, or looked at
    rest_at: float = FOREVER  # when something is to be submitted
    stopping: bool = False  # whether some are to stop
    looking: bool = False
    found: Found | None = None  # what the last errand came to, until the cycle takes it

    def hurry(self, now: float) -> None:
        """See to them soon."""
        self.pause = self.batch.pauses[0]
        self.rest_at = min(self.rest_at, now)

    @property
    def there(self) -> bool:
        """Whether there is any to look at."""
        return any(job.handle is not None or job.work.stop is not None for job in self.jobs.values())

    @property
    def look_at(self) -> float:
        """When to look at all."""
        often = self.stopping or not self.batch.tells
        spread = len(self.jobs) / LOOKED_AT if often else min(len(self.jobs) / LOOKED_AT_BESIDES, LONGEST_SECONDS)
        return self.looked_at + max(self.pause, spread)

    @property
    def due(self) -> float:
        """When the next errand has something to do."""
        if self.found is not None:
            return 0.0
        if self.looking or not self.jobs:
            return FOREVER
        if not self.there:
            return self.rest_at
        listen_at = self.heard_at + max(self.pause, len(self.jobs) / LISTENED_TO) if self.batch.tells else FOREVER
        return min(self.rest_at, self.look_at, listen_at)


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
        self.jobs: dict[tuple[int, int], Work] = {}
        self._veiled: deque[Came] = deque()

    @property
    def due(self) -> float:
        """When the next tick has something to do, unless what is done aside rings before."""
        if self._veiled:
            return 0.0
        return min((lookout.due for lookout in self._lookouts.values()), default=FOREVER)

    def begin(self, work: Work, submitted: Submitted, now: float) -> None:
        """Have a job that was just prepared submitted, which may find it there, and watch it."""
        batch = self._systems.of(work.attempt.queue)
        lookout = self._lookouts.setdefault(id(batch), _Lookout(batch))
        self.jobs[work.task] = work
        lookout.jobs[submitted.directory.absolute()] = Watched(work, submitted.directory, submitted.request, now)
        lookout.hurry(now)

    def stop(self, tasks: Collection[tuple[int, int]], now: float) -> None:
        """See soon to those of these tasks that are jobs: they were asked to stop."""
        for lookout in self._lookouts.values():
            if any(job.work.task in tasks for job in lookout.jobs.values()):
                lookout.stopping = True
                lookout.hurry(now)

    def clear(self) -> None:
        """Watch none of them any more: they are others', also to a look that is under way."""
        self.jobs.clear()
        for lookout in self._lookouts.values():
            for job in lookout.jobs.values():
                job.ours = False
            lookout.jobs.clear()

    def tick(self, now: float) -> list[Came]:
        """Take what was found, and have the next look made where it is time."""
        came: list[Came] = []
        for lookout in list(self._lookouts.values()):
            if lookout.found is not None:
                came += _take(lookout, now)
            if now >= lookout.due and (errand := _errand(lookout, now)):
                self._aside(partial(_go, lookout, errand))
                lookout.looking = True
                if lookout.found is not None:
                    came += _take(lookout, now)
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
        if self.jobs.get(work.task) is not work:
            return False
        del self.jobs[work.task]
        return True


def _go(lookout: _Lookout, errand: Errand) -> None:
    lookout.found = look(lookout.batch, errand)


def _errand(lookout: _Lookout, now: float) -> Errand:
    """What is to be done now; ``rest_at`` says when there is more to submit."""
    looks = now >= lookout.look_at
    errand = Errand(now, looks, lookout.jobs if lookout.batch.tells and lookout.there and not looks else {})
    if not looks and now < lookout.rest_at:
        return errand
    together: dict[Path, Watched] = {}
    single: dict[Path, Watched] = {}
    dues = [FOREVER]
    for place, job in lookout.jobs.items():
        stopping = job.work.stop is not None
        if stopping or job.handle is not None:
            if looks:
                errand.observe[place] = job
            if looks and stopping:
                job.stopping_at = now if job.stopping_at is None else job.stopping_at
                errand.cancel[place] = job
        elif job.retry_at > now:
            dues.append(job.retry_at)
        else:
            gathered = lookout.batch.gathering(job.request.queue) > 0
            (together if gathered else single)[place] = job
    if now < (at := _gathered_at(lookout.batch, together.values())):
        dues.append(at)
    else:
        errand.submit.update(together)
    errand.submit.update(islice(single.items(), AT_ONCE))
    if len(single) > AT_ONCE:
        dues.append(now)
    lookout.rest_at = min(dues)
    return errand


def _take(lookout: _Lookout, now: float) -> list[Came]:
    """What an errand came to."""
    found, lookout.found, lookout.looking = lookout.found, None, False
    assert found is not None
    came: list[Came] = []
    for place, job in found.jobs.items():
        if lookout.jobs.get(place) is not job:  # it was begun anew since, or is not ours any more
            continue
        reply, seen = found.replies.get(place), found.seen.get(place)
        if isinstance(reply, Accepted):
            job.handle = reply.handle
        elif isinstance(reply, Deferred):
            job.pause = min(max(AGAIN_SECONDS[0], job.pause * 2), AGAIN_SECONDS[1])
            job.retry_at = now + job.pause
            lookout.rest_at = min(lookout.rest_at, job.retry_at)
        if seen is not None:
            job.seen = later(job.seen, seen)
        if isinstance(reply, Rejected):
            came.append(Came(job.work, job.work.stop is not None, reply.reason))
        elif seen is not None and job.seen.state.final:
            came.append(Came(job.work, place in found.left))
        elif seen is not None and _given_up(job, seen, now):
            came.append(Came(job.work, over=True))
        else:
            continue
        del lookout.jobs[place]
        job.work.job = job.directory
    if found.errand.looks:
        lookout.stopping = any(job.work.stop is not None for job in lookout.jobs.values())
        lookout.looked_at = now
    if found.errand.looks or lookout.batch.tells:
        first, last = lookout.batch.pauses
        lookout.pause = first if came or lookout.stopping else min(max(first, lookout.pause) * 1.5, last)
        lookout.heard_at = now
    return came


def _gathered_at(batch: Batch, jobs: Iterable[Watched]) -> float:
    """When no more are waited for that could be submitted with these."""
    fresh = [job for job in jobs if not job.pause]
    if not fresh:
        return 0.0
    gathering = max(batch.gathering(job.request.queue) for job in fresh)
    begun = [job.begun_at for job in fresh]
    return min(max(begun) + gathering, min(begun) + gathering * MOST_GATHERING)


def _given_up(job: Watched, seen: Observation, now: float) -> bool:
    """Whether a job was told to stop, and the system that was told knows nothing of it when the grace is over."""
    late = job.stopping_at is not None and now >= job.stopping_at + GRACE_SECONDS
    return late and seen.state is JobState.unknown and seen.asked
