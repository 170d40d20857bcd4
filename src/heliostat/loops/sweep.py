"""Sweep: what the end of a run left open is closed, in bounded batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliostat.store import Store


class Sweep:
    """Looks every ``interval`` seconds, and again at once while there is something."""

    def __init__(self, store: Store, interval: float = 2.0) -> None:
        self._store, self._interval = store, interval

    def tick(self, now: float) -> float:
        """Close a batch."""
        return now if self._store.sweep(now) else now + self._interval
