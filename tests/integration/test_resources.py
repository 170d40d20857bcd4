"""Resources of attempts, as they are given: to jobs, and to processes; and what is told of them afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import heliostat
from heliostat import Context, Resources, Retry, Workflow
from heliostat.cli import app
from heliostat.engine import Engine
from heliostat.handle import RunHandle
from heliostat.run import RunState
from heliostat.task import AttemptState
from tests.integration import processes

RETRY = Retry(3, delay=0)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Give an engine on a database that the command line finds."""
    with heliostat.open(tmp_path / "h.db", files=tmp_path) as opened:
        yield opened


def told(engine: Engine, *words: str) -> Any:
    """What a command says of the engine's database, as JSON."""
    place = engine.around.directory
    given = CliRunner().invoke(
        app, ["--database", f"sqlite:///{place / 'h.db'}", "--files", str(place), *words, "--json"]
    )
    assert given.exit_code == 0, given.output
    return json.loads(given.stdout)


def given(engine: Engine, run: RunHandle, number: int = 1) -> list[Any]:
    """What each attempt at a task was given, as `task show` tells it: those that failed, then the newest."""
    details = told(engine, "task", "show", f"{run.id}/{number}")
    return [*(attempt["resources"] for attempt in details["history"]), details["resources"]]


def test_a_job_that_timed_out_is_given_more_time(engine: Engine) -> None:
    """The walltime holds on this machine, too; what each attempt was given can be seen afterwards."""
    flow = Workflow("flow")
    asks = Resources(walltime="1s", walltime_factor=600)
    flow.job("fit", "test -e ../tried && exit 0; touch ../tried; sleep 60", resources=asks, retry=RETRY)
    run = engine.run(flow)
    assert run.state is RunState.succeeded, run.info.reason
    assert [past.state for past in engine.store.attempts(run.key)] == ["timed_out"]
    assert [each["walltime"] for each in given(engine, run)] == ["1s", "10m"]


def test_the_shorter_of_walltime_and_timeout_holds(engine: Engine) -> None:
    """Both are said from the begin of the job."""
    flow = Workflow("flow")
    flow.job("fit", "sleep 60", resources=Resources(walltime="1h"), timeout=0.2)
    run = engine.run(flow)
    assert run.info.reason == "fit: timed out after 0.2 s: Terminated"


@pytest.mark.slow
def test_a_process_that_ran_out_of_memory_is_given_more(tmp_path: Path) -> None:
    """By a factor, by a function, and by one that has no name; the limit is the new one."""
    with heliostat.open(tmp_path / "h.db", files=tmp_path, executor="process") as engine:
        run = engine.run(processes.growing)
        assert run.state is RunState.succeeded, run.info.reason
        assert run.results() == dict.fromkeys(("by_factor", "by_function", "by_lambda"), 200 << 20)
        assert {past.state for past in engine.store.attempts(run.key)} == {"out_of_memory"}
        assert [each["memory"] for each in given(engine, run, 1)] == ["64MiB", "512MiB"]
        assert given(engine, run, 2) == [{"memory": "64MiB"}, {"cores": 2, "memory": "512MiB"}]
        assert given(engine, run, 3) == given(engine, run, 2)


def test_a_function_is_told_how_often_it_failed_and_how_the_last_one_ended(engine: Engine) -> None:
    """A snooze is no failure, and so another attempt is given the same."""
    asked: list[tuple[int, AttemptState | None]] = []

    def more(attempt: int, ended: AttemptState | None) -> Resources:
        asked.append((attempt, ended))
        return Resources(cores=attempt)

    flow = Workflow("flow", retry=RETRY, resources=more)

    @flow.node
    def fit(ctx: Context) -> object:
        match ctx.attempt:
            case 1:
                return heliostat.Snooze(0)
            case 2:
                raise MemoryError
            case 3:
                raise OSError("not yet")
        return ctx.attempt

    run = engine.run(flow)
    assert run.result() == 4
    first, *later = asked[1:]  # the first of all was asked at the definition
    assert asked[0] == first == (1, None)
    assert later == [(1, None), (2, AttemptState.out_of_memory), (3, AttemptState.failed)]
    assert given(engine, run) == [{}, {}, {"cores": 2}, {"cores": 3}]


def test_a_function_that_raises_is_a_failed_attempt(engine: Engine) -> None:
    """With its words and its place; the node's own function is not called."""

    def more(attempt: int, ended: AttemptState | None) -> Resources:
        if attempt == 2:
            raise KeyError("no partition is free")
        return Resources()

    flow = Workflow("flow")
    flow.job("fit", "exit 3", resources=more, retry=Retry(5, delay=0, on=(OSError, "failed")))
    run = engine.run(flow)
    assert run.state is RunState.failed
    assert "resources: KeyError: 'no partition is free' (test_resources.py:" in (run.info.reason or "")
    assert len(engine.store.attempts(run.key)) == 2


def test_a_function_that_exits_is_a_failed_attempt_too(engine: Engine) -> None:
    """No thread of a worker ends for it."""

    def more(attempt: int, ended: AttemptState | None) -> Resources:
        if ended is not None:
            raise SystemExit(3)
        return Resources()

    flow = Workflow("flow")
    flow.job("fit", "exit 3", resources=more, retry=RETRY)
    assert engine.run(flow).info.reason == "fit: resources: its function called exit(3) (attempt 2)"


def test_what_does_not_change_is_told_without_a_line_in_the_log(engine: Engine) -> None:
    """The definition says it of every attempt."""
    flow = Workflow("flow", retry=1, resources=Resources(cores=2))
    flow.job("fit", "exit 3", retry=Retry(1, delay=0))
    run = engine.run(flow)
    assert given(engine, run) == [{"cores": 2}] * 3
    assert [line for line in run.log() if line.kind == "log"] == []


def test_an_ending_that_is_not_named_is_not_tried_again(engine: Engine) -> None:
    """A job that failed by itself, where only time-outs are worth another try; and the other way round."""
    flow = Workflow("flow", on_failure="finish")
    late = Retry(3, delay=0, on=("timed_out",))
    flow.job("by_itself", "exit 3", retry=late, may_fail=True)
    flow.job("in_time", "test -e ../tried || (touch ../tried; sleep 60)", timeout=0.5, retry=late)
    run = engine.run(flow)
    assert run.state is RunState.succeeded, run.info.reason
    ended = [(past.number, past.state) for past in engine.store.attempts(run.key)]
    assert sorted(ended) == [(1, "failed"), (2, "timed_out")]


def test_people_see_what_each_attempt_was_given(engine: Engine) -> None:
    """In `task show`, in the log, and in `workflow show` before anything has run."""
    flow = Workflow("flow", retry=Retry(1, delay=0), priority=7)
    flow.job("fit", "exit 3", resources=Resources(memory="1GiB", memory_factor=2))
    run = engine.run(flow)
    place = ["--database", f"sqlite:///{engine.around.directory / 'h.db'}", "--files", str(engine.around.directory)]
    shown = CliRunner().invoke(app, [*place, "task", "show", f"{run.id}/1"]).stdout
    assert "resources  1 core, 1GiB" in shown
    assert "priority   7" in shown
    assert " given " in shown
    assert "given  memory=1GiB" in CliRunner().invoke(app, [*place, "task", "log", f"{run.id}/1"]).stdout
    assert " 7 " in CliRunner().invoke(app, [*place, "task", "list", run.id]).stdout
    assert told(engine, "task", "list", run.id)[0]["priority"] == 7
