"""The rows a ledger works on: what a database must be able to do inside one transaction.

Every method is set-based: it takes all rows of a commit at once. Nothing here decides; the ledger does. Locks are
taken in this order: runs by id, then the tasks that are settled, then queues and lanes, then the tasks that are
leased, which skip what others hold. Shapes that travel are named tuples, so that a database can bind them as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from heliostat.artifact import Artifact
    from heliostat.graph import Graph
    from heliostat.queue import Hold, Lane, Queue, WorkerInfo
    from heliostat.rerun import Count
    from heliostat.review import Review
    from heliostat.run import RunState
    from heliostat.store import Reference
    from heliostat.task import Attempt, Task, TaskState
    from heliostat.trigger import Schedule


class RunRow(NamedTuple):
    """A run under lock."""

    id: int
    graph: int
    priority: int
    parent: int | None
    parent_task: int | None
    created_at: float
    state: RunState  # from here on, what can change: as ``RunChange`` begins
    paused: bool
    closing: bool
    open: int
    last: int
    result: str | None
    reason: str | None
    ended_at: float | None


class NewRun(NamedTuple):
    """A run to insert."""

    id: int
    graph: int
    name: str
    priority: int
    message: str
    idempotency_key: str | None
    parent: int | None
    parent_task: int | None
    created_at: float
    deadline_at: float | None


class RunChange(NamedTuple):
    """What a commit leaves of a locked run."""

    state: RunState
    paused: bool
    closing: bool
    open: int
    last: int
    result: str | None
    reason: str | None
    ended_at: float | None
    id: int


class NewTask(NamedTuple):
    """A task to insert."""

    run: int
    number: int
    lane: int
    node: str
    item: int | None
    state: TaskState
    held: bool
    priority: int
    key: str | None
    missing: int
    unmet: int
    width: int | None
    block: int | None
    join: int | None
    place: int | None
    cause: int | None
    message: str | None
    idempotency_key: str | None
    due_at: float | None
    epilogue: bool
    reason: str | None
    created_at: float
    ended_at: float | None


class Stale(Exception):
    """A fence did not hold: what the transaction was to settle has passed to somebody else."""


class Success(NamedTuple):
    """The settling of an attempt that simply succeeded, where ``worker`` still holds this attempt of the task."""

    result: str
    ended_at: float
    run: int
    number: int
    attempt: int
    worker: str


class Fence(NamedTuple):
    """Any other settling of an attempt, where ``worker`` still holds this attempt of the task.

    ``settled`` is the attempt if this is its own outcome, and 0 where a rescue or the run's end decides for it;
    ``missing`` is what the task then waits for: the end of another run.
    """

    state: TaskState
    reason: str | None
    due_at: float | None
    holds: bool
    failures: int
    rescues: int
    ended_at: float
    settled: int
    missing: int
    run: int
    number: int
    attempt: int
    worker: str


class Arrival(NamedTuple):
    """What arrives at a waiting task. ``decide`` keeps it from being readied by the statement that reaches zero."""

    by: int
    unmet: int
    width: int | None
    decide: bool
    run: int
    number: int


class Arrived(NamedTuple):
    """What a waiting task is after an arrival."""

    run: int
    number: int
    node: str
    missing: int
    unmet: int
    width: int | None
    key: str | None
    join: int | None


class Finish(NamedTuple):
    """A pending task that needs no attempt: skipped, or an each node over nothing."""

    state: TaskState
    reason: str | None
    width: int | None
    ended_at: float
    run: int
    number: int


class Expand(NamedTuple):
    """A waiting task that becomes ready. An each node's first: with its list's width and where the others begin."""

    width: int | None
    block: int | None
    run: int
    number: int


class Asking(NamedTuple):
    """A review to open."""

    run: int
    number: int
    asked_at: float
    due_at: float | None


class PastAttempt(NamedTuple):
    """An attempt that ended otherwise than well, to insert."""

    run: int
    number: int
    attempt: int
    state: str
    worker: str
    started_at: float
    ended_at: float
    reason: str | None


class FenceState(NamedTuple):
    """Where a task stands, for an attempt that wants to settle."""

    state: TaskState
    attempt: int
    settled: int
    worker: str | None
    called_off: str | None  # why it is to fail, where somebody has cancelled it while it runs


class Due(NamedTuple):
    """A waiting task whose time has come."""

    run: int
    number: int
    key: str | None


class Carried(NamedTuple):
    """A node whose tasks another run takes over: its number there and here, and its lane here."""

    node: str
    was: int
    number: int
    lane: int


Strays: TypeAlias = "Mapping[tuple[int, str], int]"  # by a lane and a node: the lane where its tasks belong


class Rows(Protocol):
    """A transaction on the rows. Leaving its ``with`` block commits; an exception rolls back."""

    # runs
    def run_lock(self, ids: Sequence[int]) -> list[RunRow]:
        """Lock runs in the order of their ids."""

    def run_insert(self, runs: Sequence[NewRun]) -> None:
        """Insert runs in state active, with nothing open; ``run_change`` follows in the same transaction."""

    def run_change(self, changes: Sequence[RunChange]) -> None:
        """Write locked runs."""

    def run_parent(self, ids: Sequence[int]) -> list[int]:
        """The parents of runs; they never change, so no lock is needed."""

    def run_told(self, run: int) -> tuple[int, str] | None:
        """The run that hears of a run's end, and the handler in it; they never change, so no lock is needed."""

    def run_by_key(self, workflow: str, key: str) -> tuple[int, str] | None:
        """The run started with an idempotency key for a workflow, and its message."""

    def run_key(self, run: int) -> str | None:
        """The idempotency key of a run."""

    def run_rekey(self, run: int, key: str) -> None:
        """Give a run another key."""

    def run_overdue(self, now: float, limit: int) -> list[int]:
        """Active runs whose deadline has passed, and that are not failing already."""

    def run_next_deadline(self) -> float | None:
        """When the next of those is to have ended."""

    def run_dated(self, run: int, deadline_at: float | None) -> None:
        """Give a run another deadline, or none."""

    def run_leftover(self, limit: int) -> list[int]:
        """Ended runs with tasks that are not final, at which no sweep has looked since they were last written."""

    def run_swept(self, ids: Sequence[int]) -> None:
        """Mark that nothing of ended runs is left but what is running or belongs after the end."""

    # tasks
    def task_insert(self, tasks: Sequence[NewTask]) -> None:
        """Insert tasks; their order is the order of acceptance."""

    def task_settle(self, successes: Sequence[Success], others: Sequence[Fence]) -> None:
        """Settle attempts; a fence that does not hold raises Stale, here or at the latest before the commit."""

    def task_fences(self, references: Sequence[Reference]) -> dict[Reference, FenceState]:
        """Lock tasks and say where they stand."""

    def task_arrive(self, arrivals: Sequence[Arrival]) -> list[Arrived]:
        """Count down waiting tasks; those that reach zero with nothing unmet become ready, unless told to decide."""

    def task_gate(self, run: int, node: str, unmet: int, *, failing: bool) -> list[Arrived]:
        """The gate of a handler opens: an arrival at each of its tasks that miss something.

        In a failing run these are cancelled, in others they have not begun.
        """

    def task_finish(self, finishes: Sequence[Finish]) -> None:
        """Settle pending tasks that need no attempt."""

    def task_expand(self, expansions: Sequence[Expand]) -> None:
        """Make waiting tasks ready."""

    def task_turn(self, keys: Iterable[tuple[int, str]]) -> None:
        """Of each run and serial key that nobody holds, ready the first task whose inputs are there."""

    def task_cancel(self, run: int, reason: str, now: float, limit: int) -> int:
        """Cancel a run's tasks that have not begun, each with the turn it has; answers how many."""

    def task_hold(self, run: int, *, held: bool) -> None:
        """Set the mark that takes a paused run's open tasks out of the ready index."""

    def task_open(self, run: int) -> int:
        """How many tasks of a run are not final."""

    def task_by_key(self, run: int, node: str, key: str) -> tuple[int, str | None] | None:
        """The task a message with an idempotency key gave birth to, and the message."""

    def task_get(self, run: int, number: int) -> Task | None:
        """A task as it is now."""

    def task_failed(self, run: int, number: int) -> bool:
        """Whether any task of an each node, whose first task is named, has failed."""

    def task_of_worker(self, worker: str) -> list[Attempt]:
        """The attempts a worker holds."""

    def task_adopt(self, attempts: Sequence[Attempt], worker: str, now: float) -> list[Attempt]:
        """Pass attempts whose work goes on without their worker to another worker."""

    def task_due(self, now: float, limit: int) -> list[Due]:
        """Waiting tasks whose time has come, oldest first."""

    def task_promote(self, due: Sequence[Due], now: float) -> None:
        """Move waiting tasks on: to pending where inputs or their turn are missing, else to ready."""

    def task_next_due(self) -> float | None:
        """When the next waiting task's time comes."""

    # reviews
    def review_ask(self, asked: Sequence[Asking]) -> None:
        """Open reviews; one that is asked for again stays as it is."""

    def review_find(self, run: int, number: int) -> Review | None:
        """A review that is open."""

    def review_claim(self, run: int, number: int, by: str | None, at: float | None) -> None:
        """Write who has claimed a review, or that nobody has."""

    def review_close(self, closed: Sequence[Reference]) -> None:
        """Close reviews that are decided."""

    def review_close_all(self, run: int) -> None:
        """Close all reviews of a run."""

    def task_decide(
        self, run: int, number: int, state: TaskState, result: str | None, reason: str | None, now: float
    ) -> bool:
        """Settle a task that is ready or waiting, or has failed; answers whether it was."""

    # a run that goes on after it has failed
    def task_failures(self, run: int) -> list[tuple[int, str]]:
        """The tasks of a run that have failed, number and node, but for those after its end."""

    def task_again(self, tasks: Sequence[tuple[int, int, int, int]]) -> None:
        """Give failed tasks another attempt, in their turn: of each its run, number, and what is missing and unmet."""

    def task_revive(self, run: int, now: float) -> None:
        """Have what a run's end has cancelled go on from where it was; what came after it leaves its key to others."""

    def task_reask(self, run: int, nodes: Iterable[str]) -> None:
        """Have reviews asked again that were closed with the run."""

    def task_keys(self, run: int) -> list[str]:
        """The serial keys of which something waits for its turn."""

    def task_heard(self, run: int) -> list[tuple[int, str, int]]:
        """The tasks that were to be told of the end of another run which has ended, as far as they miss anything.

        With number, node, and how much they miss.
        """

    def task_call_off(self, run: int, number: int, reason: str) -> bool:
        """Mark a running task as one that is to fail; answers False if it does not run, or is marked already."""

    def task_set(self, run: int, number: int, priority: int) -> bool:
        """Set the priority of a task that has not begun; answers whether it had not."""

    # a run that takes over what another one has settled
    def task_counts(self, run: int) -> list[Count]:
        """How many tasks of each node are in each state, by who sent or brought them."""

    def gate_firsts(self, run: int) -> dict[str, int]:
        """The first task that each handler settled."""

    def run_carry(self, run: int, to: int, nodes: Sequence[Carried], graph: int, shift: int) -> None:
        """Copy the tasks, records, artifacts and gates of nodes to another run; all tasks are final.

        ``graph`` is how many nodes the run's graph has; the numbers after these go up by ``shift``.
        """

    # runs that are part of another
    def run_parts(self, run: int, node: str, limit: int) -> list[int]:
        """The runs that a node of a run is, as far as they have not ended."""

    def task_parts(self, run: int, node: str) -> list[tuple[int, TaskState, int]]:
        """The tasks of such a node that are pending or have failed, with their states and newest runs."""

    def task_await(self, tasks: Sequence[Reference]) -> None:
        """Have failed tasks wait for the end of their runs, which go on: their failure is undone."""

    # handlers' gates
    def gate_first(self, run: int, node: str, number: int) -> bool:
        """Remember the first task that a handler settled; answers whether this is it."""

    def gate_arrive(self, run: int, node: str, waits: int, by: int, unmet: int) -> tuple[int, int]:
        """Count down what a handler waits for; answers what is missing and unmet now."""

    def gate_state(self, run: int, node: str) -> tuple[int, int] | None:
        """What a handler's gate still misses, or None if nothing has arrived yet."""

    # what a run keeps
    def record_put(self, records: Sequence[tuple[int, str, str | None, int, str]]) -> None:
        """Put records: run, node, key, number of the task, value."""

    def artifact_insert(self, kept: Sequence[tuple[int, int, Artifact, float]]) -> None:
        """Keep artifacts: run, number of the task, artifact, time."""

    def attempt_insert(self, attempts: Sequence[PastAttempt]) -> None:
        """Remember attempts that ended otherwise than well."""

    def journal_insert(self, entries: Sequence[tuple[int, float, str, str]]) -> None:
        """Append to the journal: run, time, actor, event."""

    # definitions, queues, lanes, leases
    def graph_same(self, name: str, version: str) -> list[Graph]:
        """Registered graphs of a name and version."""

    def graph_insert(self, graph: Graph, now: float) -> bool:
        """Have a definition; answers whether it is new."""

    def graph_lock(self, graph: int) -> Graph | None:
        """Lock a registered definition, for whoever changes it or its lanes."""

    def graph_change(self, graph: Graph, now: float | None = None) -> None:
        """Write a locked definition; with ``now`` it is the last of all that were registered."""

    def graph_get(self, graph: int) -> Graph | None:
        """A registered definition."""

    def lane_list(self, graphs: Iterable[int] | None = None) -> list[tuple[Lane, Queue]]:
        """The lanes of definitions (None: all), with their queues. The same list, answered again, says the same."""

    def lane_soon(self, graphs: Iterable[int]) -> None:
        """These lanes will be listed: a database that is far away may be asked now."""

    def lane_insert(self, lanes: Sequence[Lane]) -> None:
        """Have lanes and their queues; those that exist stay as they are."""

    def lane_set(self, lane: Lane) -> None:
        """Write a node's own lane, with its queue; it takes over what is ready or running of that node.

        What is pending or waiting belongs to whoever has locked its run, and is moved when it would be leased.
        """

    def queue_get(self, name: str) -> Queue | None:
        """A queue, locked for whoever changes it."""

    def queue_have(self, name: str) -> Queue:
        """The same of a queue that is made where there is none."""

    def queue_set(self, queue: Queue) -> None:
        """Write a locked queue."""

    def queue_free(self, queues: Sequence[str]) -> dict[str, float]:
        """From when on the rates of locked queues let the next attempt begin."""

    def queue_taken(self, queue: str, free_at: float) -> None:
        """Remember from when on a locked queue's rate lets the next attempt begin."""

    def lane_running(self, queues: Sequence[str], lanes: Sequence[int]) -> tuple[dict[str, int], dict[int, int]]:
        """Lock limited queues and lanes, and count what runs in each: by queue, by lane."""

    def task_lease(
        self, worker: str, lanes: Sequence[tuple[Lane, int]], n: int, now: float, strays: Strays
    ) -> tuple[list[Attempt], int]:
        """Take up to ``n`` ready tasks from lanes of one queue, each within its own number, best first.

        Tasks among them that are strays are moved instead; answers the attempts, and how many were moved.
        """

    def task_move(self, strays: Strays, limit: int) -> None:
        """Move strays to where they belong, of the best ``limit`` tasks of each lane."""

    # schedules
    def schedule_insert(self, schedule: Schedule) -> None:
        """Have a schedule; one that the workflow has stays as it is."""

    def schedule_lock(self, workflows: Sequence[str]) -> list[Schedule]:
        """Lock the schedules of workflows."""

    def schedule_list(self) -> list[Schedule]:
        """All schedules."""

    def schedule_fire(self, schedule: Schedule, next_at: float, last_at: float | None) -> bool:
        """Have a schedule that stands where it was read, and is not paused, go on; answers whether it did."""

    def schedule_follow(self, schedule: Schedule, graph: int, next_at: float) -> bool:
        """Give a schedule that has the definition and tick with which it was read another one; answers whether."""

    def schedule_drop(self, schedule: Schedule) -> bool:
        """Forget a schedule that has the definition and tick with which it was read; answers whether it had."""

    def hold_set(self, hold: Hold, *, on: bool) -> None:
        """Remember who has paused what was locked for it, or that it goes on."""

    def schedule_pause(self, workflow: str, next_at: float, *, paused: bool) -> None:
        """Pause a locked schedule, or let it go on with a tick."""

    # workers
    def worker_beat(self, worker: WorkerInfo, now: float) -> bool:
        """Write a heartbeat; answers False if the worker was declared lost. One that drains goes on draining."""

    def worker_drain(self, worker: str) -> bool:
        """Have an active worker drain; answers whether it was active."""

    def worker_state(self, worker: str) -> str | None:
        """What a worker is: active, draining, stopped, lost; None if there is none."""

    def worker_stops(self, worker: str) -> dict[Reference, bool]:
        """The worker's attempts that are to stop: whether they were called off, or else their run is over."""

    def worker_lose(self, worker: str, beat: int) -> bool:
        """Declare a worker lost if its heartbeat is still the one seen; answers whether it was."""
