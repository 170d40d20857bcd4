"""Promote: what waited for a time that has come becomes ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliostat.store import Store


class Promote:
    """Looks at least every ``interval`` seconds, because another process may have set an earlier time."""

    def __init__(self, store: Store, interval: float = 1.0) -> None:
        self._store, self._interval = store, interval
        self.next_due: float | None = None

    def expect(self, due: float) -> None:
        """Something was put off until ``due`` just now."""
        self.next_due = due if self.next_due is None else min(self.next_due, due)

    def tick(self, now: float) -> float:
        """Promote, and come back when the next time comes."""
        self.next_due = self._store.promote(now)
        return min(now + self._interval, max(self.next_due, now)) if self.next_due is not None else now + self._interval
