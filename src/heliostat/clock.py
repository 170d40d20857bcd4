"""The seam to time, ids and chance: all of it is given to the engine, so all of it can be faked."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Protocol

from heliostat.run import EPOCH, RANDOM_BITS

if TYPE_CHECKING:
    from collections.abc import Callable


READINGS = 3  #: of the wall time, of which the quickest counts: a busy machine delays some by milliseconds


class Clock(Protocol):
    """Time as the engine sees it: seconds since 1970 that never go back."""

    def now(self) -> float:
        """The time."""

    def wait(self, bell: threading.Event, seconds: float) -> bool:
        """Wait until the bell rings or the time is over; answers whether it rang."""


def _read(reading: Callable[[], float]) -> tuple[float, float]:
    """How long a reading took, and by how much what it says is ahead of the monotonic clock."""
    before = time.monotonic()
    said = reading()
    after = time.monotonic()
    return after - before, said - (before + after) / 2


class SystemClock:
    """A wall reading (the quickest of a few) and the monotonic clock since: a step of the wall clock moves nothing.

    ``reading`` gives the wall time to begin with, for instance a database's.
    """

    def __init__(self, reading: Callable[[], float] = time.time) -> None:
        self._offset = min(_read(reading) for _ in range(READINGS))[1]

    def now(self) -> float:
        """Seconds since 1970."""
        return self._offset + time.monotonic()

    def wait(self, bell: threading.Event, seconds: float) -> bool:
        """Wait for real."""
        return bell.wait(max(0.0, seconds))


class Ids:
    """Makes run ids: time in milliseconds above, chance below, and never the same twice in one process."""

    def __init__(self, clock: Clock, chance: random.Random) -> None:
        self._clock, self._chance, self._last = clock, chance, 0
        self._lock = threading.Lock()

    def run(self) -> int:
        """A new run's key, greater than every one made here before."""
        with self._lock:
            since = int((self._clock.now() - EPOCH) * 1000)
            made = (since << RANDOM_BITS) | self._chance.getrandbits(RANDOM_BITS)
            self._last = max(self._last + 1, made)
            return self._last
