"""Queues as they are configured: which there are, on what terms, and where their functions run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import heliostat
from heliostat import Context, Every, Workflow
from heliostat.cli import app
from heliostat.errors import BadInput
from heliostat.store import Command, Register, SetQueue
from tests.integration.processes import other

where = Workflow("where")


@where.node(queue="alone")
def inside() -> int:
    """Say in which process it runs."""
    return os.getpid()


@where.node(queue="beside")
def outside() -> int:
    """Say in which process it runs."""
    return os.getpid()


@where.node
def somewhere() -> int:
    """Say in which process it runs."""
    return os.getpid()


starts = Workflow("starts")


@starts.node(queue="alone", may_fail=True)
def start_there(ctx: Context) -> str:
    """Start what has a queue that nobody knows, in a process."""
    return ctx.start(strange)


@starts.node(queue="beside", may_fail=True)
def start_here(ctx: Context) -> str:
    """Start it in a thread."""
    return ctx.start(strange)


strange = Workflow("strange", queue="bside")


@strange.node
def lost() -> None:
    """Run nowhere."""


QUEUES = """
database = "sqlite:///h.db"
queues.alone = { executor = "process", limit = 2 }
queues.beside = { executor = "thread", rate = "600/m" }
"""


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give what writes the configuration of the current directory."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> None:
        Path("heliostat.toml").write_text(text, "utf-8")

    write(QUEUES)
    return write


@pytest.mark.parametrize("executor", ["thread", "process"])
@pytest.mark.usefixtures("configured")
def test_a_queue_says_where_its_functions_run(executor: str) -> None:
    """Whatever the worker's own executor is; that holds for queues that say nothing."""
    with heliostat.open(executor=executor) as engine:
        run = engine.run(where)
        pids = [run.result(node) for node in (inside, outside, somewhere)]
    assert [pid == os.getpid() for pid in pids] == [False, True, executor == "thread"]


@pytest.mark.usefixtures("configured")
def test_a_run_with_an_unknown_queue_is_refused_before_it_is_there() -> None:
    """With the nearest name; from a program, from the command line, and from a function in thread and process."""
    said = "node lost: there is no queue 'bside' in heliostat.toml; did you mean 'beside'?"
    with heliostat.open() as engine:
        with pytest.raises(BadInput, match=said.replace("?", r"\?")):
            engine.start(strange)
        with pytest.raises(BadInput):
            engine.start_many(strange, [1, 2])
        assert engine.store.graphs() == []
        run = engine.run(starts)
        assert {task.reason for task in run.tasks()} == {said}
        assert [each.graph.name for each in engine.runs()] == ["starts"]
    ran = CliRunner().invoke(app, ["run", "start", f"{__file__}:strange"])
    assert (ran.exit_code, said in ran.stderr) == (4, True)


def test_where_no_queue_is_configured_every_queue_runs(configured: Callable[[str], None]) -> None:
    """As on a laptop."""
    configured("")
    with heliostat.open("memory://") as engine:
        assert engine.run(strange).state == "succeeded"
        assert engine.run(other, 1).result() == 2


def test_limits_are_as_configured_unless_an_operator_has_set_them(configured: Callable[[str], None]) -> None:
    """A worker that starts undoes nothing; what the file says otherwise is shown beside what holds."""
    runner = CliRunner()
    with heliostat.open() as engine:
        engine.run(where)
        engine.store.accept([Command(SetQueue("alone", limit=7))], engine.around.clock.now())
    configured(QUEUES.replace("limit = 2", "limit = 3").replace("600/m", "50/s"))
    with heliostat.open() as engine:
        engine.run(where)
        queues = {queue.name: queue for queue, *_ in engine.store.queues()}
    assert (queues["alone"].limit, queues["beside"].rate) == (7, "50/s")
    assert "limit set by hand, configured is 3" in runner.invoke(app, ["queue", "list"]).stdout
    assert runner.invoke(app, ["queue", "set", "alone", "--as-configured"]).exit_code == 0
    [alone, *_] = json.loads(runner.invoke(app, ["queue", "list", "--json"]).stdout)
    assert (alone["limit"], alone["by_hand"], alone["configured"]) == (3, [], {"limit": 3, "rate": None})
    refused = runner.invoke(app, ["queue", "set", "alone", "--as-configured", "--limit", "3"])
    assert (refused.exit_code, "--as-configured alone" in refused.stderr) == (4, True)


def test_what_is_wrong_with_the_configuration_is_said_in_one_go(configured: Callable[[str], None]) -> None:
    """Of the file, and of what the apps want of it."""
    runner = CliRunner()
    assert runner.invoke(app, ["config", "check"]).stdout == "✓ the configuration is in order\n"
    apps = json.dumps(["nowhere.py", f"{__file__}:strange", f"{__file__}:where"])
    configured(f'{QUEUES}queues.slow = {{ limit = 0 }}\nexecuter = "thread"\napps = {apps}')
    ran = runner.invoke(app, ["config", "check"])
    assert ran.exit_code == 4
    assert ran.stdout.splitlines() == [
        "✗ heliostat.toml: there is no setting 'executer'; did you mean 'executor'?",
        "✗ heliostat.toml: queues.slow.limit: a whole number from 1 to 2,147,483,647 is wanted, not 0",
        "✗ apps: there is no file 'nowhere.py'",
        "✗ workflow strange, node lost: there is no queue 'bside'; did you mean 'beside'?",
    ]
    as_json = runner.invoke(app, ["config", "check", "--json"])
    assert (as_json.exit_code, len(json.loads(as_json.stdout)["mistakes"])) == (4, 4)
    configured(QUEUES)
    shown = runner.invoke(app, ["config", "show"]).stdout
    assert "queues.alone    limit 2, executor process" in shown
    assert json.loads(runner.invoke(app, ["config", "show", "--json"]).stdout)["queues"]["beside"] == {
        "limit": None,
        "rate": "600/m",
        "executor": "thread",
        "containers": None,
        "cluster": None,
    }


@pytest.mark.usefixtures("configured")
def test_ticks_with_an_unknown_queue_are_refused_as_any_run_is() -> None:
    """Where a worker would fire them, and where they are filled back, with the code or by name."""
    hourly = Workflow("hourly", on=Every("1h"))
    hourly.node(lambda: 1, name="lost", queue="bside")
    said = r"node lost: there is no queue 'bside' in heliostat.toml; did you mean 'beside'\?"
    with heliostat.open() as engine:
        with pytest.raises(BadInput, match=said):
            engine.add(hourly)
        with pytest.raises(BadInput, match=said):
            engine.backfill(hourly, 0, 7200)
        assert engine.store.graphs() == []
        engine.store.accept([Command(Register(hourly.graph))], engine.around.clock.now())
        with pytest.raises(BadInput, match=said):
            engine.backfill("hourly", 0, 7200)
        assert engine.runs() == []
