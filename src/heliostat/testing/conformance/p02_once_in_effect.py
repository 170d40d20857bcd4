"""P2: a function may run again, but what it asks for takes effect once; who was presumed dead changes nothing."""

from __future__ import annotations

import pytest

from heliostat.effects import End, Put, Start
from heliostat.graph import Arity, Edge, Graph, Kind, Node
from heliostat.outcome import Failed, Outcome, Released, Rescued, Skipped, Snoozed
from heliostat.run import RunState
from heliostat.store import Command
from heliostat.testing.conformance.hand import Hand, gives, sends

TALK = Graph("talk", (Node("ask", Arity.handler, entry=True), Node("hear", Arity.handler)), stays_open=True)
CHAIN = Graph("chain", (Node("a"), Node("b", edges=(Edge("a"),))))
MANY = Graph("many", tuple(Node(f"n{i}") for i in range(6)))
FRAGILE = Graph("fragile", (Node("a", rescues=3),))
JOB = Graph("job", (Node("a", kind=Kind.job), Node("b")))


# the same call again


def test_p02_settling_the_same_outcome_again_changes_nothing_and_says_committed(hand: Hand) -> None:
    """A worker that did not hear the answer may repeat its call, as often as it likes."""
    run = hand.start(TALK)
    [attempt] = hand.lease()
    outcome = gives(1, Put("1"), sends("hear"))
    hand.settle(attempt, outcome)
    before = hand.everything()
    assert [hand.settle(attempt, outcome).word for _ in range(3)] == ["committed"] * 3
    assert hand.everything() == before
    assert hand.tasks(run) == ["ask succeeded", "hear ready"]


def test_p02_a_call_that_its_caller_makes_again_takes_effect_once(hand: Hand) -> None:
    """The answer was lost, so nobody knows: a start is known by its id, a message by its key, an end by the run."""
    hand.add(TALK)
    commands = [
        Command(Start(7, TALK, "0")),
        Command(sends("hear", 1, idempotency_key="k"), 7),
        Command(End(RunState.succeeded, "5"), 7),
    ]
    for command in commands:
        first, again = (hand.store.accept([command], hand.now)[0] for _ in range(2))
        assert (first.run, first.number) == (again.run, again.number)
        assert (first.done, again.done) == (True, False)
    assert hand.tasks(7) == ["ask cancelled", "hear cancelled"]
    assert (hand.run(7).result, hand.run(7).open) == ("5", 0)


def test_p02_a_settling_whose_answer_was_lost_is_made_again_with_its_lease(hand: Hand) -> None:
    """The outcome is known by its attempt, and what was leased with it is answered to who asks again."""
    run = hand.start(MANY)
    [attempt] = hand.lease()
    outcomes = [(attempt, gives(1, Put("1")))]
    unheard = hand.store.settle(hand.worker, outcomes, hand.now, hand.ask(2))
    batch = hand.store.settle(hand.worker, outcomes, hand.now, hand.ask(2, again=True))
    assert batch == unheard
    assert hand.values(run) == [1]
    running = {task.number for task in hand.store.tasks(run) if task.state == "running"}
    assert running == {leased.number for leased in batch.leased}


def test_p02_a_worker_that_asks_again_is_told_what_it_holds(hand: Hand) -> None:
    """After a call without an answer it asks so; only who holds nothing is given more."""
    hand.start(MANY)
    held = hand.lease(2)
    assert hand.lease(2, again=True) == held
    hand.settle_all([(attempt, gives()) for attempt in held])
    assert len(hand.lease(2, again=True)) == 2


# fences


