"""What a job's attempt needs before it is submitted, and gives when it has ended: directory, inputs, command, outcome.

A job's directory is named after the run, the task and which try it is: so a worker that takes the attempt over,
after a kill at whatever point, submits to the same directory and finds the job that is there.
"""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliostat import codec
from heliostat import job as jobs
from heliostat.artifact import Artifact
from heliostat.batch import STDERR, STDOUT, Container, JobRequest
from heliostat.errors import BadInput, OperatorError, TaskError, said
from heliostat.executor import Submitted
from heliostat.files import make, put
from heliostat.graph import Arity
from heliostat.job import FILES, INPUT, OUTPUT
from heliostat.outcome import Failed, Released
from heliostat.repository import check_files
from heliostat.run import public_id, task_id
from heliostat.secret import Secret
from heliostat.signature import revive
from heliostat.task import AttemptState

if TYPE_CHECKING:
    from heliostat.batch import Collected, Systems
    from heliostat.context import Context, Surroundings
    from heliostat.executor import Work
    from heliostat.job import JobSpec

LOG = logging.getLogger("heliostat.worker")

UNKEPT_SECONDS = 30.0  #: between tries to have what an ended job left
PAGE_LETTERS = 1 << 10  #: fewer letters lie in a page of memory: they are written whole or not at all


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
        os.makedirs(directory / FILES, exist_ok=True)  # noqa: PTH103 - in half as many steps
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
        return self._around.directory / f"jobs/{public_id(attempt.run)}/{name}"

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
        if not any(pattern.startswith(f"{FILES}/") for _, pattern in jobs.patterns(work.node.job.outputs)):
            _remove(work.job / FILES)
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
    try:
        there = path.stat().st_size
    except FileNotFoundError:
        (make if len(text) < PAGE_LETTERS else put)(path, text)
        return
    if not there:
        put(path, text)


def _remove(directory: Path) -> None:
    """Remove a directory that is mostly empty, and whatever is in it."""
    try:
        directory.rmdir()
    except OSError:
        shutil.rmtree(directory, ignore_errors=True)


def _reason(left: Collected) -> str:
    said = left.stderr.strip() or left.stdout.strip()
    return f"{left.reason}: {said}"[:2000] if said else str(left.reason)
