"""Compose: from an address and a configuration to an engine. The only room that knows the families."""

from __future__ import annotations

import importlib.util
import logging
import random
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from heliostat import codec, config
from heliostat.alive import gone
from heliostat.around import surroundings
from heliostat.batch import Systems
from heliostat.carrier import Carrier
from heliostat.clock import Clock, SystemClock
from heliostat.engine import Engine
from heliostat.environments import Environments
from heliostat.errors import BadInput
from heliostat.graph import Kind
from heliostat.jobs import Jobs
from heliostat.loading import module
from heliostat.parent import ChildrensParent
from heliostat.perform import Performer
from heliostat.registry import Registry
from heliostat.store import Command, Configure
from heliostat.vault import Vault, find
from heliostat.watch import Watch
from heliostat.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from celery import Celery

    from heliostat.batch import Batch, BatchQueue
    from heliostat.batches.cluster import ClusterBatch
    from heliostat.batches.dialect import Dialect
    from heliostat.batches.shared import JobFiles
    from heliostat.broker import Broker
    from heliostat.config import Config
    from heliostat.doctor import Patient
    from heliostat.executor import Executor, Work
    from heliostat.store import Store
    from heliostat.transport import Transport

LOG = logging.getLogger("heliostat.worker")
PATIENCE_SECONDS = 2.0  #: with which who only looks waits for a database
SLOTS = 8  #: threads of a worker, where nothing else is said


def open(
    database: str | Path | None = None,
    *,
    files: str | Path | None = None,
    slots: int = SLOTS,
    lease_seconds: float = 15.0,
    seed: int | None = None,
    actor: str = "python",
    broker: str | None = None,
    executor: str | None = None,
) -> Engine:
    """An engine on a database: as configured, or ``sqlite:///file.db``, ``postgresql://…``, ``memory://``.

    A ``Path`` is the file of an SQLite database.

    ``files`` is the directory for artifacts, logs and attempts, ``slots`` how many functions run at once in a
    worker, ``actor`` whom the journal names, ``broker`` the address of a RabbitMQ that is to wake Celery's workers
    (else as configured), ``executor`` whether a worker runs functions in its ``thread``s or each in a ``process`` of
    its own (else as configured). Raises BadInput for an address that is none, and OperatorError if the
    database cannot be used.
    """
    settings = config.read()
    if isinstance(database, Path):
        database = f"sqlite:///{database}"
    settings = replace(settings, database=database or settings.database, files=Path(files or settings.files))
    settings = settings if executor is None else settings.by(executor)
    bell = open_broker(settings.broker if broker is None else broker)
    store, clock = open_store(settings.database)
    store.woke = None if bell is None else bell.ring
    options = {"slots": slots, "lease_seconds": lease_seconds, "seed": seed, "actor": actor}
    return engine_on(store, clock, settings.files, broker=bell, settings=settings, **options)  # type: ignore[arg-type]


