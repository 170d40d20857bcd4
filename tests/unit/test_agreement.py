"""Annotations that cannot meet are doubted before anything runs; whatever is not known is left in peace."""

# ruff: noqa: D103 - nodes and types are read together

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, TypedDict
from uuid import UUID

import pytest
from pydantic import BaseModel, BeforeValidator, RootModel, model_validator

from heliostat import Artifact, Skip, Workflow
from heliostat.agreement import doubts


@dataclass
class Region:
    west: float


class Model(BaseModel):
    west: float


class Lenient(BaseModel):
    west: float

    @model_validator(mode="before")
    @classmethod
    def from_text(cls, value: object) -> object:
        return {"west": float(value)} if isinstance(value, str) else value


class Numbers(RootModel[list[int]]):
    pass


class Colour(Enum):
    red = 1


class Typed(TypedDict):
    west: float


Metres = NewType("Metres", float)


def between(given: Any, wanted: Any, **options: Any) -> list[str]:
    """What is doubted of two nodes, of which one is given what the other returns."""
    flow = Workflow("flow")

    def first() -> Any: ...

    def second(first: Any) -> None: ...

    first.__annotations__["return"], second.__annotations__["first"] = given, wanted
    flow.node(first)
    flow.node(second, **options)
    return doubts(flow)


@pytest.mark.parametrize(
    ("given", "wanted", "words"),
    [
        (int, list[Path], "first returns int, but first is annotated list[Path]"),
        (list[int], list[Path], "first returns list[int], but first is annotated list[Path]"),
        (str, Region, "first returns str, but first is annotated Region"),
        (Region, float, "first returns Region, but first is annotated float"),
        (None, int, "first returns None, but first is annotated int"),
        (dict[str, int], list[int], "first returns dict[str, int], but first is annotated list[int]"),
        (Path, float, "first returns Path, but first is annotated float"),
        (float, Artifact, "first returns float, but first is annotated Artifact"),
        (int, str, "first returns int, but first is annotated str"),
        (Iterator[int], dict[str, int], "first returns Iterator[int], but first is annotated dict[str, int]"),
        (int | None, Path, "first returns int | None, but first is annotated Path"),
        (Literal["a", "b"], list[str], "first returns Literal['a', 'b'], but first is annotated list[str]"),
        (dict[str, list], dict[str, Path], "first returns dict[str, list], but first is annotated dict[str, Path]"),
        (tuple[int, int], tuple[Path, Path], "first returns tuple[int, int], but first is annotated tuple[Path, Path]"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_given_is_doubted(given: Any, wanted: Any, words: str) -> None:
    """In a sentence with both types."""
    assert between(given, wanted) == [f"node second: {words}"]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (int, float), (float, int), (int, bool), (str, int), (str, Path), (Path, Path), (Path, Artifact),
        (Artifact, Path), (Region, Region), (Region, Model), (dict[str, float], Region), (Typed, Model),
        (list[int], set[int]), (tuple[int, ...], list[float]), (Iterator[Path], list[Path]), (datetime, datetime),
        (datetime, str), (UUID, UUID), (Metres, float), (float, Metres), (Annotated[int, "m"], int),
        (str, Annotated[int, BeforeValidator(len)]), (str, Lenient),
        (list[int], Numbers), (Colour, int), (int, Colour), (Any, list[Path]), (int, Any), (object, Path),
        (Skip | int, int), (int | None, int), (str | None, Literal["a"]), (list, list[Path]),
        (list[Any], list[Path]), (dict, Region), (Region, dict[str, float]), ("NotThere", int), (type, int),
    ],
    ids=str,
)  # fmt: skip
def test_what_may_be_given_is_not_doubted(given: Any, wanted: Any) -> None:
    """Also where nobody knows."""
    assert between(given, wanted) == []


def test_an_edge_of_a_failure_gives_nothing_and_is_not_doubted() -> None:
    """What waits for a failure gets no result."""
    assert between(int, list[Path], after="first", on="ended") == []


def test_what_goes_over_no_list_is_doubted() -> None:
    """With what is returned in its place; and over a list, its items are compared."""
    assert between(int, int, map={"first": "first"}) == [
        "node second: it goes over what first returns, which is int and no list"
    ]
    assert between(list[int], Path, map={"first": "first"}) == [
        "node second: first returns list[int], but first is annotated Path"
    ]
    assert between(list[int], int, map={"first": "first"}) == []


def gathered(each: Callable[..., Any], wanted: Any, **options: Any) -> list[str]:
    """What is doubted of a node that takes the results of one that goes over a list."""
    flow = Workflow("flow")

    @flow.node
    def tiles() -> list[int]:
        return [1, 2]

    def mosaic(each: Any) -> None: ...

    mosaic.__annotations__["each"] = wanted
    flow.node(each, name="each", map={"tile": "tiles"}, **options)
    flow.node(mosaic)
    return doubts(flow)


def draw(tile: int) -> float:
    return 1.0 / tile


def maybe(tile: int) -> float | Skip:
    return Skip("water") if tile else 1.0


def test_the_results_of_all_items_are_a_list() -> None:
    """Of what is returned for each."""
    assert gathered(draw, float) == [
        "node mosaic: each gives list[float], a result for each item, but each is annotated float"
    ]
    assert gathered(draw, list[Path]) == ["node mosaic: each returns float, but each is annotated list[Path]"]
    assert gathered(draw, list[float]) == []
    assert gathered(draw, list) == []


def test_a_list_that_may_have_gaps_is_doubted_where_none_is_not_expected() -> None:
    """Because an item may fail, or be skipped, also some nodes before."""
    said = "so each may hold None; annotate it list[float | None]"
    assert gathered(draw, list[float], may_fail=True) == [f"node mosaic: an item of each may fail, {said}"]
    assert gathered(maybe, list[float]) == [f"node mosaic: an item of each may be skipped, {said}"]
    for wanted in (list[float | None], list[Any], list):
        assert gathered(draw, wanted, may_fail=True) == []
    flow = Workflow("flow")
    flow.node(lambda: [1], name="tiles")
    flow.node(maybe, name="first", map={"tile": "tiles"})
    flow.node(draw, name="second", map={"tile": "first"})

    @flow.node
    def mosaic(second: list[float]) -> None: ...

    assert doubts(flow) == [
        "node mosaic: an item of first may be skipped, so second may hold None; annotate it list[float | None]"
    ]
