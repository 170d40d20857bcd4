"""The seam to the database: what every store promises.

Each method of a ``Store`` is one transaction: when it returns, all of it is durable; when it raises, nothing of it
happened. Only after StoreUnavailable nobody knows, and the same call may be made again: an outcome is known by its
attempt, a new run by its id, a message by its idempotency key (one without a key is another message), and what was
leased or adopted unheard is answered to who asks ``again``. Three work in several transactions, each of them whole:
``settle`` where an outcome of a batch is refused and they are taken one by one, ``rescue`` worker by worker, and
``prune`` by batches of runs.
Times are seconds since 1970; they are always given, never taken from the store's own clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from heliostat.codec import whole
from heliostat.effects import PRIORITY, End, Keep, Send, Start
from heliostat.queue import Why, WorkerInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from heliostat.artifact import Artifact
    from heliostat.graph import Graph
    from heliostat.outcome import Outcome, Verdict
    from heliostat.queue import Hold, Lane, Queue, Terms
    from heliostat.review import Review
    from heliostat.run import Run, RunState
    from heliostat.task import Attempt, Task, TaskState
    from heliostat.trigger import Schedule


@dataclass(frozen=True, slots=True)
class Register:
    """Make a definition known; refused if its name and version stand for another structure."""

    graph: Graph


@dataclass(frozen=True, slots=True)
class Pause:
    """Hold (or release) the open tasks of a run; what is running goes on."""

    on: bool = True


@dataclass(frozen=True, slots=True)
class Claim:
    """Take (or give back) a review that is open, so that nobody else decides it meanwhile."""

    number: int
    on: bool = True


@dataclass(frozen=True, slots=True)
class Decide:
    """Decide a review that is open; without a choice it is withdrawn, and what waits for it is skipped."""

    number: int
    choice: str | None = None


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Give what made a run fail one more attempt: the run goes on from where it was, with all that its end cancelled.

    ``number`` is a task that failed; others that did so too are tried again with it. None: the run failed for its
    deadline. It has none from then on, unless a new one is given.
    """

    number: int | None
    deadline_at: float | None = None


@dataclass(frozen=True, slots=True)
class Resolve:
    """Say how a task came out, in the place of an attempt: skipped, or succeeded with a result.

    It is ready, waiting, or has made its run fail; that run goes on.
    """

    number: int
    state: TaskState
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Have a task fail: at once where it has not begun, else as soon as its worker has heard of it.

    One that succeeds before that has succeeded.
    """

    number: int


@dataclass(frozen=True, slots=True)
class SetTask:
    """Have a task that has not begun come sooner or later."""

    number: int
    priority: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "priority", whole(self.priority, "priority", -PRIORITY, PRIORITY))


@dataclass(frozen=True, slots=True)
class Replace:
    """Start a run with a key in the place of that which the key stands for, if that has another message.

    The run of before is cancelled, if it still goes on, and has no key any more.
    """

    start: Start


@dataclass(frozen=True, slots=True)
class Rerun:
    """Begin a run that takes over from one that is over what lies before some nodes; from none: all runs anew."""

    start: Start
    at: tuple[str, ...] = ()


SEVERAL = 0  #: the run of a journal line that tells of several runs
KEEP = -1  #: a limit that is to stay as it is
KEEP_RATE = ""  #: a rate that is to stay as it is


@dataclass(frozen=True, slots=True)
class SetQueue:
    """Set a queue's limit and rate (None: none) and whether it is paused; what is not given stays.

    What an operator has set stays whatever is configured, until ``as_configured`` leaves it to that again.
    """

    name: str
    limit: int | None = KEEP
    paused: bool | None = None
    rate: str | None = KEEP_RATE
    as_configured: bool = False


@dataclass(frozen=True, slots=True)
class Configure:
    """Have a queue on the terms that the configuration of a process says; what operators have set stays."""

    name: str
    terms: Terms


@dataclass(frozen=True, slots=True)
class SetNode:
    """Set a node's own limit and whether it is paused, in one definition, over all its runs."""

    graph: int
    node: str
    limit: int | None = KEEP
    paused: bool | None = None


