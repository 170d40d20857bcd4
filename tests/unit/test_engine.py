"""The engine's way of asking, where it does more than pass things on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heliostat import Context, Workflow
from heliostat.clock import Ids, SystemClock
from heliostat.compose import engine_on
from heliostat.engine import Engine
from heliostat.errors import BadInput, NotFound
from heliostat.stores.memory import MemoryStore, Tables

quiet = Workflow("quiet", stays_open=True)


@quiet.handler
def hear(message: object) -> None:
    """Listens."""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    """Give what opens an engine of a further process on the same tables."""
    tables, engines = Tables(), list[Engine]()

    def open_one() -> Engine:
        store = MemoryStore()
        store.tables = tables
        engines.append(engine_on(store, SystemClock(), tmp_path, seed=len(engines)))
        return engines[-1]

    yield open_one
    for engine in engines:
        engine.close()


def test_two_processes_that_draw_the_same_id_get_two_runs(
    opened: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second draws another; nobody's run is taken for somebody else's."""
    drawn = iter([5, 5, 6, 7, 8, 8, 9, 7, 10, 11, 12])
    monkeypatch.setattr(Ids, "run", lambda self: next(drawn))
    mine, yours = opened(), opened()
    assert mine.start(quiet, "mine").key == 5
    assert yours.start(quiet, "yours").key == 6
    assert [run.key for run in mine.start_many(quiet, ["a", "b"])] == [7, 8]
    assert [run.key for run in yours.start_many(quiet, ["c", "d"])] == [11, 12]
    assert [run.message for run in mine.runs()] == ['"d"', '"c"', '"b"', '"a"', '"yours"', '"mine"']


def test_every_send_is_one_message(opened: Callable[[], Engine]) -> None:
    """Though all say the same, and whoever sends them; only what has a key of its own is sent once."""
    mine, yours = opened(), opened()
    run = mine.start(quiet)
    yours.add(quiet)
    for engine in (mine, yours):
        for _ in range(3):
            engine.find(run.id).send(hear, None)
            engine.find(run.id).send(hear, None, idempotency_key="once")
    assert len(run.tasks()) == 7


WRONG: list[dict[str, Any]] = [
    {"priority": "high"},
    {"priority": 1 << 63},
    {"idempotency_key": ["a"]},
    {"to": 5},
]


@pytest.mark.parametrize("options", WRONG, ids=str)
def test_what_is_none_of_the_options_is_refused_by_its_name(
    opened: Callable[[], Engine], options: dict[str, Any]
) -> None:
    """The same words at every door, and no run is there afterwards."""
    engine = opened()
    [name] = options
    with pytest.raises(BadInput, match=rf"^{name}: a "):
        engine.start(quiet, **options)
    assert engine.runs() == []
    run = engine.start(quiet)
    with pytest.raises(BadInput, match=rf"^{name}: a "):
        run.send(**{"to": hear, **options})
    assert run.tasks() == []


def test_a_run_that_nobody_can_have_is_not_found(opened: Callable[[], Engine]) -> None:
    """Whatever is given as its id."""
    for odd in (5, None, "5", "z" * 13):
        with pytest.raises(NotFound, match=" is no run id"):
            opened().find(odd)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [0, -1, 1 << 70, "5", True])
def test_how_many_runs_is_a_whole_number(opened: Callable[[], Engine], limit: Any) -> None:
    """The same on every store."""
    with pytest.raises(BadInput, match=r"^limit: a whole number from 1 to 1,000,000 is wanted, not "):
        opened().runs(limit=limit)


@pytest.mark.parametrize("reason", [5, object(), "r" * 501, "a\0b"])
def test_a_reason_is_a_string(opened: Callable[[], Engine], reason: Any) -> None:
    """It goes into the journal."""
    run = opened().start(quiet)
    for act in (run.pause, run.resume, run.cancel):
        with pytest.raises(BadInput, match=r"^reason: a "):
            act(reason)
    assert run.state == "active"


POISON: list[Callable[[Context], object]] = [
    lambda ctx: ctx.start(quiet, priority="high"),  # type: ignore[arg-type]
    lambda ctx: ctx.start(quiet, priority=None),  # type: ignore[arg-type]
    lambda ctx: ctx.start(quiet, idempotency_key=["a"]),  # type: ignore[arg-type]
    lambda ctx: ctx.start(quiet, name=object()),  # type: ignore[arg-type]
    lambda ctx: ctx.start(quiet, name="\ud800"),
    lambda ctx: ctx.send("hear", 1, priority="high"),  # type: ignore[arg-type]
    lambda ctx: ctx.send(5, 1),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("poison", POISON)
def test_what_a_function_asks_for_in_a_wrong_way_fails_its_run_and_no_worker(
    opened: Callable[[], Engine], poison: Callable[[Context], object]
) -> None:
    """The sentence says what was wrong; whatever else there is to do is done."""
    flow = Workflow("poisonous", stays_open=True)

    @flow.node
    def bad(ctx: Context) -> object:
        return poison(ctx)

    flow.handler(hear)
    good = Workflow("good")
    good.node(lambda: 7, name="seven")
    engine = opened()
    failing, going = engine.start(flow), engine.start(good)
    engine.work("idle")
    assert going.result() == 7
    assert failing.state == "failed"
    assert " is wanted, not " in str(failing.info.reason) or "surrogate" in str(failing.info.reason)


class Mute(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise Mute


def test_an_error_that_cannot_say_what_it_is_is_known_by_its_class(opened: Callable[[], Engine]) -> None:
    """And by the line where it happened."""
    flow = Workflow("mute")

    @flow.node
    def bad() -> None:
        raise Mute

    engine = opened()
    run = engine.start(flow)
    limit = engine.around.clock.now() + 10
    engine.work(lambda: run.over or engine.around.clock.now() > limit)
    assert str(run.info.reason).startswith("bad: Mute (test_engine.py:")


def test_a_node_goes_over_the_list_that_a_handler_gave_first(opened: Callable[[], Engine]) -> None:
    """Item by item, like over any other node's."""
    flow = Workflow("over")
    give = flow.handler(lambda message: message, name="give", entry=True)
    double = flow.node(lambda x: 2 * x, name="double", map={"x": give})
    engine = opened()
    run = engine.start(flow, [1, 2, 3])
    run.send(give, [7])
    engine.work(run)
    assert run.result(double) == [2, 4, 6]
