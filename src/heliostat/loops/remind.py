"""Remind: where something is ready and no ticket waits, one is issued."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from heliostat.broker import Broker
    from heliostat.store import Store


class Remind:
    """Looks about every ``interval`` seconds, each worker in its own time."""

    def __init__(self, store: Store, broker: Broker, chance: random.Random, interval: float = 4.0) -> None:
        self._store, self._broker, self._chance, self._interval = store, broker, chance, interval

    def tick(self, now: float) -> float:
        """Remind, and see by the way whether the broker can be reached."""
        self._broker.remind(self._store.lively())
        return now + self._interval * self._chance.uniform(0.75, 1.25)
