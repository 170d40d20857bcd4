"""Heliostat on PostgreSQL, carried by a worker of Celery's over RabbitMQ."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers.drivers import flows
from benchmarks.peers.drivers.on_heliostat import OnHeliostat, place
from benchmarks.peers.peer import SLOTS, process
from benchmarks.peers.work import LOOK_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliostat import Workflow


class OnHeliostatCelery(OnHeliostat):
    """One worker with threads, as plain Celery has here."""

    @contextmanager
    def working(self) -> Iterator[None]:
        settings = {"database": place.database, "broker": place.broker, "apps": [flows.__name__]}
        lines = (f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
        Path(place.folder, "heliostat.toml").write_text("".join(lines), "utf-8")
        options = ["--pool", "threads", "--concurrency", str(SLOTS), "--loglevel", "WARNING"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        with self.engine, process("celery", "-A", "heliostat.celery", "worker", *options, *quiet):
            yield
            self.check()

    def start(self, workflow: Workflow, messages: list[int]) -> None:
        """Start runs, and leave the work to the worker."""
        self.engine.start_many(workflow, messages)

    def settled(self) -> float:
        """When no run is open any more."""
        while any(self.engine.runs(state=state, limit=1) for state in ("pending", "active")):
            time.sleep(LOOK_SECONDS)
        return time.monotonic()


PEER = OnHeliostatCelery
