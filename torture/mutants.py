"""Deliberate defects of the engine, put into workers only, to see whether the campaign catches them.

Each says under which fault it shows, on which grounds, and which rules of the checker are to catch it.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from heliostat.clock import SystemClock
from heliostat.graph import Arity
from heliostat.loops.promote import Promote
from heliostat.loops.remind import Remind
from heliostat.loops.rescue import Rescue
from heliostat.outcome import COMMITTED
from heliostat.store import Batch
from heliostat.stores import ledger
from heliostat.stores.commit import Commit
from heliostat.stores.ledger import Ledger
from heliostat.stores.postgresrows import PostgresRows
from heliostat.stores.sqlrows import SqlRows
from heliostat.stores.statements import Statements

BOTH = ("sqlite", "postgresql")


@dataclass(frozen=True, slots=True)
class Mutant:
    """``apply`` changes this process. ``caught``: rules of the checker, of which one is to find it.

    ``open_runs``: fewer than there are slots, where nothing may wait that has not begun.
    """

    about: str
    apply: Callable[[], None]
    fault: str
    caught: tuple[str, ...]
    grounds: tuple[str, ...] = BOTH
    flows: tuple[str, ...] = ()
    open_runs: int = 24


def _spelled(changes: dict[str, list[tuple[str, str]]]) -> None:
    """Have some statements say something else; a text that is not there any more is an error."""
    source = Statements.source

    def other(self: Statements, name: str) -> str:
        text = source(self, name)
        if name in changes:
            found = [(old, new) for old, new in changes[name] if old in text]
            if not found:
                raise LookupError(f"the mutant does not fit {name} any more: {text}")
            for old, new in found:
                text = text.replace(old, new)
        return text

    Statements.source = other  # type: ignore[method-assign]


def no_fence() -> None:
    """Settling asks neither for the attempt nor for the worker."""
    sqlite = " AND state = 'running' AND attempt = :attempt AND worker = :worker"
    postgres = "AND CASE WHEN t.state = 'running' THEN t.attempt = r.attempt AND t.worker = r.worker ELSE false END"
    unfenced = [(sqlite, ""), (postgres, "")]
    own = [("settled = attempt", "settled = :attempt"), ("settled = t.attempt", "settled = r.attempt")]
    _spelled({"task_settle": unfenced, "task_succeed": unfenced + own})
    beat = [("WHERE workers.state <> 'lost'", "WHERE true")]
    _spelled({"worker_beat": beat})


def no_rescue() -> None:
    """Nobody looks for lost workers."""
    Rescue.tick = lambda self, now: now + 1.0  # type: ignore[method-assign]


def no_heartbeats() -> None:
    """Only a process that is gone is lost; a heartbeat that stands still is nothing to anybody."""
    tick = Rescue.tick

    def blind(self: Rescue, now: float) -> float:
        self._lease = 1e9
        tick(self, now)
        return now + 0.2

    Rescue.tick = blind  # type: ignore[method-assign]


def no_promotion() -> None:
    """What waits for a time waits for ever."""
    Promote.tick = lambda self, now: now + 1.0  # type: ignore[method-assign]


def unlocked_runs() -> None:
    """Runs are read before anything is locked, and written back."""
    _spelled({"run_lock": [("FOR NO KEY UPDATE", ""), ("FOR UPDATE", "")]})


def settles_after_the_end() -> None:
    """A settle does not look whether the run is over."""

    def settle(self: Ledger, worker: str, outcomes: Any, now: float, ask: Any, also: frozenset[int]) -> Any:
        with self.transaction() as rows:
            if ask is not None:
                rows.lane_soon(ask.offers)
            if outcomes:
                commit = Commit(rows, self.known, now, worker)
                commit.lock(ledger._runs_of(outcomes) | also)
                self._carry_out(commit, worker, outcomes)
            leased = self._lease(rows, ask, now)
        return Batch((COMMITTED,) * len(outcomes), leased)

    Ledger._settle = settle  # type: ignore[method-assign]


def two_transactions() -> None:
    """A result is committed before what follows from it; now and then the process dies in between."""
    settle = SqlRows.task_settle

    def torn(self: Any, successes: Any, others: Any) -> None:
        settle(self, successes, others)
        execute = self._connection.execute if isinstance(self, PostgresRows) else self._execute
        execute("COMMIT")
        if isinstance(self, PostgresRows):
            self._wait()
        if random.random() < 0.02:
            os.kill(os.getpid(), signal.SIGKILL)
        execute("BEGIN" if isinstance(self, PostgresRows) else "BEGIN IMMEDIATE")

    SqlRows.task_settle = torn  # type: ignore[method-assign]


def repeats_the_unknown() -> None:
    """A COMMIT whose answer was lost is taken for one that did not happen."""
    from heliostat.stores.postgres import PostgresStore

    PostgresStore._committed = lambda self, mine, lost: False  # type: ignore[method-assign]


def two_heads() -> None:
    """The next of a serial key is readied though one is held."""
    others = (
        "WHERE NOT EXISTS (SELECT 1 FROM tasks o WHERE o.run_id = k.run AND o.serial_key = k.key AND o.holds LIMIT 1 "
    )
    others += "OFFSET 0)"
    held = [
        (" AND NOT EXISTS (SELECT 1 FROM tasks WHERE run_id = :run AND serial_key = :key AND holds)", ""),
        (others, ""),
        ("holds = 1", "holds = 0"),
        ("holds = true", "holds = false"),
    ]
    _spelled({"task_turn": held})


def counts_before_it_locks() -> None:
    """What runs in a limited lane is what ran there when the lease before this one looked."""
    counted = SqlRows.lane_running
    before: dict[str, Any] = {}

    def stale(self: Any, queues: Any, lanes: Any) -> Any:
        now = counted(self, queues, lanes)
        then = before.get("counts", now)
        before["counts"] = now
        return then

    SqlRows.lane_running = stale  # type: ignore[method-assign]
    if "lane_running" in vars(PostgresRows):
        PostgresRows.lane_running = stale  # type: ignore[method-assign]


def forgets_keys() -> None:
    """An idempotency key that came before is not looked for, and not written either."""
    create = Commit.create

    def keyless(self: Commit, run: Any, change: Any, cause: Any, leader: Any = None) -> int:
        if change.node.arity is Arity.handler:
            change.idempotency_key = None
        return create(self, run, change, cause, leader)

    Commit.create = keyless  # type: ignore[method-assign]


def joins_count_once() -> None:
    """Of members that arrive in one commit, a join counts one."""

    def joined(self: Commit, run: int, number: int) -> None:
        self.joins[run, number] = 1

    Commit.joined = joined  # type: ignore[method-assign]


def no_reminder() -> None:
    """A ticket that was lost is not issued anew; the broker is looked after as ever."""

    def look(self: Remind, now: float) -> float:
        self._broker.remind(())
        return now + self._interval

    Remind.tick = look  # type: ignore[method-assign]


def no_polling() -> None:
    """Nobody looks into the database without a ticket, whatever becomes of the broker."""
    from heliostat.celery import Carrier

    Carrier.deaf = False  # type: ignore[assignment,method-assign]


def deaf_after_reconnecting() -> None:
    """Celery connects anew, and consumes nothing."""
    from celery.worker.consumer.tasks import Tasks

    start = Tasks.start

    def once(self: Any, consumer: Any) -> None:
        start(self, consumer)
        if consumer.restart_count > 0:  # it begins with -1
            consumer.task_consumer.consume = lambda *given, **named: None

    Tasks.start = once


def trusted_tickets() -> None:
    """Some tickets are taken for the task: who gets one begins what is begun already, and settles without a lease."""
    from heliostat.celery import Carrier

    no_fence()
    carry = Carrier.carry

    def trusting(self: Carrier, queue: str, n: int) -> str:
        if random.random() < 0.05:
            with psycopg.connect(os.environ["HELIOSTAT_DATABASE"], application_name="torture") as connection:
                connection.execute(
                    "UPDATE tasks SET state = 'ready', worker = NULL FROM lanes "
                    "WHERE lanes.id = tasks.lane_id AND lanes.queue = %s AND tasks.state = 'running'",
                    (queue,),
                )
        return carry(self, queue, n)

    Carrier.carry = trusting  # type: ignore[method-assign]


def follows_the_wall_clock() -> None:
    """Ask it each time."""

    def says(self: SystemClock) -> float:
        return time.time()

    SystemClock.now = says  # type: ignore[method-assign]


CELERY = ("celery",)

MUTANTS: dict[str, Mutant] = {
    "no-fence": Mutant(
        "settling asks for no attempt and no worker",
        no_fence,
        "freeze",
        ("fence", "backwards", "repeated"),
        BOTH,
        ("slow",),
    ),
    "no-rescue": Mutant("nobody looks for lost workers", no_rescue, "kill", ("stuck",)),
    "no-heartbeats": Mutant("heartbeats are never checked", no_heartbeats, "freeze", ("stuck",)),
    "no-promotion": Mutant("nothing that waits is promoted", no_promotion, "none", ("stuck",)),
    "unlocked-runs": Mutant(
        "a join's run is read before it is locked", unlocked_runs, "none", ("stuck", "left", "join"), BOTH[1:]
    ),
    "after-the-end": Mutant(
        "settling does not look at the run's end", settles_after_the_end, "none", ("backwards", "fence")
    ),
    "two-transactions": Mutant(
        "arrivals are lost where the process dies after the result", two_transactions, "kill", ("stuck", "lost")
    ),
    "repeats-the-unknown": Mutant(
        "an unknown COMMIT is taken for none", repeats_the_unknown, "unanswered", ("stuck", "repeated"), BOTH[1:]
    ),
    "two-heads": Mutant("the head of a serial key is readied twice", two_heads, "none", ("serial", "result", "stuck")),
    "stale-count": Mutant("a limit is counted before the lock", counts_before_it_locks, "none", ("limit",)),
    "no-keys": Mutant("idempotency keys are not looked at", forgets_keys, "none", ("repeated",)),
    "one-arrival": Mutant("a join counts one of the members of a commit", joins_count_once, "none", ("stuck", "join")),
    "wall-clock": Mutant(
        "time is what the wall clock says", follows_the_wall_clock, "clock", ("early",), BOTH, ("dropped",)
    ),
    "no-reminder": Mutant(
        "a ticket that was lost is not issued anew", no_reminder, "broker-mute", ("stuck",), CELERY, ("slow",), 8
    ),
    "no-polling": Mutant("nobody looks without a ticket", no_polling, "broker-away", ("stuck",), CELERY),
    "deaf": Mutant("whoever reconnects consumes nothing", deaf_after_reconnecting, "broker-reset", ("stuck",), CELERY),
    "trusted-tickets": Mutant(
        "a ticket is taken for the task, and settled without a lease",
        trusted_tickets,
        "broker-repeat",
        ("repeated", "fence", "backwards"),
        CELERY,
    ),
}
