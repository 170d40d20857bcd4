"""The wire between a broker and its clients: a relay of our own on loopback, so that connections can be reset."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

AT_ONCE = struct.pack("ii", 1, 0)  #: SO_LINGER: what is closed so sends RST, and nothing that was still to be sent


class Wire:
    """Passes on what comes in on ``port`` to another port, and back."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._entrance = socket.create_server(("127.0.0.1", 0))
        self._ends: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.port: int = self._entrance.getsockname()[1]

    def serve(self) -> None:
        """Let in whoever comes, until ``end`` is called."""
        with self._entrance, contextlib.suppress(OSError):
            while True:
                near, _ = self._entrance.accept()
                self._threads = [thread for thread in self._threads if thread.is_alive()]
                self._threads.append(threading.Thread(target=self._join, args=(near,), daemon=True))
                self._threads[-1].start()

    def end(self) -> None:
        """Close it, with all that goes through it."""
        self._entrance.shutdown(socket.SHUT_RDWR)
        self.reset()
        for thread in self._threads:
            thread.join(10)

    def reset(self) -> int:
        """Reset every connection, on both sides; answers how many ends that were."""
        ends = tuple(self._ends)
        for end in ends:
            with contextlib.suppress(OSError):  # it was closed just now
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
                end.shutdown(socket.SHUT_RD)  # which wakes whoever reads, and that one closes it
        return len(ends)

    def _join(self, near: socket.socket) -> None:
        with near:
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:  # as near as can be to a port at which nobody listens
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
                return
            with far:
                self._ends |= {near, far}
                back = threading.Thread(target=_pass, args=(far, near), daemon=True)
                back.start()
                _pass(near, far)
                back.join()
                self._ends -= {near, far}


def _pass(source: socket.socket, target: socket.socket) -> None:
    """Pass on until either is closed, and have the way back end too."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RD)


@contextlib.contextmanager
def wire(target: int) -> Iterator[Wire]:
    """A wire to a port of this machine, until the block ends."""
    one = Wire(target)
    thread = threading.Thread(target=one.serve, daemon=True)
    thread.start()
    try:
        yield one
    finally:
        one.end()
        thread.join(10)
