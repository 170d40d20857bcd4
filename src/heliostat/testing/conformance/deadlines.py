"""Runs that are to have ended by a time: the promises, where they have not."""

from __future__ import annotations

import pytest

from heliostat.effects import Start
from heliostat.errors import Ended
from heliostat.graph import Arity, Edge, Graph, Node, On
from heliostat.outcome import Failed, Snoozed
from heliostat.store import TryAgain
from heliostat.testing.conformance.hand import Hand, gives

CHAIN = Graph("chain", (Node("a"), Node("b", edges=(Edge("a"),)), Node("alarm", epilogue=On.failed)))
FINISH = Graph("finish", (Node("a"), Node("b")), on_failure="finish")
TALK = Graph("talk", (Node("ask", Arity.handler, entry=True), Node("told", Arity.handler)), stays_open=True)
OVERDUE = "it had not ended by its deadline"


def test_a_run_fails_at_its_deadline_and_what_is_left_is_stopped(hand: Hand) -> None:
    """Whatever runs is told to stop, and what comes after the end does."""
    run, other = (hand.start(CHAIN, deadline_at=hand.now + wait) for wait in (60, 90))
    [attempt, _] = hand.lease(2)
    assert hand.wait(59) == hand.now + 1
    assert hand.run(run).state == "active"
    hand.wait(1)
    assert (hand.run(run).state, hand.run(run).reason, hand.run(other).state) == ("failed", OVERDUE, "active")
    assert hand.beat() == frozenset({(attempt.run, attempt.number)})
    assert hand.settle(attempt).word == "ended"
    assert hand.work() == ["alarm"]
    assert [entry.actor for entry in hand.store.journal(run) if "ended" in entry.event] == ["deadline"]


def test_a_deadline_is_no_matter_of_a_run_that_has_ended(hand: Hand) -> None:
    """It is forgotten with the end, so nobody waits for it."""
    run = hand.start(CHAIN, deadline_at=hand.now + 60)
    hand.work()
    assert hand.wait(60) is None
    assert hand.run(run).state == "succeeded"


def test_what_waits_for_a_time_after_the_deadline_never_comes(hand: Hand) -> None:
    """A snooze does not keep a run alive."""
    run = hand.start(CHAIN, deadline_at=hand.now + 60)
    hand.settle(hand.lease()[0], Snoozed(hand.now + 100))
    assert hand.wait(10) == hand.now + 50
    hand.wait(50)
    assert hand.run(run).state == "failed"
    hand.wait(50)
    assert hand.work() == ["alarm"]


def test_a_failing_run_finishes_after_its_deadline(hand: Hand) -> None:
    """It fails once, for its first reason, and lets end what runs."""
    run = hand.start(FINISH, deadline_at=hand.now + 60)
    [a, b] = hand.lease(2)
    hand.settle(a, Failed("no light", final=True))
    assert hand.wait(61) is None
    assert hand.run(run).state == "active"
    hand.settle(b)
    assert hand.run(run).state == "failed"
    assert "no light" in (hand.run(run).reason or "")


def test_a_run_that_goes_on_has_no_deadline_any_more(hand: Hand) -> None:
    """It has failed for it, and would again at once."""
    run = hand.start(CHAIN, deadline_at=hand.now + 60)
    hand.settle(hand.lease()[0], Failed("no light", final=True))
    hand.wait(100)
    hand.do(TryAgain(1), run)
    hand.wait(100)
    assert hand.work()[-1] == "b"
    assert hand.run(run).state == "succeeded"


def test_a_deadline_is_told_to_who_started_the_run(hand: Hand) -> None:
    """Its end comes to the handler that was named, as any other."""
    parent = hand.start(TALK)
    start = Start(1 << 56, CHAIN, "null", then="told", deadline_at=hand.now + 60)
    hand.add(CHAIN)
    hand.settle(hand.lease()[0], gives(None, start))
    hand.lease()
    hand.wait(60)
    assert [task.state for task in hand.store.tasks(parent) if task.node == "told"] == ["ready"]


def test_many_runs_end_at_one_deadline(hand: Hand) -> None:
    """Some of them in each transaction, until none is left."""
    runs = [hand.start(CHAIN, deadline_at=hand.now + 60) for _ in range(130)]
    hand.wait(60)
    while hand.wait(0) is not None:
        pass
    assert {hand.run(run).state for run in runs} == {"failed"}


@pytest.mark.parametrize("seconds", [None, 60])
def test_a_run_that_failed_for_its_deadline_goes_on_with_another_or_none(hand: Hand, seconds: float | None) -> None:
    """With what was left when it failed; what ran then begins again."""
    run = hand.start(CHAIN, deadline_at=hand.now + 60)
    [attempt] = hand.lease()
    hand.wait(60)
    assert hand.settle(attempt).word == "ended"
    until = None if seconds is None else hand.now + seconds
    assert hand.do(TryAgain(None, until), run, "anna", "the queue was long").done
    assert (hand.run(run).state, hand.run(run).deadline_at) == ("active", until)
    assert '"by":"anna"' in hand.store.journal(run)[-1].event
    if seconds is None:
        assert hand.wait(1e6) is None
        assert sorted(hand.work()) == ["a", "alarm", "b"]
        assert hand.run(run).state == "succeeded"
    else:
        hand.wait(seconds)
        assert (hand.run(run).state, hand.run(run).reason) == ("failed", OVERDUE)


def test_a_task_that_is_tried_again_may_bring_a_deadline(hand: Hand) -> None:
    """In the run that had one, and in one that had none."""
    run = hand.start(CHAIN)
    hand.settle(hand.lease()[0], Failed("no light", final=True))
    hand.do(TryAgain(1, hand.now + 60), run)
    assert hand.wait(10) == hand.now + 50
    hand.wait(50)
    assert hand.run(run).reason == OVERDUE


def test_only_a_run_that_failed_for_its_deadline_goes_on_without_a_task(hand: Hand) -> None:
    """Of another it is to be said what is tried again."""
    run = hand.start(CHAIN, deadline_at=hand.now + 60)
    for said in ("active", "failed"):
        with pytest.raises(Ended, match="has not failed for a deadline"):
            hand.do(TryAgain(None), run)
        if said == "active":
            hand.settle(hand.lease()[0], Failed("no light", final=True))
