"""One empty database of each kind for each test of the suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import psycopg
import pytest

from heliostat.store import Store
from heliostat.stores.memory import MemoryStore
from heliostat.stores.postgres import PostgresStore
from heliostat.stores.sqlite import SqliteStore
from tests.container_tools import TOOLS
from tests.postgres_server import drop_database, fresh_database

TABLES = (
    "runs, tasks, graphs, lanes, queues, gates, reviews, schedules, holds, records, artifacts, discarded, attempts, "
    "journal, workers"
)
LITTLE_BYTES = 1 << 20  #: of tasks, that are removed sooner than the files of all tables are made anew

Open = Callable[[], Store]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Give what opens the same database again and again, as further processes would."""
    if request.param == "memory":
        store = MemoryStore()
        yield lambda: store
        return
    if request.param == "sqlite":
        path = tmp_path / "heliostat.db"
        opened: Open = lambda: SqliteStore(path)  # noqa: E731
    else:
        url = request.getfixturevalue("emptied")
        opened = lambda: PostgresStore(url)  # noqa: E731
    with ExitStack() as stores:

        def open_one() -> Store:
            store = opened()
            stores.callback(store.close)
            return store

        yield open_one


@pytest.fixture(scope="session")
def upgraded(postgres_url: str) -> Iterator[str]:
    """One PostgreSQL database with the schema, for the session."""
    url = fresh_database(postgres_url)
    store = PostgresStore(url)
    store.upgrade()
    store.close()
    yield url
    drop_database(url)


@pytest.fixture
def emptied(upgraded: str) -> str:
    """The database of the session with nothing in it."""
    with psycopg.connect(upgraded) as connection:
        little = connection.execute("SELECT pg_table_size('tasks') < %s", [LITTLE_BYTES]).fetchone() == (True,)
        deletes = "; ".join(f"DELETE FROM {table}" for table in TABLES.split(", "))
        connection.execute(deletes if little else f"TRUNCATE {TABLES}")
    return upgraded


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of what runs images, try all on this machine, and elsewhere one with each batch system, by chance."""
    if config.getoption("--every-point"):
        return
    chance = Random(config.getoption("randomly_seed", 0))  # every process that tests has the same
    drawn: dict[str, str] = {}
    left_out = []
    for item in sorted(items, key=lambda item: item.nodeid):
        params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if {"tool", "opened"} <= params.keys() and params["opened"] != "local":
            if params["opened"] not in drawn:
                drawn[params["opened"]] = chance.choice(TOOLS)
            if params["tool"] != drawn[params["opened"]]:
                left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