OUTCOMES: list[Outcome] = [
    gives(1, Put("1"), sends("hear")),
    Skipped("no", (Put("1"),)),
    Snoozed(9e9, (Put("1"),)),
    Failed("no"),
    Failed("no", retry_at=9e9),
    Released(),
    Released("no space left", 9e9),
    Rescued(),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
def test_p02_a_stale_lease_that_settles_changes_nothing(hand: Hand, outcome: Outcome) -> None:
    """Its worker was presumed dead, and the task is with another: whatever comes back is told that it is lost."""
    hand.start(TALK)
    [stale] = hand.lease(worker="zombie")
    hand.lose("zombie")
    [fresh] = hand.lease(worker="w")
    before = hand.everything()
    assert hand.settle(stale, outcome, worker="zombie").word == "lost"
    assert hand.everything() == before
    assert hand.settle(fresh, gives(2), worker="w").word == "committed"
    assert hand.settle(stale, outcome, worker="zombie").word == "lost"


def test_p02_a_rescued_attempt_is_lost_though_nobody_has_it_yet(hand: Hand) -> None:
    """The rescue itself is not this attempt's own settling, and must not be taken for it."""
    run = hand.start(TALK)
    [stale] = hand.lease(worker="zombie")
    hand.lose("zombie")
    assert hand.settle(stale, gives(1, Put("1")), worker="zombie").word == "lost"
    assert hand.tasks(run) == ["ask ready"]
    assert hand.values(run) == []


def test_p02_an_attempt_of_a_run_that_is_over_is_told_so_each_time(hand: Hand) -> None:
    """Its outcome was not recorded, so it is never told that it was."""
    run = hand.start(TALK)
    [attempt] = hand.lease()
    hand.cancel(run)
    assert [hand.settle(attempt, gives(1, Put("1"))).word for _ in range(2)] == ["ended", "ended"]
    assert hand.tasks(run) == ["ask cancelled"]
    assert hand.values(run) == []
    assert hand.run(run).open == 0


def test_p02_another_worker_cannot_settle_what_it_does_not_hold(hand: Hand) -> None:
    """The fence is the worker and the attempt's count."""
    run = hand.start(TALK)
    [attempt] = hand.lease(worker="w")
    assert hand.settle(attempt, gives(), worker="thief").word == "lost"
    assert hand.settle(attempt._replace(count=2), gives(), worker="w").word == "lost"
    assert hand.tasks(run) == ["ask running"]


def test_p02_a_stale_outcome_does_not_spoil_its_batch(hand: Hand) -> None:
    """Those that hold are committed, the one that is lost is told so."""
    runs = [hand.start(CHAIN) for _ in range(3)]
    attempts = [*hand.lease(), *hand.lease(worker="v"), *hand.lease()]
    verdicts = hand.settle_all([(attempt, gives()) for attempt in attempts])
    assert [verdict.word for verdict in verdicts] == ["committed", "lost", "committed"]
    assert [hand.tasks(run) for run in runs] == [
        ["a succeeded", "b ready"],
        ["a running"],
        ["a succeeded", "b ready"],
    ]


def test_p02_no_task_is_leased_twice(hand: Hand, other: Hand) -> None:
    """Two processes take what there is, and nothing in common."""
    for _ in range(5):
        hand.start(MANY)
    mine, theirs = [], []
    while more := hand.lease(3):
        mine += [attempt.task for attempt in more]
        theirs += [attempt.task for attempt in other.lease(4)]
    assert len(mine) + len(theirs) == len({*mine, *theirs}) == 30


# rescues


def test_p02_what_a_lost_worker_held_is_ready_again(hand: Hand) -> None:
    """As another attempt, counted as a rescue and not as a retry."""
    run = hand.start(CHAIN)
    hand.lease(worker="doomed")
    assert hand.lose("doomed")[0] == 1
    [attempt] = hand.lease()
    assert (attempt.node, attempt.count, attempt.rescues, attempt.failures) == ("a", 2, 1, 0)
    assert [past.state for past in hand.store.attempts(run)] == ["rescued"]


def test_p02_a_function_that_is_a_job_goes_on_with_whoever_can_watch_it(hand: Hand) -> None:
    """It is no rescue, and only the adopter can settle it."""
    run = hand.start(CHAIN)
    [before] = hand.lease(worker="doomed")
    taken, [attempt] = hand.lose("doomed", "heir", ["default"])
    assert (taken, attempt.count, attempt.rescues, attempt.failures) == (1, 2, 0, 0)
    assert hand.tasks(run) == ["a running"]
    assert hand.settle(before, gives(), worker="doomed").word == "lost"
    assert hand.settle(attempt, gives(), worker="heir").word == "committed"
    assert [past.state for past in hand.store.attempts(run)] == ["rescued"]


def test_p02_a_function_that_is_a_job_elsewhere_waits_for_who_can_watch_it(hand: Hand) -> None:
    """Whoever finds its worker lost on another machine leaves it where it is."""
    run = hand.start(CHAIN)
    hand.lease(worker="doomed")
    assert hand.lose("doomed", "stranger", ["default"], here=False) == (1, ())
    assert hand.tasks(run) == ["a running"]
    [attempt] = hand.lose("doomed", "heir", ["default"])[1]
    assert attempt.count == 2


@pytest.mark.parametrize("kind", [Kind.job, Kind.function])
def test_p02_a_job_that_can_be_watched_from_anywhere_goes_on_with_whoever_finds_its_worker_lost(
    hand: Hand, kind: Kind
) -> None:
    """A machine may come back under another name, or not at all; its jobs are where their batch system is."""
    run = hand.start(Graph("far", (Node("a", kind=kind, queue="cluster"), Node("b", kind=kind, queue="night"))))
    hand.lease(2, worker="doomed")
    both = ["cluster", "night"]
    [adopted] = hand.lose("doomed", "heir", both, reached=["cluster"], here=False)[1]
    assert (adopted.node, adopted.count, adopted.rescues) == ("a", 2, 0)
    assert hand.tasks(run) == ["a running", "b running"]
    assert [attempt.node for attempt in hand.lose("doomed", "other", both, reached=both, here=False)[1]] == ["b"]


def test_p02_a_worker_that_has_shown_life_meanwhile_is_not_lost(hand: Hand) -> None:
    """Who looks at an old heartbeat can take nothing away."""
    hand.start(CHAIN)
    hand.beat("alive")
    [attempt] = hand.lease(worker="alive")
    hand.beat("alive")
    assert hand.store.rescue([("alive", 1)], hand.now) == (0, ())
    assert hand.settle(attempt, gives(), worker="alive").word == "committed"


def test_p02_a_worker_that_was_declared_lost_hears_so(hand: Hand) -> None:
    """At its next heartbeat: nothing that it holds is its own any more."""
    assert hand.beat("zombie") == frozenset()
    hand.lose("zombie")
    assert hand.beat("zombie") is None


def test_p02_what_is_leased_under_a_lost_name_is_seen_and_taken_back(hand: Hand) -> None:
    """A zombie may lease before it hears that it was lost: its name is looked at as long as it holds something."""
    run = hand.start(CHAIN)
    hand.lose("zombie")
    hand.lease(worker="zombie")
    assert ("zombie", "lost") in [(info.id, info.state) for info in hand.store.workers()]
    assert hand.lose("zombie")[0] == 1
    assert hand.tasks(run) == ["a ready"]
    assert "zombie" not in [info.id for info in hand.store.workers()]


def test_p02_a_task_that_is_lost_with_its_worker_too_often_fails(hand: Hand) -> None:
    """Poison is found: the sentence says how often."""
    run = hand.start(FRAGILE)
    for number in range(3):
        assert len(hand.lease(worker=f"doomed {number}")) == 1
        hand.lose(f"doomed {number}")
    assert hand.tasks(run) == ["a failed"]
    assert hand.run(run).reason == "a: lost with its worker 3 times (attempt 3)"


def test_p02_a_job_that_was_adopted_unheard_is_answered_to_who_asks_again(hand: Hand) -> None:
    """A job that was adopted without anybody knowing would be watched by nobody."""
    run = hand.start(JOB)
    hand.lease(2, worker="doomed")
    hand.beat("heir")
    hand.lose("doomed", "heir")
    assert hand.lose("doomed", "heir") == (0, ())
    [adopted] = hand.lease(2, worker="heir", again=True)
    assert (adopted.node, adopted.count) == ("a", 2)
    assert hand.tasks(run) == ["a running", "b ready"]
    assert hand.settle(adopted, gives(), worker="heir").word == "committed"


def test_p02_an_attempt_that_is_handed_back_counts_for_nothing(hand: Hand) -> None:
    """Neither as a retry nor as a rescue, and no past is kept of it."""
    run = hand.start(CHAIN)
    [attempt] = hand.lease()
    hand.settle(attempt, Released())
    [again] = hand.lease()
    assert (again.failures, again.rescues) == (0, 0)
    assert hand.store.attempts(run) == []
