"""What an attempt asks for; each effect is a value with a JSON form, and all of an attempt's commit together.

JSON payloads are texts here (see ``codec``): written once, when the function gave them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from heliostat.artifact import Artifact
    from heliostat.graph import Graph
    from heliostat.run import RunState


@dataclass(frozen=True, slots=True)
class Send:
    """A message to a handler of the run: now, or not before ``due_at``."""

    node: str
    message: str
    due_at: float | None = None
    idempotency_key: str | None = None
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class Map:
    """A message each to a handler, and one more to ``then`` with their results in order when all are there."""

    node: str
    messages: tuple[str, ...]
    then: str


@dataclass(frozen=True, slots=True)
class Start:
    """Another run; with ``then``, its end comes to that handler of this run as a message."""

    run: int
    graph: Graph
    message: str
    name: str = ""
    priority: int = 0
    then: str | None = None
    idempotency_key: str | None = None
    to: str | None = None


@dataclass(frozen=True, slots=True)
class Put:
    """A record of the node in the run; with ``key``, the newest replaces the one before."""

    value: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """A file that the run keeps."""

    artifact: Artifact


@dataclass(frozen=True, slots=True)
class End:
    """The run is over: succeeded with a result, or cancelled for a reason."""

    state: RunState
    result: str | None = None
    reason: str | None = None


Effect: TypeAlias = Send | Map | Start | Put | Keep | End
