"""``node run``: one node alone, with inputs that are given or come from a run; no database is touched."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heliostat import origin
from heliostat.cli import completion, output
from heliostat.cli.message import message
from heliostat.cli.output import AsJson
from heliostat.cli.session import find_run, session, workflow
from heliostat.errors import BadInput, HeliostatError, NotFound, RunFailed, TaskError, said

if TYPE_CHECKING:
    from heliostat.artifact import Artifact
    from heliostat.engine import Engine
    from heliostat.graph import Edge, Graph, Node
    from heliostat.handle import RunHandle
    from heliostat.testing.called import Called


def run(
    context: typer.Context,
    where: Annotated[str, typer.Argument(metavar="WHERE", help="file.py:flow, module:flow, or a configured name.")],
    node: Annotated[
        str,
        typer.Argument(metavar="NODE", help="Which of its nodes.", autocompletion=completion.node_names),
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NAME=VALUE", help="What a parameter gets: JSON, a word, or @file for a file."),
    ] = None,
    given: Annotated[
        str | None, typer.Option("--message", metavar="JSON", help="The message: JSON, @file or -.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="RUN", help="A run whose message, results and records it gets.")
    ] = None,
    item: Annotated[int, typer.Option(min=0, help="Which item, of a node that goes over a list of that run.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Run one node alone, in this process; say what it returned, sent, kept and logged. Nothing of it is kept."""
    from heliostat.testing.alone import alone

    flow = workflow(where)
    graph, values = flow.graph, message(inputs or [])
    found = graph[node]
    if not isinstance(values, dict | None):
        raise BadInput(f"--input: {(inputs or [''])[0]!r} is no name=value")
    with ExitStack() as open_:
        known: dict[str, Any] = {}
        text, records, artifacts = message([], given), [], []
        if source is not None:
            engine = open_.enter_context(session(context).engine())
            place = Path(open_.enter_context(TemporaryDirectory(prefix="heliostat-")))
            taken = _Taken(engine, find_run(engine, source), place)
            known, records, artifacts = taken.inputs(graph, found, item), taken.records(graph), taken.files()
            text = taken.message(found) if given is None else text
        try:
            called = alone(flow, node, text, {**known, **(values or {})}, records, artifacts)
        except TaskError as error:
            output.refuse(type(error).__name__, str(error), RunFailed.exit_code)
            raise typer.Exit(RunFailed.exit_code) from None
        except HeliostatError:
            raise
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - other people's code may raise anything
            words = f"{type(error).__name__}: {said(error)}".removesuffix(": ")
            output.lines_of_talk(origin.story(error) or words)
            if as_json:  # it ends with a line for programs, as whatever goes wrong does
                output.refuse(type(error).__name__, f"{words}{origin.place(error)}", RunFailed.exit_code)
            raise typer.Exit(RunFailed.exit_code) from None
        sys.stdout.flush()
        _tell(called, as_json=as_json)


class _Taken:
    """What a run has for a node, as a call takes it: values, and files that can be read."""

    def __init__(self, engine: Engine, run: RunHandle, place: Path) -> None:
        self._engine, self._run, self._place = engine, run, place

    def message(self, node: Node) -> object:
        """The run's message, or the newest that a handler got."""
        from heliostat.graph import Arity

        if node.arity is not Arity.handler:
            return self._value(self._run.info.message)
        got = [task.message for task in self._run.tasks(node=node.name)] if node.name in self._run.graph else []
        if not got:
            raise NotFound(f"run {self._run.id} has no message to {node.name}; give one with --message")
        return self._value(got[-1])

    def inputs(self, graph: Graph, node: Node, item: int) -> dict[str, Any]:
        """What the nodes before it gave in the run, as far as they succeeded."""
        found = {}
        for edge in node.edges:
            if edge.parameter is not None and edge.source in self._run.graph and self._gave(edge.source):
                found[edge.parameter] = self._input(edge, item)
        return found

    def _gave(self, source: str) -> bool:
        from heliostat.task import TaskState

        return bool(self._engine.store.states(self._run.key).get(source, {}).get(TaskState.succeeded))

    def _input(self, edge: Edge, item: int) -> Any:
        from heliostat.inputs import node_result

        graph = self._run.graph
        value = self._value(node_result(self._engine.store, self._run.key, graph, graph[edge.source]))
        if not edge.each:
            return value
        if not isinstance(value, list) or item >= len(value):
            n = len(value) if isinstance(value, list) else 0
            raise BadInput(f"--item {item}: {edge.source} gave {n} items in run {self._run.id}, counted from 0")
        return value[item]

    def records(self, graph: Graph) -> list[Any]:
        """The run's records, of nodes that are still there."""
        from heliostat.testing import Record

        kept = self._engine.store.records(self._run.key)
        return [Record(self._value(one.value), one.key, one.node) for one in kept if one.node in graph]

    def files(self) -> list[Artifact]:
        """The artifacts that the run keeps."""
        return self._run.artifacts()

    def _value(self, text: str | None) -> Any:
        from heliostat.signature import revive
        from heliostat.testing.given import have

        def bring(artifact: Artifact) -> Any:
            have(self._engine.around.repository.bring(artifact, self._place))
            return artifact

        return revive(text, bring)


def _tell(called: Called[Any], *, as_json: bool) -> None:
    shape = _shape(called)
    if as_json:
        output.document(shape)
        return
    for line in called.logged:
        fields = " ".join(f"{name}={value}" for name, value in line.fields.items())
        output.say(f"{line.kind}: {line.text}" + (f" ({fields})" if fields else ""))
    parts = {name: value for name, value in shape.items() if name not in ("result", "logged") and value}
    for name, value in parts.items():
        for one in value if isinstance(value, list) else [value]:
            output.show(output.text(f"{name}: {output.short(one, 200)}"))
    output.show(output.text(output.short(shape["result"], 2000)))


def _shape(called: Called[Any]) -> dict[str, Any]:
    """What ``node run --json`` writes: the result, and what would have left with the commit."""
    from dataclasses import asdict

    names = ("sent", "mapped", "started", "records", "artifacts")
    lists = {name: [_plain(asdict(one)) for one in getattr(called, name)] for name in names}
    logged = [{"kind": line.kind, "text": line.text, "fields": line.fields} for line in called.logged]
    ended = None if called.ended is None else _plain(asdict(called.ended))
    return {"result": _plain(called.result), **lists, "ended": ended, "logged": logged}


def _plain(value: Any) -> Any:
    """A value as JSON; files as their paths."""
    from dataclasses import asdict, is_dataclass

    from heliostat import codec

    if is_dataclass(value) and not isinstance(value, type) and type(value).__name__ in ("Skip", "Snooze", "Fail"):
        return {type(value).__name__: asdict(value)}
    return codec.decode(codec.encode(value, "result", _file))


def _file(found: Any) -> Any:
    artifact = getattr(found, "artifact", found)
    return artifact.to_json() if hasattr(artifact, "to_json") else str(found)
