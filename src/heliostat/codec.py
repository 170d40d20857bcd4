"""The one JSON codec: what may be data, how it is written; words, whole numbers and durations.

UTF-8 text in every store. NaN, infinities, NUL, lone surrogates, integers beyond 64 bits and keys that are no
strings are refused by the name of the field, at the moment the value is given.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from io import IOBase
from math import isfinite
from numbers import Real
from pathlib import PurePath
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from heliostat.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

LIMIT_BYTES = 1 << 20  #: the largest message, result or record: 1 MiB of UTF-8
WORDS = 4000  #: characters of a reason or an error, at most
PATH_LETTERS = 24  #: of where something stands, where it stands too deep to say it all
DEPTH = 100  #: deeper nesting is refused, in writing and in reading
LETTERS = 500  #: the longest name or key: four bytes each still fit into an index
_INT64 = 1 << 63


def encode(value: object, where: str, keep: Callable[[object], Json] | None = None) -> str:
    """Write ``value`` as JSON text of at most 1 MiB.

    ``where`` names the value in the error message. ``keep`` turns what only a context can turn into data
    (a ``Path``, an ``Artifact``) into JSON; without it such values are refused.
    Raises BadInput with the name of the offending field.
    """
    if type(value) is int and -_INT64 <= value < _INT64:
        return repr(value)  # the commonest small result, and what JSON makes of it
    text = to_json(_plain(value, where, keep, 0)).decode()
    if len(text) > LIMIT_BYTES // 4 and (size := len(text.encode())) > LIMIT_BYTES:
        raise BadInput(f"{where}: {size:,} bytes of JSON; the limit is {LIMIT_BYTES:,}, return a Path for more")
    return text


def decode(text: str | bytes, where: str = "value") -> Json:
    """Read JSON text; raises BadInput when it is none (NaN and infinities are none)."""
    try:
        value: Json = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise BadInput(f"{where}: not JSON ({error})") from None
    return value


def accept(text: str | bytes, where: str) -> str:
    """Check JSON text from outside and write it again in the one form that stores keep."""
    if len(text) > LIMIT_BYTES:
        raise BadInput(f"{where}: {len(text):,} bytes of JSON; the limit is {LIMIT_BYTES:,}")
    return encode(decode(text, where), where)


def _plain(value: object, where: str, keep: Callable[[object], Json] | None, depth: int) -> Json:
    """``value`` as dicts, lists and atoms, every one of them checked."""
    kind = type(value)
    if value is None or kind is bool:
        return value  # type: ignore[return-value]
    if kind is str:
        return _text(value, where)  # type: ignore[arg-type]
    if isinstance(value, Enum):
        return _plain(value.value, where, keep, depth)
    if isinstance(value, int):
        if not -_INT64 <= value < _INT64:
            raise BadInput(f"{where}: the integer needs more than 64 bits; send it as a string")
        return int(value)
    if isinstance(value, float):
        if not isfinite(value):
            raise BadInput(f"{where}: {float(value)} is not JSON; use None or a string")
        return float(value)
    if isinstance(value, str):
        return _text(str(value), where)
    if depth >= DEPTH:
        raise BadInput(
            f"{where[:PATH_LETTERS]}…: nested more than {DEPTH} deep, or it holds itself; give it flat, or in a file"
        )
    if isinstance(value, dict):
        return {_key(k, where): _plain(v, f"{where}.{k}", keep, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, f"{where}[{i}]", keep, depth + 1) for i, v in enumerate(value)]
    return _converted(value, where, keep, depth)


def _converted(value: object, where: str, keep: Callable[[object], Json] | None, depth: int) -> Json:
    """Values with a JSON form of their own: models, dataclasses, times, files."""
    if keep is not None and (isinstance(value, PurePath) or hasattr(value, "__artifact__")):
        return keep(value)
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields} | (value.model_extra or {})
        return _plain(fields, where, keep, depth)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return _plain(fields, where, keep, depth)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, PurePath):
        raise BadInput(f"{where}: a file cannot be given here; give its name as a string")
    if isinstance(value, range):
        return _plain(list(value[:LIMIT_BYTES]), where, keep, depth)  # so many are too many anyway
    if (plain := _unpacked(value, where)) is not value:
        return _plain(plain, where, keep, depth + 1)
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    raise BadInput(f"{where}: {kind} is not JSON; {_instead(value)}")


def _unpacked(value: Any, where: str) -> Any:
    """A number or an array of NumPy as Python has it; anything else, and what Python has not, as it is.

    NumPy is not imported: where a value is one of its own, somebody has done so.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, (numpy.generic, numpy.ndarray)) or value.dtype.kind not in _KINDS:
        return value
    if value.size > LIMIT_BYTES // 2:  # each takes a digit and a comma
        raise BadInput(f"{where}: an array of {value.size:,} is more than {LIMIT_BYTES:,} bytes of JSON; return a Path")
    plain = value.tolist()
    return value if type(plain) is type(value) else plain  # no longer number of NumPy's fits into one of Python's