@dataclass(frozen=True, slots=True)
class Drain:
    """Have a worker take nothing more, finish what it has begun, and end; it hears of it with its next heartbeat."""

    worker: str


@dataclass(frozen=True, slots=True)
class FireTicks:
    """Start the runs of ticks and have their schedule go on; nothing happens unless it stands where it was read."""

    schedule: Schedule
    starts: tuple[Start, ...]
    next_at: float
    last_at: float | None


@dataclass(frozen=True, slots=True)
class Follow:
    """Have a schedule start runs of another definition, unless it has changed since it was read.

    One without a trigger ends it.
    """

    schedule: Schedule
    graph: Graph


@dataclass(frozen=True, slots=True)
class SetSchedule:
    """Pause the schedule of a workflow, or let it go on with the next tick."""

    workflow: str
    paused: bool


Verb: TypeAlias = (
    "Start | Replace | Rerun | Send | End | Keep | Pause | Claim | Decide | TryAgain | Resolve | Cancel | SetTask"
    " | Register | SetQueue | SetNode | Configure | Drain | FireTicks | Follow | SetSchedule"
)


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody outside asks for: the verb, the run it is about, who asks and why."""

    verb: Verb
    run: int | None = None
    actor: str = "caller"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command did: ``done`` is False where it was a repetition or came too late, and ``note`` says so."""

    run: int | None = None
    number: int | None = None
    done: bool = True
    note: str = ""


class Ask(NamedTuple):
    """What a worker would lease: up to ``n`` tasks of the definitions it offers.

    ``queues`` restricts to those named (None: all). ``turn`` rotates which queue comes first. ``ahead`` is how many
    beyond its free slots it would take, from lanes without a limit only. With ``again`` an answer before may have been
    lost: what the worker holds is answered, the attempts it knows of among it; only if it holds nothing, more is taken.
    Functions of ``batched`` queues are jobs, and jobs of ``reached`` queues can be watched from any machine.
    """

    worker: str
    offers: frozenset[int]
    n: int
    queues: frozenset[str] | None = None
    turn: int = 0
    ahead: int = 0
    again: bool = False
    batched: frozenset[str] = frozenset()
    reached: frozenset[str] = frozenset()


class Orders(NamedTuple):
    """What a heartbeat is answered: whose run is over, whether the worker is to drain, and what is cancelled."""

    stop: frozenset[Reference] = frozenset()
    drain: bool = False
    cancelled: frozenset[Reference] = frozenset()


class Batch(NamedTuple):
    """What one commit answered: a verdict for each outcome, and the attempts leased in the same transaction."""

    verdicts: tuple[Verdict, ...] = ()
    leased: tuple[Attempt, ...] = ()


class Settled(NamedTuple):
    """How a task came out, as inputs read it. ``width`` and ``block`` say where an each node's tasks are."""

    state: TaskState
    result: str | None = None
    width: int | None = None
    block: int | None = None
    reason: str | None = None


class Busy(NamedTuple):
    """A task that is running: where it belongs, and which try it is at."""

    run: int
    number: int
    graph: int
    node: str
    queue: str
    tried: int


