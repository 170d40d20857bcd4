"""Runs that are part of others: the promises, where a node of one run is another."""

from __future__ import annotations

from functools import partial
from threading import Barrier, Thread
from typing import TYPE_CHECKING

import pytest

from heliostat.effects import Start
from heliostat.errors import Conflict
from heliostat.graph import Arity, Edge, Graph, Kind, Node, Part
from heliostat.outcome import Asked, Begun, Failed
from heliostat.review import ReviewSpec
from heliostat.run import RunState, public_id
from heliostat.store import Resolve, TryAgain
from heliostat.stores.commit import PARTS_AT_ONCE
from heliostat.task import TaskState
from heliostat.testing.conformance.hand import Hand, gives

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliostat.store import Store
    from heliostat.task import Attempt


def part(name: str, graph: Graph, *edges: Edge, arity: Arity = Arity.once, may_fail: bool = False) -> Node:
    """A node that is another run."""
    return Node(name, arity, Kind.workflow, edges, workflow=Part(graph.name, graph.fingerprint), may_fail=may_fail)


INNER = Graph("inner", (Node("x"), Node("y", edges=(Edge("x", "x"),))))
OUTER = Graph("outer", (part("in", INNER), Node("end", edges=(Edge("in", "in"),))))
BESIDE = Graph("beside", (part("in", INNER), Node("side"), Node("end", edges=(Edge("in"), Edge("side")))))
FINISHING = Graph("finishing", BESIDE.nodes, on_failure="finish")
LENIENT = Graph("lenient", (part("in", INNER, may_fail=True), Node("side")))
OUTERMOST = Graph("outermost", (part("out", OUTER), Node("last", edges=(Edge("out", "out"),))))
EACH = Graph(
    "each",
    (
        Node("a"),
        part("in", INNER, Edge("a", "message", each=True), arity=Arity.each),
        Node("end", edges=(Edge("in", "in"),)),
    ),
)
ASKING = Graph("asking", (Node("ask", kind=Kind.review, review=ReviewSpec(("yes",))),))
AROUND = Graph("around", (part("in", ASKING), Node("side")))


class Inside:
    """Begins the runs that are nodes, as workers do, and remembers which began."""

    def __init__(self, hand: Hand) -> None:
        self.hand = hand
        self.began: list[int] = []

    def begins(self, graph: Graph) -> Callable[[Attempt], Begun]:
        """The answer of a node that is a run of this graph."""

        def answer(attempt: Attempt) -> Begun:
            self.began.append(self.hand.start_id())
            before = len(self.hand.store.children(attempt.run, attempt.number))
            return Begun((Start(self.began[-1], graph, "null", attempt.node),), before)

        return answer


def begun(hand: Hand, graph: Graph = OUTER, inner: Graph = INNER, node: str = "in") -> tuple[int, int]:
    """A run, and the run that is its first node."""
    for each in (inner, graph):
        hand.add(each)
    run = hand.start(graph)
    (attempt,) = [a for a in hand.lease(9) if a.node == node]
    inside = Inside(hand)
    assert hand.settle(attempt, inside.begins(inner)(attempt)).word == "committed"
    return run, inside.began[0]


def lease_of(hand: Hand, node: str) -> Attempt:
    """The one attempt at a node that can be leased, and nothing else can."""
    (attempt,) = hand.lease(9)
    assert attempt.node == node
    return attempt


def test_p01_a_run_inside_begins_and_is_waited_for_in_one_commit(hand: Hand) -> None:
    """It is told whose part it is, and the task waits for nothing else."""
    run, inner = begun(hand)
    assert hand.tasks(run) == ["in pending"]
    assert (hand.run(inner).parent, hand.run(inner).parent_task, hand.run(inner).name) == (run, 1, "in")
    assert hand.store.child(run, 1) == hand.run(inner)
    assert [each.id for each in hand.store.children(run, 1)] == [each.id for each in hand.store.parts(run)] == [inner]
    assert hand.explain(run, 1) == f"waits for run {public_id(inner)} of inner"


def test_p01_its_end_readies_the_node_in_the_same_commit(hand: Hand) -> None:
    """Between the two there is nothing that could be lost."""
    run, inner = begun(hand)
    hand.settle(lease_of(hand, "x"))
    last = lease_of(hand, "y")
    assert hand.tasks(run) == ["in pending"]
    hand.settle(last, gives(7))
    assert (hand.run(inner).state, hand.tasks(run)) == (RunState.succeeded, ["in ready"])
    hand.settle(lease_of(hand, "in"), gives(7))
    assert hand.work() == ["end"]
    assert (hand.run(run).state, hand.run(run).open) == (RunState.succeeded, 0)


