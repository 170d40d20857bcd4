"""What starts and polls by itself: the examples, workers that are killed between ticks, and workers that race."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

import heliostat
from examples.nightly import nightly
from examples.poller import incident, update
from heliostat import testing
from heliostat.engine import Engine
from heliostat.handle import RunHandle
from heliostat.run import RunState
from tests.acceptance.crew import wait_until

ROOT = Path(__file__).resolve().parents[2]

SECONDLY = """
from heliostat import Context, Every, Tick, Workflow

secondly = Workflow("secondly", on=Every("1s", catch_up="all"))

@secondly.node
def go(message: Tick) -> str:
    return message.scheduled_at.isoformat()

poll = Workflow("poll", stays_open=True)

@poll.handler(on=Every("1s"))
def look(ctx: Context, message: Tick) -> None:
    ctx.put(message.scheduled_at.isoformat())
"""


def test_v16_the_same_poll_result_twice_is_one_downstream_message() -> None:
    """The poller looks thirteen times or fewer, and what has not changed is handled once."""
    with testing.engine() as engine:
        run = engine.start(incident)
        engine.advance("1h")
        assert run.result() == ["0000.csv", "0015.csv", "0030.csv"]
        assert (len(run.tasks(node="look")), len(run.tasks(node="update"))) == (7, 3)
        assert [task.state for task in run.tasks(node="look")] == ["succeeded"] * 6 + ["cancelled"]
        assert len(run.records(update)) == 3


def test_the_nightly_run_is_started_each_morning() -> None:
    """Its frames are those of the tick."""
    with testing.engine() as engine:
        engine.add(nightly)
        engine.advance("3d")
        results = [run.result() for run in engine.runs(nightly)[::-1]]
        assert results == [f"3 frames, the first is 2025010{day}-0.fits" for day in (1, 2, 3)]


@pytest.mark.parametrize(
    ("name", "line"), [("nightly", "2025-01-07T05:00:00Z 3 frames"), ("poller", "7 looks, 3 lists: ")]
)
def test_an_example_with_a_trigger_runs_as_a_program(name: str, line: str, tmp_path: Path) -> None:
    """A week and an hour go by at once."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py")]
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert line in ran.stdout


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/heliostat.db"
    url: str = request.getfixturevalue("postgres_database")
    return url


CLI = "from heliostat.cli import main; main()"


class Workers:
    """Worker processes that may be killed at any time."""

    def __init__(self, database: str, folder: Path) -> None:
        self.command = [sys.executable, "-c", CLI, "--database", database, "--files", str(folder / "files")]
        self.command += ["worker", "start", str(folder / "secondly.py")]
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.alive: list[subprocess.Popen[bytes]] = []

    def begin(self) -> None:
        """Start one."""
        self.alive.append(
            subprocess.Popen(self.command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )

    def kill(self, sign: int = signal.SIGKILL) -> None:
        """Kill the oldest, with no warning."""
        worker = self.alive.pop(0)
        worker.send_signal(sign)
        worker.wait(200)


def started(engine: Engine) -> int:
    """How many runs were started by ticks."""
    return len(engine.runs("secondly", limit=10_000))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_p02_each_tick_is_started_once_whoever_is_killed(database: str, tmp_path: Path) -> None:
    """Two workers race for each second's tick, and one of them is killed again and again."""
    from heliostat.loading import load

    folder, chance = tmp_path, random.Random(7)
    (folder / "secondly.py").write_text(SECONDLY, "utf-8")
    with heliostat.open(database, files=folder / "files") as engine:
        engine.store.upgrade()
        secondly, poll = load(str(folder / "secondly.py"))
        begun = int(time.time())
        engine.add(secondly)
        polled = engine.start(poll)
        workers = Workers(database, folder)
        workers.begin()
        try:
            for _ in range(4):
                workers.begin()
                _some_ticks(engine, polled, chance.randrange(1, 4))
                workers.kill()
            end = int(time.time())
            wait_until(lambda: started(engine) >= end - begun - 1, "the ticks that were missed")
        finally:
            while workers.alive:
                workers.kill(signal.SIGTERM)
        engine.add(secondly)
        wait = [run for run in engine.runs(secondly, limit=10_000) if not run.state.final]
        for run in wait:
            engine.work(until=run)
        runs = engine.runs(secondly, limit=10_000)
        names = sorted(run.name for run in runs)
        assert Counter(names).most_common(1)[0][1] == 1
        assert {run.state for run in runs} == {RunState.succeeded}
        instants = [datetime.fromisoformat(name).timestamp() for name in names]
        assert instants == list(range(int(instants[0]), int(instants[0]) + len(names)))  # all of them, none twice
        looks = polled.records()
        assert looks == sorted(set(looks))
        assert len([task for task in polled.tasks() if not task.state.final]) == 1


def _some_ticks(engine: Engine, polled: RunHandle, more: int) -> None:
    """Wait until some more seconds have had their runs, and the handler another look."""
    before, looked = started(engine) + more, len(polled.records())
    wait_until(lambda: started(engine) >= before and len(polled.records()) > looked, "the next ticks")
