"""Which fields of a message the types that take it do not know.

Dataclasses and typed dicts know their fields. A Pydantic model (or a field described with Pydantic's ``Field``)
follows its own setting ``extra``; whatever else takes objects knows all.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Collection, Mapping
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, Union, get_args, get_origin, get_type_hints

from pydantic.fields import FieldInfo

from heliostat.errors import BadInput, nearest
from heliostat.job import fill_message, message_fields

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heliostat.codec import Json
    from heliostat.job import JobSpec

#: Where a field stands and what it is called, with the names that are known there.
Strangers: TypeAlias = dict[tuple[str, str], frozenset[str]]

_ATOMS = (NoneType, bool, int, float, str)


def strangers(annotation: Any, value: object, where: str) -> Strangers:
    """The fields of a value, at any depth, that its type does not know."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return strangers(inner[0], value, where)
    if origin in (Union, UnionType):
        return common(strangers(member, value, where) for member in inner if member not in _ATOMS)
    if isinstance(value, list):
        of = inner[:1] if _is_a(origin, Collection) else ()
        return _together(strangers(of[0], item, f"{where}.{at}") for at, item in enumerate(value) if of)
    if not isinstance(value, dict):
        return {}
    if _is_a(origin, Mapping) and len(inner) == 2:
        return _together(strangers(inner[1], item, f"{where}.{key}") for key, item in value.items())
    names = _fields(annotation)
    if names is None:
        return {}
    unknown = {(where, name): frozenset(names) for name in value if name not in names}
    deeper = _together(strangers(of, value[name], f"{where}.{name}") for name, of in names.items() if name in value)
    return unknown | deeper


def unplaced(name: str, job: JobSpec, value: Json) -> Strangers:
    """The fields of a message for which a job has no placeholder; none if it gets the message as a whole.

    Raises BadInput for a placeholder that the message leaves empty.
    """
    try:
        fill_message(job, value)
    except BadInput as error:
        raise BadInput(f"job {name}: {error}") from None
    names = message_fields(job)
    if names is None or not isinstance(value, dict):
        return {}
    return {("message", name): names for name in value if name not in names}


def common(found: Iterable[Strangers]) -> Strangers:
    """What none of several takers knows, with the names that any of them does."""
    first, *others = [*found] or [{}]
    return {
        field: names.union(*(other[field] for other in others))
        for field, names in first.items()
        if all(field in other for other in others)
    }


def refuse(found: Strangers) -> None:
    """Raise BadInput for a field that nobody knows, if there is one."""
    for (where, name), names in found.items():
        raise BadInput(f"{where}: there is no field {name!r}{nearest(name, sorted(names))}")


def _together(found: Iterable[Strangers]) -> Strangers:
    return {field: names for each in found for field, names in each.items()}


def _is_a(origin: Any, kind: type) -> bool:
    return isinstance(origin, type) and issubclass(origin, kind)


def _fields(annotation: Any) -> dict[str, Any] | None:
    """The names that a type takes with their types, or None where it knows all."""
    kind = get_origin(annotation) or annotation
    try:
        hints = get_type_hints(kind, include_extras=True) if isinstance(kind, type) else {}
    except NameError:
        return None
    if hasattr(kind, "__required_keys__"):  # a typed dict, of typing or of typing_extensions
        return hints
    if not isinstance(kind, type) or not dataclasses.is_dataclass(kind) or hasattr(kind, "__pydantic_config__"):
        return None
    if any(_described(field, hints.get(field.name)) for field in dataclasses.fields(kind)):
        return None
    taken = inspect.signature(kind).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in taken.values()):
        return None
    return {name: hints.get(name, Any) for name in taken}


def _described(field: dataclasses.Field[Any], hint: Any) -> bool:
    """Whether Pydantic's ``Field`` says more of a field: perhaps another name."""
    return isinstance(field.default, FieldInfo) or any(isinstance(more, FieldInfo) for more in get_args(hint)[1:])
