"""On what terms queues run: as configured, unless an operator has set them."""

from __future__ import annotations

import json

import pytest

from heliostat.errors import BadInput
from heliostat.graph import Graph, Node
from heliostat.queue import Queue, Terms
from heliostat.store import SEVERAL, Configure, SetQueue
from heliostat.testing.conformance.hand import Hand

TAPES = Graph("tapes", (Node("a", queue="tape"), Node("b", queue="tape")))


def tape(hand: Hand) -> Queue:
    """The queue as it is."""
    return next(queue for queue, *_ in hand.store.queues() if queue.name == "tape")


def terms_told(hand: Hand) -> list[object]:
    """What the journal says of queues: limit and reason."""
    events = [json.loads(entry.event) for entry in hand.store.journal() if entry.run == SEVERAL]
    return [(event["limit"], event["reason"]) for event in events if "queue" in event]


def test_p08_a_queue_follows_the_configuration(hand: Hand) -> None:
    """Also before any workflow uses it; each change is told once, and what is said again changes nothing."""
    assert hand.do(Configure("tape", Terms(1, "5/s"))).done
    assert (tape(hand).limit, tape(hand).rate) == (1, "5/s")
    assert not hand.do(Configure("tape", Terms(1, "5/s"))).done
    hand.start(TAPES)
    assert len(hand.lease(5)) == 1
    hand.do(Configure("tape", Terms(2)))
    assert (tape(hand).limit, tape(hand).rate) == (2, None)
    assert len(hand.lease(5)) == 1
    assert terms_told(hand) == [(1, "as configured"), (2, "as configured")]


@pytest.mark.parametrize("limit", [7, 2, None])
def test_p08_what_an_operator_has_set_is_not_undone_by_the_configuration(hand: Hand, limit: int | None) -> None:
    """Neither at the next start of a worker nor by another one's file; also where both say the same for a while."""
    hand.do(Configure("tape", Terms(2, "5/s")))
    hand.do(SetQueue("tape", limit=limit))
    answer = None
    for terms in (Terms(2, "5/s"), Terms(limit, "6/s"), Terms(9, "7/s")):
        answer = hand.do(Configure("tape", terms))
        assert (tape(hand).limit, tape(hand).rate, tape(hand).configured) == (limit, terms.rate, terms)
    assert answer is not None
    assert answer.note == f"queue tape: limit {limit or 'none'} was set by hand and stays"
    hand.do(SetQueue("tape", paused=True, as_configured=True))
    assert (tape(hand).limit, tape(hand).rate, tape(hand).paused) == (9, "7/s", True)
    hand.do(Configure("tape", Terms(3)))
    assert (tape(hand).limit, tape(hand).rate, tape(hand).paused) == (3, None, True)


def test_p08_what_an_operator_sets_of_a_queue_leaves_the_rest_to_the_configuration(hand: Hand) -> None:
    """Limit and rate are two things, and pausing is neither."""
    hand.do(Configure("tape", Terms(2, "5/s")))
    hand.do(SetQueue("tape", rate="1/s"))
    hand.do(SetQueue("tape", paused=True))
    hand.do(Configure("tape", Terms(4, "9/s")))
    assert (tape(hand).limit, tape(hand).rate, tape(hand).paused) == (4, "1/s", True)


@pytest.mark.parametrize(
    ("name", "terms", "said"),
    [
        ("a b", Terms(1), "'a b' is no name for a queue"),
        ("tape\0", Terms(1), "is no name for a queue"),
        ("tape", Terms(0), "queue tape: the limit must be at least 1"),
        ("tape", Terms(1 << 70), "queue tape: limit"),
        ("tape", Terms(None, "often"), "queue tape: rate: 'often' is no rate"),
    ],
)
def test_p12_terms_that_mean_nothing_are_refused(hand: Hand, name: str, terms: Terms, said: str) -> None:
    """By the name of the queue, and nothing is left of them."""
    with pytest.raises(BadInput, match=said):
        hand.do(Configure(name, terms))
    assert hand.store.queues() == []