def engine_on(
    store: Store,
    clock: Clock,
    files: Path,
    *,
    slots: int = SLOTS,
    lease_seconds: float = 15.0,
    seed: int | None = None,
    actor: str = "python",
    broker: Broker | None = None,
    settings: Config | None = None,
) -> Engine:
    """An engine on a store, with the families of one machine: local jobs, a directory for files.

    ``settings`` say of its workers where they are, what runs functions, and which queues there are.
    """
    from heliostat.loops.fire import Fire
    from heliostat.loops.learn import Learn
    from heliostat.loops.promote import Promote
    from heliostat.loops.remind import Remind
    from heliostat.loops.rescue import Rescue
    from heliostat.loops.sweep import Sweep

    chance = random.Random(seed)  # noqa: S311 - jitter and ids, no secrets
    registry = Registry(store.graph)
    settings = settings or config.Config()
    vault = Vault(partial(find, directory=settings.secrets))
    around = surroundings(store, clock, files.absolute(), chance, registry.add, settings.known, vault)

    def new_worker(
        name: str = "",
        queues: Iterable[str] | None = None,
        slots: int = slots,
        lease_seconds: float = lease_seconds,
        site: str = settings.site,
        executor: str = settings.executor,
    ) -> Worker:
        _configure(store, settings, actor, clock.now())
        worker = Worker(
            store, registry, clock, chance, name=name, queues=queues, site=site, lease_seconds=lease_seconds
        )
        systems = _systems(settings)
        jobs = Jobs(systems, around)
        alone = _alone(executor, settings)
        perform = Performer(registry, around, jobs)
        parent = ChildrensParent(registry, around, module, Environments(settings.environments), perform.prepare)
        perform.carrier = Carrier(jobs, parent, around, settings.batched)
        worker.batched, worker.reached = frozenset(settings.batched), frozenset(systems.by_queue)
        worker.executor = _executor(worker, perform, slots, parent, alone)
        worker.watch = Watch(systems, jobs.veil, partial(_beside, worker))
        rescue = Rescue(store, lease_seconds, worker.offer, worker.adopt, gone)
        learn = Learn(store, lambda: registry.offers, lambda graph: registry.keep(graph, {}))
        fire = Fire(store, lambda: worker.lasting, around.ids.run)
        worker.loops = [Promote(store), rescue, Sweep(store), fire, learn]
        worker.loops += [] if broker is None else [Remind(store, broker, chance)]
        return worker

    return Engine(store, registry, around, new_worker, actor=actor, broker=broker)


def _configure(store: Store, settings: Config, actor: str, now: float) -> None:
    """Have the queues on the terms that are configured, before anything is taken from them."""
    commands = [Command(Configure(name, queue.terms), actor=actor) for name, queue in sorted(settings.queues.items())]
    for answer in store.accept(commands, now) if commands else ():
        if answer.note:
            LOG.info(answer.note)


def _executor(
    worker: Worker, perform: Performer, slots: int, parent: ChildrensParent, alone: Callable[[Work], bool]
) -> Executor:
    from heliostat.executors.process import ProcessExecutor

    executor = ProcessExecutor(perform, worker.clock, worker.bell, slots, worker.turn, parent=parent, alone=alone)
    executor.stuck = perform.stuck
    return executor


def _systems(settings: Config) -> Systems:
    """The batch systems of the queues."""
    from heliostat.batches.local import LocalBatch

    found: dict[str, Batch] = {}
    for names, cluster in _clusters(settings):
        found |= dict.fromkeys(names, cluster)
    return Systems(LocalBatch(), found, settings.containers)


def _clusters(settings: Config) -> list[tuple[list[str], ClusterBatch]]:
    """The clusters that are configured, each with its queues: one for all queues that share a scheduler."""
    shared: dict[tuple[str, str, str], dict[str, BatchQueue]] = {}
    for name, queue in settings.queues.items():
        if (batch := queue.batch) is not None and batch.system != "local":
            shared.setdefault((batch.system, batch.host, batch.directory), {})[name] = batch
    return [(list(queues), cluster(queues)) for queues in shared.values()]


def cluster(queues: Mapping[str, BatchQueue]) -> ClusterBatch:
    """The batch system of queues that share a scheduler."""
    from heliostat.batches.cluster import ClusterBatch

    name, queue = next(iter(queues.items()))
    transport = _transport(name, queue)
    return ClusterBatch(_dialect(queue.system), transport, _job_files(transport, queue), queues)


def _transport(name: str, queue: BatchQueue) -> Transport:
    if queue.host:
        from heliostat.transport import Address
        from heliostat.transports.ssh import SshTransport

        return SshTransport(Address.of(queue.host, f"queues.{name}.host"))
    from heliostat.transports.local import LocalTransport

    return LocalTransport()


def _job_files(transport: Transport, queue: BatchQueue) -> JobFiles:
    if queue.directory:
        from heliostat.batches.mirror import Mirror

        return Mirror(transport, queue.directory)
    from heliostat.batches.shared import Shared

    return Shared(transport)


