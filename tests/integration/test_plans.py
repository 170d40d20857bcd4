"""No statement walks through what it does not want: costs grow with what happens, not with what exists.

Every statement's plan is looked at, in PostgreSQL also while its tables are still empty: a plan made then lives on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
import pytest

from heliostat.graph import Arity, Graph, Node
from heliostat.outcome import Succeeded
from heliostat.store import Ask, Store
from heliostat.stores import postgresrows, sqliterows
from heliostat.stores.postgres import PostgresStore
from heliostat.stores.sqlite import SqliteStore
from tests.integration.stores import TALK, begin, send

BLOCKED = 200_000

# What is walked through from its beginning, as far as it is wanted or because it is small.
_RUNNING = {"tasks_running"}  # no more than the workers have slots
WALKED = {
    "lane_adopt_running": _RUNNING,
    "prune_workers": _RUNNING,
    "lane_busy": _RUNNING,
    "busy": _RUNNING,
    "task_hold_running": _RUNNING,
    "task_of_worker": _RUNNING,
    "task_open": _RUNNING,
    "worker_stops": _RUNNING,
    "workers": _RUNNING,
    "lane_ready": {"tasks_ready"},  # counted
    "run_leftover": {"runs_leftover"},  # ended runs that a sweep has not seen
    "run_overdue": {"runs_deadline"},  # no others than those that are wanted
    "run_next_deadline": {"runs_deadline"},  # the first is wanted
    "holding": _RUNNING,
    "running_since": _RUNNING,
    "reviews": {"reviews", "reviews_pkey", "r"},  # there are no others than those that are wanted
    "run_oldest": {"runs_pkey", "runs"},  # the first is wanted
    "discarded": {"discarded", "discarded_pkey", "d"},  # a page is wanted
    "task_next_due": {"tasks_due"},  # the first is wanted
    "journal": {"journal_pkey"},  # a page is wanted
    "lane_adopt": {"tasks_ready"},  # an operator sets a node's limit
}
SMALL = {
    "holds",
    "graphs",
    "lanes",
    "queues",
    "schedules",
    "workers",
    "commits",
    "l",
    "q",
    "json_each",
    "wanted",
    "oldest",
    "best",
    "schema_version",
}
NOT_PLANNED = ("schema_", "journal_l", "journal_open", "clock", "about", "task_copy")


def names(*folders: str) -> list[str]:
    """The statements of a database."""
    sql = files("heliostat.stores") / "sql"
    found = {path.name for folder in folders for path in (sql / folder).iterdir() if path.name.endswith(".sql")}
    own = sorted(name.removesuffix(".sql") for name in found if not name.startswith("_"))
    return [name for name in own if not name.startswith(NOT_PLANNED)]


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    """An open store on an empty file."""
    store = SqliteStore(tmp_path_factory.mktemp("plans") / "x.db")
    store.check()
    yield store
    store.close()


@pytest.mark.parametrize("name", names("", "sqlite"))
def test_sqlite_probes_an_index(sqlite: SqliteStore, name: str) -> None:
    """Every table in the plan of a statement is searched by an index."""
    statement = sqliterows.STATEMENTS[name]
    writer = sqlite._mine().writer
    assert writer is not None
    plan = writer.execute("EXPLAIN QUERY PLAN " + statement.text, [None] * len(statement.names)).fetchall()
    scans = [row[3].split() for row in plan if row[3].startswith("SCAN")]
    walked = [words for words in scans if words[1] not in SMALL | {"CONSTANT"} and words[-1] != "1:"]
    allowed = WALKED.get(name, set())
    assert [words for words in walked if words[1] not in allowed and words[-1] not in allowed] == []


@pytest.fixture(scope="module", params=["empty", "small", "filled", "analyzed"])
def planned(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection with the store's settings, to a database that is empty, has little, or much that is not wanted."""
    from tests.postgres_server import drop_database, fresh_database

    url = fresh_database(postgres_url)
    store = PostgresStore(url)
    store.upgrade()
    connection = store._open()
    if request.param != "empty":
        begin(store)
    if request.param in ("filled", "analyzed"):
        connection.execute(_FILL, prepare=False)
    if request.param in ("small", "analyzed"):
        connection.execute("ANALYZE")
    yield connection
    connection.close()
    store.close()
    drop_database(url)


