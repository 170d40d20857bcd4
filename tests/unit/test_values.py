"""Values that cannot be meant: refused in one sentence, at the line that gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, field_validator

import heliostat
from heliostat import Context, Resources, Retry, RunFailed, Skip, Workflow, testing
from heliostat.clock import SystemClock
from heliostat.compose import engine_on
from heliostat.engine import Engine
from heliostat.errors import BadInput, HeliostatError, NotFound
from heliostat.run import RunState
from heliostat.stores.memory import MemoryStore


def nothing() -> None:
    """A node."""


def node(**options: Any) -> Any:
    """Add a node with options to a workflow."""
    return Workflow("w").node(nothing, **options)


DEFINED: list[tuple[Callable[[], object], str]] = [
    (lambda: node(may_fail="yes"), "node nothing: may_fail= is True or False, not 'yes'"),
    (lambda: node(rescues=-1), "node nothing: rescues=-1; its worker may be lost 0 or more times"),
    (lambda: node(resources={"cores": 1}), "node nothing: resources= is a Resources(cores=…, memory=…), or a function"),
    (lambda: node(queue=5), "node nothing: 5 is no name for a queue"),
    (lambda: node(name=5), "5 is no name for a node"),
    (lambda: Workflow("w", stays_open="x"), "workflow w: stays_open is True or False, not 'x'"),  # type: ignore[arg-type]
    (lambda: Workflow("w", version=1), 'workflow w: a version is a string such as "1.0", not 1'),  # type: ignore[arg-type]
    (lambda: Workflow(5), "5 is no name for a workflow"),  # type: ignore[arg-type]
    (lambda: Retry(-1), "retry: the number of further tries is a whole number from 0, not -1"),
    (
        lambda: Retry(on=("OSErr",)),
        "retry: on= names 'OSErr', which is no exception of Python's own; did you",
    ),
    (lambda: Retry(on=(3,)), "retry: on= takes exception classes, not 3"),  # type: ignore[arg-type]
    (lambda: node(env={"A B": "c"}), "node nothing: env: 'A B' is no environment variable; use letters, digits and _"),
    (lambda: node(env={"A": 1}), "node nothing: env: A is 1; the value of a variable is a string"),
    (lambda: node(env={"A": "a\0b"}), "node nothing: env: A: a NUL character cannot be stored"),
    (lambda: node(env=["A=b"]), "node nothing: env= is variables and their values, not ['A=b']"),
    (lambda: Resources(memory="2 lots"), 'resources: memory=\'2 lots\' is no amount; write "512MiB" or "2GiB"'),
    (lambda: Resources(cores=0), "resources: cores is a whole number from 1, not 0"),
    (lambda: Resources(walltime="soon"), "resources: walltime: 'soon' is no duration"),
]


@pytest.mark.parametrize(("define", "sentence"), DEFINED, ids=lambda value: value if isinstance(value, str) else "")
def test_a_value_that_cannot_be_meant_is_refused_in_a_definition(define: Callable[[], object], sentence: str) -> None:
    """The sentence names the option and what would be right."""
    with pytest.raises(HeliostatError) as refused:
        define()
    assert str(refused.value).startswith(sentence)


def test_a_policy_takes_one_exception_class_or_the_bare_name_of_one() -> None:
    """Both mean what they say, and one that derives from it is covered too."""
    assert Retry(1, on=OSError) == Retry(1, on=("OSError",)) == Retry(1, on=(OSError,))
    assert Retry(1, on=OSError).covers(FileNotFoundError())
    assert not Retry(1, on=OSError).covers(ValueError())


class Colour(Enum):
    """No string."""

    red = "red"


class Word(StrEnum):
    """A string."""

    yes = "yes"


def number() -> int:
    """Gives a number."""
    return 1


def colour() -> Colour | None:
    """Gives what is no string."""
    return None


def word() -> Word:
    """Gives a string."""
    return Word.yes


def either() -> str | Skip:
    """May give a string."""
    return "yes"


def unsaid():  # type: ignore[no-untyped-def]
    """May give anything."""


@pytest.mark.parametrize("function", [number, colour, nothing])
def test_a_choice_of_a_node_that_gives_no_string_is_refused(function: Callable[..., object]) -> None:
    """Where the annotation says so: the edge could never be taken."""
    handle = Workflow("w").node(function)
    with pytest.raises(HeliostatError, match="never the string 'yes'; only strings can be waited for so"):
        handle["yes"]


@pytest.mark.parametrize("function", [word, either, unsaid])
def test_a_choice_of_a_node_that_may_give_a_string_is_an_edge(function: Callable[..., object]) -> None:
    """A string enumeration is strings."""
    assert Workflow("w").node(function)["yes"].choice == "yes"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine in memory."""
    with engine_on(MemoryStore(), SystemClock(), tmp_path, seed=1) as opened:
        yield opened


flow = Workflow("flow")


@flow.handler
def hear(message: int) -> None:
    """Takes a number."""


