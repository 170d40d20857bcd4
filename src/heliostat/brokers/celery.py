"""Tickets as messages of Celery, on quorum queues of RabbitMQ.

A thread of its own publishes: what is rung for meanwhile is added up, so that no commit waits for the broker and no
burst of commits becomes as many messages. Celery is loaded by that thread, when the bell is first rung.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from heliostat.broker import Bell, Carried

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from celery import Celery
    from kombu.messaging import Producer

LOG = logging.getLogger("heliostat.broker")

TICKET = "heliostat.ticket"  #: the name of the Celery task that takes a ticket
AT_ONCE = 8  #: tickets for one queue that are issued together; who gets one of many issues the rest
EXPIRY_SECONDS = 30  #: a ticket that nobody has taken by then is gone
QUIET_SECONDS = 3.0  #: after a failure nothing is published for so long
WAIT_SECONDS = 2.0  #: for a connection, and for each answer
CLOSE_SECONDS = 1.5  #: for the last tickets of a process


def application(address: str) -> Celery:
    """The Celery application that issues and takes tickets; see Celery's manual for what each setting does."""
    from celery import Celery

    app = Celery("heliostat", set_as_current=False)
    app.conf.update(
        broker_url=address or None,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,
        broker_transport_options={"confirm_publish": True},
        task_default_queue="default",
        task_default_queue_type="quorum",
        task_create_missing_queue_type="quorum",
        worker_detect_quorum_queues=True,
        worker_prefetch_multiplier=1,
        task_acks_late=False,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_serializer="json",
        event_serializer="json",
        accept_content=["json"],
        enable_utc=True,
    )
    return app


class CeleryBroker:
    """``broker.Broker`` over Celery. Nothing of it is used across a fork: the child begins afresh."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._app: Celery | None = None
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._thread: threading.Thread | None = None
        self._counts: dict[str, int] = {}
        self._reminded: set[str] | None = None
        self._producer: Producer | None = None
        self._quiet_until = 0.0
        self._closed = False
        self.reachable = True

    def ring(self, queues: Mapping[str, int]) -> bool:
        if self.reachable or time.monotonic() >= self._quiet_until:
            with self._lock:
                for queue, n in queues.items():
                    self._counts[queue] = self._counts.get(queue, 0) + n
            self._wake()
        return self.reachable

    def remind(self, queues: Iterable[str]) -> bool:
        with self._lock:
            self._reminded = (self._reminded or set()) | set(queues)
        self._wake()
        return self.reachable

    def about(self, queues: Iterable[str]) -> Bell:
        parts = urlsplit(self._address)
        place = f"{parts.hostname}:{parts.port or (5671 if parts.scheme == 'amqps' else 5672)}{parts.path}"
        try:
            with self._dial() as connection:
                told = connection.connection.server_properties
                kind, version = str(told.get("product", "a broker")), str(told.get("version", ""))
                carried = (_carried(connection, queue) for queue in queues)
                return Bell(f"{kind} at {place}", version, tuple(queue for queue in carried if queue is not None))
        except Exception as error:  # noqa: BLE001 - whatever it is, the broker could not be asked
            return Bell(f"RabbitMQ at {place}", trouble=_trouble(error))

    def close(self) -> None:
        self._closed = True
        thread = self._thread
        if thread is not None and thread.is_alive():
            self._bell.set()
            thread.join(CLOSE_SECONDS)

    def _wake(self) -> None:
        if self._thread is None or not self._thread.is_alive():  # the first time, or the first in a forked child
            self._start()
        self._bell.set()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._producer = None
                self._thread = threading.Thread(target=self._serve, name="heliostat-broker", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while not self._closed or self._counts:
            self._bell.wait()
            with self._lock:
                self._bell.clear()
                counts, self._counts = self._counts, {}
                reminded, self._reminded = self._reminded, None
            if counts or reminded is not None:
                self._publish(counts, reminded)
        self._let_go()

    def _publish(self, counts: Mapping[str, int], reminded: set[str] | None) -> None:
        """Publish, once more over a new connection if the old one was lost meanwhile."""
        new = self._producer is None
        try:
            try:
                self._issue(counts, reminded)
            except Exception:
                self._let_go()
                if new:
                    raise
                self._issue(counts, reminded)
        except Exception as error:  # noqa: BLE001 - whatever it is, tickets may be lost and commits go on
            self._let_go()
            if self.reachable:
                LOG.info("no tickets are issued: %s", error)
            self.reachable, self._quiet_until = False, time.monotonic() + QUIET_SECONDS
        else:
            self.reachable = True

    def _issue(self, counts: Mapping[str, int], reminded: set[str] | None) -> None:
        producer = self._producer or self._connect()
        if reminded is not None:
            producer.connection.channel().close()  # an answer, even if there is nothing else to ask
        for queue in (reminded or set()) - counts.keys():
            if not self._waiting(producer, queue):
                self._send(producer, queue, AT_ONCE)
        for queue, n in counts.items():
            tickets = min(n, AT_ONCE)
            for _ in range(tickets):
                self._send(producer, queue, -(-n // tickets))

    def _connect(self) -> Producer:
        from kombu.messaging import Producer

        self._producer = Producer(self._dial())  # type: ignore[no-untyped-call]
        return self._producer

    def _dial(self) -> Any:
        """A new connection, or an error within a moment."""
        if self._app is None:
            self._app = application(self._address)
        patience = {"read_timeout": WAIT_SECONDS, "write_timeout": WAIT_SECONDS, "max_retries": 0}
        connection = self._app.connection_for_write(
            heartbeat=0, connect_timeout=WAIT_SECONDS, transport_options=patience
        )
        connection.connect()
        return connection

    def _waiting(self, producer: Producer, name: str) -> int:
        """How many tickets wait in a queue, which is made if it is not there."""
        assert self._app is not None
        queue = self._app.amqp.queues[name].bind(producer.channel)
        queue.declare()
        return int(queue.queue_declare().message_count)

    def _send(self, producer: Producer, queue: str, n: int) -> None:
        assert self._app is not None
        options = {"queue": queue, "producer": producer, "retry": False, "ignore_result": True}
        self._app.send_task(TICKET, (queue, n), expiration=EXPIRY_SECONDS, add_to_parent=False, **options)

    def _let_go(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(Exception):  # it was lost
                producer.connection.release()


def _carried(connection: Any, name: str) -> Carried | None:
    """A queue as it stands; None if it is not there. Only the server's refusal tells of which kind it is."""
    from amqp.exceptions import NotFound, PreconditionFailed

    try:
        _, tickets, consumers = connection.channel().queue_declare(name, passive=True)
    except NotFound:
        return None
    try:
        connection.channel().queue_declare(
            name, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"}
        )  # of one that is there and is such, this changes nothing
    except PreconditionFailed:
        return Carried(name, tickets, consumers, lasting=False)
    return Carried(name, tickets, consumers, lasting=True)


def _trouble(error: Exception) -> str:
    """Why a broker could not be asked; never with its address, in which the password stands."""
    match type(error).__name__:
        case "AccessRefused":
            return "refuses this user or password"
        case "NotAllowed":
            return "has no such virtual host, or does not let this user into it"
        case "gaierror":
            return "has a name that cannot be found"
        case "SSLError" | "SSLCertVerificationError":
            return "cannot be spoken to with TLS"
        case _:
            return "does not answer"
