"""P10: costs grow with what happens, not with what exists: counted in calls to the database, never in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from heliostat.effects import Map, Start
from heliostat.graph import Arity, Edge, Graph, Node
from heliostat.outcome import Skipped
from heliostat.testing.conformance.hand import Hand, gives

FAN = Graph(
    "fan",
    (
        Node("list"),
        Node("tile", Arity.each, edges=(Edge("list", "x", each=True),)),
        Node("all", edges=(Edge("tile", "t"),)),
    ),
)
ABOVE = tuple(Node(f"a{number}") for number in range(20))
BELOW = tuple(Node(f"b{number}", edges=tuple(Edge(node.name) for node in ABOVE)) for number in range(20))
DENSE = Graph("dense", (*ABOVE, *BELOW))
SORT = Graph("sort", (Node("sort", Arity.handler, entry=True), Node("merge", Arity.handler)))

GATED = Graph(
    "gated",
    (
        Node("open"),
        Node("ask", Arity.handler, entry=True),
        Node("part", Arity.handler, edges=(Edge("open", "open"),)),
        Node("whole", Arity.handler),
    ),
)


@contextmanager
def counted(store: Any) -> Iterator[list[str]]:
    """The calls that the store's transactions make to their rows; each is one statement for all rows of a commit."""
    plain, calls = store.transaction, list[str]()

    class Counted:
        def __init__(self, rows: Any) -> None:
            self._rows = rows

        def __getattr__(self, verb: str) -> Any:
            calls.append(verb)
            return getattr(self._rows, verb)

    @contextmanager
    def transaction() -> Iterator[Any]:
        with plain() as rows:
            yield Counted(rows)

    store.transaction = transaction
    try:
        yield calls
    finally:
        del store.transaction


def test_p10_a_commit_makes_as_many_calls_for_a_hundred_tasks_as_for_ten(hand: Hand) -> None:
    """Arrivals at a join are added up before they reach the database."""
    seen = []
    for n in (10, 100):
        hand.start(FAN)
        hand.settle(hand.lease()[0], gives(list(range(200))))
        attempts = hand.lease(200)
        with counted(hand.store) as calls:
            hand.settle_all([(attempt, gives()) for attempt in attempts[:n]])
        seen.append(sorted(calls))
        hand.settle_all([(attempt, gives()) for attempt in attempts[n:]])
        hand.work()
    assert seen[0] == seen[1]


def test_p10_a_commit_makes_as_many_calls_for_twenty_runs_as_for_two(hand: Hand) -> None:
    """Runs are locked, and written, all at once."""
    seen = []
    for n in (2, 20):
        for _ in range(n):
            hand.start(FAN)
        attempts = hand.lease(n)
        with counted(hand.store) as calls:
            hand.settle_all([(attempt, gives([1, 2])) for attempt in attempts])
        seen.append(sorted(calls))
        hand.work()
    assert seen[0] == seen[1]


def test_p10_each_edge_of_a_dense_graph_costs_no_call_of_its_own(hand: Hand) -> None:
    """Twenty nodes that arrive at twenty others are four hundred edges, and a handful of statements."""
    hand.start(DENSE)
    attempts = hand.lease(20)
    with counted(hand.store) as calls:
        hand.settle_all([(attempt, gives()) for attempt in attempts])
    assert len(calls) <= 8, calls


def test_p10_a_fan_out_is_born_in_one_call(hand: Hand) -> None:
    """However wide."""
    hand.start(SORT)
    [attempt] = hand.lease()
    with counted(hand.store) as calls:
        hand.settle(attempt, gives(None, Map("sort", tuple(map(str, range(500))), "merge")))
    assert calls.count("task_insert") == 1


def test_p10_a_gate_is_asked_once_for_all_messages_of_a_commit(hand: Hand) -> None:
    """And what it lets go or skips when it opens is written at once."""
    run = hand.start(GATED)
    [opening, ask] = hand.lease(2)
    with counted(hand.store) as calls:
        hand.settle(ask, gives(None, Map("part", tuple(map(str, range(100))), "whole")))
    assert calls.count("gate_state") == 1
    with counted(hand.store) as calls:
        hand.settle(opening, Skipped("closed"))
    assert (calls.count("task_gate"), calls.count("task_finish")) == (1, 1)
    assert hand.work() == ["whole"]
    assert hand.tasks(run).count("part skipped") == 100


def test_p10_lists_that_are_known_in_one_commit_fan_out_in_one_call(hand: Hand) -> None:
    """Of however many runs."""
    tile = Node("tile", Arity.each, edges=(Edge("list", "x", each=True), Edge("other")))
    graph = Graph("lists", (Node("list"), Node("other"), tile))
    for _ in range(10):
        hand.start(graph)
    attempts = hand.lease(20)
    hand.settle_all([(attempt, gives()) for attempt in attempts if attempt.node == "other"])
    with counted(hand.store) as calls:
        hand.settle_all([(attempt, gives([1, 2])) for attempt in attempts if attempt.node == "list"])
    assert calls.count("task_expand") == 1
    assert len(hand.lease(100)) == 20


def test_p10_a_handler_that_has_counted_once_is_not_asked_again(hand: Hand) -> None:
    """What waits for it has its first result; a process that has seen so need not look for ever."""
    graph = Graph("first", (Node("look", Arity.handler), Node("act", edges=(Edge("look", "look"),))), stays_open=True)
    run = hand.start(graph)
    seen = []
    for _ in range(4):
        hand.send(run, "look")
        [look] = [attempt for attempt in hand.lease(2) if attempt.node == "look"]
        with counted(hand.store) as calls:
            hand.settle(look)
        seen.append(calls.count("gate_first"))
    assert seen == [1, 1, 0, 0]


def test_p10_a_definition_is_read_once_however_many_runs_of_it_begin(hand: Hand, other: Hand) -> None:
    """Also by a process that did not register it."""
    hand.add(FAN)
    run = other.start(SORT)
    for _ in range(2):
        other.send(run, "sort")
    seen = []
    for number, attempt in enumerate(other.lease(2), 7):
        with counted(other.store) as calls:
            other.settle(attempt, gives(None, Start(number, FAN, "1")))
        seen.append(calls.count("graph_get"))
    assert seen[1:] == [0]


@pytest.mark.parametrize("many", [10, 1000])
def test_p10_leasing_makes_as_many_calls_whatever_waits(hand: Hand, many: int) -> None:
    """A worker's look for work asks for lanes and for heads of lanes."""
    hand.start(FAN)
    hand.settle(hand.lease()[0], gives(list(range(many))))
    with counted(hand.store) as calls:
        assert len(hand.lease(5)) == 5
    assert sorted(calls) == ["lane_list", "task_lease"]
