"""P7: ending is clean and idempotent; what came too late is kept with its reason."""

from __future__ import annotations

import pytest

from heliostat.effects import End, Map, Start
from heliostat.errors import Ended
from heliostat.graph import Arity, Edge, Graph, Kind, Node, On
from heliostat.outcome import Failed, Released, Skipped, Snoozed
from heliostat.run import RunState
from heliostat.store import TryAgain
from heliostat.stores.commit import CANCEL_AT_ONCE
from heliostat.task import AttemptState
from heliostat.testing.conformance.hand import Hand, gives, sends

TALK = Graph(
    "talk",
    (Node("ask", Arity.handler, entry=True), Node("hear", Arity.handler), Node("count", Arity.handler, serial=True)),
    stays_open=True,
)
CHAIN = Graph("chain", (Node("a"), Node("b", edges=(Edge("a"),)), Node("c", edges=(Edge("b"),))))
JOIN = Graph("join", (Node("a"), Node("b"), Node("c", edges=(Edge("a"), Edge("b")))))
FINISH = Graph("finish", (Node("a"), Node("b"), Node("c", edges=(Edge("b"),))), on_failure="finish")
EPILOGUE = Graph("epilogue", (Node("a"), Node("b"), Node("alarm", epilogue=On.failed), Node("tidy", epilogue=On.ended)))
CHILD = Graph("child", (Node("only"),), stays_open=True)


def test_p07_a_run_ends_with_its_last_task(hand: Hand) -> None:
    """Nothing is ready, running or waiting, and no node has part of its inputs."""
    run = hand.start(CHAIN)
    assert hand.run(run).open == 1
    assert hand.work() == ["a", "b", "c"]
    assert (hand.run(run).state, hand.run(run).open, hand.run(run).ended_at) == ("succeeded", 0, hand.now)


def test_p07_a_half_filled_join_keeps_a_run_active_and_a_node_that_nobody_reached_does_not(hand: Hand) -> None:
    """What has part of its inputs waits for the rest; what has none was never born."""
    run = hand.start(JOIN)
    [a, b] = hand.lease(2)
    hand.settle(a)
    assert hand.run(run).state == "active"
    hand.settle(b, Skipped("no"))
    assert hand.tasks(run)[-1] == "c skipped"
    assert hand.run(run).state == "succeeded"


def test_p07_a_run_that_stays_open_ends_when_somebody_says_so(hand: Hand) -> None:
    """With the result that was given."""
    run = hand.start(TALK)
    hand.work()
    assert hand.run(run).state == "active"
    assert hand.complete(run, {"fire": True}).done
    assert (hand.run(run).state, hand.run(run).result, hand.run(run).open) == ("succeeded", '{"fire":true}', 0)


def test_p07_ending_twice_is_a_no_op_that_says_so(hand: Hand) -> None:
    """The first end stands, with its result."""
    run = hand.start(TALK)
    hand.complete(run, 1)
    before = hand.everything()
    again = hand.complete(run, 2)
    assert (again.done, again.note) == (False, "nothing to do: the run had succeeded already")
    assert hand.cancel(run).note == "nothing to do: the run had succeeded already"
    assert hand.everything() == before


def test_p07_an_end_cancels_all_that_has_not_begun(hand: Hand) -> None:
    """Ready, waiting and pending tasks, with the reason; what is running is asked to stop."""
    run = hand.start(TALK)
    hand.beat("w")
    [ask] = hand.lease()
    hand.send(run, "hear", 1)
    hand.send(run, "hear", 2, due_at=hand.now + 1000)
    hand.send(run, "count", 3)
    hand.send(run, "count", 4)
    hand.cancel(run, "rain")
    assert hand.tasks(run) == ["ask running", *["hear cancelled"] * 2, *["count cancelled"] * 2]
    assert {task.reason for task in hand.store.tasks(run)[1:]} == {"the run was cancelled"}
    assert hand.beat("w") == frozenset({ask.task})
    assert hand.lease() == []
    assert hand.wait(1000) is None
    assert hand.run(run).open == 1
    hand.settle(ask)
    assert (hand.run(run).state, hand.run(run).reason, hand.run(run).open) == ("cancelled", "rain", 0)


def test_p07_a_message_that_comes_too_late_is_kept_with_the_reason(hand: Hand) -> None:
    """It is a task that was never to be handled, and its sender is told."""
    run = hand.start(TALK)
    hand.complete(run)
    answer = hand.send(run, "hear", {"wind": 7}, due_at=hand.now + 5)
    reason = "not handled: the run had succeeded before this message arrived"
    assert (answer.done, answer.note) == (False, reason)
    late = hand.task(run, answer.number or 0)
    assert (late.state, late.message, late.reason) == ("cancelled", '{"wind":7}', reason)
    assert (hand.run(run).open, hand.wait(10), hand.lease()) == (0, None, [])


