"""The workflows of a play, as they go on stage: what reaches outside has a stub, and workers may be lost for ever."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from heliostat.context import Context
from heliostat.errors import BadInput, nearest
from heliostat.graph import Kind
from heliostat.perform import Performer
from heliostat.signature import Signature
from heliostat.workflow import NodeHandle, Workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from heliostat.executor import Answered, Work
    from heliostat.graph import Graph, Node
    from heliostat.outcome import Outcome

MANY = 1_000_000  #: rescues: a stage takes workers away without end, and no function is to blame


class Cast:
    """Workflows by graph. ``stubs`` are functions in the place of nodes, by ``node`` or ``workflow.node``."""

    def __init__(self, workflows: Sequence[Workflow], stubs: Mapping[str, Callable[..., Any]] | None = None) -> None:
        stubs = dict(stubs or {})
        for workflow in workflows:
            if not isinstance(workflow, Workflow):
                raise BadInput(f"simulate: a Workflow is wanted, not {workflow!r}")
        inner_first = [each for flow in workflows for each in _with_parts(flow)]
        known = {name for flow in inner_first for node in flow.graph for name in names(flow.graph, node)}
        if unknown := [name for name in stubs if name not in known]:
            raise BadInput(f"stubs: no workflow here has a node {unknown[0]!r}{nearest(unknown[0], known)}")
        made: dict[int, Workflow] = {}
        for flow in inner_first:
            staged = made[flow.graph.id] = _staged(flow, stubs)
            staged.parts = {name: made[part.graph.id] for name, part in flow.parts.items()}
        named = {flow.graph.id: made[flow.graph.id] for flow in workflows}
        self._staged = named | made  # those that were named come first

    def __iter__(self) -> Iterator[Workflow]:
        return iter(self._staged.values())

    def staged(self, workflow: Workflow) -> Workflow:
        """A workflow as it goes on stage; raises BadInput for one that nobody named."""
        if not isinstance(workflow, Workflow):
            raise BadInput(f"simulate: a Workflow is wanted, not {workflow!r}")
        found = self._staged.get(workflow.graph.id)
        if found is None:
            raise BadInput(f"simulate: workflow {workflow.name} is started too; name it in others=[…]")
        return found


def _with_parts(workflow: Workflow) -> list[Workflow]:
    """A workflow after all that it contains."""
    return [*(inner for part in workflow.parts.values() for inner in _with_parts(part)), workflow]


class StubPerformer(Performer):
    """Calls a function for a job, and for a node that is another workflow if it has one: its stub."""

    def _part(self, work: Work, signature: Signature | None, context: Context) -> Outcome:
        return super()._part(work, None, context) if signature is None else self._called(work, signature, context)

    def _job(self, work: Work, signature: Signature | None, context: Context) -> Answered:
        return self._called(work, signature, context)


def names(graph: Graph, node: Node) -> tuple[str, str]:
    """What a stub may call a node."""
    return node.name, f"{graph.name}.{node.name}"


def _staged(workflow: Workflow, stubs: Mapping[str, Callable[..., Any]]) -> Workflow:
    nodes, signatures = [], dict(workflow.signatures)
    for node in workflow.graph:
        stub = next((stubs[name] for name in reversed(names(workflow.graph, node)) if name in stubs), None)
        if stub is not None:
            signature = signatures[node.name] = signature_of(workflow.graph, node, stub)
            node = replace(node, takes_message=signature.message is not None)
        elif node.kind is Kind.job:
            raise BadInput(
                f"simulate: {node.name} is a job and reaches outside; give a function in its place, "
                f"which answers what the job would: stubs={{{node.name!r}: function}}"
            )
        nodes.append(
            replace(node, rescues=MANY if node.rescues else 0, env={}, requires=())
        )  # functions share one environment
    staged = copy.copy(workflow)
    staged.signatures = signatures
    staged._graph = replace(workflow.graph, nodes=tuple(nodes))  # noqa: SLF001 - a copy of its own
    return staged


def signature_of(graph: Graph, node: Node, stub: object) -> Signature:
    """How a stub is called in the place of a node; raises BadInput if it cannot be."""
    if node.review is not None:
        raise BadInput(f"stubs: {node.name} is a review; decide it as a person would: run.decide({node.name!r}, …)")
    function = stub.function if isinstance(stub, NodeHandle) else stub
    if not callable(function):
        raise BadInput(f"stubs: {node.name} wants a function in its place, not {stub!r}")
    signature = Signature(function, f"stub of {node.name}", Context)
    given = [name for name, *_ in graph.inputs(node.name)]
    for name, parameter in signature.inputs.items():
        if name not in given and not parameter.optional:
            raise BadInput(f"stubs: {node.name} waits for nothing called {name!r}{nearest(name, given)}")
    return signature
