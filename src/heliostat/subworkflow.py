"""A node that is another run: with what that begins, and how its end is the node's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat import codec
from heliostat.artifact import MARK, mentioned
from heliostat.effects import Keep, Start
from heliostat.errors import NotFound
from heliostat.graph import Arity
from heliostat.inputs import result_of
from heliostat.outcome import Begun, Failed, Outcome, Succeeded
from heliostat.run import RunState
from heliostat.signature import check_start

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliostat.context import Surroundings
    from heliostat.executor import Work
    from heliostat.graph import Graph
    from heliostat.registry import Registry
    from heliostat.run import Run

WHOLE = "message"  #: the input that is all of the message, and no field of it


def answered(work: Work, registry: Registry, around: Surroundings) -> Outcome:
    """Begin the run, or see how it came out; of one that has failed before and is tried again, another run."""
    part = work.node.workflow
    assert part is not None
    try:
        graph = registry.graph(part.graph)
    except NotFound:  # a definition that came as data, without what it contains
        return Failed(f"{part.label} is not known here; register it, or offer it with a worker", final=True)
    before = around.store.children(*work.task)
    if before:
        told = _told(work, graph, before[-1], around, decided=asks(graph, registry.graph))
        if isinstance(told, Succeeded) or len(before) > work.attempt.failures:
            return told
    after = before[-1].id + 1 if before else 0
    text = check_start(graph, registry.signatures(graph.id), message(work), exact=not work.node.takes_message)
    title = work.node.name if work.attempt.item is None else f"{work.node.name}[{work.attempt.item}]"
    run = max(around.ids.run(), after)
    return Begun((Start(run, graph, text, title[: codec.LETTERS], work.node.priority),), len(before))


def message(work: Work) -> str:
    """What the run is started with, as JSON text: the node's inputs as fields, or else what its own run was."""
    fields = {}
    for name, _, _, arity, one in work.inputs:
        settled = work.settled.get(name)
        if arity is Arity.each and not one:
            fields[name] = f"[{','.join(item.result or 'null' for item in work.lists.get(name, ()))}]"
        else:
            fields[name] = (settled and settled.result) or "null"
    if not fields:
        return work.message or "null"
    if WHOLE in fields:
        return fields[WHOLE]
    return f"{{{','.join(f'{codec.encode(name, name)}:{text}' for name, text in fields.items())}}}"


def asks(graph: Graph, graph_of: Callable[[int], Graph]) -> bool:
    """Whether a run comes out with what a person decided: in its one last node, or in the run that this is."""
    if len(graph.ends) != 1 or graph.ends[0].arity is not Arity.once:
        return False
    [last] = graph.ends
    return last.review is not None or (last.workflow is not None and asks(graph_of(last.workflow.graph), graph_of))


def _told(work: Work, graph: Graph, run: Run, around: Surroundings, *, decided: bool) -> Outcome:
    which = f"run {run.public} of {graph.label}"
    if run.state is not RunState.succeeded:
        why = f": {run.reason}" if run.reason else ""
        word = "failed" if run.state is RunState.failed else f"was {run.state}"
        return Failed(f"{which} {word}{why}", final=run.state is not RunState.failed)
    text = result_of(around.store, run, graph)
    value = codec.decode(text)
    kept = tuple(Keep(artifact) for artifact in mentioned(value)) if MARK in text else ()
    if isinstance(value, list):
        return Succeeded(text, kept, None, len(value))
    if value is not None and (other := work.graph.listed.get(work.node.name)) is not None:
        return Failed(f"{which} gave {type(value).__name__}, but {other} goes over its list", final=True)
    choice = value.get("choice") if decided and isinstance(value, dict) else value
    return Succeeded(text, kept, choice if isinstance(choice, str) else None)
