"""Where an error came about: the author's own line, and a traceback that leads there and nowhere else."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import heliostat
from heliostat import Context, Cron, RunFailed, Workflow, origin, testing
from heliostat.engine import Engine
from heliostat.graph import Retry
from heliostat.story import Log, cause, raised
from heliostat.task import TaskState

HERE = Path(__file__).name


def caught(function: Callable[[], object]) -> BaseException:
    """What a function raises."""
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError("it raised nothing")


def in_a_library() -> object:
    """Raise in a module of Python's own."""
    return json.loads("{")


def test_an_error_is_named_after_the_authors_last_line() -> None:
    """Not after the line of the library in which it was raised, be that Python's own or an installed one."""
    line = in_a_library.__code__.co_firstlineno + 2
    assert origin.place(caught(in_a_library)) == f" ({HERE}:{line} in in_a_library)"
    numpy = pytest.importorskip("numpy")
    assert "in <lambda>)" in origin.place(caught(lambda: numpy.linalg.inv(numpy.zeros((2, 2)))))
    assert HERE in origin.place(caught(lambda: numpy.linalg.inv(numpy.zeros((2, 2)))))


def nothing() -> list[float]:
    """Give an empty list."""
    return []


def test_what_a_library_alone_has_raised_is_named_after_it() -> None:
    """Where a node is a library's function there is no line of an author."""
    flow = Workflow("flow")
    flow.node(statistics.mean, name="mean", inputs={"data": flow.node(nothing)})
    with testing.engine() as engine:
        reason = engine.run(flow).info.reason
    assert reason is not None
    assert reason.startswith("mean: StatisticsError: mean requires at least one data point (statistics.py:")


def test_frames_of_heliostat_are_nobodys_fault() -> None:
    """A mistake in a definition is told at the line of the definition, though a dataclass made code between them."""
    line = test_frames_of_heliostat_are_nobodys_fault.__code__.co_firstlineno + 3
    error = caught(lambda: Cron("61 * * * *"))
    assert origin.place(error) == f" ({HERE}:{line} in <lambda>)"
    told = origin.story(error)
    assert "Cron(" in told
    assert "trigger.py" not in told
    assert "<string>" not in told


def test_what_heliostat_raised_by_itself_has_no_place_and_no_traceback() -> None:
    """As when a value does not fit: no line of an author has anything to do with it."""
    flow = Workflow("flow")

    @flow.node
    def whole(message: int) -> int:
        return message

    error = caught(lambda: testing.call(whole, "north").result)
    error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next and error.__traceback__.tb_next.tb_next
    assert origin.place(error) == ""
    assert origin.story(error) == ""


@dataclass
class Chained:
    """Raise one error from another."""

    def __call__(self) -> None:
        """Do so."""
        try:
            in_a_library()
        except ValueError as error:
            raise RuntimeError("x" * 10_000) from error


def test_a_traceback_is_bounded_and_tells_what_led_to_it() -> None:
    """The first and the last lines of a long one, the first letters of a long line, and the causes."""
    told = origin.story(caught(Chained()))
    assert "JSONDecodeError" in told
    assert "The above exception was the direct cause" in told
    assert max(map(len, told.splitlines())) <= origin.LETTERS + 1

    def deep(left: int) -> None:
        if left % 2:  # of lines that are all alike, Python shows the first three
            return deep(left - 1)
        if left:
            return deep(left - 1)
        raise ValueError("at the bottom")

    lines = origin.story(caught(lambda: deep(300))).splitlines()
    assert len(lines) == origin.LINES + 1
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: at the bottom"
    assert any("lines are left out" in line for line in lines)


def test_a_traceback_of_several_errors_at_once_shows_each() -> None:
    """As a task group of asyncio raises them."""

    def both() -> None:
        raise ExceptionGroup("two", [caught(in_a_library), caught(Chained())])  # type: ignore[list-item]

    told = origin.story(caught(both))
    assert told.count("JSONDecodeError") >= 2
    assert "RuntimeError" in told


