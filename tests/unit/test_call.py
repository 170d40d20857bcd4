"""One call of one node: what it is given, what it answers, and what comes out as it is."""

# ruff: noqa: D103 - nodes are read together, and their names say what they do

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest

from heliostat import Artifact, Context, Ended, Fail, Failure, Secret, Skip, Snooze, TaskError, Workflow, testing
from heliostat.errors import BadInput, OperatorError, Stopped
from heliostat.testing import Mapped, Record, Sent, Started


@dataclass
class Region:
    west: float
    days: int = 3


other = Workflow("other")


@other.node
def alone(message: dict[str, int]) -> int:
    return message["a"]


fire = Workflow("wildfire", stays_open=True)


@fire.node
def terrain(ctx: Context, message: Region) -> Path:
    (ctx.dir / "dem.txt").write_text(f"{message.west} {message.days}", "utf-8")
    return ctx.dir / "dem.txt"


@fire.node
def tiles(message: Region, terrain: Path, scale: float = 2.0) -> list[str]:
    return [f"{terrain.read_text('utf-8')} {scale} {tile}" for tile in range(message.days)]


@fire.node(map={"tile": tiles})
async def render(tile: str) -> int:
    return len(tile)


@fire.node
def whole(render: list[int | None]) -> int:
    return sum(size or 0 for size in render)


spread = fire.job("spread", "simulate --dem {terrain} --days {message.days} -- {tiles}", outputs="fire.tif")


@fire.node(after=spread, on="failed")
def report(ctx: Context, spread: Path | None) -> str:
    assert ctx.failure is not None
    return f"{ctx.failure.node} {ctx.failure.error} {spread}"


@fire.node(on="failed")
def alarm(ctx: Context) -> str:
    return f"{ctx.failure.node if ctx.failure else None}"


@fire.handler(serial="kind")
def update(ctx: Context, message: dict[str, Any]) -> None:
    total = ctx.get("total", 0) + message["add"]
    ctx.put(total, key="total")
    ctx.put(ctx.sender)
    ctx.log("added", add=message["add"])
    if total > 5:
        ctx.complete(total)
    else:
        ctx.send(update, {"kind": "fire", "add": 1}, delay="2h", idempotency_key="again")


@fire.handler
def simulated(ctx: Context, message: Ended) -> str:
    return message.state


@fire.handler
def fan(ctx: Context, message: list[int]) -> None:
    ctx.map(simulated, [Ended("a", "failed")], then=fan)
    ctx.start(other, {"a": 1}, then=fan, name="one", priority=2)


def test_a_node_gets_what_it_names_checked_and_read_again() -> None:
    """A message as its dataclass, files brought, what has a default left to it."""
    called = testing.call(terrain, {"west": 10.5})
    assert called.result.read_text("utf-8") == "10.5 3"
    assert [(kept.name, kept.media_type) for kept in called.artifacts] == [("dem.txt", "text/plain")]
    assert called.bring(called.artifacts[0]).read_text("utf-8") == "10.5 3"
    assert testing.call(tiles, Region(1.0, 1), terrain=called.result).result == ["10.5 3 2.0 0"]
    assert testing.call(tiles, Region(1.0, 1), terrain=called.artifacts[0]).result == ["10.5 3 2.0 0"]


def test_the_result_of_one_call_outlives_it() -> None:
    """Nobody has to hold the call to read the file that it made."""
    assert testing.call(terrain, Region(1.0)).result.read_text("utf-8") == "1.0 3"


def test_items_and_lists_of_items() -> None:
    """A mapped node gets one item and is awaited; what waits for the whole gets the list, with gaps."""
    assert testing.call(render, tile="abc").result == 3
    assert testing.call(whole, render=[1, None, 3]).result == 4
    with pytest.raises(BadInput, match="render: render gives a list, one result per item, not 3"):
        testing.call(whole, render=3)


def test_a_handler_sees_records_and_leaves_effects() -> None:
    """By key, as values, or of another node; what it asked for is told as it was said."""
    called = testing.call(update, {"kind": "fire", "add": 2}, records={"total": 3}, sender="simulated")
    assert called.records == [Record(5, "total"), Record("simulated")]
    assert called.sent == [Sent("update", {"kind": "fire", "add": 1}, delay=7200.0, idempotency_key="again")]
    assert (called.result, called.ended, called.mapped, called.started) == (None, None, [], [])
    assert [(line.node, line.text, line.fields) for line in called.logged] == [("update", "added", {"add": 2})]
    ended = testing.call(update, {"kind": "fire", "add": 2}, records=["ash", Record(9, "total")]).ended
    assert ended is not None
    assert (ended.state, ended.result) == ("succeeded", 11)


