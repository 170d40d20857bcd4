"""P1: an attempt's effects, its result and its task's new state commit together or not at all."""

from __future__ import annotations

from typing import NoReturn

import pytest

from heliostat.artifact import Artifact
from heliostat.effects import Keep, Map, Put, Send, Start
from heliostat.errors import Conflict, NotFound
from heliostat.graph import Arity, Graph, Node
from heliostat.outcome import Failed, Skipped, Snoozed
from heliostat.store import Command
from heliostat.stores.commit import Commit
from heliostat.testing.conformance.hand import Hand, gives, sends

OTHER = Graph("other", (Node("only"),))
TALK = Graph(
    "talk",
    (
        Node("ask", Arity.handler, entry=True),
        Node("hear", Arity.handler),
        Node("part", Arity.handler),
        Node("whole", Arity.handler),
    ),
    stays_open=True,
)
FILE = Artifact("map.png", "sha256:" + "0" * 64, 3)
EVERYTHING = (
    Put("1"),
    Keep(FILE),
    sends("hear", "hello"),
    Map("part", ("1", "2"), "whole"),
    Start(77, OTHER, "5"),
)


def test_p01_all_that_an_attempt_asked_for_is_there_when_it_has_settled(hand: Hand) -> None:
    """Result, record, artifact, messages, join and run: one commit brings them all."""
    run = hand.start(TALK)
    [attempt] = hand.lease()
    assert hand.settle(attempt, gives(42, *EVERYTHING)).word == "committed"
    assert hand.tasks(run) == ["ask succeeded", "hear ready", "whole pending", "part ready", "part ready"]
    assert hand.task(run, attempt.number).result == "42"
    assert hand.values(run) == [1]
    assert [kept.artifact for kept in hand.store.artifacts(run)] == [FILE]
    assert hand.run(77).message == "5"
    assert hand.tasks(77) == ["only ready"]


def test_p01_an_attempt_that_failed_leaves_nothing_but_its_failure(hand: Hand) -> None:
    """What it had asked for before it raised is not there; its error is."""
    run = hand.start(TALK)
    [attempt] = hand.lease()
    hand.settle(attempt, Failed("ValueError: no light"))
    assert hand.tasks(run) == ["ask failed"]
    assert hand.values(run) == []
    assert hand.run(run).reason == "ask: ValueError: no light"


@pytest.mark.parametrize("outcome", [Snoozed(9e9, EVERYTHING), Skipped("nothing to do", EVERYTHING)], ids=type)
def test_p01_a_snooze_and_a_skip_commit_their_effects_with_their_state(hand: Hand, outcome: Snoozed | Skipped) -> None:
    """Only a failure drops what was asked for."""
    run = hand.start(TALK)
    [attempt] = hand.lease()
    hand.settle(attempt, outcome)
    assert hand.tasks(run)[1:] == ["hear ready", "whole pending", "part ready", "part ready"]
    assert hand.values(run) == [1]


def test_p01_one_effect_that_cannot_be_carried_out_undoes_all_others(hand: Hand) -> None:
    """The verdict says why, the task is still running, and nothing of the attempt is there."""
    run = hand.start(TALK)
    hand.send(run, "hear", "first", idempotency_key="k")
    [attempt, _] = hand.lease(2)
    before = hand.everything()
    verdict = hand.settle(attempt, gives(1, *EVERYTHING, sends("hear", "second", idempotency_key="k")))
    assert (verdict.word, verdict.reason) == (
        "conflict",
        "node hear: the idempotency key 'k' came before with another message; give another key",
    )
    assert hand.everything() == before


def test_p01_a_batch_with_a_bad_outcome_settles_its_neighbours(hand: Hand) -> None:
    """Each attempt stands for itself, though they were settled together."""
    runs = [hand.start(TALK) for _ in range(3)]
    attempts = hand.lease(3)
    outcomes = [gives(1, sends("hear")), gives(2, Send("nobody", "1")), gives(3, sends("hear"))]
    verdicts = hand.settle_all(list(zip(attempts, outcomes, strict=True)))
    assert [verdict.word for verdict in verdicts] == ["committed", "conflict", "committed"]
    assert [hand.tasks(run)[0] for run in runs] == ["ask succeeded", "ask running", "ask succeeded"]
    assert [len(hand.tasks(run)) for run in runs] == [2, 1, 2]


def test_p01_commands_are_accepted_all_or_none(hand: Hand) -> None:
    """One that is refused takes the others of its call with it."""
    run = hand.start(TALK)
    before = hand.everything()
    with pytest.raises(NotFound):
        hand.store.accept([Command(sends("hear"), run), Command(sends("nobody"), run)], hand.now)
    keyed = [Command(sends("hear", word, idempotency_key="k"), run) for word in ("one", "two")]
    with pytest.raises(Conflict):
        hand.store.accept(keyed, hand.now)
    assert hand.everything() == before


def test_p01_what_raises_in_the_midst_of_a_transaction_leaves_nothing(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However far it had come: here everything but its last statement had been carried out."""
    run = hand.start(TALK)
    [attempt] = hand.lease()
    before = hand.everything()

    def breaks(_: Commit) -> NoReturn:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(Commit, "_write_runs", breaks)
        assert hand.settle(attempt, gives(1, *EVERYTHING)).reason == "it cannot be recorded: RuntimeError: power cut"
        with pytest.raises(RuntimeError, match="power cut"):
            hand.send(run, "hear")
    assert hand.everything() == before
    assert hand.settle(attempt, gives(1, *EVERYTHING)).word == "committed"