@dataclass(frozen=True, slots=True)
class Record:
    """JSON that a node keeps inside a run between messages; ``seq`` is their order over the run."""

    seq: int
    node: str
    key: str | None
    value: str
    number: int


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """An attempt that ended otherwise than well."""

    number: int
    count: int
    state: str
    worker: str | None
    started_at: float | None
    ended_at: float
    reason: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the journal: what a commit changed in a run, when, and who did it. ``event`` is JSON.

    Tasks that simply succeeded are in one line for all runs of a commit, whose ``run`` is SEVERAL. A number stands for
    one line for ever: the newest line stays when its run is forgotten, though it says nothing more.
    """

    seq: int
    run: int
    at: float
    actor: str
    event: str


@dataclass(frozen=True, slots=True)
class Kept:
    """An artifact and the task that kept it."""

    artifact: Artifact
    number: int
    at: float


@dataclass(frozen=True, slots=True)
class Discarded:
    """What a forgotten run may have left among the files: an artifact by its digest, or what lies under its id.

    ``used``: a run that is there keeps the same artifact.
    """

    seq: int
    run: int
    digest: str | None
    used: bool


@dataclass(frozen=True, slots=True)
class About:
    """What database a store is on, for people: ``place`` names it without a password.

    ``doubts`` say what a power cut may take away, and what to do; there are none where commits survive one.
    ``ahead`` is by how many seconds its clock is ahead of this machine's; None where it has no clock of its own.
    """

    kind: str
    version: str
    place: str
    doubts: tuple[str, ...] = ()
    ahead: float | None = None


Woke: TypeAlias = "Callable[[Mapping[str, int]], object]"
Reference: TypeAlias = tuple[int, int]  # a run's key and a task's number


class Store(Protocol):
    """The only truth. See the module for what every method promises.

    ``woke``, where it is set, is called after each commit that made tasks ready which it has not leased itself, with
    about how many there are in which queue; it returns at once and never raises.
    """

    woke: Woke | None

    def accept(self, commands: Sequence[Command], now: float) -> list[Answer]:
        """Carry out commands from outside, all or none; raises Refused with the sentence of the first that cannot."""

    def settle(
        self, worker: str, outcomes: Sequence[tuple[Attempt, Outcome]], now: float, ask: Ask | None = None
    ) -> Batch:
        """Record outcomes and all that follows from them, fenced, and lease the next tasks in the same transaction."""

    def lease(self, ask: Ask, now: float) -> tuple[Attempt, ...]:
        """Take ready tasks: by queue in turn, priority, then order of acceptance; within every limit."""

    def beat(self, worker: WorkerInfo, now: float) -> Orders | None:
        """Show life; answers what the worker is to do, or None if it was declared lost."""

    def rescue(
        self, lost: Sequence[tuple[str, int]], now: float, adopter: Ask | None = None, *, here: bool = True
    ) -> tuple[int, tuple[Attempt, ...]]:
        """Take the attempts of lost workers (id and last beat seen) back; answers how many, and the adopted jobs.

        Jobs go on without their worker, and so do functions of the adopter's ``batched`` queues: they pass to the
        adopter if it offers them and can watch them, else they stay as they are. ``here``: it is where the lost ones
        were, so it can watch all of their jobs.
        """

    def promote(self, now: float) -> float | None:
        """Make ready whatever waited for a time that has come; answers when the next will come."""

    def sweep(self, now: float) -> int:
        """Finish what an end of run left over, in a bounded batch; answers how many tasks it closed."""

    # reads
    def run(self, run: int) -> Run | None:
        """One run."""

    def runs(
        self,
        workflow: str | None = None,
        state: RunState | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """Runs, newest first; ``before`` is the last id of the page before."""

    def graph(self, graph: int) -> Graph:
        """A registered definition; raises NotFound."""

    def graphs(self, name: str | None = None) -> list[Graph]:
        """Registered definitions, all or those of a name, oldest first; data is as old as its last registering."""

    def task(self, run: int, number: int) -> Task | None:
        """One task."""

    def tasks(
        self, run: int, state: TaskState | None = None, node: str | None = None, after: int = 0, limit: int = 1000
    ) -> list[Task]:
        """Tasks of a run, by number; ``after`` is the last number of the page before."""

    def messages(self, runs: Iterable[int]) -> dict[int, str]:
        """What runs were started with."""

    def results(self, references: Iterable[Reference]) -> dict[Reference, Settled]:
        """How tasks came out, by reference."""

    def items(self, run: int, number: int) -> list[Settled]:
        """How the tasks of an each node came out, in item order; ``number`` is its first task's."""

    def joined(self, run: int, number: int) -> list[Settled]:
        """How the members of a handler's join came out, in order."""

    def first(self, run: int, node: str) -> Settled | None:
        """How the first settled task of a handler came out."""

    def child(self, run: int, number: int) -> Run | None:
        """The run whose end this task waits for, or has waited for last."""

    def children(self, run: int, number: int) -> list[Run]:
        """All runs whose end this task has waited for, oldest first: several, where it was tried again."""

    def parts(self, run: int, limit: int = 100) -> list[Run]:
        """The runs that a run has started and hears of, oldest first."""

    def records(self, run: int, node: str | None = None, key: str | None = None) -> list[Record]:
        """Records of a run, in the order put."""

    def artifacts(self, run: int) -> list[Kept]:
        """What a run keeps, in the order kept."""

    def reviews(self, run: int | None = None, limit: int = 1000) -> list[Review]:
        """The reviews that are open, of one run or of all, oldest first."""

    def review(self, run: int, number: int) -> Review | None:
        """A review that is open."""

    def attempts(self, run: int, number: int | None = None) -> list[AttemptRecord]:
        """Attempts that ended otherwise than well."""

    def journal(self, run: int | None = None, after: int = 0, limit: int = 1000) -> list[Entry]:
        """What happened, in order."""

    def traffic(self, run: int) -> list[tuple[str | None, str, int, float]]:
        """Who sent to whom in a run (sender, receiver), how often, and the seconds the receiver ran in all."""

    def states(self, run: int) -> Mapping[str, Mapping[TaskState, int]]:
        """How many tasks of each node are in each state."""

    def why(self, run: int, number: int) -> Why | None:
        """The facts behind a task's state."""

    def schedules(self, workflows: Iterable[str] | None = None) -> list[Schedule]:
        """How the triggers of workflows stand (None: of all), by name."""

    def queues(self) -> list[tuple[Queue, int, int]]:
        """Queues, with how many tasks are ready and running in each."""

    def holds(self, run: int = 0) -> list[Hold]:
        """Who has paused queues, nodes and workflows, when and why; and a run, where one is given."""

    def lanes(self) -> list[tuple[Lane, int, int]]:
        """The lanes that nodes have for themselves, with how many tasks are ready and running in each.

        Those with a limit have one, and those that somebody has paused or set.
        """

    def busy(self, limit: int = 1000) -> list[Busy]:
        """Tasks that are running, in all runs, at most so many of them."""

    def lively(self) -> list[str]:
        """The names of queues in which something is ready; its cost does not grow with how much."""

    def lively_lanes(self) -> list[tuple[str, int]]:
        """The queues and definitions of which something is ready; its cost does not grow with how much."""

    def workers(self) -> list[WorkerInfo]:
        """Workers that are not known to have ended, or that hold attempts nevertheless."""

    def worker(self, worker: str) -> WorkerInfo | None:
        """A worker, whatever has become of it: known as long as there may be attempts of it."""

    # administration
    def upgrade(self) -> list[str]:
        """Bring the schema to this version; answers the names of the migrations carried out."""

    def status(self) -> tuple[int, int]:
        """The schema's version in the database (0: none) and the one this version needs."""

    def about(self) -> About:
        """What database this is; changes nothing, not even one that is none of ours. Raises StoreUnavailable."""

    def prune(self, before: float, limit: int = 1000) -> int:
        """Forget runs that ended before a time, whole, at most ``limit`` of them; answers how many.

        A run whose end was told to another one goes after that one. What they leave among the files is noted in the
        same transaction. Old lines of the journal about several runs go with the last of the runs: when fewer than
        ``limit`` were left.
        """

    def discarded(self, after: int = 0, limit: int = 1000) -> list[Discarded]:
        """What forgotten runs have left among the files, in the order noted; ``after`` is the last of a page before."""

    def done_with(self, discarded: Sequence[int]) -> None:
        """Strike out what is gone from among the files, by ``seq``; may be repeated."""

    def holding(self) -> Mapping[str, tuple[int, float]]:
        """How many attempts each worker holds, and when the earliest of them began."""

    def running_since(self) -> float | None:
        """When the earliest of the attempts that are running began; None if none is."""

    def close(self) -> None:
        """Give connections back."""