def test_p07_pausing_what_is_over_is_refused(hand: Hand) -> None:
    """There is nothing left to hold."""
    run = hand.start(TALK)
    hand.complete(run)
    with pytest.raises(Ended, match="has succeeded; there is nothing to pause"):
        hand.pause(run)


def test_p07_a_failure_ends_the_run_and_says_node_and_cause(hand: Hand) -> None:
    """No retry unless the author asked for one."""
    run = hand.start(JOIN)
    [a, b] = hand.lease(2)
    hand.settle(a, Failed("ValueError: no light"))
    assert (hand.run(run).state, hand.run(run).reason) == ("failed", "a: ValueError: no light")
    assert hand.settle(b, gives(5)).word == "ended"
    assert hand.tasks(run) == ["a failed", "b cancelled"]
    assert hand.run(run).open == 0


def test_p07_a_failing_run_may_let_what_is_running_finish(hand: Hand) -> None:
    """Its results are kept, nothing new begins, and then the run has failed."""
    run = hand.start(FINISH)
    [a, b] = hand.lease(2)
    hand.settle(a, Failed("no light"))
    assert (hand.run(run).state, hand.run(run).closing) == ("active", True)
    note = hand.complete(run).note
    assert note == "nothing to do: the run is failing"
    assert hand.settle(b, gives(5)).word == "committed"
    assert hand.tasks(run) == ["a failed", "b succeeded", "c cancelled"]
    assert (hand.run(run).state, hand.run(run).reason) == ("failed", "a: no light")


def test_p07_a_failing_run_lets_its_retries_and_snoozes_finish(hand: Hand) -> None:
    """They had begun; what they answer in the end is kept."""
    run = hand.start(FINISH)
    [a, b] = hand.lease(2)
    hand.settle(b, Snoozed(hand.now + 10))
    hand.settle(a, Failed("no light"))
    assert hand.run(run).state == "failed"
    assert hand.tasks(run) == ["a failed", "b cancelled"]


def test_p07_a_failure_counts_before_a_completion_in_the_same_commit(hand: Hand) -> None:
    """As if they had come one after the other; the result is kept, in case the run goes on."""
    run = hand.start(FINISH)
    [a, b] = hand.lease(2)
    hand.settle_all([(a, Failed("no light")), (b, gives(None, End(RunState.succeeded, "1")))])
    assert (hand.run(run).state, hand.run(run).result) == ("failed", "1")


def test_p07_the_first_of_two_ends_in_one_commit_stands(hand: Hand) -> None:
    """And what others of the batch sent inside the run is cancelled with it."""
    run = hand.start(TALK)
    hand.send(run, "hear")
    [ask, hear] = hand.lease(2)
    hand.settle_all([(ask, gives(None, End(RunState.succeeded, "1"))), (hear, gives(None, sends("hear", 2)))])
    assert (hand.run(run).state, hand.run(run).result, hand.run(run).open) == ("succeeded", "1", 0)
    assert hand.tasks(run) == ["ask succeeded", "hear succeeded", "hear cancelled"]


def test_p07_what_runs_after_the_end_cannot_change_it(hand: Hand) -> None:
    """It sees the run's end, keeps what it returns, and its own failure is its own."""
    run = hand.start(EPILOGUE)
    [a, _] = hand.lease(2)
    hand.settle(a, Failed("no light"))
    ended = hand.run(run)
    assert hand.work({"alarm": Failed("nobody there"), "tidy": gives("tidied")}) == ["alarm", "tidy"]
    after = hand.run(run)
    assert (after.state, after.reason, after.ended_at) == (ended.state, ended.reason, ended.ended_at)
    assert hand.tasks(run) == ["a failed", "b running", "alarm failed", "tidy succeeded"]


def test_p07_a_result_stays_through_all_that_comes_after_the_end(hand: Hand) -> None:
    """An epilogue, a late message, a straggler and a sweep write the run, but not its end."""
    graph = Graph("kept", (Node("hear", Arity.handler, entry=True), Node("tidy", epilogue=On.ended)), stays_open=True)
    run = hand.start(graph)
    [straggler] = hand.lease()
    hand.complete(run, {"fire": True})
    hand.now += 10
    hand.work()
    hand.send(run, "hear")
    hand.settle(straggler)
    hand.store.sweep(hand.now)
    ended = hand.run(run)
    assert (ended.result, ended.ended_at, ended.open) == ('{"fire":true}', hand.now - 10, 0)


def test_p07_a_child_tells_its_end_to_who_started_it(hand: Hand) -> None:
    """Once, however it ended, and only if that is still there to hear it."""
    run = hand.start(TALK)
    hand.offers.add(CHILD.id)
    [ask] = hand.lease()
    hand.settle(ask, gives(None, *[Start(number, CHILD, "1", then="hear") for number in (7, 8, 9)]))
    hand.complete(7, 70)
    hand.cancel(8, "rain")
    hand.complete(7)
    told = [attempt for attempt in hand.lease(10) if attempt.run == run]
    assert len(told) == 2
    assert [hand.store.child(run, attempt.number) for attempt in told] == [hand.run(7), hand.run(8)]
    hand.complete(run)
    hand.complete(9)
    assert hand.tasks(run)[-1] == "hear cancelled"


