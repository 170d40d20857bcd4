"""Workers under Celery: ``celery -A heliostat.celery worker``, with Celery's own options.

A Celery message is a ticket, "up to n tasks of this queue may be ready". Each process of Celery's pool has one worker
of Heliostat, which takes tasks only while a ticket is here, or while no ticket can come. So Celery's concurrency,
time limits, events and remote control hold for what runs, and nothing depends on a message.
"""

from __future__ import annotations

import logging
import mmap
import os
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from billiard.exceptions import SoftTimeLimitExceeded
from celery import signals
from celery.worker import consumer

from heliostat import compose, config, loading
from heliostat.errors import HeliostatError, StoreUnavailable
from heliostat.graph import NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heliostat.broker import Broker
    from heliostat.store import Ask
    from heliostat.task import Attempt
    from heliostat.worker import Worker
    from heliostat.workflow import Workflow

LOG = logging.getLogger("heliostat.celery")

SPREAD_SECONDS = 0.05  #: a ticket for several tasks that is still busy then calls others for the rest
TURN_SECONDS = 1.0  #: a ticket takes what is ready for so long, then finishes it and makes room for the next
LOOKS = 2  #: after so many that found nothing in its queue, a ticket's turn is over, whatever else runs here
OPEN_SECONDS = 30.0  #: a ticket waits so long for a process that cannot reach the database
LOOK_SECONDS = 3.0  #: between two looks whether anybody consumes
SILENT_SECONDS = 30.0  #: without a ticket, after which a worker consumes anew
AGAIN_SECONDS = 1.0  #: between two tries to open the database
GRACE_SECONDS = 30.0  #: what runs without a ticket may go on for so long when its process is to end
WRITTEN_OFF = 0x9B  #: the exit code with which a process of a pool asks to be replaced


class _Ticket:
    """Somebody in this process who has been asked to work on a queue."""

    def __init__(self, queue: str) -> None:
        self.queue, self.open, self.more = queue, True, False
        self.over = threading.Event()
        self._looks, self._drew = 0, False

    def looked(self, *, drew: bool) -> None:
        """The worker has looked for work with a slot free, and has taken some of this queue or none."""
        self._looks, self._drew = self._looks + 1, self._drew or drew

    @property
    def barren(self) -> bool:
        """Whether its queue has nothing: of two looks, one begins with it."""
        return self._looks >= LOOKS and not self._drew


