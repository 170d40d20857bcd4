"""Celery on RabbitMQ: chains and chords of its canvas; Redis counts the pieces of a chord."""

from __future__ import annotations

from typing import TYPE_CHECKING

from celery import Celery, chain, chord, group

from benchmarks.peers.peer import SLOTS, Peer, process
from benchmarks.peers.place import Place
from benchmarks.peers.work import JOBS, Job, note, step

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

place = Place.given()
app = Celery("peers", broker=place.broker, backend=place.redis)
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"confirm_publish": True},
    task_default_queue_type="quorum",
    worker_detect_quorum_queues=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
)

TASKS = {name: app.task(function, name=name) for name, function in JOBS.items()}


@app.task(ignore_result=False)
def piece(item: int) -> int:
    """Be one of many, whose result the chord waits for."""
    return step(item)


@app.task
def total(items: list[int]) -> None:
    """Join."""
    assert items
    note()


@app.task
def split(width: int) -> None:
    """Fan out."""
    note()
    chord(group(piece.s(item) for item in range(width)), total.s()).delay()


class OnCelery(Peer):
    """One worker; prefetching and threads as its manual says for short tasks."""

    def working(self) -> AbstractContextManager[None]:
        options = ["--pool", "threads", "--concurrency", str(SLOTS), "--loglevel", "WARNING"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        return process("celery", "-A", __name__, "worker", *options, *quiet)

    def sequences(self, job: Job, *, runs: int, length: int, value: int) -> None:
        task = TASKS[job]
        with app.producer_pool.acquire(block=True) as producer:
            for _ in range(runs):
                chain(task.s(value), *(task.s() for _ in range(length - 1))).apply_async(producer=producer)

    def fan(self, width: int) -> None:
        split.delay(width)

    def enqueue(self, count: int) -> None:
        with app.producer_pool.acquire(block=True) as producer:
            for item in range(count):
                TASKS["step"].apply_async((item,), producer=producer)


PEER = OnCelery
