"""P6: a join fires once, whatever the order of arrival and however many workers."""

from __future__ import annotations

import json
from itertools import permutations
from threading import Barrier, Thread
from typing import TYPE_CHECKING

import pytest

from heliostat.effects import Map
from heliostat.graph import Arity, Edge, Graph, Node, On
from heliostat.outcome import Failed, Outcome, Skipped
from heliostat.task import Attempt
from heliostat.testing.conformance.hand import Hand, gives, name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heliostat.testing.conformance.hand import Answers

JOIN = Graph(
    "join", (Node("a"), Node("b"), Node("c"), Node("d", edges=(Edge("a", "a"), Edge("b", "b"), Edge("c", "c"))))
)
EACH = Graph(
    "each",
    (
        Node("list"),
        Node("other"),
        Node("tile", Arity.each, edges=(Edge("list", "x", each=True),), may_fail=True),
        Node("mean", Arity.each, edges=(Edge("tile", "x", each=True),)),
        Node("oops", edges=(Edge("tile", on=On.failed),)),
        Node("all", edges=(Edge("list", "l"), Edge("tile", "t"), Edge("mean", "m"), Edge("other", "o"))),
    ),
)
SORT = Graph("sort", (Node("sort", Arity.handler, entry=True), Node("merge", Arity.handler)))
FIRST = Graph(
    "first",
    (
        Node("ask", Arity.handler, entry=True),
        Node("look", Arity.handler),
        Node("act", edges=(Edge("look", "look"),)),
        Node("gated", Arity.handler, edges=(Edge("look", "look"),)),
    ),
)


def settled_in(hand: Hand, order: list[str], answers: Mapping[str, Outcome]) -> None:
    """Take all that is ready, settle it in a certain order of names, and so on until nothing is left."""
    held: dict[str, Attempt] = {}
    while True:
        held |= {name(attempt): attempt for attempt in hand.lease(100)}
        if not held:
            return
        chosen = min(held, key=lambda each: order.index(each) if each in order else -1)
        assert hand.settle(held.pop(chosen), answers.get(chosen.partition("[")[0], gives(chosen))).word == "committed"


@pytest.mark.parametrize("order", list(permutations("abc")), ids="".join)
def test_p06_a_join_fires_once_in_every_order_of_arrival(hand: Hand, order: tuple[str, ...]) -> None:
    """It is born by the first, and ready with the last."""
    run = hand.start(JOIN)
    attempts = {attempt.node: attempt for attempt in hand.lease(3)}
    for place, node in enumerate(order):
        expected = ["d pending"] if place else []
        assert [task for task in hand.tasks(run) if task.startswith("d")] == expected
        hand.settle(attempts[node])
    assert hand.work() == ["d"]
    assert hand.run(run).state == "succeeded"


def test_p06_a_join_fires_once_when_all_arrive_in_one_commit(hand: Hand) -> None:
    """Arrivals are added up before the store decides; then it need not wait at all."""
    run = hand.start(JOIN)
    hand.settle_all([(attempt, gives()) for attempt in hand.lease(3)])
    assert hand.tasks(run) == ["a succeeded", "b succeeded", "c succeeded", "d ready"]


