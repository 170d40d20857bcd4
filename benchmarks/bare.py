"""The bare loop: the least that any durable queue does on these databases, as fast as it goes there.

The engine is held to it, so this file and its loads are frozen: a ratio says something only while its yardstick stays.

Per task one insert and two fenced updates, per commit and run one update of the run's row, batches of 100, every
commit on the disk. Settling and the next lease share a commit: half the commits, and more tasks in a second.
SQLite takes rows one by one; JSON and long VALUES were no faster. PostgreSQL takes them as arrays in one
pipeline (one by one: 0.75 of the rate), and by COPY where a commit gives birth to many (10,000: in half the time).
Settings keep it to its indexes, since a table that grows from nothing has no statistics: else it reads the whole
table at each commit (0.5 of the rate). The lease's subquery is materialized, since a plan that runs it once per row
leases more than was asked for.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Leased: TypeAlias = tuple[int, int, int, str]  # run, number, attempt, message
    Follow: TypeAlias = Callable[[int, int, "Changes"], None]

BATCH = 100
LANE = 3_977_777_777_777_777_777
WORKER = "w-0123456789"


class Born(NamedTuple):
    """A task to insert, its columns in the order of the statements below."""

    run: int
    number: int
    message: str
    created_at: float
    state: str = "ready"
    missing: int = 0
    lane: int = LANE
    priority: int = 0


@dataclass(slots=True)
class Changes:
    """What one commit writes, besides leasing the next batch."""

    now: float
    done: list[tuple[str, float, int, int, int, str]] = field(default_factory=list)  # result, at, and the fence
    born: list[Born] = field(default_factory=list)
    arrived: dict[tuple[int, int], int] = field(default_factory=dict)  # run and number: by how many
    opened: dict[int, int] = field(default_factory=dict)  # run: by how many


class LostError(Exception):
    """A task of the batch is not ours any more; in earnest, the others would now be settled one by one."""


class SqliteQueue:
    """WAL and synchronous=FULL; a row's number in the table is its place in the order of acceptance."""

    def __init__(self, path: str) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript("""
            pragma journal_mode=wal; pragma synchronous=full;
            create table run (id integer primary key, open integer not null, state text not null);
            create table task (
                seq integer primary key, run integer not null, number integer not null, lane integer not null,
                priority integer not null, state text not null, missing integer not null,
                attempt integer not null default 0, worker text, message text, result text,
                created_at real, started_at real, ended_at real, unique (run, number));
            create index task_ready on task (lane, priority desc, seq) where state = 'ready';""")

    def load(self, runs: Iterable[tuple[int, int]], tasks: Iterable[Born]) -> None:
        """Insert runs (id, tasks open) and tasks."""
        self.db.execute("begin immediate")
        self.db.executemany("insert into run values (?, ?, 'active')", runs)
        self._insert(tasks)
        self.db.execute("commit")

    def lease(self, n: int) -> list[Leased]:
        """Take the best n ready tasks."""
        self.db.execute("begin immediate")
        leased = self._lease(n)
        self.db.execute("commit")
        return leased

    def settle(self, changes: Changes, n: int) -> list[Leased]:
        """Write what a batch came to and take the best n ready tasks, in one commit."""
        db = self.db
        db.execute("begin immediate")
        settled = db.executemany(
            "update task set state = 'succeeded', result = ?, ended_at = ?"
            " where run = ? and number = ? and state = 'running' and attempt = ? and worker = ?",
            changes.done,
        )
        if settled.rowcount != len(changes.done):
            db.execute("rollback")
            raise LostError
        self._insert(changes.born)
        db.executemany(
            "update task set missing = missing - ?3, state = iif(missing = ?3, 'ready', state)"
            " where run = ?1 and number = ?2 and state = 'pending'",
            [(*task, by) for task, by in changes.arrived.items()],
        )
        db.executemany(
            "update run set open = open + ?2, state = iif(open + ?2 = 0, 'succeeded', state) where id = ?1",
            changes.opened.items(),
        )
        leased = self._lease(n)
        db.execute("commit")
        return leased

    def _insert(self, tasks: Iterable[Born]) -> None:
        self.db.executemany(
            "insert into task (run, number, message, created_at, state, missing, lane, priority)"
            " values (?, ?, ?, ?, ?, ?, ?, ?)",
            tasks,
        )

    def _lease(self, n: int) -> list[Leased]:
        return self.db.execute(
            "update task set state = 'running', attempt = attempt + 1, worker = ?, started_at = ?"
            " where seq in (select seq from task where state = 'ready' and lane = ?"
            " order by priority desc, seq limit ?) returning run, number, attempt, message",
            (WORKER, time.time(), LANE, n),
        ).fetchall()