class Hostile(Exception):
    """An error that has nothing to say, and fails whoever asks."""

    @property
    def __notes__(self) -> list[str]:
        raise RuntimeError("no notes")

    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_that_cannot_be_told_is_still_an_answer() -> None:
    """Its class and its place are known; the worker goes on."""
    flow = Workflow("flow")

    @flow.node
    def fail() -> None:
        raise Hostile

    with testing.engine() as engine:
        assert engine.run(flow).info.reason == f"fail: Hostile ({place(fail, 2)})"


# in runs

flow = Workflow("flow")


@flow.node(retry=Retry(1, delay="1m", jitter=0))
def fit(ctx: Context, message: float) -> float:
    """Fail in a library, twice."""
    return json.loads("{" if ctx.attempt == 1 else "[")


@flow.node
def after(fit: float) -> float:
    """Wait for it."""
    return fit


def place(of: Callable[..., object], line: int) -> str:
    """A line of a node's function."""
    return f"{HERE}:{of.function.__code__.co_firstlineno + line} in {of.__name__}"  # type: ignore[attr-defined]


def test_the_reason_names_the_authors_line_and_the_log_has_the_traceback() -> None:
    """Of each attempt, as a line of the run's log; the run's error shows that of the last."""
    with testing.engine() as engine:
        run = engine.run(flow, 1.0)
        assert place(fit, 3) in (run.info.reason or "")
        raised = [line for line in run.log() if line.kind == "traceback"]
        assert [(line.node, line.attempt) for line in raised] == [("fit", 1), ("fit", 2)]
        assert "Traceback (most recent call last):" in raised[0].text
        assert f'{HERE}", line' in raised[0].text
        with pytest.raises(RunFailed) as failed:
            run.result()
    assert failed.value.traceback == raised[1].text
    assert failed.value.__notes__ == [raised[1].text]
    assert "Traceback" not in str(failed.value)


def test_the_traceback_of_a_task_is_that_of_its_newest_attempt(tmp_path: Path) -> None:
    """In whatever order the files of its attempts are found: each that ran as a job has one of its own."""
    with testing.engine() as engine:
        run = engine.run(flow, 1.0)
        [task] = [task for task in run.tasks() if task.state is TaskState.failed]
    files = []
    for attempt in (2, 1):
        line = {"at": 1.0 * attempt, "task": task.number, "node": task.node, "attempt": attempt, "traceback": True}
        files.append(tmp_path / f"{attempt}.jsonl")
        files[-1].write_text(json.dumps({**line, "message": f"of {attempt}"}) + "\n", "utf-8")
    found = raised(task, Log(run.key, lambda _: files))
    assert found is not None
    assert (found.attempt, found.text) == (2, "of 2")


def test_a_failure_in_a_part_shows_the_traceback_of_the_part() -> None:
    """However deep it is."""
    outer, outermost = Workflow("outer"), Workflow("outermost")
    outer.subworkflow("inner", flow)
    outermost.subworkflow("outer", outer)
    with testing.engine() as engine:
        run = engine.run(outermost, 1.0)
        found = cause(engine.store, run.info, engine.around.log_files)
    assert found is not None
    assert found.node == "fit"


def test_a_traceback_shows_no_secret() -> None:
    """It is masked like every other line of the log."""
    told = Workflow("told")

    @told.node
    def leak(ctx: Context) -> None:
        raise ValueError(f"no access with {ctx.secret('token')!s}")

    with testing.engine(secrets={"token": "swordfish-7"}) as engine:
        run = engine.run(told)
        whole = engine.around.log_file(run.key).read_text() + (run.info.reason or "")
    assert "swordfish" not in whole
    assert "no access with ***" in whole


def test_an_attempt_that_was_asked_to_stop_leaves_no_traceback() -> None:
    """It did what it was asked for."""
    stopping = Workflow("stopping")

    @stopping.node
    def stop(ctx: Context) -> None:
        ctx._work.stop = "it is to stop"
        ctx.check()

    with testing.engine() as engine:
        assert not [line for line in engine.run(stopping).log() if line.kind == "traceback"]


