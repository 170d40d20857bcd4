"""Suspects: tasks that were lost with their workers more than once begin alone, so that poison takes nobody along.

Poison shows at once: after its first seconds a suspect is like any other. See docs/adr on why from the second time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat import retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from heliostat.executor import Work

ALONE_SECONDS = 10.0  #: how long a suspect runs before others may run beside it
LONG_SECONDS = 1.0  #: what has run for so long is not waited for
PATIENCE_SECONDS = (1.0, 60.0)  #: how long a suspect is held before others get it: at first, and at most
ASIDE_SECONDS = 0.5  #: how long a worker that has handed suspects back leaves the leasing to others


class Suspects:
    """Those that a worker holds: some wait until nothing else runs there, and one perhaps is alone."""

    def __init__(self) -> None:
        self.waiting: list[Work] = []
        self._alone: Work | None = None
        self._patience = PATIENCE_SECONDS[0]
        self._until = self._aside_until = 0.0

    def __bool__(self) -> bool:
        return bool(self.waiting) or self._alone is not None or self._aside_until > 0.0

    def take(self, works: list[Work], now: float) -> list[Work]:
        """Hold those of the works that are suspects; answers the others."""
        found = [work for work in works if work.attempt.rescues and retry.alone(work.node, work.attempt.rescues)]
        if not found:
            return works
        if not self.waiting:
            self._until = now + self._patience
        self.waiting += found
        return [work for work in works if work not in found]

    def forget(self, held: Callable[[Work], bool], now: float) -> None:
        """Let go of what has settled, of the one that has been alone for long enough, and of times that are over."""
        self.waiting = [work for work in self.waiting if held(work)]
        alone = self._alone
        if alone is not None and (not held(alone) or now >= (alone.begun_at or now) + ALONE_SECONDS):
            self._alone = None
        if now >= self._aside_until:
            self._aside_until = 0.0

    def begin(self, now: float) -> Work:
        """The next one, which is alone now."""
        self._alone = work = self.waiting.pop(0)
        work.begun_at, self._until, self._patience = now, now + PATIENCE_SECONDS[0], PATIENCE_SECONDS[0]
        return work

    def give_up(self, now: float) -> list[Work]:
        """Those that have waited in vain, and are for others now; longer from time to time, if they come back."""
        if not self.waiting or self._alone is not None or now < self._until:
            return []
        given, self.waiting = self.waiting, []
        self._patience = min(self._patience * 2, PATIENCE_SECONDS[1])
        self._aside_until = now + ASIDE_SECONDS
        return given

    def closed_until(self, now: float, begun: Iterable[Work]) -> float:
        """Until when nothing may be leased, as far as that can be said now: one is alone, or soon could be."""
        if self._alone is not None:
            return (self._alone.begun_at or now) + ALONE_SECONDS
        if self.waiting:
            oldest = min((work.begun_at or now for work in begun), default=now)
            return min(oldest + LONG_SECONDS, self._until)
        return self._aside_until

    @property
    def due(self) -> float | None:
        """When those that wait will have waited in vain."""
        return self._until if self.waiting and self._alone is None else None
