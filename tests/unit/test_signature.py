"""What a function wants to be called with, and how values are fitted to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Len
from pydantic import BaseModel, Field

import heliostat
from heliostat import Artifact, Context, Workflow, testing
from heliostat.errors import BadInput, DefinitionError
from heliostat.graph import Graph
from heliostat.signature import LocalPath, Signature, check_start, local, revive

FILE = Artifact("map.png", "sha256:" + "0" * 64, 3)


@dataclass
class Region:
    """Where it burns."""

    west: float
    dem: Path | None = None


class Wind(BaseModel):
    """Which way it blows."""

    speed: float = Field(ge=0)
    turns: list[Region] = []


def signature(function: Any, where: str = "node x") -> Signature:
    """The signature of a node's function."""
    return Signature(function, where, Context)


def test_parameters_are_sorted_by_what_they_are_for() -> None:
    """The context by its name or annotation, the message by its name, the rest are inputs."""

    def work(ctx: Context, message: Region, terrain: Path, weather: str = "-", **rest: Any) -> None: ...

    found = signature(work)
    assert (found.context, found.message and found.message.name, found.rest) == ("ctx", "message", "rest")
    assert [(p.name, p.optional) for p in found.inputs.values()] == [("terrain", False), ("weather", True)]


def test_the_context_may_have_any_name_if_it_is_annotated() -> None:
    """As a class, as text, or with its module."""

    def one(context: Context) -> None: ...
    def two(context: heliostat.Context) -> None: ...
    def three(c: "Context", ctx: int = 1) -> None: ...  # noqa: UP037 - as text is the point

    assert [signature(function).context for function in (one, two)] == ["context", "context"]
    assert signature(three).context in ("c", "ctx")


def test_a_class_is_called_by_its_run() -> None:
    """Without self."""

    class Work:
        def run(self, ctx: Context, terrain: Path) -> None: ...

    found = signature(Work)
    assert found.is_class
    assert list(found.inputs) == ["terrain"]
    with pytest.raises(DefinitionError, match=r"node x: the class Region has no method run\(\)"):
        signature(Region)


def test_parameters_without_a_name_to_pass_them_by_are_refused() -> None:
    """Heliostat passes by name."""

    def one(*results: int) -> None: ...
    def two(terrain: int, /) -> None: ...

    for function, name in ((one, "results"), (two, "terrain")):
        with pytest.raises(DefinitionError, match=f"node x: the parameter '{name}' has no name to pass it by"):
            signature(function)


def test_annotations_are_resolved_late_and_what_is_wrong_with_them_is_said_early() -> None:
    """Names may be defined below the function, but not never; and a class must be one that can be checked."""

    def one(terrain: Nowhere) -> None: ...  # noqa: F821 - the point
    def two(terrain: Signature) -> None: ...

    assert list(signature(one).inputs) == ["terrain"]
    with pytest.raises(DefinitionError, match="node x: an annotation names 'Nowhere', which is not defined"):
        signature(one).warm()
    with pytest.raises(DefinitionError, match="node x: the annotation Signature of 'terrain' cannot be checked; use"):
        signature(two).warm()


def fits(annotation: Any, value: object) -> object:
    """A value, fitted to a parameter of such a kind."""

    def work(x: Any) -> None: ...

    work.__annotations__["x"] = annotation
    return signature(work).inputs["x"].fit(value)


@pytest.mark.parametrize(
    ("annotation", "value", "fitted"),
    [
        (int, 5, 5),
        (float, 5, 5.0),
        (str, "a", "a"),
        (dict, {"a": 1}, {"a": 1}),
        (list[int], ["1", 2], [1, 2]),
        (Any, {1, 2}, {1, 2}),
        (Region, {"west": 10}, Region(10.0)),
        (Wind, {"speed": 3, "turns": [{"west": 1}]}, Wind(speed=3, turns=[Region(1)])),
        (Literal["a", "b"], "b", "b"),
        (int | None, None, None),
    ],
    ids=str,
)
def test_values_are_fitted_to_annotations(annotation: Any, value: object, fitted: object) -> None:
    """JSON becomes what the author asked for."""
    assert fits(annotation, value) == fitted


