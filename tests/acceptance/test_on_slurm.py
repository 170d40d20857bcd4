"""Engines whose jobs run on a real Slurm, and that are killed, cancelled and started again."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

import heliostat
from heliostat import Workflow
from heliostat.engine import Engine
from heliostat.handle import RunHandle
from heliostat.run import RunState
from heliostat.seen import seen as seen_of
from tests.acceptance.crew import wait_until
from tests.slurm_server import Slurm
from torture.jobs import LIVES

SECONDS = 200.0
STEP = 16  #: of all points


def places(slurm: Slurm) -> Counter[str]:
    """From which directories jobs were submitted, and how often."""
    listed = slurm.command("squeue", "--noheader", "--states=all", "--format=%Z")
    return Counter(line.strip() for line in listed.splitlines() if line.strip())


def seen(run: RunHandle, number: int = 1) -> dict[str, str]:
    """What others are told of a job; nothing where it was not seen yet."""
    found = (run._engine.around.directory / "jobs" / run.id).glob(f"{number}.*")
    told = next((seen_of(directory) for directory in found), None)
    return {} if told is None else {name: str(value) for name, value in asdict(told).items()}


@pytest.fixture
def engine(slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Give an engine whose queue ``cluster`` is Slurm, and ``many`` Slurm with arrays."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "heliostat.toml").write_text(
        'queues.cluster = { executor = "slurm" }\nqueues.closed = { executor = "slurm", partition = "closed" }\n'
        'queues.nowhere = { executor = "slurm", partition = "nowhere" }\n'
        'queues.many = { executor = "slurm", array = 1000 }\n'
    )
    with heliostat.open("sqlite:///x.db", files=tmp_path / "files") as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("life", LIVES)
def test_an_engine_may_be_killed_at_any_point(life: str) -> None:
    """Each attempt has one submission on the cluster, and its end is recorded, whoever lives to do it.

    There are some hundred points; each session takes others of them. ``make torture`` takes all.
    """
    some = ["--every", str(STEP), "--first", str(random.randrange(STEP))]
    command = [sys.executable, "-m", "torture", "--grounds", "slurm", "--faults", life, *some]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    outcome = json.loads(ran.stdout)
    assert outcome["sound"], ran.stderr
    assert outcome["deaths"] >= 3
    assert outcome["submissions"] == outcome["runs"]


def test_what_a_job_leaves_goes_on_through_the_workflow(engine: Engine, slurm: Slurm) -> None:
    """As from a job of this machine."""
    flow = Workflow("flow")
    flow.node(lambda message: message * 2, name="twice")
    made = flow.job("made", "seq {twice} > numbers; cp {input} {output}", outputs="numbers", queue="cluster")
    run = engine.run(flow, 2)
    assert run.state is RunState.succeeded, run.info.reason
    assert run.result(made) == {"message": 2, "twice": 4}
    told = seen(run, 2)
    assert (told["system"], told["state"], told["handle"].isdigit()) == ("slurm", "ended", True)


def test_cancelling_a_run_cancels_its_jobs(engine: Engine, slurm: Slurm) -> None:
    """Those that run and those that wait; what was seen last says when the cluster has confirmed it."""
    flow = Workflow("flow")
    flow.job("runs", "touch up; sleep 600", queue="cluster")
    flow.job("waits", "touch up", queue="closed")
    run = engine.start(flow)
    engine.work(until=lambda: seen(run, 1).get("state") == "running" and seen(run, 2).get("reason") == "PartitionDown")
    run.cancel("enough")
    engine.work(until=lambda: all(seen(run, number).get("reason") == "cancelled" for number in (1, 2)))
    assert [seen(run, number)["state"] for number in (1, 2)] == ["ended", "ended"]
    handles = [seen(run, number)["handle"] for number in (1, 2)]
    left = slurm.command("squeue", "--noheader", f"--jobs={','.join(handles)}", "--states=all", "--format=%T").split()
    assert set(left) <= {"CANCELLED", "FAILED", "COMPLETED"}


def test_what_slurm_refuses_is_a_failed_attempt_in_its_words(engine: Engine) -> None:
    """And no job that nobody hears of again."""
    flow = Workflow("flow")
    flow.job("lost", "true", queue="nowhere")
    run = engine.run(flow)
    assert run.state is RunState.failed
    assert "slurm refused it: invalid partition specified: nowhere" in str(run.info.reason)


@pytest.mark.slow
def test_a_fan_out_is_few_submissions(engine: Engine, slurm: Slurm, tmp_path: Path) -> None:
    """Each item is done once, and its result is in its place."""
    flow = Workflow("flow")
    flow.node(lambda: list(range(1, 41)), name="numbers")
    squares = flow.job("squares", "expr {n} '*' {n} > {output}", map={"n": "numbers"}, queue="many")
    run = engine.run(flow)
    assert run.state is RunState.succeeded, run.info.reason
    assert run.result(squares) == [number * number for number in range(1, 41)]
    submitted = {place: count for place, count in places(slurm).items() if place.startswith(f"{tmp_path}/")}
    assert len(submitted) < 20


FIVE = """
from heliostat import Workflow

five = Workflow("five")


@five.node
def numbers(message: str) -> list[int]:
    return [1, 2, 3, 4, 5]


COMMAND = "touch up; while [ ! -e {message}/go{n} ]; do sleep 0.1; done; echo {n} > {output}"
five.job("wait", COMMAND, map={"n": numbers}, queue="cluster")
"""


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_an_engine_that_starts_again_adopts_what_runs_and_what_has_ended(slurm: Slurm, tmp_path: Path) -> None:
    """Five jobs run while nobody is there; of those some end meanwhile, and none is submitted again."""
    (tmp_path / "heliostat.toml").write_text('queues.cluster = { executor = "slurm" }\napps = ["five.py"]\n')
    (tmp_path / "five.py").write_text(FIVE)
    heliostat_ = [sys.executable, "-m", "heliostat.cli"]
    command = [*heliostat_, "run", "start", "five", json.dumps(str(tmp_path)), "--json"]
    run = json.loads(subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout)["id"]
    jobs = tmp_path / ".heliostat" / "jobs" / run
    worker = subprocess.Popen([*heliostat_, "worker", "start"], cwd=tmp_path)
    try:
        wait_until(lambda: len(list(jobs.glob("*/up"))) == 5, "five jobs", SECONDS)
    finally:
        worker.kill()
        worker.wait()
    for number in (1, 2, 3):
        (tmp_path / f"go{number}").touch()
    wait_until(lambda: len(list(jobs.glob("*/job.exit_code"))) == 3, "three that end alone", SECONDS)
    with subprocess.Popen([*heliostat_, "worker", "start", "--until", "idle"], cwd=tmp_path) as second:
        for number in (4, 5):
            (tmp_path / f"go{number}").touch()
        second.wait(SECONDS)
    shown = subprocess.run([*heliostat_, "run", "show", run, "--json"], cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(shown.stdout)["result"] == [1, 2, 3, 4, 5]
    submitted = {place: count for place, count in places(slurm).items() if place.startswith(f"{tmp_path}/")}
    assert sorted(submitted.values()) == [1] * 5
