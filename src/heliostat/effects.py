"""What an attempt asks for; each effect is a value with a JSON form, and all of an attempt's commit together.

JSON payloads are texts here (see ``codec``): written once, when the function gave them. Names, keys and priorities are
checked as the value is made, whoever makes it; what is none raises BadInput.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from heliostat.codec import whole, word

if TYPE_CHECKING:
    from heliostat.artifact import Artifact
    from heliostat.graph import Graph
    from heliostat.run import RunState

PRIORITY = 1_000_000_000  #: from minus to plus; a run's and a node's are added, and 32 bits hold the sum


@dataclass(frozen=True, slots=True)
class Send:
    """A message to a handler of the run: now, or not before ``due_at``."""

    node: str
    message: str
    due_at: float | None = None
    idempotency_key: str | None = None
    priority: int | None = None

    def __post_init__(self) -> None:
        if self.idempotency_key is not None:
            object.__setattr__(self, "idempotency_key", word(self.idempotency_key, "idempotency_key"))
        if self.priority is not None:
            object.__setattr__(self, "priority", whole(self.priority, "priority", -PRIORITY, PRIORITY))


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
    deadline_at: float | None = None  # when it fails, if it has not ended by then

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", word(self.name, "name", 0))
        object.__setattr__(self, "priority", whole(self.priority, "priority", -PRIORITY, PRIORITY))
        if self.idempotency_key is not None:
            object.__setattr__(self, "idempotency_key", word(self.idempotency_key, "idempotency_key"))


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
