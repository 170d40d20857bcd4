"""The first two blocks of the design's public face run as they are printed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import heliostat
from heliostat import Context, Workflow
from heliostat.run import RunState
from heliostat.task import TaskState
from tests.acceptance.crew import Hall
from tests.typing import section3_incident as incidents
from tests.typing import sweep as sweeps
from tests.typing.section3_wildfire import Region, fire, picture, spread, terrain

SIMULATE = """\
import argparse
parser = argparse.ArgumentParser()
for name in ("--dem", "--weather", "--days", "--out"):
    parser.add_argument(name)
given = parser.parse_args()
with open(given.out, "w") as out:
    print(open(given.dem).read(), open(given.weather).read(), given.days, sep="; ", file=out)
"""


@pytest.fixture
def _simulate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a command ``simulate`` on the PATH."""
    program = tmp_path / "bin" / "simulate"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\n{SIMULATE}", "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


@pytest.mark.usefixtures("_simulate")
def test_the_wildfire_of_the_design_runs_up_to_its_picture(hall: Hall) -> None:
    """Nodes that take the message, a job that names both, and a picture that is kept with its tag."""
    run = hall.engine.run(fire, Region(10.4, 43.7))
    assert run.state is RunState.succeeded
    burnt = hall.engine.around.repository.open(run.result(spread))
    with burnt:
        assert burnt.read() == b"[10.4, 43.7]; 3 windy days; 3\n"
    (found,) = run.artifacts("map")
    assert (found.name, found.media_type) == ("fire.png", "image/png")
    assert run.result() == run.result(picture) == found


def test_the_incident_of_the_design_simulates_when_all_is_there(
    hall: Hall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files travel in messages and records; the same key is sent once; the end of the other run ends this one."""
    monkeypatch.setattr(incidents, "feed", tmp_path)
    (tmp_path / "hotspots.json").write_text("two fires", "utf-8")
    (tmp_path / "forecast.grib").write_text("wind", "utf-8")
    run = hall.engine.start(incidents.incident, Region(10.4, 43.7))
    for _ in range(2):
        run.send(incidents.look)

    def looked(node: str, count: int) -> bool:
        return len(run.tasks(TaskState.succeeded, node)) >= count

    hall.engine.work(until=lambda: looked("look", 2) and looked("update", 1))
    assert run.state is RunState.active
    assert "look: the next tick, every 5m, comes in " in run.explain()
    assert run.result(terrain).name == "dem.tif"
    assert [task.state for task in run.tasks(node="update")] == [TaskState.succeeded]
    run.send(incidents.update, {"weather": tmp_path / "forecast.grib"})
    hall.engine.work(until=run)
    assert run.result() == ["[10.4, 43.7]", "two fires", "wind"]
    (simulated,) = hall.engine.runs("simulation")
    assert simulated.state is RunState.succeeded


def test_a_function_may_give_a_jobs_command(hall: Hall) -> None:
    """Its parameters are a node's; the files that it names are there while the job runs."""
    chart = Workflow("chart")

    @chart.node
    def terrain(ctx: Context) -> Path:
        (ctx.dir / "a hill.txt").write_text("hill", "utf-8")
        return ctx.dir / "a hill.txt"

    def copy(message: int, terrain: Path) -> list[str]:
        return ["cp", str(terrain), f"{message}.txt"]

    def cut(terrain: Path) -> str:
        return f"head -c 2 < '{terrain}' > cut.txt"

    copied = chart.job("copied", copy, outputs="*.txt")
    shortened = chart.job("shortened", cut, outputs="cut.txt")
    run = hall.engine.run(chart, 7)
    assert run.state is RunState.succeeded, run.explain()
    (seven,) = run.result(copied)
    assert seven.name == "7.txt"
    with hall.engine.around.repository.open(run.result(shortened)) as left:
        assert left.read() == b"hi"


def test_a_students_sweep_finds_the_best_point(hall: Hall) -> None:
    """A list, a node per item of it, their results in order, and an ``except`` that is not needed."""
    run = hall.engine.run(sweeps.sweep, sweeps.Sweep(1.0, 2.0, steps=5))
    assert run.result(sweeps.energy) == pytest.approx([1.0, 1.44, 1.96, 2.56, 3.24])
    assert run.result(sweeps.best) == {"lowest": 1.0}
    assert [task.state for task in run.tasks(node="apologise")] == [TaskState.skipped]


@pytest.mark.usefixtures("_simulate")
def test_the_wildfire_of_the_design_runs_with_every_function_on_a_batch_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same nodes, with the same results, each of them a job."""
    monkeypatch.chdir(tmp_path)
    queues = {node.queue for node in fire.graph}
    Path("heliostat.toml").write_text("\n".join(f'queues.{queue} = {{ executor = "local" }}' for queue in queues))
    with heliostat.open("sqlite:///fire.db", files="files") as engine:
        run = engine.run(fire, Region(10.4, 43.7))
        assert run.state is RunState.succeeded, run.explain()
        with engine.around.repository.open(run.result(spread)) as burnt:
            assert burnt.read() == b"[10.4, 43.7]; 3 windy days; 3\n"
        (found,) = run.artifacts("map")
        assert run.result() == run.result(picture) == found
        ran = {task.number for task in run.tasks() if task.count}
        assert {int(job.name.partition(".")[0]) for job in Path("files/jobs", run.id).iterdir()} >= ran