@flow.handler(entry=True)
def act(ctx: Context, message: str) -> None:
    """Makes one of some mistakes."""
    mistakes: dict[str, Callable[[], object]] = {
        "map": lambda: ctx.map(hear, 3, then=hear),  # type: ignore[arg-type]
        "letters": lambda: ctx.map(hear, "123", then=hear),
        "start": lambda: ctx.start("nope"),  # type: ignore[arg-type]
        "progress": lambda: ctx.progress("a"),  # type: ignore[arg-type]
        "endless": lambda: ctx.progress(1, float("nan")),
    }
    mistakes[message]()


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        ("map", "act: map to hear takes a list of messages, not 3"),
        ("letters", "act: map to hear takes a list of messages, not '123'"),
        ("start", "act: start takes a Workflow, not 'nope'"),
        ("progress", "act: progress: done is a finite number, not 'a'"),
        ("endless", "act: progress: total is a finite number, not nan"),
    ],
)
def test_a_mistake_in_a_function_is_said_in_heliostats_words(engine: Engine, mistake: str, sentence: str) -> None:
    """Not in those of what Python tripped over."""
    run = engine.run(flow, mistake)
    assert run.state is RunState.failed
    assert run.info.reason == sentence


def test_what_is_no_workflow_is_refused(engine: Engine) -> None:
    """A name stands for what is kept as data."""
    with pytest.raises(BadInput, match="a Workflow is wanted, not 5"):
        engine.run(5)  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="no workflow 'wildfire' is kept as data"):
        engine.run("wildfire")
    with pytest.raises(NotFound, match="5 is no run id"):
        engine.find(5)  # type: ignore[arg-type]


def test_a_path_is_the_file_of_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative or absolute."""
    monkeypatch.chdir(tmp_path)
    for path in (Path("here.db"), tmp_path / "there.db"):
        with heliostat.open(path) as engine:
            engine.start(flow, "map")
        assert path.exists()


broken = Workflow("broken")


@broken.node
def items() -> list[int]:
    """Two."""
    return [0, 1]


@broken.node(may_fail=True)
def a() -> int:
    """Fails too, but may."""
    raise ValueError("not this one")


@broken.node(map={"item": items}, name="ab")
def ab(item: int) -> None:
    """The second fails."""
    if item:
        raise ValueError("this one")


seen: list[Any] = []


@broken.node(on="failed")
def report(ctx: Context) -> None:
    """Sees what failed."""
    seen.append(ctx.failure)


def test_what_failed_is_told_with_its_item() -> None:
    """The very task whose failure ended the run, however alike names begin."""
    seen.clear()
    with heliostat.open("memory://", slots=1, seed=1) as engine:
        engine.run(broken)
    (failure,) = seen
    assert (failure.node, failure.item, failure.attempt) == ("ab", 1, 1)
    assert failure.error.startswith("item=1: ValueError: this one (test_values.py:")


def test_what_failed_is_found_behind_any_number_of_failures_that_may_be() -> None:
    """A page of them is not all: the function after the end is told, and the run can be tried again."""
    flow, told, mended = Workflow("many"), list[Any](), list[bool]()

    @flow.node
    def numbers() -> list[int]:
        return [*range(1001)]

    @flow.node(map={"item": numbers}, may_fail=True)
    def each(item: int) -> None:
        raise ValueError

    @flow.node(after=each)
    def two() -> list[int]:
        return [0, 1]

    @flow.node(map={"item": two})
    def last(item: int) -> int:
        if item and not mended:
            raise OSError("no light")
        return item

    @flow.node(on="failed")
    def report(ctx: Context) -> None:
        told.append(ctx.failure)

    with heliostat.open("memory://", slots=1, seed=1) as engine:
        run = engine.run(flow)
        assert [(failure.node, failure.item) for failure in told] == [("last", 1)]
        mended.append(True)
        assert run.retry().done
        engine.work(until=run)
        assert run.result(last) == [0, 1]


class Positive(BaseModel):
    """A number above zero."""

    number: int

    @field_validator("number")
    @classmethod
    def above_zero(cls, value: int) -> int:
        """Refuse others."""
        if value <= 0:
            raise ValueError("it must be above zero")
        return value


def test_what_pydantic_says_inside_a_function_is_one_sentence() -> None:
    """The field and what is wrong with it, as at the door; no prefix, and no address to read more."""
    strict = Workflow("strict")

    @strict.node
    def f() -> int:
        return Positive(number=-1).number

    with heliostat.open("memory://") as engine:
        reason = engine.run(strict).info.reason or ""
    assert reason.startswith("f: ValidationError: Positive.number: it must be above zero (got -1) (test_values.py:")


def test_a_sentence_names_its_node_once() -> None:
    """What a function returns, and what a job's command says, with the name of the node or job before it."""
    wrong = Workflow("wrong")

    @wrong.node
    def f() -> object:
        return {"a": {1, 2}}

    with heliostat.open("memory://") as engine:
        run = engine.run(wrong)
        assert (run.info.reason or "").startswith("f: result.a: set is not JSON; use")
    with pytest.raises(HeliostatError, match=r"^job spread: command, column 5: a lone \{; double it"):
        wrong.job("spread", "run { x")


def test_a_range_or_an_array_can_be_gone_over() -> None:
    """Whatever JSON makes a list of is one; a single number is none."""
    made: dict[str, object] = {"range": range(2), "array": np.linspace(0.5, 1.5, 2), "number": np.float64(1.5)}
    flow = Workflow("flow")

    @flow.node
    def first(message: str) -> object:
        return made[message]

    @flow.node(map={"x": first})
    def twice(x: float) -> float:
        return 2 * x

    with testing.engine() as engine:
        assert engine.run(flow, "range").result() == [0, 2]
        assert engine.run(flow, "array").result() == [1.0, 3.0]
        with pytest.raises(RunFailed, match="first: returned float64, but twice goes over its list"):
            engine.run(flow, "number").result()
