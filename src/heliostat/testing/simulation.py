"""Seeded simulation: the real planner, ledger, worker and loops, on the memory store, under any interleaving.

Any order of store transactions, and any of ``faults.FAULTS`` at each: a seed decides all of it, and the same seed gives
the same history. Users test their workflows with it, and so is the engine itself tested.
"""

from __future__ import annotations

import itertools
import logging
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from heliostat import code
from heliostat.clock import Ids
from heliostat.codec import whole
from heliostat.context import Surroundings
from heliostat.engine import Engine
from heliostat.errors import BadInput, Refused, StoreUnavailable
from heliostat.executors.inline import InlineExecutor
from heliostat.handle import MOST, RunHandle
from heliostat.loops.fire import Fire
from heliostat.loops.promote import Promote
from heliostat.loops.rescue import Rescue
from heliostat.loops.sweep import Sweep
from heliostat.registry import Registry
from heliostat.repositories.directory import DirectoryRepository
from heliostat.run import EPOCH, public_id
from heliostat.store import Command, Register
from heliostat.stores.memory import MemoryStore
from heliostat.testing.cast import Cast, StubPerformer
from heliostat.testing.faults import FAULTS, chosen
from heliostat.testing.replay import Asked, failed
from heliostat.testing.stage import LEASE, Stage
from heliostat.worker import AWAY_SECONDS, Worker

if TYPE_CHECKING:
    from heliostat.clock import Clock
    from heliostat.graph import Graph
    from heliostat.queue import WorkerInfo
    from heliostat.review import Review
    from heliostat.store import Reference, Store
    from heliostat.testing.stage import Actor, Cut
    from heliostat.workflow import Workflow

Script = Callable[[Engine], object]
Check = Callable[[RunHandle], object]


@dataclass(frozen=True, slots=True)
class Simulated:
    """What was gone through: seeds, transactions, and how many faults of each kind."""

    seeds: int
    transactions: int
    faults: dict[str, int]


@dataclass(frozen=True)
class Play:
    """What is played, by how many workers, and what must hold in the end.

    The script is begun anew when its caller is lost, so it uses idempotency keys. ``check`` is asked about each run of
    the first workflow.
    """

    cast: Cast
    script: Script
    files: Path
    workers: int = 3
    check: Check | None = None
    faults: Sequence[str] = tuple(FAULTS)
    before: Callable[[], object] | None = None
    _digest: Callable[[tuple[object, ...]], str] = field(default_factory=lambda: cache(code.digest))
    _number: Iterator[int] = field(default_factory=itertools.count)

    def run(self, seed: int, cut: Cut | None = None) -> Stage:
        """Play it once, or what a cut leaves of it."""
        stage, files = Stage(seed, self.faults, cut), self.files / str(next(self._number))
        if self.before is not None:
            self.before()
        reader = MemoryStore()
        reader.tables = stage.tables
        for workflow in self.cast:  # known from the beginning, so that nobody makes another version of it known
            reader.accept([Command(Register(workflow.graph))], EPOCH)
        stage.enter("caller", lambda actor: self._call(actor, files))
        for _ in range(self.workers):
            stage.enter("worker", lambda actor: self._work(actor, files))
        if any(workflow.graph.reviews for workflow in self.cast):
            stage.enter("person", lambda actor: self._decide(actor, files))
        stage.play()
        engine = self._engine(reader, stage.clock(), random.Random(seed), files, stage)  # noqa: S311 - it draws nothing
        if stage.failure is None:
            stage.see(lambda: self._look(engine))
        else:
            stage.history += _left(engine)
        return stage

    def _look(self, engine: Engine) -> None:
        main = next(iter(self.cast))
        runs = sorted(engine.runs(main, limit=MOST), key=lambda run: run.key)
        assert runs, f"the script started no run of {main.name}"
        for run in runs if self.check is not None else ():
            assert self.check is not None
            assert self.check(run) is not False, f"check answered False for {run!r}"

    def _call(self, actor: Actor, files: Path) -> None:
        engine = self._engine(cast("Store", actor.store), actor, actor.chance, files, actor.stage)
        while True:
            try:
                self.script(engine)
            except StoreUnavailable:  # a caller repeats what was not answered
                actor.wait(None, AWAY_SECONDS * actor.chance.random())
            else:
                return

    def _work(self, actor: Actor, files: Path) -> None:
        engine = self._engine(cast("Store", actor.store), actor, actor.chance, files, actor.stage)
        worker = engine.worker(name=actor.name)
        worker.serve(lambda: actor.stage.rested() or actor.leaving)
        if not actor.stage.over:
            actor.note("retires")
            worker.stop(grace=LEASE)

    def _decide(self, actor: Actor, files: Path) -> None:
        """Be the people who are asked: one after the other is claimed, given back, decided, or left to its deadline."""
        engine, chance = self._engine(cast("Store", actor.store), actor, actor.chance, files, actor.stage), actor.chance
        left: set[Reference] = set()
        while not actor.stage.rested():
            pause = LEASE * chance.random()
            with suppress(StoreUnavailable, Refused):  # somebody was faster, or the time was over
                reviews = engine.reviews()
                if wanted := [review for review in reviews if (review.run, review.number) not in left]:
                    review = chance.choice(wanted)
                    if not _act(engine, review, chance):
                        left.add((review.run, review.number))
                elif reviews:
                    pause = max(pause, min(review.due_at or 0.0 for review in reviews) - actor.now())
            actor.wait(None, pause)

    def _engine(self, store: Store, clock: Clock, chance: random.Random, files: Path, stage: Stage) -> Engine:
        """What ``compose`` puts together, but for the executor: everything in the actor's own thread."""
        repository, ids = DirectoryRepository(files / "artifacts"), Ids(clock, chance)

        def offer(workflow: Workflow) -> None:
            try:
                self.cast.staged(workflow)
            except BadInput as error:
                stage.fail(error)
                raise

        around = Surroundings(store, repository, clock, ids, files, offer)
        registry = Registry(store.graph, lambda functions: self._digest(tuple(functions)))
        for workflow in self.cast:
            registry.add(workflow)

        def new_worker(name: str) -> Worker:
            worker = Worker(store, registry, clock, chance, name=name, lease_seconds=LEASE)
            worker.executor = InlineExecutor(StubPerformer(registry, around), clock, worker.bell)
            rescue = Rescue(store, LEASE, worker.offer, worker.adopt, _seen_to_be_gone)
            worker.loops = [Promote(store), rescue, Sweep(store), Fire(store, lambda: worker.lasting, ids.run)]
            return worker

        return _StagedEngine(store, registry, around, new_worker, cast=self.cast)


