"""Functions that compute in Python: what a second slot brings where each has a process, and a second worker."""

from __future__ import annotations

import time

import heliostat
from benchmarks.crowd import working
from heliostat import Workflow

NUMBERS = 1_000_000  # whose squares a task adds up: some hundredths of a second
LOOK_SECONDS = 0.05

flow = Workflow("cpu")


@flow.node
def split(message: int) -> list[int]:
    """Fan out."""
    return [NUMBERS] * message


@flow.node(map={"numbers": split})
def squares(numbers: int) -> list[float]:
    """Compute, and tell from when to when; all processes of a machine share this clock."""
    begun_at = time.monotonic()
    assert sum(number * number for number in range(numbers)) > 0
    return [begun_at, time.monotonic()]


@flow.node
def spans(squares: list[list[float]]) -> list[list[float]]:
    """Join."""
    return squares


def processes(url: str, slots: int, tasks: int) -> dict[str, float]:
    """So many tasks, in one worker with so many processes for its functions."""
    return _computed(url, 1, slots, tasks, "process")


def workers(url: str, workers: int, tasks: int) -> dict[str, float]:
    """So many tasks, in so many workers with a thread each."""
    return _computed(url, workers, 1, tasks, "thread")


def _computed(url: str, workers: int, slots: int, tasks: int, executor: str) -> dict[str, float]:
    """From the first one's begin to the last one's end, when all processes have done one before."""
    with heliostat.open(url) as engine:
        engine.store.upgrade()
        engine.add(flow)
        with working(engine, url, workers, slots, where=__name__, executor=executor):
            for number in (4 * workers * slots, tasks):
                run = engine.start(flow, number)
                while not run.over:
                    time.sleep(LOOK_SECONDS)
            done: list[list[float]] = run.result()
    assert len(done) == tasks
    return {"tasks": len(done), "seconds": max(end for _, end in done) - min(begin for begin, _ in done)}
