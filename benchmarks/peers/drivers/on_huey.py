"""Huey on SQLite, with fsync: pipelines and chords."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from huey import SqliteHuey, chord

from benchmarks.peers.peer import Peer, process
from benchmarks.peers.place import Place
from benchmarks.peers.work import JOBS, Job, note

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

# Nobody reads results here, and what a pipeline hands on or a chord collects is kept without this.
huey = SqliteHuey("peers", filename=str(Path(Place.given().folder, "huey.db")), fsync=True, results=False)

TASKS = {name: huey.task(name=name)(function) for name, function in JOBS.items()}


@huey.task()
def total(items: list[int]) -> None:
    """Join."""
    assert all(items)
    note()


@huey.task()
def split(width: int) -> None:
    """Fan out."""
    note()
    huey.enqueue(chord([TASKS["step"].s(item) for item in range(width)], total.s()))


class OnHuey(Peer):
    """One consumer; more threads than one only wait for each other's locks in the file."""

    def working(self) -> AbstractContextManager[None]:
        poll = ["--delay", "0.001", "--max-delay", "0.01"]
        return process("huey_consumer", f"{__name__}.huey", "--workers", "1", "--no-periodic", "--quiet", *poll)

    def sequences(self, job: Job, *, runs: int, length: int, value: int) -> None:
        for _ in range(runs):
            pipeline = TASKS[job].s(value)
            for _ in range(length - 1):
                pipeline = pipeline.then(TASKS[job])
            huey.enqueue(pipeline)

    def fan(self, width: int) -> None:
        split(width)

    def enqueue(self, count: int) -> None:
        for item in range(count):
            TASKS["step"](item)


PEER = OnHuey
