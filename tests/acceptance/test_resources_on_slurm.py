"""Resources, logs and reasons of jobs, on a real Slurm."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import heliostat
from heliostat import Resources, Retry, Workflow
from heliostat.allotment import noted
from heliostat.engine import Engine
from heliostat.handle import RunHandle
from heliostat.printed import Printed
from heliostat.run import RunState
from heliostat.seen import standings
from tests.acceptance.crew import wait_until
from tests.slurm_server import Slurm

SECONDS = 200.0
HOG = "import time; x = bytes([1]) * (200 << 20); time.sleep(8)"


@pytest.fixture
def engine(slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Give an engine whose queue ``cluster`` is Slurm, and ``closed`` a partition of it whose jobs wait."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "heliostat.toml").write_text(
        'queues.cluster = { executor = "slurm" }\nqueues.closed = { executor = "slurm", partition = "closed" }\n'
    )
    with heliostat.open("sqlite:///x.db", files=tmp_path / "files") as opened:
        yield opened


@contextmanager
def working(engine: Engine, run: RunHandle) -> Iterator[None]:
    """Work in another thread, until the run has ended; it is cancelled where nothing else has ended it."""
    thread = threading.Thread(target=engine.work, kwargs={"until": run}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        run.cancel()
        thread.join(SECONDS)


@pytest.mark.slow
def test_a_job_that_ran_out_of_memory_is_given_more(engine: Engine) -> None:
    """Slurm ends the first attempt, and lets the second one have what it needs."""
    flow = Workflow("flow", queue="cluster")
    asks = Resources(memory="50MiB", memory_factor=16)
    policy = Retry(1, delay=0, on=("out_of_memory",))
    flow.job("fit", [sys.executable, "-c", HOG], resources=asks, retry=policy)
    run = engine.run(flow)
    assert run.state is RunState.succeeded, run.info.reason
    assert [past.state for past in engine.store.attempts(run.key)] == ["out_of_memory"]
    given = noted(run.tasks()[0], run.graph["fit"], engine.around.log_file(run.key))
    assert {attempt: each.memory for attempt, each in given.items()} == {1: "50MiB", 2: "800MiB"}
    script = next((engine.around.directory / "jobs" / run.id).glob("1.2")) / "job.script"
    assert "--mem=800M" in script.read_text()


def test_a_job_that_waits_is_explained_in_the_words_of_slurm(engine: Engine) -> None:
    """With its id there; and a queue tells how many wait for what."""
    flow = Workflow("flow", queue="closed")
    flow.job("wait", "true")
    run = engine.start(flow)
    with working(engine, run):
        wait_until(lambda: ": PartitionDown; watched for" in run.explain(1), seconds=SECONDS)
        assert run.explain(1).startswith("pending in slurm on ")
        assert [words for _, words in standings(engine.store, engine.around)] == ["pending in slurm: PartitionDown"]


def test_a_job_is_followed_while_it_runs(engine: Engine, tmp_path: Path) -> None:
    """What it prints there is told here, before it has ended."""
    go = tmp_path / "go"
    flow = Workflow("flow", queue="cluster")
    flow.job("say", f"echo one; until test -e {go}; do sleep 0.05; done; echo two")
    run = engine.start(flow)
    with working(engine, run):
        printed = Printed(engine.around, run.graph["say"])
        told: list[str] = []

        def said(word: str) -> bool:
            told.extend(line.text for line in printed.read(run.tasks()[0]))
            return word in told

        wait_until(lambda: said("one"), seconds=SECONDS)
        assert told == ["one"]
        wait_until(lambda: run.explain(1).startswith("running in slurm on "), "somebody to have looked", SECONDS)
        go.touch()
        wait_until(lambda: said("two"), seconds=SECONDS)
        assert told == ["one", "two"]
