"""Running a run anew: with the code of today, from its beginning or from some nodes on."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from heliostat import codec
from heliostat.effects import Start
from heliostat.errors import BadInput, Conflict, Taken
from heliostat.graph import Arity, Graph, named
from heliostat.run import public_id
from heliostat.signature import check_start
from heliostat.store import Command, Rerun
from heliostat.workflow import NodeHandle, Workflow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heliostat.engine import Engine
    from heliostat.handle import RunHandle

Places: TypeAlias = "NodeHandle[..., Any] | str | Iterable[NodeHandle[..., Any] | str] | None"


def rerun(
    run: RunHandle, at: Places, workflow: Workflow | None, reason: str, key: str | None, seconds: float | None
) -> int:
    """Begin a run that takes over what lies before some nodes of another, and fails after ``seconds``; its key."""
    engine, info = run._engine, run.info  # noqa: SLF001 - its own kind
    handles = _listed(at)
    graph, flow = _today(run, handles, workflow)
    names = tuple(dict.fromkeys(graph[named(node, "at")].name for node in handles))
    to = _addressed(run)
    message = check_start(graph, engine.registry.signatures(graph.id), info.message, to)
    if flow is not None:
        engine.around.admit(flow)
        flow.check_parts(message)
    deadline_at = None if seconds is None else engine.around.clock.now() + seconds
    start = Start(0, graph, message, info.name, info.priority, None, key, to, deadline_at=deadline_at)
    reason = codec.word(reason, "reason", 0)
    while True:
        verb = Rerun(replace(start, run=engine.around.ids.run()), names)
        try:
            answer = engine._accept(Command(verb, run.key, engine._actor, reason))  # noqa: SLF001 - its own kind
        except Taken:
            continue  # another process has drawn the same id
        new = answer.run or verb.start.run
        if not answer.done and key is not None:
            _see_same(run, new, names, key)
        return new


def _see_same(run: RunHandle, new: int, at: tuple[str, ...], key: str) -> None:
    """A key that came before began the same rerun then; what a run is one of never changes."""
    first = run._engine.store.journal(new, limit=1)  # noqa: SLF001 - its own kind
    told = json.loads(first[0].event).get("rerun_of") if first else None
    if told is None or (told["run"], tuple(told["at"])) != (run.key, at):
        raise Conflict(
            f"workflow {run.graph.name}: the idempotency key {key!r} came before with another request, "
            f"which began run {public_id(new)}"
        )


def _listed(at: Places) -> list[NodeHandle[..., Any] | str]:
    if at is None:
        return []
    if isinstance(at, str | NodeHandle):
        return [at]
    try:
        return list(at)
    except TypeError:
        raise BadInput(f"at: a node or its name is wanted, or several, not {at!r}") from None


def _today(run: RunHandle, at: Iterable[object], workflow: Workflow | None) -> tuple[Graph, Workflow | None]:
    """The workflow as this process has it: as given, as the nodes' own, as it came last, else as the run had it."""
    engine, name = run._engine, run.graph.name  # noqa: SLF001 - its own kind
    given = workflow or next((node.workflow for node in at if isinstance(node, NodeHandle)), None)
    if given is None:
        return _newest(engine, name) or run.graph, None
    if getattr(given, "name", name) != name:  # what is no workflow is refused below
        raise BadInput(f"run {run.id} is of workflow {name}, not of {given.name}; it can be run anew with {name} only")
    return engine.add(given), given


def _newest(engine: Engine, name: str) -> Graph | None:
    """What this engine was last given under a name."""
    found = (engine.registry.graph(graph) for graph, _ in reversed(engine.registry.codes))
    return next((graph for graph in found if graph.name == name), None)


def _addressed(run: RunHandle) -> str | None:
    """The handler that the run's message was sent to, where one was named: its task is the first after the nodes'."""
    engine, info = run._engine, run.info  # noqa: SLF001 - its own kind
    first = engine.store.task(run.key, len(run.graph.nodes) + 1)
    if first is None or first.cause is not None or first.created_at != info.created_at:
        return None
    node = run.graph[first.node]
    return node.name if node.arity is Arity.handler and not node.entry and first.message == info.message else None
