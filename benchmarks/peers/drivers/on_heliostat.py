"""Heliostat in one process: the program that starts runs works on them too."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import heliostat
from benchmarks.peers.drivers import flows
from benchmarks.peers.peer import Peer
from benchmarks.peers.place import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.peers.work import Job
    from heliostat import Workflow

place = Place.given()


class OnHeliostat(Peer):
    """One engine, with the eight threads that it has unless told otherwise."""

    def __init__(self) -> None:
        database = place.database or f"sqlite:///{Path(place.folder, 'heliostat.db')}"
        self.engine = heliostat.open(database, broker=place.broker)
        self.engine.store.upgrade()

    @contextmanager
    def working(self) -> Iterator[None]:
        with self.engine:
            yield
            self.check()

    def sequences(self, job: Job, *, runs: int, length: int, value: int) -> None:
        self.start(flows.SEQUENCES[f"{job}-{length}"], [value] * runs)

    def fan(self, width: int) -> None:
        self.start(flows.fan, [width])

    def enqueue(self, count: int) -> None:
        self.engine.start_many(flows.one, range(count))

    def start(self, workflow: Workflow, messages: list[int]) -> None:
        """Start runs, and work until nothing is left to do."""
        self.engine.start_many(workflow, messages)
        self.engine.work(until="idle")

    def check(self) -> None:
        """All came to good ends."""
        assert all(run.state == "succeeded" for run in self.engine.runs(limit=1_000_000))


PEER = OnHeliostat
