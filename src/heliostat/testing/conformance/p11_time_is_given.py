"""P11: time is given to the store and never taken from a clock of its own."""

from __future__ import annotations

from typing import NoReturn

import pytest

from heliostat.artifact import Artifact
from heliostat.effects import Keep, Put
from heliostat.graph import Arity, Graph, Node
from heliostat.outcome import Failed
from heliostat.testing.conformance.hand import Hand, gives, sends

TALK = Graph("talk", (Node("ask", Arity.handler, entry=True), Node("hear", Arity.handler)))


def test_p11_every_time_that_is_kept_was_given(hand: Hand) -> None:
    """To the microsecond, in any century."""
    for now in (1.25, 4_102_444_800.123456):
        hand.now = now
        run = hand.start(TALK)
        hand.beat("w")
        [attempt] = hand.lease()
        assert attempt.started_at == now
        hand.settle(attempt, Failed("no", retry_at=now + 1.5))
        assert hand.store.promote(now) == now + 1.5
        hand.wait(1.5)
        [attempt] = hand.lease()
        hand.settle(attempt, gives(None, Put("1"), Keep(Artifact("x", "sha256:" + "0" * 64, 0)), sends("hear")))
        assert hand.work() == ["hear"]
        task = hand.task(run, 3)
        assert (task.created_at, task.started_at, task.ended_at) == (now, now + 1.5, now + 1.5)
        assert (hand.run(run).created_at, hand.run(run).ended_at) == (now, now + 1.5)
        assert {entry.at for entry in hand.store.journal(run)} <= {now, now + 1.5}
        assert [kept.at for kept in hand.store.artifacts(run)] == [now + 1.5]
        assert [past.ended_at for past in hand.store.attempts(run)] == [now]
        assert [info.beat_at for info in hand.store.workers() if info.id == "w"] == [now]


def test_p11_a_store_reads_no_wall_clock(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only how long it has waited for a busy database may it measure."""

    def read() -> NoReturn:
        raise AssertionError("a store asked for the time")

    monkeypatch.setattr("time.time", read)
    run = hand.start(TALK)
    hand.work({"ask": gives(None, sends("hear"))})
    hand.store.sweep(hand.now)
    assert hand.run(run).state == "succeeded"


def test_p11_a_time_in_the_past_moves_nothing_backwards(hand: Hand) -> None:
    """A caller whose clock is behind is taken at its word for its own rows, and disturbs no others."""
    run = hand.start(TALK)
    hand.send(run, "hear", due_at=hand.now + 10)
    hand.now -= 1000
    assert hand.wait(0) == hand.now + 1010
    [attempt] = hand.lease()
    hand.settle(attempt)
    assert hand.tasks(run) == ["ask succeeded", "hear waiting"]


def test_p11_a_year_of_retries_takes_as_long_as_its_steps(hand: Hand) -> None:
    """A timer is a row and a comparison."""
    run = hand.start(TALK)
    for day in range(365):
        [attempt] = hand.lease()
        assert attempt.failures == day
        hand.settle(attempt, Failed("clouds", retry_at=hand.now + 86_400))
        hand.wait(86_400)
    assert hand.work() == ["ask"]
    assert hand.run(run).ended_at == hand.now
