"""Fire: where a workflow's tick has come, its run is started, once, by whichever worker is first.

A worker fires for workflows that it offers, so what nobody could run is not started but caught up later. Of several
definitions of one workflow, its schedule follows the newest that a worker offers.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from heliostat.effects import Start
from heliostat.errors import Refused
from heliostat.fleet import offers
from heliostat.store import Command, FireTicks, Follow
from heliostat.trigger import due, stamp, tick_key, tick_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from heliostat.graph import Graph
    from heliostat.store import Store, Verb
    from heliostat.trigger import Schedule

LOG = logging.getLogger("heliostat.fire")
ACTOR = "schedule"


class Fire:
    """Looks every ``interval`` seconds, and after ``rarely`` of them which definition each schedule is to follow."""

    def __init__(
        self,
        store: Store,
        offered: Callable[[], Sequence[Graph]],
        new_run: Callable[[], int],
        *,
        interval: float = 1.0,
        rarely: float = 5.0,
    ) -> None:
        self._store, self._offered, self._new_run = store, offered, new_run
        self._interval, self._rarely = interval, rarely
        self._look_at, self._known = 0.0, 0
        self.next_tick: float | None = None  #: of all that it fires for, when it last looked

    def tick(self, now: float) -> float:
        """Start what is due, and come back when the next tick comes."""
        graphs = self._offered()
        if now >= self._look_at or len(graphs) != self._known:
            self._look_at, self._known = now + self._rarely, len(graphs)
            self._choose(graphs, now)
        mine = {graph.id: graph for graph in graphs if graph.trigger is not None}
        self.next_tick = None
        for schedule in self._schedules(mine.values()):
            if schedule.graph in mine and not schedule.paused:
                next_at = schedule.next_at
                if next_at <= now:
                    next_at = self._fire(schedule, now)
                self.next_tick = next_at if self.next_tick is None else min(self.next_tick, next_at)
        later = now + self._interval
        return later if self.next_tick is None else min(later, max(self.next_tick, now))

    def _schedules(self, graphs: Iterable[Graph]) -> list[Schedule]:
        names = {graph.name for graph in graphs}
        return self._store.schedules(names) if names else []

    def _fire(self, schedule: Schedule, now: float) -> float:
        """Start the runs of one schedule's ticks; answers when to look at it again."""
        graph = self._store.graph(schedule.graph)  # as it is registered: its trigger may be newer than this process
        if graph.trigger is None:
            return now + self._interval
        ticks, next_at = due(graph.trigger, schedule.next_at, now)
        starts = tuple(
            Start(self._new_run(), graph, tick_message(tick), stamp(tick), idempotency_key=tick_key(tick))
            for tick in ticks
        )
        fired = FireTicks(schedule, starts, next_at, max(ticks, default=None))
        return next_at if self._said(fired, now) else now + self._interval

    def _choose(self, graphs: Sequence[Graph], now: float) -> None:
        """Have schedules follow the newest definition that a worker offers, if that is one of these."""
        mine: dict[str, list[Graph]] = {}
        for graph in graphs:
            mine.setdefault(graph.name, []).append(graph)
        for schedule in self._schedules(graphs):
            own = mine[schedule.workflow]
            if [graph.id for graph in own] == [schedule.graph]:
                continue
            order = {graph.id: place for place, graph in enumerate(self._store.graphs())}
            newest = max(own, key=lambda graph: order.get(graph.id, -1))
            newer = order.get(newest.id, -1) > order.get(schedule.graph, -1)
            if newest.id != schedule.graph and (newer or not self._is_offered(schedule.graph, own)):
                self._said(Follow(schedule, newest), now)

    def _is_offered(self, graph: int, own: Sequence[Graph]) -> bool:
        if graph in [mine.id for mine in own]:
            return True
        it = self._store.graph(graph)
        return any(worker.state == "active" and offers(worker, it) for worker in self._store.workers())

    def _said(self, verb: Verb, now: float) -> bool:
        """Have a command carried out; a refusal is said in the log, and stops no worker."""
        try:
            self._store.accept([Command(verb, actor=ACTOR)], now)
        except Refused as error:
            LOG.warning("a schedule cannot go on: %s", error)
            return False
        return True
