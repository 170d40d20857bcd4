"""Runs that are run anew from some nodes on: the promises, where one run takes over what another has settled."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from heliostat import codec
from heliostat.artifact import Artifact
from heliostat.effects import Keep, Map, Put, Send, Start
from heliostat.errors import BadInput, Conflict, NotFound, Refused
from heliostat.graph import Arity, Edge, Graph, Kind, Node, On
from heliostat.outcome import Asked, Failed, Skipped
from heliostat.review import ReviewSpec
from heliostat.run import RunState
from heliostat.store import Decide, Register, Rerun
from heliostat.task import TaskState
from heliostat.testing.conformance.hand import Hand, gives, sends

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliostat.testing.conformance.hand import Answers

BAD = Failed("no light", final=True)
A, B = Node("a"), Node("b", edges=(Edge("a", "a"),))
FLOW = Graph("flow", (A, Node("slow"), B, Node("both", edges=(Edge("b", "b"), Edge("slow", "s")))))
LIST = Graph(
    "list",
    (
        A,
        Node("each", Arity.each, edges=(Edge("a", "a", each=True),), may_fail=True),
        Node("more", Arity.each, edges=(Edge("each", "e", each=True),)),
        Node("bad", edges=(Edge("each", on=On.failed),)),
        Node("z", edges=(Edge("more", "m"), Edge("a"))),
    ),
)
CHOICE = Graph(
    "choice",
    (
        A,
        Node("ask", kind=Kind.review, edges=(Edge("a"),), review=ReviewSpec(("yes", "no"))),
        Node("yes", edges=(Edge("ask", choice="yes"),)),
        Node("no", edges=(Edge("ask", choice="no"),)),
        Node("after", edges=(Edge("no", "n", optional=True), Edge("yes", "y"))),
    ),
)
CAUGHT = Graph("caught", (A, Node("b", edges=(Edge("a", on=On.failed),)), Node("c", edges=(Edge("b"),))))
TALK = Graph(
    "talk",
    (
        A,
        Node("hear", Arity.handler, edges=(Edge("a"),), serial=True),
        Node("tell", Arity.handler, entry=True),
        Node("all", Arity.handler),
        Node("z", edges=(Edge("hear", "h"), Edge("all", "l"))),
        Node("alarm", epilogue=On.ended),
    ),
)
FILE = Artifact("map.tif", "sha256:" + "a" * 64, 3, "image/tiff", ("map",))


def anew(hand: Hand, run: int, *at: str, graph: Graph | None = None, **options: object) -> int:
    """Run a run anew; answers the key of the new one."""
    known = graph or hand.store.graph(hand.run(run).graph)
    hand.do(Register(known))
    hand.offers.add(known.id)
    verb = Rerun(Start(next(hand._ids), known, hand.run(run).message), at)  # noqa: SLF001 - draws as it does
    answer = hand.do(verb, run, **options)  # type: ignore[arg-type]
    assert answer.run is not None
    return answer.run


def told(hand: Hand, run: int, name: str) -> dict[str, object]:
    """What the journal of a run says under a name."""
    (found,) = [event[name] for entry in hand.store.journal(run) if name in (event := json.loads(entry.event))]
    assert isinstance(found, dict)
    return found


def results(hand: Hand, run: int) -> list[tuple[str, str | None]]:
    """The tasks of a run by node and item: states and results."""
    found = sorted(hand.store.tasks(run), key=lambda task: (task.node, task.item or 0))
    return [(f"{task.title} {task.state}", task.result) for task in found]


def test_p08_a_rerun_takes_over_what_lies_before_a_node(hand: Hand) -> None:
    """With its results; the node and what comes after it run anew, and both journals say so."""
    run = hand.start(FLOW, "go")
    hand.work({"a": gives("A"), "slow": gives("S"), "b": gives("B"), "both": gives("BS")})
    hand.wait(50)
    new = anew(hand, run, "b", actor="anna", reason="mended")
    assert hand.tasks(new) == ["a succeeded", "slow succeeded", "b ready", "both pending"]
    assert (hand.run(new).message, hand.run(new).open) == ('"go"', 2)
    assert hand.task(new, 1).result == '"A"'
    assert hand.task(new, 1).ended_at == hand.task(run, 1).ended_at
    assert hand.work({"b": gives("B2")}) == ["b", "both"]
    assert (hand.run(new).state, hand.run(new).open) == (RunState.succeeded, 0)
    assert told(hand, new, "rerun_of") == {
        "run": run,
        "over": ["a", "slow"],
        "at": ["b"],
        "by": "anna",
        "reason": "mended",
    }
    assert told(hand, run, "rerun") == {"run": new, "at": ["b"], "by": "anna", "reason": "mended"}
    assert hand.task(run, 3).result == '"B"'


def test_p08_a_rerun_without_a_node_runs_everything_anew(hand: Hand) -> None:
    """With the same message."""
    run = hand.start(FLOW, {"x": 1})
    hand.work()
    new = anew(hand, run)
    assert hand.tasks(new) == ["a ready", "slow ready"]
    assert hand.run(new).message == '{"x":1}'


def test_p08_what_had_not_settled_runs_anew_too(hand: Hand) -> None:
    """What failed its run, what its end cancelled, and what comes after these."""
    run = hand.start(FLOW)
    a, slow = hand.lease(2)
    hand.settle_all([(a, gives("A")), (slow, BAD)])
    new = anew(hand, run, "both")
    assert hand.tasks(new) == ["a succeeded", "slow ready", "b ready"]
    assert sorted(hand.work()) == ["b", "both", "slow"]
    assert hand.run(new).state == "succeeded"


@pytest.mark.parametrize("at", ["a", "each", "more", "bad", "z"])
def test_p06_items_are_taken_over_with_their_lists(hand: Hand, at: str) -> None:
    """Joins behind them fire once and get them all, wherever the rerun begins."""
    answers: Answers = {
        "a": gives([1, 2, 3]),
        "each": lambda leased: BAD if leased.item == 1 else gives(f"e{leased.item}"),
        "more": lambda leased: gives(f"m{leased.item}"),
        "z": gives("Z"),
    }
    run = hand.start(LIST)
    hand.work(answers)
    new = anew(hand, run, at)
    done = hand.work(answers)
    assert results(hand, new) == results(hand, run)
    assert hand.run(new).state == "succeeded"
    counts = {"a": 9, "each": 8, "more": 4, "bad": 1, "z": 1}
    assert len(done) == counts[at]
    if at in ("z", "bad"):
        assert [item.result for item in hand.store.items(new, 3)] == ['"m0"', '"m1"', '"m2"']


def test_p06_an_empty_list_is_taken_over(hand: Hand) -> None:
    """It has no item to bring anything."""
    run = hand.start(LIST)
    hand.work({"a": gives([])})
    new = anew(hand, run, "z")
    assert hand.work() == ["z"]
    assert results(hand, new) == results(hand, run)


def test_p08_nodes_may_have_moved_in_the_graph(hand: Hand) -> None:
    """Tasks take the numbers of today, and what is new simply runs."""
    run = hand.start(LIST)
    hand.work({"a": gives([1, 2]), "each": lambda leased: gives(leased.item)})
    moved = Graph("list", (Node("first"), *LIST.nodes[:3], Node("x", edges=(Edge("first"),)), *LIST.nodes[3:]))
    new = anew(hand, run, "z", graph=moved)
    assert [item.result for item in hand.store.items(new, 3)] == ["0", "1"]
    assert hand.work() == ["first", "z", "x"]
    assert hand.run(new).state == "succeeded"
    assert len({task.number for task in hand.store.tasks(new)}) == len(hand.store.tasks(new)) == 9


@pytest.mark.parametrize(("at", "done"), [("yes", ["yes", "after"]), ("no", ["after"]), ("after", ["after"])])
def test_p08_decisions_are_taken_over(hand: Hand, at: str, done: list[str]) -> None:
    """Nobody is asked again, and the edge that was chosen is taken."""
    run = hand.start(CHOICE)
    hand.settle(hand.lease()[0])
    hand.settle(hand.lease()[0], Asked(None))
    hand.do(Decide(2, "yes"), run, "anna")
    hand.work()
    new = anew(hand, run, at)
    assert hand.task(new, 2).result == hand.task(run, 2).result
    assert hand.work() == done
    assert hand.store.reviews() == []
    assert results(hand, new) == results(hand, run)


def test_p08_a_failure_that_was_caught_is_taken_over(hand: Hand) -> None:
    """And so is what was skipped; the node that catches runs anew."""
    run = hand.start(CAUGHT)
    hand.work({"a": BAD, "b": Skipped("no need")})
    new = anew(hand, run, "b")
    assert hand.work({"b": gives(1)}) == ["b", "c"]
    other = anew(hand, run, "c")
    assert hand.tasks(other) == ["a failed", "b skipped", "c skipped"]
    assert (hand.run(other).state, hand.run(new).state) == ("succeeded", "succeeded")


def talked(hand: Hand) -> int:
    """A run whose handlers have heard, with records, a join and files."""
    run = hand.start(TALK)
    hand.work(
        {
            "a": gives("A", Keep(FILE), Put('"of a"', "k")),
            "tell": gives(None, sends("hear", 1), sends("hear", 2), Map("hear", ("3", "4"), "all")),
            "hear": lambda leased: gives(f"heard {leased.message}", Put(leased.message or "")),
            "all": gives("ALL"),
        }
    )
    assert hand.run(run).state == "succeeded"
    return run


def test_p08_handlers_are_taken_over_with_records_and_joins(hand: Hand) -> None:
    """Their tasks have happened, their first results count, and nothing is sent again."""
    run = talked(hand)
    graph = Graph("talk", (Node("new"), *TALK.nodes))
    new = anew(hand, run, "z", graph=graph)
    assert hand.work({"z": gives("Z")}) == ["new", "z", "alarm"]
    hears = [(task.result, task.key) for task in hand.store.tasks(run, node="hear")]
    assert [(task.result, task.key) for task in hand.store.tasks(new, node="hear")] == hears
    assert hand.values(new) == hand.values(run)
    assert [kept.artifact for kept in hand.store.artifacts(new)] == [FILE]
    assert hand.task(new, hand.store.artifacts(new)[0].number).node == "a"
    assert {hand.task(new, record.number).node for record in hand.store.records(new)} == {"a", "hear"}
    first, before = hand.store.first(new, "hear"), hand.store.first(run, "hear")
    assert first is not None
    assert first == before
    (every,) = hand.store.tasks(new, node="all")
    assert [item.result for item in hand.store.joined(new, every.number)] == ['"heard 3"', '"heard 4"']
    assert {(sender, node) for sender, node, *_ in hand.store.traffic(new)} >= {("tell", "hear"), ("tell", "all")}
    assert hand.run(new).state == "succeeded"
    assert [task.state for task in hand.store.tasks(new, node="alarm")] == [TaskState.succeeded]


def test_p08_a_taken_over_handler_takes_messages(hand: Hand) -> None:
    """As in its own run: in order, and with a number that nobody has."""
    talk = Graph("talk", TALK.nodes[:-1], stays_open=True)
    run = hand.start(talk)
    hand.work({"tell": gives(None, sends("hear", 1), sends("all", 1))})
    hand.complete(run)
    new = anew(hand, run, "z")
    assert hand.work() == ["z"]
    answer = hand.send(new, "hear", 5)
    assert answer.number not in {task.number for task in hand.store.tasks(run)}
    assert hand.work() == ["hear"]


def test_p08_messages_of_what_runs_anew_come_again(hand: Hand) -> None:
    """A handler that got all of them from there acts anew, and what waits for it too."""
    graph = Graph("split", (A, B, Node("hear", Arity.handler), Node("z", edges=(Edge("hear"),)), Node("side")))
    run = hand.start(graph)
    answers = {"b": gives(None, sends("hear", 1))}
    hand.work(answers)
    new = anew(hand, run, "b")
    assert hand.work(answers) == ["b", "hear", "z"]
    assert results(hand, new) == results(hand, run)


def test_p08_a_rerun_of_a_rerun_is_one(hand: Hand) -> None:
    """What was taken over can be taken over again, also when the run that made it is forgotten."""
    run = talked(hand)
    hand.wait(1000)
    new = anew(hand, run, "z")
    hand.work()
    assert hand.store.prune(hand.now - 1) == 1
    third = anew(hand, new, "z")
    hand.work()
    assert results(hand, third) == results(hand, new)


def test_p08_a_file_stays_as_long_as_a_run_refers_to_it(hand: Hand) -> None:
    """To forget the run that made it takes nothing from the one that took it over."""
    run = talked(hand)
    hand.wait(1000)
    new = anew(hand, run, "z")
    hand.work()
    hand.wait(1000)
    assert hand.store.prune(hand.now - 1000) == 1
    assert hand.store.run(run) is None
    assert [each.used for each in hand.store.discarded() if each.digest] == [True]
    assert [kept.artifact for kept in hand.store.artifacts(new)] == [FILE]
    with pytest.raises(NotFound, match="there is no run"):
        hand.do(Rerun(Start(77, TALK, "null"), ("z",)), run)


def test_p02_the_same_rerun_again_is_the_same_run(hand: Hand) -> None:
    """A call that is repeated after its answer was lost begins nothing more; nor does the same key."""
    run = hand.start(FLOW)
    hand.work()
    verb = Rerun(Start(99, FLOW, "null", idempotency_key="k"), ("b",))
    assert hand.do(verb, run).done
    before = hand.everything()
    again = hand.do(verb, run)
    assert (again.run, again.done) == (99, False)
    other = hand.do(Rerun(Start(100, FLOW, "null", idempotency_key="k"), ("b",)), run)
    assert (other.run, other.done) == (99, False)
    assert hand.everything() == before


def test_p08_two_reruns_do_not_meet(hand: Hand) -> None:
    """Each is a run of its own."""
    run = hand.start(FLOW)
    hand.work()
    one, two = anew(hand, run, "b"), anew(hand, run, "both")
    assert one != two
    assert sorted(hand.work()) == ["b", "both", "both"]
    assert len([entry for entry in hand.store.journal(run) if "rerun" in json.loads(entry.event)]) == 2


def test_p07_a_rerun_with_nothing_to_do_has_ended(hand: Hand) -> None:
    """What runs after the end of a run runs after its end."""
    run = talked(hand)
    new = anew(hand, run, "alarm")
    assert hand.work() == ["alarm"]
    assert (hand.run(new).state, hand.run(new).open) == ("succeeded", 0)


def _active(hand: Hand) -> int:
    return hand.start(FLOW)


def _done(hand: Hand) -> int:
    run = hand.start(FLOW)
    hand.work()
    return run


CHANGED = Graph("flow", (A, Node("slow", edges=(Edge("a"),)), *FLOW.nodes[2:]))


@pytest.mark.parametrize(
    ("begin", "graph", "at", "kind", "sentence"),
    [
        (_active, FLOW, "b", Conflict, "is active; a rerun takes over what is settled for good"),
        (_done, FLOW, "bth", NotFound, "no node 'bth'; did you mean 'both'"),
        (_done, CHANGED, "b", BadInput, "slow would be taken over, but it has another structure now"),
        (talked, TALK, "hear", BadInput, "hear is a handler, which acts on each message, so nothing begins at it"),
        (talked, TALK, "a", Conflict, "handler hear got messages from tell, which would not be sent again"),
    ],
)
def test_p12_a_rerun_that_cannot_be_is_refused(
    hand: Hand, begin: Callable[[Hand], int], graph: Graph, at: str, kind: type[Refused], sentence: str
) -> None:
    """With one sentence, and nothing has happened."""
    run = begin(hand)
    hand.do(Register(graph))
    before = hand.everything()
    with pytest.raises(kind, match=sentence):
        hand.do(Rerun(Start(99, graph, "null"), (at,)), run)
    assert hand.everything() == before


def test_p12_messages_from_outside_are_not_lost_in_silence(hand: Hand) -> None:
    """A handler that is to act anew had some; the message of the start comes again by itself."""
    graph = Graph("out", (A, Node("hear", Arity.handler, edges=(Edge("a"),), entry=True)))
    run = hand.start(graph, 1)
    hand.work()
    new = anew(hand, run, "a")
    assert hand.work() == ["a", "hear"]
    assert codec.decode(hand.store.tasks(new, node="hear")[0].message or "") == 1
    third = hand.start(graph, 1)
    hand.do(Send("hear", "2"), third)
    hand.work()
    with pytest.raises(Conflict, match="handler hear got messages from outside"):
        anew(hand, third, "a")
