"""Run works in the calling thread: for simulation, tests and debuggers."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from heliostat.clock import Clock
    from heliostat.executor import Answered, Perform, Work


class InlineExecutor:
    """Runs a work when its outcome is collected; implements ``executor.Executor``."""

    def __init__(self, perform: Perform, clock: Clock, bell: threading.Event, slots: int = 1) -> None:
        self._perform, self._clock, self._bell, self.slots = perform, clock, bell, slots
        self._works: deque[Work] = deque()

    def submit(self, works: Sequence[Work]) -> None:
        """Remember the works."""
        self._works.extend(works)
        self._bell.set()

    def collect(self) -> list[tuple[Work, Answered]]:
        """Run all that is there."""
        ended = []
        while self._works:
            work = self._works.popleft()
            work.begun_at = self._clock.now()
            ended.append((work, self._perform(work)))
        return ended

    def take_back(self) -> list[Work]:
        """Everything: nothing begins before it is collected."""
        works, self._works = list(self._works), deque()
        return works

    def begun(self) -> list[Work]:
        """Nothing: what begins, ends."""
        return []

    def waiting(self) -> int:
        """How many works have not begun."""
        return len(self._works)

    def write_off(self, work: Work) -> bool:
        """Nothing to give up."""
        return False

    written_off = 0

    def close(self, grace: float) -> None:
        """Forget what is left."""
        self._works.clear()
