"""A run that had failed goes on: the promises, where something was under way when it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from heliostat.effects import End, Map, Start
from heliostat.graph import Arity, Edge, Graph, Kind, Node, On, Part
from heliostat.outcome import Asked, Begun, Failed, Released, Skipped
from heliostat.review import ReviewSpec
from heliostat.run import RunState
from heliostat.store import Cancel, Resolve, TryAgain
from heliostat.stores.commit import PARTS_AT_ONCE
from heliostat.task import AttemptState, TaskState
from heliostat.testing.conformance.hand import BEGINNING, Hand, gives, name, sends
from heliostat.trigger import Every

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliostat.task import Attempt

_BAD = Failed("no light", final=True)
_ENDS = ("stop", "finish")
_ASK = Node("ask", Arity.handler, entry=True)
_MAPS = (_ASK, Node("hear", Arity.handler), Node("all", Arity.handler))
_INNER = Graph("inner", (Node("x"),))
_IN = Node("in", kind=Kind.workflow, workflow=Part("inner", _INNER.fingerprint))
_TICK = Node("tick", Arity.handler, trigger=Every(60))


def _leased(hand: Hand, n: int = 9) -> dict[str, Attempt]:
    return {name(attempt): attempt for attempt in hand.lease(n)}


def _begins(hand: Hand, attempt: Attempt, before: int = 0) -> int:
    """The node is a run from now on; answers its key."""
    inner = hand.start_id()
    assert hand.settle(attempt, Begun((Start(inner, _INNER, "null", "in"),), before)).word == "committed"
    return inner


def _once(hand: Hand, run: int, number: int) -> None:
    hand.do(Cancel(number), run)
    hand.do(TryAgain(number), run)


def _by_hand(hand: Hand, run: int, number: int) -> None:
    hand.settle(hand.lease()[0], _BAD)
    hand.do(Resolve(number, TaskState.succeeded, '"by hand"'), run)


def _tried(hand: Hand, run: int, number: int) -> None:
    hand.settle(hand.lease()[0], _BAD)
    hand.do(TryAgain(number), run)


@pytest.mark.parametrize("on_failure", _ENDS)
@pytest.mark.parametrize("goes_on", [_tried, _by_hand, _once])
def test_p06_a_join_hears_once_of_a_member_that_had_failed(
    hand: Hand, goes_on: Callable[[Hand, int, int], None], on_failure: str
) -> None:
    """Its failure was its run's, and no answer that the join could be given."""
    run = hand.start(Graph(f"maps-{on_failure}", _MAPS, on_failure=on_failure))
    hand.settle(hand.lease()[0], gives(None, Map("hear", ("1", "2", "3"), "all")))
    goes_on(hand, run, hand.store.tasks(run, node="hear")[0].number)
    members = hand.lease(9)
    hand.settle_all([(member, gives(member.message)) for member in members[1:]])
    assert hand.lease(9) == []
    hand.settle(members[0], gives("last"))
    assert hand.work() == ["all"]
    assert hand.run(run).state == "succeeded"


def test_p06_a_run_inside_that_was_begun_twice_is_heard_once(hand: Hand) -> None:
    """It came to its end in the commit in which the run that it is part of failed."""
    hand.add(_INNER)
    run = hand.start(Graph("outer", (_IN, Node("side"), Node("end", edges=(Edge("in"), Edge("side"))))))
    found = _leased(hand)
    _begins(hand, found["in"])
    hand.settle(_leased(hand)["x"], _BAD)
    hand.settle(_leased(hand)["in"], Failed("inner failed", retry_at=hand.now))
    hand.wait(1)
    _begins(hand, _leased(hand)["in"], 1)
    hand.settle_all([(found["side"], _BAD), (_leased(hand)["x"], gives(7))])
    hand.do(TryAgain(2), run)
    assert hand.task(run, 1).missing == 0
    assert sorted(hand.work()) == ["end", "in", "side"]


