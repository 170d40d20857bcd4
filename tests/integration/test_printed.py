"""What jobs print: told while they run, after they have ended, and of every attempt."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import heliostat
from heliostat import Retry, Secret, Snooze, Workflow
from heliostat.batch import SEEN
from heliostat.cli import app
from heliostat.engine import Engine
from heliostat.grid import Seen, grid
from heliostat.handle import RunHandle
from heliostat.printed import BURST, HIDDEN, MOST, Printed, job_directory
from heliostat.run import RunState
from heliostat.seen import seen, standings
from heliostat.story import Line

PATIENCE = 200.0


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Give an engine on a database that the command line finds."""
    with heliostat.open(tmp_path / "h.db", files=tmp_path) as opened:
        yield opened


@pytest.fixture
def go(engine: Engine, tmp_path: Path) -> Iterator[Path]:
    """Give the file that lets a job end; it is there at the latest when the test has ended."""
    yield tmp_path / "go"
    (tmp_path / "go").touch()


@contextmanager
def working(engine: Engine, run: RunHandle) -> Iterator[None]:
    """Work in another thread, until the run has ended."""
    thread = threading.Thread(target=engine.work, kwargs={"until": run}, daemon=True)
    thread.start()
    yield
    thread.join(PATIENCE)
    assert not thread.is_alive()


def until(condition: Callable[[], Any]) -> Any:
    """Wait until something holds, and give it."""
    met, begun_at = threading.Event(), time.monotonic()
    while time.monotonic() - begun_at < PATIENCE:
        if found := condition():
            return found
        met.wait(0.01)
    raise AssertionError("it did not come about")


def options(engine: Engine) -> list[str]:
    """What the command line is told of an engine's database and files."""
    place = engine.around.directory
    return ["--database", f"sqlite:///{place / 'h.db'}", "--files", str(place)]


def told(engine: Engine, *words: str) -> list[dict[str, Any]]:
    """What a command says, as JSON."""
    given = CliRunner().invoke(app, [*options(engine), *words, "--json"])
    assert given.exit_code == 0, given.output
    lines: list[dict[str, Any]] = json.loads(given.stdout)
    return [line for line in lines if line["kind"] == "output"]


def texts(lines: list[Line]) -> list[str]:
    """What lines say."""
    return [line.text for line in lines if line.kind == "output"]


def reader(engine: Engine, run: RunHandle) -> Callable[[], list[str]]:
    """Give what reads on in the first task's output."""
    printed = Printed(engine.around, run.graph[run.tasks()[0].node])
    return lambda: [line.text for line in printed.read(run.tasks()[0])]


def test_what_every_attempt_of_a_job_printed_is_told_afterwards(engine: Engine) -> None:
    """With its stream and which attempt it was; also the end of a line that has none."""
    flow = Workflow("flow")
    command = "test -e ../tried || (touch ../tried; echo no; printf never >&2; exit 3) || exit 3; echo yes"
    flow.job("say", command, retry=Retry(1, delay=0))
    run = engine.run(flow)
    assert run.state is RunState.succeeded, run.info.reason
    lines = told(engine, "task", "log", f"{run.id}/1")
    said = [(line["attempt"], line["fields"]["stream"], line["text"]) for line in lines]
    assert said == [(1, "stdout", "no"), (1, "stderr", "never"), (2, "stdout", "yes")]
    assert [line["text"] for line in told(engine, "task", "log", f"{run.id}/1", "--attempt", "2")] == ["yes"]
    whole = [line.text for line in run.log()]
    assert whole.index("no") < next(at for at, text in enumerate(whole) if text.startswith("attempt 1 failed"))
    assert "yes" in whole


