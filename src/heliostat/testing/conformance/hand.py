"""A store driven by hand: what callers, workers and loops would do, said one step at a time."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from heliostat import checks, codec
from heliostat.effects import End, Send, Start
from heliostat.outcome import Succeeded
from heliostat.queue import WorkerInfo
from heliostat.run import RunState
from heliostat.store import Answer, Ask, Command, Pause, Register

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from heliostat.effects import Effect
    from heliostat.graph import Graph
    from heliostat.outcome import Outcome, Verdict
    from heliostat.run import Run
    from heliostat.store import Reference, Store
    from heliostat.task import Attempt, Task

    Answers = Mapping[str, Outcome | Callable[[Attempt], Outcome]]

BEGINNING = 1_800_000_000.0  #: when every story begins


def gives(value: object = None, *effects: Effect) -> Succeeded:
    """The outcome of a function that returned ``value`` and asked for ``effects``."""
    choice = value if isinstance(value, str) else None
    return Succeeded(codec.encode(value, "result"), effects, choice, len(value) if isinstance(value, list) else None)


def sends(node: str, message: object = None, **options: Any) -> Send:
    """A message, given as data."""
    return Send(node, codec.encode(message, "message"), **options)


class Hand:
    """A hand on a store, with a clock of its own; ``worker`` is whoever acts where nobody else is named.

    Two hands on one database are two processes: give them different names and different ids to begin with.
    """

    def __init__(self, store: Store, worker: str = "w", first: int = 1 << 50) -> None:
        self.store, self.worker, self.now = store, worker, BEGINNING
        self.offers: set[int] = set()
        self._ids = count(first)

    # callers

    def do(self, verb: Any, run: int | None = None, actor: str = "caller", reason: str = "") -> Answer:
        """Have one command accepted."""
        return self.store.accept([Command(verb, run, actor, reason)], self.now)[0]

    def add(self, graph: Graph) -> None:
        """Register a definition and offer it."""
        self.do(Register(graph))
        self.offers.add(graph.id)

    def start(self, graph: Graph, message: object = None, **options: Any) -> int:
        """Start a run; answers its key."""
        if graph.id not in self.offers:
            self.add(graph)
        answer = self.do(Start(next(self._ids), graph, codec.encode(message, "message"), **options))
        assert answer.run is not None
        return answer.run

    def start_id(self) -> int:
        """The key of a run that an attempt is to start."""
        return next(self._ids)

    def send(self, run: int, node: str, message: object = None, **options: Any) -> Answer:
        """Send a message to a handler."""
        return self.do(sends(node, message, **options), run)

    def complete(self, run: int, result: object = None) -> Answer:
        """End a run with a result."""
        return self.do(End(RunState.succeeded, codec.encode(result, "result")), run)

    def cancel(self, run: int, reason: str = "enough") -> Answer:
        """End a run as cancelled."""
        return self.do(End(RunState.cancelled, reason=reason), run)

    def pause(self, run: int, *, on: bool = True) -> Answer:
        """Hold what has not begun, or let it go on."""
        return self.do(Pause(on), run)

    # workers

    def ask(self, n: int = 1, worker: str = "", **options: Any) -> Ask:
        """What a worker would ask for."""
        return Ask(worker or self.worker, frozenset(self.offers), n, **options)

    def lease(self, n: int = 1, worker: str = "", **options: Any) -> list[Attempt]:
        """Take ready tasks."""
        return list(self.store.lease(self.ask(n, worker, **options), self.now))

    def settle(self, attempt: Attempt, outcome: Outcome | None = None, worker: str = "") -> Verdict:
        """Record one outcome; by default the function returned nothing."""
        return self.settle_all([(attempt, outcome or gives())], worker)[0]

    def settle_all(self, outcomes: Sequence[tuple[Attempt, Outcome]], worker: str = "") -> tuple[Verdict, ...]:
        """Record outcomes in one commit."""
        return self.store.settle(worker or self.worker, outcomes, self.now).verdicts

    def work(self, answers: Answers | None = None) -> list[str]:
        """Take and settle one task after the other until nothing is ready; answers their names in order.

        ``answers`` are by node; a node without one returns nothing.
        """
        done = []
        while leased := self.lease():
            answer = (answers or {}).get(leased[0].node, gives())
            verdict = self.settle(leased[0], answer(leased[0]) if callable(answer) else answer)
            assert verdict.word == "committed", verdict
            done.append(name(leased[0]))
        return done

    def beat(self, worker: str = "") -> frozenset[Reference] | None:
        """Show life."""
        orders = self.store.beat(WorkerInfo(worker or self.worker, state="active"), self.now)
        return None if orders is None else orders.stop

    def lose(
        self,
        worker: str = "",
        adopter: str | None = None,
        batched: Iterable[str] = (),
        *,
        reached: Iterable[str] = (),
        here: bool = True,
    ) -> tuple[int, tuple[Attempt, ...]]:
        """Declare a worker lost, and rescue what it held; one that never showed life does so first.

        Functions of ``batched`` queues are jobs. An adopter can see jobs from ``here`` or not; those of ``reached``
        queues it can.
        """
        lost = worker or self.worker
        if lost not in [info.id for info in self.store.workers()]:
            self.beat(lost)
        beats = [(info.id, info.beat) for info in self.store.workers() if info.id == lost]
        offers = frozenset(graph.id for graph in self.store.graphs())
        ask = Ask(adopter, offers, 0, batched=frozenset(batched), reached=frozenset(reached)) if adopter else None
        return self.store.rescue(beats, self.now, ask, here=here)

    def wait(self, seconds: float) -> float | None:
        """Let time pass, and make ready what waited for it; answers when the next will come."""
        self.now += seconds
        return self.store.promote(self.now)

    # looking

    def run(self, run: int) -> Run:
        """A run."""
        found = self.store.run(run)
        assert found is not None
        return found

    def task(self, run: int, number: int) -> Task:
        """A task."""
        found = self.store.task(run, number)
        assert found is not None
        return found

    def tasks(self, run: int) -> list[str]:
        """The tasks of a run by number: names and states."""
        return [f"{name(task)} {task.state}" for task in self.store.tasks(run)]

    def values(self, run: int) -> list[object]:
        """The records of a run, in the order put."""
        return [codec.decode(record.value) for record in self.store.records(run)]

    def explain(self, run: int, number: int) -> str:
        """Why a task does not run."""
        why = self.store.why(run, number)
        assert why is not None
        return checks.explain(why, self.now)

    def everything(self) -> object:
        """All that can be read, to see that nothing has changed."""
        runs = sorted(self.store.runs(), key=lambda run: run.id)
        kept = [(self.store.tasks(run.id), self.store.records(run.id), self.store.artifacts(run.id)) for run in runs]
        past = [(self.store.attempts(run.id), self.store.journal(run.id)) for run in runs]
        return runs, kept, past, self.store.queues()


def name(task: Task | Attempt) -> str:
    """A task's node, and its place in a list."""
    return task.node if task.item is None else f"{task.node}[{task.item}]"
