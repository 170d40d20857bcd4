"""The benchmark beside peers: what is kept of it, what is read from that, and what page and picture say."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec

import pytest

from benchmarks.peers import goals, picture
from benchmarks.peers.catalogue import ENTRIES
from benchmarks.peers.results import Results, Taken
from benchmarks.peers.workloads import WORKLOADS, Workload
from benchmarks.peers.write import PAGE, PICTURE
from tools import docs

RUNS = dict(WORKLOADS["runs"].sizes)


def results(**medians: float) -> Results:
    """Steps in a second of some peers, whose names have `_` for `/`."""
    taken = [Taken(name.replace("_", "/"), "runs", RUNS, [value]) for name, value in medians.items()]
    return Results({}, {}, taken)


def test_what_is_kept_is_read_again(tmp_path) -> None:
    """Nothing is lost on the way through the file."""
    kept = replace(results(celery=600.0), place={"cores": "2"}, versions={"celery": "5"})
    kept.save(tmp_path / "results.json")
    assert Results.load(tmp_path / "results.json") == kept


def test_page_and_picture_say_what_was_measured() -> None:
    """If not: python -m benchmarks.peers --redraw."""
    assert docs.filled(PAGE.read_text("utf-8")) == PAGE.read_text("utf-8")
    assert picture.draw(Results.load()) == PICTURE.read_text("utf-8")


def test_each_median_that_was_kept_stands_in_the_picture() -> None:
    """And in its panel once."""
    kept = Results.load()
    drawn = picture.draw(kept)
    assert drawn.count("<circle") == sum(bool(taken.values) for taken in kept.taken)


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.name)
def test_each_peer_has_a_driver_and_says_its_settings(entry) -> None:
    """And its smaller loads are of workloads that exist."""
    assert find_spec(f"benchmarks.peers.drivers.{entry.module}")
    assert entry.settings.endswith(".")
    for name, sizes in entry.sizes.items():
        assert all(size < WORKLOADS[name].sizes[key] for key, size in sizes.items())


def test_a_rate_is_held_against_the_fastest_peer() -> None:
    """Not against the mean, nor against one of ours."""
    [one] = goals.reached(results(heliostat_sqlite=8_000.0, heliostat_postgresql=9_000.0, huey=1_000.0, celery=600.0))
    assert (one.rival, one.ratio, one.met) == ("huey", 8.0, True)


def test_a_ratio_below_its_goal_is_missed() -> None:
    """However little."""
    [one] = goals.reached(results(heliostat_celery=2_999.0, celery=600.0))
    assert not one.met


def test_a_time_is_held_against_the_shortest() -> None:
    """A ratio above one is the better, whichever way the figures go."""
    chain = dict(WORKLOADS["chain"].sizes)
    medians = {"heliostat/sqlite": 0.5, "huey": 0.6, "celery": 6.0}
    taken = [Taken(name, "chain", chain, [value]) for name, value in medians.items()]
    [one] = goals.reached(Results({}, {}, taken))
    assert one.rival == "huey"
    assert one.ratio == pytest.approx(1.2)
    assert one.met


def test_what_could_not_be_measured_is_told_with_its_reason() -> None:
    """It is neither left out nor taken for a zero."""
    line = Taken("prefect", "runs", RUNS, missing="the server does not answer").line()
    assert json.loads(json.dumps(line))["error"] == "the server does not answer"
    assert "median" not in line


def test_a_smaller_load_is_said() -> None:
    """With its size."""
    assert Taken("prefect", "runs", RUNS | {"runs": 20}, [7.0]).scaled == "n = 20"
    assert not Taken("celery", "runs", RUNS, [600.0]).scaled


@pytest.mark.parametrize(("name", "steps"), [("chain", 100), ("runs", 4_000), ("fan", 1_002), ("fib10", 40)])
def test_a_workload_knows_how_many_steps_it_has(name: str, steps: int) -> None:
    """So a measure in which one ran twice, or never, fails."""
    workload: Workload = WORKLOADS[name]
    assert workload.steps(workload.sizes) == steps
