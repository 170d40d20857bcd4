"""P12: bad input is refused at the door with one sentence, and nothing is left half done; poison stops nobody."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from heliostat.effects import End, Map, Put, Send, Start
from heliostat.errors import BadInput, Conflict, NotFound, Refused
from heliostat.graph import Arity, Graph, Node
from heliostat.outcome import Failed, Succeeded
from heliostat.run import RunState, public_id
from heliostat.store import Command, Drain, Pause, SetNode, SetQueue
from heliostat.testing.conformance.hand import Hand, gives, sends

if TYPE_CHECKING:
    from collections.abc import Callable

TALK = Graph(
    "talk",
    (Node("ask", Arity.handler, entry=True), Node("tile", Arity.handler, serial="name"), Node("once")),
    version="1.0",
    stays_open=True,
)
OTHER = Graph("talk", (Node("ask", Arity.handler, entry=True),), version="1.0", stays_open=True)
CLOSED = Graph("closed", (Node("ask", Arity.handler),))

REFUSED: list[tuple[Any, type[Refused], str]] = [
    (Send("nobody", "1"), NotFound, "workflow talk has no node 'nobody'; there is ask, tile, once"),
    (Send("tiles", "1"), NotFound, "workflow talk has no node 'tiles'; did you mean 'tile'?"),
    (
        Send("once", "1"),
        BadInput,
        "node once acts once, when its inputs are there; only handlers take messages",
    ),
    (Send("tile", '{"nam": 1}'), BadInput, "message to tile: the field 'name' is missing, by which it is serial"),
    (Send("tile", "{no json"), BadInput, "message to tile: not JSON (key must be a string at line 1 column 2)"),
    (
        Send("tile", f'{{"name": "{"n" * 499}"}}'),
        BadInput,
        (
            "message to tile: the field 'name', by which it is serial, has 501 characters of JSON; the limit is 500, "
            "give what it is about a shorter name"
        ),
    ),
    (
        Send("ask", '"other"', idempotency_key="k"),
        Conflict,
        "node ask: the idempotency key 'k' came before with another message; give another key",
    ),
    (SetQueue("defaults", 5), NotFound, "there is no queue 'defaults'; did you mean 'default'?"),
    (SetQueue("default", 0), BadInput, "queue default: the limit must be at least 1; pause the queue to stop it"),
    (
        SetQueue("default", "x"),  # type: ignore[arg-type]
        BadInput,
        "queue default: limit: a whole number from 1 to 2,147,483,647 is wanted, not 'x'",
    ),
    (
        SetQueue("default", 1 << 70),
        BadInput,
        "queue default: limit: a whole number from 1 to 2,147,483,647 is wanted, not 1180591620717411303424",
    ),
    (
        SetQueue("default", rate="10/x"),
        BadInput,
        'queue default: rate: \'10/x\' is no rate; write "5/s", "600/m", "100/h" or "20/d"',
    ),
    (Drain("nobody"), NotFound, "there is no worker 'nobody'"),
    (SetNode(TALK.id, "tle", 5), NotFound, "workflow talk has no node 'tle'; did you mean 'tile'?"),
    (SetNode(TALK.id, "tile", 0), BadInput, "node tile: the limit must be at least 1; pause the node to stop it"),
]


@pytest.mark.parametrize(("verb", "kind", "sentence"), REFUSED, ids=lambda value: type(value).__name__)
def test_p12_a_command_that_cannot_be_carried_out_is_refused(
    hand: Hand, verb: object, kind: type[Refused], sentence: str
) -> None:
    """The sentence names what was wrong and what would be right; nothing has changed."""
    run = hand.start(TALK)
    hand.send(run, "ask", 1, idempotency_key="k")
    before = hand.everything()
    with pytest.raises(kind) as refused:
        hand.do(verb, run)
    assert str(refused.value) == sentence
    assert hand.everything() == before


@pytest.mark.parametrize("verb", [Send("ask", "1"), End(RunState.cancelled), Pause(on=True)], ids=type)
def test_p12_a_run_that_does_not_exist_is_refused_by_its_public_id(hand: Hand, verb: object) -> None:
    """As the caller would have typed it."""
    hand.add(TALK)
    with pytest.raises(NotFound, match=f"there is no run {public_id(12345)}"):
        hand.do(verb, 12345)


@pytest.mark.parametrize("run", [1 << 63, 1 << 70, -1])
def test_p12_a_number_that_no_run_can_have_is_not_found(hand: Hand, run: int) -> None:
    """Though it does not fit into a database's integers."""
    hand.add(TALK)
    with pytest.raises(NotFound, match="there is no run "):
        hand.do(Pause(on=True), run)


