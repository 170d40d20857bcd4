"""P4: nothing is stuck in silence: what does not run says why, and whatever can go on does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from heliostat.effects import Map, Start
from heliostat.graph import Arity, Edge, Graph, Node, On
from heliostat.outcome import Failed, Released, Skipped, Snoozed
from heliostat.queue import WorkerInfo
from heliostat.store import Drain, Orders, SetNode, SetQueue
from heliostat.testing.conformance.hand import Hand, gives

if TYPE_CHECKING:
    from heliostat.testing.conformance.hand import Answers

JOIN = Graph("join", (Node("a"), Node("b"), Node("c", edges=(Edge("a"), Edge("b")))))
TALK = Graph(
    "talk",
    (
        Node("ask", Arity.handler, entry=True),
        Node("count", Arity.handler, serial=True),
        Node("tile", Arity.handler, serial="name"),
        Node("told", Arity.handler),
    ),
    stays_open=True,
)
GATED = Graph(
    "gated",
    (
        Node("open"),
        Node("ask", Arity.handler, entry=True),
        Node("part", Arity.handler, edges=(Edge("open", "open"),)),
        Node("whole", Arity.handler),
        Node("after", edges=(Edge("part", "part", optional=True),)),
    ),
)
CLOSING = Graph("closing", (Node("a"), Node("tidy", epilogue=On.ended)))
CHILD = Graph("child", (Node("only"),))
PARENT = Graph(
    "parent",
    (Node("open"), Node("ask", Arity.handler, entry=True), Node("told", Arity.handler, edges=(Edge("open", "open"),))),
)
GRANDPARENT = Graph("grandparent", (Node("ask", Arity.handler, entry=True), Node("told", Arity.handler)))


# why

START = "start one: heliostat worker start WHERE"


def test_p04_a_join_says_what_it_waits_for(hand: Hand) -> None:
    """By the names of the nodes that have not settled."""
    run = hand.start(JOIN)
    [a, _] = hand.lease(2)
    hand.settle(a)
    assert hand.explain(run, 3) == "c waits for b"


def test_p04_a_serial_task_says_how_many_come_first(hand: Hand) -> None:
    """And for which key, if it is serial by a field."""
    run = hand.start(TALK)
    for number in range(3):
        hand.send(run, "count", number)
        hand.send(run, "tile", {"name": "a"})
    assert hand.explain(run, 10) == "count is serial: 2 before it"
    assert hand.explain(run, 11) == 'tile is serial for "a": 2 before it'


def test_p04_what_is_ready_is_told_by_queue_and_definition(hand: Hand) -> None:
    """Whatever is ready can be held against what workers offer; what is held or runs is not ready."""
    assert hand.store.lively_lanes() == []
    run = hand.start(JOIN)
    hand.start(CHILD)
    assert hand.store.lively_lanes() == sorted([("default", JOIN.id), ("default", CHILD.id)])
    hand.pause(run)
    assert hand.store.lively_lanes() == [("default", CHILD.id)]
    hand.lease(3)
    assert hand.store.lively_lanes() == []


def test_p04_a_ready_task_says_that_nobody_offers_it(hand: Hand) -> None:
    """Neither its workflow nor its queue; or how many workers could take it."""
    run = hand.start(JOIN)
    assert hand.explain(run, 1) == f"no worker offers {JOIN.label}, for there is none; {START}"
    hand.store.beat(WorkerInfo("w", offers=f"x, {JOIN.label}", queues="elsewhere"), hand.now)
    assert hand.explain(run, 1) == f"no worker that offers {JOIN.label} takes from queue default"
    hand.store.beat(WorkerInfo("v", offers=JOIN.label), hand.now)
    assert hand.explain(run, 1) == "ready: a task in queue default, next for one of 1 workers"


def test_p04_a_full_or_paused_queue_is_named(hand: Hand) -> None:
    """With how many run, of how many."""
    run = hand.start(JOIN)
    hand.do(SetQueue("default", limit=1))
    hand.lease(2)
    assert hand.explain(run, 2) == "queue default is full: 1 of 1 running"
    hand.do(SetQueue("default", limit=None, paused=True))
    assert hand.explain(run, 2) == "queue default is paused, by caller 0.0 s ago"


def test_p04_a_full_or_paused_node_is_named(hand: Hand) -> None:
    """An operator's limit holds over all runs of the definition."""
    hand.add(JOIN)
    hand.do(SetNode(JOIN.id, "a", limit=1))
    hand.start(JOIN)
    hand.lease(2)
    run = hand.start(JOIN)
    assert hand.explain(run, 1) == "node a is full: 1 of 1 running"
    hand.do(SetNode(JOIN.id, "a", paused=True))
    assert hand.explain(run, 1) == "node a is paused, by caller 0.0 s ago"


