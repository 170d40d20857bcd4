"""What attempts are given, whatever is remembered and forgotten between and within batches."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from heliostat import codec, inputs
from heliostat.effects import Start
from heliostat.graph import Arity, Edge, Graph, Node
from heliostat.inputs import RECENT, REMEMBERED, Inputs
from heliostat.outcome import Succeeded
from heliostat.registry import Registry
from heliostat.store import Ask, Command, Register
from heliostat.stores.memory import MemoryStore
from heliostat.task import Attempt

LISTS = REMEMBERED + 4
WIDTH = 3
WIDE = Graph(
    "wide",
    (
        *(Node(f"list{i}") for i in range(LISTS)),
        *(Node(f"item{i}", Arity.each, edges=(Edge(f"list{i}", "item", each=True),)) for i in range(LISTS)),
    ),
)
CHAIN = Graph("chain", (Node("a"), Node("b", edges=(Edge("a", "a"),))))


class Hand:
    """Inputs over a store, with what a worker would do beside."""

    def __init__(self) -> None:
        self.store, self.runs = MemoryStore(), 0
        self.inputs = Inputs(self.store, Registry(self.store.graph))

    def start(self, graph: Graph) -> int:
        """Start a run."""
        self.runs += 1
        self.store.accept([Command(Register(graph)), Command(Start(self.runs, graph, "null"))], 1.0)
        return self.runs

    def lease(self, graph: Graph) -> list[Attempt]:
        """Take all that is ready."""
        return list(self.store.lease(Ask("w", frozenset({graph.id}), 1 << 20), 1.0))

    def settle(self, attempts: Sequence[Attempt], *values: object) -> None:
        """Let attempts give values, and have them remembered as a worker does."""
        works = self.inputs.read(attempts)
        outcomes = [
            Succeeded(codec.encode(value, "value"), width=len(value) if isinstance(value, list) else None)
            for value in values
        ]
        self.store.settle("w", list(zip(attempts, outcomes, strict=True)), 1.0)
        for work, outcome in zip(works, outcomes, strict=True):
            self.inputs.remember(work, outcome)

    def given(self, attempts: Sequence[Attempt]) -> list[object]:
        """What the nodes before give to attempts, read in one batch."""
        return [codec.decode(next(iter(w.settled.values())).result or "null") for w in self.inputs.read(attempts)]


@pytest.fixture(params=["remembered", "read"])
def hand(request: pytest.FixtureRequest) -> Hand:
    """Give inputs that remember what was settled here, and such as have to read it all."""
    made = Hand()
    if request.param == "read":
        made.inputs.remember = lambda work, outcome: None  # type: ignore[method-assign]
    return made


def test_more_lists_than_are_remembered_can_be_gone_over_in_one_batch(hand: Hand) -> None:
    """And the first again, in the same batch and in the next."""
    hand.start(WIDE)
    lists = hand.lease(WIDE)
    hand.settle(lists, *[[f"{i}.{j}" for j in range(WIDTH)] for i in range(LISTS)])
    items = hand.lease(WIDE)
    expected = [f"{attempt.node.removeprefix('item')}.{attempt.item}" for attempt in items]
    assert len(items) == LISTS * WIDTH
    assert hand.given([*items, *items]) == [*expected, *expected]
    assert hand.given(items[:WIDTH]) == expected[:WIDTH]
    for attempt, value in zip(items, expected, strict=True):
        assert hand.given([attempt]) == [value]


@pytest.mark.parametrize("recent", [2, 5])
def test_a_result_is_given_though_more_were_settled_since_than_are_remembered(
    hand: Hand, monkeypatch: pytest.MonkeyPatch, recent: int
) -> None:
    """Whether it is forgotten before the batch that wants it or would be within it."""
    monkeypatch.setattr(inputs, "RECENT", recent)
    for _ in range(20):
        hand.start(CHAIN)
    for first in hand.lease(CHAIN):
        hand.settle([first], first.run)
    seconds = hand.lease(CHAIN)
    assert len(seconds) == 20
    assert hand.given(seconds) == [attempt.run for attempt in seconds]


def test_no_more_results_are_remembered_than_is_said(hand: Hand) -> None:
    """A worker that runs for months does not grow."""
    hand.start(CHAIN)
    [first] = hand.lease(CHAIN)
    [work] = hand.inputs.read([first])
    for number in range(RECENT + 10):
        work.attempt = first._replace(run=number + 100)
        hand.inputs.remember(work, Succeeded("1"))
    hand.given([])
    assert len(hand.inputs._recent) <= RECENT
