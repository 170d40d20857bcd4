"""What can be said at its definition of a workflow that is to be a node of another one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, get_origin

from pydantic import BaseModel

from heliostat import fields
from heliostat.errors import BadInput, DefinitionError
from heliostat.graph import Arity, Kind, Part, Retry
from heliostat.subworkflow import WHOLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from heliostat.graph import Node
    from heliostat.workflow import Workflow

_SINGLE = (bool, int, float, str, list)  #: types of messages that have no fields


def contained(whole: Workflow, part: Workflow, where: str) -> Part:
    """A workflow as part of another one; raises DefinitionError for one that cannot be."""
    if not isinstance(part, type(whole)):
        raise DefinitionError(f"{where}: a Workflow is wanted, not {part!r}")
    if _contains(part, whole):
        raise DefinitionError(f"{where}: workflow {whole.name} would contain itself, and never end")
    graph = part.whole()
    if not graph.starts and not graph.stays_open:
        raise DefinitionError(f"{where}: nothing in workflow {part.name} takes its message; give a handler entry=True")
    return Part(graph.name, graph.fingerprint, graph.version)


def retried(retry: Retry, where: str, *, own: bool) -> Retry:
    """The policy of a node that is a run, which raises nothing; raises DefinitionError for one about exceptions.

    One that is not its ``own`` but a default of the workflow is for functions, and not for it.
    """
    if retry.on == Retry().on:
        return retry
    if own:
        raise DefinitionError(
            f"{where}: on= of its Retry names exceptions, and a run raises none, it fails; "
            f"leave on= out, or give the Retry to nodes inside"
        )
    return Retry()


def _contains(workflow: Workflow, other: Workflow) -> bool:
    return workflow is other or any(_contains(part, other) for part in workflow.parts.values())


def check_fields(part: Workflow, given: Collection[str], where: str) -> None:
    """Check the names of a message's fields against the annotations of those that take it; raises DefinitionError."""
    if not given:
        return
    if WHOLE in given:
        if others := [name for name in given if name != WHOLE]:
            raise DefinitionError(
                f"{where}: the input {WHOLE!r} is all of the message, so {others[0]!r} has no place in it"
            )
        return
    takers = [node for node in part.graph if node.takes_message and (node.arity is not Arity.handler or node.entry)]
    described = dict(_described(part, takers))
    for name, annotation in described.items():
        if annotation in _SINGLE or get_origin(annotation) is list:
            raise DefinitionError(
                f"{where}: {name} of {part.name} takes no fields, but {getattr(annotation, '__name__', annotation)}; "
                f"give all of its message: {{{WHOLE!r}: node}}"
            )
        if missing := [field for field in _required(annotation) if field not in given]:
            raise DefinitionError(
                f"{where}: {name} of {part.name} needs {missing[0]!r} in its message; name it in inputs="
            )
    if len(described) == len(takers):
        values = dict.fromkeys(given)
        try:
            fields.refuse(fields.common(fields.strangers(of, values, WHOLE) for of in described.values()))
        except BadInput as error:
            raise DefinitionError(f"{where}: {error}") from None


def _described(part: Workflow, takers: list[Node]) -> Iterator[tuple[str, Any]]:
    """The annotations of the messages that nodes take, as far as they can be resolved now."""
    for node in takers:
        signature = part.signatures.get(node.name)
        if signature is None or signature.message is None:
            continue
        try:
            annotation = signature.message.annotation
        except DefinitionError:  # it names what comes later; it is said at the start of a run, should that be wrong
            continue
        if annotation not in (Any, object):
            yield node.name, annotation


def _required(annotation: Any) -> list[str]:
    """The fields that a dataclass or a model cannot do without, where they are called as the message calls them."""
    if not isinstance(annotation, type):
        return []
    if issubclass(annotation, BaseModel):
        found = annotation.model_fields.items()
        return [name for name, field in found if field.is_required() and not (field.alias or field.validation_alias)]
    if not dataclasses.is_dataclass(annotation):
        return []
    nothing = dataclasses.MISSING
    return [f.name for f in dataclasses.fields(annotation) if f.init and f.default is nothing is f.default_factory]


def returns(part: Workflow) -> Any:
    """What a run of a workflow comes out with, as far as an annotation tells: its one last node's; else Any."""
    graph = part.graph
    if len(graph.ends) != 1 or any(node.arity is Arity.handler for node in graph):
        return Any
    [last] = graph.ends
    if last.arity is Arity.each or last.kind not in (Kind.function, Kind.workflow):
        return Any
    if last.kind is Kind.workflow:
        return returns(part.parts[last.name])
    return part.signatures[last.name].returns
