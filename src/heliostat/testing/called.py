"""What a call came to, as a test reads it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, assert_never

from heliostat.effects import End, Keep, Map, Put, Send, Start
from heliostat.outcome import Ended
from heliostat.run import public_id
from heliostat.signature import revive
from heliostat.testing.given import RUN, Record, bring

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from heliostat.artifact import Artifact
    from heliostat.effects import Effect
    from heliostat.story import Line

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that ``ctx.send`` asked for; ``delay`` is in seconds."""

    to: str
    message: Any = None
    delay: float | None = None
    idempotency_key: str | None = None
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class Mapped:
    """What ``ctx.map`` asked for."""

    to: str
    messages: list[Any]
    then: str


@dataclass(frozen=True, slots=True)
class Started:
    """A run that ``ctx.start`` asked for, by the name of its workflow."""

    workflow: str
    message: Any = None
    then: str | None = None
    name: str = ""
    priority: int = 0
    idempotency_key: str | None = None


@dataclass(frozen=True)
class Called(Generic[R]):
    """What a call came to: the result, and what would have left with the commit. Of a ``Fail``, nothing leaves.

    ``result`` is what the function returned, ``Skip``, ``Snooze`` and ``Fail`` too; of a job, nothing: it has
    ``command`` instead, the text or the words that would be run, with paths as they are seen from its directory, and
    ``image`` if they would be run in a container.
    ``ended`` is set by ``ctx.complete`` and ``ctx.cancel``. Files in messages and records are paths that can be read.
    """

    result: R
    sent: list[Sent] = field(default_factory=list)
    mapped: list[Mapped] = field(default_factory=list)
    started: list[Started] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)
    ended: Ended | None = None
    logged: list[Line] = field(default_factory=list)
    command: str | tuple[str, ...] | None = None
    image: str | None = None

    def bring(self, artifact: Artifact) -> Path:
        """The file of an artifact, to be read."""
        return bring(artifact)


def told(answer: R, effects: Iterable[Effect], lines: list[Line]) -> Called[R]:
    """Effects as a test reads them."""
    made, ended = Called(answer, logged=lines), None
    for effect in effects:
        match effect:
            case Send(to, message, due_at, key, priority):
                made.sent.append(Sent(to, _read(message), due_at, key, priority))
            case Map(to, messages, then):
                made.mapped.append(Mapped(to, [_read(message) for message in messages], then))
            case Start() as it:
                start = Started(it.graph.name, _read(it.message), it.then, it.name, it.priority, it.idempotency_key)
                made.started.append(start)
            case Put(value, key):
                made.records.append(Record(_read(value), key))
            case Keep(artifact):
                made.artifacts.append(artifact)
            case End(state, result, reason):
                ended = Ended(public_id(RUN), str(state), _read(result), reason)
            case _ as never:
                assert_never(never)
    return replace(made, ended=ended)


def _read(text: str | None) -> Any:
    return revive(text, bring)
