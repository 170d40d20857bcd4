"""What the tests of the database stores share: a small workflow, and workers that do nothing but settle."""

from __future__ import annotations

from collections import Counter

from heliostat.effects import Send, Start
from heliostat.graph import Arity, Edge, Graph, Node
from heliostat.outcome import Succeeded
from heliostat.store import Ask, Command, Register, Store
from heliostat.task import TaskState

TALK = Graph(
    "talk", (Node("hear", Arity.handler, entry=True), Node("one", Arity.handler, serial=True)), stays_open=True
)
JOIN = Graph(
    "join",
    (
        Node("list"),
        Node("item", Arity.each, edges=(Edge("list", "x", each=True),)),
        Node("sum", edges=(Edge("item", "items"),)),
    ),
)
RUN = 1 << 58


def begin(store: Store, graph: Graph = TALK, runs: int = 1) -> list[int]:
    """Register a workflow and start some runs of it."""
    ids = list(range(RUN, RUN + runs))
    store.accept([Command(Register(graph))], 1.0)
    store.accept([Command(Start(run, graph, "1")) for run in ids], 1.0)
    return ids


def send(store: Store, run: int = RUN, node: str = "hear", n: int = 1) -> None:
    """Send some messages to a handler."""
    store.accept([Command(Send(node, '{"x":1}'), run) for _ in range(n)], 2.0)


def work(store: Store, graph: Graph, worker: str, *, n: int = 10, width: int = 5, idle: int = 3) -> int:
    """Lease and settle until nothing was there so many times in a row; answers how many tasks."""
    ask, done, empty, held = Ask(worker, frozenset({graph.id}), n), 0, 0, ()
    while empty < idle:
        outcomes = [(a, Succeeded("[1]", width=width if a.node == "list" else None)) for a in held]
        batch = store.settle(worker, outcomes, 3.0, ask)
        assert all(verdict.word == "committed" for verdict in batch.verdicts), batch.verdicts
        done, held = done + len(outcomes), batch.leased
        empty = 0 if held or outcomes else empty + 1
    return done


def states(store: Store, run: int = RUN) -> Counter[TaskState]:
    """How many tasks of a run are in each state."""
    found: Counter[TaskState] = Counter()
    for counts in store.states(run).values():
        found.update(counts)
    return found