def test_a_function_that_calls_exit_is_named_by_its_line() -> None:
    """With the traceback that leads there."""
    leaving = Workflow("leaving")

    @leaving.node
    def leave() -> None:
        raise SystemExit(3)

    with testing.engine() as engine:
        run = engine.run(leaving)
        assert run.info.reason == f"leave: the function called exit(3) ({place(leave, 2)})"
        assert [line.kind for line in run.log() if line.kind == "traceback"] == ["traceback"]


def test_where_no_log_can_be_written_the_reason_has_to_do(tmp_path: Path) -> None:
    """A full or missing disk is no reason to lose why an attempt failed."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "logs").write_text("no directory")
    with heliostat.open("memory://", files=tmp_path / "files") as engine:
        assert place(fit, 3) in (_failed(engine) or "")


def _failed(engine: Engine) -> str | None:
    quick = Workflow("quick")
    quick.node(fit.function, name="fit")
    return engine.run(quick, 1.0).info.reason


# items and what they are given

sweep = Workflow("sweep")


@sweep.node
def rates() -> list[float]:
    """Three of them."""
    return [1.0, 2.5, 4.0]


@sweep.node(map={"r": rates}, may_fail=True)
def behave(r: float) -> float:
    """Fail for one of them."""
    if r == 2.5:
        raise ValueError("chaos")
    return r


@sweep.node
def mean(behave: list[float | None]) -> float:
    """Take for granted that all are there."""
    return statistics.mean(behave)  # type: ignore[type-var]


def test_a_failing_item_is_told_by_its_value() -> None:
    """Not only by its place in the list."""
    with testing.engine() as engine:
        run = engine.run(sweep)
        [task] = [task for task in run.tasks(node="behave") if task.state == "failed"]
    assert task.title == "behave[1]"
    assert task.reason == f"r=2.5: ValueError: chaos ({place(behave, 4)})"


def test_an_error_over_a_list_with_a_gap_says_which_items_are_missing() -> None:
    """The error itself says no more than that something is None."""
    with testing.engine() as engine:
        reason = engine.run(sweep).info.reason or ""
    assert reason.endswith("; item 1 of behave was skipped or failed, so it is None"), reason


def test_a_list_with_a_gap_that_does_not_fit_says_so_too() -> None:
    """Before the function is called at all."""
    strict = Workflow("strict")
    strict.node(rates.function)
    strict.node(behave.function, map={"r": "rates"}, may_fail=True)

    @strict.node
    def total(behave: list[float]) -> float:
        return sum(behave)

    with testing.engine() as engine:
        reason = engine.run(strict).info.reason or ""
    assert reason == (
        "total: behave.1: input should be a valid number (got None)"
        "; item 1 of behave was skipped or failed, so it is None"
    )


def test_a_line_that_has_been_changed_since_it_was_loaded_is_not_shown_beside_its_error(tmp_path: Path) -> None:
    """Of the functions in a file, those that stand there as they were are shown, wherever others have gone."""
    file = tmp_path / "night.py"
    kept = "def outer(inner):\n    return inner()\n\n\n"
    file.write_text(f"{kept}def gain():\n    return 1 / 0\n", "utf-8")
    loaded: dict[str, Callable[..., object]] = {}
    exec(compile(file.read_text("utf-8"), str(file), "exec", dont_inherit=True), loaded)  # as an import does

    def told() -> str:
        return origin.story(caught(lambda: loaded["outer"](loaded["gain"])))

    assert "    return 1 / 0\n" in told()
    file.write_text(f"{kept}def gain():\n    return 'the mended line'\n", "utf-8")
    assert "mended" not in told()
    assert f"in gain\n    {origin.CHANGED}\n" in told()
    assert "in outer\n    return inner()\n" in told()
    file.write_text(f"{kept}def gain(:\n", "utf-8")
    assert "ZeroDivisionError" in told()
    file.unlink()
    assert "ZeroDivisionError" in told()
