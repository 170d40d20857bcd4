"""Time and ids: given to the engine, so that they can be faked."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import pytest

from heliostat.clock import Ids, SystemClock
from heliostat.errors import NotFound
from heliostat.run import EPOCH, parse_id, public_id, split_task_id, task_id


class Held:
    """A clock that a test moves."""

    def __init__(self, time: float = EPOCH + 1000.0) -> None:
        self.time = time

    def now(self) -> float:
        """The time."""
        return self.time

    def wait(self, bell: threading.Event, seconds: float) -> bool:
        """Nobody waits here."""
        raise NotImplementedError


def test_the_clock_is_one_reading_and_then_the_monotonic_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quickest of a few, since a machine that is busy delays some; a step of the system's clock moves nothing."""
    ticks: Iterator[float] = iter([90.0, 92.0, 100.0, 100.0, 101.0, 102.0, 100.5, 103.0])
    readings: Iterator[float] = iter([4000.0, 5000.0, 6000.0])
    monkeypatch.setattr("time.monotonic", lambda: next(ticks))
    clock = SystemClock(lambda: next(readings))
    assert clock.now() == 5000.5
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert clock.now() == 5003.0


def test_waiting_ends_with_the_bell() -> None:
    """And says whether it rang; a time that has passed is not waited for."""
    bell, clock = threading.Event(), SystemClock()
    assert not clock.wait(bell, -1.0)
    bell.set()
    assert clock.wait(bell, 60.0)


def test_ids_grow_even_when_time_stands_still_or_goes_back() -> None:
    """The order of ids is the order in which this process made them."""
    clock = Held()
    ids = Ids(clock, random.Random(1))
    made = [ids.run() for _ in range(1000)]
    clock.time -= 500
    made += [ids.run() for _ in range(1000)]
    clock.time += 5000
    made += [ids.run()]
    assert made == sorted(set(made))


def test_ids_of_two_processes_do_not_meet_in_the_same_millisecond() -> None:
    """Chance keeps them apart."""
    clock = Held()
    mine, yours = (Ids(clock, random.Random(seed)) for seed in (1, 2))
    assert {mine.run() for _ in range(20)}.isdisjoint({yours.run() for _ in range(20)})


def test_threads_share_the_ids_of_their_process() -> None:
    """No id is given twice."""
    ids, made = Ids(Held(), random.Random(1)), list[int]()
    threads = [threading.Thread(target=lambda: made.extend(ids.run() for _ in range(500))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 2000


@pytest.mark.parametrize("run", [0, 1, 31, 32, 123_456_789, (1 << 63) - 1])
def test_public_ids_are_short_and_in_order_of_time(run: int) -> None:
    """Thirteen letters; case and blanks around do not matter."""
    text = public_id(run)
    assert len(text) == 13
    assert parse_id(text) == parse_id(f" {text.upper()} ") == run
    assert split_task_id(task_id(run, 25)) == (text, 25)
    assert run == 0 or public_id(run - 1) < text


@pytest.mark.parametrize("text", ["", "abc", "u" * 13, "z" * 13, "0" * 14, "0000000000ilo"])
def test_what_can_be_no_run_id_is_not_found(text: str) -> None:
    """The sentence shows one that could be."""
    with pytest.raises(NotFound, match="is no run id"):
        parse_id(text)


@pytest.mark.parametrize("text", ["", "0" * 13, "0" * 13 + "/", "0" * 13 + "/x", "0" * 13 + "/-1", "0" * 13 + "/²"])
def test_what_can_be_no_task_id_is_not_found(text: str) -> None:
    """It is a run's id, a slash and a number."""
    with pytest.raises(NotFound, match="is no task id; write the run's id, a slash and the task's number"):
        split_task_id(text)
