"""Fields of a message that nobody knows: at the start of a run, and in what is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from heliostat import Context, Workflow, testing
from heliostat.clock import SystemClock
from heliostat.compose import engine_on
from heliostat.engine import Engine
from heliostat.errors import BadInput
from heliostat.run import RunState
from heliostat.signature import check_start
from heliostat.stores.memory import MemoryStore


@dataclass
class Tile:
    """A part of a region."""

    row: int
    note: str = ""


@dataclass
class Region:
    """Where it burns."""

    west: float = 1.0
    days: int = 2
    tiles: list[Tile] = field(default_factory=list)
    named: dict[str, Tile] = field(default_factory=dict)
    first: Tile | None = None
    dem: Path | None = None


@dataclass
class Alias:
    """A field with another name outside."""

    days: Annotated[int, Field(alias="Days")] = 1


class Loose(BaseModel):
    """Lets more pass, as is Pydantic's way."""

    west: float = 1.0


class Strict(BaseModel):
    """Lets nothing pass that it does not know."""

    model_config = ConfigDict(extra="forbid")
    west: float = 1.0


class Typed(TypedDict, total=False):
    """A dictionary with known keys."""

    west: float


def region(message: Region) -> None:
    """Takes a region."""


def tile(message: Tile) -> None:
    """Takes a tile."""


def loose(message: Loose) -> None:
    """Takes a model."""


def strict(message: Strict) -> None:
    """Takes a strict model."""


def typed(message: Typed) -> None:
    """Takes a typed dictionary."""


def alias(message: Alias) -> None:
    """Takes a field by another name."""


def either(message: Region | Tile | None) -> None:
    """Takes one of two."""


def anything(message: dict[str, Any]) -> None:
    """Takes whatever there is."""


def started(text: str, *functions: Any, command: str = "") -> None:
    """Check a message against nodes with these functions, and a job with this command."""
    workflow = Workflow("w")
    for function in functions:
        workflow.node(function)
    if command:
        workflow.job("job", command)
    check_start(workflow.graph, workflow.signatures, text)


UNKNOWN = [
    ('{"dayz":3}', (region,), "", "message: there is no field 'dayz'; did you mean 'days'?"),
    ('{"first":{"row":1,"nope":2}}', (region,), "", "message.first: there is no field 'nope'; did you mean 'note'?"),
    ('{"tiles":[{"row":1},{"row":1,"no":2}]}', (region,), "", "message.tiles.1: there is no field 'no'; did you mean"),
    ('{"named":{"a":{"row":1,"x":2}}}', (region,), "", "message.named.a: there is no field 'x'; there is note, row"),
    ('{"east":1}', (strict,), "", "message.east: extra inputs are not permitted"),
    ('{"east":1}', (typed,), "", "message: there is no field 'east'; did you mean 'west'?"),
    ('{"west":1,"wst":1}', (region, typed), "", "message: there is no field 'wst'; did you mean 'west'?"),
    ('{"row":1,"rwo":1}', (either,), "", "message: there is no field 'rwo'; did you mean 'row'?"),
    ('{"hours":1,"hors":2}', (), "run {message.hours}", "message: there is no field 'hors'; did you mean 'hours'?"),
]


@pytest.mark.parametrize(("text", "functions", "command", "sentence"), UNKNOWN)
def test_a_field_that_nobody_knows_is_refused_by_its_name(
    text: str, functions: tuple[Any, ...], command: str, sentence: str
) -> None:
    """At any depth; an optional field that is misspelt would otherwise be its default in silence."""
    with pytest.raises(BadInput) as refused:
        started(text, *functions, command=command)
    assert sentence in str(refused.value)


KNOWN = [
    ('{"dayz":3}', (region, anything), ""),
    ('{"dayz":3}', (region, lambda message: None), ""),
    ('{"row":1}', (tile, region, lambda ctx: None), ""),
    ('{"row":1,"hours":2}', (tile,), "run {message.hours}"),
    ('{"east":1}', (loose,), ""),
    ('{"Days":3}', (alias,), ""),
    ('{"anything":{"at":"all"}}', (), "run {message}"),
    ('{"anything":1}', (lambda ctx: None,), ""),
]


