"""Functions on a queue of a real Slurm: as on this machine's own batch system."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import heliostat
from examples.quicksort import quicksort
from heliostat.engine import Engine
from tests.integration import journeys, packed
from tests.integration.test_carried import working
from tests.integration.test_process_executor import alive, content, surroundings, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("slurm")]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine whose every function is a job of Slurm's."""
    monkeypatch.chdir(tmp_path)
    Path("heliostat.toml").write_text('queues.default = { executor = "slurm", partition = "main", array = 50 }')
    with heliostat.open("sqlite:///h.db", files="files", slots=2) as opened:
        yield opened


def test_quicksort_fans_out_over_a_cluster(engine: Engine) -> None:
    """Handlers, maps, joins and the end of the run."""
    run = engine.start(quicksort, [3.0, 1.0, 2.0])
    engine.work(until=run)
    assert run.result() == [1.0, 2.0, 3.0]


def test_files_records_and_what_is_logged_come_back_from_a_cluster(engine: Engine, tmp_path: Path) -> None:
    """What it logs is read while it runs; its secrets reach it, and stand in no file."""
    run = engine.start(journeys.steps, str(tmp_path))
    with working(engine, run):
        until(lambda: [line for line in run.log() if line.text == "waiting"])
        (tmp_path / "go").touch()
    assert run.result() == ["put", 1, "begun, made"], run.explain()


def test_a_secret_reaches_a_function_on_a_cluster_and_no_file(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes as a variable, and what is printed of it is masked."""
    token = "hunter2-and-a-half"
    monkeypatch.setenv("HELIOSTAT_SECRET_TOKEN", token)
    run = engine.run(journeys.confided)
    assert run.result("given") == [len(token), True]
    reasons = {task.title: task.reason or "" for task in run.tasks()}
    assert reasons["tells"] == "result holds the secret 'token', which nothing may keep"
    assert "secret 'token' is not in this job, whose files hold none; give it to the node by env=" in reasons["lacks"]
    assert not [p for p in Path("files").rglob("*") if p.is_file() and token.encode() in p.read_bytes()]


def test_a_queue_has_a_python_of_its_own_for_its_functions(engine: Engine, tmp_path: Path) -> None:
    """It is called by the words of the configuration; what requires packages is not for it."""
    python = tmp_path / "python"
    path = os.pathsep.join(sys.path)
    python.write_text(f'#!/bin/sh\necho called >> {tmp_path}/calls\nPYTHONPATH="{path}" exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    Path("heliostat.toml").write_text(f'queues.default = {{ executor = "slurm", python = "{python}" }}')
    with heliostat.open("sqlite:///h.db", files="files") as other:
        assert other.run(journeys.looks).state == "succeeded"
        reason = other.run(packed.packed).info.reason or ""
    assert content(tmp_path / "calls") == "called\n"
    assert "it requires packages, and the functions of its queue have a Python of their own" in reason


WORKER = """
import heliostat, sys
from tests.integration.journeys import steps
with heliostat.open("sqlite:///h.db", files="files", slots=2, lease_seconds=1.0) as engine:
    engine.add(steps)
    engine.work(until=engine.find(sys.argv[1]))
"""


def test_a_function_on_a_cluster_outlives_its_worker_and_is_adopted(engine: Engine, tmp_path: Path) -> None:
    """It begins once, and whoever comes next settles what it answered."""
    run = engine.start(journeys.steps, str(tmp_path))
    worker = subprocess.Popen([sys.executable, "-c", WORKER, run.id], env=surroundings())
    until(lambda: content(tmp_path / "here"))
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    (tmp_path / "go").touch()
    engine.work(until=run)
    assert run.result()[0::2] == ["put", "begun, made"], run.explain()
    assert content(tmp_path / "here").count("\n") == 1


def test_the_end_of_a_run_ends_its_function_on_a_cluster(engine: Engine, tmp_path: Path) -> None:
    """TERM comes to it, by way of the scheduler."""
    run = engine.start(journeys.steps, str(tmp_path))
    with working(engine, run):
        pid = until(lambda: content(tmp_path / "here")).strip()
        run.cancel("clouds")
    until(lambda: not alive(pid))
    assert run.state == "cancelled"
