"""The one JSON codec: what may be data, and what is refused by the name of its field."""

from __future__ import annotations

import io
import json
import math
import os
import re
import subprocess
import sys
from array import array
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from heliostat import codec
from heliostat.artifact import Artifact
from heliostat.errors import BadInput

FILE = Artifact("map.png", "sha256:" + "0" * 64, 3)


@dataclass(frozen=True)
class Region:
    """Data as authors write it."""

    west: float
    names: list[str]


class Model(BaseModel):
    """Data as others write it."""

    model_config = ConfigDict(extra="allow")
    region: Region


class Colour(StrEnum):
    """Words."""

    red = "red"


class Size(IntEnum):
    """Numbers."""

    big = 7


class Flag(Enum):
    """Anything."""

    up = (1, 2)


def named(value: object) -> str:
    """A value as the name of its case: the same in each process that runs tests, wherever the value lies."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))[:40]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (-(2**63), "-9223372036854775808"),
        (1.0, "1.0"),
        (1e300, "1e+300"),
        ("räk🔭\u2028", '"räk🔭\u2028"'),
        ([1, (2, [])], "[1,[2,[]]]"),
        ({"b": 1, "a": {"": None}}, '{"b":1,"a":{"":null}}'),
        (Region(10.5, ["Pisa"]), '{"west":10.5,"names":["Pisa"]}'),
        (Model(region=Region(1, []), more="x"), '{"region":{"west":1,"names":[]},"more":"x"}'),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), '"2026-01-02T03:04:05+00:00"'),
        (date(2026, 1, 2), '"2026-01-02"'),
        (time(3, 4), '"03:04:00"'),
        (timedelta(minutes=1.5), "90.0"),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Colour.red, '"red"'),
        (Size.big, "7"),
        (Flag.up, "[1,2]"),
        ({Colour.red: 1}, '{"red":1}'),
        ({"a": range(1, 4)}, '{"a":[1,2,3]}'),
        (np.int64(-3), "-3"),
        (np.uint8(3), "3"),
        (np.bool_(True), "true"),
        (np.float32(0.5), "0.5"),
        (np.float64(0.1), "0.1"),
        (np.str_("a"), '"a"'),
        (np.array(2.5), "2.5"),
        ([np.array([1, 2])], "[[1,2]]"),
        (np.array([[0.5], [1.5]], dtype=np.float32), "[[0.5],[1.5]]"),
        (np.array(["a", "b"]), '["a","b"]'),
        (np.array([1, None, {"b": np.int8(1)}], dtype=object), '[1,null,{"b":1}]'),
        (np.ma.array([1, 2], mask=[False, True]), "[1,null]"),
        (Region(np.float32(10.5), ["Pisa"]), '{"west":10.5,"names":["Pisa"]}'),
    ],
    ids=named,
)
def test_what_has_a_json_form_is_written_in_it(value: object, text: str) -> None:
    """Compact UTF-8 text, keys in the order given."""
    assert codec.encode(value, "x") == text
    assert codec.decode(text) == json.loads(text)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (float("nan"), "x: nan is not JSON; use None or a string"),
        ({"a": [1.0, float("-inf")]}, "x.a[1]: -inf is not JSON; use None or a string"),
        (2**63, "x: the integer needs more than 64 bits; send it as a string"),
        ([-(2**63) - 1], "x[0]: the integer needs more than 64 bits; send it as a string"),
        ("a\0b", "x: a NUL character cannot be stored; remove it or encode the bytes"),
        ("ä\0", "x: a NUL character cannot be stored; remove it or encode the bytes"),
        ({"k": "\ud800"}, "x.k: a lone surrogate is not Unicode text; decode the bytes properly"),
        ({1: 2}, "x: the key 1 is no string; JSON objects have string keys"),
        ({"\0": 2}, "x: the key '\\x00': a NUL character cannot be stored; remove it or encode the bytes"),
        ({"a": {1, 2}}, "x.a: set is not JSON; use sorted(…) or list(…)"),
        (b"raw", "x: bytes is not JSON; decode() it, or write it to a file and return its Path"),
        (Decimal("1.50"), "x: decimal.Decimal is not JSON; use str(…) to keep each digit, or float(…)"),
        (Fraction(1, 3), "x: fractions.Fraction is not JSON; use str(…) to keep each digit, or float(…)"),
        (zip([1], [2], strict=True), "x: zip is not JSON; use list(…)"),
        ({}.keys(), "x: dict_keys is not JSON; use list(…)"),
        (MappingProxyType({}), "x: mappingproxy is not JSON; use dict(…)"),
        (io.StringIO(), "x: _io.StringIO is not JSON; return the Path of the file"),
        (array("d", [1.0]), "x: array.array is not JSON; use .tolist()"),
        (object(), "x: object is not JSON; use numbers, strings, lists, dicts, dataclasses or Pydantic models"),
        (range(2**70), "x: 7,277,499 bytes of JSON…"),
        (Region, "x: type is not JSON; use numbers, strings, lists, dicts, dataclasses or Pydantic models"),
        (Region(float("inf"), []), "x.west: inf is not JSON; use None or a string"),
        (Path("x"), "x: a file cannot be given here; give its name as a string"),
        (1 + 2j, "x: complex is not JSON; use [z.real, z.imag]"),
    ],
    ids=named,
)
def test_what_is_no_json_is_refused_by_the_name_of_its_field(value: object, sentence: str) -> None:
    """At the moment it is given, with what would be right."""
    with pytest.raises(BadInput) as refused:
        codec.encode(value, "x")
    assert str(refused.value).startswith(sentence.partition("…")[0] if sentence.endswith("…") else sentence)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (np.array([1.0, np.nan]), "x[1]: nan is not JSON; use None or a string"),
        (np.complex64(1j), "x: complex is not JSON; use [z.real, z.imag]"),
        (np.longdouble(1), "x: numpy.longdouble is not JSON; use str(…) to keep each digit, or float(…)"),
        (np.ones(1, "g"), "x[0]: numpy.longdouble is not JSON; use str(…) to keep each digit, or float(…)"),
        (np.datetime64("2026-01-01"), "x: numpy.datetime64 is not JSON; use .astype(str)"),
        (np.array(["2026-01-01"], dtype="M8[D]"), "x: numpy.ndarray is not JSON; use .astype(str)"),
        (np.array([1j]), "x[0]: complex is not JSON; use [z.real, z.imag]"),
        (np.array([1, {2}], dtype=object), "x[1]: set is not JSON; use sorted(…) or list(…)"),
        (np.zeros((1000, 1000)), "x: an array of 1,000,000 is more than 1,048,576 bytes of JSON; return a Path"),
        (np.uint64(2**63), "x: the integer needs more than 64 bits; send it as a string"),
    ],
    ids=named,
)  # fmt: skip
def test_what_numpy_has_and_json_has_not_is_refused(value: object, sentence: str) -> None:
    """Nothing is rounded, and nothing is guessed."""
    with pytest.raises(BadInput) as refused:
        codec.encode(value, "x")
    assert str(refused.value) == sentence


def test_an_array_that_holds_itself_is_refused() -> None:
    """Like a list that does."""
    boxed, bare = np.array([None], dtype=object), np.empty((), dtype=object)
    boxed[0], bare[()] = boxed, [bare]
    for value in (boxed, bare):
        with pytest.raises(BadInput, match="nested more than 100 deep, or it holds itself"):
            codec.encode(value, "x")


def test_numpy_is_not_imported_for_it() -> None:
    """Who has none of its values does not wait for it."""
    ask = "import sys; from heliostat import codec; codec.encode([1.5, range(3)], 'x'); print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout == "False\n"


def test_more_than_a_mebibyte_is_refused() -> None:
    """It is counted in bytes of UTF-8, and a file is the way out."""
    assert len(codec.encode("x" * (codec.LIMIT_BYTES - 2), "x")) == codec.LIMIT_BYTES
    for value in ("x" * (codec.LIMIT_BYTES - 1), "ä" * (codec.LIMIT_BYTES // 2)):
        with pytest.raises(BadInput, match=r"x: 1,048,57\d bytes of JSON; the limit is 1,048,576, return a Path"):
            codec.encode(value, "x")


def test_deep_nesting_is_refused_and_no_recursion_error() -> None:
    """In writing and in reading."""
    deep: object = None
    for _ in range(codec.DEPTH + 1):
        deep = [deep]
    with pytest.raises(BadInput, match="nested more than 100 deep"):
        codec.encode(deep, "x")
    with pytest.raises(BadInput, match="x: not JSON"):
        codec.decode("[" * 100_000, "x")


def test_what_holds_itself_is_refused() -> None:
    """It has no end, and so it is too deep."""
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(BadInput, match="nested more than 100 deep"):
        codec.encode(endless, "x")


def test_files_are_turned_into_data_by_whoever_keeps_them() -> None:
    """Wherever they stand in the value."""
    kept: list[object] = []

    def keep(found: object) -> codec.Json:
        kept.append(found)
        return {"kept": len(kept)}

    text = codec.encode({"a": [Path("x")], "b": FILE}, "x", keep)
    assert text == '{"a":[{"kept":1}],"b":{"kept":2}}'
    assert kept == [Path("x"), FILE]


@pytest.mark.parametrize("text", ["", "{", "NaN", "[1,]", "'a'", '{"a":Infinity}', "\ufeff1", b"\xff"], ids=repr)
def test_text_that_is_no_json_is_refused(text: str | bytes) -> None:
    """With the name of what was read."""
    with pytest.raises(BadInput, match="config: not JSON"):
        codec.decode(text, "config")


def test_text_from_outside_is_written_again_in_the_one_form() -> None:
    """So that equal data is equal text; too much of it is refused before it is read."""
    assert codec.accept(' {"a" : 1.50, "b":"\\u00e4"} ', "x") == '{"a":1.5,"b":"ä"}'
    with pytest.raises(BadInput, match="x: 1,048,577 bytes of JSON; the limit is 1,048,576"):
        codec.accept(" " * (codec.LIMIT_BYTES + 1), "x")
    with pytest.raises(BadInput, match="x: a NUL character cannot be stored"):
        codec.accept('"\\u0000"', "x")
    with pytest.raises(BadInput, match="x: the integer needs more than 64 bits"):
        codec.accept("123456789012345678901234567890", "x")


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
atoms = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(atoms | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=20)


@given(values)
def test_data_comes_back_as_it_went(value: object) -> None:
    """Whatever it is, and it is JSON for everybody else too."""
    text = codec.encode(value, "x")
    assert codec.decode(text) == value
    assert json.loads(text) == value
    assert codec.encode(codec.decode(text), "x") == text


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("1.5h", 5400),
        ("1d2h3m4.5s", 93_784.5),
        (timedelta(minutes=2), 120),
        (0, 0),
        (2.5, 2.5),
        (" 5s ", 5),
    ],
)
def test_durations_are_written_as_people_say_them(duration: str | timedelta | float, seconds: float) -> None:
    """Days, hours, minutes, seconds in that order, a timedelta, or seconds."""
    assert codec.seconds(duration) == seconds


@pytest.mark.parametrize("duration", ["", "5", "s", "5 m", "1m1h", "-5s", "5x", True, None, [], "½h"], ids=repr)
def test_what_is_no_duration_is_refused(duration: object) -> None:
    """With the forms that would be right."""
    with pytest.raises(BadInput, match=r'delay: .* is no duration; write "90s", "10m", "1h30m" or a timedelta'):
        codec.seconds(duration, "delay")


@pytest.mark.parametrize(
    "duration", [-1, float("nan"), float("inf"), timedelta(-1), 1e300, 10**400, "9" * 400 + "s", "36600d"]
)
def test_a_duration_is_not_negative_and_within_a_century(duration: str | timedelta | float) -> None:
    """Nobody can wait for ever, or until yesterday."""
    with pytest.raises(BadInput, match="is no duration; it must be from 0 to 100 years"):
        codec.seconds(duration)


def test_what_is_told_is_json_whatever_it_is() -> None:
    """Text stands in the place of what JSON has no place for; a value that holds itself ends."""
    endless: list[object] = []
    endless += [endless, endless]
    odd = {
        "file": os.fsdecode(b"caf\xe9.txt"),
        "loss": [float("nan"), -math.inf, 1.5],
        ("a", 1): Path("map.png"),
        "many": 10**5000,
        "endless": endless,
    }

    def none(constant: str) -> None:
        raise AssertionError(constant)

    found = json.loads(codec.told(odd).encode(), parse_constant=none)
    assert found.pop("many").startswith("0x")
    assert found == {
        "file": "caf?.txt",
        "loss": ["nan", "-inf", 1.5],
        "('a', 1)": "map.png",
        "endless": ["…", "…"],
    }
