"""The life of a job: spec, command, directory, submission, watch, collection. Written once for all batch systems.

A job's directory is named after the run, the task and which try it is: so a worker that takes the attempt over,
after a kill at whatever point, submits to the same directory and finds the job that is there.
"""

from __future__ import annotations

import logging
import shutil
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from heliostat import codec
from heliostat import job as jobs
from heliostat.artifact import Artifact
from heliostat.batch import STDERR, STDOUT, Accepted, Container, Deferred, JobRequest, JobState, Rejected, later, put
from heliostat.errors import BadInput, OperatorError, TaskError, said
from heliostat.executor import Submitted
from heliostat.graph import Arity
from heliostat.job import FILES, INPUT, OUTPUT
from heliostat.look import GRACE_SECONDS, Errand, Found, Watched, look
from heliostat.outcome import Failed, Released
from heliostat.repository import check_files
from heliostat.run import public_id, task_id
from heliostat.secret import Secret
from heliostat.signature import revive
from heliostat.task import AttemptState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from heliostat.batch import Batch, Collected, Observation, Systems
    from heliostat.context import Context, Surroundings
    from heliostat.executor import Work
    from heliostat.job import JobSpec

LOG = logging.getLogger("heliostat.worker")

MOST_GATHERING = 10  #: times its gathering a batch system waits for more requests, while they keep coming
AT_ONCE = 10  #: jobs that are submitted one by one before those that are there are looked at again
LOOKED_AT = 1_000  #: jobs that are looked at in a second, at most: the more there are, the more rarely at each
AGAIN_SECONDS = (1.0, 60.0)  #: between tries to submit what the batch system would not have, growing
UNKEPT_SECONDS = 30.0  #: between tries to have what an ended job left
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
    jobs: dict[tuple[int, int], Watched] = field(default_factory=dict)
    due: float = 0.0  # when the next errand may have something to do
    pause: float = 0.0  # between looks, where the jobs are few
    looked_at: float = -FOREVER
    rest_at: float = FOREVER  # when what the last errand has left is due
    looking: bool = False
    found: Found | None = None  # what the last errand came to, until the cycle takes it

    def hurry(self, now: float) -> None:
        self.pause = self.batch.pauses[0]
        self.due = min(self.due, now)

    @property
    def look_at(self) -> float:
        return self.looked_at + max(self.pause, len(self.jobs) / LOOKED_AT)


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
        self.jobs[work.task] = lookout.jobs[work.task] = job
        lookout.hurry(now)

    def clear(self) -> None:
        """Watch none of them any more: they are others'."""
        self.jobs.clear()
        for lookout in self._lookouts.values():
            lookout.jobs.clear()

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
        return self._lookouts.setdefault(id(batch), _Lookout(batch))

    def _take(self, lookout: _Lookout, now: float) -> list[Came]:
        found, lookout.found, lookout.looking = lookout.found, None, False
        assert found is not None
        came: list[Came] = []
        due = lookout.rest_at
        for task, job in list(lookout.jobs.items()):
            if found.jobs.get(task) is not job:  # begun since, perhaps another try at the same task
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
        if found.looked:
            first, last = lookout.batch.pauses
            stopping = any(job.work.stop is not None for job in lookout.jobs.values())
            lookout.pause = first if came or stopping else min(max(first, lookout.pause) * 1.5, last)
            lookout.looked_at = now
        lookout.due = min(due, lookout.look_at)
        return came

    def _drop(self, lookout: _Lookout, job: Watched, rejected: str | None = None) -> Came:
        work = job.work
        del lookout.jobs[work.task]
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
    errand = Errand(now, looks=now >= lookout.look_at)
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


