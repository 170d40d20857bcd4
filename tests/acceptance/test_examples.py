"""The examples do what they say."""

from __future__ import annotations

import csv
import math
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import heliostat
from examples import etl, julia, sweep, wildfire
from examples import wildfire_model as model
from examples import wildfire_world as world
from heliostat import Artifact, Context, RunFailed, testing
from heliostat.cli import app
from heliostat.engine import Engine
from heliostat.errors import BadInput
from heliostat.grid import Seen, grid
from heliostat.loading import load
from heliostat.run import RunState
from heliostat.task import TaskState

ROOT = Path(__file__).resolve().parents[2]
SLOW = ("sweep", "wildfire")


def python(*words: str, at: Path, paths: Sequence[str] = sys.path) -> subprocess.CompletedProcess[str]:
    """Run Python in a directory, with what it may import from."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        [sys.executable, *words], cwd=at, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def without_the_checkout() -> list[str]:
    """Where modules are found, except for the root of the checkout, in which ``examples`` would be."""
    return [place for place in sys.path if place and Path(place).resolve() != ROOT]


#: What each example says last if it is started as a program.
SAYS = {
    "hello": r"Hello, Ada! The sun is up, and the mirrors are turning\.",
    "quicksort": r"\d+( \d+){39}",
    "etl": r"KOELN    km 688  2026-01-31T20:30  630 cm\nrun \w{13} kept levels\.db",
    "julia": r"run (\w{13}) kept 26 pictures; see: heliostat artifact get \1 julia\.png",
    "sweep": r"chaos from r   3\.57\d+\nchaotic \(%\) +\d+\.\d\nrun \w{13} kept sweep\.csv sweep\.png",
    "nightly": r"2025-01-07T05:00:00Z 3 frames, the first is 20250107-0\.fits",
    "poller": r"7 looks, 3 lists: 0000\.csv, 0015\.csv, 0030\.csv",
    "wildfire": r"wildfire\.png: 6,363 ha in danger; released by python\nrun \w{13} kept wildfire\.png",
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in SAYS])
def test_an_example_that_is_started_as_a_program_runs(name: str, tmp_path: Path) -> None:
    """From any directory; what needs no file leaves none."""
    ran = python(str(ROOT / "examples" / f"{name}.py"), at=tmp_path, paths=without_the_checkout())
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.search(rf"(?:^|\n){SAYS[name]}\n$", ran.stdout), ran.stdout
    left = set() if name in ("hello", "quicksort", "nightly", "poller") else {"heliostat.db", ".heliostat"}
    assert {path.name for path in tmp_path.iterdir()} == left


@pytest.mark.slow
def test_sections_go_from_tiles_to_pictures(tmp_path: Path) -> None:
    """As it is started as a program, with fewer and smaller sections: all steps, three pictures, and a grid."""
    program = str(ROOT / "examples" / "imaging" / "imaging.py")
    ran = python(program, "--sections", "2", "--rows", "1", "--columns", "2", at=tmp_path, paths=without_the_checkout())
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.search(r"\n\d+ nuclei in 2 sections\n$", ran.stdout), ran.stdout
    for name in ("before-after", "contact-sheet", "cut"):
        assert (tmp_path / "imaging" / f"{name}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    with heliostat.open(f"sqlite:///{tmp_path}/heliostat.db", files=tmp_path / ".heliostat") as engine:
        rows = grid(engine, "imaging").rows
    assert [row.subject for row in rows] == ["section-00", "section-01"]
    assert {str(cell.state) for row in rows for cell in row.cells.values()} == {"success"}
    assert [row.cells["denoise"].tasks for row in rows] == [{Seen.success: 2}] * 2


def test_every_example_is_started_here() -> None:
    """And every file beside them belongs to one."""
    files = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert {name for name in files if not name.startswith("wildfire_")} == set(SAYS)


def test_a_file_finds_what_lies_beside_it_and_in_the_current_directory(tmp_path: Path) -> None:
    """A workflow's file may import from the project in whose root Heliostat is started."""
    script = tmp_path / "script.py"
    script.write_text("from heliostat.loading import load\nprint(load('examples/wildfire.py:fire')[0].name)\n", "utf-8")
    ran = python(str(script), at=ROOT, paths=without_the_checkout())
    assert (ran.stdout, ran.stderr) == ("wildfire\n", "")


