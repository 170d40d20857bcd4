"""P3: what was accepted is there for everybody, and stays when whoever accepted it is gone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from heliostat.artifact import Artifact
from heliostat.effects import Send, Start
from heliostat.errors import Conflict, Taken
from heliostat.graph import Arity, Graph, Node
from heliostat.outcome import Failed
from heliostat.run import RunState, public_id
from heliostat.store import Command, Replace, Store, TryAgain
from heliostat.testing.conformance.hand import Hand, gives, sends

TALK = Graph("talk", (Node("ask", Arity.handler, entry=True), Node("hear", Arity.handler)), stays_open=True)


def test_p03_what_was_accepted_is_seen_by_every_process(hand: Hand, other: Hand) -> None:
    """At once, without the one that accepted it doing anything further."""
    run = hand.start(TALK, "first", name="Monte Pisano", priority=5)
    hand.send(run, "hear", "second")
    assert other.run(run) == hand.run(run)
    assert other.store.tasks(run) == hand.store.tasks(run)
    assert [attempt.message for attempt in other.lease(2)] == ['"first"', '"second"']


def test_p03_a_process_that_is_gone_takes_nothing_with_it(hand: Hand, open_store: Callable[[], Store]) -> None:
    """Its definitions, runs, messages and results are read by one that comes later."""
    run = hand.start(TALK, "first")
    [attempt] = hand.lease()
    hand.settle(attempt, gives({"answer": 42}, sends("hear", "third")))
    hand.store.close()
    later = Hand(open_store(), "later")
    assert later.store.graph(TALK.id) == TALK
    later.offers = {TALK.id}
    assert later.tasks(run) == ["ask succeeded", "hear ready"]
    assert later.task(run, attempt.number).result == '{"answer":42}'
    assert later.work() == ["hear"]


def test_p03_the_payload_comes_back_as_it_was_given(hand: Hand) -> None:
    """Text is text: every letter that JSON can carry, however long the message."""
    values = [
        "",
        "quotes \" ' \\ and \n lines",
        "räksmörgås 日本 🔭 \u2028 \x7f",
        "x" * 1_000_000,
        {"": [None, 1.5, -0.0]},
    ]
    run = hand.start(TALK)
    for value in values:
        hand.send(run, "hear", value)
    hand.lease()
    texts = [attempt.message for attempt in hand.lease(len(values))]
    assert texts == [sends("hear", value).message for value in values]


def test_p03_the_same_key_and_message_is_the_same_run(hand: Hand, other: Hand) -> None:
    """A caller that did not hear the answer starts once more, and gets the run of then."""
    first = hand.start(TALK, "first", idempotency_key="k")
    again = other.do(Start(99, TALK, '"first"', idempotency_key="k"))
    assert (again.run, again.done, again.note) == (first, False, "this run was started before")
    assert len(hand.store.runs()) == 1


def test_p03_a_run_takes_the_place_of_that_with_its_key(hand: Hand, other: Hand) -> None:
    """What went on is cancelled in the same commit, and says for whom; what has ended stays as it was."""
    first = hand.start(TALK, "first", idempotency_key="k")
    (running,) = hand.lease()
    second = other.do(Replace(Start(99, TALK, '"second"', idempotency_key="k")))
    assert (second.run, second.done) == (99, True)
    ended = hand.run(first)
    assert (ended.state, ended.reason) == (RunState.cancelled, f"replaced by run {public_id(99)}")
    assert hand.settle(running, gives(1)).word == "ended"
    again = other.do(Replace(Start(100, TALK, '"second"', idempotency_key="k")))
    assert (again.run, again.done) == (99, False)
    hand.complete(99, "done")
    before = hand.run(99)
    third = hand.do(Replace(Start(101, TALK, '"third"', idempotency_key="k")))
    assert third.run == 101
    with pytest.raises(Conflict):
        hand.do(Start(102, TALK, '"first"', idempotency_key="k"))
    assert hand.run(99) == replace(before, idempotency_key=f"k (replaced by {public_id(101)})")
    assert len(hand.store.runs()) == 3


def test_p03_a_run_that_was_replaced_does_not_go_on_beside_the_other(hand: Hand) -> None:
    """Trying it again is refused, and says which run has its key; a part of it is refused with the whole."""
    work = Graph("work", (Node("ask"),))
    first = hand.start(work, "first", idempotency_key="k")
    (ask,) = hand.lease()
    hand.settle(ask, Failed("dark", final=True))
    assert hand.run(first).state is RunState.failed
    hand.do(Replace(Start(99, work, '"second"', idempotency_key="k")))
    before = hand.everything()
    with pytest.raises(Conflict, match=f"was replaced by run {public_id(99)}, which has the key 'k' now"):
        hand.do(TryAgain(1), first)
    assert hand.everything() == before
    assert hand.run(first).idempotency_key == f"k (replaced by {public_id(99)})"


def test_p03_of_many_that_replace_each_other_at_once_one_goes_on(hand: Hand, other: Hand) -> None:
    """Whoever comes second replaces the first; never are there two."""
    hand.start(TALK, "first", idempotency_key="k")
    with ThreadPoolExecutor(2) as pool:
        for turn in range(10):
            starts = [
                (who, Replace(Start(100 + 2 * turn + side, TALK, f'"{turn} {side}"', idempotency_key="k")))
                for side, who in enumerate((hand, other))
            ]
            done = [pool.submit(who.do, start) for who, start in starts]
            assert all(each.result().done for each in done)
    active = [run.id for run in hand.store.runs(state=RunState.active)]
    assert len(active) == 1
    assert active[0] in (118, 119)


def test_p03_the_same_key_and_message_is_the_same_task(hand: Hand, other: Hand) -> None:
    """Also within one call, and also when the task has long settled."""
    run = hand.start(TALK)
    first = hand.send(run, "hear", 1, idempotency_key="k")
    again = other.send(run, "hear", 1, idempotency_key="k")
    assert (first.number, first.done) == (4, True)
    assert (again.number, again.done) == (4, False)
    commands = [Command(Send("hear", "2", idempotency_key="l"), run)] * 2
    assert [(a.number, a.done) for a in hand.store.accept(commands, hand.now)] == [(5, True), (5, False)]
    hand.work()
    assert other.send(run, "hear", 1, idempotency_key="k").number == 4
    assert len(hand.tasks(run)) == 3


def test_p03_an_id_that_another_process_drew_is_refused_and_not_shared(hand: Hand, other: Hand) -> None:
    """Two processes may draw one id in one moment: the second is told, and neither loses its run."""
    run = hand.start(TALK, "mine")
    hand.do(Start(run, TALK, '"mine"'))  # the same call again, at the same time
    other.now += 0.001
    with pytest.raises(Taken, match=f"the run id {public_id(run)} is taken; draw another"):
        other.do(Start(run, TALK, '"mine"'))
    assert hand.run(run).message == '"mine"'


def test_p03_an_attempt_that_drew_an_id_that_is_taken_is_tried_again(hand: Hand) -> None:
    """It is handed back, as if it had not been, and the next attempt draws another id."""
    run, taken = hand.start(TALK), hand.start(Graph("another", (Node("a"),)))
    [attempt] = [found for found in hand.lease(9) if found.run == run]
    assert hand.settle(attempt, gives(None, Start(taken, TALK, "1"))).word == "lost"
    assert (hand.run(run).state, hand.task(run, attempt.number).state) == ("active", "ready")
    [again] = hand.lease()
    assert (again.task, again.failures, again.rescues) == (attempt.task, 0, 0)
    assert hand.settle(again, gives(None, Start(7, TALK, "1"))).word == "committed"
    assert hand.run(7).state == "active"


def test_p03_a_file_of_a_message_that_is_sent_again_is_kept_once(hand: Hand) -> None:
    """A repetition of a keyed send gives birth to nothing, and leaves nothing."""
    run = hand.start(TALK)
    file = Artifact("dem.tif", "sha256:" + "0" * 64, 5).to_json()
    for _ in range(3):
        hand.send(run, "hear", file, idempotency_key="k")
    assert [kept.artifact.name for kept in hand.store.artifacts(run)] == ["dem.tif"]
