"""Signals that ask to stop, counted without interrupting what the main thread is doing."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

STOPS = (signal.SIGTERM, signal.SIGINT)


class Stops:
    """While it is open, SIGTERM and SIGINT are counted in ``asked``, and ``tell`` is called after each.

    Python's own handlers run in the main thread, perhaps while it holds the lock that ``tell`` wants; so a thread
    reads what the interpreter writes for each signal into a pipe, and that thread calls.
    """

    def __init__(self, tell: Callable[[], object]) -> None:
        self.asked = 0
        self._tell = tell

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._before = {number: signal.signal(number, _nothing) for number in STOPS}
        self._descriptor = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._listener = threading.Thread(target=self._listen, name="signals", daemon=True)
        self._listener.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._descriptor)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._writer)
        self._listener.join()
        os.close(self._reader)

    def _listen(self) -> None:
        while number := os.read(self._reader, 1):
            if number[0] in STOPS:
                self.asked += 1
                self._tell()


def _nothing(number: int, frame: object) -> None:
    """Python wants a handler, or no byte is written."""