def test_p04_a_limited_node_in_a_full_queue_names_the_queue(hand: Hand) -> None:
    """What runs in its lane and what runs in its queue are counted apart."""
    run = hand.start(JOIN)
    hand.do(SetNode(JOIN.id, "a", limit=2, paused=True))
    assert [attempt.node for attempt in hand.lease(2)] == ["b"]
    hand.do(SetNode(JOIN.id, "a", paused=False))
    hand.do(SetQueue("default", limit=1))
    assert hand.explain(run, 1) == "queue default is full: 1 of 1 running"


def test_p04_a_waiting_task_says_until_when_and_after_what(hand: Hand) -> None:
    """A retry, a snooze and a delay are not the same."""
    run = hand.start(TALK)
    hand.send(run, "told", due_at=hand.now + 300)
    [attempt] = hand.lease()
    hand.settle(attempt, Failed("OSError: no answer", retry_at=hand.now + 30))
    assert hand.explain(run, 5) == "retried in 30.0 s after: OSError: no answer"
    assert hand.explain(run, 6) == "a delayed message, due in 5 min"
    hand.wait(30)
    [attempt] = hand.lease()
    hand.settle(attempt, Snoozed(hand.now + 7200))
    assert hand.explain(run, 5).endswith("due in 2.0 h")


def test_p04_what_is_handed_back_until_later_waits_and_says_for_what(hand: Hand) -> None:
    """It is no failure and no past attempt, and nobody takes it again before its time."""
    run = hand.start(CHILD)
    [attempt] = hand.lease()
    hand.settle(attempt, Released("no space left", until=hand.now + 30))
    assert hand.lease() == []
    assert hand.explain(run, 1) == "retried in 30.0 s after: no space left"
    assert hand.wait(0) == hand.now + 30
    hand.wait(30)
    [again] = hand.lease()
    assert (again.count, again.failures, again.rescues, hand.store.attempts(run)) == (2, 0, 0, [])
    hand.settle(again, gives())
    assert (hand.run(run).state, hand.task(run, 1).reason) == ("succeeded", None)


def test_p04_a_paused_run_is_named(hand: Hand) -> None:
    """Whatever else there is to say."""
    run = hand.start(JOIN)
    hand.pause(run)
    assert hand.explain(run, 1) == f"run {hand.run(run).public} is paused, by caller 0.0 s ago"


def test_p04_a_running_task_says_where_and_whether_that_worker_is_alive(hand: Hand) -> None:
    """One that shows no life any more will be rescued."""
    run = hand.start(JOIN)
    hand.beat("w")
    hand.lease()
    hand.now += 5
    assert hand.explain(run, 1) == "running for 5.0 s on worker w (attempt 1)"
    hand.lose("w")
    hand.lease()
    assert hand.explain(run, 1).endswith("which shows no life; it will be rescued")


