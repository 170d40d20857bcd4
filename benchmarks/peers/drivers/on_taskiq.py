"""Taskiq on RabbitMQ. It has neither chains nor joins of its own: a step sends the next, Redis counts down."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from redis.asyncio import Redis
from taskiq_aio_pika import AioPikaBroker
from taskiq_aio_pika.queue import Queue

from benchmarks.peers.peer import Peer, process
from benchmarks.peers.place import Place
from benchmarks.peers.work import JOBS, Job, note

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextlib import AbstractContextManager

AT_ONCE = 100  #: sent together, confirmed together; also how much its worker runs at once, unless told otherwise

place = Place.given()
broker = AioPikaBroker(place.broker, qos=AT_ONCE, task_queues=[Queue()])
redis = Redis.from_url(place.redis)


@broker.task
async def step(job: Job, value: int, left: int) -> None:
    """Be one of a sequence."""
    value = JOBS[job](value)
    if left:
        await step.kiq(job, value, left - 1)


@broker.task
async def split(width: int) -> None:
    """Fan out."""
    note()
    await redis.set("left", width)
    await _together([piece.kiq(item) for item in range(width)])


@broker.task
async def piece(item: int) -> None:
    """Be one of many."""
    JOBS["step"](item)
    if await redis.decr("left") == 0:
        await total.kiq()


@broker.task
async def total() -> None:
    """Join."""
    note()


async def _together(sendings: list[Coroutine[object, object, object]]) -> None:
    for first in range(0, len(sendings), AT_ONCE):
        await asyncio.gather(*sendings[first : first + AT_ONCE])


class OnTaskiq(Peer):
    """One worker process, which is one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._open = False

    def working(self) -> AbstractContextManager[None]:
        return process("taskiq", "worker", f"{__name__}:broker", "--workers", "1", "--log-level", "WARNING")

    def sequences(self, job: Job, *, runs: int, length: int, value: int) -> None:
        self._send(lambda: [step.kiq(job, value, length - 1) for _ in range(runs)])

    def fan(self, width: int) -> None:
        self._send(lambda: [split.kiq(width)])

    def enqueue(self, count: int) -> None:
        self._send(lambda: [step.kiq("step", item, 0) for item in range(count)])

    def _send(self, sendings) -> None:
        async def send() -> None:
            if not self._open:
                await broker.startup()
                self._open = True
            await _together(sendings())

        self._loop.run_until_complete(send())


PEER = OnTaskiq
