"""The real engine on the memory store, in the thread of the test, with a clock that the test moves."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliostat import code, codec
from heliostat.clock import Ids
from heliostat.context import Context, Surroundings
from heliostat.engine import Engine
from heliostat.errors import BadInput, NotEnded, NotEndedInTime, nearest
from heliostat.executors.inline import InlineExecutor
from heliostat.graph import Kind
from heliostat.handle import RunHandle
from heliostat.loops.fire import Fire
from heliostat.registry import Registry
from heliostat.repositories.directory import DirectoryRepository
from heliostat.run import EPOCH, RunState
from heliostat.stores.memory import MemoryStore
from heliostat.testing.cast import StubPerformer, names, signature_of
from heliostat.testing.given import as_its_own, told_secret
from heliostat.vault import Vault
from heliostat.worker import Worker

if TYPE_CHECKING:
    import threading
    from datetime import timedelta
    from types import TracebackType

    from heliostat.executor import Answered, Work
    from heliostat.outcome import Outcome
    from heliostat.signature import Signature

    Stubs = dict[str, Callable[..., Any]]

FOREVER = float("inf")
ALONE = {"lease_seconds": codec.CENTURY}  #: nobody is there who could take it for lost


def engine(
    seed: int = 1, *, stubs: Mapping[str, Callable[..., Any]] | None = None, secrets: Mapping[str, str] | None = None
) -> VirtualEngine:
    """The real engine, in memory, on virtual time; as a context manager, its files go with it.

    The same seed gives the same ids and the same jitter. ``stubs`` are functions in the place of jobs and of other
    nodes that reach outside, by ``node`` or ``workflow.node``; there may be more later, in ``engine.stubs``.
    ``secrets`` are the values that functions read, by name, and later those in ``engine.secrets``.
    """
    return VirtualEngine(seed, dict(stubs or {}), dict(secrets or {}))


class VirtualEngine(Engine):
    """An engine whose time goes by only as it is told; what becomes due on the way is done in order.

    So are the ticks of workflows that were given to ``add``, but ``work`` does not wait for them.

    Functions run in the thread that calls ``advance``, ``work``, ``run`` or ``result(timeout=…)``, one after the other,
    and take no time. A job is never run: its stub in ``stubs`` answers what it would. A function with ``env=`` or
    ``requires=`` is called here too, with its variables set and with the packages of the test.
    """

    def __init__(self, seed: int, stubs: Stubs, secrets: dict[str, str]) -> None:
        self.stubs, self.secrets = stubs, secrets
        self._files = tempfile.TemporaryDirectory(prefix="heliostat-")
        self._clock = VirtualClock()
        store, files, chance = MemoryStore(), Path(self._files.name), random.Random(seed)  # noqa: S311 - a seed is the point
        registry = Registry(store.graph, lambda functions: _digest(tuple(functions)))
        repository, ids = DirectoryRepository(files / "artifacts"), Ids(self._clock, chance)
        vault = Vault(partial(told_secret, self.secrets))
        around = Surroundings(store, repository, self._clock, ids, files, registry.add, vault=vault)

        def new_worker(**options: Any) -> Worker:
            worker = Worker(store, registry, self._clock, chance, **{"name": "test", **ALONE, **options})
            perform = StandIns(registry, around, self.stubs)
            worker.executor = InlineExecutor(perform, self._clock, worker.bell)
            return worker  # without duties: what promotes and sweeps is whoever moves the time

        self._fire = Fire(store, lambda: registry.graphs, ids.run)
        super().__init__(store, registry, around, new_worker, actor="test")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if kind is None:
            self._check_stubs()

    def close(self) -> None:
        """Stop, and remove all files."""
        super().close()
        self._files.cleanup()

    def advance(self, duration: str | timedelta | float) -> None:
        """Move time, and do all that becomes due on the way, each thing at its time."""
        until = self._clock.now() + codec.seconds(duration, "advance")
        with self._working:
            self._play(lambda: False, until)
            self._clock.move(until)

    def work(
        self,
        until: RunHandle | str | Callable[[], bool] | None = None,
        *,
        on_tick: Callable[[], None] | None = None,
    ) -> None:
        """Work until a run has ended, until ``"idle"``, or until a condition holds; time leaps over what is waited for.

        Raises NotEnded or TimeoutError if that never comes.
        """
        idle = until in (None, "idle")
        if idle:
            self._see_polls()
        over = None if idle else self._condition(until, self._here())

        def done() -> bool:
            if on_tick is not None:
                on_tick()
            return over is not None and over()

        with self._working:
            if self._play(done) or idle:
                return
        if isinstance(until, RunHandle):
            raise NotEnded(until.id, _first(until))
        raise TimeoutError("work: nothing more happens, and what until= asks for does not hold")

    def _wait(
        self, run: RunHandle, done: Callable[[], bool], seconds: float | None, on_look: Callable[[], object]
    ) -> None:
        """Nobody else is there, so the time that is waited is worked through here."""
        until = FOREVER if seconds is None else self._clock.now() + seconds

        def over() -> bool:
            on_look()
            return done()

        with self._working:
            if self._play(over, until):
                return
            if seconds is None:
                raise NotEnded(run.id, _first(run))
            self._clock.move(until)
        raise NotEndedInTime(run.id, _first(run), seconds)

    def _here(self) -> Worker:
        self._worker = self._worker or self.worker()
        return self._worker

    def _play(self, over: Callable[[], bool], until: float = FOREVER) -> bool:
        """Do what is ready, then leap to what comes next, until it is over or nothing comes; answers whether it is."""
        worker = self._here()
        while not over():
            now, settled = self._clock.now(), worker.settled
            self._fire.tick(now)
            due, swept = self.store.promote(now), self.store.sweep(now)
            worker.ring()
            try:
                worker.tick(now)
            except BaseException:  # the test's affair; what was begun is handed back, and can be done again
                self.stop(grace=0.0)
                raise
            if swept or worker.settled > settled or not worker.spent:
                continue
            if self._fire.next_tick is not None and (due is not None or until < FOREVER):
                due = min(self._fire.next_tick, FOREVER if due is None else due)
            if due is None or due > until:
                return False
            self._clock.move(due)
        return True

    def _see_polls(self) -> None:
        """Refuse to wait for ever."""
        for graph in self.registry.graphs:
            if graph.polled and self.store.runs(graph.name, RunState.active, limit=1):
                polled = ", ".join(sorted(graph.polled))
                raise BadInput(f"work: {graph.name} sends to {polled} for ever, so it is never idle; advance the time")

    def _check_stubs(self) -> None:
        """Raise BadInput for a stub that no node of the workflows here has: what it was meant for was really called."""
        known = {name for graph in self.registry.graphs for node in graph for name in names(graph, node)}
        flows = {graph.name for graph in self.registry.graphs}
        for stub in self.stubs:
            flow, dot, _ = stub.rpartition(".")
            if stub not in known and (not dot or flow in flows):
                raise BadInput(f"stubs: no workflow here has a node {stub!r}{nearest(stub, known)}")


class VirtualClock:
    """A clock that goes by as it is told; ``clock.Clock`` is the contract."""

    def __init__(self) -> None:
        self._time = EPOCH

    def now(self) -> float:
        """The time."""
        return self._time

    def move(self, to: float) -> None:
        """Go forward to a time."""
        self._time = max(self._time, to)

    def wait(self, bell: threading.Event, seconds: float) -> bool:
        """Whoever waits has nothing else to do, so the time is over."""
        if not bell.is_set():
            self._time += max(0.0, seconds)
        return bell.is_set()


class StandIns(StubPerformer):
    """Calls stubs in the place of nodes; a job without one is a mistake in the test, and no failure of its run."""

    def __init__(self, registry: Registry, around: Surroundings, stubs: Stubs) -> None:
        super().__init__(registry, around, within=self._surrounded)
        self._stubs = stubs

    def __call__(self, work: Work) -> Answered:
        """Perform, after a look whether it can be."""
        self._signature(work)
        return super().__call__(work)

    def _surrounded(self, work: Work, context: Context) -> AbstractContextManager[None]:
        """A stub needs nothing of what its node would have around it."""
        stub = self._signature(work)
        return as_its_own(work, context, self._around.vault) if stub is None else nullcontext()

    def _called(self, work: Work, signature: Signature | None, context: Any) -> Outcome:
        stub = self._signature(work)
        if stub is not None and stub.message is not None and work.message is None:
            run = work.attempt.run
            work.message = self._around.store.messages((run,)).get(run)
        return super()._called(work, stub or signature, context)

    def _part(self, work: Work, signature: Signature | None, context: Any) -> Outcome:
        return super()._part(work, self._signature(work), context)

    def _signature(self, work: Work) -> Signature | None:
        graph, node = work.graph, work.node
        found = next((name for name in reversed(names(graph, node)) if name in self._stubs), None)
        if found is not None:
            return signature_of(graph, node, self._stubs[found])
        if node.kind is Kind.job:
            raise BadInput(
                f"{node.name} is a job and reaches outside; give a function in its place, which answers what the job "
                f"would: engine.stubs[{node.name!r}] = function{nearest(node.name, self._stubs)}"
            )
        return None


def _first(run: RunHandle) -> str:
    return run.explain(limit=1).partition("\n")[0]


@cache
def _digest(functions: tuple[object, ...]) -> str:
    return code.digest(functions)