class PostgresQueue:
    """fsync and synchronous_commit on; every statement prepared."""

    SETTINGS = "enable_seqscan=off enable_hashjoin=off enable_mergejoin=off jit=off plan_cache_mode=force_generic_plan"

    def __init__(self, url: str) -> None:
        options = " ".join(f"-c {setting}" for setting in self.SETTINGS.split())
        self.db = psycopg.connect(url, autocommit=True, prepare_threshold=0, options=options)
        self.db.execute(
            """
            create table run (id bigint primary key, open integer not null, state text not null);
            create table task (
                seq bigint generated always as identity, run bigint not null, number integer not null,
                lane bigint not null, priority integer not null, state text not null, missing integer not null,
                attempt integer not null default 0, worker text, message text, result text,
                created_at float8, started_at float8, ended_at float8, primary key (run, number));
            create index task_ready on task (lane, priority desc, seq) where state = 'ready';""",
            prepare=False,
        )

    def load(self, runs: Iterable[tuple[int, int]], tasks: Iterable[Born]) -> None:
        """Insert runs (id, tasks open) and tasks."""
        with self.db.transaction():
            self.db.cursor().executemany("insert into run values (%s, %s, 'active')", runs)
            self._copy(tasks)

    def lease(self, n: int) -> list[Leased]:
        """Take the best n ready tasks."""
        return self._lease(n).fetchall()

    def settle(self, changes: Changes, n: int) -> list[Leased]:
        """Write what a batch came to and take the best n ready tasks, in one commit."""
        db, many = self.db, len(changes.born) > BATCH
        if many:
            db.execute("begin")
            self._copy(changes.born)
        with db.pipeline() as pipeline:
            if not many:
                db.execute("begin")
            settled = db.execute(
                "update task set state = 'succeeded', result = done.result, ended_at = at"
                " from unnest(%s::text[], %s::float8[], %s::bigint[], %s::int[], %s::int[], %s::text[])"
                " as done (result, at, run, number, attempt, worker)"
                " where task.run = done.run and task.number = done.number and state = 'running'"
                " and task.attempt = done.attempt and task.worker = done.worker",
                _columns(changes.done),
            )
            if changes.born and not many:
                db.execute(
                    "insert into task (run, number, message, created_at, state, missing, lane, priority)"
                    " select * from unnest(%s::bigint[], %s::int[], %s::text[], %s::float8[], %s::text[],"
                    " %s::int[], %s::bigint[], %s::int[])",
                    _columns(changes.born),
                )
            if changes.arrived:
                db.execute(
                    "update task set missing = missing - by,"
                    " state = case when missing = by then 'ready' else state end"
                    " from unnest(%s::bigint[], %s::int[], %s::int[]) as arrived (run, number, by)"
                    " where task.run = arrived.run and task.number = arrived.number and state = 'pending'",
                    _columns((*task, by) for task, by in changes.arrived.items()),
                )
            db.execute(
                "update run set open = open + by, state = case when open + by = 0 then 'succeeded' else state end"
                " from unnest(%s::bigint[], %s::int[]) as opened (run, by) where id = run",
                _columns(changes.opened.items()),
            )
            leased = self._lease(n)
            pipeline.sync()
            if settled.rowcount != len(changes.done):
                db.execute("rollback")
                raise LostError
            db.execute("commit")
        return leased.fetchall()

    def _copy(self, tasks: Iterable[Born]) -> None:
        with self.db.cursor().copy(
            "copy task (run, number, message, created_at, state, missing, lane, priority) from stdin"
        ) as copy:
            for task in tasks:
                copy.write_row(task)

    def _lease(self, n: int) -> psycopg.Cursor[Leased]:
        return self.db.cursor().execute(
            "with best as materialized (select run, number from task where state = 'ready' and lane = %s"
            " order by priority desc, seq limit %s for update skip locked)"
            " update task set state = 'running', attempt = attempt + 1, worker = %s, started_at = %s from best"
            " where task.run = best.run and task.number = best.number"
            " returning task.run, task.number, attempt, message",
            (LANE, n, WORKER, time.time()),
        )


def _columns(rows: Iterable[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


Queue: TypeAlias = SqliteQueue | PostgresQueue


def work(queue: Queue, follow: Follow, *, tasks: int, batch: int = BATCH) -> dict[str, float]:
    """Work off so many tasks; answers the seconds, and the median gap between a batch's end and the next's start."""
    gaps, taken, begun_at = [], 0, time.perf_counter()
    leased = queue.lease(batch)
    while leased and taken < tasks:
        ended_at, changes = time.perf_counter(), Changes(time.time())
        for run, number, attempt, message in leased:
            changes.done.append((message, changes.now, run, number, attempt, WORKER))
            changes.opened[run] = changes.opened.get(run, 0) - 1
            follow(run, number, changes)
        taken += len(leased)
        leased = queue.settle(changes, batch)
        gaps.append(time.perf_counter() - ended_at)
    seconds = time.perf_counter() - begun_at
    assert taken == tasks, f"{taken} tasks were there, not {tasks}"
    return {"tasks": tasks, "seconds": seconds, "gap": statistics.median(gaps)}