def test_maps_and_starts_are_told() -> None:
    """With their messages as values."""
    called = testing.call(fan, [1])
    assert called.mapped == [
        Mapped("simulated", [{"run": "a", "state": "failed", "result": None, "reason": None}], "fan")
    ]
    assert called.started == [Started("other", {"a": 1}, "fan", "one", 2)]
    assert testing.call(simulated, Ended("a", "cancelled")).result == "cancelled"


def test_files_in_messages_and_records_can_be_read(tmp_path: Path) -> None:
    """Also those that were given."""
    files = Workflow("files")

    @files.handler
    def keep(ctx: Context, message: dict[str, Path]) -> None:
        ctx.put(message["grib"], key="grib")
        ctx.send(keep, {"grib": ctx.records("old")[0], "again": message["grib"]})

    (tmp_path / "wind.grib").write_text("wind", "utf-8")
    called = testing.call(keep, {"grib": tmp_path / "wind.grib"}, records={"old": tmp_path / "wind.grib"})
    assert called.records[0].value.read_text("utf-8") == "wind"
    assert {name: file.read_text("utf-8") for name, file in called.sent[0].message.items()} == {
        "grib": "wind",
        "again": "wind",
    }


def test_of_a_job_the_command_is_told(tmp_path: Path) -> None:
    """Quoted, with files as they lie in its directory; nothing is run."""
    (tmp_path / "a hill.txt").write_text("hill", "utf-8")
    called = testing.call(spread, Region(1.0), terrain=tmp_path / "a hill.txt", tiles=["x y", "z"])
    assert called.command == "simulate --dem 'files/a hill.txt' --days '3' -- 'x y' 'z'"
    assert called.result is None


def test_a_jobs_function_is_called_for_its_command(tmp_path: Path) -> None:
    """Its words are told as they are."""
    chart = Workflow("chart")

    def copy(message: int, dem: Path) -> list[str]:
        return ["cp", str(dem), f"{message}.txt"]

    dem = chart.node(lambda: "", name="dem")
    assert dem.name == "dem"
    copied = chart.job("copied", copy, outputs="*.txt")
    (tmp_path / "dem.tif").touch()
    assert testing.call(copied, 7, dem=tmp_path / "dem.tif").command == ("cp", "files/dem.tif", "7.txt")


def test_a_failure_is_what_the_context_tells() -> None:
    """Of the node that it waits for, or of the run."""
    called = testing.call(report, failure=Failure("spread", 2, "exit code 1"))
    assert called.result == "spread exit code 1 None"
    assert testing.call(alarm, failure=Failure("tiles", 1, "no")).result == "tiles"
    assert testing.call(alarm).result == "None"
    with pytest.raises(BadInput, match="report does not wait for a failure of 'tiles'; there is spread"):
        testing.call(report, failure=Failure("tiles", 1, "no"))


def test_answers_are_results_and_a_fail_leaves_nothing() -> None:
    """``Skip`` and ``Snooze`` commit what was asked for, ``Fail`` drops it."""
    answers = Workflow("answers")

    @answers.handler
    def answer(ctx: Context, message: str) -> Skip | Snooze | Fail:
        ctx.put(message)
        return {"skip": Skip("clouds"), "snooze": Snooze("5m"), "fail": Fail("broken")}[message]

    assert testing.call(answer, "skip").result == Skip("clouds")
    assert testing.call(answer, "snooze").result == Snooze("5m")
    assert testing.call(answer, "snooze").records == [Record("snooze")]
    assert testing.call(answer, "fail").result == Fail("broken")
    assert testing.call(answer, "fail").records == []


class Telescope:
    """A class with everything around its call."""

    seen: ClassVar[list[str]] = []

    def __enter__(self) -> Self:
        self.seen.append("open")
        return self

    def __exit__(self, *error: object) -> None:
        self.seen.append("close")

    def rollback(self) -> None:
        self.seen.append("rollback")

    def run(self, ctx: Context) -> Iterator[int]:
        yield ctx.attempt
        ctx.check()


def test_a_class_is_surrounded_and_a_generator_gathered() -> None:
    """As in earnest; ``cancelled`` has ``ctx.check`` raise."""
    night = Workflow("night")
    point = night.node(Telescope, name="point")
    assert testing.call(point, attempt=2).result == [2]
    assert Telescope.seen == ["open", "rollback", "close"]
    with pytest.raises(Stopped):
        testing.call(point, cancelled=True)