def test_p02_a_worker_that_comes_back_begins_no_second_run(hand: Hand) -> None:
    """Its answer is fenced, with the run that it would have begun."""
    for graph in (INNER, OUTER):
        hand.add(graph)
    run, inside = hand.start(OUTER), Inside(hand)
    (first,) = hand.lease(worker="frozen")
    hand.lose("frozen")
    (second,) = hand.lease()
    answer = inside.begins(INNER)(second)
    assert hand.settle(second, answer).word == "committed"
    assert hand.settle(second, answer).word == "committed", "the same call again, after its answer was lost"
    assert hand.settle(first, inside.begins(INNER)(first), "frozen").word == "lost"
    assert [each.id for each in hand.store.parts(run)] == inside.began[:1]


def test_p02_a_worker_lost_between_the_runs_end_and_the_nodes_costs_nothing(hand: Hand) -> None:
    """Another one sees the same end."""
    run, inner = begun(hand)
    hand.settle(lease_of(hand, "x"))
    hand.settle(lease_of(hand, "y"), gives(7))
    (lost,) = hand.lease(worker="frozen")
    assert lost.node == "in"
    hand.lose("frozen")
    again = lease_of(hand, "in")
    assert [each.id for each in hand.store.children(run, 1)] == [inner]
    assert hand.settle(lost, gives(7), "frozen").word == "lost"
    assert hand.settle(again, gives(7)).word == "committed"
    assert hand.work() == ["end"]


@pytest.mark.parametrize("how", ["cancel", "complete", "fail"])
def test_p07_the_end_of_a_run_ends_what_is_part_of_it(hand: Hand, how: str) -> None:
    """In the same commit, at any depth, with the reason; and nothing of it is handed out any more."""
    hand.add(INNER)
    run, middle = begun(hand, OUTERMOST, OUTER, "out")
    attempt = lease_of(hand, "in")
    inside = Inside(hand)
    hand.settle(attempt, inside.begins(INNER)(attempt))
    (inner,) = inside.began
    at_work = lease_of(hand, "x")
    if how == "cancel":
        hand.cancel(run, "the fire is out")
    elif how == "complete":
        hand.complete(run, 1)
    else:
        hand.cancel(middle, "by hand")
        hand.settle(lease_of(hand, "out"), Failed("it was cancelled"))
    assert [hand.run(each).state.final for each in (run, middle, inner)] == [True] * 3
    assert [hand.run(each).state for each in (middle, inner)] == [RunState.cancelled] * 2
    reason = hand.run(inner).reason or ""
    assert reason.startswith(f"ended with run {public_id(middle)} of outer, which was cancelled: ")
    if how == "cancel":
        assert reason.endswith(f"ended with run {public_id(run)} of outermost, which was cancelled: the fire is out")
    assert hand.beat() == frozenset({at_work.task}), "what runs is asked to stop"
    assert hand.settle(at_work).word == "ended"
    assert hand.lease(9) == []
    assert [hand.run(each).open for each in (run, middle, inner)] == [0, 0, 0]


def test_p07_a_run_that_fails_and_lets_others_finish_ends_what_is_part_of_it(hand: Hand) -> None:
    """What runs in it finishes; a run inside has not come to its end, and would bring nothing any more."""
    hand.add(INNER)
    run = hand.start(FINISHING)
    attempts = {attempt.node: attempt for attempt in hand.lease(9)}
    inside = Inside(hand)
    hand.settle(attempts["in"], inside.begins(INNER)(attempts["in"]))
    hand.settle(attempts["side"], Failed("no"))
    assert hand.run(run).state is RunState.failed
    assert hand.run(inside.began[0]).state is RunState.cancelled
    assert hand.lease(9) == []


def test_p07_many_runs_inside_are_ended_in_batches(hand: Hand) -> None:
    """The end itself takes some of them, a sweep the others; all are ended, and none is left."""
    hand.add(INNER)
    count = PARTS_AT_ONCE * 2 + 3
    run = hand.start(EACH)
    hand.settle(lease_of(hand, "a"), gives([0] * count))
    inside = Inside(hand)
    attempts = hand.lease(count)
    hand.settle_all([(attempt, inside.begins(INNER)(attempt)) for attempt in attempts])
    hand.cancel(run)
    assert sum(hand.run(each).state is RunState.active for each in inside.began) == count - PARTS_AT_ONCE
    while hand.store.sweep(hand.now):
        pass
    assert {hand.run(each).state for each in inside.began} == {RunState.cancelled}
    assert {hand.run(each).open for each in (run, *inside.began)} == {0}
    assert hand.lease(9) == []


