"""The worker's turns: whoever has nothing else to do settles and leases, while another thread serves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

import heliostat
from heliostat import Workflow
from heliostat.engine import Engine
from heliostat.errors import Drained
from heliostat.store import Command, Drain

OFTEN = 500  #: runs in which a thread surely has a turn, though whoever serves may come first in some
steps = Workflow("steps")


@steps.node
def first() -> int:
    """Begin."""
    return 1


@steps.node
def second(first: int) -> int:
    """Go on."""
    return first + 1


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine in memory."""
    with heliostat.open("memory://") as engine:
        yield engine


def test_a_step_may_begin_in_the_thread_in_which_the_one_before_ended(engine: Engine) -> None:
    """That thread settles and leases by itself; whoever serves need not be woken for it."""
    ticked: list[str] = []
    worker = engine._worker = engine.worker()
    tick = worker.tick

    def noting(now: float) -> float:
        ticked.append(threading.current_thread().name)
        return tick(now)

    worker.tick = noting  # type: ignore[method-assign]
    for _ in range(OFTEN):
        assert engine.run(steps).result() == 2
        if "heliostat-slot" in ticked:
            return
    pytest.fail("no thread had a turn")


def test_a_turn_is_nothing_while_nobody_serves(engine: Engine) -> None:
    """Else a worker would go on leasing when its program has stopped working."""
    engine.start(steps)
    worker = engine.worker()
    worker.turn()
    assert not worker.bell.is_set()
    assert engine.runs()[0].info.open == 1


def test_no_turn_begins_when_whoever_served_has_just_ended(engine: Engine) -> None:
    """What comes after serving, as when a worker stops, is done by one thread alone."""
    worker, ticked = engine.worker(), []

    class Cycle:
        """A lock that is free again because serving has ended."""

        def acquire(self, *, blocking: bool) -> bool:
            worker._serving = False
            return not blocking

        def release(self) -> None:
            pass

    worker.tick = lambda now: ticked.append(now) or now  # type: ignore[method-assign, func-returns-value]
    worker._serving, worker._cycle = True, Cycle()  # type: ignore[assignment]
    worker.turn()
    assert ticked == []


def test_a_ring_is_heard_at_whatever_moment_it_comes(engine: Engine) -> None:
    """Even when whoever serves has just seen that the bell does not ring."""

    class Late(threading.Event):
        """Rings at that moment."""

        def is_set(self) -> bool:
            rang = super().is_set()
            self.set()
            return rang

    worker, heard = engine.worker(), []
    worker.tick = lambda now: now + 1000.0  # type: ignore[method-assign]
    worker.clock.wait = lambda bell, seconds: heard.append(threading.Event.is_set(bell))  # type: ignore[method-assign]
    worker.bell = Late()
    worker.serve(lambda: bool(heard))
    assert heard == [True]


def test_a_turn_that_another_has_already_rings_for_whoever_serves(engine: Engine) -> None:
    """What ended meanwhile is not left lying."""
    worker = engine.worker()
    worker._serving = True
    with worker._cycle:
        worker.turn()
    assert worker.bell.is_set()


@pytest.mark.parametrize("ends", ["stopping", "draining"])
def test_the_last_turn_of_a_worker_that_ends_rings(engine: Engine, ends: str) -> None:
    """Whoever serves would else learn a second later that nothing is left."""
    worker = engine.worker()
    worker._serving, worker._found_nothing = True, False
    worker.tick = lambda now: now + 1000.0  # type: ignore[method-assign]
    worker.turn()
    assert not worker.bell.is_set()
    setattr(worker, ends, True)
    worker.turn()
    assert worker.bell.is_set()


def test_what_was_leased_when_ctrl_c_came_is_asked_for_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook the same worker goes on, and nobody else will rescue what it holds."""
    run, looks = engine.start(steps), count()
    settle = engine.store.settle

    def interrupted(*args: Any) -> Any:
        settle(*args)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(engine.store, "settle", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.work(until=run)
    engine.work(until=lambda: run.over or next(looks) > 40)
    assert run.over


def test_whoever_serves_does_not_stand_in_line_for_a_turn(engine: Engine) -> None:
    """It would come next, and the thread that works would have to wait for it."""
    worker = engine.worker()
    worker.bell.clear()
    asked: list[bool] = []

    def over() -> bool:
        asked.append(True)
        if len(asked) == 3:
            worker._cycle.release()
        return len(asked) == 3

    worker._cycle.acquire()
    worker.tick = lambda now: pytest.fail("somebody else has the turn")  # type: ignore[method-assign]
    worker.serve(over)


def test_what_goes_wrong_in_a_turn_is_raised_where_the_worker_serves(engine: Engine) -> None:
    """A thread of the executor is no place for it."""
    worker = engine._worker = engine.worker()
    tick = worker.tick

    def failing(now: float) -> float:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("a mistake in a loop")
        return tick(now)

    def often() -> None:
        for _ in range(OFTEN):
            engine.run(steps)

    worker.tick = failing  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="a mistake in a loop"):
        often()


def test_a_worker_that_holds_something_asks_no_duty_whether_it_is_idle(engine: Engine) -> None:
    """Whoever serves wants to know at every turn; what is at hand decides first."""
    asked: list[str] = []

    class Duty:
        """Looks at times."""

        def tick(self, now: float) -> float:
            return now

        def expect(self, due: float) -> None:
            pass

        @property
        def next_due(self) -> None:
            asked.append("next_due")

    worker = engine.worker()
    worker.loops = [Duty()]
    assert not worker.idle
    assert asked == []
    worker._found_nothing = True
    assert worker.idle
    assert asked


def test_what_a_turn_has_brought_about_is_not_waited_for(engine: Engine) -> None:
    """Whoever works until something is so hears of it at once, not at the next look for work."""
    worker = engine.worker()
    looked: list[float] = []
    tick = worker.tick

    def looking(now: float) -> float:
        looked.append(now)
        return tick(now)

    worker.tick = looking  # type: ignore[method-assign]
    worker.clock.wait = lambda bell, seconds: pytest.fail(f"waited for {seconds} seconds")  # type: ignore[method-assign]
    worker.serve(lambda: bool(looked))
    assert len(looked) == 1


def test_a_program_whose_worker_is_drained_hears_of_it(engine: Engine) -> None:
    """Its run goes on with another worker, and so does the program if it works again."""
    run = engine.start(steps)
    worker = engine._worker = engine.worker()
    worker.tick(engine.around.clock.now())
    engine.store.accept([Command(Drain(worker.id))], engine.around.clock.now())
    worker._beat_at = 0.0
    with pytest.raises(Drained, match="was told to end"):
        engine.work(until=lambda: False)
    engine.work(until=run)
    assert run.result() == 2
