"""What operators do to tasks: the promises, where a run goes on after it has failed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from heliostat.effects import Map, Start
from heliostat.errors import BadInput, Conflict, Ended, NotFound, Refused
from heliostat.graph import Arity, Edge, Graph, Kind, Node, On
from heliostat.outcome import Asked, Failed, Snoozed
from heliostat.review import ReviewSpec
from heliostat.run import RunState
from heliostat.store import Command, Resolve, SetNode, SetQueue, SetTask, TryAgain
from heliostat.task import TaskState
from heliostat.testing.conformance.hand import Hand, gives, sends

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliostat.task import Attempt

BAD = Failed("no light", final=True)
FLOW = Graph(
    "flow",
    (
        Node("a"),
        Node("b", edges=(Edge("a", "a"),)),
        Node("slow"),
        Node("both", edges=(Edge("b", "b"), Edge("slow", "slow"))),
        Node("alarm", epilogue=On.failed),
    ),
)
TALK = Graph(
    "talk",
    (Node("ask", Arity.handler, entry=True), Node("hear", Arity.handler, serial=True), Node("all", Arity.handler)),
    stays_open=True,
)
LIST = Graph(
    "list",
    (
        Node("a"),
        Node("each", Arity.each, edges=(Edge("a", "a", each=True),)),
        Node("z", edges=(Edge("each", "e"),)),
    ),
)
CAUGHT = Graph("caught", (Node("a"), Node("b", edges=(Edge("a", on=On.failed),)), Node("c", may_fail=True)))
CHILD = Graph("child", (Node("only"),))
ASKS = Graph("asks", (Node("ask", kind=Kind.review, review=ReviewSpec(("yes",))), Node("bad")))


def test_the_lanes_that_nodes_have_for_themselves_are_told(hand: Hand) -> None:
    """Those with a limit, and those that were set or paused; the others share one and are left out."""
    flow = Graph("flow", (Node("a", limit=2), Node("b"), Node("c", queue="far")))
    hand.add(flow)
    assert [(lane.node, lane.limit, lane.paused) for lane, *_ in hand.store.lanes()] == [("a", 2, False)]
    hand.do(SetNode(flow.id, "c", paused=True))
    hand.do(SetNode(flow.id, "a", limit=None))
    told = [(lane.node, lane.queue, lane.limit, lane.paused) for lane, *_ in hand.store.lanes()]
    assert told == [("a", "default", None, False), ("c", "far", None, True)]


def test_why_a_node_or_a_queue_was_set_is_in_the_journal(hand: Hand) -> None:
    """With who did it, and in which definition."""
    flow = Graph("flow", (Node("a"),), version="1")
    hand.add(flow)
    told = [
        Command(SetNode(flow.id, "a", 3), None, "anna", "ill"),
        Command(SetQueue("default", 5), None, "anna", "full"),
    ]
    hand.store.accept(told, hand.now)
    entries = [entry for entry in hand.store.journal() if entry.actor == "anna"]
    events = [json.loads(entry.event) for entry in entries]
    assert {"node": "a", "workflow": "flow 1", "limit": 3, "paused": False, "reason": "ill"} in events
    assert {"queue": "default", "limit": 5, "rate": None, "paused": False, "reason": "full"} in events


def leased(hand: Hand, *names: str) -> list[Attempt]:
    """What is ready, by its nodes."""
    found = {attempt.node: attempt for attempt in hand.lease(len(names))}
    return [found[name] for name in names]


def failed(hand: Hand) -> int:
    """A run that failed at b, while slow was running."""
    run = hand.start(FLOW)
    a, slow = leased(hand, "a", "slow")
    hand.settle(a)
    hand.settle(leased(hand, "b")[0], BAD)
    assert hand.settle(slow).word == "ended"
    assert hand.work() == ["alarm"]
    return run


def test_p08_a_failed_run_goes_on_from_where_it_was(hand: Hand) -> None:
    """What failed has one more attempt, and what its end cancelled is there again."""
    run = failed(hand)
    assert hand.tasks(run) == ["a succeeded", "b failed", "slow cancelled", "alarm succeeded"]
    assert hand.do(TryAgain(2), run, "anna", "the sun is up").done
    found = hand.run(run)
    assert (found.state, found.reason, found.ended_at, found.open) == (RunState.active, None, None, 2)
    assert sorted(hand.work()) == ["b", "both", "slow"]
    assert (hand.run(run).state, hand.run(run).open) == ("succeeded", 0)
    (told,) = [told for entry in hand.store.journal(run) for told in json.loads(entry.event).get("tasks", ())]
    assert (told["number"], told["did"], told["by"], told["reason"]) == (2, "tried again", "anna", "the sun is up")


def test_p07_a_run_that_fails_once_more_ends_once_more(hand: Hand) -> None:
    """With another task for what runs after its end; the attempts are counted on."""
    run = failed(hand)
    hand.do(TryAgain(2), run)
    b, slow = leased(hand, "b", "slow")
    assert b.count == 2
    hand.settle(b, BAD)
    hand.settle(slow)
    assert hand.run(run).state == "failed"
    assert hand.work() == ["alarm"]
    assert [task.node for task in hand.store.tasks(run, TaskState.succeeded)] == ["a", "alarm", "alarm"]
    assert hand.run(run).open == 0


def test_p08_what_failed_beside_it_is_tried_again_with_it(hand: Hand) -> None:
    """Else the run could never come to its end."""
    run = hand.start(FLOW)
    hand.settle_all([(attempt, BAD) for attempt in hand.lease(2)])
    assert hand.tasks(run)[:2] == ["a failed", "slow failed"]
    hand.do(TryAgain(3), run)
    assert hand.tasks(run)[:2] == ["a ready", "slow ready"]
    hand.work()
    assert hand.run(run).state == "succeeded"


def test_p05_messages_of_a_serial_handler_go_on_in_their_order(hand: Hand) -> None:
    """The one that failed first, delayed ones at their time, those that came too late not at all."""
    run = hand.start(TALK)
    (ask,) = leased(hand, "ask")
    hand.settle(ask, gives(None, sends("hear", 1), sends("hear", 2), sends("all", 3, due_at=hand.now + 50)))
    (first,) = leased(hand, "hear")
    hand.settle(first, BAD)
    hand.send(run, "hear", 4)
    hand.do(TryAgain(first.number), run)
    assert hand.tasks(run)[1:] == ["hear ready", "hear pending", "all waiting", "hear cancelled"]
    assert hand.work() == ["hear", "hear"]
    hand.wait(50)
    assert hand.work() == ["all"]


def test_p06_a_join_that_was_cut_off_is_joined(hand: Hand) -> None:
    """Members that failed or were stopped are there again, each in its place."""
    run = hand.start(TALK)
    (ask,) = leased(hand, "ask")
    hand.settle(ask, gives(None, Map("ask", ("1", "2"), "all")))
    one, two = hand.lease(2)
    hand.settle(one, BAD)
    assert hand.settle(two, gives(22)).word == "ended"
    hand.do(TryAgain(one.number), run)
    hand.work({"ask": lambda attempt: gives(int(attempt.message or "") * 11)})
    (joint,) = hand.store.tasks(run, node="all")
    assert [item.result for item in hand.store.joined(run, joint.number)] == ["11", "22"]
    assert joint.state == "succeeded"


def test_p06_the_end_of_a_child_that_nobody_heard_is_heard(hand: Hand) -> None:
    """It came while the run that waits for it was over."""
    run = hand.start(TALK)
    hand.add(CHILD)
    (ask,) = leased(hand, "ask")
    hand.settle(ask, gives(None, Start(1 << 55, CHILD, "null", then="all"), sends("ask", 2)))
    child, bad = leased(hand, "only", "ask")
    hand.settle(bad, BAD)
    hand.settle(child)
    assert "all cancelled" in hand.tasks(run)
    hand.do(TryAgain(bad.number), run)
    assert sorted(hand.work()) == ["all", "ask"]


def test_p06_the_end_of_a_child_that_was_heard_is_not_heard_again(hand: Hand) -> None:
    """What is told of it waits for something else, too, and goes on waiting for that alone."""
    told = Node("told", Arity.handler, edges=(Edge("slow"),))
    run = hand.start(
        Graph("waits", (Node("ask", Arity.handler, entry=True), Node("slow"), Node("bad"), told), stays_open=True)
    )
    hand.add(CHILD)
    ask, slow, bad = leased(hand, "ask", "slow", "bad")
    hand.settle(ask, gives(None, Start(hand.start_id(), CHILD, "null", then="told")))
    hand.settle(leased(hand, "only")[0])
    hand.settle(bad, BAD)
    assert hand.settle(slow).word == "ended"
    hand.do(TryAgain(bad.number), run)
    slow, bad = leased(hand, "slow", "bad")
    hand.settle(bad)
    assert hand.work() == []
    hand.settle(slow)
    assert hand.work() == ["told"]


@pytest.mark.parametrize("until", [None, 60.0])
def test_p07_a_review_is_asked_again(hand: Hand, until: float | None) -> None:
    """It was closed when the run failed."""
    run = hand.start(ASKS)
    ask, bad = leased(hand, "ask", "bad")
    hand.settle(ask, Asked(until and hand.now + until))
    hand.settle(bad, BAD)
    hand.do(TryAgain(2), run)
    assert hand.tasks(run) == ["ask ready", "bad ready"]
    hand.work({"ask": Asked(None)})
    assert len(hand.store.reviews(run)) == 1


def test_p08_what_failed_may_be_said_to_be_over(hand: Hand) -> None:
    """As succeeded with a result, or as skipped; the run goes on as if an attempt had answered so."""
    run = failed(hand)
    hand.do(Resolve(2, TaskState.succeeded, '"by hand"'), run, "anna")
    assert hand.task(run, 2).result == '"by hand"'
    assert hand.work() == ["slow", "both"]
    assert hand.run(run).state == "succeeded"

    other = failed(hand)
    hand.do(Resolve(2, TaskState.skipped), other, "anna", "clouds")
    assert hand.task(other, 2).reason == "skipped by anna: clouds"
    assert hand.work() == ["slow"]
    assert "both skipped" in hand.tasks(other)
    assert hand.run(other).state == "succeeded"


def test_p08_what_has_not_begun_may_be_said_to_be_over(hand: Hand) -> None:
    """Whoever waits for it hears of it, and the next of its key has its turn."""
    run = hand.start(TALK)
    (ask,) = leased(hand, "ask")
    hand.settle(ask, gives(None, sends("hear", 1), sends("hear", 2), Map("ask", ("3",), "all")))
    first, second = (task.number for task in hand.store.tasks(run, node="hear"))
    hand.do(Resolve(first, TaskState.skipped), run)
    assert [hand.task(run, number).state for number in (first, second)] == ["skipped", "ready"]
    (member,) = [task for task in hand.store.tasks(run, node="ask") if task.state == "ready"]
    hand.do(Resolve(member.number, TaskState.succeeded, "33"), run)
    (joint,) = hand.store.tasks(run, node="all")
    assert joint.state == "ready"
    assert [item.result for item in hand.store.joined(run, joint.number)] == ["33"]
    assert hand.run(run).open == 3


def test_p08_a_list_that_is_given_by_hand_is_gone_over(hand: Hand) -> None:
    """And what is no list is refused."""
    run = hand.start(LIST)
    before = hand.everything()
    with pytest.raises(BadInput, match="each goes over its list, so its result must be one"):
        hand.do(Resolve(1, TaskState.succeeded, "7"), run)
    assert hand.everything() == before
    hand.do(Resolve(1, TaskState.succeeded, "[1,2]"), run)
    hand.do(Resolve(2, TaskState.succeeded, '"one"'), run)
    assert hand.work() == ["each[1]", "z"]
    assert [item.result for item in hand.store.items(run, 2)] == ['"one"', "null"]


def test_p05_a_task_comes_sooner_or_later(hand: Hand) -> None:
    """By a new priority, until it has begun."""
    run = hand.start(FLOW)
    hand.do(SetTask(3, 5), run)
    assert hand.task(run, 3).priority == 5
    leased(hand, "slow")
    with pytest.raises(Ended, match="is running; its priority changes nothing any more"):
        hand.do(SetTask(3, 1), run)


def _cancelled(hand: Hand) -> int:
    run = failed(hand)
    hand.do(TryAgain(2), run)
    hand.cancel(run)
    return run


def _caught(hand: Hand) -> int:
    run = hand.start(CAUGHT)
    hand.work({"a": BAD, "c": BAD})
    return run


def _child(hand: Hand) -> int:
    hand.start(TALK)
    hand.add(CHILD)
    (ask,) = leased(hand, "ask")
    hand.settle(ask, gives(None, Start(1 << 56, CHILD, "null", then="all")))
    hand.settle(leased(hand, "only")[0], BAD)
    return 1 << 56


@pytest.mark.parametrize(
    ("begin", "verb", "kind", "sentence"),
    [
        (failed, TryAgain(9), NotFound, "has no task 9"),
        (failed, TryAgain(-1), NotFound, "has no task -1"),
        (failed, TryAgain(1), Ended, "is succeeded: only what has failed can be tried again"),
        (failed, TryAgain(3), Ended, "is cancelled: only what has failed can be tried again"),
        (failed, Resolve(3, TaskState.skipped), Ended, "is cancelled: only what has failed"),
        (failed, Resolve(1, TaskState.skipped), Ended, "is succeeded: only what has failed"),
        (_cancelled, TryAgain(2), Ended, "only what has failed can be tried again"),
        (_caught, TryAgain(1), Ended, "is failed: the run went on without it and had succeeded"),
        (_caught, TryAgain(3), Ended, "is failed: the run went on without it and had succeeded"),
        (_child, TryAgain(1), Conflict, "has told its end to run"),
    ],
)
def test_p12_what_cannot_go_on_is_refused_and_leaves_nothing(
    hand: Hand, begin: Callable[[Hand], int], verb: TryAgain | Resolve, kind: type[Refused], sentence: str
) -> None:
    """In one sentence."""
    run = begin(hand)
    before = hand.everything()
    with pytest.raises(kind, match=sentence):
        hand.do(verb, run, "anna")
    assert hand.everything() == before


def test_p12_what_is_waited_for_or_runs_is_not_said_to_be_over(hand: Hand) -> None:
    """A join would hear of it twice, and an attempt would answer in vain."""
    run = hand.start(FLOW)
    _, slow = leased(hand, "a", "slow")
    hand.settle(slow)
    for number, state in ((1, "running"), (4, "pending")):
        with pytest.raises(Ended, match=f"is {state}; only what is ready, waits or has failed"):
            hand.do(Resolve(number, TaskState.skipped), run)


def test_p12_a_review_is_decided_not_resolved(hand: Hand) -> None:
    """By one of its choices."""
    run = hand.start(ASKS)
    hand.work({"ask": Asked(None), "bad": Snoozed(hand.now + 5)})
    with pytest.raises(BadInput, match="is a review: it can be decided, or withdrawn"):
        hand.do(Resolve(1, TaskState.succeeded, '"yes"'), run)
