"""Prefect with a server of its own on SQLite; flows run in the process that calls them."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.request import urlopen

from benchmarks.peers.peer import SLOTS, Peer, free_port, process
from benchmarks.peers.place import Place
from benchmarks.peers.work import JOBS, Job, note

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

PORT = free_port()
os.environ |= {
    "PREFECT_HOME": Place.given().folder,
    "PREFECT_API_URL": f"http://127.0.0.1:{PORT}/api",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
}

from prefect import flow, task  # noqa: E402 - it reads its settings when it is imported
from prefect.task_runners import ThreadPoolTaskRunner  # noqa: E402

START_SECONDS = 300.0


@task
def step(job: Job, value: int) -> int:
    """Be one of a sequence."""
    return JOBS[job](value)


@task
def mark() -> None:
    """Fan out, and join."""
    note()


@flow
def sequence(job: Job, length: int, value: int) -> int:
    """One task after the other."""
    for _ in range(length):
        value = step(job, value)
    return value


@flow(task_runner=ThreadPoolTaskRunner(max_workers=SLOTS))
def fan(width: int) -> int:
    """One task, many at once, one task."""
    mark()
    found = step.map("step", list(range(width))).result()
    mark()
    return len(found)


class OnPrefect(Peer):
    """A server in a process of its own, and flows in threads of this one."""

    @contextmanager
    def working(self) -> Iterator[None]:
        with process("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(PORT)):
            deadline = time.monotonic() + START_SECONDS
            while not _healthy():
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.2)
            yield

    def accepting(self) -> AbstractContextManager[None]:
        """The server accepts."""
        return self.working()

    def sequences(self, job: Job, *, runs: int, length: int, value: int) -> None:
        with ThreadPoolExecutor(SLOTS) as pool:
            list(pool.map(lambda _: sequence(job, length, value), range(runs)))

    def fan(self, width: int) -> None:
        fan(width)

    def enqueue(self, count: int) -> None:
        with ThreadPoolExecutor(SLOTS) as pool:
            list(pool.map(lambda item: step.delay("step", item), range(count)))


def _healthy() -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{PORT}/api/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


PEER = OnPrefect