@pytest.mark.parametrize(
    ("back", "by"),
    [
        (Released("its run is over", how=AttemptState.stopped), "x"),
        (Failed("once", retry_at=BEGINNING), "x"),
        (None, "x"),
    ],
)
def test_p04_nothing_is_held_in_a_run_that_had_been_paused_and_goes_on(
    hand: Hand, back: Released | Failed | None, by: str
) -> None:
    """However an attempt comes back that ran when the run was paused, and failed."""
    run = hand.start(Graph("two", (Node("a"), Node("b"))))
    hand.beat(by)
    (a,), (b,) = hand.lease(), hand.lease(worker=by)
    hand.pause(run)
    hand.settle(a, _BAD)
    hand.do(TryAgain(a.number), run)
    hand.settle(hand.lease()[0])
    if back is None:
        hand.lose(by)
    else:
        hand.settle(b, back, worker=by)
    hand.wait(1)
    assert hand.work() == ["b"]
    assert hand.run(run).state == "succeeded"


def test_p04_an_epilogue_is_not_held_though_its_run_was_paused_when_it_failed_again(hand: Hand) -> None:
    """It is left from the first time."""
    run = hand.start(Graph("tells", (Node("a"), Node("alarm", epilogue=On.failed))))
    hand.settle(hand.lease()[0], _BAD)
    hand.do(TryAgain(1), run)
    again = _leased(hand)["a"] if hand.run(run).paused else next(a for a in hand.lease(1) if a.node == "a")
    hand.pause(run)
    hand.settle(again, _BAD)
    assert hand.work() == ["alarm", "alarm"]


@pytest.mark.parametrize("on_failure", _ENDS)
@pytest.mark.parametrize("serial", [False, True])
def test_p04_a_message_that_was_called_off_at_its_gate_waits_there_again(
    hand: Hand, on_failure: str, *, serial: bool
) -> None:
    """Neither does it pass a gate that is shut, nor wait at one that is open."""
    hear = Node("hear", Arity.handler, edges=(Edge("slow"),), serial=serial)
    run = hand.start(Graph(f"gated-{serial}-{on_failure}", (_ASK, Node("slow"), hear), on_failure=on_failure))
    found = _leased(hand)
    hand.settle(found["ask"], gives(None, sends("hear", 1, due_at=hand.now + 50)))
    number = hand.store.tasks(run, node="hear")[0].number
    hand.do(Cancel(number), run)
    if on_failure == "finish":
        hand.settle(found["slow"])
    hand.do(TryAgain(number), run)
    if on_failure == "stop":
        assert hand.lease(9) == []
        assert hand.settle(found["slow"]).word == "committed"
    assert hand.work() == ["hear"]
    assert hand.run(run).state == "succeeded"


def test_p04_a_message_that_was_called_off_at_a_gate_that_then_skips_is_skipped(hand: Hand) -> None:
    """As it would have been there."""
    hear = Node("hear", Arity.handler, edges=(Edge("slow"),))
    run = hand.start(Graph("skips", (_ASK, Node("slow"), hear), on_failure="finish"))
    found = _leased(hand)
    hand.settle(found["ask"], gives(None, sends("hear", 1, due_at=hand.now + 50)))
    number = hand.store.tasks(run, node="hear")[0].number
    hand.do(Cancel(number), run)
    hand.settle(found["slow"], Skipped("clouds"))
    hand.do(TryAgain(number), run)
    assert (hand.task(run, number).state, hand.run(run).state) == ("skipped", "succeeded")


def test_p04_a_node_that_was_called_off_as_it_read_its_run_waits_for_that_again(hand: Hand) -> None:
    """Nothing of having been called off is left at it."""
    hand.add(_INNER)
    run = hand.start(Graph("outer", (_IN, Node("end", edges=(Edge("in"),)))))
    inner = _begins(hand, hand.lease()[0])
    hand.settle(hand.lease()[0], _BAD)
    reading = hand.lease()[0]
    hand.do(Cancel(1), run)
    hand.settle(reading, Failed("inner failed"))
    hand.do(TryAgain(1), run)
    assert hand.task(run, 1).failures == 0
    assert hand.work() == ["x", "in", "end"]
    assert [part.id for part in hand.store.children(run, 1)] == [inner]


def test_p04_a_failure_that_nobody_read_is_not_taken_off(hand: Hand) -> None:
    """The node was called off before it did: it has failed no less often than never."""
    hand.add(_INNER)
    run = hand.start(Graph("outer", (_IN, Node("end", edges=(Edge("in"),)))))
    _begins(hand, hand.lease()[0])
    hand.settle(hand.lease()[0], _BAD)
    _once(hand, run, 1)
    assert hand.task(run, 1).failures == 0
    assert hand.work() == ["x", "in", "end"]