class Carrier:
    """The worker of one process, in a thread of its own, and the tickets that have it work."""

    def __init__(
        self, address: str, flows: list[Workflow], queues: frozenset[str], slots: int, heard: Callable[[], bool]
    ) -> None:
        self._address, self._flows, self._queues, self._slots = address, flows, queues, slots
        self._heard = heard
        self._tickets: list[_Ticket] = []
        self._opened, self._ending = threading.Event(), threading.Event()
        self._polling, self._why = False, ""
        self._worker: Worker | None = None
        self._broker: Broker | None = None
        self._thread = threading.Thread(target=self._live, name="heliostat-worker", daemon=True)
        self._thread.start()

    # the worker's thread

    def _live(self) -> None:
        while not self._ending.is_set():
            try:
                self._serve()
            except StoreUnavailable as error:
                LOG.warning("the database is not there: %s", error)
            except HeliostatError as error:
                if str(error) != self._why:  # once, for it is tried again and again
                    LOG.error("this process cannot work: %s", error)  # noqa: TRY400 - the sentence says it all
                self._why = str(error)
            except Exception:
                LOG.exception("the worker of this process ended, and begins again")
            self._ending.wait(AGAIN_SECONDS)

    def _serve(self) -> None:
        with compose.open(slots=self._slots, broker=self._address, actor="celery") as engine:
            for flow in self._flows:
                engine.add(flow)
            self._worker, self._broker = engine.worker(queues=self._queues), engine.broker
            self._worker.taking, self._worker.looked = frozenset(), self._looked
            self._why = ""
            self._opened.set()
            try:
                self._worker.serve(self._over)
                self._worker.stop(GRACE_SECONDS)
            finally:
                self._opened.clear()
                for ticket in self._tickets:
                    ticket.over.set()
                self._tickets.clear()

    def _over(self) -> bool:
        """Between the worker's turns: let tickets go, see what it may take, and whether it is to end."""
        assert self._worker is not None
        for ticket in tuple(self._tickets):
            ticket.open = ticket.open and not ticket.barren
            draining = self._worker.draining  # others have the rest, and are reminded of it
            if self._worker.spent or draining or self._may_go(ticket, self._worker):
                ticket.more = not (self._worker.spent or draining or ticket.barren)
                self._tickets.remove(ticket)
                ticket.over.set()
        self._look(self._worker)
        return self._ending.is_set()

    def _looked(self, ask: Ask, leased: Sequence[Attempt]) -> None:
        """After each look of the worker: a ticket hears whether there was something in its queue."""
        queues = {attempt.queue for attempt in leased}
        for ticket in tuple(self._tickets) if ask.n else ():
            if ask.queues is None or ticket.queue in ask.queues:
                ticket.looked(drew=ticket.queue in queues)

    def _may_go(self, ticket: _Ticket, worker: Worker) -> bool:
        """Whether a ticket whose turn is over holds up nothing: as many stay as functions run."""
        if ticket.open:
            return False
        others = any(other.open for other in self._tickets)
        return len(self._tickets) > (len(worker.executor.begun()) if others else worker.functions)

    def _look(self, worker: Worker) -> None:
        """Take from the queues of the tickets; from all that Celery consumes while none can come."""
        polling = self.deaf
        if polling != self._polling:
            self._polling = polling
            LOG.warning(
                "no tickets come from the broker; looking into the database for work"
                if polling
                else "tickets come from the broker again; working by them"
            )
        asked = frozenset(ticket.queue for ticket in self._tickets)
        if not asked <= self._queues:  # somebody has had Celery consume another one
            self._queues = worker.queues = self._queues | asked
        taking = frozenset(ticket.queue for ticket in self._tickets if ticket.open)
        taking |= self._queues if polling else frozenset()
        if taking != worker.taking:
            grown = taking - (worker.taking or frozenset())
            worker.taking = taking
            if grown:
                worker.ring()

    # the threads that Celery calls

    def carry(self, queue: str, n: int) -> str:
        """Work on a queue for a turn, and see to it that others do while there is more."""
        if not self._opened.wait(OPEN_SECONDS):
            return self._why or "the database is not there"
        worker, broker = self._worker, self._broker
        assert worker is not None
        assert broker is not None
        began, before, ticket = time.monotonic(), worker.settled, _Ticket(queue)
        try:
            self._tickets.append(ticket)
            worker.ring()
            if not ticket.over.wait(SPREAD_SECONDS) and n > 1 and not ticket.barren:
                broker.ring({queue: n - 1})
            ticket.over.wait(max(0.0, began + TURN_SECONDS - time.monotonic()))
            ticket.open = False
            worker.bell.set()
            ticket.over.wait()
        except SoftTimeLimitExceeded:
            ticket.open = False
            worker.time_out("timed out: Celery's soft time limit")
            ticket.over.wait()
            raise
        finally:
            if ticket.more:
                broker.ring({queue: 1})
        return f"{queue}: {worker.settled - before} done"

    def close(self) -> None:
        """Finish what has begun, hand back the rest, and give the database back."""
        self._ending.set()
        if self._worker is not None:
            self._worker.bell.set()
        self._thread.join(GRACE_SECONDS + AGAIN_SECONDS)

    @property
    def deaf(self) -> bool:
        """Whether no ticket can come; a broker that takes them need not let this worker consume."""
        return not (self._broker is not None and self._broker.reachable and self._heard())

    @property
    def exhausted(self) -> bool:
        """Whether so many functions outlived their time that the process wants to be replaced."""
        return self._worker is not None and self._worker.exhausted


class _Place:
    """What one process of Celery's knows: the parent's options, which its children inherit, and their carrier."""

    def __init__(self) -> None:
        self.flows: list[Workflow] = []
        self.queues: frozenset[str] = frozenset()
        self.address = ""
        self.slots = 1
        self.prefork = False
        self.carrier: Carrier | None = None
        self._heard = mmap.mmap(-1, 1)  # one byte that the parent writes and its children see
        self.heard = True  # it is about to

    @property
    def heard(self) -> bool:
        """Whether the parent consumes, so that tickets come."""
        return self._heard[0] > 0

    @heard.setter
    def heard(self, consumes: bool) -> None:
        self._heard[0] = consumes

    def begin(self) -> None:
        """Have a worker in this process."""
        self.carrier = Carrier(self.address, self.flows, self.queues, self.slots, lambda: self.heard)

    def end(self) -> None:
        """Have none any more."""
        carrier, self.carrier = self.carrier, None
        if carrier is not None:
            carrier.close()


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Celery's, without the 28 queues that it makes for messages with a delay: tickets have none.

    It looks for a lost broker every two seconds. Celery's own pauses grow to half a minute, and for so long the
    processes of the pool, who see that the broker is back, would wait for tickets that nobody takes.

    It also sees to it that it is heard. Where a queue is removed and made anew at once, the broker may forget who
    consumes from it and tell nobody; so it consumes anew where nobody does, or where no ticket has come for a while.
    """

    _heard_at = 0.0
    _looking: Any = None

    class Blueprint(consumer.Consumer.Blueprint):  # type: ignore[misc]
        """Its steps."""

        default_steps = tuple(s for s in consumer.Consumer.Blueprint.default_steps if "delayed_delivery" not in s)

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, or try again until it can be done."""
        conn.ensure_connection = partial(conn.ensure_connection, interval_step=0)
        return super().ensure_connected(conn)

    def on_ready(self) -> None:
        """It consumes, for the first time or over a new connection."""
        super().on_ready()
        _place.heard = True
        self.hear()
        if self._looking is None and self.hub is not None:
            self._looking = self.timer.call_repeatedly(LOOK_SECONDS, self.look)

    def on_close(self) -> None:
        """The connection is lost; until it consumes over another, the processes of the pool look for themselves."""
        _place.heard = False
        super().on_close()

    def hear(self) -> None:
        """A ticket has come, or may come from now on."""
        self._heard_at = time.monotonic()

    def look(self) -> None:
        """Consume anew where nobody does, or where nothing has been heard for long."""
        silent = time.monotonic() - self._heard_at > SILENT_SECONDS
        lost = (*self.connection.connection_errors, *self.connection.channel_errors)
        with suppress(*lost):  # the loop sees it, too
            for queue in list(self.task_consumer.queues):
                if silent or not self._consumed(queue.name, lost):
                    self.task_consumer.cancel_by_queue(queue.name)
                    self.task_consumer.add_queue(self.app.amqp.queues[queue.name])
                    self.task_consumer.consume()
        if silent:
            self.hear()

    def _consumed(self, queue: str, lost: tuple[type[Exception], ...]) -> bool:
        with suppress(*lost), self.connection.channel() as channel:
            return bool(channel.queue_declare(queue, passive=True).consumer_count)
        return False