class Jobs:
    """The two steps of a job that need a thread: preparing it and collecting what it left."""

    def __init__(self, systems: Systems, around: Surroundings) -> None:
        self._systems, self._around = systems, around

    def prepare(self, work: Work, answer: object = None) -> Submitted:
        """Write the inputs and put the command together. Nothing is changed that a running job could be reading.

        ``answer`` is what its function gave, if it has one: what it is to find in its input, or its command.
        """
        node = work.node
        assert node.job is not None
        directory = self.directory(work)
        directory.mkdir(parents=True, exist_ok=True)
        prepared = self._prepared(answer, directory) if jobs.PREPARE in node.job.calls else None
        values = self._values(work, directory, prepared)
        template = node.job.shell is not None or node.job.argv is not None
        command = jobs.render(node.job, values) if template else _command(answer)
        env = self._around.vault.filled(node.job.env)
        if secret := self._around.vault.held(*([command] if isinstance(command, str) else command)):
            raise TaskError(f"its command holds the secret {secret!r}, which all could see; give it with env=")
        return self.request(work, directory, command, env)

    def request(self, work: Work, directory: Path, command: str | tuple[str, ...], env: dict[str, str]) -> Submitted:
        """A command as the job of an attempt, to be submitted; it may be there already."""
        key, timeout, queue = task_id(*work.task), work.node.timeout, work.attempt.queue
        wanted = JobRequest(key, str(directory), command, env, work.resources, timeout, queue, self._container(work))
        return Submitted(directory, wanted)

    def _container(self, work: Work) -> Container | None:
        node = work.node
        if node.job is None or node.job.image is None:
            return None
        return Container(node.job.image, node.name, self._systems.containers.get(work.attempt.queue, ()))

    def left(self, work: Work, spec: JobSpec) -> Collected:
        """What its batch system finds that a job has left; raises OperatorError where that cannot be had now."""
        assert work.job is not None
        self.veil(work)
        left = self._systems.of(work.attempt.queue).collect(work.job, spec)
        self.veil(work)  # once more, for what was brought from another machine
        masked = self._around.vault.masked
        return replace(left, stdout=masked(left.stdout), stderr=masked(left.stderr))

    def directory(self, work: Work) -> Path:
        """Where this try at a task runs as a job.

        Whoever takes the attempt over finds the same directory, and who begins it anew has another: after a failure,
        and where a try was put off or stopped.
        """
        attempt, anew = work.attempt, 0
        for past in self._around.store.attempts(attempt.run, attempt.number) if attempt.count > 1 else ():
            if past.state != AttemptState.rescued:
                anew = anew + 1 if past.state in (AttemptState.snoozed, AttemptState.stopped) else 0
        name = f"{attempt.number}.{attempt.failures + 1}" + (f".{anew + 1}" if anew else "")
        return self._around.directory / "jobs" / public_id(attempt.run) / name

    def _prepared(self, answer: object, directory: Path) -> str:
        """What a job is to find in its input, as JSON; a file in it is a path, as it is seen from its directory."""

        def place(found: object) -> str:
            path = self._around.repository.bring(found, directory / FILES) if isinstance(found, Artifact) else found
            return str(path).removeprefix(f"{directory}/")

        text = codec.encode(answer, "what it prepares", place)
        if secret := self._around.vault.held(text):
            raise TaskError(f"its input holds the secret {secret!r}, which nothing may keep; give it with env=")
        return text

    def _values(self, work: Work, directory: Path, prepared: str | None) -> dict[str, Any]:
        """What placeholders stand for; files are brought to ``files/``.

        All of it is ``input.json`` too, unless something else was prepared.
        """
        files = directory / FILES
        files.mkdir(exist_ok=True)

        def bring(artifact: Any) -> Path:
            return self._around.repository.bring(artifact, files)

        texts: dict[str, str] = {"message": work.message or "null"}
        for given in work.inputs:
            if given.arity is Arity.each and not given.each:
                items = ",".join(item.result or "null" for item in work.lists.get(given.parameter, ()))
                texts[given.parameter] = f"[{items}]"
            else:
                settled = work.settled.get(given.parameter)
                texts[given.parameter] = (settled and settled.result) or "null"
        values = {name: revive(text, bring) for name, text in texts.items()}
        inner = ",".join(f"{codec.encode(name, name)}:{text}" for name, text in texts.items())
        _write_once(directory / INPUT, f"{{{inner}}}" if prepared is None else prepared)
        return values

    def veil(self, work: Work) -> None:
        """Mask what a job with secrets printed, now that it has ended; before, nobody stood before its files."""
        env, vault = work.node.job.env if work.node.job else work.node.env, self._around.vault
        if work.job is None or not any(isinstance(value, Secret) for value in env.values()):
            return
        with suppress(OperatorError, OSError):  # what is not there any more cannot be looked for
            vault.filled(env)  # another worker may have submitted it
        for name in (STDOUT, STDERR):
            with suppress(OSError):
                vault.veil(work.job / name)

    def put_off(self, work: Work, error: OperatorError | OSError) -> Released:
        """What an ended job left cannot be had or kept now: nothing is lost, for whoever looks again finds it there."""
        words = f"its job has ended, and what it left cannot be kept: {said(error) or type(error).__name__}"
        LOG.warning("task %s: %s", task_id(*work.task), self._around.vault.masked(words))
        return Released(words, until=self._around.clock.now() + UNKEPT_SECONDS)

    def collect(self, work: Work, context: Context) -> str | Failed | Released:
        """What an ended job gave, as JSON, or how it failed; its files become artifacts of the run."""
        try:
            return self._collected(work, context)
        except (OperatorError, OSError) as error:
            return self.put_off(work, error)

    def _collected(self, work: Work, context: Context) -> str | Failed:
        assert work.node.job is not None
        assert work.job is not None
        left = self.left(work, work.node.job)
        if secret := self._around.vault.held(left.output):
            self._around.vault.veil(work.job / OUTPUT)
            return Failed(f"{OUTPUT} holds the secret {secret!r}, which nothing may keep", final=True)
        if not left.succeeded:
            return Failed(_reason(left), how=left.how, final=not work.node.retry.covers(left.how))
        result = context.encode(left.outputs, "outputs")
        if left.output is not None:
            try:
                result = check_files(codec.accept(left.output, OUTPUT), OUTPUT, self._around.repository)
            except BadInput as error:  # another try may write it better
                return Failed(str(error))
        shutil.rmtree(work.job / FILES, ignore_errors=True)
        return result


def _command(answer: object) -> str | tuple[str, ...]:
    """The command that a job's function gave."""
    if not isinstance(answer, str | list | tuple) or not all(isinstance(word, str) for word in answer):
        raise BadInput(f"its function gives a string or a list of strings, not {answer!r}")
    return answer if isinstance(answer, str) else tuple(answer)


def _write_once(path: Path, text: str) -> None:
    """Make a file with all its text; one that is there may be read by a job just now, and says the same.

    An empty one is what a power cut has left.
    """
    if not path.exists() or not path.stat().st_size:
        put(path, text)


def _reason(left: Collected) -> str:
    said = left.stderr.strip() or left.stdout.strip()
    return f"{left.reason}: {said}"[:2000] if said else str(left.reason)
