"""The life of a job: spec, command, directory, submission, watch, collection. Written once for all batch systems.

A job's directory is named after the run, the task and which try it is: so a worker that takes the attempt over,
after a kill at whatever point, submits to the same directory and finds the job that is there.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from heliostat import codec
from heliostat import job as jobs
from heliostat.artifact import Artifact
from heliostat.batch import STDERR, STDOUT, JobRequest, JobState, Observation, later
from heliostat.errors import BadInput, OperatorError, TaskError
from heliostat.executor import Submitted, Work
from heliostat.graph import Arity
from heliostat.job import FILES, INPUT, OUTPUT
from heliostat.outcome import Failed
from heliostat.repository import check_files
from heliostat.run import public_id, task_id
from heliostat.secret import Secret
from heliostat.signature import revive

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliostat.batch import Batch, Collected
    from heliostat.context import Context, Surroundings

POLL_SECONDS = (0.02, 0.5)  #: between looks at jobs: soon after a submission, then rarer
GRACE_SECONDS = 5.0  #: between asking a job to end and killing it


@dataclass(slots=True)
class Watched:
    """A job that a worker watches."""

    work: Work
    directory: Path
    seen: Observation
    stopping_at: float | None = None  # since when nobody wants it any more


class Watch:
    """All jobs of a worker, looked at with one question per poll.

    ``veil`` is called for a job that has ended and that nobody will collect.
    """

    def __init__(self, batch: Batch, veil: Callable[[Work], None] = lambda _: None) -> None:
        self._batch, self._veil = batch, veil
        self.jobs: dict[tuple[int, int], Watched] = {}
        self.due = 0.0
        self._pause = POLL_SECONDS[0]
        self._reached = True  # the batch system has answered

    def begin(self, work: Work, directory: Path, now: float) -> None:
        """Watch a job that was just submitted, or found."""
        self.jobs[work.task] = Watched(work, directory, Observation(JobState.submitted))
        self._pause, self.due = POLL_SECONDS[0], now

    def tick(self, now: float) -> list[tuple[Work, bool]]:
        """Look at all jobs; answers the works whose job has ended, and whether nobody wants it any more."""
        stopping = [job for job in self.jobs.values() if job.work.stop is not None]
        if stopping:
            with suppress(OperatorError):  # it is asked again at the next look
                self._batch.cancel([job.directory for job in stopping], GRACE_SECONDS)
        for job in stopping:
            job.stopping_at = now if job.stopping_at is None else job.stopping_at
        watched = list(self.jobs.items())
        ended: list[tuple[Work, bool]] = []
        for (task, job), seen in zip(watched, self._observe([job.directory for _, job in watched]), strict=True):
            job.seen = later(job.seen, seen)
            if job.seen.state.final or self._given_up(job, seen, now):
                del self.jobs[task]
                job.work.job = job.directory
                ended.append((job.work, job.work.stop is not None))
                if job.work.stop is not None:
                    self._veil(job.work)
        self._pause = POLL_SECONDS[0] if ended or stopping else min(self._pause * 1.5, POLL_SECONDS[1])
        self.due = now + self._pause
        return ended

    def _given_up(self, job: Watched, seen: Observation, now: float) -> bool:
        """Whether a job was told to stop, and the system that was told knows nothing of it when the grace is over."""
        late = job.stopping_at is not None and now >= job.stopping_at + GRACE_SECONDS
        return late and self._reached and seen.state is JobState.unknown

    def _observe(self, directories: list[Path]) -> list[Observation]:
        try:
            seen = self._batch.observe(directories)
            self._reached = True
            return seen
        except OperatorError as error:  # a system that cannot be asked is unknown, never failed
            self._reached = False
            return [Observation(JobState.unknown, reason=str(error))] * len(directories)


class Jobs:
    """The two steps of a job that need a thread: submitting it and collecting what it left."""

    def __init__(self, batch: Batch, around: Surroundings) -> None:
        self._batch, self._around = batch, around

    def submit(self, work: Work, answer: object = None) -> Submitted:
        """Write the inputs, put the command together, and have the job run (or find it running).

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
        request = JobRequest(task_id(*work.task), str(directory), command, env, node.resources, node.timeout)
        self._batch.submit(request)
        return Submitted(directory)

    def directory(self, work: Work) -> Path:
        """Where this try at a task runs as a job."""
        attempt = work.attempt
        return self._around.directory / "jobs" / public_id(attempt.run) / f"{attempt.number}.{attempt.failures + 1}"

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
        env, vault = work.node.job.env if work.node.job else {}, self._around.vault
        if work.job is None or not any(isinstance(value, Secret) for value in env.values()):
            return
        with suppress(OperatorError, OSError):  # what is not there any more cannot be looked for
            vault.filled(env)  # another worker may have submitted it
        for name in (STDOUT, STDERR):
            with suppress(OSError):
                vault.veil(work.job / name)

    def collect(self, work: Work, context: Context) -> str | Failed:
        """What an ended job gave, as JSON, or how it failed; its files become artifacts of the run."""
        assert work.node.job is not None
        assert work.job is not None
        self.veil(work)
        left = self._batch.collect(work.job, work.node.job)
        if secret := self._around.vault.held(left.output):
            self._around.vault.veil(work.job / OUTPUT)
            return Failed(f"{OUTPUT} holds the secret {secret!r}, which nothing may keep", final=True)
        if not left.succeeded:
            return Failed(_reason(left), how=left.how)
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
    """Make a file with all its text; one that is there may be read by a job just now, and says the same."""
    if not path.exists():
        mine = path.with_name(f".{path.name}.{uuid4().hex}")
        mine.write_text(text, "utf-8")
        mine.replace(path)


def _reason(left: Collected) -> str:
    said = left.stderr.strip() or left.stdout.strip()
    return f"{left.reason}: {said}"[:2000] if said else str(left.reason)
