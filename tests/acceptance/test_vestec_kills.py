"""Urgent computing, cases V10, V11, V12 and V17: workers are killed with SIGKILL, and nothing is lost or done twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from heliostat.run import RunState
from heliostat.store import Command, SetNode
from heliostat.task import TaskState
from tests.acceptance import crashes
from tests.acceptance.crew import Crew, Hall, ended, mark, marks, reached, wait_for_marks, wait_until

LEASE_SECONDS = 3.0
LONG_LEASE_SECONDS = 20.0  #: what takes a moment takes less, however much the machine does besides
MODULE = "tests.acceptance.crashes"

workers = pytest.mark.parametrize("workers", [1, 4], ids=["one-worker", "four-workers"])


def corrupt(hall: Hall, statement: str, run: int) -> None:
    """Write to the database what Heliostat never would; ``?`` in the statement is the run's key."""
    if hall.database.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(hall.files / "heliostat.db", timeout=200)) as lite, lite:
            assert lite.execute(statement, (run,)).rowcount == 1
    else:
        with psycopg.connect(hall.database) as postgres:
            assert postgres.execute(statement.replace("?", "%s"), (run,)).rowcount == 1


def keep_staffed(crew: Crew, count: int) -> None:
    """Start a worker for each that has died, as a supervisor would."""
    if missing := count - len(crew.alive):
        crew.begin(missing)


@workers
def test_v10_a_worker_killed_inside_a_serial_handler_is_replaced_within_the_lease(
    hall: Hall, workers: int, tmp_path: Path
) -> None:
    """Another worker takes its message over; every message is counted once, in order."""
    run = hall.engine.start(crashes.tally, to=None)
    for number in range(10):
        run.send(crashes.count, {"marks": str(tmp_path), "sticks": number == 3})
    with hall.hire(MODULE, lease=LONG_LEASE_SECONDS) as crew:
        crew.begin(workers)
        wait_for_marks(tmp_path, "stuck")
        if workers == 1:
            crew.begin(1)
        (victim,) = marks(tmp_path, "stuck")
        crew.kill(victim)
        killed_at = time.monotonic()
        reached(run, 10)
    assert run.records(crashes.count, "count") == [10]
    stuck = run.tasks()[3]
    assert stuck.rescues == 1
    assert json.loads(stuck.result or "") - killed_at < LONG_LEASE_SECONDS
    assert [past.state for past in hall.engine.store.attempts(run.key)] == ["rescued"]
    assert marks(tmp_path, "came-back") == []


def test_v10_a_worker_that_was_presumed_dead_and_comes_back_changes_nothing(hall: Hall, tmp_path: Path) -> None:
    """It is stopped for longer than its lease, another one counts, and then it goes on where it was."""
    run = hall.engine.start(crashes.tally, to=None)
    for number in range(10):
        run.send(crashes.count, {"marks": str(tmp_path), "sticks": number == 3})
    with hall.hire(MODULE, lease=1.0) as crew:
        crew.begin(2)
        wait_for_marks(tmp_path, "stuck")
        (victim,) = marks(tmp_path, "stuck")
        hall.freeze(victim)
        reached(run, 10)
        mark(str(tmp_path), "go")
        os.kill(victim, signal.SIGCONT)
        wait_for_marks(tmp_path, "came-back")
        wait_until(lambda: victim in [worker.pid for worker in hall.engine.store.workers()], "the worker's return")
        run.send(crashes.count, {"marks": str(tmp_path)})
        reached(run, 11)
    assert run.records(crashes.count, "count") == [11]


@workers
@pytest.mark.parametrize("moment", ["inside", "before", "after"])
def test_v11_effects_appear_once_when_a_worker_is_killed_around_their_recording(
    hall: Hall, workers: int, moment: str, tmp_path: Path
) -> None:
    """Killed inside the function with all its effects asked for, right before their commit, or right after it."""
    run = hall.engine.start(crashes.effects, to=None)
    run.send(crashes.act, {"marks": str(tmp_path), "sticks": moment == "inside"})
    with hall.hire(MODULE, lease=LEASE_SECONDS) as crew:
        crew.begin(workers, crash=None if moment == "inside" else (moment, "act"))
        wait_for_marks(tmp_path, "acted")
        if moment == "inside":
            assert run.records() == []
            crew.kill(*marks(tmp_path, "acted"))
        wait_until(lambda: len(crew.alive) == workers - 1, "a worker's death")
        keep_staffed(crew, workers)
        reached(run, 5)
    assert Counter(task.node for task in run.tasks()) == {"act": 1, "receive": 3, "gather": 1}
    assert run.records(crashes.act) == ["a record"]
    assert sorted(run.records(crashes.receive)) == ["a message", "one", "two"]
    assert run.records(crashes.gather) == [["one", "two"]]
    assert len(run.artifacts("product")) == 1
    assert [started.name for started in hall.engine.runs("other")] == [run.id]
    assert len(marks(tmp_path, "acted")) == (1 if moment == "after" else 2)