def test_p07_a_run_that_was_only_started_goes_on_by_itself(hand: Hand) -> None:
    """It tells its end, but is no part."""
    handler = Node("told", Arity.handler)
    asks = Graph("asks", (Node("go"), part("in", INNER), handler))
    for graph in (INNER, asks):
        hand.add(graph)
    run = hand.start(asks)
    attempts = {attempt.node: attempt for attempt in hand.lease(9)}
    other = hand.start_id()
    hand.settle(attempts["go"], gives(None, Start(other, INNER, "null", then="told")))
    hand.cancel(run)
    assert hand.run(other).state is RunState.active


def test_p07_a_run_inside_that_is_cancelled_by_itself_is_seen_by_its_node(hand: Hand) -> None:
    """What that means for the run is what a failure means."""
    run, inner = begun(hand, LENIENT)
    hand.cancel(inner, "not needed")
    assert hand.tasks(run)[0] == "in ready"
    hand.settle(next(a for a in hand.lease(9) if a.node == "in"), Failed("cancelled", final=True))
    assert hand.task(run, 1).state is TaskState.failed
    assert hand.run(run).state is RunState.active


def test_p07_people_are_not_asked_any_more_in_what_has_ended(hand: Hand) -> None:
    """A review inside is closed with the run around."""
    _, inner = begun(hand, AROUND, ASKING)
    hand.settle(lease_of(hand, "ask"), Asked(None))
    assert [review.run for review in hand.store.reviews()] == [inner]
    hand.cancel(hand.run(inner).parent or 0)
    assert hand.store.reviews() == []