@pytest.fixture
def _in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where the examples are found as a developer finds them."""
    monkeypatch.chdir(ROOT)


@pytest.mark.usefixtures("_in_the_checkout")
def test_an_example_runs_from_the_command_line(tmp_path: Path) -> None:
    """Named by its file and the workflow in it, with a message of key=value words."""
    place = ["--database", f"sqlite:///{tmp_path}/heliostat.db", "--files", str(tmp_path)]
    words = ["run", "start", "examples/julia.py:julia", "across=8", "down=5", "--wait", "--json"]
    ran = CliRunner().invoke(app, [*place, *words], catch_exceptions=False)
    assert ran.exit_code == 0
    assert '"julia.png"' in ran.stdout


@pytest.mark.slow
def test_the_demonstration_ends_without_a_person(tmp_path: Path) -> None:
    """It decides by itself, says so, and leaves the map and the graph where it says."""
    ran = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    assert re.search(r"decided +publish, by \S+: a demonstration has no officer to wait for", ran.stdout)
    assert re.search(r"told +wildfire.png: 6,363 ha in danger; released by", ran.stdout)
    assert (tmp_path / "wildfire.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert ">approve</text>" in (tmp_path / "wildfire.svg").read_text("utf-8")


def opened(engine: Engine, artifact: Artifact) -> bytes:
    """The content of a file that a run keeps."""
    with engine.around.repository.open(artifact) as file:
        return file.read()


# the wildfire


def test_the_wildfire_runs_from_a_region_to_a_map(tmp_path: Path) -> None:
    """Three parallel nodes, a join that is a job, a picture that a person can look at, figures, and a decision."""
    with heliostat.open(f"sqlite:///{tmp_path}/heliostat.db", files=tmp_path, actor="anna") as engine:
        run = engine.start(wildfire.fire, {"hours": 6})
        engine.work(until=lambda: run.over or bool(run.reviews()))
        (asked,) = run.reviews()
        assert asked.node == "approve"
        run.decide(wildfire.approve, "publish")
        engine.work(until=run)
        assert run.state is RunState.succeeded, run.explain()
        states = {task.node: task.state for task in run.tasks()}
        assert states.pop("report") is TaskState.skipped
        done = ("hotspots", "terrain", "weather", "spread", "picture", "summary", "approve", "publish")
        assert states == dict.fromkeys(done, TaskState.succeeded)
        (found,) = run.artifacts("map")
        assert (found.name, found.media_type) == ("wildfire.png", "image/png")
        assert opened(engine, found).startswith(b"\x89PNG\r\n\x1a\n")
        burnt = run.result(wildfire.summary)["burnt (ha)"]
        assert burnt is not None
        assert burnt > 100
        assert run.result(wildfire.publish) == f"wildfire.png: {burnt:,.0f} ha in danger; released by anna"


def burn(ctx: Context, message: wildfire.Region, terrain: Path, weather: Path, hotspots: Path) -> Path:
    """What the job would do, in this process."""
    given = world.Terrain.load(terrain), world.Weather.load(weather), world.load_hotspots(hotspots)
    return model.simulate(*given, message.hours).save(ctx.dir / "fire.npz")


def paint(ctx: Context) -> Path:
    """A picture in less time than it takes to draw one."""
    (ctx.dir / "wildfire.png").write_bytes(b"a map")
    return ctx.dir / "wildfire.png"


@pytest.fixture
def stage() -> Iterator[testing.VirtualEngine]:
    """An engine in virtual time, on which the wildfire needs no job and draws no map."""
    with testing.engine(stubs={"wildfire.spread": burn, "wildfire.picture": paint}) as engine:
        yield engine


def test_the_wildfire_waits_two_hours_for_its_officer_and_then_publishes_nothing(stage: testing.VirtualEngine) -> None:
    """``otherwise="discard"`` is what nobody's decision comes to."""
    run = stage.start(wildfire.fire, wildfire.Region(hours=1))
    stage.advance("1h59m")
    assert "approve: waits for a decision, publish or discard, by duty-officer" in run.explain()
    stage.advance("1m")
    assert run.state is RunState.succeeded
    assert run.result(wildfire.approve).reason == "nobody decided within 2.0 h"
    assert run.result(wildfire.publish) is None