@workers
def test_v12_a_handler_that_kills_its_process_every_time_is_put_away(hall: Hall, workers: int, tmp_path: Path) -> None:
    """It fails with the reason after its rescues; runs that were beside it in the same processes go on."""
    bystanders = hall.engine.start_many(crashes.bystander, [str(tmp_path)] * 4)
    with hall.hire(MODULE, lease=LEASE_SECONDS) as crew:
        crew.begin(workers)
        wait_for_marks(tmp_path, "watching", 4)
        run = hall.engine.start(crashes.poison, str(tmp_path), to=crashes.kill)

        def over() -> bool:
            keep_staffed(crew, workers)
            return run.over

        wait_until(over, "the poison to be put away")
        assert run.state is RunState.failed
        assert run.info.reason is not None
        assert run.info.reason.startswith("kill: lost with its worker 3 times")
        assert len(marks(tmp_path, "killed")) == 3
        ended(*bystanders)
        assert [bystander.result() for bystander in bystanders] == ["unharmed"] * 4
        assert len(crew.members) - len(crew.alive) == 3


POISON = {
    "a message that is no JSON": "UPDATE tasks SET message = '{\"torn' WHERE run_id = ? AND node = 'read'",
    "a node that does not exist": "UPDATE tasks SET node = 'nobody' WHERE run_id = ? AND node = 'read'",
}


@workers
@pytest.mark.parametrize("what", POISON)
def test_v12_a_row_that_makes_no_sense_is_put_away_with_the_reason(
    hall: Hall, workers: int, what: str, tmp_path: Path
) -> None:
    """Its run fails and says why; the workers and other runs go on."""
    run = hall.engine.start(crashes.poison, {"sound": "message"}, to=crashes.read)
    corrupt(hall, POISON[what], run.key)
    mark(str(tmp_path), "killed")
    with hall.hire(MODULE, lease=LEASE_SECONDS) as crew:
        crew.begin(workers)
        bystander = hall.engine.start(crashes.bystander, str(tmp_path))
        ended(run, bystander)
        assert run.state is RunState.failed
        assert bystander.result() == "unharmed"
        assert len(crew.alive) == workers
    (task,) = run.tasks()
    assert (task.state, task.count) == (TaskState.failed, 1)
    assert task.reason is not None
    assert run.info.reason is not None
    assert run.info.reason.startswith(f"{task.node}: ")
    assert ("not JSON" if task.node == "read" else "has no node 'nobody'") in task.reason


UNREADABLE = {
    "a list to go over": "UPDATE tasks SET result = '[1, 2' WHERE run_id = ? AND node = 'split'",
    "a result": "UPDATE tasks SET result = '1e' WHERE run_id = ? AND node = 'scale'",
}


@workers
@pytest.mark.parametrize("what", UNREADABLE)
def test_v12_an_input_that_cannot_be_read_fails_its_run_alone(
    hall: Hall, workers: int, what: str, tmp_path: Path
) -> None:
    """What is read for many attempts at once harms only those that need it."""
    run = hall.engine.start(crashes.tiles)
    pause = SetNode(run.graph.id, "tile", paused=True)
    hall.engine.store.accept([Command(pause)], time.time())
    mark(str(tmp_path), "killed")
    with hall.hire(MODULE, lease=LEASE_SECONDS) as crew:
        crew.begin(workers)
        reached(run, 3, "tile", TaskState.ready)
        crew.stop()  # a worker may remember what it has just settled
        corrupt(hall, UNREADABLE[what], run.key)
        hall.engine.store.accept([Command(replace(pause, paused=False))], time.time())
        crew.begin(workers)
        bystander = hall.engine.start(crashes.bystander, str(tmp_path))
        ended(run, bystander)
        assert run.state is RunState.failed
        assert run.info.reason is not None
        assert run.info.reason.startswith("tile[")
        assert "not JSON" in run.info.reason
        assert bystander.result() == "unharmed"
        assert len(crew.alive) == workers


@workers
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda how: how.name)
def test_v17_ten_messages_in_flight_survive_the_end_of_all_workers(
    hall: Hall, workers: int, how: signal.Signals, tmp_path: Path
) -> None:
    """All are handled after a new start, none is lost, none is handled twice in effect."""
    run = hall.engine.start(crashes.flight, to=None)
    for number in range(10):
        run.send(crashes.fly, {"marks": str(tmp_path), "number": number})
    with hall.hire(MODULE, lease=LEASE_SECONDS, slots=2 if workers == 4 else 8, grace=0.2) as crew:
        crew.begin(workers)
        wait_for_marks(tmp_path, "took-off", 8)
        if how is signal.SIGKILL:
            crew.kill()
        else:
            crew.stop()
        assert not run.records()
        mark(str(tmp_path), "land")
        crew.begin(workers)
        reached(run, 20)
    assert sorted(run.records(crashes.fly)) == list(range(10))
    assert sorted(run.records(crashes.landed)) == list(range(10))
    assert len(marks(tmp_path, "took-off")) == 18