@pytest.mark.parametrize("by", ["ask", "tick"])
def test_p04_what_a_failing_run_lets_finish_completes_it_if_it_goes_on(hand: Hand, by: str) -> None:
    """The result is kept until then; what had failed is not done again, for nobody needs it."""
    graph = Graph("completes", (Node("bad"), _ASK, _TICK), on_failure="finish", stays_open=True)
    run = hand.start(graph)
    hand.wait(60)
    found = _leased(hand)
    hand.settle(found["bad"], _BAD)
    completes = gives(None, End(RunState.succeeded, '"all"'))
    hand.settle_all([(found["ask"], completes if by == "ask" else gives())])
    hand.settle(found["tick"], completes if by == "tick" else gives(None, End(RunState.succeeded, '"later"')))
    assert hand.run(run).state == "failed"
    hand.do(TryAgain(1), run)
    assert (hand.run(run).state, hand.run(run).result) == ("succeeded", '"all"')
    assert (hand.run(run).open, hand.task(run, 1).reason) == (0, "the run was completed")
    hand.wait(3600)
    assert hand.work() == []


@pytest.mark.parametrize("on_failure", _ENDS)
def test_p04_a_completion_in_the_commit_of_a_failure_counts_if_the_run_goes_on(hand: Hand, on_failure: str) -> None:
    """Nothing may be left that would complete it later."""
    run = hand.start(Graph(f"both-{on_failure}", (Node("bad"), _ASK), on_failure=on_failure, stays_open=True))
    found = _leased(hand)
    hand.settle_all([(found["bad"], _BAD), (found["ask"], gives(None, End(RunState.succeeded, '"all"')))])
    assert hand.run(run).state == "failed"
    hand.do(TryAgain(1), run)
    assert (hand.run(run).state, hand.run(run).result, hand.run(run).open) == ("succeeded", '"all"', 0)


def test_p04_a_run_inside_of_which_an_alarm_alone_was_left_has_succeeded(hand: Hand) -> None:
    """It is told of a failure that was mended, and is over by the time that the whole goes on."""
    inner = Graph("inner", (Node("x"), Node("alarm", epilogue=On.failed, queue="phone")))
    hand.add(inner)
    whole = Node("in", kind=Kind.workflow, workflow=Part("inner", inner.fingerprint))
    run = hand.start(Graph("outer", (whole, Node("side"), Node("end", edges=(Edge("in"), Edge("side"))))))
    found, here = _leased(hand), frozenset({"default"})
    part = hand.start_id()
    hand.settle(found["in"], Begun((Start(part, inner, "null", "in"),), 0))
    hand.settle(hand.lease(queues=here)[0], _BAD)
    hand.settle(hand.lease(queues=here)[0], Failed("inner failed"))
    hand.do(TryAgain(1), part)
    hand.settle(hand.lease(queues=here)[0])
    hand.settle(found["side"], _BAD)
    hand.settle(hand.lease()[0])
    assert hand.tasks(part) == ["x succeeded", "alarm succeeded"]
    hand.do(TryAgain(2), run)
    assert hand.run(part).state == "succeeded"
    assert sorted(hand.work()) == ["end", "in", "side"]


def test_p04_nothing_is_held_in_runs_inside_that_the_end_had_not_come_to(hand: Hand) -> None:
    """It ends a hundred in its own commit, and leaves further ones to the sweep."""
    hand.add(_INNER)
    each = Node("in", Arity.each, Kind.workflow, (Edge("list", "x", each=True),), workflow=_IN.workflow)
    run = hand.start(Graph("many", (Node("list"), Node("bad"), each)))
    found, count = _leased(hand), PARTS_AT_ONCE + 2
    hand.settle(found["list"], gives(list(range(count))))
    for attempt in hand.lease(count):
        _begins(hand, attempt)
    hand.pause(run)
    hand.settle(found["bad"], _BAD)
    hand.do(TryAgain(found["bad"].number), run)
    done = hand.work()
    assert (done.count("x"), hand.run(run).state) == (count, "succeeded")


