"""What holds work up, told where one looks: who has paused it, and how the jobs of a queue stand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import heliostat
from heliostat import Every, Workflow
from heliostat.batch import SEEN
from heliostat.cli import app
from heliostat.engine import Engine
from heliostat.handle import RunHandle
from heliostat.printed import job_directory
from heliostat.store import Ask

Call = Callable[..., str]
PATIENCE = 200.0
BY = "by anna "
REASON = ("--reason", "the dome is closed")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Give an engine on a database that the command line finds."""
    with heliostat.open(tmp_path / "h.db", files=tmp_path) as opened:
        yield opened


@pytest.fixture
def call(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Give what carries out a command as anna and answers what it says, in one line."""
    monkeypatch.setenv("LOGNAME", "anna")
    place = engine.around.directory
    options = ["--database", f"sqlite:///{place / 'h.db'}", "--files", str(place)]

    def call_(*words: str) -> str:
        given = CliRunner(env={"COLUMNS": "400"}).invoke(app, [*options, *words])
        assert given.exit_code == 0, given.output
        return " ".join(given.stdout.split()) if "--json" not in words else given.stdout

    return call_


def started(engine: Engine) -> RunHandle:
    """Give a run with a job that is ready."""
    flow = Workflow("night", queue="cluster", on=Every("1h"))
    flow.job("fit", "true", limit=2)
    flow.job("plot", "true")
    return engine.start(flow)


def test_who_has_paused_a_queue_is_told_where_one_looks(engine: Engine, call: Call) -> None:
    """In the list of queues and of a task that waits; until somebody lets it go on."""
    run = started(engine)
    call("queue", "pause", "cluster", *REASON)
    assert f"paused {BY}" in call("queue", "list")
    assert call("queue", "list").count("the dome is closed") == 1
    explained = call("task", "explain", f"{run.id}/1")
    assert f"queue cluster is paused, {BY}" in explained
    assert explained.endswith("ago: the dome is closed")
    told = next(queue for queue in json.loads(call("queue", "list", "--json")) if queue["name"] == "cluster")
    assert (told["hold"]["by"], told["hold"]["reason"], told["paused"]) == ("anna", "the dome is closed", True)
    assert told["hold"]["at"]
    call("queue", "resume", "cluster")
    assert "dome" not in call("queue", "list") + call("queue", "list", "--json")


def test_who_has_paused_a_node_is_told_where_one_looks(engine: Engine, call: Call) -> None:
    """With how much of it waits and runs."""
    run = started(engine)
    call("node", "pause", "night/fit", *REASON)
    assert f"paused {BY}" in call("node", "list")
    assert f"node fit is paused, {BY}" in call("task", "explain", f"{run.id}/1")
    (told,) = json.loads(call("node", "list", "--json"))
    assert (told["hold"]["by"], told["ready"], told["running"], told["limit"]) == ("anna", 1, 0, 2)


def test_who_has_paused_a_run_is_told_where_one_looks(engine: Engine, call: Call) -> None:
    """In the run itself, and of each of its tasks that waits."""
    run = started(engine)
    call("run", "pause", run.id, *REASON)
    assert f"paused {BY}" in call("run", "show", run.id)
    assert "ago: the dome is closed" in call("run", "show", run.id)
    assert f"run {run.id} is paused, {BY}" in call("run", "explain", run.id)
    assert json.loads(call("run", "show", run.id, "--json"))["hold"]["reason"] == "the dome is closed"
    call("run", "resume", run.id)
    assert json.loads(call("run", "show", run.id, "--json"))["hold"] is None


def test_who_has_paused_a_workflow_is_told_where_one_looks(engine: Engine, call: Call, tmp_path: Path) -> None:
    """In the list of workflows, and in the workflow itself."""
    file = tmp_path / "sky.py"
    file.write_text(
        'from heliostat import Every, Workflow\n\nsky = Workflow("sky", on=Every("1h"))\nsky.job("a", "true")\n'
    )
    begun = threading.Event()
    from heliostat.cli.session import workflow

    engine.add(workflow(f"{file}:sky"))
    engine.work(until=lambda: bool(engine.schedules()) or begun.is_set())
    call("workflow", "pause", "sky", *REASON)
    assert f"paused {BY}" in call("workflow", "list")
    assert "ago: the dome is closed" in call("workflow", "show", f"{file}:sky")
    assert json.loads(call("workflow", "list", "--json"))[0]["schedule"]["hold"]["by"] == "anna"


def test_why_a_queue_does_not_move_is_told_beside_how_full_it_is(engine: Engine, call: Call) -> None:
    """No worker is there, or it is full."""
    run = started(engine)

    def why() -> Any:
        return next(queue["why"] for queue in json.loads(call("queue", "list", "--json")) if queue["name"] == "cluster")

    assert why() == "no worker takes from it"
    assert "no worker takes from it" in call("queue", "list")
    call("queue", "set", "cluster", "--limit", "1")
    engine.store.lease(Ask("w", frozenset({run.graph.id}), 1), engine.around.clock.now())
    assert why() == "it is full"
    engine.store.lease(Ask("w", frozenset({run.graph.id}), 0), engine.around.clock.now())


def test_how_many_jobs_of_a_queue_wait_for_what_is_told(engine: Engine, call: Call) -> None:
    """By reason, the most first; of a node too."""
    run = started(engine)
    more = [engine.start(engine_flow(engine, run)) for _ in range(2)]
    engine.store.lease(Ask("w", frozenset({run.graph.id}), 9), engine.around.clock.now())
    for number, each in enumerate((run, *more)):
        directory = job_directory(engine.around, each.key, 2, 1)
        directory.mkdir(parents=True)
        reason, state = ("Resources", "submitted") if number else ("", "running")
        line = {
            "system": "slurm",
            "place": "login1",
            "handle": str(number),
            "state": state,
            "reason": reason,
            "at": 1.0,
        }
        (directory / SEEN).write_text(json.dumps(line))
    told = next(queue for queue in json.loads(call("queue", "list", "--json")) if queue["name"] == "cluster")
    assert told["jobs"] == {"pending in slurm: Resources": 2, "running in slurm": 1}
    assert "2 pending in slurm: Resources 1 running in slurm" in call("queue", "list")
    call("node", "set", "night/plot", "--limit", "5")
    node = next(node for node in json.loads(call("node", "list", "--json")) if node["node"] == "plot")
    assert (node["running"], node["jobs"]) == (3, told["jobs"])


def engine_flow(engine: Engine, run: RunHandle) -> Workflow:
    """The same workflow once more."""
    flow = Workflow("night", queue="cluster", on=Every("1h"))
    flow.job("fit", "true", limit=2)
    flow.job("plot", "true")
    assert flow.graph.id == run.graph.id
    return flow


def test_a_job_of_this_machine_says_how_it_stands(engine: Engine, tmp_path: Path) -> None:
    """As its worker has seen it, to whoever asks."""
    go = tmp_path / "go"
    flow = Workflow("flow")
    flow.job("wait", f"until test -e {go}; do sleep 0.02; done")
    run = engine.start(flow)
    thread = threading.Thread(target=engine.work, kwargs={"until": run}, daemon=True)
    thread.start()
    try:
        met, until = threading.Event(), time.monotonic() + PATIENCE
        while not (words := run.explain(1)).startswith("running in local on ") and time.monotonic() < until:
            met.wait(0.02)
        assert words.startswith("running in local on ")
        assert "; watched for " in words
    finally:
        go.touch()
        thread.join(PATIENCE)
