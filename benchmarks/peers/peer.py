"""What each peer is asked to do. The contract of the modules in `drivers`."""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers.place import Place
from tests.rabbitmq_server import GUARDIAN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from benchmarks.peers.work import Job

SLOTS = 8  #: how much runs at once in a worker, wherever a peer lets us choose


class Peer(ABC):
    """A peer at work. Times are taken around these calls, and from what the steps note."""

    @abstractmethod
    def working(self) -> AbstractContextManager[None]:
        """Have a worker, or be one."""

    def accepting(self) -> AbstractContextManager[None]:
        """Have what accepts tasks, and no worker."""
        return nullcontext()

    @abstractmethod
    def sequences(self, job: Job, *, runs: int, length: int, value: int) -> None:
        """Start so many runs, each of so many steps one after the other, the first with ``value``."""

    @abstractmethod
    def fan(self, width: int) -> None:
        """Start one step that leads to many, which lead to one."""

    @abstractmethod
    def enqueue(self, count: int) -> None:
        """Have so many tasks accepted, while nobody works on them. Answers when all are kept."""

    def settled(self) -> float:
        """Wait until what the steps did is kept, and answer when that was.

        0 where the calls above answer only then, or where the last step's end is taken for it, to the peer's favour.
        """
        return 0.0


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        port: int = candidate.getsockname()[1]
        return port


@contextmanager
def process(*command: str) -> Iterator[None]:
    """Start a peer's worker by its own command, from the environment that runs this; it ends with us, however we end.

    Raises:
        RuntimeError: the worker ended by itself, or the measure failed; the message is what the worker said last.
    """
    place = Place.given()
    home = Path(place.folder, "worker")
    home.mkdir()
    program = Path(sys.executable).with_name(command[0])
    line = f"cd {shlex.quote(place.folder)} && exec {shlex.join([str(program), *command[1:]])}"
    guardian = subprocess.Popen(
        [sys.executable, str(GUARDIAN), str(home), "sh", "-c", line],
        env=place.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with guardian:
        try:
            yield
        except Exception as error:
            said = (home / "log").read_text("utf-8", "replace").strip()
            raise RuntimeError(f"{error}; {command[0]} said: {said[-1000:]}") from error