@pytest.mark.parametrize(
    ("annotation", "value", "sentence"),
    [
        (int, "five", "x: input should be a valid integer, unable to parse string as an integer (got 'five')"),
        (int, True, None),
        (Region, {"east": 1}, "x.west: field required (got {'east': 1})"),
        (Wind, {"speed": -1}, "x.speed: input should be greater than or equal to 0 (got -1)"),
        (Wind, {"speed": 1, "turns": [{}]}, "x.turns.0.west: field required (got {})"),
        (list[int], 5, "x: input should be a valid list (got 5)"),
        (Literal["a"], "b", "x: input should be 'a' (got 'b')"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_with_its_field(annotation: Any, value: object, sentence: str | None) -> None:
    """And what would be right, and what it was."""
    if sentence is None:
        return
    with pytest.raises(BadInput) as refused:
        fits(annotation, value)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("annotation", "wanted"),
    [
        (Path, True),
        (list[Path], True),
        (dict[str, Path | None], True),
        (Region, True),
        (Wind, True),
        (Artifact, False),
        (str, False),
        (Any, False),
        (list[Artifact], False),
    ],
    ids=str,
)
def test_files_are_brought_where_a_path_is_asked_for(annotation: Any, wanted: bool) -> None:  # noqa: FBT001 - a table's column
    """Anywhere inside: an item of a list, a field of a dataclass."""

    def work(x: Any) -> None: ...

    work.__annotations__["x"] = annotation
    assert signature(work).inputs["x"].wants_path is wanted


def test_a_local_path_remembers_its_artifact() -> None:
    """So that who passes it on does not keep it again; and an annotation Artifact takes it."""
    path = local(Path("/tmp/x/map.png"), FILE)
    assert isinstance(path, LocalPath)
    assert isinstance(path, Path)
    assert fits(Artifact, path) == FILE
    assert fits(Artifact, FILE.to_json()) == FILE
    with pytest.raises(BadInput, match="x: an artifact is wanted here"):
        fits(Artifact, "map.png")


def test_data_is_revived_as_functions_see_it() -> None:
    """Artifacts where files stand, or the files themselves."""
    text = heliostat.codec.encode({"a": [FILE, 1]}, "x", lambda file: file.to_json())
    assert revive(text, None) == {"a": [FILE, 1]}
    assert revive(text, lambda artifact: Path("/here") / artifact.name) == {"a": [Path("/here/map.png"), 1]}
    assert revive(None, None) is None


def started() -> tuple[Graph, dict[str, Signature]]:
    """A workflow whose nodes take the message in different ways."""
    workflow = Workflow("w")
    workflow.node(lambda message: None, name="anything")
    workflow.node(takes_region, name="region")
    workflow.handler(takes_wind, name="entry", entry=True)
    workflow.handler(takes_wind, name="other")
    return workflow.graph, workflow.signatures


def takes_region(message: Region) -> None:
    """A node."""


def takes_wind(message: Wind) -> None:
    """A handler."""


def test_a_start_is_checked_against_every_node_that_takes_it() -> None:
    """Before the run exists: entry handlers too, or the one that is named instead."""
    graph, signatures = started()
    with pytest.raises(BadInput, match=r"message\.speed: field required"):
        check_start(graph, signatures, '{"west":1}')
    with pytest.raises(BadInput, match=r"message\.west: field required"):
        check_start(graph, signatures, '{"speed":1}')
    check_start(graph, signatures, '{"speed":1,"west":1}')
    with pytest.raises(BadInput, match=r"message\.speed"):
        check_start(graph, signatures, '{"west":1}', "other")


def test_what_an_annotation_says_besides_the_type_is_checked() -> None:
    """Of messages at the start, of inputs when they come; whatever else stands there is left alone."""
    flow = Workflow("flow")

    @flow.node
    def first(message: Annotated[float, Field(gt=0), "metres"]) -> Annotated[list[float], "metres"]:
        return [message]

    @flow.node
    def second(first: Annotated[list[float], Len(2), {"unhashable": 1}]) -> None: ...

    with testing.engine() as engine:
        with pytest.raises(BadInput, match=r"message: input should be greater than 0 \(got -1\)"):
            engine.start(flow, -1)
        reason = engine.run(flow, 2).info.reason or ""
    assert reason == "second: first: list should have at least 2 items after validation, not 1 (got [2.0])"
