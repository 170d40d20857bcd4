"""The servers that peers need: each starts when it is first asked for, keeps what it accepts, and ends with us."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.databases import Databases
from benchmarks.peers.peer import free_port
from benchmarks.peers.place import Place
from tests.rabbitmq_server import GUARDIAN, Rabbit, rabbitmq_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

START_SECONDS = 30.0


class NoRedisError(Exception):
    """No Redis can be started here."""


class Servers:
    """PostgreSQL, RabbitMQ and Redis on loopback, and a folder for everything else."""

    def __init__(self) -> None:
        self._closing = ExitStack()
        self.databases = self._closing.enter_context(Databases())
        self._vhosts: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    @cached_property
    def _rabbit(self) -> Rabbit:
        return self._closing.enter_context(rabbitmq_server())

    @cached_property
    def _redis(self) -> str:
        return self._closing.enter_context(redis_server())

    @contextmanager
    def place(self, peer: str, needs: frozenset[str], *, leaves: bool) -> Iterator[Place]:
        """A place for one measure: databases are fresh, and so is a virtual host where messages were left in it."""
        with ExitStack() as closing:
            folder = closing.enter_context(tempfile.TemporaryDirectory(dir=self.databases.folder, prefix="peer-"))
            database = closing.enter_context(self.databases.fresh("postgresql")) if "postgresql" in needs else ""
            broker = self._vhost(peer) if "rabbitmq" in needs else ""
            try:
                yield Place(folder, database, broker, self._redis if "redis" in needs else "")
            finally:
                if leaves and broker:
                    self._rabbit.drop_vhost(self._vhosts.pop(peer))

    def _vhost(self, peer: str) -> str:
        if peer not in self._vhosts:
            self._vhosts[peer] = self._rabbit.fresh_vhost()
        return self._vhosts[peer]


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis that writes each change to its log, and the log to the disk, before it answers.

    Raises:
        NoRedisError: it is not installed, or did not start.
    """
    if (program := shutil.which("redis-server")) is None:
        raise NoRedisError("Celery and Dramatiq need Redis to join: install redis-server (make bench-peers does).")
    folder = Path(tempfile.mkdtemp(prefix="heliostat-redis-", dir="/tmp"))
    port = free_port()
    options = {"--bind": "127.0.0.1", "--port": port, "--dir": folder, "--save": "", "--appendonly": "yes"}
    options |= {"--appendfsync": "always"}
    command = [program, *(str(word) for option in options.items() for word in option)]
    guardian = subprocess.Popen(
        [sys.executable, str(GUARDIAN), str(folder), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with guardian:
        _wait_for(port)
        yield f"redis://127.0.0.1:{port}/0"


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise NoRedisError("Redis did not start.")
