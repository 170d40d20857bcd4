"""What an attempt may ask for: names, keys and priorities are checked as the value is made."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import pytest

from heliostat.effects import PRIORITY, Send, Start
from heliostat.errors import BadInput
from heliostat.graph import Arity, Graph, Node

TALK = Graph("talk", (Node("hear", Arity.handler, entry=True),))


def send(**options: Any) -> Send:
    """A message with options."""
    return Send("hear", "1", **options)


def start(**options: Any) -> Start:
    """Another run with options."""
    return Start(7, TALK, "1", **options)


class Colour(StrEnum):
    """A kind of string."""

    red = "red"


class Rank(IntEnum):
    """A kind of whole number."""

    high = 9


@pytest.mark.parametrize("make", [send, start])
@pytest.mark.parametrize("key", [["a"], 5, object(), b"k", "", "k" * 501])
def test_an_idempotency_key_is_a_string_of_1_to_500_characters(make: Callable[..., object], key: object) -> None:
    """Anything else would be one thing to one store and another to the next."""
    with pytest.raises(BadInput, match=r"^idempotency_key: a string of 1 to 500 characters is wanted, not "):
        make(idempotency_key=key)


@pytest.mark.parametrize("make", [send, start])
@pytest.mark.parametrize("key", ["a\0b", "\ud800"])
def test_an_idempotency_key_is_text_that_every_store_takes(make: Callable[..., object], key: str) -> None:
    """Without NUL and lone surrogates."""
    with pytest.raises(BadInput, match=r"^idempotency_key: a "):
        make(idempotency_key=key)


@pytest.mark.parametrize("make", [send, start])
@pytest.mark.parametrize("priority", ["high", 1.5, True, object(), PRIORITY + 1, -PRIORITY - 1, 1 << 70])
def test_a_priority_is_a_whole_number_of_which_two_can_be_added(make: Callable[..., object], priority: object) -> None:
    """A run's and a node's priority are added, in 32 bits."""
    with pytest.raises(BadInput, match=r"^priority: a whole number from -1,000,000,000 to 1,000,000,000 is "):
        make(priority=priority)


@pytest.mark.parametrize("name", [object(), Path("x"), None, 5, "n" * 501, "\ud800", "a\0b"])
def test_the_name_of_a_run_is_a_string_of_at_most_500_characters(name: object) -> None:
    """It may be empty."""
    with pytest.raises(BadInput, match=r"^name: a "):
        start(name=name)
    assert start().name == ""


def test_kinds_of_strings_and_numbers_become_plain_ones() -> None:
    """A database would write them in its own way."""
    sent = send(idempotency_key=Colour.red, priority=Rank.high)
    assert (type(sent.idempotency_key), type(sent.priority)) == (str, int)
    begun = start(name=Colour.red, idempotency_key=Colour.red, priority=Rank.high)
    assert [type(value) for value in (begun.name, begun.idempotency_key, begun.priority)] == [str, str, int]
    assert (begun.name, begun.priority) == ("red", 9)


def test_the_value_that_was_wrong_is_shown_shortened() -> None:
    """A megabyte in a sentence helps nobody."""
    with pytest.raises(BadInput) as refused:
        send(idempotency_key="k" * 1_000_000)
    assert len(str(refused.value)) < 120
