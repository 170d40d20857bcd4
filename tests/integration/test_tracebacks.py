"""Errors of users' functions: the author's line in the reason, and the traceback wherever somebody looks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import heliostat
from heliostat import RunFailed
from heliostat.cli import app
from heliostat.engine import Engine
from tests.integration import raising as flows
from tests.integration.test_environments import UV, cache, wheel

__all__ = ["cache"]  # a fixture
LINE = flows.fit.function.__code__.co_firstlineno + 4  # type: ignore[union-attr]
PLACE = f"raising.py:{LINE} in fit"


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_the_reason_and_the_traceback_are_the_same_in_threads_and_processes(tmp_path: Path, executor: str) -> None:
    """The author's line, and the frames of the library below it, but none of Heliostat's."""
    with heliostat.open(tmp_path / "h.db", files=tmp_path, executor=executor, slots=1) as engine:
        run = engine.run(flows.raising)
        assert run.info.reason is not None
        assert run.info.reason.startswith("fit[1]: r=2.5: JSONDecodeError: Expecting property name")
        assert run.info.reason.endswith(f"({PLACE})")
        with pytest.raises(RunFailed) as failed:
            run.result()
    told = failed.value.traceback or ""
    assert f'raising.py", line {LINE}, in fit' in told
    assert 'decoder.py", line' in told
    assert "perform.py" not in told
    assert "child.py" not in told


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_a_function_past_its_time_out_tells_where_it_was(tmp_path: Path, executor: str) -> None:
    """A thread goes on there, and a process was killed there: the line is all that will be known of it."""
    with heliostat.open(tmp_path / "h.db", files=tmp_path, executor=executor, slots=1) as engine:
        run = engine.run(flows.stuck)
        assert str(run.info.reason).startswith("wait: timed out after 3 s")
        log = engine.around.log_file(run.key)
    logged = map(json.loads, log.read_text("utf-8").splitlines())  # a process may have told it to a closing engine
    (told,) = [line["message"] for line in logged if line.get("traceback")]
    line = flows.wait.function.__code__.co_firstlineno + 3  # type: ignore[union-attr]
    assert f'raising.py", line {line}, in wait' in told
    assert "perform.py" not in told


@pytest.mark.parametrize("cache", ["uv" if UV else "pip"], indirect=True)
def test_a_packages_line_is_not_the_authors(cache: Path, tmp_path: Path) -> None:
    """A node with an environment of its own fails in what is installed there."""
    lines = "VERSION = '1.0'\ndef count():\n    raise KeyError('no birds')\n"
    wheel(tmp_path / "wheels", "birds", "1.0", lines)
    with heliostat.open(tmp_path / "h.db", files=tmp_path / "files") as engine:
        run = engine.run(flows.packed)
        line = flows.count.function.__code__.co_firstlineno + 4  # type: ignore[union-attr]
        assert run.info.reason == f"count: KeyError: 'no birds' (raising.py:{line} in count)"
        with pytest.raises(RunFailed) as failed:
            run.result()
    assert 'birds/__init__.py", line 3, in count' in (failed.value.traceback or "")


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Call the program in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HELIOSTAT_DATABASE", f"sqlite:///{tmp_path}/h.db")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(app, words, prog_name="heliostat")


@pytest.fixture
def failed(shell: Callable[..., Result]) -> Result:
    """A run that has failed, as its author has seen it."""
    return shell("run", "start", "tests.integration.raising:raising", "--wait")


def only_run(shell: Callable[..., Result]) -> str:
    """The id of the one run."""
    return str(json.loads(shell("run", "list", "--json").stdout)[0]["id"])


def test_who_waits_for_a_run_sees_the_traceback(failed: Result) -> None:
    """Below the reason, with which task it is of."""
    assert failed.exit_code == RunFailed.exit_code
    lines = failed.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.endswith("fit raised"))
    assert PLACE in "".join(lines[:at])
    assert lines[at + 1] == "Traceback (most recent call last):"
    assert lines[-1].startswith("json.decoder.JSONDecodeError")


def test_run_explain_shows_the_traceback_of_what_the_run_failed_for(
    failed: Result, shell: Callable[..., Result]
) -> None:
    """People see it below the sentence, programs get it as text."""
    assert failed.exit_code
    run = only_run(shell)
    assert "Traceback (most recent call last):" in shell("run", "explain", run).stdout
    told = json.loads(shell("run", "explain", run, "--json").stdout)
    assert f"line {LINE}, in fit" in told["traceback"]


def test_a_part_that_failed_is_explained_by_its_own_traceback(shell: Callable[..., Result]) -> None:
    """The run that contains it has raised nothing."""
    told = shell("run", "start", "tests.integration.raising:parted", "--wait").stdout
    assert "Traceback (most recent call last):" in told
    assert f"line {LINE}, in fit" in told


def test_task_show_has_the_inputs_and_the_traceback(failed: Result, shell: Callable[..., Result]) -> None:
    """What its attempts were given, by reference and shortened, and where the last one raised."""
    run = only_run(shell)
    number = next(task["id"] for task in json.loads(shell("task", "list", run, "--json").stdout) if task["item"] == 1)
    told = json.loads(shell("task", "show", number, "--json").stdout)
    assert told["inputs"] == {"r": {"source": "rates[1]", "task": f"{run}/1", "state": "succeeded", "brief": "2.5"}}
    assert told["traceback"]["attempt"] == 1
    assert f"line {LINE}, in fit" in told["traceback"]["text"]
    seen = shell("task", "show", number).stdout
    assert "rates[1]" in seen
    assert f"attempt 1 of task {number.partition('/')[2]} fit raised" in seen
    assert "Traceback (most recent call last):" in seen


def test_task_log_tells_the_traceback_line_by_line_and_run_log_leaves_it_out(
    failed: Result, shell: Callable[..., Result]
) -> None:
    """A run's story for people has a line for each thing; for programs it has all."""
    run = only_run(shell)
    number = next(task["id"] for task in json.loads(shell("task", "list", run, "--json").stdout) if task["item"] == 1)
    lines = shell("task", "log", number).stdout.splitlines()
    first = next(line for line in lines if "Traceback" in line)
    column = first.index("Traceback")
    below = lines[lines.index(first) + 1]
    assert below[:column].strip() == ""
    assert below[column:].startswith("  File ")
    assert "Traceback" not in shell("run", "log", run).stdout
    kinds = [line["kind"] for line in json.loads(shell("run", "log", run, "--json").stdout)]
    assert kinds.count("traceback") == 1