def test_p12_what_does_not_fit_into_the_database_is_bad_input_or_nothing(hand: Hand) -> None:
    """Never a driver's error: not for whoever writes, nor for whoever reads."""
    run = hand.start(TALK)
    asked: list[Callable[[], object]] = [
        lambda: hand.store.run(1 << 63),
        lambda: hand.store.task(run, 1 << 70),
        lambda: hand.store.why(run, 1 << 70),
        lambda: hand.store.runs(limit=1 << 70),
        lambda: hand.store.records(run, "\ud800"),
        lambda: hand.do(Start(1 << 52, TALK, '"\ud800"')),
    ]
    for ask in asked:
        with suppress(BadInput):
            ask()
    assert hand.run(run).state == "active"


def test_p12_a_start_that_nobody_takes_is_refused(hand: Hand) -> None:
    """No run is there afterwards."""
    hand.add(CLOSED)
    with pytest.raises(BadInput, match="workflow closed: nothing takes the message"):
        hand.start(CLOSED)
    with pytest.raises(NotFound, match="workflow closed has no node 'asks'; did you mean 'ask'"):
        hand.start(CLOSED, to="asks")
    assert hand.store.runs() == []


def test_p12_a_start_with_the_same_key_and_another_message_is_refused(hand: Hand) -> None:
    """The key says that it should be the same; the run of then stays as it is."""
    hand.start(TALK, 1, idempotency_key="k")
    before = hand.everything()
    with pytest.raises(Conflict, match="workflow talk: the idempotency key 'k' came before with another message"):
        hand.start(TALK, 2, idempotency_key="k")
    assert hand.everything() == before


def test_p12_a_version_that_stands_for_another_structure_is_refused_with_the_difference(hand: Hand) -> None:
    """In words; the registered one goes on."""
    hand.add(TALK)
    with pytest.raises(Conflict) as refused:
        hand.add(OTHER)
    assert str(refused.value) == (
        "workflow talk 1.0 is registered with another structure (removed once, tile); give it a new version"
    )
    assert hand.store.graphs() == [TALK]
    hand.add(TALK)


def test_p12_a_graph_that_is_not_registered_is_not_found(hand: Hand) -> None:
    """And what does not exist is simply not there."""
    with pytest.raises(NotFound):
        hand.store.graph(5)
    assert (hand.store.run(5), hand.store.task(5, 1), hand.store.why(5, 1)) == (None, None, None)
    assert (hand.store.tasks(5), hand.store.records(5), hand.store.journal(5)) == ([], [], [])


def test_p12_the_longest_keys_and_priorities_are_taken(hand: Hand) -> None:
    """What the door lets in fits into every database: into its indexes too."""
    letters, highest = "\N{GRINNING FACE}" * 500, 1_000_000_000
    graph = Graph("w" * 100, (Node("n" * 100, Arity.handler, serial="key", priority=highest),), stays_open=True)
    run = hand.start(graph, name=letters, priority=highest, idempotency_key=letters)
    assert hand.start(graph, name=letters, priority=highest, idempotency_key=letters) == run
    message = {"key": letters[:498]}
    hand.send(run, "n" * 100, message, priority=-highest, idempotency_key=letters)
    assert hand.send(run, "n" * 100, message, idempotency_key=letters).done is False
    hand.send(run, "n" * 100, message)
    assert [hand.settle(attempt).word for _ in range(2) for attempt in hand.lease()] == ["committed"] * 2