def test_what_a_function_raises_comes_out_as_it_is() -> None:
    """No outcome is made of it."""
    broken = Workflow("broken")

    @broken.node
    def fail() -> None:
        raise ZeroDivisionError("by zero")

    with pytest.raises(ZeroDivisionError, match="by zero"):
        testing.call(fail)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: testing.call(tiles, Region(1.0)), "tiles waits for terrain; give terrain=… what that node gives"),
        (lambda: testing.call(tiles, terain=1), "tiles waits for nothing called 'terain'; did you mean 'terrain'"),
        (lambda: testing.call(tiles, terrain=Path("gone.tif")), "terrain: the file 'gone.tif' is not there"),
        (lambda: testing.call(terrain, {"west": "far"}), "message.west: input should be a valid number"),
        (lambda: testing.call(update, {"add": 1}), "kind"),
        (lambda: testing.call(simulated, {"rnu": 1}), "rnu|run"),
        (lambda: testing.call(alone, {"a": object()}), "message"),
        (lambda: testing.call(update, {"kind": "a", "add": 1}, sender="updaet"), "no node 'updaet'; did you mean"),
        (lambda: testing.call(len), "a node of a workflow is wanted"),
    ],
)
def test_what_does_not_fit_is_refused_with_one_sentence(call: Any, sentence: str) -> None:
    """It names what is wrong and what would be right."""
    with pytest.raises((BadInput, TaskError), match=sentence):
        call()


def test_what_could_not_be_committed_is_raised() -> None:
    """A result that is no data, or no list where one is gone over."""
    wrong = Workflow("wrong")

    @wrong.node
    def numbers(message: Any) -> Any:
        return float("nan") if message else 3

    @wrong.node(map={"number": numbers})
    def each(number: int) -> int:
        return number

    with pytest.raises(TaskError, match="result: nan"):
        testing.call(numbers, 1)
    with pytest.raises(TaskError, match="numbers returned int, but each goes over its list"):
        testing.call(numbers, 0)


def test_inputs_take_what_is_called_like_an_option() -> None:
    """And artifacts go from one call to another, as results or as what the run keeps."""
    odd = Workflow("odd")

    @odd.node
    def records(ctx: Context) -> Artifact:
        (ctx.dir / "a.txt").write_text("a", "utf-8")
        return ctx.artifact(ctx.dir / "a.txt", tags=("map",))

    @odd.node
    def last(records: Path) -> str:
        return records.read_text("utf-8")

    @odd.node
    def count(ctx: Context) -> list[str]:
        return [ctx.bring(found).read_text("utf-8") for found in ctx.artifacts("map")]

    kept = testing.call(records).result
    assert kept.tags == ("map",)
    assert testing.call(count, artifacts=[kept]).result == ["a"]
    assert testing.call(count).result == []
    assert testing.call(last, inputs={"records": kept}).result == "a"


reader = Workflow("reader")


@reader.node(env={"TOKEN": Secret("archive-token"), "MODE": "night"})
def read(ctx: Context) -> list[str]:
    return [os.environ["TOKEN"], os.environ["MODE"], ctx.secret("other"), ctx.run.name, str(Path.cwd() == ctx.dir)]


@reader.node(map={"line": read})
def each(ctx: Context, line: str) -> int | None:
    return ctx.task.item


def test_secrets_variables_and_the_name_of_the_run_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has a process of its own in earnest finds its variables and its directory, and leaves none of them."""
    monkeypatch.setenv("HELIOSTAT_SECRET_OTHER", "other")
    before, here = dict(os.environ), Path.cwd()
    secrets = {"archive-token": "swordfish-7"}
    with pytest.raises(TaskError, match="result holds the secret 'archive-token'"):
        testing.call(read, secrets=secrets)
    called = testing.call(read, secrets={"archive-token": "short", "other": "brief"}, run_name="Monte Pisano")
    assert called.result == ["short", "night", "brief", "Monte Pisano", "True"]
    assert (dict(os.environ), Path.cwd()) == (before, here)
    assert testing.call(read, secrets={"archive-token": "short"}).result[2] == "other"


def test_a_secret_that_is_missing_says_how_it_is_given() -> None:
    """By the argument, or by its variable."""
    with pytest.raises(OperatorError) as missing:
        testing.call(read)
    assert str(missing.value) == (
        "secret 'archive-token' is not there; give it with secrets={'archive-token': …}, or set "
        "HELIOSTAT_SECRET_ARCHIVE_TOKEN"
    )


def test_a_node_that_goes_over_a_list_is_called_for_the_first_item() -> None:
    """So that ctx.task.item is a number, as in earnest."""
    assert testing.call(each, line="a").result == 0
    assert testing.call(whole, render=[1, None]).result == 1