def test_p07_a_job_of_a_run_that_is_over_passes_to_whoever_can_stop_it(hand: Hand) -> None:
    """Its worker is lost, but the job goes on; the adopter hears that the run is over, and says when the job is."""
    run = hand.start(Graph("job", (Node("a", kind=Kind.job), Node("b"))))
    hand.lease(2, worker="doomed")
    hand.beat("heir")
    hand.cancel(run)
    _, adopted = hand.lose("doomed", "heir")
    assert [attempt.node for attempt in adopted] == ["a"]
    assert hand.beat("heir") == frozenset({adopted[0].task})
    assert hand.tasks(run) == ["a running", "b cancelled"]
    assert hand.settle(adopted[0], Released(), worker="heir").word == "ended"
    assert (hand.tasks(run), hand.run(run).open) == (["a cancelled", "b cancelled"], 0)


def test_p07_what_the_end_of_a_run_has_stopped_is_begun_anew_when_the_run_goes_on(hand: Hand) -> None:
    """It was ended from outside, so nothing of it has failed; but that it had begun is remembered."""
    run = hand.start(Graph("two", (Node("a"), Node("b"))))
    [a, b] = hand.lease(2)
    hand.settle(a, Failed("no light"))
    hand.do(TryAgain(a.number), run)
    assert hand.settle(b, Released("its run is over", how=AttemptState.stopped)).word == "committed"
    assert (hand.run(run).state, hand.tasks(run)) == ("active", ["a ready", "b ready"])
    told = [(past.number, past.state, past.reason) for past in hand.store.attempts(run)]
    assert told == [(1, "failed", "no light"), (2, "stopped", "its run is over")]
    assert [(attempt.node, attempt.failures) for attempt in hand.lease(2)] == [("a", 1), ("b", 0)]


@pytest.mark.parametrize("together", [True, False])
def test_p07_two_failures_let_what_is_running_finish(hand: Hand, *, together: bool) -> None:
    """A failing run fails once: what it has begun is kept, however many failures come meanwhile."""
    run = hand.start(Graph("finish", (Node("a"), Node("b"), Node("c")), on_failure="finish"))
    [a, b, c] = hand.lease(3)
    failures = [(a, Failed("no light")), (b, Failed("no wind"))]
    for batch in [failures] if together else [failures[:1], failures[1:]]:
        hand.settle_all(batch)
    assert (hand.run(run).state, hand.run(run).closing) == ("active", True)
    assert hand.settle(c, gives(5)).word == "committed"
    assert hand.tasks(run) == ["a failed", "b failed", "c succeeded"]
    assert (hand.run(run).state, hand.run(run).reason) == ("failed", "a: no light")


def test_p07_what_a_failing_run_sends_is_kept_and_what_it_starts_begins(hand: Hand) -> None:
    """An attempt that was let finish is committed with all that it asked for; only inside the run nothing begins."""
    graph = Graph(
        "closing",
        (Node("a"), Node("ask", Arity.handler, entry=True), Node("hear", Arity.handler)),
        on_failure="finish",
    )
    run = hand.start(graph)
    [a, ask] = hand.lease(2)
    hand.settle(a, Failed("no light"))
    effects = (
        sends("hear", {"wind": 7}),
        Start(7, CHILD, "1"),
        Start(8, CHILD, "1", then="hear"),
        Map("hear", ("1",), "hear"),
    )
    assert hand.settle(ask, gives(None, *effects)).word == "committed"
    assert hand.tasks(run) == ["a failed", "ask succeeded", *["hear cancelled"] * 4]
    kept = hand.store.tasks(run, node="hear")
    assert {task.reason for task in kept} == {"the run failed"}
    assert [task.message for task in kept] == ['{"wind":7}', None, None, "1"]
    assert (hand.run(7).state, hand.run(8).state) == ("active", "active")
    assert (hand.run(run).state, hand.run(run).open) == ("failed", 0)
    hand.complete(8)
    assert hand.tasks(run)[3:] == ["hear cancelled"] * 3


def test_p07_a_large_run_is_ended_in_bounded_steps(hand: Hand) -> None:
    """The end itself is at once; what it cannot cancel in its own commit a sweep does, and nobody can take it."""
    graph = Graph("large", (Node("list"), Node("tile", Arity.each, edges=(Edge("list", "x", each=True),))))
    run = hand.start(graph)
    hand.settle(hand.lease()[0], gives(list(range(CANCEL_AT_ONCE + 500))))
    hand.cancel(run)
    assert hand.run(run).state == "cancelled"
    assert hand.run(run).open == 500
    assert hand.lease(10) == []
    closed = 0
    while more := hand.store.sweep(hand.now):
        closed += more
    assert hand.run(run).open == 0
    assert {task.state for task in hand.store.tasks(run, limit=2000)} == {"succeeded", "cancelled"}
