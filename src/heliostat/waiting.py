"""Waiting for a run without working on it. Where nobody could go on with it, that is said at once."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from heliostat.errors import NotEnded, NotEndedInTime
from heliostat.fleet import SILENT_SECONDS, offers, others, serves, silent
from heliostat.graph import Arity
from heliostat.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliostat.clock import Clock
    from heliostat.graph import Node
    from heliostat.handle import RunHandle
    from heliostat.store import Store
    from heliostat.worker import Worker

LOG = logging.getLogger("heliostat.engine")
PAUSES = (0.005, 0.25)  #: seconds between looks at the run, growing
ROUND_SECONDS = 1.0  #: between looks at who is there
TELL_SECONDS = 5.0  #: without anything happening, before somebody who works on a run is told what it waits for
MANY = 100  #: tasks that are looked at to see whether somebody takes them


def wait(
    run: RunHandle,
    done: Callable[[], bool],
    seconds: float | None,
    *,
    clock: Clock,
    nobody: Callable[[], str | None],
    on_look: Callable[[], object],
) -> None:
    """Look until it is done. Raises NotEndedInTime after so many seconds, and NotEnded where ``nobody`` says why.

    Workers that have only just gone may be about to come again, so that is waited for, unless it was so at the outset.
    """
    bell, began = threading.Event(), clock.now()
    pause, look_at, since = PAUSES[0], began, began - SILENT_SECONDS
    while not done():
        on_look()
        now = clock.now()
        if now >= look_at:
            why, look_at = nobody(), now + ROUND_SECONDS
            since = now if why is None else since
            if why is not None and now - since >= SILENT_SECONDS:
                raise NotEnded(run.id, why)
        left = None if seconds is None else began + seconds - now
        if left is not None and left <= 0:
            raise NotEndedInTime(run.id, run.explain(limit=1).partition("\n")[0], seconds or 0.0)
        clock.wait(bell, pause if left is None else min(pause, left))
        pause = min(pause * 2, PAUSES[1])


class Silence:
    """What breaks the silence where an engine works on a run and nothing happens: it tells once what that waits for."""

    def __init__(self, run: RunHandle, worker: Worker, clock: Clock) -> None:
        self._run, self._worker, self._clock = run, worker, clock
        self._settled, self._since, self._told = -1, 0.0, False

    def look(self) -> None:
        """Tell, if it is time; this is asked at every turn."""
        worker, now = self._worker, self._clock.now()
        if worker.settled != self._settled:
            self._settled, self._since, self._told = worker.settled, now, False
        elif not self._told and now - self._since >= TELL_SECONDS:
            self._told = not worker.holds(self._run.key)
            if self._told:
                LOG.warning("run %s waits: %s", self._run.id, self._run.explain(limit=1).partition("\n")[0])


def stranded(store: Store, run: RunHandle, now: float, idle: str | None) -> str | None:
    """Why nobody will go on with a run, if that is so; ``idle`` is a worker that does not work at present."""
    label = run.graph.label
    there = [worker for worker in store.workers() if worker.state in ("active", "draining")]
    there = [worker for worker in there if worker.id != idle and not silent(worker, now)]
    able = [worker for worker in there if worker.state == "active" and offers(worker, run.graph)]
    if any(not worker.queues for worker in able):  # takes from all; else the run's own tasks have to be looked at
        return None
    holding = {task.worker for task in store.tasks(run.key, TaskState.running, limit=MANY)}
    if any(worker.id in holding for worker in there):
        return None
    if not able and run.graph.data:
        return "no worker is there; work on it here with engine.work(until=run), or start one"
    if not able:
        nobody = f"no worker offers {label}{others(there, run.graph)}"
        return f"{nobody}; work on it here with engine.work(until=run), or start a worker"
    queues = {task.queue for task in store.tasks(run.key, TaskState.ready, limit=MANY)}
    if queues and not any(serves(worker, queue) for worker in able for queue in queues):
        return f"no worker that offers {label} takes from queue {', '.join(sorted(queues))}"
    return None


def settled(store: Store, run: RunHandle, node: Node) -> bool:
    """Whether what a node gives is there, or will not come any more."""
    if node.arity is Arity.handler:
        return store.first(run.key, node.name) is not None
    first = (run.key, run.graph.number(node.name))
    found = store.results([first]).get(first)
    if found is None or not found.state.final:
        return False
    return node.arity is Arity.once or all(item.state.final for item in store.items(*first))


def gave(store: Store, run: int, node: Node) -> bool:
    """Whether a node gave something, if only that there was nothing to do."""
    counts = store.states(run).get(node.name, {})
    return bool(counts.get(TaskState.succeeded) or counts.get(TaskState.skipped))
