"""P10 by counting what the databases do: leasing and settling cost the same beside 200,000 tasks that cannot run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from heliostat.graph import Arity, Graph, Node
from heliostat.stores.postgres import PostgresStore
from heliostat.stores.postgresrows import STATEMENTS
from heliostat.stores.sqlite import SqliteStore
from heliostat.testing.conformance import Hand, gives

TALK = Graph(
    "talk",
    (Node("hear", Arity.handler), Node("count", Arity.handler, serial=True), Node("one", Arity.handler, limit=1)),
    stays_open=True,
)
MANY = 200_000

# What stands beside: 200,000 copies of a task, one number after the other.
COPY = """
INSERT INTO tasks
    (run_id, number, lane_id, node, state, held, priority, missing, unmet, epilogue, created_at, serial_key)
SELECT run_id, 1000000 + i, lane_id, node, state, held, priority + 5, missing, unmet, epilogue, created_at, serial_key
FROM tasks, {series} WHERE run_id = {run} AND number = {number}
"""
SERIES = {
    "sqlite": "(WITH RECURSIVE s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {n}) SELECT i FROM s)",
    "postgres": "generate_series(1, {n}) AS i",
}


class Counted:
    """A hand on a store whose work is counted: instructions of SQLite, rows that PostgreSQL reads."""

    def __init__(self, hand: Hand, kind: str, count: Callable[[Callable[[], object]], int]) -> None:
        self.hand, self.kind, self.count = hand, kind, count

    def copy(self, run: int, number: int) -> None:
        """Put many tasks beside one."""
        text = COPY.format(series=SERIES[self.kind].format(n=MANY), run=run, number=number)
        with self.hand.store.transaction() as rows:
            execute = rows._execute if self.kind == "sqlite" else rows._connection.execute
            execute(text)


@pytest.fixture(params=["sqlite", "postgres"])
def counted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Counted]:
    """Give a store with a counter."""
    if request.param == "sqlite":
        store = SqliteStore(tmp_path / "x.db")
        yield Counted(Hand(store), "sqlite", lambda work: _instructions(store, work))
        store.close()
    else:
        server = PostgresStore(request.getfixturevalue("emptied"))
        yield Counted(Hand(server), "postgres", lambda work: _rows(server, work))
        server.close()


def _instructions(store: SqliteStore, work: Callable[[], object]) -> int:
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1

    writer = store._mine().writer
    assert writer is not None
    writer.set_progress_handler(tick, 10)
    try:
        work()
    finally:
        writer.set_progress_handler(None, 0)
    return ticks * 10


def _rows(store: PostgresStore, work: Callable[[], object]) -> int:
    def read() -> int:
        writer = store._mine().writer
        assert writer is not None
        writer.execute("SELECT pg_stat_force_next_flush()")
        row = writer.execute(
            "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables"
        ).fetchone()
        assert row is not None
        return int(row[0])

    before = read()
    work()
    return read() - before


def _cycle(counted: Counted, run: int) -> Callable[[], object]:
    """Ten messages are sent, leased and settled."""
    hand = counted.hand

    def work() -> None:
        for number in range(10):
            hand.send(run, "hear", number)
        attempts = hand.lease(10)
        assert len(attempts) == 10
        hand.settle_all([(attempt, gives()) for attempt in attempts])

    return work


@pytest.mark.parametrize("beside", ["serial messages", "messages to a full node", "messages that were handled"])
def test_p10_two_hundred_thousand_tasks_beside_cost_nothing(counted: Counted, beside: str) -> None:
    """Neither leasing nor settling looks at them."""
    hand = counted.hand
    run = hand.start(TALK)
    node = "count" if beside == "serial messages" else "one" if "full" in beside else "hear"
    numbers = [hand.send(run, node, number).number for number in range(2)]
    [attempt] = hand.lease(1)
    if "handled" in beside:
        hand.settle_all([(each, gives()) for each in [attempt, *hand.lease()]])
    work = _cycle(counted, run)
    for _ in range(3):  # caches and plans are made
        work()
    alone = counted.count(work)
    counted.copy(run, int(numbers[1] or 0))
    work()
    crowded = counted.count(work)
    assert alone > 0
    assert crowded <= 1.5 * alone, f"{alone} alone, {crowded} beside {MANY:,} tasks"


def test_p10_no_plan_looks_for_what_is_ready_among_all_that_is_idle(emptied: str) -> None:
    """Where few tasks were there when it was made it would seem as good, and would be kept."""
    server = PostgresStore(emptied)
    Hand(server).start(TALK)
    with psycopg.connect(emptied) as connection:
        connection.execute("SET enable_seqscan = off")
        connection.execute("SET plan_cache_mode = force_generic_plan")
        connection.execute("DROP INDEX tasks_ready")
        connection.execute(f"PREPARE lease AS {STATEMENTS['task_lease'].text}".encode())
        plan = connection.execute("EXPLAIN EXECUTE lease (1, 1, '[]', 'w', 0)").fetchall()
        connection.rollback()
    connection.close()
    assert "tasks_idle" not in str(plan)
    server.close()