BAD_EFFECTS = [
    (sends("nobody"), "workflow talk has no node 'nobody'"),
    (Send("tile", "1"), "message to tile: the field 'name' is missing"),
    (Map("once", ("1",), "ask"), "node once acts once"),
    (Map("ask", ("1",), "tile"), "handler tile is serial by 'name'"),
    (Start(7, CLOSED, "1"), "workflow closed: nothing takes the message"),
    (Start(7, OTHER, "1"), "workflow talk 1.0 is registered with another structure"),
]


@pytest.mark.parametrize(("effect", "sentence"), BAD_EFFECTS, ids=lambda value: type(value).__name__)
def test_p12_an_effect_that_cannot_be_carried_out_is_a_conflict_that_says_why(
    hand: Hand, effect: Any, sentence: str
) -> None:
    """The worker makes a failure of it; until then nothing of the attempt is there."""
    run = hand.start(TALK)
    [attempt] = [attempt for attempt in hand.lease(5) if attempt.node == "ask"]
    before = hand.everything()
    verdict = hand.settle(attempt, gives(1, Put("1"), effect))
    assert verdict.word == "conflict"
    assert verdict.reason.startswith(sentence)
    assert hand.everything() == before
    assert hand.run(run).state == "active"


def test_p12_what_nobody_foresaw_is_refused_alone(hand: Hand) -> None:
    """Whatever an outcome holds stops no worker: the attempt hears why, and fails; its neighbours are settled."""
    run = hand.start(TALK)
    hand.send(run, "ask", 2)
    first, second = [attempt for attempt in hand.lease(5) if attempt.node == "ask"]
    odd = Send("ask", "3")
    object.__setattr__(odd, "priority", "high")  # as if it had got through every check
    refused, committed = hand.settle_all([(first, gives(1, odd)), (second, gives(2))])
    assert (refused.word, committed.word) == ("refused", "committed")
    assert refused.reason.startswith("it cannot be recorded: TypeError: ")
    assert hand.task(run, first.number).state == "running"
    assert hand.settle(first, Failed(refused.reason, final=True)).word == "committed"
    assert hand.run(run).reason == f"ask: {refused.reason}"


def test_p12_a_message_that_is_no_json_stops_nobody(hand: Hand) -> None:
    """Whoever wrote it there passed by the door; it is leased like any other and fails by itself."""
    run = hand.start(TALK)
    hand.store.accept([Command(Send("ask", "{no json"), run), Command(sends("ask", "fine"), run)], hand.now)
    assert {attempt.message for attempt in hand.lease(5)} == {"null", None, "{no json", '"fine"'}


def test_p12_an_attempt_that_nobody_can_have_made_is_lost(hand: Hand) -> None:
    """Of a task or of a run that is not there."""
    run = hand.start(TALK)
    [attempt, _] = hand.lease(2)
    for stranger in (attempt._replace(number=99), attempt._replace(run=run + 1), attempt._replace(count=9)):
        assert hand.settle(stranger).word == "lost"
    assert hand.settle(attempt).word == "committed"


@pytest.mark.parametrize("text", ['"a\0b"', '"\ud800"'], ids=["NUL", "surrogate"])
def test_p12_a_text_that_the_database_cannot_take_is_refused_alone(hand: Hand, text: str) -> None:
    """It passed by the codec: the attempt hears so, its neighbours are settled, and nothing is cut short."""
    run = hand.start(TALK)
    hand.send(run, "ask", 2)
    hand.send(run, "ask", 3)
    first, second, third = [attempt for attempt in hand.lease(5) if attempt.node == "ask"]
    verdicts = hand.settle_all([(first, gives(1, Put(text))), (second, Succeeded(text)), (third, gives())])
    assert verdicts[2].word == "committed"
    assert verdicts[0].word == "refused" or hand.store.records(run)[0].value == text
    assert verdicts[1].word == "refused" or hand.task(run, second.number).result == text
