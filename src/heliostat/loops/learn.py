"""Learn: a workflow that is data needs no worker with its code, so whoever meets its tasks offers it from then on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from heliostat.errors import NotFound
from heliostat.queue import ITSELF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heliostat.graph import Graph
    from heliostat.store import Store

FORGOTTEN_SECONDS = 60.0  #: after which a definition that needed code is looked at again: it may be data by now


class Learn:
    """Looks every ``interval`` seconds at what is ready, and at what lost workers offered and left behind.

    ``offers`` are the graphs that the worker has; ``keep`` has it offer one more.
    """

    def __init__(
        self, store: Store, offers: Callable[[], frozenset[int]], keep: Callable[[Graph], object], interval: float = 1.0
    ) -> None:
        self._store, self._offers, self._keep, self._interval = store, offers, keep, interval
        self._coded: dict[int, float] = {}

    def tick(self, now: float) -> float:
        """Offer whatever needs no code."""
        self._coded = {graph: until for graph, until in self._coded.items() if now < until <= now + FORGOTTEN_SECONDS}
        for graph in sorted({*self._met()} - self._offers() - self._coded.keys()):
            try:
                found = self._store.graph(graph)
            except NotFound:
                continue
            if found.data:
                self._keep(found)
            else:
                self._coded[graph] = now + FORGOTTEN_SECONDS
        return now + self._interval

    def _met(self) -> Iterator[int]:
        yield from (graph for _, graph in self._store.lively_lanes())
        for worker in self._store.workers():
            if worker.state == "lost" and worker.code:
                yield from (graph for graph, *_ in json.loads(worker.code) if graph != ITSELF)