_KINDS = frozenset("biufcUO")  #: of NumPy's dtypes: those of which Python has the same, and objects


def _instead(value: Any) -> str:
    """What to give in the place of a value that is not JSON."""
    for kinds, words in _HINTS:
        if isinstance(value, kinds):
            return words
    if getattr(getattr(value, "dtype", None), "kind", None) in ("M", "m"):
        return "use .astype(str)"
    for name, words in _METHODS.items():
        if callable(getattr(value, name, None)) and not isinstance(value, type):
            return words
    return "use numbers, strings, lists, dicts, dataclasses or Pydantic models"


_HINTS: tuple[tuple[Any, str], ...] = (
    (set | frozenset, "use sorted(…) or list(…)"),
    ((bytes, bytearray, memoryview), "decode() it, or write it to a file and return its Path"),
    ((Decimal, Real), "use str(…) to keep each digit, or float(…)"),
    (complex, "use [z.real, z.imag]"),
    (IOBase, "return the Path of the file"),
    ((Iterator, KeysView, ValuesView, ItemsView), "use list(…)"),
    (Mapping, "use dict(…)"),
)
#: Methods by which values of libraries become plain: of series and tensors, of tables, of other numbers.
_METHODS = {
    "tolist": "use .tolist()",
    "to_list": "use .to_list()",
    "to_dict": 'use .to_dict("records") or the like, or write it to a file and return its Path',
    "item": "use .item()",
}


def _text(value: str, where: str) -> str:
    if value.isascii():
        if "\0" not in value:
            return value
        raise BadInput(f"{where}: a NUL character cannot be stored; remove it or encode the bytes")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadInput(f"{where}: a lone surrogate is not Unicode text; decode the bytes properly") from None
    if "\0" in value:
        raise BadInput(f"{where}: a NUL character cannot be stored; remove it or encode the bytes")
    return value


def legible(words: object) -> str:
    """What somebody said, as text that every database takes: at most 4,000 characters, NUL and surrogates replaced."""
    return _readable(str(words)[:WORDS].replace("\0", "\\0"))


def told(value: object, indent: int | None = None) -> str:
    """Anything as JSON, for those who read along: what JSON has no place for is text there, nothing is refused."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, default=str)
        text.encode()
    except (ValueError, TypeError, RecursionError):
        return json.dumps(_tellable(value), ensure_ascii=False, indent=indent)
    return text


def _tellable(value: object, above: tuple[int, ...] = ()) -> Json:
    """``value`` as JSON can tell it: text for numbers and keys that are none, and for what holds itself."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -_INT64 <= value < _INT64 else hex(value)
    if isinstance(value, float):
        return float(value) if isfinite(value) else str(float(value))
    if not isinstance(value, dict | list | tuple):
        return _readable(value)
    if id(value) in above or len(above) >= DEPTH:
        return "…"
    within = (*above, id(value))
    if isinstance(value, dict):
        return {_readable(key): _tellable(item, within) for key, item in value.items()}
    return [_tellable(item, within) for item in value]


def _readable(words: object) -> str:
    """Text that is UTF-8, with a mark in the place of what cannot be."""
    return str(words).encode("utf-8", "replace").decode()


def _key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise BadInput(f"{where}: the key {key!r} is no string; JSON objects have string keys")
    return _text(str(key), f"{where}: the key {key!r}")


def word(value: object, where: str, least: int = 1) -> str:
    """``value`` as a name or key: a string of ``least`` to 500 characters that every store takes; raises BadInput."""
    if not isinstance(value, str) or not least <= len(value) <= LETTERS:
        raise BadInput(f"{where}: a string of {least} to {LETTERS} characters is wanted, not {shortened(value)}")
    return _text(str.__str__(value), where)  # of a subclass the plain string


def whole(value: object, where: str, least: int, most: int) -> int:
    """``value`` as a whole number within bounds; raises BadInput."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadInput(f"{where}: a whole number from {least:,} to {most:,} is wanted, not {shortened(value)}")
    return int(value)


CENTURY = 100 * 365.25 * 86400  #: seconds; no duration is longer
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def seconds(duration: str | timedelta | float, where: str = "duration") -> float:
    """A duration in seconds: ``"90s"``, ``"10m"``, ``"1h30m"``, ``"2d"``, a timedelta or a number of seconds.

    At most 100 years; raises BadInput.
    """
    value: float
    if isinstance(duration, timedelta):
        value = duration.total_seconds()
    elif isinstance(duration, int | float) and not isinstance(duration, bool):
        value = duration
    elif isinstance(duration, str) and duration and (match := _DURATION.fullmatch(duration.strip())) and match[0]:
        value = sum(float(n or 0) * unit for n, unit in zip(match.groups(), (86400, 3600, 60, 1), strict=True))
    else:
        raise BadInput(f'{where}: {shortened(duration)} is no duration; write "90s", "10m", "1h30m" or a timedelta')
    if not 0 <= value <= CENTURY:
        raise BadInput(f"{where}: {shortened(duration)} is no duration; it must be from 0 to 100 years")
    return float(value)