def test_a_notebook_shows_the_traceback(tmp_path: Path) -> None:
    """As text, whatever it holds."""
    with heliostat.open(tmp_path / "h.db", files=tmp_path) as engine:
        shown = engine.run(flows.raising)._repr_html_()
    assert "<pre>Traceback (most recent call last):" in shown
    assert "in fit" in shown


# checking

DOUBTED = """\
from pathlib import Path
from heliostat import Cron, Workflow
flow = Workflow("flow")

@flow.node
def count() -> int:
    return 1

@flow.node
def read(count: list[Path]) -> None: ...
"""


def test_check_doubts_what_cannot_fit_and_goes_on(shell: Callable[..., Result]) -> None:
    """A doubt is told beside the workflow, and is no error."""
    Path("doubted.py").write_text(DOUBTED)
    words = "node read: count returns int, but count is annotated list[Path]"
    told = shell("workflow", "check", "doubted.py")
    assert told.exit_code == 0
    assert told.stdout.splitlines()[1:] == [f"  ! {words}"]
    assert json.loads(shell("workflow", "check", "doubted.py", "--json").stdout)[0]["doubts"] == [words]


def test_a_mistake_in_a_schedule_is_told_by_the_line_of_the_file(shell: Callable[..., Result]) -> None:
    """Not by that of code which a dataclass has made."""
    Path("doubted.py").write_text(DOUBTED + 'flow = Workflow("nightly", on=Cron("61 * * * *"))\n')
    told = shell("workflow", "check", "doubted.py")
    assert told.exit_code == 3
    assert told.stderr.strip().endswith(f"({Path.cwd()}/doubted.py:11)")


def test_reasons_that_differ_in_values_only_are_told_once(tmp_path: Path) -> None:
    """Of two hundred items that wait for their next try, one sentence is enough."""
    from heliostat import Retry, Workflow
    from heliostat.reasons import reasons

    flow = Workflow("flow")

    @flow.node
    def names() -> list[dict[str, object]]:
        return [{"name": name * 40, "at": at} for at, name in enumerate(("north", 'so"uth', "east"))]

    @flow.node(map={"tile": names}, retry=Retry(1, delay="1h"))
    def draw(tile: dict[str, object]) -> None:
        raise OSError("no paper")

    def settled(engine: Engine) -> bool:
        return engine.store.states(run.key).get("draw", {}).get("waiting") == 3  # type: ignore[call-overload]

    with heliostat.open(tmp_path / "h.db", files=tmp_path) as engine:
        run = engine.start(flow)
        engine.work(until=lambda: settled(engine))
        [reason] = reasons(engine.store, run)
    assert reason.tasks == 3
    assert reason.alike
    assert 'after: tile={"name":"north' in reason.why
