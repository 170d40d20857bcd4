"""DBOS, in the process that starts the workflows; steps that run at once are awaited together, as its manual says."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions

from benchmarks.peers.peer import SLOTS, Peer
from benchmarks.peers.place import Place
from benchmarks.peers.work import JOBS, Job, note

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_ONCE = 1000  #: workflows enqueued in one transaction
QUEUE = "peers"

place = Place.given()
database = place.database or f"sqlite:///{Path(place.folder, 'dbos.db')}"
DBOS(config=DBOSConfig(name="peers", system_database_url=database, log_level="WARNING"))


@DBOS.step()
def step(job: Job, value: int) -> int:
    """Be one of a sequence."""
    return JOBS[job](value)


@DBOS.workflow()
def sequence(job: Job, length: int, value: int) -> int:
    """One step after the other."""
    for _ in range(length):
        value = step(job, value)
    return value


@DBOS.step()
async def piece(item: int) -> int:
    """Be one of many."""
    return JOBS["step"](item)


@DBOS.step()
async def mark() -> None:
    """Fan out, and join."""
    note()


@DBOS.workflow()
async def fan(width: int) -> int:
    """One step, many at once, one step."""
    await mark()
    found = await asyncio.gather(*(piece(item) for item in range(width)))
    await mark()
    return len(found)


class OnDbos(Peer):
    """One process with its pool of threads."""

    @contextmanager
    def working(self) -> Iterator[None]:
        DBOS.launch()
        try:
            yield
        finally:
            DBOS.destroy()

    @contextmanager
    def accepting(self) -> Iterator[None]:
        DBOS.migrate(database)
        self._client = DBOSClient(system_database_url=database)
        self._client.register_queue(QUEUE, worker_concurrency=SLOTS)
        yield
        self._client.destroy()

    def sequences(self, job: Job, *, runs: int, length: int, value: int) -> None:
        handles = [DBOS.start_workflow(sequence, job, length, value) for _ in range(runs)]
        for handle in handles:
            handle.get_result()

    def fan(self, width: int) -> None:
        async def run() -> None:
            handle = await DBOS.start_workflow_async(fan, width)
            await handle.get_result()

        asyncio.run(run())

    def enqueue(self, count: int) -> None:
        engine = sa.create_engine(database)
        options: EnqueueOptions = {"workflow_name": sequence.__qualname__, "queue_name": QUEUE}
        for first in range(0, count, AT_ONCE):
            with engine.begin() as connection:
                for item in range(first, min(first + AT_ONCE, count)):
                    self._client.enqueue_in_transaction(connection, options, "step", 1, item)
        engine.dispose()


PEER = OnDbos
