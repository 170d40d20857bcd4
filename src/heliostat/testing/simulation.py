"""Seeded simulation: the real planner, ledger, worker and loops, on the memory store, under any interleaving.

Any order of store transactions, a crash before and after each, an answer that is not heard, a worker that stands still
for longer than its lease: a seed decides all of it, and the same seed gives the same history.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from heliostat.clock import Ids
from heliostat.context import Surroundings
from heliostat.engine import Engine
from heliostat.errors import StoreUnavailable
from heliostat.executors.inline import InlineExecutor
from heliostat.loops.promote import Promote
from heliostat.loops.rescue import Rescue
from heliostat.loops.sweep import Sweep
from heliostat.perform import Performer
from heliostat.registry import Registry
from heliostat.repositories.directory import DirectoryRepository
from heliostat.stores.memory import Tables
from heliostat.testing.stage import LEASE, Actor, Stage
from heliostat.worker import Worker

if TYPE_CHECKING:
    from heliostat.queue import WorkerInfo
    from heliostat.store import Store
    from heliostat.workflow import Workflow

Script = Callable[[Engine], object]
Check = Callable[[Tables], object]

SHRINKS = 25  #: plays spent on a shorter history of a failure
LINES = 60  #: lines of it that are shown


class SimulationFailed(AssertionError):
    """A seed under which something went wrong; the message has its number, what, and how it came about."""


@dataclass(frozen=True)
class Play:
    """What is played, by how many workers, and what must hold in the end.

    The script is begun anew when its caller is lost, so it uses idempotency keys.
    """

    workflows: Sequence[Workflow]
    script: Script
    workers: int
    files: Path
    check: Check | None = None

    def run(self, seed: int, muted: frozenset[int] = frozenset()) -> Stage:
        """Play it once, with the faults of ``muted`` left out."""
        stage = Stage(seed, muted)
        stage.enter("caller", self._call)
        for _ in range(self.workers):
            stage.enter("worker", self._work)
        stage.play()
        if (check := self.check) is not None:
            stage.see(lambda: check(stage.tables))
        return stage

    def _call(self, actor: Actor) -> None:
        try:
            self.script(self._engine(actor))
        except StoreUnavailable:  # a caller repeats what was not answered
            self._call(actor)

    def _work(self, actor: Actor) -> None:
        worker = self._engine(actor).worker(name=actor.name)
        worker.serve(lambda: actor.stage.rested() or actor.stage.retires())
        if not actor.stage.over:
            actor.note("retires")
            worker.stop(grace=LEASE)

    def _engine(self, actor: Actor) -> Engine:
        """What ``compose`` puts together, but for the executor: everything in the actor's own thread."""
        store = cast("Store", actor.store)
        repository, ids = DirectoryRepository(self.files), Ids(actor, actor.chance)
        around = Surroundings(store, repository, actor, ids, self.files)
        registry = Registry(store.graph)
        for workflow in self.workflows:
            registry.add(workflow)

        def new_worker(name: str) -> Worker:
            worker = Worker(store, registry, actor, actor.chance, name=name, lease_seconds=LEASE)
            worker.executor = InlineExecutor(Performer(registry, around), actor, worker.bell)
            rescue = Rescue(store, LEASE, worker.offer, worker.adopt, _seen_to_be_gone)
            worker.loops = [Promote(store), rescue, Sweep(store)]
            return worker

        return Engine(store, registry, around, new_worker)


def simulate(
    workflow: Workflow,
    message: object = None,
    *,
    seeds: Iterable[int] = range(100),
    workers: int = 3,
    script: Script | None = None,
    others: Sequence[Workflow] = (),
    check: Check | None = None,
) -> None:
    """Run a workflow under every seed; raises SimulationFailed for the first at which something goes wrong.

    What must hold at every commit and in the end is in ``invariants``; ``check`` looks at the tables for more.
    ``script`` starts and sends instead of one start with ``message``; ``others`` are workflows that are started inside.
    """

    def start(engine: Engine) -> None:
        engine.start(workflow, message, idempotency_key="simulated")

    with tempfile.TemporaryDirectory() as files:
        play = Play((workflow, *others), script or start, workers, Path(files), check)
        for seed in seeds:
            if (failure := play.run(seed).failure) is not None:
                raise SimulationFailed(_story(seed, _shortest(play, seed))) from failure


def _seen_to_be_gone(other: WorkerInfo) -> bool:
    """On a stage nobody looks at processes: who is lost is missed after a lease."""
    del other
    return False


def _shortest(play: Play, seed: int) -> Stage:
    """The same seed with as many faults left out as the failure can do without."""
    best, muted = play.run(seed), frozenset[int]()
    for fault in reversed(best.faults[-SHRINKS:]):
        other = play.run(seed, muted | {fault})
        if other.failure is not None and len(other.history) <= len(best.history):
            best, muted = other, muted | {fault}
    return best


def _story(seed: int, stage: Stage) -> str:
    head = f"seed {seed}: {type(stage.failure).__name__}: {stage.failure}"
    left_out = len(stage.history) - LINES
    lines = [f"({left_out} earlier lines)", *stage.history[left_out:]] if left_out > 0 else stage.history
    return "\n".join([head, *lines])
