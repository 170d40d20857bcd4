"""Dramatiq on RabbitMQ: pipelines, and groups with a callback; Redis keeps the barrier of a group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dramatiq
from dramatiq import group, pipeline
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend

from benchmarks.peers.peer import SLOTS, Peer, process
from benchmarks.peers.place import Place
from benchmarks.peers.work import JOBS, Job, note

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

place = Place.given()
broker = RabbitmqBroker(url=place.broker, confirm_delivery=True)
broker.add_middleware(GroupCallbacks(RedisBackend(url=place.redis)))
dramatiq.set_broker(broker)

ACTORS = {name: dramatiq.actor(function, actor_name=name) for name, function in JOBS.items()}


@dramatiq.actor
def total() -> None:
    """Join."""
    note()


@dramatiq.actor
def split(width: int) -> None:
    """Fan out."""
    note()
    pieces = group(ACTORS["step"].message(item) for item in range(width))
    pieces.add_completion_callback(total.message())
    pieces.run()


class OnDramatiq(Peer):
    """One process with threads."""

    def working(self) -> AbstractContextManager[None]:
        return process("dramatiq", __name__, "--processes", "1", "--threads", str(SLOTS))

    def sequences(self, job: Job, *, runs: int, length: int, value: int) -> None:
        actor = ACTORS[job]
        for _ in range(runs):
            pipeline([actor.message(value), *(actor.message() for _ in range(length - 1))]).run()

    def fan(self, width: int) -> None:
        split.send(width)

    def enqueue(self, count: int) -> None:
        for item in range(count):
            ACTORS["step"].send(item)


PEER = OnDramatiq
