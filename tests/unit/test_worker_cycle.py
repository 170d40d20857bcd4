"""The worker's cycle, turned by hand: what it leases, begins, hands back, and when it asks for what."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from heliostat import Context, Retry, Snooze, Workflow
from heliostat.clock import Ids
from heliostat.context import Surroundings
from heliostat.effects import End
from heliostat.engine import Engine
from heliostat.errors import StoreUnavailable
from heliostat.executor import Answered, Work
from heliostat.executors.inline import InlineExecutor
from heliostat.handle import RunHandle
from heliostat.loops.promote import Promote
from heliostat.loops.sweep import Sweep
from heliostat.outcome import Failed, Outcome, Released, Succeeded
from heliostat.perform import Performer
from heliostat.queue import WorkerInfo
from heliostat.registry import Registry
from heliostat.repositories.directory import DirectoryRepository
from heliostat.run import RunState
from heliostat.store import Ask, Batch
from heliostat.stores.memory import MemoryStore
from heliostat.worker import Worker

NOTHING = Succeeded()
BEGINNING = 1_800_000_000.0  #: when every story begins


class Watchless:
    """A clock that a test sets; whoever waits for a time gets there at once (``clock.Clock``)."""

    def __init__(self) -> None:
        self.time = BEGINNING

    def now(self) -> float:
        """The time."""
        return self.time

    def wait(self, bell: threading.Event, seconds: float) -> bool:
        """Leap."""
        if bell.is_set():
            return True
        self.time += seconds
        return False


class Slots:
    """Works that begin when there is a slot and end when the test says so (``executor.Executor``)."""

    written_off = 0

    def __init__(self, clock: Watchless, slots: int) -> None:
        self._clock, self.slots = clock, slots
        self._line: list[Work] = []
        self._begun: list[Work] = []
        self._box: list[tuple[Work, Answered]] = []

    def submit(self, works: Sequence[Work]) -> None:
        """Put works in line."""
        self._line += works
        self._begin()

    def _begin(self) -> None:
        while self._line and len(self._begun) < self.slots:
            work = self._line.pop(0)
            work.begun_at = self._clock.now()
            self._begun.append(work)

    def end(self, *nodes: str, outcome: Answered = NOTHING) -> None:
        """Let the works of nodes come out so."""
        for work in [work for work in self._begun if work.node.name in nodes]:
            self._begun.remove(work)
            self._box.append((work, outcome))
        self._begin()

    def collect(self) -> list[tuple[Work, Answered]]:
        """What has ended."""
        box, self._box = self._box, []
        return box

    def take_back(self) -> list[Work]:
        """What has not begun."""
        line, self._line = self._line, []
        return line

    def begun(self) -> list[Work]:
        """What has begun."""
        return list(self._begun)

    def waiting(self) -> int:
        """How many have not."""
        return len(self._line)

    def write_off(self, work: Work) -> bool:
        """Give one up."""
        self._begun.remove(work)
        return True

    def close(self, grace: float) -> None:
        """Forget all."""


class Bench:
    """A database in memory, and workers on it that a test turns by hand."""

    def __init__(self, files: Path) -> None:
        self.files = files
        self.clock, self.store, self.chance = Watchless(), MemoryStore(), random.Random(1)
        self.registry = Registry(self.store.graph)
        around = Surroundings(
            self.store, DirectoryRepository(files / "artifacts"), self.clock, Ids(self.clock, self.chance), files
        )
        self.perform = Performer(self.registry, around)
        self.engine = Engine(self.store, self.registry, around, self.inline)
        self.promote = Promote(self.store)

    def inline(self) -> Worker:
        """One that calls functions in this thread."""
        worker = Worker(self.store, self.registry, self.clock, self.chance)
        worker.executor = InlineExecutor(self.perform, self.clock, worker.bell)
        worker.loops = [self.promote, Sweep(self.store)]
        return worker

    def worker(self, slots: int = 2) -> tuple[Worker, Slots]:
        """One whose functions end when the test says so."""
        worker = Worker(self.store, self.registry, self.clock, self.chance, name="w")
        worker.executor = executor = Slots(self.clock, slots)
        return worker, executor

    def turn(self, worker: Worker, seconds: float = 0.0) -> None:
        """Let time pass in small steps, a turn at each, as often as the worker wants."""
        until = self.clock.time + seconds
        due = worker.tick(self.clock.time)
        for _ in range(1000):
            if due > until:
                break
            self.clock.time = max(due, self.clock.time)
            due = worker.tick(self.clock.time)
        else:
            raise AssertionError("it never rests")
        self.clock.time = until

    def add(self, name: str, *nodes: str, **options: Any) -> RunHandle:
        """Start a run of a workflow of such nodes."""
        flow = Workflow(name, **options)
        for node in nodes:
            flow.node(lambda: None, name=node)
        return self.engine.start(flow)

    def lose(self, times: int) -> None:
        """Let workers be lost with all that is ready."""
        for number in range(times):
            info = WorkerInfo(f"doomed {self.chance.random()} {number}")
            self.store.beat(info, self.clock.time)
            self.store.lease(Ask(info.id, self.registry.offers, 100), self.clock.time)
            self.store.rescue([(info.id, 1)], self.clock.time)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Give an empty one."""
    return Bench(tmp_path)