@pytest.mark.parametrize("on_failure", _ENDS)
def test_p03_a_message_that_came_too_late_may_come_again(hand: Hand, on_failure: str) -> None:
    """With the idempotency key that it had; until then it is one, however often it comes."""
    nodes = (Node("bad"), Node("slow"), Node("hear", Arity.handler))
    run = hand.start(Graph(f"late-{on_failure}", nodes, on_failure=on_failure, stays_open=True))
    found = _leased(hand)
    hand.settle(found["bad"], _BAD)
    late = hand.send(run, "hear", 7, idempotency_key="k")
    assert hand.send(run, "hear", 7, idempotency_key="k") == late
    assert not late.done
    hand.settle(found["slow"])
    hand.do(TryAgain(1), run)
    assert hand.send(run, "hear", 7, idempotency_key="k").done
    assert not hand.send(run, "hear", 7, idempotency_key="k").done
    done = hand.work()
    assert done.count("hear") == 1


@pytest.mark.parametrize("on_failure", _ENDS)
def test_p05_a_message_that_waits_for_its_retry_keeps_its_turn(hand: Hand, on_failure: str) -> None:
    """What came after it comes after it."""
    nodes = (Node("bad"), _ASK, Node("hear", Arity.handler, serial=True))
    run = hand.start(Graph(f"turns-{on_failure}", nodes, on_failure=on_failure, stays_open=True))
    found = _leased(hand)
    hand.settle(found["ask"], gives(None, sends("hear", "first"), sends("hear", "second")))
    hand.settle(hand.lease()[0], Failed("not yet", retry_at=hand.now + 50))
    hand.settle(found["bad"], _BAD)
    hand.do(TryAgain(1), run)
    assert hand.work() == ["bad"]
    hand.wait(60)
    order = []
    while leased := hand.lease(9):
        order += [attempt.message for attempt in leased]
        hand.settle_all([(attempt, gives()) for attempt in leased])
    assert order == ['"first"', '"second"']


def test_p05_a_message_that_is_due_keeps_its_turn(hand: Hand) -> None:
    """Though it was to wait once; the time has come."""
    nodes = (Node("bad"), Node("hear", Arity.handler, serial=True))
    run = hand.start(Graph("due", nodes, on_failure="finish", stays_open=True))
    bad = hand.lease()[0]
    hand.send(run, "hear", "busy")
    busy = hand.lease()[0]
    first = hand.send(run, "hear", "first", due_at=hand.now + 10).number
    hand.send(run, "hear", "second")
    hand.wait(20)
    hand.settle(bad, _BAD)
    hand.settle(busy)
    hand.do(TryAgain(1), run)
    assert [attempt.number for attempt in hand.lease(9) if attempt.node == "hear"] == [first]


@pytest.mark.parametrize("ready", [False, True])
def test_p07_a_review_whose_time_has_passed_meanwhile_is_asked_again(hand: Hand, *, ready: bool) -> None:
    """Nobody could decide it while its run was over."""
    review = Node("ask", kind=Kind.review, review=ReviewSpec(("yes",)))
    run = hand.start(Graph("asks", (review, Node("bad"))))
    found = _leased(hand)
    hand.settle(found["ask"], Asked(hand.now + 60))
    if ready:
        hand.wait(100)
    hand.settle(found["bad"], _BAD)
    hand.wait(100)
    hand.do(TryAgain(2), run)
    assert [(attempt.node, attempt.due_at) for attempt in hand.lease(9)] == [("ask", None), ("bad", None)]


def test_p05_a_message_whose_attempt_ended_with_its_run_keeps_its_turn(hand: Hand) -> None:
    """One of a higher priority had to wait for it, and does so again."""
    nodes = (Node("bad"), _ASK, Node("hear", Arity.handler, serial=True))
    run = hand.start(Graph("turns", nodes, stays_open=True))
    found = _leased(hand)
    hand.settle(found["ask"], gives(None, sends("hear", "first")))
    first = hand.lease()[0]
    hand.send(run, "hear", "second", priority=9)
    hand.settle(found["bad"], _BAD)
    assert hand.settle(first).word == "ended"
    hand.do(TryAgain(1), run)
    again = [attempt for attempt in hand.lease(9) if attempt.node == "hear"]
    assert [attempt.number for attempt in again] == [first.number]
