"""Who is measured: by what name, on what, with which settings, and where its loads are smaller.

The page takes its words from here, so what is said about a peer's settings stands beside what sets them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Entry:
    """A peer on a store. ``needs`` are the servers beside its own process; ``packages`` are what is measured."""

    name: str
    title: str
    module: str
    packages: tuple[str, ...]
    settings: str
    needs: frozenset[str] = frozenset()
    sizes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    only: tuple[str, ...] = ()  # workloads; empty: all

    @property
    def ours(self) -> bool:
        """Whether it is Heliostat."""
        return self.name.startswith("heliostat")

    @property
    def rival(self) -> bool:
        """Whether it is a durable engine that Heliostat is held against."""
        return not self.ours and not self.only


RABBIT, REDIS, POSTGRES = "rabbitmq", "redis", "postgresql"

_HELIOSTAT = "One process that starts runs and works on them, eight threads. Ends when the last outcome is committed."
_CELERY = "`--pool threads --concurrency 8`, default prefetching; JSON."
_DBOS = "One process that starts workflows and runs them in its own pool of threads; pieces of the fan are awaited "
_DBOS += "together; enqueued by its client, a thousand in a transaction. Ends when the last result is answered."

_FEWER = {"enqueue": {"count": 20_000}}  # they take long enough for that

ENTRIES = {
    entry.name: entry
    for entry in (
        Entry(
            "heliostat/sqlite",
            "Heliostat, SQLite",
            "on_heliostat",
            ("heliostat",),
            f"{_HELIOSTAT} WAL, `synchronous=FULL`, which is how it opens a file.",
        ),
        Entry(
            "heliostat/postgresql",
            "Heliostat, PostgreSQL",
            "on_heliostat",
            ("heliostat", "psycopg"),
            _HELIOSTAT,
            frozenset({POSTGRES}),
        ),
        Entry(
            "heliostat/celery",
            "Heliostat, Celery + PostgreSQL",
            "on_heliostat_celery",
            ("heliostat", "celery", "psycopg"),
            "One Celery worker, `--pool threads --concurrency 8`. Ends when no run is open in the database any more.",
            frozenset({POSTGRES, RABBIT}),
        ),
        Entry(
            "celery",
            "Celery, RabbitMQ",
            "on_celery",
            ("celery", "kombu", "amqp"),
            f"{_CELERY} Quorum queues, persistent messages, publisher confirms, `acks_late`, results only where a "
            "chord needs them (Redis). Chains and a chord of its canvas; it has no batch enqueue.",
            frozenset({RABBIT, REDIS}),
            sizes=_FEWER,
        ),
        Entry(
            "dramatiq",
            "Dramatiq, RabbitMQ",
            "on_dramatiq",
            ("dramatiq", "pika"),
            "`--processes 1 --threads 8`. Its durable classic queues, persistent messages, `confirm_delivery`, "
            "acknowledged when done. Pipelines, and a group with a callback (barrier in Redis); no batch enqueue.",
            frozenset({RABBIT, REDIS}),
            sizes=_FEWER,
        ),
        Entry(
            "huey",
            "Huey, SQLite",
            "on_huey",
            ("huey",),
            "One consumer thread (more wait for each other's locks), polling every 1 to 10 ms, `fsync=True`, WAL. "
            "A task leaves the file when it is taken: it is lost if the consumer dies meanwhile. Pipelines, a chord.",
            sizes=_FEWER,
        ),
        Entry(
            "taskiq",
            "Taskiq, RabbitMQ",
            "on_taskiq",
            ("taskiq", "taskiq-aio-pika", "aio-pika"),
            "`--workers 1`, one event loop with up to 100 tasks. Quorum queue, persistent messages, publisher confirms "
            "(a hundred awaited together), acknowledged when done. It has neither chains nor joins: a step sends the "
            "next, and a counter in Redis sends the last.",
            frozenset({RABBIT, REDIS}),
            sizes=_FEWER,
        ),
        Entry(
            "procrastinate",
            "Procrastinate, PostgreSQL",
            "on_procrastinate",
            ("procrastinate", "psycopg"),
            "`--concurrency 8`, one event loop, notified and polling every 50 ms besides. It has neither chains nor "
            "joins: a step defers the next, and a counter in the same database defers the last. Deferred in batches of "
            "a thousand.",
            frozenset({POSTGRES}),
        ),
        Entry(
            "dbos/sqlite",
            "DBOS, SQLite",
            "on_dbos",
            ("dbos", "sqlalchemy"),
            f"{_DBOS} It leaves SQLite's rollback journal and `synchronous=FULL` as they are.",
            sizes={"enqueue": {"count": 10_000}},
        ),
        Entry(
            "dbos/postgresql",
            "DBOS, PostgreSQL",
            "on_dbos",
            ("dbos", "sqlalchemy", "psycopg"),
            _DBOS,
            frozenset({POSTGRES}),
            sizes={"enqueue": {"count": 10_000}},
        ),
        Entry(
            "prefect",
            "Prefect, SQLite",
            "on_prefect",
            ("prefect",),
            "A server of its own on SQLite (WAL; it sets `synchronous=NORMAL` and offers no other), flows in eight "
            "threads of the program that calls them. Tasks called in the flow, `map` for the fan, `delay` to enqueue. "
            "Ends when the last flow answers.",
            sizes={"runs": {"runs": 20}, "fan": {"width": 100}, "enqueue": {"count": 300}},
        ),
        Entry(
            "plain",
            "Plain calls",
            "on_plain",
            (),
            "The same functions called in a loop: nothing is kept, and no engine takes less.",
            only=("fib33", "fib10"),
        ),
    )
}
