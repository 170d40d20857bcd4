"""What people decide: the promises, where a run waits for somebody."""

from __future__ import annotations

import json
from threading import Barrier, Thread

import pytest

from heliostat.errors import BadInput, Conflict, Ended, NotFound, Refused
from heliostat.graph import Arity, Edge, Graph, Kind, Node
from heliostat.outcome import Asked, Failed, Succeeded
from heliostat.review import ReviewSpec, decision
from heliostat.store import Answer, Claim, Decide
from heliostat.testing.conformance.hand import Hand, gives

ASK = Node("ask", kind=Kind.review, edges=(Edge("a", "a"),), review=ReviewSpec(("yes", "no"), "chief", 60.0, "no"))
REVIEWED = Graph(
    "reviewed",
    (Node("a"), ASK, Node("go", edges=(Edge("ask", choice="yes"),)), Node("stay", edges=(Edge("ask", choice="no"),))),
)
FINISH = Graph("finish", (Node("a"), *REVIEWED.nodes[1:], Node("b")), on_failure="finish")
FOREVER = Graph("forever", (Node("ask", kind=Kind.review, review=ReviewSpec(("yes",))),))
MANY = Graph(
    "many",
    (
        Node("a"),
        Node("ask", Arity.each, Kind.review, (Edge("a", "a", each=True),), review=ReviewSpec(("yes", "no"))),
        Node("all", edges=(Edge("ask", "ask"),)),
    ),
)


def asked(hand: Hand, graph: Graph = REVIEWED, until: float | None = 60.0) -> int:
    """A run in which somebody is asked."""
    run = hand.start(graph)
    hand.work({"a": gives([1, 2]), "ask": Asked(None if until is None else hand.now + until)})
    return run


def decide(hand: Hand, run: int, choice: str | None, number: int = 2, actor: str = "anna", reason: str = "") -> Answer:
    """Decide it, or withdraw it."""
    return hand.do(Decide(number, choice), run, actor, reason)


def test_p01_a_decision_and_what_follows_from_it_are_one(hand: Hand) -> None:
    """It is the task's result, and readies the edge of its choice."""
    run = asked(hand)
    assert hand.tasks(run) == ["a succeeded", "ask waiting"]
    assert decide(hand, run, "yes", reason="it is safe") == Answer(run, 2)
    assert hand.task(run, 2).result == decision("yes", "anna", "it is safe", hand.now)
    assert hand.tasks(run) == ["a succeeded", "ask succeeded", "go ready", "stay skipped"]
    assert hand.work() == ["go"]
    assert (hand.run(run).state, hand.run(run).open) == ("succeeded", 0)


def test_p02_the_first_decision_stands(hand: Hand) -> None:
    """To say the same once more is no mistake; anything else comes too late."""
    run = asked(hand)
    decide(hand, run, "yes")
    before = hand.everything()
    again = decide(hand, run, "yes")
    assert (again.done, again.note.partition(" at ")[0]) == (False, "nothing to do: anna decided 'yes'")
    for choice, actor in (("no", "anna"), ("yes", "bert"), (None, "anna")):
        with pytest.raises(Ended, match="anna decided 'yes'"):
            decide(hand, run, choice, actor=actor)
    assert hand.everything() == before


