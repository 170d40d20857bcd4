"""Works on threads: begun in order, each back exactly once, and a thread that does not end is left to itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from heliostat.clock import Clock, SystemClock
from heliostat.executor import Work
from heliostat.executors import thread
from heliostat.executors.thread import ThreadExecutor
from heliostat.graph import Graph, Kind, Node
from heliostat.job import JobSpec
from heliostat.outcome import Failed, Outcome, Succeeded
from heliostat.task import Attempt

GRAPH = Graph("line", (Node("n"), Node("job", Kind.job, job=JobSpec("true"))))
PATIENCE = 200.0  #: seconds after which something that should happen has not


class Crew:
    """An executor whose works do what a test says."""

    def __init__(self, slots: int, clock: Clock | None = None) -> None:
        self.bell = threading.Event()
        self.does: dict[int, Callable[[], object]] = {}
        self.begun: list[int] = []
        self.executor = ThreadExecutor(self._perform, clock or SystemClock(), self.bell, slots)

    def _perform(self, work: Work) -> Outcome:
        number = work.attempt.number
        self.begun.append(number)
        if (does := self.does.get(number)) is not None:
            does()
        return Succeeded(str(number))

    def submit(self, *numbers: int, node: str = "n") -> list[Work]:
        """Put works in line."""
        works = [Work(Attempt(1, number, 1, 1, node), GRAPH, GRAPH[node]) for number in numbers]
        self.executor.submit(works)
        return works

    def collect(self, n: int) -> list[tuple[Work, Outcome]]:
        """Wait for so many outcomes."""
        found: list[tuple[Work, Outcome]] = []
        while len(found) < n:
            self.bell.clear()
            found += self.executor.collect()
            if len(found) < n:
                assert self.bell.wait(PATIENCE) or self.executor.waiting(), f"{len(found)} of {n} came back"
        return found


class StillClock(SystemClock):
    """Time stands still, so every work is short, until a test moves it."""

    at = 0.0

    def now(self) -> float:
        return self.at


@pytest.fixture
def crew() -> Iterator[Callable[..., Crew]]:
    """Give what makes a crew, and send it home."""
    made: list[Crew] = []

    def make(slots: int, clock: Clock | None = None) -> Crew:
        made.append(Crew(slots, clock))
        return made[-1]

    yield make
    for each in made:
        each.executor.close(PATIENCE)


def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    met = threading.Event()
    for _ in range(int(PATIENCE * 1000)):
        if condition():
            return
        met.wait(0.001)
    raise AssertionError("it did not come about")


def test_every_work_comes_back_once_with_its_outcome(crew: Callable[..., Crew]) -> None:
    """Whichever thread had it."""
    team = crew(4)
    works = team.submit(*range(500))
    found = team.collect(500)
    assert sorted(work.attempt.number for work, _ in found) == list(range(500))
    assert {id(work) for work, _ in found} == {id(work) for work in works}
    assert all(outcome == Succeeded(str(work.attempt.number)) for work, outcome in found)
    assert team.executor.collect() == []


def test_one_slot_begins_works_in_order(crew: Callable[..., Crew]) -> None:
    """First in line, first begun."""
    team = crew(1)
    team.submit(1, 2, 3)
    team.submit(4)
    team.collect(4)
    assert team.begun == [1, 2, 3, 4]


def test_as_many_run_at_once_as_there_are_slots(crew: Callable[..., Crew]) -> None:
    """And no more."""
    team, gate = crew(3), threading.Event()
    team.does = dict.fromkeys(range(5), gate.wait)
    team.submit(*range(5))
    until(lambda: len(team.executor.begun()) == 3)
    assert team.executor.waiting() == 2
    gate.set()
    team.collect(5)
    assert team.executor.begun() == []


def test_works_that_were_submitted_one_by_one_do_not_wait_for_one_another(crew: Callable[..., Crew]) -> None:
    """A long work holds up nobody while there are slots."""
    team, gate = crew(2), threading.Event()
    team.does = {1: gate.wait}
    team.submit(1)
    until(lambda: len(team.executor.begun()) == 1)
    team.submit(2)
    [(work, _)] = team.collect(1)
    assert work.attempt.number == 2
    gate.set()
    team.collect(1)


def test_short_works_share_a_thread_but_do_not_stay_behind_one_that_waits(crew: Callable[..., Crew]) -> None:
    """Where the line is not empty again after a while, the other threads come."""
    clock, gate = StillClock(), threading.Event()
    team = crew(4, clock)
    team.submit(*range(10))
    team.collect(10)
    until(lambda: team.executor._idle == len(team.executor._threads))
    team.does = {1: gate.wait}
    team.submit(1, 2, 3)
    until(lambda: len(team.executor.begun()) == 1)
    assert team.executor.collect() == []
    assert team.executor.waiting() == 2
    clock.at += thread.PATIENCE
    assert {work.attempt.number for work, _ in team.collect(2)} == {2, 3}
    gate.set()
    team.collect(1)


def test_what_is_done_for_jobs_is_left_to_one_thread_however_long_functions_take(crew: Callable[..., Crew]) -> None:
    """It is a handful of files each; what takes long, as those of a job elsewhere, is waited for no longer."""
    clock, gate = StillClock(), threading.Event()
    team = crew(4, clock)

    def late() -> None:
        clock.at += 1.0

    team.does = {1: late}
    team.submit(1)
    team.collect(1)
    team.does = {2: gate.wait}
    team.submit(2, 3, 4, node="job")
    until(lambda: len(team.executor.begun()) == 1)
    assert team.executor.collect() == []
    assert team.executor.waiting() == 2
    clock.at += thread.PATIENCE
    assert {work.attempt.number for work, _ in team.collect(2)} == {3, 4}
    gate.set()
    team.collect(1)
    team.submit(5, 6)  # functions take long as before
    assert {work.attempt.number for work, _ in team.collect(2)} == {5, 6}


def test_begun_works_say_since_when(crew: Callable[..., Crew]) -> None:
    """By the clock."""
    team, gate = crew(1), threading.Event()
    team.does = {1: gate.wait}
    now = SystemClock().now()
    [work] = team.submit(1)
    until(lambda: team.executor.begun() == [work])
    assert work.begun_at is not None
    assert abs(work.begun_at - now) < PATIENCE
    gate.set()
    team.collect(1)


class Mute(BaseException):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise Mute


def test_an_error_without_words_takes_no_slot_with_it(crew: Callable[..., Crew]) -> None:
    """It is known by its class; the thread goes on."""

    def fail() -> None:
        raise Mute

    team = crew(1)
    team.does = {1: fail}
    team.submit(1, 2)
    assert [outcome for _, outcome in team.collect(2)] == [Failed("Mute", final=True), Succeeded("2")]


def test_what_has_not_begun_can_be_taken_back(crew: Callable[..., Crew]) -> None:
    """It will not begin, and does not come back otherwise."""
    team, gate = crew(1), threading.Event()
    team.does = {1: gate.wait}
    works = team.submit(1, 2, 3)
    until(lambda: team.begun == [1])
    assert team.executor.take_back() == works[1:]
    assert team.executor.take_back() == []
    gate.set()
    assert [work.attempt.number for work, _ in team.collect(1)] == [1]
    assert team.begun == [1]


def test_a_work_that_does_not_end_is_written_off_and_another_thread_takes_its_place(
    crew: Callable[..., Crew],
) -> None:
    """Its outcome is dropped when it comes; until then the thread counts as written off."""
    team, gate = crew(1), threading.Event()
    team.does = {1: gate.wait}
    stuck, _ = team.submit(1, 2)
    until(lambda: team.executor.begun() == [stuck])
    assert team.executor.write_off(stuck)
    assert not team.executor.write_off(stuck)
    [(work, _)] = team.collect(1)
    assert work.attempt.number == 2
    assert team.executor.written_off == 1
    gate.set()
    until(lambda: team.executor.written_off == 0)
    assert team.executor.collect() == []
    team.submit(3)
    team.collect(1)


def test_what_has_ended_cannot_be_written_off(crew: Callable[..., Crew]) -> None:
    """Its outcome is there, and counts."""
    team = crew(1)
    [work] = team.submit(1)
    [(ended, _)] = team.collect(1)
    assert ended is work
    assert not team.executor.write_off(work)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit, type("Abort", (BaseException,), {})])
def test_a_work_comes_back_whatever_it_raises(crew: Callable[..., Crew], kind: type[BaseException]) -> None:
    """Even what is no Exception: a thread that died of it would hold its slot for ever."""

    def raises() -> None:
        raise kind("enough")

    team = crew(1)
    team.does = {1: raises}
    team.submit(1, 2)
    found = dict(team.collect(2))
    first = next(outcome for work, outcome in found.items() if work.attempt.number == 1)
    assert first == Failed(f"{kind.__name__}: enough", final=True)
    assert team.executor.begun() == []


def test_closing_sends_idle_threads_home_and_waits_for_busy_ones(crew: Callable[..., Crew]) -> None:
    """At most so long."""
    team, gate = crew(2), threading.Event()
    team.does = {1: gate.wait}
    team.submit(1)
    until(lambda: len(team.executor.begun()) == 1)
    team.executor.close(0.0)
    gate.set()
    team.executor.close(PATIENCE)
    until(lambda: not team.executor._threads)