def test_p07_whoever_ends_first_of_a_run_and_its_part_both_end_once(open_store: Callable[[], Store]) -> None:
    """Two processes at once, many times: no deadlock, no second end, and nothing left open."""
    hands = [Hand(open_store(), f"w{place}", (1 << 50) + (place << 40)) for place in (0, 1)]
    for graph in (INNER, OUTER):
        for hand in hands:
            hand.add(graph)
    for number in range(20):
        one, two = hands if number % 2 else hands[::-1]
        run, inner = begun(one)
        one.settle(lease_of(one, "x"))
        last = lease_of(one, "y")
        acts = (partial(two.cancel, run), partial(one.settle, last, gives(7)))
        errors: list[Exception] = []
        threads = [Thread(target=_at_once, args=(act, start, errors)) for start in [Barrier(2)] for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert one.run(run).state is RunState.cancelled
        assert one.run(inner).state in (RunState.cancelled, RunState.succeeded)
        assert (one.run(run).open, one.run(inner).open) == (0, 0)
        assert one.lease(9) == []


@pytest.mark.parametrize("how", ["well", "badly"])
def test_p07_a_run_inside_that_ends_in_the_same_commit_has_ended_by_itself(hand: Hand, how: str) -> None:
    """Its work is done; to call it cancelled would have a retry do it again, or never hear of it."""
    hand.add(INNER)
    run = hand.start(BESIDE)
    attempts = {attempt.node: attempt for attempt in hand.lease(9)}
    inside = Inside(hand)
    hand.settle(attempts["in"], inside.begins(INNER)(attempts["in"]))
    (inner,) = inside.began
    hand.settle(lease_of(hand, "x"))
    last = gives(7) if how == "well" else Failed("too late")
    hand.settle_all([(attempts["side"], Failed("no")), (lease_of(hand, "y"), last)])
    ended = RunState.succeeded if how == "well" else RunState.failed
    assert [hand.run(each).state for each in (run, inner)] == [RunState.failed, ended]
    hand.do(TryAgain(2), run)
    assert hand.work() == (["in", "side", "end"] if how == "well" else ["side", "y", "in", "end"])
    assert [hand.run(each).state for each in (run, inner)] == [RunState.succeeded] * 2


def _at_once(act: Callable[[], object], start: Barrier, errors: list[Exception]) -> None:
    start.wait()
    try:
        act()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
        errors.append(error)


def test_pausing_a_run_pauses_what_is_part_of_it(hand: Hand) -> None:
    """At any depth, and what begins meanwhile; resuming lets all go on."""
    hand.add(INNER)
    run, middle = begun(hand, OUTERMOST, OUTER, "out")
    attempt = lease_of(hand, "in")
    hand.pause(run)
    inside = Inside(hand)
    hand.settle(attempt, inside.begins(INNER)(attempt))
    (inner,) = inside.began
    assert [hand.run(each).paused for each in (run, middle, inner)] == [True] * 3
    assert hand.lease(9) == []
    hand.pause(run, on=False)
    assert [hand.run(each).paused for each in (run, middle, inner)] == [False] * 3
    assert lease_of(hand, "x").run == inner


def failed_inside(hand: Hand) -> tuple[int, int]:
    """A run that has failed since the run inside has, which had done its first step."""
    run, inner = begun(hand)
    hand.settle(lease_of(hand, "x"), gives(3))
    hand.settle(lease_of(hand, "y"), Failed("no data"))
    assert hand.run(inner).state is RunState.failed
    hand.settle(lease_of(hand, "in"), Failed(f"run {public_id(inner)} of inner failed: y: no data"))
    assert (hand.run(run).state, hand.run(run).reason) == (
        RunState.failed,
        f"in: run {public_id(inner)} of inner failed: y: no data",
    )
    return run, inner


@pytest.mark.parametrize("whose", ["outer", "inner"])
def test_a_retry_lets_both_go_on_from_where_they_were(hand: Hand, whose: str) -> None:
    """Of the run around or of the one inside: what was done inside is kept."""
    run, inner = failed_inside(hand)
    hand.do(TryAgain(1 if whose == "outer" else 2), run if whose == "outer" else inner)
    assert [hand.run(each).state for each in (run, inner)] == [RunState.active] * 2
    assert hand.tasks(run) == ["in pending"]
    assert hand.task(run, 1).failures == 0
    hand.settle(lease_of(hand, "y"), gives(4))
    hand.settle(lease_of(hand, "in"), gives(4))
    assert hand.work() == ["end"]
    assert [hand.run(each).state for each in (run, inner)] == [RunState.succeeded] * 2
    assert [each.id for each in hand.store.parts(run)] == [inner]


def test_a_step_inside_that_is_said_to_have_succeeded_lets_both_go_on(hand: Hand) -> None:
    """As in any run."""
    _, inner = failed_inside(hand)
    hand.do(Resolve(2, TaskState.succeeded, "9"), inner)
    assert (hand.run(inner).state, hand.task(inner, 2).result) == (RunState.succeeded, "9")
    hand.settle(lease_of(hand, "in"), gives(9))
    assert hand.work() == ["end"]


def test_a_node_said_to_have_succeeded_leaves_its_run_as_it_failed(hand: Hand) -> None:
    """Nobody waits for it any more."""
    run, inner = failed_inside(hand)
    hand.do(Resolve(1, TaskState.succeeded, "9"), run)
    assert hand.work() == ["end"]
    assert [hand.run(each).state for each in (run, inner)] == [RunState.succeeded, RunState.failed]


def test_a_retry_lets_go_on_what_had_ended_with_the_run(hand: Hand) -> None:
    """A run inside that was in the midst of it when another node failed."""
    hand.add(INNER)
    run = hand.start(BESIDE)
    attempts = {attempt.node: attempt for attempt in hand.lease(9)}
    inside = Inside(hand)
    hand.settle(attempts["in"], inside.begins(INNER)(attempts["in"]))
    (inner,) = inside.began
    hand.settle(lease_of(hand, "x"), gives(3))
    hand.settle(attempts["side"], Failed("no"))
    assert [hand.run(each).state for each in (run, inner)] == [RunState.failed, RunState.cancelled]
    hand.do(TryAgain(2), run)
    assert [hand.run(each).state for each in (run, inner)] == [RunState.active] * 2
    assert hand.work() == ["side", "y", "in", "end"]
    assert [hand.run(each).state for each in (run, inner)] == [RunState.succeeded] * 2


def test_a_run_inside_that_was_given_up_cannot_be_retried(hand: Hand) -> None:
    """The run around went on without it, or with another one."""
    run, inner = begun(hand)
    hand.settle(lease_of(hand, "x"), Failed("no"))
    with pytest.raises(Conflict, match="has told its end to run"):
        hand.do(TryAgain(1), inner)
    hand.settle(lease_of(hand, "in"), Failed("no", retry_at=hand.now))
    hand.wait(1)
    again = lease_of(hand, "in")
    inside = Inside(hand)
    hand.settle(again, inside.begins(INNER)(again))
    assert [each.id for each in hand.store.children(run, 1)] == [inner, *inside.began]
    assert hand.store.child(run, 1) == hand.run(inside.began[0])
    with pytest.raises(Conflict):
        hand.do(TryAgain(1), inner)
