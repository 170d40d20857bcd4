"""Waiting for a run: for how long, for what, and what is said where nobody would ever go on with it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from heliostat import Context, RunFailed, Workflow
from heliostat.clock import SystemClock
from heliostat.compose import engine_on
from heliostat.engine import Engine
from heliostat.errors import NotEnded, NotEndedInTime
from heliostat.run import RunState
from heliostat.stores.memory import MemoryStore, Tables

night = Workflow("night")
may_go_on = threading.Event()


@night.node
def frames() -> list[int]:
    """Two."""
    return [1, 2]


@night.node(map={"frame": frames})
def calibrate(frame: int) -> int:
    """Ten times as much."""
    return frame * 10


@night.node
def mosaic(calibrate: list[int]) -> int:
    """Takes its time."""
    assert may_go_on.wait(200)
    return sum(calibrate)


@night.node(queue="elsewhere")
def archive(mosaic: int) -> int:
    """In a queue of its own."""
    return mosaic


broken = Workflow("broken")


@broken.node
def fail(message: str) -> None:
    """Does so."""
    raise ValueError(message)


@broken.node
def after(fail: None) -> int:
    """Is never reached."""
    return 1


@broken.handler
def hear(ctx: Context) -> str:
    """Nobody sends."""
    return "heard"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    """Give what opens an engine of a further process on the same tables."""
    tables, engines = Tables(), list[Engine]()
    may_go_on.clear()

    def open_one() -> Engine:
        store = MemoryStore()
        store.tables = tables
        engines.append(engine_on(store, SystemClock(), tmp_path, seed=len(engines)))
        return engines[-1]

    yield open_one
    may_go_on.set()
    for engine in engines:
        engine.close()


@contextmanager
def works(engine: Engine, *flows: Workflow) -> Iterator[None]:
    """Have an engine work in a thread of its own."""
    over = threading.Event()
    for flow in flows:
        engine.add(flow)
    thread = threading.Thread(target=lambda: engine.work(until=over.is_set))
    thread.start()
    while not engine.store.workers():
        assert thread.is_alive()
    yield
    may_go_on.set()
    over.set()
    thread.join()


def test_without_a_worker_a_result_is_refused_at_once(opened: Callable[[], Engine]) -> None:
    """It says what to do; nobody waits for an hour for nothing."""
    run = opened().start(night)
    for ask in (run.wait, lambda: run.result(timeout="1h"), lambda: run.result(mosaic, timeout="1h")):
        with pytest.raises(NotEnded, match=rf"no worker offers {night.graph.label.replace('+', '.')}; work on it here"):
            ask()


def test_an_engine_that_has_worked_before_is_no_worker_now(opened: Callable[[], Engine]) -> None:
    """Its worker is known to the database, but nobody works with it."""
    engine = opened()
    may_go_on.set()
    assert engine.run(night).wait().state is RunState.succeeded
    with pytest.raises(NotEnded, match="no worker offers"):
        engine.start(night).wait()


def test_a_result_is_waited_for_while_others_work(opened: Callable[[], Engine]) -> None:
    """Of the run, or of a node, which may be there long before the run's end; in another process or thread."""
    mine, yours = opened(), opened()
    with works(yours, night):
        run = mine.start(night)
        assert run.result(calibrate, timeout="20s") == [10, 20]
        assert run.state is RunState.active
        may_go_on.set()
        assert run.result(mosaic, timeout=200) == 30
        assert run.result(timeout="20s") == 30
        assert run.wait() is run
        assert yours.start(night).result(timeout="20s") == 30


def test_the_results_for_an_empty_list_are_there_at_once(opened: Callable[[], Engine]) -> None:
    """Though the node has nothing to do."""
    empty, mine, yours = Workflow("empty", stays_open=True), opened(), opened()

    @empty.node
    def nothing() -> list[int]:
        return []

    @empty.node(map={"item": nothing})
    def each(item: int) -> int:
        return item

    with works(yours, empty):
        assert mine.start(empty).result(each, timeout="20s") == []


