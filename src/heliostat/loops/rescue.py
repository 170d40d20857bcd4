"""Rescue: the attempts of workers that show no life go back, or to whoever can watch their jobs.

A worker is lost when its count of heartbeats has not changed for a lease, by the clock of whoever looks: so no step
of anybody's clock can make it so. On the same machine a process that is gone is seen at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliostat.queue import WorkerInfo
    from heliostat.store import Ask, Store
    from heliostat.task import Attempt


#: States of workers that should hold nothing: what one leased after it was declared lost is nobody's.
OVER = ("stopped", "lost")


class Rescue:
    """Looks ten times a lease. ``gone`` says of a worker whether its process is surely dead."""

    def __init__(
        self,
        store: Store,
        lease_seconds: float,
        worker: Callable[[], Ask],
        adopt: Callable[[tuple[Attempt, ...]], None],
        gone: Callable[[WorkerInfo], bool],
    ) -> None:
        self._store, self._lease, self._worker, self._adopt, self._gone = store, lease_seconds, worker, adopt, gone
        self._seen: dict[str, tuple[int, float]] = {}

    def tick(self, now: float) -> float:
        """Compare heartbeats with those seen before, and rescue where one stands still."""
        me = self._worker()
        workers = self._store.workers()
        host = next((worker.host for worker in workers if worker.id == me.worker), None)
        seen = {}
        for other in workers:
            if other.id == me.worker:
                continue
            beat, since = self._seen.get(other.id, (-1, now))
            since = since if beat == other.beat else now
            if now - since >= self._lease or other.state in OVER or self._gone(other):
                here = other.host == host  # jobs on this machine can be watched only from here
                _, adopted = self._store.rescue([(other.id, other.beat)], now, me, here=here)
                self._adopt(adopted)
            else:
                seen[other.id] = (other.beat, since)
        self._seen = seen
        return now + self._lease / 10
