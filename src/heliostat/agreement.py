"""Agreement: whether what a node returns can be what the nodes after it want, as far as annotations say.

What JSON makes of the one is compared with what is taken for the other. Whatever is not known agrees with everything,
so a doubt is worth reading.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, RootModel

from heliostat import parts
from heliostat.artifact import Artifact
from heliostat.graph import Arity, On
from heliostat.outcome import Fail, Skip, Snooze

if TYPE_CHECKING:
    from heliostat.graph import Edge, Node
    from heliostat.workflow import Workflow

_NUMBERS = frozenset({"bool", "int", "float", "str"})
_TIMES = frozenset({"int", "float", "str"})
_LIST, _DICT = frozenset({"list"}), frozenset({"dict"})
#: What JSON makes of values of these types, and what is taken for a parameter of them; the first that fits counts.
_KINDS: tuple[tuple[tuple[Any, ...], str, frozenset[str]], ...] = (
    ((NoneType,), "null", frozenset({"null"})),
    ((bool,), "bool", _NUMBERS),
    ((int,), "int", _NUMBERS),
    ((float,), "float", _NUMBERS),
    ((str,), "str", frozenset({"str"})),
    ((Artifact,), "file", frozenset({"file"})),
    ((PurePath,), "file", frozenset({"file", "str"})),
    ((datetime, date, time), "str", _TIMES),
    ((timedelta,), "float", _TIMES),
    ((UUID,), "str", frozenset({"str"})),
    ((list, tuple, Sequence, Iterator, AsyncIterator), "list", _LIST),
    ((dict, Mapping), "dict", _DICT),
)
_ANSWERS = (Skip, Snooze, Fail)


def doubts(workflow: Workflow) -> list[str]:
    """A sentence for each parameter that cannot be given what the node that it names returns."""
    return [words for node in workflow.graph for edge in node.edges if (words := _doubt(workflow, node, edge))]


def _doubt(workflow: Workflow, node: Node, edge: Edge) -> str | None:
    signature = workflow.signatures.get(node.name)
    parameter = None if signature is None else signature.inputs.get(edge.parameter or "")
    if parameter is None or edge.on is not On.succeeded:
        return None
    wanted, returns, source = parameter.annotation, _returns(workflow, edge.source), workflow.graph[edge.source]
    many = source.arity is Arity.each
    if edge.each and not many and not _agree(returns, list):
        return f"node {node.name}: it goes over what {source.name} returns, which is {_named(returns)} and no list"
    given = _inside(returns) if edge.each and not many else returns
    wants = wanted if not many or edge.each else _inside(wanted)
    if many and not edge.each and not _agree(list, wanted):
        of = f"list[{_named(returns)}], a result for each item"
        return f"node {node.name}: {source.name} gives {of}, but {parameter.name} is annotated {_named(wanted)}"
    if not _agree(given, wants):
        said = f"{source.name} returns {_named(returns)}"
        return f"node {node.name}: {said}, but {parameter.name} is annotated {_named(wanted)}"
    if many and not edge.each and (why := _gaps(workflow, source)) and not _agree(NoneType, wants):
        return f"node {node.name}: {why}, so {parameter.name} may hold None; annotate it list[{_named(wants)} | None]"
    return None


def _returns(workflow: Workflow, name: str) -> Any:
    """What a node gives, of one that goes over a list for each item."""
    if (part := workflow.parts.get(name)) is not None:
        return parts.returns(part)
    signature = workflow.signatures.get(name)
    return Any if signature is None or workflow.graph[name].job is not None else signature.returns


def _gaps(workflow: Workflow, node: Node) -> str | None:
    """Why the list of a node that goes over one may have no result for an item."""
    if node.may_fail:
        return f"an item of {node.name} may fail"
    if Skip in _alternatives(_returns(workflow, node.name)):
        return f"an item of {node.name} may be skipped"
    before = (workflow.graph[edge.source] for edge in node.edges if edge.each and not edge.optional)
    return next((why for each in before if each.arity is Arity.each and (why := _gaps(workflow, each))), None)


# types


def _agree(given: Any, wanted: Any) -> bool:
    """Whether something that is given may be taken."""
    offers = [each for each in _alternatives(given) if each not in _ANSWERS]
    return not offers or any(_meets(offer, want) for offer in offers for want in _alternatives(wanted))


def _meets(offer: Any, want: Any) -> bool:
    kind, taken = _kind(offer), _taken(want)
    if kind is None or taken is None:
        return True
    if kind not in taken:
        return False
    return kind not in ("list", "dict") or _agree(_inside(offer), _inside(want))


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union, the types of literals."""
    annotation = getattr(annotation, "__value__", None) or getattr(annotation, "__supertype__", None) or annotation
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        validated = any(type(each).__name__.endswith("Validator") for each in inner[1:])
        return [Any] if validated else _alternatives(inner[0])
    if origin is Literal:
        return [type(value) for value in inner]
    if origin in (Union, UnionType):
        return [each for member in inner for each in _alternatives(member)]
    return [NoneType if annotation is None else annotation]


def _type(annotation: Any) -> type | None:
    kind = get_origin(annotation) or annotation
    return kind if isinstance(kind, type) and not issubclass(kind, Enum) else None


def _kind(annotation: Any) -> str | None:
    """What JSON makes of it; None where that is not known."""
    if (kind := _type(annotation)) is None:
        return None
    found = next((word for kinds, word, _ in _KINDS if issubclass(kind, kinds)), None)
    return found or ("dict" if _has_fields(kind) else None)


def _taken(annotation: Any) -> frozenset[str] | None:
    """What is taken for it; None where that is not known."""
    kind = _type(annotation)
    if kind is None or (hasattr(kind, "__pydantic_decorators__") and _validated(kind)):
        return None
    if issubclass(kind, Decimal):
        return _TIMES
    if issubclass(kind, AbstractSet):
        return _LIST
    found = next((words for kinds, _, words in _KINDS if issubclass(kind, kinds)), None)
    return found or (_DICT if _has_fields(kind) else None)


def _validated(kind: Any) -> bool:
    """Whether a model has code of its own that may take anything."""
    return issubclass(kind, RootModel) or bool(kind.__pydantic_decorators__.model_validators)


def _has_fields(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) or (issubclass(kind, BaseModel) and not issubclass(kind, RootModel))


def _inside(annotation: Any) -> Any:
    """What stands in a list, or as the values of a dict; Any where that is not said."""
    found = []
    for each in _alternatives(annotation):
        inner, kind = get_args(each), _kind(each)
        if kind == "dict":
            found.append(inner[1] if len(inner) == 2 else Any)
        elif kind == "list":
            several = get_origin(each) is tuple and inner[1:] != (...,)
            found.append(Any if not inner else Union[inner] if several else inner[0])  # noqa: UP007 - of many
        elif kind is None and each not in (NoneType, *_ANSWERS):
            found.append(inner[0] if inner and issubclass(_type(each) or object, AbstractSet) else Any)
    return Union[tuple(found)] if found else Any  # noqa: UP007 - of many


def _named(annotation: Any) -> str:
    """A type as its author writes it."""
    if annotation is None or annotation is NoneType:
        return "None"
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__qualname__
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join(map(_named, get_args(annotation)))
    if inner := get_args(annotation):
        name = getattr(get_origin(annotation), "__qualname__", str(get_origin(annotation)))
        return f"{name}[{', '.join(map(_named, inner))}]"
    if annotation is ...:
        return "..."
    return repr(annotation).removeprefix("typing.")
