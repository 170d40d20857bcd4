"""The task: the unit of work of a node in a run, its states, and the attempt that a worker holds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

lean = tuple.__new__  #: makes a named tuple of all its values in one tuple, at half of what a call by names costs


class TaskState(StrEnum):
    """Where a task stands; the comment says who moves it in and out."""

    pending = "pending"  # in: born before its inputs or its turn, or it is a run; out: what it waits for has settled
    ready = "ready"  # in: birth, arrival, promotion, rescue; out: a lease, a decision, or the end of the run
    running = "running"  # in: a lease; out: settling, a rescue, or the end of the run
    waiting = "waiting"  # in: a delay, a retry, a snooze, a review; out: its time, a decision, or the run's end
    succeeded = "succeeded"  # in: an attempt that answered with a result, a decision; final
    failed = "failed"  # in: an attempt that failed for the last time, an operator's cancel; out: only an operator
    cancelled = "cancelled"  # in: the end of the run before it could act; out: only an operator's retry of the run
    skipped = "skipped"  # in: an input that did not come, or its own answer; final

    @property
    def final(self) -> bool:
        """Whether nothing but an operator moves it any more."""
        return self in FINAL


FINAL = frozenset({TaskState.succeeded, TaskState.failed, TaskState.cancelled, TaskState.skipped})

_S = TaskState
#: From each state, the states a task may move to.
TASK_MOVES: dict[TaskState, frozenset[TaskState]] = {
    _S.pending: frozenset({_S.ready, _S.skipped, _S.succeeded, _S.cancelled}),
    _S.ready: frozenset({_S.running, _S.succeeded, _S.failed, _S.skipped, _S.cancelled}),
    _S.running: frozenset({_S.pending, _S.ready, _S.waiting, _S.succeeded, _S.failed, _S.skipped, _S.cancelled}),
    _S.waiting: frozenset({_S.ready, _S.pending, _S.succeeded, _S.failed, _S.skipped, _S.cancelled}),
    _S.succeeded: frozenset(),
    _S.failed: frozenset({_S.ready, _S.pending, _S.succeeded, _S.skipped}),
    _S.cancelled: frozenset({_S.ready, _S.pending, _S.waiting, _S.succeeded, _S.skipped}),
    _S.skipped: frozenset(),
}


class AttemptState(StrEnum):
    """How an attempt ended, where it ended otherwise than well."""

    failed = "failed"  # it raised, or answered Fail; its job ended with an exit code, or without its outputs
    timed_out = "timed_out"  # it did not answer in time
    out_of_memory = "out_of_memory"  # it took more memory than it had asked for
    killed = "killed"  # somebody ended its job or its process behind our back
    lost = "lost"  # its job is gone and left no exit code, or the machine that ran it is
    snoozed = "snoozed"  # it asked to be asked again
    rescued = "rescued"  # its worker was lost
    stopped = "stopped"  # the run ended while it was running, or somebody cancelled it


_A = AttemptState
#: How an attempt may end after which a policy decides whether there is another; a failure each.
ENDINGS = frozenset({_A.failed, _A.timed_out, _A.out_of_memory, _A.killed, _A.lost})
#: How the reasons of other attempts begin that are a failure each, too, and that no policy is asked about.
CANCELLED_BY, LOST_WITH = "cancelled by", "lost with its worker"


class Attempt(NamedTuple):
    """One try at a task, as a lease gives it to a worker: all that running and settling it needs.

    ``number`` is the task's within its run and ``count`` the attempt's within its task; ``count`` is the fence:
    only the holder of the newest count can change the task. Inputs are not here: they are read by reference.
    A named tuple, like all that is made once per task.
    """

    run: int
    number: int
    count: int  # type: ignore[assignment]  # a tuple's own count() is of no use here
    graph: int
    node: str
    queue: str = "default"
    item: int | None = None
    message: str | None = None
    key: str | None = None
    join: int | None = None
    place: int | None = None
    failures: int = 0
    rescues: int = 0
    started_at: float = 0.0
    due_at: float | None = None
    epilogue: bool = False
    parent: int | None = None

    @property
    def task(self) -> tuple[int, int]:
        """The task's key: run and number."""
        return self[:2]


@dataclass(frozen=True, slots=True)
class Task:
    """A task as it is read: its state and everything that is known of it."""

    run: int
    number: int
    node: str
    state: TaskState
    graph: int = 0
    queue: str = "default"
    item: int | None = None
    held: bool = False
    priority: int = 0
    key: str | None = None
    missing: int = 0
    unmet: int = 0
    width: int | None = None
    block: int | None = None
    join: int | None = None
    place: int | None = None
    cause: int | None = None
    message: str | None = None
    idempotency_key: str | None = None
    due_at: float | None = None
    count: int = 0
    failures: int = 0
    rescues: int = 0
    worker: str | None = None
    created_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    result: str | None = None
    reason: str | None = None

    @property
    def title(self) -> str:
        """Its node, and which item of the list that goes over: ``nap[0]``."""
        return self.node if self.item is None else f"{self.node}[{self.item}]"
