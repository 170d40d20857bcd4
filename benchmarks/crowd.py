"""Worker processes that share a database: what more of them bring where functions wait for something outside."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import heliostat
from heliostat import Workflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliostat.engine import Engine

WAIT_SECONDS = 0.05
START_SECONDS = 60.0
STOP_SECONDS = 30.0

flow = Workflow("crowd")


@flow.node
def split(message: int) -> list[float]:
    """Fan out."""
    return [WAIT_SECONDS] * message


@flow.node(map={"seconds": split})
def wait(seconds: float) -> list[float]:
    """Wait, and tell from when to when; all processes of a machine share this clock."""
    begun_at = time.monotonic()
    time.sleep(seconds)
    return [begun_at, time.monotonic()]


@flow.node
def spans(wait: list[list[float]]) -> list[list[float]]:
    """Join."""
    return wait


def crowd(url: str, workers: int, slots: int, tasks: int) -> dict[str, float]:
    """So many tasks for each of so many workers, from the first one's begin to the last one's end."""
    with heliostat.open(url) as engine:
        engine.store.upgrade()
        engine.add(flow)
        with working(engine, url, workers, slots):
            run = engine.start(flow, tasks * workers)
            while not run.over:
                time.sleep(WAIT_SECONDS)
            done: list[list[float]] = run.result()
    assert len(done) == tasks * workers
    return {"tasks": len(done), "seconds": max(end for _, end in done) - min(begin for begin, _ in done)}


@contextmanager
def working(
    engine: Engine, url: str, workers: int, slots: int, *, where: str = __name__, executor: str = "thread"
) -> Iterator[None]:
    """Worker processes, all of them ready."""
    command = [sys.executable, "-m", "heliostat.cli", "--database", url, "worker", "start", where]
    command += ["--slots", str(slots), "--executor", executor]
    started = [subprocess.Popen(command, stdin=subprocess.DEVNULL) for _ in range(workers)]
    try:
        deadline = time.monotonic() + START_SECONDS
        while len({worker.pid for worker in engine.store.workers()}) < workers:
            assert time.monotonic() < deadline, "the workers are not ready"
            time.sleep(WAIT_SECONDS)
        yield
    finally:
        for worker in started:
            worker.terminate()
        for worker in started:
            worker.wait(STOP_SECONDS)
