"""Tasks that somebody cancels: the promises, where one has not begun and where it runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from heliostat.errors import BadInput, Ended
from heliostat.graph import Arity, Graph, Node
from heliostat.outcome import Asked, Failed, Released, Skipped, Snoozed
from heliostat.queue import WorkerInfo
from heliostat.store import Cancel, TryAgain
from heliostat.testing.conformance.hand import Hand, gives
from heliostat.testing.conformance.operating import ASKS, BAD, CAUGHT, FLOW, leased

if TYPE_CHECKING:
    from heliostat.outcome import Outcome


@pytest.mark.parametrize("outcome", [None, Snoozed(2e9), Failed("dark", retry_at=2e9)])
def test_p07_a_cancelled_task_that_has_not_begun_fails_its_run(hand: Hand, outcome: Failed | Snoozed | None) -> None:
    """At once, ready or waiting, with who did it and why; and it can be tried again like any that failed."""
    run = hand.start(FLOW)
    if outcome is not None:
        a, slow = leased(hand, "a", "slow")
        hand.settle(a, outcome)
        hand.settle(slow)
    assert hand.do(Cancel(1), run, "anna", "the wrong field").done
    found = hand.run(run)
    assert (found.state, found.reason) == ("failed", "a: cancelled by anna: the wrong field")
    assert hand.explain(run, 1) == "failed: cancelled by anna: the wrong field"
    (told,) = [told for entry in hand.store.journal(run) for told in json.loads(entry.event).get("tasks", ())]
    assert (told["number"], told["did"], told["by"]) == (1, "cancelled", "anna")
    assert hand.work() == ["alarm"]
    hand.do(TryAgain(1), run)
    hand.work()
    assert (hand.run(run).state, hand.run(run).open) == ("succeeded", 0)


@pytest.mark.parametrize(
    "outcome", [Released(), Released("full", 2e9), Failed("dark", retry_at=2e9), Failed("dark"), Snoozed(2e9)]
)
def test_p07_a_cancelled_task_that_runs_fails_when_its_worker_answers(hand: Hand, outcome: Outcome) -> None:
    """However it comes out but well, and nothing is tried again; until then it is told to stop."""
    run = hand.start(FLOW)
    a, slow = leased(hand, "a", "slow")
    said = hand.do(Cancel(3), run, "anna", "too slow")
    assert (said.done, said.note) == (True, "it runs, and is asked to stop")
    again = hand.do(Cancel(3), run, "ben")
    assert (again.done, again.note) == (False, "nothing to do: cancelled by anna: too slow, and is to stop")
    orders = hand.store.beat(WorkerInfo(hand.worker), hand.now)
    assert orders is not None
    assert (orders.stop, orders.cancelled) == (frozenset(), frozenset({slow.task}))
    assert hand.explain(run, 3).endswith("; cancelled by anna: too slow: it is to stop")
    hand.settle(slow, outcome)
    assert (hand.run(run).state, hand.run(run).reason) == ("failed", "slow: cancelled by anna: too slow")
    (past,) = hand.store.attempts(run, 3)
    assert (past.state, past.reason) == ("stopped", "cancelled by anna: too slow")
    assert hand.settle(a).word == "ended"
    hand.do(TryAgain(3), run)
    assert sorted(hand.work()) == ["a", "alarm", "b", "both", "slow"]
    assert hand.run(run).state == "succeeded"


@pytest.mark.parametrize(("outcome", "state"), [(gives(1), "succeeded"), (Skipped("none"), "skipped")])
def test_p02_a_task_that_comes_to_its_end_before_it_hears_was_not_cancelled(
    hand: Hand, outcome: Outcome, state: str
) -> None:
    """What it has done is done."""
    run = hand.start(FLOW)
    _, slow = leased(hand, "a", "slow")
    hand.do(Cancel(3), run)
    assert hand.settle(slow, outcome).word == "committed"
    assert (hand.task(run, 3).state, hand.run(run).state) == (state, "active")


def test_p02_a_cancelled_task_that_is_lost_with_its_worker_has_failed(hand: Hand) -> None:
    """It is handed to nobody again, and its worker changes nothing when it comes back."""
    run = hand.start(FLOW)
    slow = next(attempt for attempt in hand.lease(2, "frozen") if attempt.node == "slow")
    hand.do(Cancel(3), run)
    hand.lose("frozen")
    assert (hand.task(run, 3).state, hand.run(run).reason) == ("failed", "slow: cancelled by caller")
    assert hand.settle(slow, gives(1), "frozen").word in ("ended", "lost")


def test_p07_a_cancelled_task_is_caught_as_any_that_failed(hand: Hand) -> None:
    """By an edge, or where the node may fail; in a list it is one item of it."""
    run = hand.start(CAUGHT)
    hand.do(Cancel(1), run)
    hand.do(Cancel(3), run)
    assert hand.work() == ["b"]
    assert hand.run(run).state == "succeeded"
    assert [state.partition(" ")[2] for state in hand.tasks(run)] == ["failed", "succeeded", "failed"]


def test_p05_a_cancelled_head_gives_the_key_on(hand: Hand) -> None:
    """The next message of a serial handler is ready, if the run goes on."""
    serial = Graph("serial", (Node("hear", Arity.handler, serial=True, may_fail=True),), stays_open=True)
    run = hand.start(serial)
    for message in range(2):
        hand.send(run, "hear", message)
    hand.do(Cancel(2), run)
    assert [attempt.message for attempt in hand.lease(9)] == ["1"]


def test_p12_what_is_over_or_not_there_yet_cannot_be_cancelled(hand: Hand) -> None:
    """A join would be born twice, a review is decided, and what is over is over."""
    run = hand.start(FLOW)
    hand.settle(leased(hand, "a", "slow")[1])
    with pytest.raises(Ended, match="is pending; only what is ready, waits or runs can be cancelled"):
        hand.do(Cancel(4), run)
    with pytest.raises(Ended, match="is succeeded; only"):
        hand.do(Cancel(3), run)
    hand.cancel(run)
    with pytest.raises(Ended, match="its run was cancelled, and what is left of it ends with it"):
        hand.do(Cancel(1), run)
    asks = hand.start(ASKS)
    hand.work({"ask": Asked(None), "bad": Snoozed(hand.now + 5)})
    with pytest.raises(BadInput, match="is a review: it can be decided, or withdrawn"):
        hand.do(Cancel(1), asks)


def test_p07_a_run_that_is_cancelled_and_tried_again_forgets_what_was_called_off(hand: Hand) -> None:
    """A task that was asked to stop, and whose run then ended, begins again with it."""
    run = hand.start(FLOW)
    a, slow = leased(hand, "a", "slow")
    hand.do(Cancel(3), run)
    hand.settle(a, BAD)
    assert hand.settle(slow).word == "ended"
    hand.do(TryAgain(1), run)
    hand.work()
    assert hand.run(run).state == "succeeded"
