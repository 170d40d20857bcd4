"""The engine's way of asking, where it does more than pass things on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heliostat import Workflow
from heliostat.clock import Ids, SystemClock
from heliostat.compose import engine_on
from heliostat.engine import Engine
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
