"""The benchmark of jobs still measures: every job ran once, and what is read from it is there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.jobs import page
from benchmarks.jobs.catalogue import ENTRIES, Entry
from benchmarks.jobs.measure import Measure, measured_on
from benchmarks.jobs.results import Results, Taken
from benchmarks.jobs.work import Task
from tests.slurm_server import Slurm
from tools import docs

COUNT = 10


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.name)
def test_each_has_ten_jobs_run_and_is_measured(slurm: Slurm, entry: Entry) -> None:
    """With as many submissions as it says, by Slurm's own count."""
    if not Path(entry.python).exists():
        pytest.skip(f"{entry.title} is in an environment that make bench makes")
    found = measured_on(slurm, replace(entry, ask_seconds=1.0), COUNT, seconds=0.1)
    assert found.submissions == (1 if entry.form == "array" else COUNT)
    assert found.questions > 0 or entry.name.startswith("heliostat")  # who sees ends in files need not ask
    assert min(found.own, found.started, found.gap) > 0
    assert found.longest_gap >= found.gap


def test_a_job_that_ran_twice_or_never_makes_a_measure_fail(tmp_path: Path) -> None:
    """A figure says something only of the work that it is of."""
    task = Task("single", 3, tmp_path, tmp_path)
    (tmp_path / "notes").write_text("0 1.5\n2 1.5\n2 1.6\n")
    with pytest.raises(RuntimeError, match=r"\{1: 0, 2: 2\}"):
        task.ended()
    (tmp_path / "notes").write_text("0 1.5\n2 1.5\n1 1.6\n")
    assert task.ended() == {0: 1.5, 1: 1.6, 2: 1.5}


def test_what_is_not_installed_is_told_with_what_installs_it(slurm: Slurm) -> None:
    """In a sentence."""
    gone = Entry("psij/gone", "PSI/J", "on_psij", "single", "", "/nowhere/.venv-psij/bin/python")
    with pytest.raises(RuntimeError, match=r"PSI/J is not installed: make bench puts it into \.venv-psij"):
        measured_on(slurm, gone, COUNT, 0.1)


def test_slurms_own_commands_are_taken_off_as_the_bare_loop_has_measured_them() -> None:
    """Never below what the process itself took."""
    bare = Measure(1.0, 9.0, 10.0, 0.5, 1.0, {"sbatch": 0.008, "squeue": 0.01}, 1000, 100)
    ours = Measure(2.0, 12.0, 10.0, 0.5, 1.0, {}, 1000, 100)
    least = Measure(2.0, 3.0, 10.0, 0.5, 1.0, {}, 1000, 100)
    results = Results(
        1000, {}, {}, [Taken("bare/single", [bare]), Taken("heliostat/single", [ours]), Taken("psij/single", [least])]
    )
    assert results.cpu("heliostat/single") == [14.0]
    assert results.without("heliostat/single") == pytest.approx(5.0)
    assert results.without("psij/single") == pytest.approx(2.0)


def test_the_page_says_what_was_measured(tmp_path: Path) -> None:
    """If not: python -m tools.docs."""
    kept = Results.load()
    kept.save(tmp_path / "results.json")
    assert Results.load(tmp_path / "results.json") == kept
    assert docs.filled(page.PAGE.read_text("utf-8")) == page.PAGE.read_text("utf-8")