def begun(executor: Slots) -> list[str]:
    """What runs, by node."""
    return sorted(work.node.name for work in executor.begun())


def states(run: RunHandle) -> list[str]:
    """The tasks of a run."""
    return [f"{task.node} {task.state}" for task in run.tasks()]


# what waits in line


def test_what_is_handed_back_is_not_taken_again_at_once(bench: Bench) -> None:
    """Works were short, so many wait in line; behind long ones they are for other workers to take."""
    worker, executor = bench.worker(slots=1)
    bench.add("short", "a")
    bench.turn(worker)
    executor.end("a")
    run = bench.add("long", "b", "c", "d")
    bench.turn(worker)
    assert states(run) == ["b running", "c running", "d running"]
    bench.turn(worker, 5.0)
    assert states(run) == ["b running", "c ready", "d ready"]


def slow_commits(bench: Bench, monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[int]:
    """Have each commit last so long; answers where the sizes of those that settle something are noted."""
    sizes: list[int] = []
    settle = bench.store.settle

    def slowly(worker: str, outcomes: Sequence[Any], now: float, ask: Ask | None = None) -> Batch:
        if outcomes:
            bench.clock.time += seconds
            sizes.append(len(outcomes))
        return settle(worker, outcomes, now, ask)

    monkeypatch.setattr(bench.store, "settle", slowly)
    return sizes


def test_outcomes_gather_for_as_long_as_a_commit_lasts_while_works_wait_in_line(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow disk each by itself would cost a commit; on one that takes no time nothing waits."""
    worker, executor = bench.worker(slots=1)
    bench.add("short", "a")
    bench.turn(worker)
    executor.end("a")
    sizes = slow_commits(bench, monkeypatch, 0.05)
    bench.add("many", *"bcdefgh")
    bench.turn(worker)
    assert sizes == [1]
    for node in "bcd":
        executor.end(node)
        bench.turn(worker)
    assert sizes == [1]
    bench.turn(worker, 0.1)
    assert sizes == [1, 3]


def test_outcomes_do_not_gather_when_the_line_is_empty(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more is to come of it: whoever waits for them waits for nothing."""
    worker, executor = bench.worker(slots=1)
    bench.add("short", "a")
    bench.turn(worker)
    sizes = slow_commits(bench, monkeypatch, 0.05)
    executor.end("a")
    bench.add("more", "b")
    bench.turn(worker)
    executor.end("b")
    bench.turn(worker)
    assert sizes == [1, 1]


def test_slots_that_take_turns_find_their_next_work_in_line(bench: Bench) -> None:
    """Works of 40 ms on four slots: one ends every 10 ms, and its slot is not to wait for a commit."""
    worker, executor = bench.worker(slots=4)
    bench.add("works", *"abcdefghijklmnop")
    bench.turn(worker)
    assert executor.waiting() == 0
    for node in "abcdefgh":
        bench.clock.time += 0.01
        executor.end(node)
        bench.turn(worker)
    assert begun(executor) == list("ijkl")
    assert executor.waiting() == 1


def test_nothing_waits_in_line_behind_long_works(bench: Bench) -> None:
    """Even where two of them end at nearly the same time: other workers may have a slot for what would wait."""
    worker, executor = bench.worker(slots=2)
    bench.add("works", *"abcdefgh")
    bench.turn(worker)
    for seconds, node in ((10.0, "a"), (0.001, "b"), (10.0, "c"), (0.001, "d")):
        bench.clock.time += seconds
        executor.end(node)
        bench.turn(worker)
        assert executor.waiting() == 0


# times


def test_what_is_put_off_wakes_only_who_looks_at_times(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snooze, a retry or a delay has nothing to do with what ends of runs left over, and each look is a commit."""
    sweeps = []
    sweep = bench.store.sweep
    monkeypatch.setattr(bench.store, "sweep", lambda now: sweeps.append(now) or sweep(now))
    flow = Workflow("flow")
    flow.node(lambda ctx: Snooze(0.01) if ctx.attempt <= 50 else None, name="again")
    bench.engine.run(flow)
    assert bench.clock.time - BEGINNING < 2.0
    assert len(sweeps) == 1


def test_idle_means_that_nothing_is_to_come(bench: Bench) -> None:
    """Neither a retry nor a snooze nor a delayed message, though they were put off only just now."""
    flow = Workflow("flow")

    @flow.node(retry=Retry(1, delay="20s"))
    def fails(ctx: Context) -> None:
        if ctx.attempt == 1:
            raise OSError("not yet")

    @flow.node
    def snoozes(ctx: Context) -> object:
        return Snooze("30s") if ctx.attempt == 1 else None

    @flow.handler
    def hears() -> None:
        pass

    @flow.handler(entry=True)
    def sends(ctx: Context) -> None:
        ctx.send(hears, delay="40s")

    run = bench.engine.start(flow)
    bench.engine.work(until="idle")
    assert set(states(run)) == {"fails succeeded", "snoozes succeeded", "sends succeeded", "hears succeeded"}


def test_idle_hears_of_what_another_process_put_off(bench: Bench) -> None:
    """Its own look at times may be a second old."""
    flow = Workflow("flow", stays_open=True)

    @flow.handler
    def hears() -> None:
        pass

    run = bench.engine.start(flow)
    worker = bench.engine._worker = bench.inline()
    bench.turn(worker, 0.1)
    other = Engine(bench.store, bench.registry, bench.engine.around, bench.inline)
    other.find(run.id).send(hears, delay="20s")
    bench.engine.work(until="idle")
    assert states(run) == ["hears succeeded"]


def test_idle_hears_of_what_another_process_made_ready_just_now(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its last look for work and its question whether anything runs."""
    flow = Workflow("flow", stays_open=True)

    @flow.handler
    def hears() -> None:
        pass

    run = bench.engine.start(flow)
    other = Engine(bench.store, bench.registry, bench.engine.around, bench.inline)
    queues = bench.store.queues

    def late() -> object:
        if not run.tasks():
            other.find(run.id).send(hears)
        return queues()

    monkeypatch.setattr(bench.store, "queues", late)
    bench.engine.work(until="idle")
    assert states(run) == ["hears succeeded"]


# stopping


def test_a_work_that_was_asked_to_stop_before_it_began_is_not_begun(bench: Bench) -> None:
    """Its run is over, or its lease has passed to somebody else: nobody wants what it would do."""
    called = []
    flow = Workflow("flow")
    flow.node(lambda: called.append("only"), name="only")
    bench.engine.start(flow)
    worker, executor = bench.worker()
    bench.turn(worker)
    [work] = executor.begun()
    work.stop = "its run is over"
    assert bench.perform(work) == Released("its run is over")
    assert called == []


def test_a_cancel_from_the_same_process_is_heard_at_once(bench: Bench) -> None:
    """The function need not wait for its worker's next heartbeat."""
    run = bench.add("flow", "only")
    worker, executor = bench.worker()
    bench.turn(worker, 1.0)
    bench.engine._worker = worker
    run.cancel("enough")
    bench.turn(worker)
    assert [work.stop for work in executor.begun()] == ["its run is over"]


@pytest.mark.parametrize("outcome", [Failed("no", final=True), Succeeded(effects=(End(RunState.succeeded),))])
def test_an_end_that_a_function_brings_about_is_heard_beside_it_at_once(bench: Bench, outcome: Outcome) -> None:
    """By those of the same run that its own worker runs."""
    bench.add("flow", "a", "b")
    worker, executor = bench.worker()
    bench.turn(worker, 1.0)
    executor.end("a", outcome=outcome)
    bench.turn(worker)
    assert [work.stop for work in executor.begun()] == ["its run is over"]


# what may be poison


def test_a_task_that_was_rescued_once_runs_as_any_other(bench: Bench) -> None:
    """A power cut is no poison."""
    bench.add("first", "a", "b")
    bench.lose(1)
    worker, executor = bench.worker(slots=3)
    bench.turn(worker)
    assert begun(executor) == ["a", "b"]


def test_a_task_that_was_rescued_twice_begins_alone(bench: Bench) -> None:
    """What is short is waited for, and for ten seconds nothing runs beside it: by then poison would have shown."""
    worker, executor = bench.worker(slots=3)
    bench.add("early", "short")
    bench.turn(worker)
    bench.add("suspect", "x", "y")
    bench.lose(2)
    bench.turn(worker, 0.3)
    bench.add("late", "z")
    bench.turn(worker, 0.3)
    assert begun(executor) == ["short"]
    executor.end("short")
    bench.turn(worker, 9.0)
    assert begun(executor) == ["x"]
    bench.turn(worker, 1.0)
    assert begun(executor) == ["x", "z"]


def test_suspects_begin_one_after_the_other(bench: Bench) -> None:
    """As soon as the one before has ended."""
    bench.add("suspect", "x", "y")
    bench.lose(2)
    worker, executor = bench.worker(slots=3)
    bench.turn(worker)
    executor.end("x")
    bench.turn(worker)
    assert begun(executor) == ["y"]
    executor.end("y")
    bench.add("late", "z")
    bench.turn(worker, 0.3)
    assert begun(executor) == ["z"]


def test_a_suspect_that_cannot_be_alone_is_left_to_others_and_the_worker_goes_on(bench: Bench) -> None:
    """Something long runs here; whoever has nothing to do takes the suspect."""
    worker, executor = bench.worker(slots=3)
    bench.add("early", "long")
    bench.turn(worker, 5.0)
    run = bench.add("suspect", "x")
    bench.lose(2)
    bench.turn(worker, 0.5)
    bench.add("late", "z")
    bench.turn(worker, 0.5)
    assert begun(executor) == ["long", "z"]
    bench.turn(worker, 0.2)
    other, free = bench.worker(slots=3)
    bench.turn(other, 0.1)
    assert begun(free) == ["x"]
    assert states(run) == ["x running"]


def test_a_suspect_that_nobody_takes_hinders_nobody(bench: Bench) -> None:
    """It waits in the worker's hand, is offered to others ever more rarely, and begins when the long one has ended."""
    worker, executor = bench.worker(slots=3)
    bench.add("early", "long")
    bench.turn(worker, 5.0)
    bench.add("suspect", "x")
    bench.lose(2)
    settles = []
    settle = bench.store.settle
    bench.store.settle = lambda *args: settles.append(args) or settle(*args)  # type: ignore[method-assign]
    done = 0
    for number in range(600):
        bench.add("late", "z", version=str(number))
        bench.turn(worker, 1.0)
        done += "z" in begun(executor)
        executor.end("z")
    assert done > 580
    handed_back = [outcome for args in settles for _, outcome in args[1] if isinstance(outcome, Released)]
    assert 8 < len(handed_back) < 20
    executor.end("long")
    bench.turn(worker, 1.0)
    assert begun(executor) == ["x"]


def test_a_task_that_may_be_rescued_once_only_begins_alone_the_first_time(bench: Bench) -> None:
    """So that it fails for nobody but itself."""
    bench.add("suspect", "x", "y", rescues=2)
    bench.lose(1)
    worker, executor = bench.worker(slots=3)
    bench.turn(worker)
    assert begun(executor) == ["x"]


def test_a_suspect_that_has_not_begun_is_handed_back_when_the_worker_stops(bench: Bench) -> None:
    """At once, whatever else runs here."""
    worker, _ = bench.worker(slots=3)
    bench.add("early", "long")
    bench.turn(worker)
    run = bench.add("suspect", "x")
    bench.lose(2)
    bench.turn(worker, 0.3)
    assert states(run) == ["x running"]
    worker.stop(grace=0.0)
    assert states(run) == ["x ready"]


# what is left behind


def test_the_directories_of_attempts_are_gone_with_them(bench: Bench) -> None:
    """Of the run too, when none of its attempts has one any more."""
    flow = Workflow("flow")

    @flow.node
    def writes(ctx: Context) -> None:
        (ctx.dir / "file").write_text("something", "utf-8")

    run = bench.engine.run(flow)
    assert states(run) == ["writes succeeded"]
    assert list((bench.files / "attempts").iterdir()) == []


def test_a_directory_is_made_though_its_parent_is_just_being_removed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another attempt of the same run, which was the last to have one."""
    flow = Workflow("flow")
    flow.node(lambda ctx: ctx.dir.is_dir(), name="only")
    mkdir, removed = os.mkdir, []

    def late(path: Path, mode: int = 0o777) -> None:
        parent = Path(path).parent
        if parent.parent.name == "attempts" and parent.exists() and not removed:
            removed.append(parent)
            parent.rmdir()
        mkdir(path, mode)

    monkeypatch.setattr(os, "mkdir", late)
    run = bench.engine.run(flow)
    assert run.result() is True
    assert removed


def test_what_an_asking_leased_after_it_was_given_up_is_found(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that was cut off may arrive when its worker has asked again and gone on: what it leased is begun too."""
    worker, executor = bench.worker()
    bench.add("night", "expose")
    bench.turn(worker)
    executor.end("expose")
    bench.turn(worker)
    under_way: list[Any] = []

    def cut(*args: Any) -> Batch:
        under_way.append(args)
        raise StoreUnavailable("the connection was cut")

    bench.clock.time += 1
    with monkeypatch.context() as broken:
        broken.setattr(bench.store, "settle", cut)
        worker._tried(bench.clock.time)
    [(_, _, _, asked)] = under_way
    bench.turn(worker, 2)
    bench.add("night", "expose")
    assert bench.store.lease(asked, bench.clock.time)  # before the worker comes back: it knows nothing of that
    bench.turn(worker, worker.lease_seconds)
    assert begun(executor) == ["expose"]


def test_a_worker_is_not_idle_when_what_waited_has_just_become_ready(bench: Bench) -> None:
    """It looks at once, whenever its next look was to be: one that works until it is idle does not leave a retry."""
    flow, tries = Workflow("flow", retry=Retry(1, delay=5.0)), []

    @flow.node
    def fails() -> None:
        tries.append(bench.clock.time)
        raise ValueError

    bench.engine.start(flow)
    worker = bench.inline()
    bench.turn(worker, 1.0)
    assert len(tries) == 1
    assert not worker.idle
    worker._poll_at = bench.clock.time + 100.0
    bench.clock.time += 10.0
    worker.tick(bench.clock.time)
    assert not worker.idle
    bench.turn(worker)
    assert len(tries) == 2


# what is given up from outside


def test_a_deadline_is_heard_at_once_where_it_was_noticed(bench: Bench) -> None:
    """The function need not wait for its worker's next heartbeat to see that its run is over."""
    bench.add("flow", "only")
    flow = Workflow("short")
    flow.node(lambda: None, name="late")
    bench.engine.start(flow, deadline=1.5)
    worker, executor = bench.worker()
    worker.loops = [bench.promote]
    bench.turn(worker, 1.4)
    assert [work.stop for work in executor.begun()] == [None, None]
    bench.turn(worker, 0.2)
    assert sorted((work.node.name, work.stop) for work in executor.begun()) == [
        ("late", "its run is over"),
        ("only", None),
    ]


def test_a_task_that_is_cancelled_is_given_up_at_once(bench: Bench) -> None:
    """Its place is free, its run fails, and what else runs of that is asked to stop."""
    run = bench.add("flow", "a", "b")
    worker, executor = bench.worker()
    bench.turn(worker, 1.0)
    bench.engine._worker = worker
    run.cancel_task("a", "too slow")
    bench.turn(worker)
    assert begun(executor) == ["b"]
    assert [work.stop for work in executor.begun()] == ["its run is over"]
    assert run.info.reason == "a: cancelled by python: too slow"


def test_a_work_in_line_that_is_cancelled_does_not_begin(bench: Bench) -> None:
    """It is asked to stop where it is."""
    run = bench.add("flow", "a", "b")
    worker, executor = bench.worker(slots=1)
    bench.turn(worker, 1.0)
    [later] = {"a", "b"} - {*begun(executor)}
    bench.engine._worker = worker
    run.cancel_task(later)
    bench.turn(worker)
    executor.end(*begun(executor))
    bench.turn(worker, 1.0)
    assert run.info.reason == f"{later}: cancelled by python"


def test_a_function_that_stopped_for_the_end_of_its_run_is_begun_anew_when_that_goes_on(bench: Bench) -> None:
    """It said that it was asked to stop, which is no failure of a run that is active again."""
    run = bench.add("flow", "a", "b")
    worker, executor = bench.worker()
    bench.turn(worker, 1.0)
    executor.end("a", outcome=Failed("no light", final=True))
    bench.turn(worker, 1.0)
    assert run.state is RunState.failed
    assert [work.stop for work in executor.begun()] == ["its run is over"]
    assert run.retry("a").done
    executor.end("b", outcome=Failed("its run is over", final=True))
    bench.turn(worker, 1.0)
    assert (run.state, begun(executor)) == (RunState.active, ["a", "b"])
    assert [(past.state, past.count) for past in bench.store.attempts(run.key, 2)] == [("stopped", 1)]