def test_p04_a_worker_that_drains_hears_of_it_and_is_not_waited_for(hand: Hand) -> None:
    """With its next heartbeat, and with every one until it stops; who asks why finds no worker that takes more."""
    hand.store.beat(WorkerInfo("w", offers=JOIN.label), hand.now)
    assert hand.do(Drain("w"), actor="ann", reason="new kernel").done
    assert [hand.store.beat(WorkerInfo("w", offers=JOIN.label), hand.now) for _ in range(2)] == [Orders(drain=True)] * 2
    assert hand.store.worker("w").state == "draining"  # type: ignore[union-attr]
    run = hand.start(JOIN)
    assert hand.explain(run, 1) == f"no worker offers {JOIN.label}, for there is none; {START}"
    assert hand.do(Drain("w")).note == "nothing to do: worker w is draining already"
    assert [(e.actor, json.loads(e.event)) for e in hand.store.journal() if "drain" in e.event] == [
        ("ann", {"worker": "w", "drain": True, "reason": "new kernel"})
    ]
    hand.store.beat(WorkerInfo("w", state="stopped"), hand.now)
    assert hand.do(Drain("w")).note == "nothing to do: worker w is stopped already"


def test_p04_a_draining_worker_that_is_lost_is_rescued(hand: Hand) -> None:
    """Like any other."""
    run = hand.start(CHILD)
    hand.beat("w")
    [attempt] = hand.lease(worker="w")
    hand.do(Drain("w"))
    hand.lose("w")
    assert hand.task(run, attempt.number).state == "ready"


def test_p04_a_task_that_may_be_poison_says_that_it_begins_alone(hand: Hand) -> None:
    """It is leased and perhaps has not begun, because something else runs where it is."""
    run = hand.start(CHILD)
    hand.beat("w")
    for name in ("doomed", "damned"):
        hand.lease(worker=name)
        hand.lose(name)
    hand.lease()
    assert hand.explain(run, 1).endswith(
        "(attempt 3); lost with its worker 2 times before, so it begins when nothing else runs there"
    )


def test_p04_a_message_from_a_run_says_which_run_it_waits_for(hand: Hand) -> None:
    """By the id that people type."""
    run = hand.start(TALK)
    [attempt] = hand.lease()
    hand.settle(attempt, gives(None, Start(7, CHILD, "1", then="told")))
    assert hand.explain(run, 6) == f"waits for the end of run {hand.run(7).public}"


# what can go on, does


def test_p04_what_runs_after_the_end_runs_though_the_run_was_paused(hand: Hand) -> None:
    """A run that is over cannot be resumed, so its end must not be held."""
    run = hand.start(CLOSING)
    hand.pause(run)
    hand.cancel(run)
    assert hand.work() == ["tidy"]
    assert hand.run(run).open == 0


def test_p04_a_join_hears_of_members_that_are_skipped_at_birth(hand: Hand) -> None:
    """What they wait for had been skipped before they were sent; their join must not wait for them for ever."""
    run = hand.start(GATED)
    assert hand.work({"open": Skipped("closed"), "ask": gives(None, Map("part", ("1", "2"), "whole"))}) == [
        "open",
        "ask",
        "whole",
        "after",
    ]
    assert hand.run(run).state == "succeeded"


def test_p04_a_join_over_nothing_that_is_skipped_at_birth_tells_who_waits_for_it(hand: Hand) -> None:
    """Its place in another join passes on, whatever becomes of it."""
    graph = Graph(
        "nested",
        (
            Node("open"),
            Node("ask", Arity.handler, entry=True),
            Node("part", Arity.handler),
            Node("inner", Arity.handler, edges=(Edge("open"),)),
            Node("outer", Arity.handler),
        ),
    )
    run = hand.start(graph)
    answers: Answers = {
        "open": Skipped("closed"),
        "ask": gives(None, Map("part", ("1",), "outer")),
        "part": gives(None, Map("part", (), "inner")),
    }
    assert hand.work(answers) == ["open", "ask", "part", "outer"]
    assert hand.run(run).state == "succeeded"


def test_p04_an_end_goes_up_through_runs_that_end_with_it(hand: Hand) -> None:
    """A run whose last task is skipped by its child's end ends too, and tells who waits for it."""
    top = hand.start(GRANDPARENT)
    answers: Answers = {
        "ask": lambda attempt: (
            gives(None, Start(7, PARENT, "1", then="told"))
            if attempt.run == top
            else gives(None, Start(8, CHILD, "1", then="told"))
        ),
        "open": Skipped("closed"),
    }
    hand.offers |= {PARENT.id, CHILD.id}
    done = hand.work(answers)
    assert sorted(done) == ["ask", "ask", "only", "open", "told"]
    assert [hand.run(run).state for run in (8, 7, top)] == ["succeeded"] * 3


