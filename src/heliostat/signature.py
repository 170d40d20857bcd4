"""What a function wants to be called with, read once from its signature."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from heliostat import codec, planner
from heliostat import fields as known
from heliostat.artifact import Artifact
from heliostat.effects import Send
from heliostat.errors import BadInput, DefinitionError
from heliostat.graph import Arity
from heliostat.trigger import tick_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from heliostat.codec import Json
    from heliostat.graph import Graph, Node

_PLAIN: dict[object, tuple[type, ...]] = {str: (str,), int: (int,), bool: (bool,), dict: (dict,), list: (list,)}


@dataclass(frozen=True)
class Parameter:
    """One parameter: its name, whether it may be left out, and how a value is fitted to its annotation."""

    name: str
    owner: Signature
    default: object = inspect.Parameter.empty

    @property
    def optional(self) -> bool:
        """Whether the function can do without it."""
        return self.default is not inspect.Parameter.empty

    @cached_property
    def annotation(self) -> Any:
        """The annotation, resolved; Any where there is none."""
        return self.owner.hints.get(self.name, Any)

    @cached_property
    def wants_path(self) -> bool:
        """Whether files are to be brought to where the node runs."""
        return _mentions(self.annotation, PurePath, set())

    @cached_property
    def _adapter(self) -> TypeAdapter[Any] | None:
        if self.annotation in (Any, inspect.Parameter.empty, object):
            return None
        try:
            return TypeAdapter(self.annotation)
        except (PydanticUserError, PydanticUndefinedAnnotation):
            kind = getattr(self.annotation, "__qualname__", self.annotation)
            raise DefinitionError(
                f"{self.owner.where}: the annotation {kind} of {self.name!r} cannot be checked; "
                "use JSON types, dataclasses, Pydantic models, Path or Artifact (a TypedDict from typing_extensions)"
            ) from None

    def fit_message(self, value: object) -> object:
        """As ``fit``; where nothing was given, the default stands, or where fields are wanted, that of each of them."""
        if value is None and self.optional:
            return self.default
        takes_fields = isinstance(self.annotation, type) and (
            dataclasses.is_dataclass(self.annotation) or issubclass(self.annotation, BaseModel)
        )
        return self.fit({} if value is None and takes_fields else value)

    def fit(self, value: object) -> object:
        """``value`` as the annotation wants it; raises BadInput with the field and what would be right."""
        if isinstance(self.annotation, type) and type(value) in _PLAIN.get(self.annotation, ()):
            return value
        if self._adapter is None:
            return value
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            raise BadInput(unfit(error, self.name)) from None


def unfit(error: ValidationError, name: str) -> str:
    """What Pydantic says of the first value that does not fit, as one sentence with its place."""
    first = error.errors()[0]
    where = ".".join((name, *map(str, first["loc"])))
    said = first["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    said = said if said != first["msg"] else said[:1].lower() + said[1:]  # an author's words stay as they are
    return f"{where}: {said} (got {_short(first['input'])})"


class Signature:
    """The parameters of a function, or of the ``run`` method of a class, by what they are for."""

    def __init__(self, function: Callable[..., Any], where: str, context: type | None) -> None:
        self.function, self.where = function, where
        self.is_class = isinstance(function, type)
        self._called: Callable[..., Any] = function
        if self.is_class:
            run = getattr(function, "run", None)
            if not callable(run):
                raise DefinitionError(f"{where}: the class {function.__name__} has no method run()")
            self._called = run
        self.context: str | None = None
        self.message: Parameter | None = None
        self.inputs: dict[str, Parameter] = {}
        self.rest: str | None = None
        if context is None:  # it is no node's, and called by place
            return
        parameters = list(inspect.signature(self._called).parameters.values())
        for parameter in parameters[1:] if self.is_class else parameters:
            self._sort(parameter, context)

    def _sort(self, parameter: inspect.Parameter, context: type) -> None:
        name, kind = parameter.name, parameter.kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            self.rest = name
        elif kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY):
            raise DefinitionError(
                f"{self.where}: the parameter {name!r} has no name to pass it by; Heliostat passes by name"
            )
        elif name == "ctx" or parameter.annotation in (context, context.__name__, f"heliostat.{context.__name__}"):
            self.context = name
        elif name == "message":
            self.message = Parameter(name, self, parameter.default)
        else:
            self.inputs[name] = Parameter(name, self, parameter.default)

    @cached_property
    def hints(self) -> dict[str, Any]:
        """Resolved annotations, looked up when first needed: names may be defined below the function."""
        try:
            return get_type_hints(self._called, include_extras=True)  # what Pydantic is to check besides
        except NameError as error:
            raise DefinitionError(f"{self.where}: an annotation names {error.name!r}, which is not defined") from None

    @cached_property
    def returns(self) -> Any:
        """The resolved annotation of what it returns, or Any."""
        try:
            return self.hints.get("return", Any)
        except DefinitionError:
            return Any

    def warm(self) -> None:
        """Resolve all annotations now, so that what is wrong with them is said before a run exists."""
        for parameter in (*self.inputs.values(), *([self.message] if self.message else [])):
            _ = parameter._adapter, parameter.wants_path  # noqa: SLF001 - its own kind


if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())  # the concrete class depends on the platform


class LocalPath(_Path):
    """A file that was brought to where a node runs; it remembers which artifact it is."""

    artifact: Artifact


def local(path: Path, artifact: Artifact) -> Path:
    """``path`` as a LocalPath of ``artifact``."""
    found = LocalPath(path)
    found.artifact = artifact
    return found


def check_start(
    graph: Graph, signatures: Mapping[str, Signature], text: str, to: str | None = None, *, exact: bool = True
) -> str:
    """Check what a run is started with against all nodes that take it, before the run exists; raises BadInput.

    Answers it as it is kept. Functions get the class that they describe it by, but jobs get what is kept: so where a
    job takes it and the functions describe it by exactly one class (a dataclass, a Pydantic model), the class's
    defaults are kept for what was left out. Nothing that was given is changed. ``exact``: fields that none of them
    knows are refused; a part of a run, which gets that one's message, takes of it what it knows.
    """
    if to is not None:
        planner.delivered(graph, Send(to, text))
    takers = [
        node
        for node in graph.nodes
        if node.takes_message and (node.arity is not Arity.handler or node.name == to or (to is None and node.entry))
    ]
    described = {node.name: message for node in takers if (message := _message(signatures.get(node.name))) is not None}
    strangers = [_strangers(graph[name], parameter, text) for name, parameter in described.items()]
    jobs = [(node.name, node.job) for node in takers if node.job is not None and node.name not in described]
    if jobs:
        text = _with_defaults(described.values(), text)
        strangers += [known.unplaced(name, job, codec.decode(text)) for name, job in jobs]
    if exact and len(strangers) == len(takers):  # else some function is elsewhere, and may know whatever there is
        known.refuse(known.common(strangers))
    return text


def check_ticks(graph: Graph, signatures: Mapping[str, Signature], check_parts: Callable[[str], None]) -> None:
    """Check that what triggers send can be taken, also by what is part of a run; raises DefinitionError."""
    text = tick_message(0.0)
    try:
        if graph.trigger is not None:
            check_start(graph, signatures, text)
            planner.begun(graph, text)
            check_parts(text)
        for node in graph.nodes:
            if node.trigger is not None:
                check_sent(node, signatures.get(node.name), text)
    except BadInput as error:
        raise DefinitionError(
            f"workflow {graph.name}: {error}; that is what its trigger sends: annotate the message with heliostat.Tick"
        ) from None


def _message(signature: Signature | None) -> Parameter | None:
    return None if signature is None else signature.message


def check_sent(node: Node, signature: Signature | None, text: str) -> None:
    """Check a message against the handler that is to take it, as far as its function is here; raises BadInput."""
    if signature is not None and signature.message is not None:
        known.refuse(_strangers(node, signature.message, text))


def _strangers(node: Node, parameter: Parameter, text: str) -> known.Strangers:
    """Fit a message to the annotation of the node that is to take it; answers the fields that it does not know."""
    if parameter.annotation in (Any, object):
        return {}
    value = revive(text, _unbrought if parameter.wants_path else None)
    parameter.fit_message(value)
    found = known.strangers(parameter.annotation, value, parameter.name)
    return {field: names for field, names in found.items() if field != (parameter.name, node.serial)}


def _with_defaults(parameters: Iterable[Parameter], text: str) -> str:
    """A message with what its one class has by default; as it is, where no class describes it or several do."""
    models = {parameter.annotation: parameter for parameter in parameters if _fields(parameter.annotation)}
    given = codec.decode(text)
    if len(models) != 1 or not isinstance(given, dict | None):
        return text
    [parameter] = models.values()
    fitted = parameter.fit_message(revive(text, _unbrought if parameter.wants_path else None))
    filled = dict(given or {})
    for name in _fields(parameter.annotation):
        if name not in filled:
            with contextlib.suppress(BadInput):  # a default that is no data, such as a Path
                filled[name] = codec.decode(codec.encode(getattr(fitted, name), name))
    return codec.encode(filled, "message")


def _fields(annotation: Any) -> tuple[str, ...]:
    """The names of the fields of a dataclass or a model; none of anything else."""
    if not isinstance(annotation, type) or annotation is Artifact or get_origin(annotation) is not None:
        return ()
    if dataclasses.is_dataclass(annotation):
        return tuple(field.name for field in dataclasses.fields(annotation))
    return tuple(annotation.model_fields) if issubclass(annotation, BaseModel) else ()


def _unbrought(artifact: Artifact) -> Path:
    return local(Path(artifact.name), artifact)


def revive(text: str | None, bring: Callable[[Artifact], Path] | None) -> object:
    """Data as functions see it: artifacts where files stand, or the files themselves if ``bring`` is given."""
    if text is None:
        return None
    value = codec.decode(text)
    return _revive(value, bring) if '"$artifact"' in text else value


def _revive(value: Json, bring: Callable[[Artifact], Path] | None) -> object:
    if isinstance(value, list):
        return [_revive(item, bring) for item in value]
    if isinstance(value, dict):
        artifact = Artifact.from_json(value)
        if artifact is not None:
            return artifact if bring is None else bring(artifact)
        return {key: _revive(item, bring) for key, item in value.items()}
    return value


def _mentions(annotation: Any, wanted: type, seen: set[int]) -> bool:
    """Whether a type, or anything inside it, is ``wanted``."""
    if id(annotation) in seen:
        return False
    seen.add(id(annotation))
    if isinstance(annotation, type) and get_origin(annotation) is None:
        if issubclass(annotation, wanted):
            return True
        if dataclasses.is_dataclass(annotation) or issubclass(annotation, BaseModel):
            try:
                hints = get_type_hints(annotation)
            except NameError:
                return False
            return any(_mentions(hint, wanted, seen) for hint in hints.values())
    return any(_mentions(inner, wanted, seen) for inner in get_args(annotation))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