def test_the_wildfire_reports_a_simulation_that_failed(stage: testing.VirtualEngine) -> None:
    """The run goes on and succeeds, with an answer instead of a map."""

    def fail() -> None:
        raise RuntimeError("no node of the cluster is free")

    stage.stubs["wildfire.spread"] = fail
    run = stage.run(wildfire.fire, wildfire.Region(hours=1))
    assert run.state is RunState.succeeded
    said = run.result(wildfire.report)
    assert said.startswith("no map this time: RuntimeError: no node of the cluster is free")
    left = ("picture", "summary", "approve", "publish")
    assert {run.tasks(node=node)[0].state for node in left} == {TaskState.skipped}


def test_the_weather_is_asked_for_again(stage: testing.VirtualEngine) -> None:
    """Three more times, each half a minute later at first; another error than the network's is not tried again."""
    tries = []

    def silent() -> None:
        tries.append(stage.around.clock.now())
        raise OSError("the weather service does not answer")

    stage.stubs["wildfire.weather"] = silent
    run = stage.run(wildfire.fire, wildfire.Region(hours=1))
    assert run.state is RunState.failed
    assert len(tries) == 4
    assert tries[1] - tries[0] >= 30


def test_an_incident_simulates_when_all_is_there_and_ends_with_its_map(tmp_path: Path) -> None:
    """Two looks that see the same are one message; the simulation is a run of its own, with a real job."""
    with heliostat.open(f"sqlite:///{tmp_path}/heliostat.db", files=tmp_path) as engine:
        run = engine.start(wildfire.incident, wildfire.Region())
        for _ in range(2):
            run.send(wildfire.look)
        engine.work(until="idle")
        assert [task.state for task in run.tasks(node="update")] == [TaskState.succeeded]
        assert engine.runs("simulation") == []
        forecast = world.weather(6, seed=3).save(tmp_path / "weather.csv")
        run.send(wildfire.update, {"weather": forecast})
        engine.work(until=run)
        assert run.state is RunState.succeeded, run.info.reason
        (simulated,) = engine.runs("simulation")
        assert run.result() == simulated.result()
        assert opened(engine, run.result()).startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.usefixtures("_in_the_checkout")
@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ({"hours": 0}, "^message: hours must be 1 to 72, not 0 "),
        ({"west": 10.4}, "^message: west must be less than east"),
        ({"west": "Pisa"}, "^message.west: input should be a valid number"),
        ({"hour": 12}, "^message: there is no field 'hour'; did you mean 'hours'"),
        ([], "^message: input should be a dictionary or an instance of Region"),
    ],
)
def test_the_wildfire_refuses_what_is_no_region(message: object, sentence: str) -> None:
    """Before a run exists, in a sentence that names the field."""
    (fire,) = load("examples/wildfire.py:fire")
    with heliostat.open("memory://") as engine:
        with pytest.raises(BadInput, match=sentence):
            engine.start(fire, message)
        assert engine.runs() == []


@pytest.mark.usefixtures("_in_the_checkout")
@pytest.mark.parametrize("message", [None, {"seed": 5}])
def test_the_wildfire_starts_with_what_is_not_said_as_it_is_in_the_example(message: object) -> None:
    """The whole message, or the fields that are left out."""
    (fire,) = load("examples/wildfire.py:fire")
    with heliostat.open("memory://") as engine:
        assert engine.start(fire, message).state is RunState.active


# the sweep


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine in memory."""
    with heliostat.open("memory://", files=tmp_path) as engine:
        yield engine


def test_the_sweep_finds_order_and_chaos_where_they_are_known_to_be(engine: Engine) -> None:
    """Cycles of 1, 2, 4 and 3, and at r = 4 the logarithm of 2; a row for each value, and a plot."""
    run = engine.run(sweep.sweep, sweep.Sweep(2.8, 4.0, values=121))
    assert run.state is RunState.succeeded, run.info.reason
    text = opened(engine, run.result(sweep.table)).decode()
    rows = {float(row["r"]): row for row in csv.DictReader(text.splitlines())}
    assert len(rows) == len(text.splitlines()) - 1 == 121
    assert [rows[r]["cycle"] for r in (2.9, 3.2, 3.5, 3.84)] == ["1", "2", "4", "3"]
    assert float(rows[4.0]["lyapunov"]) == pytest.approx(math.log(2), abs=0.02)
    assert float(rows[3.2]["lyapunov"]) == pytest.approx(-0.9163, abs=0.001)
    assert run.result(sweep.onset)["chaos from r"] == 3.57
    assert opened(engine, run.result(sweep.plot)).startswith(b"\x89PNG\r\n\x1a\n")
    assert len(run.tasks(node="behaviour")) == 121


# the gauges


def levels(engine: Engine, artifact: Artifact) -> dict[tuple[str, str], tuple[int | None, int]]:
    """Kilometre and level by gauge and time, out of a database that a run keeps."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(opened(engine, artifact))
        return {(gauge, at): (km, cm) for gauge, km, at, cm in database.execute("select gauge, km, at, cm from level")}