def _dialect(system: str) -> Dialect:
    match system:
        case "slurm":
            from heliostat.batches.slurm import Slurm

            return Slurm()
        case "pbs":
            from heliostat.batches.pbs import Pbs

            return Pbs()
        case _:
            from heliostat.batches.torque import Torque

            return Torque()


def _beside(worker: Worker, look: Callable[[], None]) -> None:
    """Make a look in a thread of its own, so that a batch system that takes its time holds up nothing."""

    def make() -> None:
        look()
        worker.bell.set()

    try:
        threading.Thread(target=make, name="look", daemon=True).start()
    except RuntimeError:  # the system gives no more threads
        make()


def _alone(executor: str, settings: Config) -> Callable[[Work], bool]:
    """Which works are to have a process to themselves: functions whose queue says so, and those that need one."""
    everywhere = executor == "process"
    said = {name: queue.executor == "process" for name, queue in settings.queues.items() if queue.executor}

    def alone(work: Work) -> bool:
        node = work.node
        return (node.kind is Kind.function and not work.batched) and (
            bool(node.env or node.requires) or said.get(work.attempt.queue, everywhere)
        )

    return alone


def open_broker(address: str) -> Broker | None:
    """What wakes workers on other machines; None where nothing does, and they look for themselves."""
    if not address:
        return None
    scheme = address.partition("://")[0]
    if scheme not in ("amqp", "amqps", "pyamqp"):
        raise BadInput(f"broker {scheme!r}://… is none; write amqp://user:password@host/vhost, or amqps://…")
    try:
        _ = urlsplit(address).port
    except ValueError:  # its words would repeat a part of the password
        raise BadInput(
            "broker: the address cannot be read; write amqp://user:password@host:port/vhost, "
            "with %2F, %3F, %23 and %40 for /, ?, # and @ in the password"
        ) from None
    if importlib.util.find_spec("celery") is None:
        raise BadInput("a broker needs Heliostat's extra celery: pip install 'CHECKOUT[celery]'")
    from heliostat.brokers.celery import CeleryBroker

    return CeleryBroker(address)


def patient(settings: Config) -> Patient:
    """What ``doctor.examine`` looks at: what is configured, with little patience."""
    from heliostat.doctor import Patient
    from heliostat.stores.filesystem import file_system

    return Patient(
        settings,
        lambda: store_on(settings.database, patience=PATIENCE_SECONDS)[0],
        lambda: open_broker(settings.broker),
        file_system,
        {f"{cluster.system} of {', '.join(names)}": cluster.about for names, cluster in _clusters(settings)},
    )


def celery_app(address: str) -> Celery:
    """The Celery application that tickets travel with."""
    from heliostat.brokers.celery import application

    return application(address)


def open_store(database: str) -> tuple[Store, Clock]:
    """The store behind an address, and the clock that goes with it."""
    store, reading = store_on(database)
    return store, SystemClock(reading)


def store_on(database: str, **options: float) -> tuple[Store, Callable[[], float]]:
    """The store behind an address, which is not asked anything yet, and what tells its time.

    ``patience`` among the options is for how many seconds a busy or lost database is waited for.
    """
    scheme, colon, rest = codec.word(database, "database").partition("://")
    if scheme == "memory" and colon:
        from heliostat.stores.memory import MemoryStore

        return MemoryStore(), time.time
    if scheme == "sqlite" and colon:
        from heliostat.stores.sqlite import SqliteStore

        path = rest.removeprefix("/")
        if not path or not rest.startswith("/"):
            raise BadInput(f"{database!r}: write sqlite:///file.db, or sqlite:////absolute/file.db")
        return SqliteStore(path, **options), time.time
    if scheme in ("postgresql", "postgres") and colon:
        try:
            from heliostat.stores.postgres import PostgresStore
        except ImportError:
            raise BadInput("PostgreSQL needs Heliostat's extra postgres: pip install 'CHECKOUT[postgres]'") from None
        store = PostgresStore(database, **options)
        return store, store.time
    raise BadInput(f"{database!r} is no database; write sqlite:///file.db, postgresql://… or memory://")
