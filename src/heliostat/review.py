"""The review: what a person is asked in a run, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from heliostat.codec import seconds
from heliostat.errors import BadInput, DefinitionError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

LETTERS = 100  #: of a choice and of a role


@dataclass(frozen=True, slots=True)
class ReviewSpec:
    """What a review asks: one of ``choices``, by somebody with a ``role``.

    If nobody has decided within ``deadline`` (it becomes seconds), it is decided ``otherwise``, or fails.
    """

    choices: tuple[str, ...]
    role: str = ""
    deadline: str | timedelta | float | None = None
    otherwise: str | None = None

    def __post_init__(self) -> None:
        choices = self.choices
        words: tuple[object, ...] = (*choices, self.role)
        for word in words:
            if not isinstance(word, str) or len(word) > LETTERS or not (word.isprintable() or not word):
                raise DefinitionError(f"choices and role are words of up to {LETTERS} letters, not {word!r}")
        if not choices or "" in choices:
            raise DefinitionError('choices= takes one or more words, such as ("publish", "discard")')
        if twice := [choice for choice in choices if choices.count(choice) > 1]:
            raise DefinitionError(f"choices= names {twice[0]!r} twice")
        if self.otherwise is not None and self.otherwise not in choices:
            near = nearest(self.otherwise, choices)
            raise DefinitionError(f"otherwise={self.otherwise!r} is none of its choices{near}")
        if self.deadline is not None:
            object.__setattr__(self, "deadline", _time_to_decide(self.deadline))
        elif self.otherwise is not None:
            raise DefinitionError("otherwise= is what a deadline decides; say deadline=, too")

    def chosen(self, choice: object, where: str) -> str:
        """A choice, if it is one; raises BadInput with those there are."""
        if not isinstance(choice, str) or choice not in self.choices:
            near = nearest(choice, self.choices) if isinstance(choice, str) else ""
            raise BadInput(f"{where}: {choice!r} is no choice{near or f'; decide {self.words}'}")
        return choice

    @property
    def words(self) -> str:
        """The choices, as people read them."""
        return " or ".join(self.choices)


def _time_to_decide(deadline: str | timedelta | float) -> float:
    try:
        found = seconds(deadline, "deadline")
    except BadInput as error:
        raise DefinitionError(str(error)) from None
    if found <= 0:
        raise DefinitionError(f"deadline={deadline!r} would leave nobody time to decide")
    return found


@dataclass(frozen=True, slots=True)
class Review:
    """A review that is open: which task it is, since when, until when, and who has claimed it."""

    run: int
    number: int
    node: str
    item: int | None
    asked_at: float
    due_at: float | None = None
    claimed_by: str | None = None
    claimed_at: float | None = None


def told(made: Mapping[str, Any]) -> str:
    """What such a result says, as a clause: who decided what, when and why."""
    at = f"{str(made['at'])[:19]}Z"  # in UTC, to the second
    why = f": {made['reason']}" if made["reason"] else ""
    return f"{made['by'] or 'its deadline'} decided {made['choice']!r} at {at}{why}"


def decision(choice: str, by: str, reason: str, at: float) -> str:
    """The result of a review, as JSON text: what functions get as a ``Decision``."""
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return to_json({"choice": choice, "by": by, "reason": reason, "at": when}).decode()
