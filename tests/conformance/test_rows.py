"""Every database does what memory does: the same random history, side by side, leaves the same rows.

The memory store is the reference. A seed makes a history of starts, messages, leases, outcomes with effects of all
kinds, pauses, limits, losses of workers and ends; each call must answer alike everywhere, and after it all that can
be read must be alike.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heliostat.artifact import Artifact
from heliostat.effects import Effect, End, Keep, Map, Put, Send, Start
from heliostat.errors import Refused
from heliostat.graph import Arity, Edge, Graph, Kind, Node, On, check
from heliostat.outcome import Failed, Outcome, Released, Skipped, Snoozed, Succeeded
from heliostat.planner import counts_failures
from heliostat.queue import Terms, WorkerInfo
from heliostat.run import RunState
from heliostat.store import KEEP, KEEP_RATE, Ask, Command, Configure, Pause, Register, SetNode, SetQueue, Store
from heliostat.stores.known import Known
from heliostat.stores.memory import MemoryStore
from heliostat.stores.postgres import PostgresStore
from heliostat.stores.sqlite import SqliteStore
from heliostat.task import Attempt, AttemptState, TaskState
from tests.postgres_server import drop_database, fresh_database

STEPS = 60
WORKERS = ("w1", "w2", "w3")

once, each, handler = Arity.once, Arity.each, Arity.handler

FLOW = Graph(
    "flow",
    (
        Node("list"),
        Node("pick", queue="fast"),
        Node("item", each, edges=(Edge("list", "x", each=True),), queue="slow", limit=3),
        Node("again", each, edges=(Edge("item", "x", each=True), Edge("pick", "p", optional=True))),
        Node("left", edges=(Edge("pick", choice="left"),), may_fail=True),
        Node("right", edges=(Edge("pick", choice="right"),)),
        Node("either", edges=(Edge("left", "a", optional=True), Edge("right", "b", optional=True))),
        Node("mend", edges=(Edge("item", on=On.failed),)),
        Node("tidy", edges=(Edge("again", on=On.ended), Edge("either", "e", optional=True))),
        Node("sorry", edges=(Edge("right", on=On.failed),), priority=3),
        Node("join", edges=(Edge("again", "a"), Edge("list", "l"), Edge("left", "b", optional=True))),
        Node("last", epilogue=On.ended),
        Node("alarm", epilogue=On.failed),
    ),
    on_failure="finish",
)

TALK = Graph(
    "talk",
    (
        Node("open", takes_message=True),
        Node("in", handler, entry=True),
        Node("one", handler, serial=True, priority=1),
        Node("by", handler, serial="k", queue="slow"),
        Node("gated", handler, edges=(Edge("open", "o"), Edge("in", "i"))),
        Node("serial_gated", handler, serial=True, edges=(Edge("open", "o", optional=True),)),
        Node("gather", handler, serial=True),
        Node("then", handler, limit=2),
        Node("after", edges=(Edge("one", "x", optional=True), Edge("open", "o"))),
        Node("work", kind=Kind.job, edges=(Edge("in", "i"),)),
        Node("end", epilogue=On.ended, queue="fast"),
    ),
    version="1.0",
    stays_open=True,
)

SMALL = Graph("small", (Node("a"), Node("b", kind=Kind.job, edges=(Edge("a"),), rescues=0)))

GRAPHS = (FLOW, TALK, SMALL)
HANDLERS = tuple(node.name for node in TALK if node.arity is handler)
JOINS = ("in", "one", "gated", "serial_gated", "gather", "then")

for graph in GRAPHS:
    check(graph)
assert counts_failures(FLOW, FLOW["mend"])


class History:
    """A random history, told to several stores at once; the first is the reference."""

    def __init__(self, seed: int, stores: list[Any]) -> None:
        self.random = random.Random(seed)
        self.stores = stores
        self.now = 1000.0
        self.runs: list[int] = []
        self.held: list[tuple[str, Attempt]] = []
        self.told: list[tuple[str, Attempt, Outcome]] = []
        self.beats = dict.fromkeys(WORKERS, 0)
        self.log: deque[tuple[str, object, object]] = deque(maxlen=8)
        self.names = 0

    def all(self, what: str, call: Callable[[Store], Any], *given: object) -> Any:
        """Do the same everywhere; the answers, or the refusals, must be the same."""
        answers = [_answer(call, store) for store in self.stores]
        self.log.append((what, given, answers[0]))
        for store, answer in zip(self.stores[1:], answers[1:], strict=True):
            assert answer == answers[0], f"{type(store).__name__}: {what}\n{self._story()}"
        return answers[0]

    def _story(self) -> str:
        """What was done last."""
        return "\n".join(f"{what} {given!r:.1000} -> {answer!r:.1000}" for what, given, answer in self.log)

    # deeds

    def step(self) -> None:
        deeds = {
            self.start: 6,
            self.send: 8,
            self.lease: 10,
            self.settle: 22,
            self.tell_again: 2,
            self.promote: 4,
            self.end: 1,
            self.pause: 2,
            self.limit: 2,
            self.beat: 3,
            self.lose: 2,
            self.sweep: 1,
        }
        self.now += self.random.choice((0.0, 0.5, 3.0))
        self.random.choices(list(deeds), list(deeds.values()))[0]()

    def start(self) -> None:
        verbs = [self._start() for _ in range(self.random.choice((1, 1, 3)))]
        if self.random.random() < 0.1:
            verbs.append(verbs[0])
        self._accept([Command(verb) for verb in verbs])
        self.runs += [verb.run for verb in verbs if verb.run not in self.runs]

    def _start(self, then: str | None = None) -> Start:
        graph = self.random.choice(GRAPHS)
        self.names += 1
        key = self.random.choice((None, None, None, "k1", "k2"))
        to = self.random.choice((None, None, "one", "gated")) if graph is TALK else None
        message = self.random.choice(('{"k":1}', '{"k":2}', "7"))
        return Start(
            (1 << 50) + self.names, graph, message, f"n{self.names}", self.random.randint(-1, 1), then, key, to
        )

    def send(self) -> None:
        if self.runs:
            run = self.random.choice([*self.runs, 77])
            self._accept([Command(self._send(), run, reason="why") for _ in range(self.random.randint(1, 3))])

    def _send(self) -> Send:
        r = self.random
        node, message = r.choice(HANDLERS), r.choice(('{"k":1}', '{"k":2}', '{"k":"x"}', "[]"))
        due_at = self.now + r.choice((1.0, 5.0)) if r.random() < 0.2 else None
        key = r.choice((None, None, None, "a", "b"))
        return Send(node, message, due_at, key, r.choice((None, None, 0, 5)))

    def end(self) -> None:
        if self.runs:
            run = self.random.choice(self.runs)
            state = self.random.choice((RunState.succeeded, RunState.cancelled))
            self._accept([Command(End(state, "1" if state is RunState.succeeded else None), run, reason="enough")])

    def pause(self) -> None:
        if self.runs:
            self._accept([Command(Pause(self.random.random() < 0.5), self.random.choice(self.runs))])

    def limit(self) -> None:
        r = self.random
        limit, paused = r.choice((None, 1, 2, KEEP, 0)), r.choice((None, None, False, True))
        if r.random() < 0.5:
            rate = r.choice((KEEP_RATE, KEEP_RATE, None, "2/s", "30/m", "2/x"))
            verb: Any = SetQueue(r.choice(("default", "slow", "fast", "none")), limit, paused, rate, r.random() < 0.2)
            if r.random() < 0.3:
                terms = Terms(r.choice((None, 1, 2, 0)), r.choice((None, "2/s", "30/m", "2/x")))
                verb = Configure(r.choice(("default", "slow", "new", "a b")), terms)
        else:
            graph = r.choice((FLOW, TALK))
            verb = SetNode(graph.id, r.choice(graph.nodes).name, limit, paused)
        self._accept([Command(verb)])

    def _accept(self, commands: list[Command]) -> None:
        now = self.now
        self.all("accept", lambda store: store.accept(commands, now), commands)

    def lease(self) -> None:
        worker, ask, now = self._worker(), self._ask(), self.now
        leased = self.all("lease", lambda store: store.lease(ask._replace(worker=worker), now), worker, ask)
        self.held += [(worker, attempt) for attempt in leased]

    def _ask(self) -> Ask:
        r = self.random
        offers = frozenset(graph.id for graph in GRAPHS if r.random() < 0.9)
        queues = frozenset({"default", "slow"}) if r.random() < 0.1 else None
        return Ask(self._worker(), offers, r.randint(0, 12), queues, r.randint(0, 5), r.choice((0, 0, 4)))

    def _worker(self) -> str:
        return self.random.choice(WORKERS)

    def settle(self) -> None:
        worker, now = self._worker(), self.now
        mine = [attempt for holder, attempt in self.held if holder == worker]
        chosen = self.random.sample(mine, self.random.randint(0, len(mine)))
        outcomes = [(attempt, self._outcome(attempt)) for attempt in chosen]
        ask = self._ask()._replace(worker=worker) if self.random.random() < 0.7 else None
        batch = self.all("settle", lambda store: store.settle(worker, outcomes, now, ask), worker, outcomes, ask)
        if isinstance(batch, tuple):
            return
        self.held = [pair for pair in self.held if pair not in [(worker, attempt) for attempt in chosen]]
        self.held += [(worker, attempt) for attempt in batch.leased]
        self.told = self.told[-5:] + [(worker, *pair) for pair in outcomes]

    def tell_again(self) -> None:
        """The same call again, as after a lost answer; or from a worker that holds nothing any more."""
        if self.told:
            worker, attempt, outcome = self.random.choice(self.told)
            if self.random.random() < 0.3:
                outcome = Succeeded("5")
            now = self.now
            self.all("again", lambda store: store.settle(worker, [(attempt, outcome)], now), worker, attempt, outcome)

    def _outcome(self, attempt: Attempt) -> Outcome:
        r = self.random
        kind = r.choices(("good", "skip", "snooze", "fail", "retry", "release"), (70, 4, 5, 5, 6, 4))[0]
        effects = self._effects(attempt) if attempt.graph == TALK.id and not attempt.epilogue else ()
        effects += self._kept()
        if kind == "good":
            width = r.choice((0, 1, 2, 5)) if attempt.node in ("list", "again") else None
            choice = r.choice(("left", "right", None)) if attempt.node == "pick" else None
            if attempt.node == "item":
                width = None
            return Succeeded(r.choice(("null", '"x"', "[1,2]")), effects, choice, width)
        if kind == "skip":
            return Skipped("nothing to do", effects)
        if kind == "snooze":
            return Snoozed(self.now + r.choice((0.1, 4.0)), effects)
        if kind == "fail":
            return Failed("it broke", None, r.choice((AttemptState.failed, AttemptState.timed_out)))
        return Failed("not yet", self.now + 2.0) if kind == "retry" else Released()

    def _kept(self) -> tuple[Effect, ...]:
        r = self.random
        found: list[Effect] = [
            Put(str(r.randint(0, 9)), r.choice((None, "a", "b"))) for _ in range(r.choice((0, 0, 1, 3)))
        ]
        if r.random() < 0.1:
            found.append(Keep(Artifact("map.png", "sha256:" + "0" * 64, 12, "image/png", ("map", "é"))))
        return tuple(found)

    def _effects(self, attempt: Attempt) -> tuple[Effect, ...]:
        r = self.random
        found: list[Effect] = []
        if r.random() < 0.25:
            found.append(self._send())
        if r.random() < 0.15:
            members = tuple(r.choice(('{"k":1}', '{"k":2}')) for _ in range(r.choice((0, 1, 3))))
            found.append(Map(r.choice(HANDLERS), members, r.choice(JOINS)))
        if r.random() < 0.12:
            found.append(self._start(r.choice((None, *JOINS))))
        if r.random() < 0.03:
            state = r.choice((RunState.succeeded, RunState.cancelled))
            found.append(End(state, "9" if state is RunState.succeeded else None, "it said so"))
        self.runs += [effect.run for effect in found if isinstance(effect, Start)]
        return tuple(found)

    def promote(self) -> None:
        now = self.now
        self.all(f"promote {now}", lambda store: store.promote(now))

    def sweep(self) -> None:
        now = self.now
        self.all("sweep", lambda store: store.sweep(now))

    def beat(self) -> None:
        worker, now = self._worker(), self.now
        info = WorkerInfo(worker, "host", 1, "p", "default", "flow", started_at=5.0)
        if self.all(f"beat {worker}", lambda store: store.beat(info, now)) is not None:
            self.beats[worker] += 1

    def lose(self) -> None:
        """A worker is lost, perhaps in error: it may go on telling outcomes. A new one takes its name."""
        worker, now = self._worker(), self.now
        beat = self.beats[worker] - (self.random.random() < 0.1)
        adopter = self.random.choice((None, *WORKERS))
        ask = adopter and Ask(adopter, frozenset(graph.id for graph in GRAPHS), 0)
        _, adopted = self.all(f"rescue {worker}", lambda store: store.rescue([(worker, beat)], now, ask))
        self.held += [(adopter, attempt) for attempt in adopted]

    # what can be seen

    def look(self) -> None:
        """Everything that can be read must be alike."""
        all_, now = self.all, self.now
        runs = all_("runs", lambda store: store.runs(limit=10_000))
        all_("graphs", lambda store: sorted(graph.id for graph in store.graphs()))
        all_("queues", lambda store: store.queues())
        all_("workers", lambda store: sorted(store.workers(), key=lambda worker: worker.id))
        all_("journal", lambda store: _unnumbered(store.journal(limit=100_000)))
        for run in [run.id for run in runs]:
            self._look_at(run)
        state, workflow = self.random.choice(list(RunState)), self.random.choice(("flow", "talk"))
        all_("runs of", lambda store: store.runs(workflow, state))
        all_("runs of", lambda store: (store.runs(workflow, limit=3), store.runs(state=state, before=(1 << 50) + 9)))
        all_("messages", lambda store: store.messages([run.id for run in runs]))
        self.now = now

    def _look_at(self, run: int) -> None:
        """The tasks of a run, and of every third run the rest."""
        all_ = self.all
        tasks = all_(f"tasks {run}", lambda store: store.tasks(run))
        if self.random.random() > 0.35:
            return
        all_("states", lambda store: (store.states(run), store.traffic(run)))
        all_("records", lambda store: _unnumbered(store.records(run)))
        all_("records of", lambda store: _unnumbered([*store.records(run, key="a"), *store.records(run, "in")]))
        all_("artifacts", lambda store: store.artifacts(run))
        all_("attempts", lambda store: (store.attempts(run), store.attempts(run, 2)))
        all_("journal", lambda store: _unnumbered(store.journal(run)))
        all_("results", lambda store: store.results([(task.run, task.number) for task in tasks]))
        all_("first", lambda store: (store.first(run, "in"), store.first(run, "one")))
        all_("ready", lambda store: (store.tasks(run, TaskState.ready), store.tasks(run, TaskState.ready, "one")))
        all_("tasks of", lambda store: store.tasks(run, node="in", after=3))
        for number in [task.number for task in tasks if self.random.random() < 0.5]:
            self._look_at_task(run, number)

    def _look_at_task(self, run: int, number: int) -> None:
        self.all(f"why {run}/{number}", lambda store: _why(store, run, number))
        self.all("task", lambda store: (store.task(run, number), store.child(run, number)))
        self.all("joined", lambda store: (store.joined(run, number), store.items(run, number)))


def _unnumbered(rows: list[Any]) -> list[Any]:
    """Records or journal lines without their numbers, of which only the order means something."""
    return [replace(row, seq=0) for row in rows]


def _why(store: Store, run: int, number: int) -> Any:
    why = store.why(run, number)
    assert why is not None
    return replace(why, workers=tuple(sorted(why.workers, key=lambda worker: worker.id)))


def _answer(call: Callable[[Store], Any], store: Store) -> Any:
    try:
        return call(store)
    except Refused as error:
        return (type(error), str(error))


def live(seed: int, stores: list[Any]) -> History:
    """One history from its beginning to everything having been read."""
    history = History(seed, stores)
    for graph in GRAPHS:
        history._accept([Command(Register(graph))])
    for step in range(STEPS):
        history.step()
        if step == STEPS // 2:
            history.look()
    history.look()
    history.all("prune", lambda store: store.prune(history.now - 20.0, 3))
    history.all("runs", lambda store: (store.runs(), _unnumbered(store.journal())))
    history.all("files", lambda store: {(d.run, d.digest, d.used) for d in store.discarded()})
    history.all("begun", lambda store: store.running_since())
    return history


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A directory in memory where there is one: what is tested here is not the disk."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as name:
        empty = SqliteStore(Path(name) / "empty.db")
        empty.check()
        empty.close()
        yield Path(name)


@pytest.mark.parametrize("seeds", [range(start, start + 25) for start in range(0, 200, 25)], ids=str)
def test_sqlite_does_what_memory_does(folder: Path, seeds: range) -> None:
    """The same history leaves the same rows in memory and in SQLite."""
    for seed in seeds:
        shutil.copy(folder / "empty.db", folder / f"{seed}.db")
        store = SqliteStore(folder / f"{seed}.db")
        try:
            live(seed, [MemoryStore(), store])
        finally:
            store.close()
            for path in folder.glob(f"{seed}.db*"):
                path.unlink()


@pytest.fixture(scope="module")
def postgres(postgres_url: str) -> Iterator[Any]:
    """A PostgreSQL store on a database of its own."""
    url = fresh_database(postgres_url)
    store = PostgresStore(url)
    store.upgrade()
    yield store
    store.close()
    drop_database(url)


@pytest.mark.parametrize("seeds", [range(start, start + 5) for start in range(0, 30, 5)], ids=str)
def test_postgresql_does_what_memory_does(postgres: PostgresStore, seeds: range) -> None:
    """The same history leaves the same rows in memory and in PostgreSQL."""
    for seed in seeds:
        with postgres.transaction() as rows:
            tables = "runs, tasks, graphs, lanes, queues, gates, records, artifacts, attempts, journal, workers, holds"
            rows._connection.execute(f"TRUNCATE {tables}, discarded")
        postgres.known = Known()
        live(seed, [MemoryStore(), postgres])
