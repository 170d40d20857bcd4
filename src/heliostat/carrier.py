"""Functions on a batch queue: an attempt is packed into a job's directory, and what it left there is taken in.

The job calls ``heliostat task exec`` on the directory, which needs neither the database nor the repository; the same
promises hold as in a thread. Whoever watches the job settles its outcome.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import sysconfig
from dataclasses import replace
from math import isfinite
from pathlib import Path
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, cast

from heliostat import codec, environments, form, parcel
from heliostat.artifact import MARK, mentioned
from heliostat.context import Context
from heliostat.effects import End, Keep, Map, Put, Send, Start
from heliostat.errors import ArtifactError, BadInput, DefinitionError, OperatorError, Refused
from heliostat.graph import Arity
from heliostat.job import JobSpec
from heliostat.outcome import Failed, Outcome, Skipped, Snoozed, Succeeded
from heliostat.repository import check_files
from heliostat.telling import Notes, Truth

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from heliostat.artifact import Artifact
    from heliostat.batch import BatchQueue, Collected
    from heliostat.context import Surroundings
    from heliostat.effects import Effect
    from heliostat.executor import Parent, Submitted, Work
    from heliostat.graph import Graph, Retry
    from heliostat.jobs import Jobs
    from heliostat.signature import Signature
    from heliostat.store import Store

#: What a batch system is to find, and to bring from where it is.
LEFT = JobSpec(
    "heliostat task exec .",
    outputs={"outcome": parcel.OUTCOME, "files": f"{parcel.KEPT}/*/*", "log": f"{parcel.LOGS}/*.jsonl"},
)

#: What the interpreter of an environment is told: where this one finds modules comes after what it has itself.
BESIDE = (
    "import json, sys; sys.path += [p for p in json.loads(sys.argv.pop(1)) if p not in sys.path]; "
    "from heliostat.exec import main; main()"
)


class Carrier:
    """The two steps of a function that runs as a job: to pack and submit it, and to take in what it left."""

    def __init__(self, jobs: Jobs, parent: Parent, around: Surroundings, queues: Mapping[str, BatchQueue]) -> None:
        self._jobs, self._parent, self._around, self._queues = jobs, parent, around, queues

    def submit(self, work: Work, signature: Signature) -> Submitted | Failed:
        """Pack an attempt and have it run; one that is packed already may be running, and stays as it is."""
        directory = self._jobs.directory(work)
        try:
            packed = parcel.read(directory / parcel.WORK)
        except BadInput:  # there is none, or it is damaged; what runs has read it already
            try:
                packed = self._pack(work, signature, directory)
            except DefinitionError as error:
                return Failed(str(error), final=True)
        env = packed["env"] | self._around.vault.filled(work.node.env)
        return self._jobs.request(work, directory, tuple(packed["command"]), env)

    def _pack(self, work: Work, signature: Signature, directory: Path) -> dict[str, Any]:
        directory.mkdir(parents=True, exist_ok=True)
        hello = self._parent.hello
        notes = self._notes(work) if signature.context is not None else []
        packed = {
            "of": _of(work, directory),
            "work": form.work_to_json(work),
            "definition": self._parent.definition(work.attempt.graph),
            "notes": notes,
            "queues": hello["queues"],
            "main": hello["main"],
            "python": {"prefix": sys.prefix, "tag": sys.implementation.cache_tag, "path": environments.places()},
            **self._called(work),
        }
        for artifact in _files(work, notes):
            self._around.repository.lend(artifact, directory / parcel.ARTIFACTS)
        parcel.write(directory / parcel.WORK, packed)
        return packed

    def _called(self, work: Work) -> dict[str, Any]:
        """What the job calls, in its directory, and with which variables."""
        python, words = self._queues[work.attempt.queue].python, ["-P", "-m", "heliostat", "task", "exec", "."]
        if not python and not work.node.requires:
            return {"command": [sys.executable, *words], "env": _modules()}
        if not python:
            beside = [*environments.ISOLATED, "-c", BESIDE, environments.path()]
            return {"command": [self._parent.interpreter(work), *beside, *words[3:]], "env": {}}
        if not work.node.requires:
            return {"command": [python, *words], "env": {}}
        raise DefinitionError(
            f"node {work.node.name}: it requires packages, and the functions of its queue have a Python of their own, "
            f"{python}; install them there, and have a node without requires="
        )

    def _notes(self, work: Work) -> list[list[Any]]:
        """What a context may read of the database, as it is now."""
        notes = Notes(self._around.store)
        truth = cast("Store", Truth(notes.ask))
        context = Context(work, replace(self._around, store=truth))
        _ = context.run, context.sender, context.failure
        truth.records(work.attempt.run)
        truth.artifacts(work.attempt.run)
        return notes.rows

    def collect(self, work: Work) -> Outcome:
        """The outcome that an ended job left, with its files in the repository; or how the job ended without one."""
        assert work.job is not None
        try:
            outcome = self._collected(work, work.job)
        except (OperatorError, OSError) as error:
            return self._jobs.put_off(work, error)
        for name in (parcel.ARTIFACTS, parcel.KEPT, parcel.ATTEMPTS):
            shutil.rmtree(work.job / name, ignore_errors=True)
        return outcome

    def _collected(self, work: Work, directory: Path) -> Outcome:
        left = self._jobs.left(work, LEFT)
        there = isinstance(left.outputs, dict) and "outcome" in left.outputs
        try:
            return self._outcome(work, directory) if there else _none(left, work.node.retry)
        except (Refused, DefinitionError, ArtifactError) as error:
            return Failed(f"what its job left cannot be taken: {error}")

    def _outcome(self, work: Work, directory: Path) -> Outcome:
        path = directory / parcel.OUTCOME
        data = parcel.read(path)
        if data.get("of") != _of(work, directory):
            raise BadInput(f"{path} is the outcome of another attempt: {shortened(data.get('of'))}")
        outcome = checked(form.outcome_from_json(data.get("outcome")), work.graph)
        offers = data.get("offers", [])
        for definition in offers if isinstance(offers, list) else []:
            answer = self._parent.answer("offer", {"definition": definition})
            if "error" in answer:
                raise BadInput(f"a workflow that it starts is not found here: {answer['error']}")
        self._keep(getattr(outcome, "effects", ()), directory)
        for text in _texts(outcome):
            check_files(text, "what it asks for", self._around.repository)
        return outcome

    def _keep(self, effects: tuple[Effect, ...], directory: Path) -> None:
        """Take new files into the repository; those that came here once before are there."""
        for effect in effects:
            if isinstance(effect, Keep):
                self._around.repository.take(effect.artifact, directory / parcel.KEPT)


def _of(work: Work, directory: Path) -> list[Any]:
    """By what an outcome is known: its task, and which try at it, as the directory is called."""
    return [work.attempt.run, work.attempt.number, directory.name]


def _none(left: Collected, retry: Retry) -> Failed:
    """How a job ended that left no outcome."""
    words = str(left.reason)
    if left.exit_code == 0 and words.startswith(f"the output {parcel.OUTCOME} is missing"):
        words = "its process ended with exit code 0 and left no outcome, as one that leaves by os._exit"
    said = _besides(left.stderr, left.exit_code or 0) or left.stdout.strip()
    return Failed(f"{words}: {said}"[:2000] if said else words, how=left.how, final=not retry.covers(left.how))


def _besides(stderr: str, code: int) -> str:
    """What a process said last, without what the shell then says of the signal that ended it."""
    lines = stderr.strip().splitlines()
    words = signal.strsignal(code - 128) if code - 128 in set(signal.Signals) else None
    if words and lines and lines[-1].startswith(words):
        lines.pop()
    return "\n".join(lines).strip()


def _modules() -> dict[str, str]:
    """The variable by which this interpreter, started anew, finds this Heliostat, where it does not do so by itself."""
    home = str(Path(__file__).parent.parent)
    if home in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        return {}
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {"PYTHONPATH": os.pathsep.join(filter(None, [home, *(place for place in known if place != home)]))}


def _files(work: Work, notes: list[list[Any]]) -> Iterator[Artifact]:
    """The files that the message, the inputs and the attempt's own records mention.

    Of a handler these are all of its node's; of another node those of the same task, for it may have as many as there
    are items, and each would take along what the others have put.
    """
    node = work.node
    records = (record for verb, _, answer in notes if verb == "records" for record in answer)
    own = [each for each in records if each["node"] == node.name]
    if node.arity is not Arity.handler:
        own = [each for each in own if each["number"] == work.attempt.number]
    texts = [work.message, *(settled.result for settled in work.settled.values())]
    texts += [item.result for items in work.lists.values() for item in items]
    texts += [record["value"] for record in own]
    for text in texts:
        if text is not None and MARK in text:
            yield from mentioned(codec.decode(text))


def _texts(outcome: Outcome) -> Iterator[str]:
    """All data that an outcome brings."""
    if isinstance(outcome, Succeeded):
        yield outcome.result
    for effect in getattr(outcome, "effects", ()):
        match effect:
            case Send(message=text) | Start(message=text) | Put(value=text):
                yield text
            case Map(messages=texts):
                yield from texts
            case End(result=str(text)):
                yield text
            case _:
                pass


def checked(outcome: Outcome, graph: Graph) -> Outcome:
    """An outcome that came as a file, in which nothing is otherwise than a function's own could be; raises BadInput."""
    match outcome:
        case Succeeded(result, _, choice, width):
            value = codec.decode(result, "result")
            if width != (len(value) if isinstance(value, list) else None) or choice not in (None, value):
                raise BadInput("this is no outcome: its result is another than it says")
        case Snoozed(until):
            _number(until, "until")
        case Skipped():
            pass
        case Failed():
            return replace(outcome, retry_at=None)
        case _:
            raise BadInput(f"this is no outcome of a function: {type(outcome).__name__.lower()}")
    for effect in outcome.effects:
        _check(effect, graph)
    for text in _texts(outcome):
        _data(text)
    return outcome


def _check(effect: Effect, graph: Graph) -> None:
    """Refuse an effect that no context would have made."""
    handlers: list[str] = []
    match effect:
        case Send(node=node, due_at=due_at):
            handlers = [node]
            _number(due_at or 0, "due_at")
        case Map(node=node, then=then):
            handlers = [node, then]
        case Start(run=run, then=then):
            handlers = [] if then is None else [then]
            codec.whole(run, "run", 0, (1 << 63) - 1)
        case Put(key=key) if key is not None:
            codec.word(key, "key")
        case End(state=state, reason=reason) if not state.final or not isinstance(reason, str | None):
            raise BadInput(f"this is no outcome: a run does not end as {state}")
    for name in handlers:
        if graph[str(name)].arity is not Arity.handler:
            raise BadInput(f"this is no outcome: {name} takes no messages")


def _data(text: object) -> None:
    if not isinstance(text, str):
        raise BadInput(f"this is no outcome: {shortened(text)} is no JSON text")
    codec.accept(text, "what it asks for")


def _number(value: object, where: str) -> None:
    if not isinstance(value, int | float) or not isfinite(value):
        raise BadInput(f"this is no outcome: {where} is {value!r}")
