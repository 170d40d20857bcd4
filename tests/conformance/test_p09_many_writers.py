"""P9: SQLite with eight writing processes, PostgreSQL with four workers that commit overlapping runs in groups."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from heliostat.graph import Arity, Edge, Graph, Node
from heliostat.store import Store
from heliostat.stores.postgres import PostgresStore
from heliostat.stores.sqlite import SqliteStore
from heliostat.testing.conformance import Hand, gives

spawn = multiprocessing.get_context("spawn")

CHAIN = Graph("chain", (Node("a"), Node("b", edges=(Edge("a"),))))
WIDE = Graph(
    "wide",
    (
        Node("list"),
        Node("tile", Arity.each, edges=(Edge("list", "x", each=True),)),
        Node("mean", Arity.each, edges=(Edge("tile", "x", each=True),)),
        Node("all", edges=(Edge("tile", "t"), Edge("mean", "m"))),
    ),
)
SECONDS, LONG_SECONDS = 10.0, 30.0
RUNS, WIDTH = 100, 10
AT_ONCE = RUNS // 4  #: tasks in a batch: as many as there are for each of four at the beginning


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_p09_eight_processes_write_one_sqlite_file_side_by_side(tmp_path: Path, *, every_point: bool) -> None:
    """No error, and no process does less than a quarter of what they do on average."""
    store = SqliteStore(tmp_path / "x.db")
    Hand(store).add(CHAIN)
    barrier = spawn.Barrier(8)
    seconds = LONG_SECONDS if every_point else SECONDS
    with spawn.Pool(8, _meet, (barrier,)) as pool:
        done = pool.starmap(_live, [(tmp_path / "x.db", number, seconds) for number in range(8)], chunksize=1)
    runs = {state: len(store.runs(state=state, limit=1_000_000)) for state in ("succeeded", "active")}
    store.close()
    assert min(done) >= sum(done) / len(done) / 4, done
    assert runs["succeeded"] + runs["active"] == sum(done)
    assert runs["active"] <= 8


_barrier: Any = None


def _meet(barrier: Any) -> None:
    """Remember where all begin together."""
    global _barrier  # noqa: PLW0603 - a pool hands it to its processes in this way alone
    _barrier = barrier


def _live(path: Path, number: int, seconds: float) -> int:
    """Start runs and work, each in a commit of its own, as fast as it goes; answers how many runs were started."""
    store = SqliteStore(path)
    hand = Hand(store, f"w{number}", (1 << 50) + (number << 30))
    hand.offers = {CHAIN.id}
    _barrier.wait()
    started, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        hand.start(CHAIN)
        started += 1
        for attempt in hand.lease(2):
            assert hand.settle(attempt).word == "committed"
    while leased := hand.lease(50):
        hand.settle_all([(attempt, gives()) for attempt in leased])
    store.close()
    return started


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_p09_workers_commit_overlapping_runs_in_groups_without_a_deadlock(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Four processes take tasks of all runs as they come and settle them a batch at a time, in no order of runs.

    Each holds a batch before the first settles one, so that all are at it, however late their processes begin.
    """
    url = request.getfixturevalue("emptied") if kind == "postgres" else ""
    store = _open(tmp_path, url)
    hand = Hand(store)
    runs = [hand.start(WIDE) for _ in range(RUNS)]
    before = _deadlocks(url)
    with spawn.Pool(4, _meet, (spawn.Barrier(4),)) as pool:
        done = pool.starmap(_work, [(tmp_path, url, number) for number in range(4)], chunksize=1)
    assert sum(done) == RUNS * (2 + 2 * WIDTH)
    assert min(done) >= AT_ONCE
    assert {hand.run(run).state for run in runs} == {"succeeded"}
    assert all(hand.tasks(run).count("all succeeded") == 1 for run in runs)
    assert _deadlocks(url) == before
    store.close()


def _open(folder: Path, url: str) -> Store:
    return PostgresStore(url) if url else SqliteStore(folder / "x.db")


def _deadlocks(url: str) -> int:
    if not url:
        return 0
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    assert row is not None
    return int(row[0])


def _work(folder: Path, url: str, number: int) -> int:
    """Lease and settle batches until every run is over; answers how many tasks were settled here."""
    store = _open(folder, url)
    hand = Hand(store, f"w{number}")
    hand.offers = {WIDE.id}
    done, batch = 0, hand.lease(AT_ONCE, turn=number)
    _barrier.wait()
    while batch or any(not run.state.final for run in store.runs(limit=RUNS)):
        batch = batch[:: -1 if number % 2 else 1]
        outcomes = [(attempt, gives(list(range(WIDTH)) if attempt.node == "list" else [1])) for attempt in batch]
        verdicts = hand.settle_all(outcomes)
        assert all(verdict.word == "committed" for verdict in verdicts), verdicts
        done += len(batch)
        batch = hand.lease(AT_ONCE, turn=number)
    store.close()
    return done