@pytest.mark.parametrize("name", names("", "postgres"))
def test_postgresql_probes_an_index(planned: psycopg.Connection[Any], name: str) -> None:
    """Every large table in the plan of a statement is reached by an index condition or a row's place."""
    statement = postgresrows.STATEMENTS[name]
    planned.execute(f"PREPARE it AS {statement.text}", prepare=False)
    try:
        given = f"({', '.join(['NULL'] * len(statement.names))})" if statement.names else ""
        (row,) = planned.execute(f"EXPLAIN (FORMAT JSON) EXECUTE it{given}", prepare=False).fetchall()
    finally:
        planned.execute("DEALLOCATE it", prepare=False)
    walked = [
        node
        for node in _nodes(row[0][0]["Plan"])
        if node.get("Relation Name") in ("tasks", "runs", "records", "journal", "attempts", "artifacts")
        and node["Node Type"] != "ModifyTable"
        and not (node.get("Index Cond") or node.get("TID Cond"))
        and node.get("Index Name") not in WALKED.get(name, set())
    ]
    assert walked == []


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


_FILL = """
INSERT INTO tasks
    (run_id, number, lane_id, node, state, held, priority, missing, unmet, epilogue, created_at, serial_key)
SELECT (1::bigint << 58) + 1 + i % 100, 100 + i, 77, 'hear', 'pending', false, 9, i % 3, 0, false, 1.0, 'hear'
FROM generate_series(1, 200000) AS i
"""
_FILL_SQLITE = """
WITH RECURSIVE series (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM series WHERE i < 200000)
INSERT INTO tasks
    (run_id, number, lane_id, node, state, held, priority, missing, unmet, epilogue, created_at, serial_key)
SELECT (1 << 58) + 1 + i % 100, 100 + i, 77, 'hear', 'pending', 0, 9, i % 3, 0, 0, 1.0, 'hear' FROM series
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_hundred_thousand_blocked_tasks_cost_nothing(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Leasing and settling beside them takes milliseconds."""
    store: SqliteStore | PostgresStore
    if kind == "sqlite":
        store = SqliteStore(tmp_path / "x.db")
        begin(store)
        with store.transaction() as rows:
            rows._execute(_FILL_SQLITE)
    else:
        store = PostgresStore(request.getfixturevalue("postgres_database"))
        store.upgrade()
        begin(store)
        with store.transaction() as many:
            many._connection.execute(_FILL)
    assert min(_seconds(store) for _ in range(5)) < 0.1
    store.close()


def _seconds(store: Store) -> float:
    send(store, n=10)
    ask = Ask("w", frozenset({TALK.id}), 10)
    begun = time.perf_counter()
    leased = store.lease(ask, 3.0)
    assert len(leased) == 10
    store.settle("w", [(attempt, Succeeded("1")) for attempt in leased], 4.0, ask)
    return time.perf_counter() - begun


def test_many_lanes_are_leased_from_in_order(tmp_path: Path) -> None:
    """A worker that offers many definitions takes the best of all, whatever lane it is in."""
    from heliostat.effects import Send, Start
    from heliostat.store import Command, Register

    store = SqliteStore(tmp_path / "x.db")
    graphs = [Graph(f"g{i}", (Node("h", Arity.handler),), stays_open=True) for i in range(30)]
    store.accept([Command(Register(graph)) for graph in graphs], 1.0)
    store.accept([Command(Start(1 + i, graph, "1")) for i, graph in enumerate(graphs)], 1.0)
    for priority in (0, 3, 1):
        store.accept([Command(Send("h", "1", priority=priority), 1 + i) for i in range(0, 30, 3)], 2.0)
    leased = store.lease(Ask("w", frozenset(graph.id for graph in graphs), 25), 3.0)
    tasks = [store.task(*attempt.task) for attempt in leased]
    assert [task.priority for task in tasks if task] == [3] * 10 + [1] * 10 + [0] * 5
    assert [task.run for task in tasks if task][:10] == list(range(1, 31, 3))
    store.close()
