"""The seam to what runs functions: works in, outcomes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from heliostat.graph import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from heliostat.batch import JobRequest
    from heliostat.graph import Graph, Node
    from heliostat.outcome import Outcome
    from heliostat.resources import Resources
    from heliostat.store import Settled
    from heliostat.task import Attempt

    Perform = Callable[["Work"], "Answered"]


class Work:
    """An attempt with its node and the inputs that were read for it, on its way through an executor.

    ``settled`` holds by parameter how what it names came out, ``lists`` the items where that is an each node's whole
    list; ``message`` is the JSON text of what the run was started with or the handler was sent. ``task`` is the key of
    the attempt's task. ``begun_at`` is set when a thread takes it (clock time), ``stop`` when it should end,
    ``overdue`` with why its time is over, ``cancelled`` when somebody has given it up; ``job`` is the
    directory of its job when that is to be collected. ``batched``: its function is to run as a job. ``given`` are its
    resources where they are others than its node's.
    """

    begun_at: float | None = None
    given: Resources | None = None
    stop: str | None = None
    overdue: str | None = None
    cancelled: bool = False
    job: Path | None = None
    batched = False
    lists: Mapping[str, list[Settled]] = {}

    def __init__(self, attempt: Attempt, graph: Graph, node: Node) -> None:
        self.attempt, self.graph, self.node, self.task = attempt, graph, node, attempt[:2]
        self.message, self.inputs = attempt.message, graph.inputs(node.name)
        self.settled: dict[str, Settled] = {}

    @property
    def resources(self) -> Resources | None:
        """What this attempt needs from where it runs."""
        return self.given or self.node.resources

    @property
    def timeout(self) -> float | None:
        """Seconds after which it is given up; a job's time is its batch system's affair."""
        return None if self.batched or self.node.kind is Kind.job else self.node.timeout


@dataclass(frozen=True, slots=True)
class Submitted:
    """Not an outcome yet: the attempt goes on as the job of this directory, yet to be submitted, without a slot."""

    directory: Path
    request: JobRequest


Answered: TypeAlias = "Outcome | Submitted"


class Executor(Protocol):
    """Runs works, some at a time.

    A work that was submitted comes back exactly once: from ``collect`` with its outcome, from ``take_back`` if it
    had not begun, or never, if it was written off.
    """

    slots: int

    def submit(self, works: Sequence[Work]) -> None:
        """Take works in, to be begun in this order."""

    def collect(self) -> list[tuple[Work, Answered]]:
        """What has ended since the last call."""

    def take_back(self) -> list[Work]:
        """The works that have not begun; they will not."""

    def begun(self) -> list[Work]:
        """The works that have begun and not ended."""

    def waiting(self) -> int:
        """How many works have not begun."""

    def write_off(self, work: Work) -> bool:
        """Give up a work that does not end: its outcome is dropped. Answers False if it has just ended."""

    @property
    def written_off(self) -> int:
        """How many works were given up and still occupy the process."""

    def close(self, grace: float) -> None:
        """Begin nothing more; wait at most ``grace`` seconds for what has begun."""


class Parent(Protocol):
    """What an executor's child processes are told by the process that has the database.

    ``hello`` is what each of them hears first.
    """

    @property
    def hello(self) -> dict[str, object]:
        """Where files are, and which program this is."""

    def definition(self, graph: int) -> object:
        """A graph and where its functions are, as JSON; raises DefinitionError if a child could not find them."""

    def prepare(self, work: Work) -> Outcome | None:
        """See to what is to be known of a work before its child begins; an outcome where that cannot be said."""

    def interpreter(self, work: Work) -> str:
        """The Python that a work's child is to be; empty for this one. It may have to be made first.

        Raises Stopped if the work is not wanted any more, OperatorError if there is none.
        """

    def answer(self, verb: str, given: dict[str, Any]) -> dict[str, object]:
        """What a child asks: ``value``, or ``kind`` and ``error`` of what was raised. Never raises."""

    def note(self, work: Work, stream: str, lines: Sequence[str]) -> None:
        """Keep lines that an attempt has printed to ``stdout`` or ``stderr``."""

    def clear(self, work: Work) -> None:
        """See to the files of an attempt whose child can no more."""