def test_when_the_time_is_over_it_says_what_is_waited_for(opened: Callable[[], Engine]) -> None:
    """As a ``TimeoutError``, which is a ``NotEnded`` too."""
    mine, yours = opened(), opened()
    with works(yours, night):
        run = mine.start(night)
        run.result(calibrate, timeout="20s")
        with pytest.raises(TimeoutError, match=r"has not ended in 0.05 s: .*mosaic: r") as late:
            run.result(timeout=0.05)
        assert isinstance(late.value, NotEndedInTime)
        assert isinstance(late.value, NotEnded)
        assert (late.value.run, late.value.seconds) == (run.id, 0.05)
        with pytest.raises(TimeoutError):
            run.wait(0)


def test_a_run_that_fails_is_told_to_whoever_waits(opened: Callable[[], Engine]) -> None:
    """Also to whoever waits for a node that is never reached; what is over needs no worker."""
    mine, yours = opened(), opened()
    with works(yours, broken):
        run = mine.start(broken, "why")
        for ask in (
            lambda: run.result(timeout="20s"),
            lambda: run.result(after, timeout="20s"),
            lambda: run.result(fail, timeout="20s"),
            lambda: run.result(hear, timeout="20s"),
        ):
            with pytest.raises(RunFailed, match="fail: ValueError: why"):
                ask()
    assert run.wait().state is RunState.failed


def test_a_queue_that_no_worker_takes_from_is_said(opened: Callable[[], Engine]) -> None:
    """Once nothing else of the run goes on."""
    mine, yours = opened(), opened()
    may_go_on.set()
    run = mine.start(night)
    worker = yours.worker(queues=["default"])
    yours.add(night)
    worker.serve(lambda: any(task.node == "archive" for task in run.tasks()))
    with pytest.raises(NotEnded, match=r"no worker that offers .* takes from queue elsewhere"):
        run.wait()
    worker.stop(0)


def test_a_worker_that_has_just_gone_may_come_again(
    opened: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a minute it is waited for; then it is said."""
    mine, yours = opened(), opened()
    clock, looks = mine.around.clock, list[float]()
    began = clock.now()

    def wait(bell: threading.Event, seconds: float) -> bool:
        looks.append(seconds)
        monkeypatch.setattr(clock, "now", lambda: began + sum(looks))
        if len(looks) == 1:
            worker.stop(0)
        return False

    run = mine.start(night)
    yours.add(night)
    worker = yours.worker()
    worker.tick(clock.now())
    monkeypatch.setattr(clock, "wait", wait)
    with pytest.raises(NotEnded, match="no worker offers"):
        run.wait("10m")
    assert 59 < sum(looks) < 63


asking = Workflow("asking")
asking.review("approve", choices=("yes", "no"))


def test_who_works_on_a_run_that_waits_for_a_person_is_told_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, in the log of the program, which Python writes to standard error; and it goes on to wait."""
    monkeypatch.setattr("heliostat.waiting.TELL_SECONDS", 0.0)
    told = threading.Event()

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "waits for a decision" in record.getMessage():
                told.set()

    logging.getLogger("heliostat.engine").addHandler(heard := Heard())
    with engine_on(MemoryStore(), SystemClock(), Path("unused"), seed=1) as engine:
        run = engine.start(asking)
        working = threading.Thread(target=engine.work, kwargs={"until": run})
        working.start()
        assert told.wait(200)
        run.decide("approve", "yes")
        working.join(20)
        assert run.result().choice == "yes"
    logging.getLogger("heliostat.engine").removeHandler(heard)
    [line] = [record.getMessage() for record in caplog.records if "waits for a decision" in record.getMessage()]
    assert line == f"run {run.id} waits: {run.id}/1 approve: waits for a decision, yes or no; claimed by nobody"


def test_work_for_a_run_ends_where_nobody_is_left_who_could_go_on(
    opened: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there when the work began, and has gone for good: that is said, in place of working for ever."""
    monkeypatch.setattr("heliostat.engine.SILENT_SECONDS", 0.0)
    monkeypatch.setattr("heliostat.waiting.ROUND_SECONDS", 0.0)
    mine, yours = opened(), opened()
    run = yours.start(night)
    yours.work(until=lambda: bool(mine.store.workers()))  # it is a worker now, which offers the workflow
    looks: list[int] = []

    def leave() -> None:
        looks.append(1)
        if len(looks) == 2:
            yours.close()

    with pytest.raises(NotEnded, match="and this engine was not given its code"):
        mine.work(until=mine.find(run.id), on_tick=leave)
    assert len(looks) >= 2