def test_p02_of_several_who_decide_at_once_one_does(hand: Hand) -> None:
    """The others hear who it was."""
    run, people = asked(hand), 6
    answers: list[object] = []
    start = Barrier(people)

    def say(person: int) -> None:
        start.wait()
        try:
            answers.append(decide(hand, run, ("yes", "no")[person % 2], actor=f"person {person}").done)
        except Ended as late:
            answers.append(str(late).partition("is over: ")[2].partition(" at ")[0])

    threads = [Thread(target=say, args=(person,)) for person in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = json.loads(hand.task(run, 2).result or "")
    assert answers.count(True) == 1
    assert answers.count(f"{made['by']} decided {made['choice']!r}") == people - 1
    assert sorted(hand.tasks(run)[2:]) in (["go ready", "stay skipped"], ["go skipped", "stay ready"])


def test_p02_what_somebody_has_claimed_nobody_else_decides(hand: Hand) -> None:
    """Until it is released, by whomever."""
    run = asked(hand)
    assert hand.do(Claim(2), run, "anna").done
    assert hand.do(Claim(2), run, "anna").note == "nothing to do: anna has claimed it already"
    before = hand.everything(), hand.store.reviews()
    for verb in (Claim(2), Decide(2, "yes"), Decide(2)):
        with pytest.raises(Conflict, match="is claimed by anna; it must be released first"):
            hand.do(verb, run, "bert")
    assert (hand.everything(), hand.store.reviews()) == before
    assert hand.do(Claim(2, on=False), run, "bert").done
    assert hand.do(Claim(2, on=False), run, "bert").note == "nothing to do: nobody has claimed it"
    assert decide(hand, run, "yes", actor="bert").done


def test_p02_whoever_asks_again_changes_nothing(hand: Hand) -> None:
    """A worker that was lost while it asked: its answer is fenced, and the review keeps its time and its claim."""
    run = hand.start(REVIEWED)
    hand.settle(hand.lease()[0])
    (first,) = hand.lease(worker="frozen")
    hand.lose("frozen")
    (second,) = hand.lease()
    assert hand.settle(first, Asked(hand.now + 1), "frozen").word == "lost"
    assert hand.store.reviews(run) == []
    hand.settle(second, Asked(hand.now + 60))
    hand.do(Claim(2), run, "anna")
    hand.wait(60)
    (third,) = hand.lease()
    hand.settle(third, Asked(hand.now + 60))
    (review,) = hand.store.reviews(run)
    assert (review.asked_at, review.claimed_by) == (hand.now - 60, "anna")


def test_p04_it_is_said_what_is_waited_for(hand: Hand) -> None:
    """The choices, whose they are, who has them, and what comes of it in the end."""
    run = asked(hand)
    said = "waits for a decision, yes or no, by chief; claimed by {}; in 60.0 s it is 'no'"
    assert hand.explain(run, 2) == said.format("nobody")
    hand.do(Claim(2), run, "anna")
    assert hand.explain(run, 2) == said.format("anna")


def test_p04_a_review_without_deadline_waits_for_no_time(hand: Hand) -> None:
    """Nothing comes due, and what else waits is not held up."""
    run = asked(hand, FOREVER, None)
    assert hand.wait(1_000_000) is None
    assert hand.tasks(run) == ["ask waiting"]
    assert hand.explain(run, 1) == "waits for a decision, yes; claimed by nobody"


def test_p07_the_end_of_a_run_closes_its_reviews(hand: Hand) -> None:
    """Nobody is asked any more, and who decides all the same hears why it is too late."""
    run, other = asked(hand), asked(hand)
    hand.cancel(run, "enough")
    assert [review.run for review in hand.store.reviews()] == [other]
    with pytest.raises(Ended, match="is over: the run was cancelled"):
        decide(hand, run, "yes")


def test_p07_a_run_that_is_failing_asks_nobody(hand: Hand) -> None:
    """Neither anew nor because a deadline is about to be seen; so it comes to its end."""
    run = hand.start(FINISH)
    a, b = hand.lease(2)
    hand.settle(a)
    (ask,) = hand.lease()
    hand.settle(b, Failed("no light", final=True))
    assert hand.run(run).closing
    assert hand.settle(ask, Asked(hand.now + 60)).word == "committed"
    assert hand.tasks(run)[1] == "ask cancelled"
    assert (hand.run(run).state, hand.run(run).open, hand.store.reviews()) == ("failed", 0, [])

    other = hand.start(FINISH)
    a, b = hand.lease(2)
    hand.settle(a)
    hand.settle(hand.lease()[0], Asked(hand.now + 60))
    hand.wait(60)
    (late,) = hand.lease()
    hand.settle(b, Failed("no light", final=True))
    assert hand.store.reviews() == []
    hand.settle(late, Asked(hand.now + 60))
    assert (hand.run(other).state, hand.store.reviews()) == ("failed", [])


def test_p07_what_is_withdrawn_is_skipped_with_all_that_waits_for_it(hand: Hand) -> None:
    """It says by whom, and why."""
    run = asked(hand)
    assert decide(hand, run, None, reason="the fire is out").done
    assert hand.tasks(run)[1:] == ["ask skipped", "go skipped", "stay skipped"]
    assert hand.task(run, 2).reason == "withdrawn by anna: the fire is out"
    assert (hand.run(run).state, hand.store.reviews()) == ("succeeded", [])
    again = decide(hand, run, None)
    assert (again.done, again.note) == (False, "nothing to do: withdrawn by anna: the fire is out")


def test_p07_in_a_paused_run_people_may_decide_and_nothing_begins(hand: Hand) -> None:
    """What a decision readies is held."""
    run = asked(hand)
    hand.pause(run)
    decide(hand, run, "yes")
    assert hand.work() == []
    hand.pause(run, on=False)
    assert hand.work() == ["go"]


def test_p08_the_journal_tells_who_did_what_to_a_review(hand: Hand) -> None:
    """Each of it, with its reason, though it came in one commit."""
    run = asked(hand)
    hand.do(Claim(2), run, "anna")
    hand.do(Claim(2, on=False), run, "bert", "anna is ill")
    decide(hand, run, "no", reason="too dry")
    told = [told for entry in hand.store.journal(run) for told in json.loads(entry.event).get("reviews", ())]
    assert [(told["number"], told["did"], told["by"], told["reason"]) for told in told] == [
        (2, "claimed", "anna", ""),
        (2, "released", "bert", "anna is ill"),
        (2, "decided: no", "anna", "too dry"),
    ]


def test_p08_open_reviews_are_listed_oldest_first(hand: Hand) -> None:
    """Of all runs, or of one, each item of a list by itself."""
    many = asked(hand, MANY, None)
    hand.now += 1
    one = asked(hand)
    assert [(review.run, review.number, review.item) for review in hand.store.reviews()] == [
        (many, 2, 0),
        (many, 4, 1),
        (one, 2, None),
    ]
    assert [review.item for review in hand.store.reviews(many, limit=1)] == [0]
    assert hand.store.review(one, 2) == hand.store.reviews(one)[0]
    assert hand.store.review(one, 1) is None


def test_p06_reviews_over_a_list_are_joined_in_its_order(hand: Hand) -> None:
    """Whatever the order of the decisions."""
    run = asked(hand, MANY, None)
    decide(hand, run, "no", 4)
    assert "all pending" in hand.tasks(run)
    decide(hand, run, "yes", 2, "bert")
    (both,) = hand.lease()
    assert both.node == "all"
    choices = [json.loads(item.result or "")["choice"] for item in hand.store.items(run, 2)]
    assert choices == ["yes", "no"]


def test_p11_a_deadline_is_seen_by_the_next_attempt(hand: Hand) -> None:
    """Until a worker has it, people may decide; then they come too late."""
    run, other = asked(hand), asked(hand)
    due_at = hand.now + 60
    assert hand.wait(59.5) == due_at
    assert hand.lease() == []
    hand.wait(0.5)
    assert decide(hand, other, "yes").done
    (late,) = hand.lease()
    assert (late.run, late.node) == (run, "ask")
    with pytest.raises(Ended, match="its deadline has passed"):
        decide(hand, run, "yes")
    hand.settle(late, Succeeded(decision("no", "", "late", hand.now), choice="no"))
    assert hand.tasks(run)[1:] == ["ask succeeded", "go skipped", "stay ready"]
    assert hand.store.reviews() == []
    with pytest.raises(Ended, match="its deadline decided 'no'"):
        decide(hand, run, "yes")


def test_p11_a_review_that_failed_is_open_no_more(hand: Hand) -> None:
    """As where a deadline decides nothing."""
    run = asked(hand)
    hand.wait(60)
    hand.settle(hand.lease()[0], Failed("nobody decided", final=True))
    assert (hand.run(run).state, hand.store.reviews()) == ("failed", [])


def test_p12_a_review_of_nothing_is_over(hand: Hand) -> None:
    """Its list was empty, so nobody has anything to decide."""
    run = hand.start(MANY)
    hand.work({"a": gives([])})
    for verb in (Decide(2, "yes"), Decide(2), Claim(2)):
        with pytest.raises(Ended, match="the list was empty"):
            hand.do(verb, run, "anna")


@pytest.mark.parametrize(
    ("verb", "kind", "sentence"),
    [
        (Decide(2, "maybe"), BadInput, "ask: 'maybe' is no choice; there is yes, no"),
        (Decide(2, ""), BadInput, "ask: '' is no choice"),
        (Decide(1, "yes"), BadInput, "/1 is of a, which is no review"),
        (Claim(9), NotFound, "has no task 9 yet"),
        (Claim(-1), NotFound, "has no task -1"),
        (Claim(1 << 63), NotFound, "has no task 9223372036854775808"),
    ],
)
def test_p12_what_cannot_be_decided_is_refused_and_leaves_nothing(
    hand: Hand, verb: Claim | Decide, kind: type[Refused], sentence: str
) -> None:
    """In one sentence."""
    run = asked(hand)
    before = hand.everything(), hand.store.reviews()
    with pytest.raises(kind, match=sentence):
        hand.do(verb, run, "anna")
    assert (hand.everything(), hand.store.reviews()) == before


def test_p12_a_review_that_nobody_has_asked_yet_is_not_decided(hand: Hand) -> None:
    """What it waits for may still change what it is about."""
    run = hand.start(REVIEWED)
    with pytest.raises(NotFound, match="has no task 2 yet"):
        decide(hand, run, "yes")
    hand.settle(hand.lease()[0])
    with pytest.raises(NotFound, match="is ready; nobody is asked yet"):
        decide(hand, run, "yes")
