"""What is done to the broker. It is a bell and nothing more: none of this may change what comes out."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from amqp.exceptions import AMQPError, NotFound
from kombu.exceptions import OperationalError

from heliostat.brokers.celery import TICKET, application
from torture.flows import NARROW
from torture.grounds import CeleryGround
from torture.scene import Fault, Scene
from torture.worker import Manner

QUEUES = ("default", NARROW)
AWAY = (OSError, AMQPError, OperationalError)  #: what comes of a broker to which another fault has been


@contextmanager
def _alone(scene: Scene) -> Iterator[CeleryGround | None]:
    """The ground, for one fault at a time that takes its broker away; None while another one has."""
    ground = scene.ground
    assert isinstance(ground, CeleryGround)
    if not ground.care.acquire(blocking=False):
        yield None
        return
    try:
        yield ground
    finally:
        ground.care.release()


def stop(scene: Scene) -> int:
    """Stop the broker for some seconds, and start it again."""
    with _alone(scene) as ground:
        if ground is None:
            return 0
        ground.rabbit.stop()
        scene.over.wait(scene.chance.uniform(1.0, 4.0))
        ground.rabbit.start()
    return 1


def away(scene: Scene) -> int:
    """Stop the broker, and start it when all is quiet."""
    with _alone(scene) as ground:
        if ground is None:
            return 0
        ground.rabbit.stop()
        scene.mends.append(ground.rabbit.start)
        scene.over.wait()
    return 1


def kill(scene: Scene) -> int:
    """Kill the broker with whatever is on its way, and start it again."""
    with _alone(scene) as ground:
        if ground is None:
            return 0
        ground.rabbit.signal(signal.SIGKILL)
        ground.rabbit.stop()
        ground.rabbit.start()
    return 1


def freeze(scene: Scene) -> int:
    """Stop the broker's process for a while: connections stay, and nobody answers."""
    with _alone(scene) as ground:
        if ground is None:
            return 0
        ground.rabbit.signal(signal.SIGSTOP)
        scene.over.wait(scene.chance.uniform(1.0, 6.0))
        ground.rabbit.signal(signal.SIGCONT)
    return 1


def reset(scene: Scene) -> int:
    """Reset every connection to the broker."""
    assert isinstance(scene.ground, CeleryGround)
    return 1 if scene.ground.wire.reset() else 0


def purge(scene: Scene) -> int:
    """Purge the queues, and then remove them again and again for so long that every ticket's turn is over."""
    assert isinstance(scene.ground, CeleryGround)
    with suppress(*AWAY), application(scene.ground.direct).connection_for_write() as connection:
        for queue in QUEUES:
            with suppress(NotFound), contextlib.closing(connection.channel()) as channel:
                channel.queue_purge(queue)
        until = time.monotonic() + 2.0
        while time.monotonic() < until and not scene.over.wait(0.01):
            for queue in QUEUES:
                connection.default_channel.queue_delete(queue)
        return 1
    return 0


def repeat(scene: Scene) -> int:
    """Issue tickets that nobody asked for: they are repeated, and late."""
    assert isinstance(scene.ground, CeleryGround)
    app = application(scene.ground.direct)
    with suppress(*AWAY), app.connection_for_write() as connection:
        producer = app.amqp.Producer(connection)
        for _ in range(20):
            queue = scene.chance.choice(QUEUES)
            app.send_task(TICKET, (queue, scene.chance.randint(1, 8)), queue=queue, producer=producer, retry=False)
        return 1
    return 0


def mute(manner: Manner, chance: random.Random) -> Manner:
    """A worker of whose tickets none arrives."""
    return replace(manner, mute=True)


_WHERE = (CeleryGround.name,)

BELL_FAULTS: dict[str, Fault] = {
    "broker-stop": Fault("RabbitMQ is stopped for some seconds", stop, (0.5, 2.0), _WHERE),
    "broker-away": Fault("RabbitMQ is stopped until all is quiet", away, (0.5, 2.0), _WHERE),
    "broker-kill": Fault("kill -9 of RabbitMQ", kill, (1.0, 4.0), _WHERE),
    "broker-freeze": Fault("SIGSTOP of RabbitMQ, then SIGCONT", freeze, (0.5, 2.0), _WHERE),
    "broker-reset": Fault("connections to RabbitMQ are reset", reset, (0.3, 1.5), _WHERE),
    "broker-purge": Fault("tickets vanish, and their queues", purge, (0.5, 1.5), _WHERE),
    "broker-mute": Fault("no ticket of a worker's arrives", grounds=_WHERE, armed=mute),
    "broker-repeat": Fault("tickets that nobody asked for", repeat, (0.05, 0.3), _WHERE),
}
