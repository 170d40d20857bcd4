"""Simulation as a tool: what it takes, what it refuses, and how it tells of a seed that failed."""

# ruff: noqa: D103 - nodes are read together, and their names say what they do

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliostat import Context, Workflow, testing
from heliostat.engine import Engine
from heliostat.errors import BadInput
from heliostat.handle import RunHandle

night = Workflow("night")


@night.node
def fields(message: int) -> list[int]:
    return list(range(message))


@night.node(map={"field": fields})
def expose(field: int) -> int:
    return field * 10


@night.node
def stack(expose: list[int]) -> int:
    return sum(expose)


done_here: list[str] = []  #: what a careless function keeps beside the engine
careless = Workflow("careless")


@careless.node
def count(ctx: Context) -> int:
    done_here.append(ctx.run.id)
    return done_here.count(ctx.run.id)


def forget() -> None:
    """The world is new."""
    done_here.clear()


def once(run: RunHandle) -> None:
    """The careless function counts its calls, and a lost attempt is called again."""
    assert run.result() == 1


def test_a_number_of_seeds_or_the_seeds_themselves() -> None:
    """A number is counted from ``first``; others are taken as they come."""
    seen: list[int] = []
    told = testing.simulate(night, 3, seeds=3, first=7, on_seed=seen.append)
    assert (told.seeds, seen) == (3, [7, 8, 9])
    testing.simulate(night, 3, seeds=(seed * 5 for seed in range(2)), on_seed=seen.append)
    assert seen[3:] == [0, 5]


def test_faults_are_chosen_by_their_words() -> None:
    """A kind, what several kinds begin with, all, or none; only those strike."""
    assert set(testing.simulate(night, 3, seeds=1).faults) == set(testing.FAULTS)
    assert testing.simulate(night, 3, seeds=5, faults="none").faults == {}
    told = testing.simulate(night, 3, seeds=60, faults=["crash", "late"])
    assert set(told.faults) == {"crash-before", "crash-after", "late"}
    assert all(told.faults.values())


@pytest.mark.parametrize("kind", testing.FAULTS)
def test_every_kind_of_fault_strikes(kind: str) -> None:
    """And the workflow comes to its end all the same."""
    assert testing.simulate(night, 3, seeds=30, faults=kind).faults[kind] > 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"faults": "crahs"}, r"faults: there is no kind 'crahs'; did you mean 'crash'\?; there are all, none, crash-"),
        ({"seeds": 0}, "seeds"),
        ({"workers": 0}, "workers"),
        ({"message": "three"}, "message"),
        ({"stubs": {"expsoe": len}}, r"stubs: no workflow here has a node 'expsoe'; did you mean 'expose'\?"),
        ({"stubs": {"expose": 3}}, "stubs: expose wants a function in its place, not 3"),
        ({"stubs": {"expose": lambda feild: 1}}, r"stubs: expose waits for nothing called 'feild'; did you mean"),
        ({"others": ["night"]}, "a Workflow is wanted, not 'night'"),
    ],
)
def test_what_cannot_be_simulated_is_refused_in_one_sentence(options: dict[str, Any], sentence: str) -> None:
    """It names what is wrong and what would be right."""
    with pytest.raises(BadInput, match=sentence):
        testing.simulate(night, **{"message": 3, **options})


def test_a_job_has_a_function_in_its_place() -> None:
    """Without one it is refused: a simulation reaches nothing outside."""
    survey = Workflow("survey")

    @survey.node
    def plate(message: int) -> int:
        return message

    scan = survey.job("scan", "scan {plate} --out scan.tif", outputs="scan.tif")

    @survey.node(inputs={"found": scan})
    def stars(found: Path) -> int:
        return int(found.read_text())

    def scanned(ctx: Context, plate: int) -> Path:
        (ctx.dir / "scan.tif").write_text(str(plate * 100))
        return ctx.dir / "scan.tif"

    with pytest.raises(BadInput, match=r"scan is a job and reaches outside; give a function .* stubs=\{'scan'"):
        testing.simulate(survey, 3)
    told = testing.simulate(survey, 3, seeds=40, stubs={"scan": scanned}, check=lambda run: run.result() == 300)
    assert told.seeds == 40


def test_a_stub_stands_for_a_function_too() -> None:
    """What a node's function would ask of the outside, the stub answers."""
    stubs: dict[str, Callable[..., Any]] = {"night.expose": lambda field: 1}
    testing.simulate(night, 3, seeds=3, stubs=stubs, check=lambda run: run.result() == 3)