def test_a_running_job_is_followed_line_by_line(engine: Engine, go: Path) -> None:
    """Each line as soon as it is whole, and the program ends with the task."""
    flow = Workflow("flow")
    flow.job("say", f"echo one; printf tw; until test -e {go}; do sleep 0.02; done; echo o")
    run = engine.start(flow)
    with working(engine, run):
        until((job_directory(engine.around, run.key, 1, 1) / "stdout").exists)
        words = ["task", "log", f"{run.id}/1", "--follow", "--json"]
        follower = subprocess.Popen(
            [sys.executable, "-m", "heliostat.cli", *options(engine), *words],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["text"] == "one"  # before it may go on
        go.touch()
        assert json.loads(follower.stdout.readline())["text"] == "two"
        assert json.loads(follower.stdout.readline())["text"] == "succeeded"
        assert follower.wait(PATIENCE) == 0
        follower.stdout.close()


def test_what_comes_in_bits_is_told_once_each(engine: Engine, go: Path) -> None:
    """Whole lines only, while there may be more of the last one; a file may also be replaced by a longer one."""
    flow = Workflow("flow")
    flow.job("say", f"until test -e {go}; do sleep 0.02; done")
    run = engine.start(flow)
    with working(engine, run):
        directory = job_directory(engine.around, run.key, 1, 1)
        file = until(lambda: directory / "stderr" if (directory / "stderr").exists() else None)
        read = reader(engine, run)
        assert read() == []
        with file.open("ab") as written:
            written.write(b"one\nt")
        assert read() == ["one"]
        assert read() == []
        with file.open("ab") as written:
            written.write(b"wo\r\nthree")
        assert read() == ["two"]
        (directory / "new").write_bytes(b"one\ntwo\nthree, replaced\nfour \xff\n")
        (directory / "new").replace(file)
        assert read() == ["three, replaced", "four �"]
        with file.open("ab") as written:
            written.write(b"x" * (1 << 17))
        assert read() == ["x" * (1 << 17)]  # who prints no end of a line is told all the same
        go.touch()
    assert read() == []


def test_a_job_that_was_put_off_again_and_again_is_found(engine: Engine, go: Path) -> None:
    """It has no directories of the times before; what it prints and how it stands is told while it runs."""
    flow, waits = Workflow("flow"), iter([True, True, False])
    command = f"echo one; until test -e {go}; do sleep 0.02; done"
    flow.job("say", command, prepare=lambda: Snooze(0) if next(waits) else None)
    run = engine.start(flow, name="it")
    with working(engine, run):
        until(lambda: texts(run.log()) == ["one"])
        until(lambda: "running in local" in run.explain(1))
        assert [job for _, job in standings(engine.store, engine.around)] == ["running in local"]
        [place] = (engine.around.directory / "jobs").glob("*/*")
        assert place == job_directory(engine.around, run.key, 1, 1)
        (place / "job.exit_code").write_text("0\n")
        assert grid(engine, "flow").rows[0].cells["say"].state is Seen.finished_execution
        (place / "job.exit_code").unlink()
        go.touch()


@pytest.mark.parametrize("lost", [False, True])
def test_a_failure_that_no_policy_was_asked_about_is_an_attempt_like_any_other(
    engine: Engine, go: Path, *, lost: bool
) -> None:
    """As when somebody cancelled it, or its worker was lost too often: the next one has another number."""
    flow = Workflow("flow")
    flow.job("say", f"echo said; until test -e {go}; do sleep 0.02; done")
    run = engine.start(flow)
    with working(engine, run):
        until(lambda: texts(run.log()))
        run.cancel_task("say")
    if lost:  # which takes three workers
        with sqlite3.connect(engine.around.directory / "h.db") as database:
            database.execute("UPDATE attempts SET state = 'rescued', reason = 'lost with its worker 3 times'")
        database.close()
    go.touch()
    run.retry("say")
    engine.work(until=run)
    assert [line.attempt for line in run.log() if line.text == "said"] == [1, 2]


def test_of_a_large_file_the_end_is_told(engine: Engine) -> None:
    """And where the rest is; in the log of the run only some lines of each job."""
    flow = Workflow("flow")
    flow.job("say", f"yes 123456789 | head -c {MOST + 5}; echo; echo last")
    run = engine.run(flow)
    lines = told(engine, "task", "log", f"{run.id}/1")
    assert lines[0]["text"].startswith(f"… what is before stands in {job_directory(engine.around, run.key, 1, 1)}")
    assert lines[-1]["text"] == "last"
    assert MOST // 10 - 10 < len(lines) < MOST // 10 + 10
    assert len(texts(run.log())) < 2000
    assert BURST > 1


def test_a_log_without_its_files_tells_the_rest(engine: Engine) -> None:
    """As where they were kept on another machine."""
    flow = Workflow("flow")
    flow.node(lambda: 1, name="a")
    flow.job("say", "echo hello", after="a")
    run = engine.run(flow)
    for path in sorted((engine.around.directory / "jobs").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert told(engine, "task", "log", f"{run.id}/2") == []
    assert texts(run.log()) == []


def test_what_is_no_log_hides_nothing_of_the_others(engine: Engine) -> None:
    """A pipe or a directory in the place of a job's log or of what it prints, and lines that are none of ours."""
    flow = Workflow("flow")
    flow.job("say", "echo hello")
    run = engine.run(flow)
    job = job_directory(engine.around, run.key, 1, 1)
    odd = job / "logs" / f"{run.id}.jsonl"
    odd.parent.mkdir()
    before = [line.text for line in run.log()]
    assert "hello" in before

    def still() -> bool:
        assert run.explain(1)
        return [line.text for line in run.log()] == before

    os.mkfifo(odd)
    assert still()
    odd.unlink()
    odd.mkdir()
    assert still()
    odd.rmdir()
    line = {"node": "say", "message": "mine", "task": 1, "at": 1.0}
    for bad in ({"at": "1e999"}, {"at": 1e300}, {"at": -1}, {"task": 10**400}, {"at": []}):
        odd.write_text(json.dumps(line | bad) + "\n")
        assert still()
    odd.write_text('{"at": 1, "task": 1e999}\n' + "[" * 100_000 + "\n" + json.dumps(line) + "\n")
    assert [line.text for line in run.log()] == ["mine", *before]
    odd.unlink()
    (job / "stdout").unlink()
    os.mkfifo(job / "stdout")
    (job / SEEN).unlink(missing_ok=True)
    os.mkfifo(job / SEEN)
    assert seen(job) is None
    before.remove("hello")
    assert still()


# secrets


@pytest.fixture
def confided(engine: Engine, go: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunHandle]:
    """Give a run whose job has printed a secret and goes on."""
    monkeypatch.setenv("HELIOSTAT_SECRET_KEY", "swordfish-9")
    flow = Workflow("flow")
    command = f'echo "$KEY"; printf "%s" "$KEY and"; until test -e {go}; do sleep 0.02; done; echo; echo over'
    flow.job("say", command, env={"KEY": Secret("key")})
    run = engine.start(flow)
    with working(engine, run):
        file = job_directory(engine.around, run.key, 1, 1) / "stdout"
        until(lambda: file.exists() and b"and" in file.read_bytes())
        yield run
        go.touch()


def test_a_secret_that_a_running_job_prints_is_masked(confided: RunHandle, engine: Engine, tmp_path: Path) -> None:
    """Also by a process that has not given it to the job; and what is told later goes on where that ended."""
    with heliostat.open(tmp_path / "h.db", files=tmp_path) as other:
        read = reader(other, other.find(confided.id))
        assert read() == ["***"]
        (tmp_path / "go").touch()
        until(lambda: confided.state.final)
        assert read() == ["*** and", "over"]


def test_where_a_secret_is_not_known_a_running_job_is_not_shown(
    confided: RunHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said why, once; and when the job has ended, what it printed is told with the secret masked."""
    monkeypatch.delenv("HELIOSTAT_SECRET_KEY")
    with heliostat.open(tmp_path / "h.db", files=tmp_path) as other:
        read = reader(other, other.find(confided.id))
        assert read() == [HIDDEN]
        assert read() == []
        (tmp_path / "go").touch()
        until(lambda: confided.state.final)
        assert read() == ["***", "*** and", "over"]
