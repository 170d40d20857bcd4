"""The examples do what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import heliostat
from heliostat.compose import load
from heliostat.errors import BadInput
from heliostat.run import RunState
from heliostat.task import TaskState

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["hello", "quicksort"])
def test_an_example_that_is_started_as_a_program_runs(name: str, tmp_path: Path) -> None:
    """It needs nothing but Heliostat, and leaves nothing behind."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py")]
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("Hello, Ada!") or sorted(ran.stdout.split(), key=float) == ran.stdout.split()
    assert list(tmp_path.iterdir()) == []


def test_a_file_finds_what_lies_beside_it_and_in_the_current_directory(tmp_path: Path) -> None:
    """A workflow's file may import from the project in whose root Heliostat is started."""
    script = tmp_path / "script.py"
    script.write_text("from heliostat.compose import load\nprint(load('examples/wildfire.py')[0].name)\n", "utf-8")
    elsewhere = [place for place in sys.path if place and Path(place).resolve() != ROOT]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(elsewhere)}
    ran = subprocess.run(
        [sys.executable, str(script)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("wildfire\n", "")


@pytest.fixture
def _in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where the examples are found as a developer finds them."""
    monkeypatch.chdir(ROOT)


@pytest.mark.usefixtures("_in_the_checkout")
def test_the_wildfire_runs_from_a_region_to_a_map(tmp_path: Path) -> None:
    """Three parallel nodes, a join that is a job, a picture that a person can look at, and figures."""
    (fire,) = load("examples/wildfire.py")
    with heliostat.open(f"sqlite:///{tmp_path}/heliostat.db", files=tmp_path) as engine:
        run = engine.run(fire, {"hours": 6})
        assert run.state is RunState.succeeded, run.explain()
        assert {task.node: task.state for task in run.tasks()} == dict.fromkeys(
            ("hotspots", "terrain", "weather", "spread", "picture", "summary"), TaskState.succeeded
        )
        (found,) = run.artifacts("map")
        assert (found.name, found.media_type) == ("wildfire.png", "image/png")
        with engine.around.repository.open(found) as picture:
            assert picture.read(8) == b"\x89PNG\r\n\x1a\n"
        assert run.result("summary")["burnt (ha)"] > 100


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
    (fire,) = load("examples/wildfire.py")
    with heliostat.open("memory://") as engine:
        with pytest.raises(BadInput, match=sentence):
            engine.start(fire, message)
        assert engine.runs() == []


@pytest.mark.usefixtures("_in_the_checkout")
@pytest.mark.parametrize("message", [None, {"seed": 5}])
def test_the_wildfire_starts_with_what_is_not_said_as_it_is_in_the_example(message: object) -> None:
    """The whole message, or the fields that are left out."""
    (fire,) = load("examples/wildfire.py")
    with heliostat.open("memory://") as engine:
        assert engine.start(fire, message).state is RunState.active
