"""Databases of released versions are brought up to date with everything that is in them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from heliostat.errors import SchemaMismatch
from heliostat.store import Ask, Command, SetQueue
from heliostat.stores.postgres import PostgresStore
from heliostat.stores.postgresrows import STATEMENTS as POSTGRES
from heliostat.stores.sqlite import SqliteStore
from heliostat.stores.sqliterows import STATEMENTS as SQLITE
from heliostat.task import TaskState
from tests.integration.stores import RUN, TALK, states

RELEASED = Path(__file__).parents[1] / "fixtures" / "schema"
DUMPS = sorted(path.name for path in RELEASED.glob("*.sql"))


@pytest.fixture(params=DUMPS)
def released(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteStore | PostgresStore]:
    """A store on a database as a released version left it."""
    dump = (RELEASED / request.param).read_text(encoding="utf-8")
    store: SqliteStore | PostgresStore
    if request.param.startswith("sqlite"):
        with sqlite3.connect(tmp_path / "x.db") as connection:
            connection.executescript(dump)
        connection.close()
        store = SqliteStore(tmp_path / "x.db")
    else:
        url = request.getfixturevalue("postgres_database")
        with psycopg.connect(url) as postgres:
            postgres.execute(dump)
        store = PostgresStore(url)
    yield store
    store.close()


def test_a_dump_of_every_schema_is_kept() -> None:
    """A new migration comes with dumps, for the tests of the next."""
    for dialect, statements in (("sqlite", SQLITE), ("postgres", POSTGRES)):
        assert [f"{dialect}-{version:04}.sql" for version, *_ in statements.migrations()] == [
            name for name in DUMPS if name.startswith(dialect)
        ]
    (package,) = RELEASED.glob("*.tar.gz")  # of the last version, for a rolling upgrade; how it is made: see dump.py
    assert package.name < f"heliostat-{SQLITE.newest:04}.tar.gz"


def test_a_released_database_is_upgraded_and_goes_on(released: SqliteStore | PostgresStore) -> None:
    """Nothing of it is lost, and its work is leased."""
    released.upgrade()
    found, needed = released.status()
    assert found == needed
    assert states(released) == {
        TaskState.succeeded: 1,
        TaskState.waiting: 2,
        TaskState.pending: 1,
        TaskState.ready: 2,
        TaskState.running: 1,
    }
    assert [record.value for record in released.records(RUN)] == ['{"kept": "é"}']
    assert [kept.artifact.name for kept in released.artifacts(RUN)] == ["map.png"]
    assert [attempt.reason for attempt in released.attempts(RUN)] == ["not yet"]
    assert len(released.lease(Ask("w2", frozenset({TALK.id}), 10), 7.0)) == 2


def test_migrations_are_carried_out_together_or_not_at_all(
    released: SqliteStore | PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration that fails leaves the schema as it was; mended, it is carried out once."""
    statements = SQLITE if isinstance(released, SqliteStore) else POSTGRES
    known = statements.migrations()
    steps = ["CREATE TABLE birds (name text)", "ALTER TABLE nests ADD COLUMN eggs bigint"]
    more = (known[-1][0] + 1, "9999_birds", steps)
    monkeypatch.setattr(type(statements), "migrations", lambda self: [*known, more])
    monkeypatch.setitem(statements.__dict__, "newest", known[-1][0] + 1)
    with pytest.raises(Exception, match="nests"):
        released.upgrade()
    with pytest.raises(SchemaMismatch, match="run: heliostat db upgrade"):
        released.runs()
    steps[1] = "ALTER TABLE birds ADD COLUMN eggs bigint"
    assert released.upgrade()[-1] == "9999_birds"
    assert released.upgrade() == []
    assert len(released.runs()) == 1


def test_numbers_of_the_journal_that_were_taken_stay_taken(tmp_path: Path) -> None:
    """An older version kept them beside the lines, so the lines that had them may be gone."""
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.executescript((RELEASED / "sqlite-0004.sql").read_text(encoding="utf-8"))
        connection.execute("DELETE FROM journal WHERE seq > 1")
    connection.close()
    store = SqliteStore(tmp_path / "x.db")
    store.upgrade()
    assert [(entry.seq, entry.event) for entry in store.journal()][1:] == [(3, "{}")]
    store.accept([Command(SetQueue("default", 5))], 8.0)
    assert [entry.seq for entry in store.journal(after=3)] == [4]
    store.close()
