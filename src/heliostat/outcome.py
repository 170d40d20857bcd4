"""What an attempt answered.

A function returns its result, or one of the public answers ``Snooze``, ``Skip`` and ``Fail``; the executor turns
that into an *outcome*, a value that settling understands.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

from heliostat import codec
from heliostat.effects import Effect, End, Send, Start
from heliostat.task import AttemptState


@dataclass(frozen=True, slots=True)
class Snooze:
    """Answer: ask me again after ``delay``. It holds no slot meanwhile and counts as no retry."""

    delay: str | timedelta | float


@dataclass(frozen=True, slots=True)
class Skip:
    """Answer: there is nothing to do here, and what waits for this is skipped too."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fail:
    """Answer: this failed for good; no retry."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The message that tells a handler how a run that it started came out."""

    run: str
    state: str
    result: Any = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided in a review."""

    choice: str
    by: str = ""
    reason: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """What ``ctx.failure`` tells: where the run, or what the node waits for, failed, and why.

    ``item`` is which one of the list that the node goes over; ``error`` begins with its value then.
    """

    node: str
    attempt: int
    error: str
    item: int | None = None


class Succeeded(NamedTuple):
    """A result as JSON text. ``choice`` is the string it is, ``width`` the length of the list it is, if it is one.

    A named tuple, like all that is made once per task.
    """

    result: str = "null"
    effects: tuple[Effect, ...] = ()
    choice: str | None = None
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The same attempt's effects, and another attempt at ``until``."""

    until: float
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A person is asked; if nobody has decided until then (None: for ever), another attempt sees what follows."""

    until: float | None


@dataclass(frozen=True, slots=True)
class Begun:
    """The node is another run, which begins with this commit; at its end another attempt sees how it came out.

    ``before`` is how many runs it was until now: their failures are all that count as its own.
    """

    effects: tuple[Start]
    before: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """Nothing to do; effects count."""

    reason: str
    effects: tuple[Effect, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", codec.legible(self.reason))


@dataclass(frozen=True, slots=True)
class Failed:
    """It raised, timed out or answered Fail; effects are dropped.

    ``final`` says that another try is not worth it, ``retry_at`` when it begins.
    """

    error: str
    retry_at: float | None = None
    how: AttemptState = AttemptState.failed
    final: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "error", codec.legible(self.error))


@dataclass(frozen=True, slots=True)
class Released:
    """The worker hands the attempt back, before it began or with its job as it is; nothing counts.

    The next one is at once, or not before ``until``; then the reason tells what is waited for. ``how`` is as what it is
    remembered, where it had begun and was ended.
    """

    reason: str = "handed back"
    until: float | None = None
    how: AttemptState | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", codec.legible(self.reason))


@dataclass(frozen=True, slots=True)
class Rescued:
    """The attempt ended with its worker; the task is ready again."""

    reason: str = "its worker was lost"


Outcome: TypeAlias = Succeeded | Snoozed | Asked | Begun | Skipped | Failed | Released | Rescued


def ends(outcome: Outcome) -> bool:
    """Whether an outcome may end its run."""
    if isinstance(outcome, Failed):
        return outcome.retry_at is None
    return any(isinstance(effect, End) for effect in getattr(outcome, "effects", ()))


def times(outcome: Outcome) -> list[float]:
    """The times for which an outcome asks."""
    if isinstance(outcome, Failed):
        return [] if outcome.retry_at is None else [outcome.retry_at]
    if isinstance(outcome, Snoozed | Asked | Released):
        return [] if outcome.until is None else [outcome.until]
    effects = getattr(outcome, "effects", ())
    return [effect.due_at for effect in effects if isinstance(effect, Send) and effect.due_at is not None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What settling said of one attempt: ``committed``, ``lost``, ``ended``, ``conflict`` or ``refused``, and why."""

    word: str
    reason: str = ""


COMMITTED = Verdict("committed")
LOST = Verdict("lost", "the lease had passed to another worker")
RUN_ENDED = Verdict("ended", "the run was over")
