"""A failing run lets finish what runs: the promises, where it goes on afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from heliostat.effects import Map, Start
from heliostat.graph import Arity, Edge, Graph, Node, On
from heliostat.outcome import Failed, Skipped
from heliostat.store import TryAgain
from heliostat.testing.conformance.hand import BEGINNING, Hand, gives, sends
from heliostat.trigger import Every

if TYPE_CHECKING:
    from heliostat.outcome import Outcome

_BAD = Failed("no light", final=True)
_CHILD = Graph("child", (Node("only"),))
_ASK = Node("ask", Arity.handler, entry=True)
_HEAR = Node("hear", Arity.handler)
_TILES = Node("tile", Arity.each, edges=(Edge("list", "x", each=True),))
_TILES_JOINED = Node("tile", Arity.each, edges=(Edge("list", "x", each=True), Edge("slow")))
_BEHIND = Node("z", edges=(Edge("tile"), Edge("bad")))
_GATED = Node("hear", Arity.handler, edges=(Edge("slow"),))
_HEARD: dict[str, Outcome] = {
    "ask": gives(None, sends("hear", 1), sends("hear", 2), sends("hear", 3, due_at=BEGINNING + 50))
}
#: The nodes of a graph; what has settled when a node beside them fails; what its failing run lets finish.
LET_FINISH: dict[str, tuple[tuple[Node, ...], dict[str, Outcome], dict[str, Outcome]]] = {
    "one behind it": ((Node("slow"), Node("z", edges=(Edge("slow"),))), {}, {"slow": gives(1)}),
    "a join": (
        (Node("a"), Node("slow"), Node("z", edges=(Edge("a"), Edge("slow")))),
        {"a": gives()},
        {"slow": gives()},
    ),
    "a join with what failed": ((Node("slow"), Node("z", edges=(Edge("bad"), Edge("slow")))), {}, {"slow": gives()}),
    "a skip": (
        (Node("slow"), Node("y", edges=(Edge("slow"),)), Node("z", edges=(Edge("y"), Edge("bad", optional=True)))),
        {},
        {"slow": Skipped("clouds")},
    ),
    "a skip at a join": (
        (Node("a"), Node("slow"), Node("z", edges=(Edge("a"), Edge("slow")))),
        {"a": gives()},
        {"slow": Skipped("clouds")},
    ),
    "a list": ((Node("list"), _TILES, _BEHIND), {}, {"list": gives([1, 2, 3])}),
    "a list of one": ((Node("list"), _TILES, _BEHIND), {}, {"list": gives([1])}),
    "an empty list": ((Node("list"), _TILES, _BEHIND), {}, {"list": gives([])}),
    "a list and a join": (
        (Node("list"), Node("slow"), Node("long"), _TILES_JOINED, _BEHIND),
        {"list": gives([1, 2, 3])},
        {"slow": gives(), "long": gives()},
    ),
    "an empty list and a join": (
        (Node("list"), Node("slow"), _TILES_JOINED, _BEHIND),
        {"list": gives([])},
        {"slow": gives()},
    ),
    "items": ((Node("list"), _TILES, _BEHIND), {"list": gives([1, 2, 3])}, {"tile": gives()}),
    "failures that are counted": (
        (Node("list"), _TILES, Node("z", edges=(Edge("tile", on=On.failed), Edge("bad")))),
        {"list": gives([1, 2])},
        {"tile": _BAD},
    ),
    "messages": ((_ASK, replace(_HEAR, serial=True)), {}, _HEARD),
    "a map": ((_ASK, _HEAR), {}, {"ask": gives(None, Map("hear", ("1", "2"), "hear"))}),
    "the members of a map": (
        (_ASK, _HEAR, Node("all", Arity.handler)),
        {"ask": gives(None, Map("hear", ("1", "2"), "all"))},
        {"hear": gives()},
    ),
    "a gate": ((_ASK, Node("slow"), _GATED), _HEARD, {"slow": gives()}),
    "a gate that skips": ((_ASK, Node("slow"), _GATED), _HEARD, {"slow": Skipped("clouds")}),
    "a gate and its messages": ((_ASK, Node("slow"), _GATED), {"slow": gives()}, _HEARD),
}


@pytest.mark.parametrize("way", LET_FINISH)
def test_p08_what_a_failing_run_lets_finish_counts_when_it_goes_on(hand: Hand, way: str) -> None:
    """The run comes to where it would be if nothing had failed, with each task done once."""
    nodes, early, late = LET_FINISH[way]
    graph = Graph("finishing", (Node("bad"), *nodes), on_failure="finish", stays_open=_ASK in nodes)
    ended, done = [], list[str]()
    for first in (gives(), _BAD):
        run = hand.start(graph)
        hand.now = BEGINNING
        bad, *others = hand.lease(9)
        for attempt in others:
            if attempt.node in early:
                hand.settle(attempt, early[attempt.node])
        others += hand.lease(9)
        hand.settle(bad, first)
        for attempt in others:
            if attempt.node not in early:
                assert hand.settle(attempt, late[attempt.node]).word == "committed"
                assert first is not _BAD or hand.lease(9) == []
        if first is _BAD:
            assert hand.run(run).state == "failed"
            assert hand.do(TryAgain(bad.number), run).done
        done = sorted(hand.work())
        hand.wait(50)
        done += hand.work()
        ended.append((sorted(hand.tasks(run)), hand.run(run).state, hand.run(run).open))
    assert ended[1] == ended[0]
    assert "bad" in done


def test_p08_what_a_failing_run_let_finish_may_start_and_tick(hand: Hand) -> None:
    """Its child tells its end to the run that goes on, and a trigger ticks on."""
    hand.add(_CHILD)
    ticking = Node("tick", Arity.handler, trigger=Every(60))
    graph = Graph("ticks", (Node("bad"), _ASK, _HEAR, ticking), on_failure="finish", stays_open=True)
    run = hand.start(graph)
    hand.wait(60)
    found = {attempt.node: attempt for attempt in hand.lease(9)}
    bad = found["bad"]
    hand.settle(bad, _BAD)
    hand.settle(found["ask"], gives(None, Start(hand.start_id(), _CHILD, "null", then="hear")))
    hand.settle(found["tick"])
    assert hand.work() == ["only"]
    hand.do(TryAgain(bad.number), run)
    assert sorted(hand.work()) == ["bad", "hear"]
    hand.wait(60)
    assert hand.work() == ["tick"]
