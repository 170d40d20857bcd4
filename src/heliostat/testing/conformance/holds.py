"""Who has paused what, when and why: it is told beside the mark, until somebody lets it go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat.effects import End
from heliostat.graph import Arity, Graph, Node
from heliostat.queue import Hold, node_hold
from heliostat.run import RunState
from heliostat.store import Busy, Pause, SetNode, SetQueue, SetSchedule
from heliostat.testing.conformance.schedules import HOURLY, firing
from heliostat.trigger import Every

if TYPE_CHECKING:
    from heliostat.testing.conformance.hand import Hand

WAITS = Graph("waits", (Node("a"), Node("b", limit=3)), trigger=Every("1h"))
TALKS = Graph("talks", (Node("hear", Arity.handler, entry=True),), stays_open=True)


def test_who_paused_a_queue_or_a_node_is_told(hand: Hand) -> None:
    """The newest word counts; whoever lets one go on takes back what was said of it alone."""
    hand.add(WAITS)
    assert hand.store.holds() == []
    hand.do(SetQueue("default", paused=True), actor="anna", reason="the dome is closed")
    hand.do(SetNode(WAITS.id, "b", paused=True), actor="ben")
    hand.do(SetQueue("default", limit=5), actor="cleo", reason="fewer")  # which is about something else
    first, second = hand.store.holds()
    assert first == Hold("node", node_hold(WAITS.id, "b"), hand.now, "ben")
    assert second == Hold("queue", "default", hand.now, "anna", "the dome is closed")
    hand.now += 10
    hand.do(SetQueue("default", paused=True), actor="dora", reason="and it rains")
    assert hand.store.holds()[1] == Hold("queue", "default", hand.now, "dora", "and it rains")
    hand.do(SetNode(WAITS.id, "b", paused=False))
    hand.do(SetQueue("default", paused=False))
    assert hand.store.holds() == []


def test_who_paused_a_workflow_is_told(hand: Hand) -> None:
    """Until its trigger goes on."""
    firing(hand, HOURLY)
    hand.do(SetSchedule("hourly", True), None, "anna", "the mirror is wet")
    assert hand.store.holds() == [Hold("workflow", "hourly", hand.now, "anna", "the mirror is wet")]
    hand.do(SetSchedule("hourly", False))
    assert hand.store.holds() == []


def test_who_paused_a_run_is_told_of_that_run(hand: Hand) -> None:
    """And of no other; it goes with the run."""
    hand.add(TALKS)
    one, other = hand.start(TALKS, 1), hand.start(TALKS, 2)
    hand.do(Pause(True), one, actor="anna", reason="the dome is closed")
    word = Hold("run", "", hand.now, "anna", "the dome is closed", one)
    assert hand.store.holds(one) == [word]
    assert hand.store.holds(other) == hand.store.holds() == []
    hand.now += 60
    paused = hand.explain(one, 2)
    assert paused == f"run {hand.run(one).public} is paused, by anna 60.0 s ago: the dome is closed"
    hand.do(Pause(False), one)
    assert hand.store.holds(one) == []
    hand.do(Pause(True), one)
    hand.do(End(RunState.cancelled), one)
    while hand.store.sweep(hand.now):
        pass
    assert hand.store.prune(hand.now + 1) == 1
    assert hand.store.holds(one) == []


def test_what_runs_is_told_with_the_try_that_it_is_at(hand: Hand) -> None:
    """So that whoever asks finds its job; and how much waits and runs in the lane of a node."""
    hand.add(WAITS)
    run = hand.start(WAITS)
    assert hand.store.busy() == []
    assert [(ready, running) for _, ready, running in hand.store.lanes()] == [(1, 0)]
    hand.lease(5)
    assert hand.store.busy() == [
        Busy(run, 1, WAITS.id, "a", "default", 1),
        Busy(run, 2, WAITS.id, "b", "default", 1),
    ]
    assert len(hand.store.busy(1)) == 1
    assert [(ready, running) for _, ready, running in hand.store.lanes()] == [(0, 1)]
    assert [(ready, running) for _, ready, running in hand.store.queues()] == [(0, 2)]
