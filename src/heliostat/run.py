"""The run: one execution of a workflow, pinned to its graph; its states and its public id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from heliostat.errors import NotFound


class RunState(StrEnum):
    """Where a run stands; *paused* is a mark beside it."""

    pending = "pending"  # in: accepted to begin later; out: its time
    active = "active"  # in: start, or an operator's retry; out: its last task, complete, cancel or a failure
    succeeded = "succeeded"  # in: the last open task settled, or complete
    failed = "failed"  # in: a failure that no edge catches; out: an operator's retry
    cancelled = "cancelled"  # in: cancel, or the end of the run that it is part of; out: that run's retry

    @property
    def final(self) -> bool:
        """Whether the run is over."""
        return self in (RunState.succeeded, RunState.failed, RunState.cancelled)

    @property
    def over(self) -> str:
        """The clause that says so: ``had succeeded``, ``had failed``, ``was cancelled``."""
        return f"was {self}" if self is RunState.cancelled else f"had {self}"


_R = RunState
#: From each state, the states a run may move to.
RUN_MOVES: dict[RunState, frozenset[RunState]] = {
    _R.pending: frozenset({_R.active, _R.cancelled}),
    _R.active: frozenset({_R.succeeded, _R.failed, _R.cancelled}),
    _R.succeeded: frozenset(),
    _R.failed: frozenset({_R.active}),
    _R.cancelled: frozenset({_R.active}),
}


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it is read. ``open`` counts its tasks that are not final, plus one where it stays open."""

    id: int
    graph: int
    state: RunState
    name: str = ""
    paused: bool = False
    closing: bool = False
    open: int = 0
    last: int = 0
    priority: int = 0
    message: str = "null"
    result: str | None = None
    reason: str | None = None
    idempotency_key: str | None = None
    parent: int | None = None
    parent_task: int | None = None
    created_at: float = 0.0
    ended_at: float | None = None
    deadline_at: float | None = None

    @property
    def public(self) -> str:
        """The id that people type."""
        return public_id(self.id)


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u to misread
_VALUE = {letter: value for value, letter in enumerate(_ALPHABET)}
_SHAPE = re.compile(rf"[{_ALPHABET}]{{13}}")
OVERDUE = "it had not ended by its deadline"  #: the reason of a run that failed for that
EPOCH = 1_735_689_600.0  #: 2025-01-01 UTC, where run ids begin to count
RANDOM_BITS = 20  #: below the milliseconds, so that processes that start runs at once do not meet


_REPLACED = re.compile(r"(.+) \(replaced by [0-9a-z]{13}\)", re.DOTALL)


def replaced_key(key: str, by: int) -> str:
    """The key of a run in whose place another one has come, which has the key now."""
    return f"{key} (replaced by {public_id(by)})"


def key_before(key: str | None) -> str | None:
    """The key that a run had before it was replaced; None if it was not."""
    found = _REPLACED.fullmatch(key or "")
    return found[1] if found else None


def public_id(run: int) -> str:
    """A run's key as 13 letters whose order is the order of time."""
    return "".join(_ALPHABET[(run >> shift) & 31] for shift in range(60, -1, -5))


def parse_id(text: str) -> int:
    """The key behind a public id; raises NotFound for what cannot be one."""
    word = str(text).strip().lower()
    if not _SHAPE.fullmatch(word):
        raise NotFound(f"{text!r} is no run id; an id has 13 letters and digits, such as {public_id(1 << 60)}")
    value = 0
    for letter in word:
        value = value << 5 | _VALUE[letter]
    if value >= 1 << 63:
        raise NotFound(f"{text!r} is no run id")
    return value


def task_id(run: int, number: int) -> str:
    """A task's public id: its run's, a slash and its number."""
    return f"{public_id(run)}/{number}"


def split_task_id(text: str) -> tuple[str, int]:
    """The run's part of a task's public id, which may be a short form, and the number; raises NotFound."""
    run, slash, number = text.partition("/")
    if not slash or not number.isascii() or not number.isdigit() or len(number) > 18:
        raise NotFound(f"{text!r} is no task id; write the run's id, a slash and the task's number")
    return run, int(number)