@pytest.mark.parametrize(("text", "functions", "command"), KNOWN)
def test_a_field_that_one_of_those_who_take_it_knows_is_taken(
    text: str, functions: tuple[Any, ...], command: str
) -> None:
    """What is not annotated, or says any dictionary, knows all; Pydantic models follow their own setting."""
    named = [(f"n{at}", function) for at, function in enumerate(functions)]
    workflow = Workflow("w")
    for name, function in named:
        workflow.node(function, name=name)
    if command:
        workflow.job("job", command)
    check_start(workflow.graph, workflow.signatures, text)


def test_a_start_without_a_message_gives_each_field_its_default() -> None:
    """Where all have one; else the sentence names the field that is missing."""
    started("null", region, loose, strict)
    with pytest.raises(BadInput, match=r"message\.row: field required"):
        started("null", tile)


def test_a_start_without_a_message_gives_a_parameter_its_default() -> None:
    """A default makes it optional, as it does anywhere else; a message that is given is taken."""
    flow = Workflow("flow")

    @flow.node
    def first(message: int = 200) -> int:
        return message

    @flow.node
    def second(first: int, message: int | None = None) -> list[object]:
        return [first, message]

    with testing.engine() as engine:
        assert engine.run(flow).result() == [200, None]
        assert engine.run(flow, 3).result() == [3, 3]
        with pytest.raises(BadInput, match="message: input should be"):
            engine.run(flow, "many")
    assert testing.call(first).result == 200
    assert testing.call(first, 3).result == 3


def test_a_job_that_names_a_field_has_to_be_given_it() -> None:
    """Before the run exists; not when its turn has come."""
    with pytest.raises(BadInput, match=r"job job: .*message\.hours"):
        started('{"days":1}', region, command="run {message.hours} {message.days}")


incident = Workflow("incident", stays_open=True)


@incident.handler
def update(message: Region) -> None:
    """Takes a region."""


@incident.handler(serial="tile")
def by_tile(message: Region) -> None:
    """Takes a region, by a field that is for the engine alone."""


@incident.handler
def joined(message: list[Any]) -> None:
    """Takes what a map gave."""


@incident.handler(retry=3)
def sender(ctx: Context, message: dict[str, Any]) -> None:
    """Passes on what it is given, as it is told."""
    if "map" in message:
        ctx.map(update, message["map"], then=joined)
    else:
        ctx.send(update, message["send"])


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    """An engine in memory."""
    with engine_on(MemoryStore(), SystemClock(), tmp_path, seed=1) as opened:
        yield opened


def test_a_message_from_outside_is_checked_like_a_start(engine: Engine) -> None:
    """By its fields too, also where files are among them; a serial handler's own field is known."""
    run = engine.start(incident)
    with pytest.raises(BadInput, match="message: there is no field 'dayz'; did you mean 'days'"):
        run.send(update, {"dayz": 3})
    with pytest.raises(BadInput, match=r"message\.west: .* number"):
        run.send(update, {"west": "far"})
    run.send(by_tile, {"tile": 7})
    assert [task.node for task in run.tasks()] == ["by_tile"]


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ({"send": {"dayz": 3}}, "message to update: message: there is no field 'dayz'; did you mean 'days'?"),
        ({"map": [{}, {"west": "far"}]}, "message 1 to update: message.west: input should be a valid number"),
    ],
)
def test_what_a_function_sends_is_checked_where_it_is_sent(engine: Engine, message: Any, sentence: str) -> None:
    """The sender fails at once, with the sentence; the handler never sees it."""
    run = engine.start(incident)
    run.send(sender, message)
    engine.work(until=run)
    assert run.state is RunState.failed
    assert sentence in (run.info.reason or "")
    assert [(task.node, task.count) for task in run.tasks()] == [("sender", 1)]
