"""Procrastinate on PostgreSQL. It has neither chains nor joins: a step defers the next, a row counts down."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import procrastinate

from benchmarks.peers.peer import SLOTS, Peer, process
from benchmarks.peers.place import Place
from benchmarks.peers.work import JOBS, Job, note

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

AT_ONCE = 1000  #: jobs deferred by one statement

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=Place.given().database))


@app.task
async def step(job: Job, value: int, left: int) -> None:
    """Be one of a sequence."""
    value = JOBS[job](value)
    if left:
        await step.defer_async(job=job, value=value, left=left - 1)


@app.task
async def split(width: int) -> None:
    """Fan out."""
    note()
    await app.connector.execute_query_async("create table countdown (pieces int)")
    await app.connector.execute_query_async("insert into countdown values (%(width)s)", width=width)
    await piece.batch_defer_async(*({"item": item} for item in range(width)))


@app.task
async def piece(item: int) -> None:
    """Be one of many."""
    JOBS["step"](item)
    row = await app.connector.execute_query_one_async("update countdown set pieces = pieces - 1 returning pieces")
    if row["pieces"] == 0:
        await total.defer_async()


@app.task
async def total() -> None:
    """Join."""
    note()


class OnProcrastinate(Peer):
    """One worker process, which is one event loop."""

    def __init__(self) -> None:
        self._run(app.schema_manager.apply_schema_async)

    def working(self) -> AbstractContextManager[None]:
        poll = ["--fetch-job-polling-interval", "0.05"]  # a notification may come too early for a busy worker
        return process("procrastinate", "--app", f"{__name__}.app", "worker", "--concurrency", str(SLOTS), *poll)

    def sequences(self, job: Job, *, runs: int, length: int, value: int) -> None:
        self._run(lambda: step.batch_defer_async(*({"job": job, "value": value, "left": length - 1},) * runs))

    def fan(self, width: int) -> None:
        self._run(lambda: split.defer_async(width=width))

    def enqueue(self, count: int) -> None:
        async def defer() -> None:
            for first in range(0, count, AT_ONCE):
                items = range(first, min(first + AT_ONCE, count))
                await step.batch_defer_async(*({"job": "step", "value": item, "left": 0} for item in items))

        self._run(defer)

    def _run(self, call: Callable[[], Awaitable[object]]) -> None:
        async def run() -> None:
            async with app.open_async():
                await call()

        asyncio.run(run())


PEER = OnProcrastinate