_settings = config.read()
_place = _Place()
app = compose.celery_app(_settings.broker)
app.conf.worker_consumer = f"{__name__}:Consumer"


@signals.celeryd_init.connect
def _offer(**_: Any) -> None:
    """Load the configured apps; a worker that was told no queues consumes those of its site, or those of the apps."""
    _place.flows = [flow for place in _settings.apps for flow in _loaded(place)]
    _place.flows += loading.besides(_place.flows, LOG.warning).values()
    if not _place.flows:
        raise _refused("there is nothing to offer; list apps in heliostat.toml")
    if _settings.takes is not None:
        app.amqp.queues.select(_settings.takes)
        return
    names = {node.queue for flow in _place.flows for node in flow.graph}
    for name in sorted(names | {app.conf.task_default_queue}):
        app.amqp.queues.select_add(app.amqp.queues[name])


def _loaded(place: str) -> list[Workflow]:
    """The workflows of an app; a worker that cannot load one does not begin."""
    try:
        return loading.load(place)
    except HeliostatError as error:
        raise _refused(str(error)) from None
    except Exception as error:
        raise _refused(f"{place} cannot be loaded: {type(error).__name__}: {error}") from error


def _refused(sentence: str) -> SystemExit:
    """Why a worker does not begin. Celery goes on after any other error in what its signals call."""
    return SystemExit(f"heliostat: {sentence}")


@app.task(name="heliostat.ticket")
def ticket(queue: Any, n: Any = 1) -> str:
    """Up to n tasks of this queue may be ready."""
    if not (isinstance(queue, str) and NAME.fullmatch(queue) and type(n) is int and n > 0):  # anybody may send one
        return "this ticket names no queue and number of tasks"
    if _place.carrier is None:  # as in a program that calls the task itself
        return "there is no worker here"
    return _place.carrier.carry(queue, n)


@signals.task_received.connect
def _heard(sender: Any, **_: Any) -> None:
    sender.hear()


@signals.celeryd_after_setup.connect
def _set_up(instance: Any, **_: Any) -> None:
    pool = instance.pool_cls.__module__.rpartition(".")[2]
    if pool not in ("prefork", "solo", "thread"):
        raise _refused(f"the pool {pool} is not supported; use prefork, threads or solo")
    _place.queues = frozenset(instance.app.amqp.queues.consume_from)
    _place.address = instance.app.connection_for_write().as_uri(include_password=True)
    _place.slots, _place.prefork = (instance.concurrency if pool == "thread" else 1), pool == "prefork"
    if not _place.prefork:
        _place.begin()


@signals.worker_process_init.connect
def _process_begins(**_: Any) -> None:
    if _place.prefork:  # a solo pool says this too, of the only process
        _place.begin()


@signals.worker_process_shutdown.connect
@signals.worker_shutdown.connect
def _process_ends(**_: Any) -> None:
    _place.end()


@signals.task_postrun.connect
def _replace(**_: Any) -> None:
    """A process whose threads do not end is replaced; a ticket that it has is lost, which changes nothing."""
    if _place.prefork and _place.carrier is not None and _place.carrier.exhausted:
        threading.Timer(TURN_SECONDS, os._exit, (WRITTEN_OFF,)).start()