def test_p06_a_join_fires_once_when_processes_arrive_at_the_same_time(hand: Hand, other: Hand) -> None:
    """Whoever comes last readies it, and only one can be the last."""
    runs = [hand.start(JOIN) for _ in range(20)]
    held = [attempt for run in runs for attempt in hand.lease(3)]
    barrier = Barrier(2)

    def settle(mine: Hand, attempts: list[Attempt]) -> None:
        barrier.wait()
        for attempt in attempts:
            mine.settle(attempt, worker=hand.worker)

    threads = [Thread(target=settle, args=(who, held[start::2])) for who, start in ((hand, 0), (other, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(attempt.run for attempt in hand.lease(100)) == sorted(runs)


@pytest.mark.parametrize("order", list(permutations(["list", "other", "tile", "mean"])), ids=" ".join)
def test_p06_a_fan_out_joins_once_in_every_order(hand: Hand, order: tuple[str, ...]) -> None:
    """A list of three, gone over by a list, and a join of all: the later fan-out adds to what is waited for."""
    run = hand.start(EACH)
    names = [f"{node}[{item}]" if node in ("tile", "mean") else node for node in order for item in range(3)]
    answers = {"list": gives([1, 2, 3]), "tile": gives(["a", "list", "too"])}
    settled_in(hand, names, answers)
    assert sorted(hand.tasks(run)) == sorted(
        [
            "list succeeded",
            "other succeeded",
            *[f"{node}[{item}] succeeded" for node in ("tile", "mean") for item in range(3)],
            "oops skipped",
            "all succeeded",
        ]
    )
    assert hand.run(run).state == "succeeded"


@pytest.mark.parametrize("width", [0, 1, 2, 50])
def test_p06_a_join_waits_for_as_many_as_there_are(hand: Hand, width: int) -> None:
    """Over an empty list it fires at once, and reads an empty list."""
    run = hand.start(EACH)
    done = hand.work({"list": gives(list(range(width))), "tile": gives(7)})
    assert done.count("all") == 1
    assert done[-1] == "all"
    assert len(hand.store.items(run, EACH.number("tile"))) == width
    assert [item.result for item in hand.store.items(run, EACH.number("mean"))] == ["null"] * width


def test_p06_items_are_read_in_the_order_of_the_list(hand: Hand) -> None:
    """Whatever the order in which they settled."""
    run = hand.start(EACH)
    settled_in(
        hand,
        ["list", "tile[2]", "tile[0]", "tile[1]"],
        {"list": gives([1, 2, 3])},
    )
    results = [item.result for item in hand.store.items(run, EACH.number("tile"))]
    assert results == ['"tile[0]"', '"tile[1]"', '"tile[2]"']


def test_p06_an_item_that_may_fail_is_missing_and_calls_the_except(hand: Hand) -> None:
    """The join fires once with what there is; the except fires once however many failed."""
    run = hand.start(EACH)
    answers: Answers = {"list": gives([1, 2, 3]), "tile": lambda a: Failed("clouds") if a.item else gives(1)}
    done = hand.work(answers)
    assert (done.count("all"), done.count("oops")) == (1, 1)
    states = [item.state for item in hand.store.items(run, EACH.number("tile"))]
    assert states == ["succeeded", "failed", "failed"]
    assert hand.run(run).state == "succeeded"


@pytest.mark.parametrize("may_fail", [True, False])
def test_p06_an_item_that_failed_and_is_caught_skips_the_join(hand: Hand, *, may_fail: bool) -> None:
    """As of any other node: only where it may fail, or where the input is optional, is there None in its place."""
    tile = Node("tile", Arity.each, edges=(Edge("list", "x", each=True),), may_fail=may_fail)
    joins = (
        Node("all", edges=(Edge("tile", "t"),)),
        Node("some", edges=(Edge("tile", "t", optional=True),)),
        Node("mean", Arity.each, edges=(Edge("tile", "x", each=True),)),
    )
    run = hand.start(Graph("caught", (Node("list"), tile, Node("oops", edges=(Edge("tile", on=On.failed),)), *joins)))
    done = hand.work({"list": gives([1, 2]), "tile": lambda a: Failed("clouds") if a.item else gives(1)})
    assert sorted(done[3:]) == (["all", "mean[0]", "mean[1]", "oops", "some"] if may_fail else ["oops", "some"])
    assert hand.run(run).state == "succeeded"


def test_p06_a_skipped_input_skips_the_join_once(hand: Hand) -> None:
    """Unless the parameter has a default; either way it is decided when all is there."""
    run = hand.start(JOIN)
    assert hand.work({"b": Skipped("nothing")}) == ["a", "b", "c"]
    assert hand.tasks(run)[-1] == "d skipped"
    assert hand.task(run, 4).reason == "an input was skipped or not chosen"
    assert hand.run(run).state == "succeeded"


def sorting(attempt: Attempt) -> Outcome:
    """Quicksort by messages, on the letters of a word."""
    word: str = json.loads(attempt.message or "null")
    if len(word) < 2:
        return gives(word)
    pivot, rest = word[0], word[1:]
    parts = ["".join(c for c in rest if c < pivot), pivot, "".join(c for c in rest if c >= pivot)]
    return gives(None, Map("sort", tuple(json.dumps(part) for part in parts), "merge"))


@pytest.mark.parametrize("word", ["", "a", "heliostat"])
def test_p06_joins_inside_joins_fire_once_each(hand: Hand, word: str) -> None:
    """A mapped task that maps passes its place on, as deep as it goes; the parts come in their places."""

    def merging(attempt: Attempt) -> Outcome:
        parts = hand.store.joined(attempt.run, attempt.number)
        return gives("".join(json.loads(part.result or "null") for part in parts))

    run = hand.start(SORT, word)
    done = hand.work({"sort": sorting, "merge": merging})
    outermost = next(task for task in hand.store.tasks(run)[::-1] if task.join is None)
    assert json.loads(outermost.result or "null") == "".join(sorted(word))
    assert done.count("sort") == 1 + 3 * done.count("merge")
    assert hand.run(run).state == "succeeded"


def test_p06_a_map_over_nothing_joins_at_once_with_nothing(hand: Hand) -> None:
    """There is nobody to wait for."""
    run = hand.start(SORT)
    assert hand.work({"sort": gives(None, Map("sort", (), "merge"))}) == ["sort", "merge"]
    assert hand.store.joined(run, 4) == []


def test_p06_what_waits_for_a_handler_fires_with_its_first_result_and_never_again(hand: Hand) -> None:
    """Later messages to that handler arrive nowhere, even in the same commit."""
    run = hand.start(FIRST)
    hand.send(run, "gated", "early")
    for number in range(3):
        hand.send(run, "look", number)
    attempts = hand.lease(10)
    assert [attempt.node for attempt in attempts] == ["ask", "look", "look", "look"]
    hand.settle_all([(attempt, gives(attempt.message)) for attempt in attempts[::-1]])
    assert sorted(hand.work()) == ["act", "gated"]
    first = hand.store.first(run, "look")
    assert first is not None
    assert first.result == '"2"'