def test_a_workflow_that_is_started_inside_is_to_be_named() -> None:
    """Workers offer what they know from the beginning."""
    week = Workflow("week")

    @week.node
    def begin(ctx: Context) -> str:
        return ctx.start(night, 3)

    with pytest.raises(BadInput, match=r"workflow night is started too; name it in others="):
        testing.simulate(week, seeds=3)
    testing.simulate(week, seeds=3, others=[night])


def test_a_check_that_answers_false_has_failed() -> None:
    """So a check can be one expression; what a seed did is told, and how to see it again."""
    with pytest.raises(testing.SimulationFailed, match=r"^seed 0: check answered False for <run ") as failed:
        testing.simulate(night, 3, check=lambda run: run.result() == 31)
    assert failed.value.seed == 0
    assert any(": 30" in line for line in failed.value.history)
    assert failed.value.replay.startswith("testing.simulate(night, 3, check=")


def test_a_failing_seed_is_one_command() -> None:
    """The workflow and the check are found by file and name; the command is in the message."""
    with pytest.raises(testing.SimulationFailed) as failed:
        testing.simulate(careless, check=once, before=forget, faults="crash")
    here = Path(__file__).relative_to(Path.cwd()) if Path(__file__).is_relative_to(Path.cwd()) else Path(__file__)
    command = (
        f"heliostat workflow simulate {here}:careless --check {here}:once --before {here}:forget --faults crash --seed "
    )
    assert failed.value.replay == f"{command}{failed.value.seed}"
    assert str(failed.value).endswith(failed.value.replay)
    assert failed.value.what.endswith("== 1") or "run.result() == 1 (test_simulate.py:" in failed.value.what


def test_the_history_of_a_failure_is_the_shortest() -> None:
    """One lost attempt is enough for a function that counts its own calls, and little else is told."""
    with pytest.raises(testing.SimulationFailed) as failed:
        testing.simulate(careless, check=once, before=forget)
    assert sum("leases count/1" in line for line in failed.value.history) == 2
    assert len(failed.value.history) <= 10


def test_functions_that_keep_something_are_told_of() -> None:
    """A history that cannot be had again is not shortened, and says why."""
    forget()
    with pytest.raises(testing.SimulationFailed, match="played again, the seed went otherwise"):
        testing.simulate(careless, check=once)


def test_a_call_that_no_command_can_repeat_is_told_in_python() -> None:
    """With a script, or functions that have no name in a file."""

    def twice(engine: Engine) -> None:
        for key in "ab":
            engine.start(night, 3, idempotency_key=key)

    runs: list[str] = []
    testing.simulate(night, seeds=2, script=twice, check=lambda run: runs.append(run.id))
    assert len(set(runs)) == 4
    with pytest.raises(testing.SimulationFailed) as failed:
        testing.simulate(night, script=twice, check=lambda run: False, workers=2)
    call = r"testing.simulate(night, script=twice, check="
    assert failed.value.replay.startswith(call)
    assert "workers=2, seeds=[0])  # at " in failed.value.replay


def test_a_script_that_starts_nothing_has_shown_nothing() -> None:
    """A simulation without a run is a mistake of the test's."""
    with pytest.raises(testing.SimulationFailed, match="the script started no run of night"):
        testing.simulate(night, seeds=1, script=lambda engine: None)


def test_a_run_that_never_ends_is_told_with_what_it_waits_for() -> None:
    """By default every run must end."""
    waits = Workflow("waits", stays_open=True)

    @waits.handler
    def never(message: int) -> None: ...

    @waits.node
    def after_all(never: None) -> None: ...

    @waits.node
    def both(message: int, after_all: None) -> None: ...

    with pytest.raises(testing.SimulationFailed, match=r"seed 0: run \w+ is active"):
        testing.simulate(waits, 1)


def test_importing_heliostat_does_not_load_it() -> None:
    """It is there when it is asked for, also as an attribute."""
    program = "import sys, heliostat as h; assert 'heliostat.testing' not in sys.modules; print(h.testing.FAULTS)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "crash-before" in ran.stdout


def test_a_workflow_inside_another_is_run_or_has_a_stub_in_its_place() -> None:
    """It need not be named, its nodes may have stubs, and the run that is checked is the one around."""
    season = Workflow("season")
    season.subworkflow("first", night)
    told = testing.simulate(season, 3, check=lambda run: run.result() == 30, seeds=5)
    assert told.seeds == 5
    testing.simulate(season, 3, check=lambda run: run.result() == 6, stubs={"night.stack": lambda: 6}, seeds=5)
    testing.simulate(
        season, 3, check=lambda run: run.result() == 7 and not run.parts(), stubs={"first": lambda: 7}, seeds=5
    )
