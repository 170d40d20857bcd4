"""The Celery application of the tests: Heliostat's own, in the manner that HELIOSTAT_TEST_MANNER says."""

from __future__ import annotations

import json
import os
from typing import Any

from amqp.connection import NEGOTIATE_CAPABILITIES, Connection
from celery.concurrency.solo import TaskPool

from heliostat import compose
from heliostat.celery import Carrier
from heliostat.celery import app as app  # noqa: PLC0414 - what Celery looks for
from heliostat.engine import Engine
from tests.acceptance.worker import CrashingStore, Manner

MANNER = Manner(**json.loads(os.environ["HELIOSTAT_TEST_MANNER"]))
_open = compose.open


def opened(**options: Any) -> Engine:
    """An engine whose workers have the lease of this manner, and crash if it says so."""
    engine = _open(**options, lease_seconds=MANNER.lease)
    new_worker = engine._new_worker

    def crashing(**chosen: Any) -> Any:
        worker = new_worker(**chosen)
        if MANNER.crash is not None:
            worker.store = CrashingStore(worker.store, *MANNER.crash)  # type: ignore[assignment]
        return worker

    engine._new_worker = crashing
    return engine


if not MANNER.polls:  # so that nobody works without a ticket
    Carrier.deaf = False  # type: ignore[assignment,method-assign]
if MANNER.untold:
    Connection.negotiate_capabilities = {**NEGOTIATE_CAPABILITIES, "consumer_cancel_notify": False}

compose.open = opened  # type: ignore[assignment]


class OtherPool(TaskPool):  # type: ignore[misc]
    """A pool that Heliostat does not know."""