def test_p04_who_waits_for_a_run_that_others_started_is_refused_and_not_forgotten(hand: Hand) -> None:
    """A run tells its end to the one that started it: with a key that is taken there would be nobody to tell."""
    hand.start(CHILD, 1, idempotency_key="k")
    run = hand.start(TALK)
    [attempt] = [attempt for attempt in hand.lease(2) if attempt.node == "ask"]
    verdict = hand.settle(attempt, gives(None, Start(7, CHILD, "1", then="told", idempotency_key="k")))
    assert verdict.word == "conflict"
    assert verdict.reason == (
        "workflow child: a run was started with the idempotency key 'k' before, and tells its end to whoever started "
        "it; leave then= or the key out"
    )
    assert hand.tasks(run) == ["ask running"]


@pytest.mark.parametrize("at_once", [True, False])
def test_p04_a_second_handler_that_waits_for_the_same_run_is_refused_and_not_forgotten(
    hand: Hand,
    at_once: bool,  # noqa: FBT001
) -> None:
    """The end of a run comes to one handler; who names the same again is answered."""
    run = hand.start(TALK)
    hand.send(run, "ask", 2)
    first, second = [attempt for attempt in hand.lease(3) if attempt.node == "ask"]
    told, tiled = (Start(n, CHILD, "1", then=then, idempotency_key="k") for n, then in ((7, "told"), (8, "count")))
    if at_once:
        verdict = hand.settle(second, gives(None, told, tiled))
        assert hand.store.run(7) is None
    else:
        assert hand.settle(first, gives(None, told)).word == "committed"
        verdict = hand.settle(second, gives(None, tiled))
    assert verdict.word == "conflict"
    assert verdict.reason == (
        "workflow child: a run was started with the idempotency key 'k' before, and tells its end to told; "
        "leave then= or the key out"
    )
    assert hand.settle(second, gives(None, told, told)).word == "committed"
    hand.offers.add(CHILD.id)
    hand.work()
    assert [task for task in hand.tasks(run) if not task.startswith("ask")] == ["told succeeded"]


def test_p04_a_delayed_message_to_a_handler_whose_gate_stays_shut_is_skipped(hand: Hand) -> None:
    """It need not wait for its time to learn that it will not be handled."""
    run = hand.start(GATED)
    hand.send(run, "part", 1, due_at=hand.now + 1000)
    hand.work({"open": Skipped("closed")})
    assert "part skipped" in hand.tasks(run)
    assert hand.run(run).state == "succeeded"


def test_p04_messages_that_were_sent_before_the_gate_is_shut_are_skipped(hand: Hand) -> None:
    """And those that come later are so from their birth; the run ends."""
    run = hand.start(GATED)
    hand.send(run, "part", 1)
    hand.send(run, "part", 2)
    [opening] = [attempt for attempt in hand.lease(3) if attempt.node == "open"]
    hand.settle(opening, Skipped("closed"))
    hand.send(run, "part", 3)
    assert [task for task in hand.tasks(run) if task.startswith("part")] == ["part skipped"] * 3
    assert "after ready" in hand.tasks(run)


def test_p04_the_worker_of_an_ended_run_is_asked_to_stop(hand: Hand) -> None:
    """At its next heartbeat; what runs after the end is not meant."""
    run = hand.start(CLOSING)
    hand.beat("w")
    [attempt] = hand.lease()
    hand.cancel(run)
    [tidy] = hand.lease()
    assert tidy.node == "tidy"
    assert hand.beat("w") == frozenset({attempt.task})
    assert hand.explain(run, attempt.number).endswith(f"; run {hand.run(run).public} was cancelled: it is to stop")
    assert hand.explain(run, tidy.number) == "running for 0.0 s on worker w (attempt 1)"