def test_the_gauges_of_a_clean_delivery_are_loaded_as_they_are(engine: Engine) -> None:
    """The branch that mends is skipped."""
    order = etl.Delivery(broken=0)
    run = engine.run(etl.etl, order)
    assert run.tasks(node="mend")[0].state is TaskState.skipped
    found = levels(engine, run.result(etl.load))
    delivered = {(row["gauge"], row["at"]): int(row["cm"]) for row in etl.deliver(order)}
    assert {key: cm for key, (_, cm) in found.items()} == delivered
    assert {km for km, _ in found.values()} == set(etl.GAUGES.values())


def test_the_gauges_of_a_broken_delivery_are_mended_first(engine: Engine) -> None:
    """Every quarter of an hour has a level, and none is far from what it was before it broke."""
    run = engine.run(etl.etl, etl.Delivery(broken=0.1))
    assert run.tasks(node="mend")[0].state is TaskState.succeeded
    found = levels(engine, run.result(etl.load))
    assert len(found) == 96 * len(etl.GAUGES)
    assert all(400 < cm < 650 for _, cm in found.values())
    assert [peak["gauge"] for peak in run.result(etl.peaks)] == list(etl.GAUGES), "the wave runs down the river"


def test_the_gauges_are_loaded_without_the_catalogue(engine: Engine, tmp_path: Path) -> None:
    """It may fail, and then there are no kilometres."""
    (tmp_path / "gauges.db").write_text("this is no database", "utf-8")
    run = engine.run(etl.etl, etl.Delivery(gauges=tmp_path / "gauges.db"))
    assert run.state is RunState.succeeded
    assert run.tasks(node="places")[0].state is TaskState.failed
    assert {km for km, _ in levels(engine, run.result(etl.load)).values()} == {None}


def test_the_gauges_of_a_catalogue_have_its_kilometres(engine: Engine, tmp_path: Path) -> None:
    """An SQLite file that travels with the message."""
    with closing(sqlite3.connect(tmp_path / "gauges.db")) as catalogue, catalogue:
        catalogue.execute("create table gauge (name text, km integer)")
        catalogue.execute("insert into gauge values ('KAUB', 546)")
    run = engine.run(etl.etl, etl.Delivery(gauges=tmp_path / "gauges.db"))
    assert {km for km, _ in levels(engine, run.result(etl.load)).values()} == {None, 546}


def test_a_delivery_that_is_no_delivery_is_reported(engine: Engine) -> None:
    """Its run fails for good, and what runs after that end tells why."""
    run = engine.run(etl.etl, etl.Delivery(broken=0.6))
    with pytest.raises(RunFailed, match=r"validate: \d+% of 672 readings are no levels; is this the right file\?"):
        run.result()
    (told,) = run.tasks(node="report")
    assert told.result is not None
    assert told.result.startswith('"nothing loaded for 2026-01-31: ')


@pytest.mark.parametrize(
    ("workflow", "message", "sentence"),
    [
        (julia.julia, {"tiles": 0}, "tiles must be 1 to 50, not 0"),
        (julia.julia, {"width": 0}, "width, across and down must be more than 0"),
        (sweep.sweep, {"last": 4.1}, r"first and last must be in 0\.\.4"),
        (sweep.sweep, {"values": 1}, "values must be 2 to 5000, not 1"),
        (etl.etl, {"broken": 2}, "broken is a share, 0 to 1, not 2"),
        (etl.etl, {"day": "Monday"}, "day must be like 2026-01-31, not 'Monday'"),
    ],
)
def test_the_examples_refuse_what_they_cannot_do(engine: Engine, workflow: Any, message: object, sentence: str) -> None:
    """Before a run exists."""
    with pytest.raises(BadInput, match=sentence):
        engine.start(workflow, message)
    assert engine.runs() == []