class _StagedEngine(Engine):
    """An engine whose workflows are those on stage, also where a script names them as they were written."""

    def __init__(self, *args: Any, cast: Cast) -> None:
        super().__init__(*args)
        self._cast = cast

    def add(self, workflow: Workflow) -> Graph:
        return super().add(self._cast.staged(workflow))


def simulate(
    workflow: Workflow,
    message: object = None,
    *,
    seeds: int | Iterable[int] = 1000,
    first: int = 0,
    faults: str | Iterable[str] = "all",
    workers: int = 3,
    check: Check | None = None,
    stubs: Mapping[str, Callable[..., Any]] | None = None,
    others: Sequence[Workflow] = (),
    script: Script | None = None,
    before: Callable[[], object] | None = None,
    on_seed: Callable[[int], object] | None = None,
) -> Simulated:
    """Run a workflow under every seed; raises SimulationFailed for the first at which something goes wrong.

    The engine is the real one, on the memory store; time is virtual. A seed decides the order of transactions and the
    faults. Whatever it is, every run must end, and all that was accepted must be in effect once; ``check`` is given
    each run of the workflow, and raises or answers False if it did not come out as it should.

    Where there is no ``message``, a workflow with a trigger starts by itself: a play goes on until three ticks of each
    schedule have had their runs.

    ``seeds`` is a number of seeds, from ``first`` on, or the seeds themselves; ``faults`` are words of
    ``testing.FAULTS``, or ``"all"`` or ``"none"``; ``workers`` is how many there are to begin with. ``stubs`` are
    functions in the place of jobs and other nodes that reach outside, by name. ``others`` are workflows that are
    started too. ``script(engine)`` starts and sends instead of one start with ``message``; it is begun anew when its
    caller is lost, so it uses idempotency keys. ``before()`` is called before every play, to make anew what functions
    keep beside the engine. ``on_seed`` is told each seed that held. Raises BadInput for what cannot be simulated.
    """
    __tracebackhide__ = True  # pytest shows the test, not this
    cast_, kinds = Cast((workflow, *others), stubs), chosen(faults)
    if isinstance(seeds, int):
        first, seeds = whole(first, "first", 0, 1 << 62), whole(seeds, "seeds", 1, MOST)
        seeds = range(first, first + seeds)

    def start(engine: Engine) -> None:
        if workflow.trigger is None or message is not None:
            engine.start(workflow, message, idempotency_key="simulated")

    done, transactions, struck = 0, 0, Counter[str]()
    with tempfile.TemporaryDirectory() as files, _quiet():
        play = Play(cast_, script or start, Path(files), whole(workers, "workers", 1, 100), check, kinds, before)
        for seed in seeds:
            stage = play.run(seed)
            if isinstance(stage.failure, BadInput):
                raise stage.failure
            if stage.failure is not None:
                asked = Asked(workflow, message, script, check, stubs or {}, others, workers, faults, before)
                raise failed(seed, stage, play.run, asked) from stage.failure
            done, transactions = done + 1, transactions + stage.steps
            struck.update(stage.faults.values())
            if on_seed is not None:
                on_seed(seed)
    return Simulated(done, transactions, {kind: struck[kind] for kind in kinds})


@contextmanager
def _quiet() -> Iterator[None]:
    """Nobody is warned of what was meant to go wrong."""
    log = logging.getLogger("heliostat.worker")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _act(engine: Engine, review: Review, chance: random.Random) -> bool:
    """Do something with a review; False if nobody will."""
    run, what = engine.find(public_id(review.run)), chance.random()
    asks = run.graph[review.node].review
    assert asks is not None
    if what < 0.2:
        run.claim(review)
    elif what < 0.4 and review.claimed_by is not None:
        run.release(review)
    elif what < 0.6 and review.due_at is not None:
        return False
    else:
        run.decide(review, chance.choice(asks.choices))
    return True


def _seen_to_be_gone(other: WorkerInfo) -> bool:
    """On a stage nobody looks at processes: who is lost is missed after a lease."""
    del other
    return False


def _left(engine: Engine) -> list[str]:
    """What the runs that have not ended wait for, as lines of the history."""
    lines = []
    for run in engine.runs(limit=MOST):
        if not run.state.final:
            with suppress(Exception):  # the tables may contradict one another
                lines += [f"{'':9} in the end {line}" for line in run.explain(limit=5).splitlines()]
    return lines
