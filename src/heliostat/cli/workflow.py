"""Look at workflows, check them, draw their graphs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heliostat.cli import data, grid, output, schedule, shapes, simulation
from heliostat.cli import session as sessions
from heliostat.cli.output import AsJson
from heliostat.cli.session import session
from heliostat.errors import BadInput

if TYPE_CHECKING:
    from heliostat.engine import Engine
    from heliostat.graph import Graph, Node
    from heliostat.handle import RunHandle
    from heliostat.trigger import Schedule

NAME = "workflow"
app = typer.Typer(no_args_is_help=True)

Where = Annotated[
    str, typer.Argument(metavar="WHERE", help="file.py:flow, module:flow, or a name from the apps or the database.")
]


class Format(StrEnum):
    """How a graph is written."""

    svg = "svg"
    mermaid = "mermaid"
    dot = "dot"


_ENDINGS = {
    ".svg": Format.svg,
    ".mmd": Format.mermaid,
    ".mermaid": Format.mermaid,
    ".dot": Format.dot,
    ".gv": Format.dot,
}


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the definitions that the database knows."""
    with session(context).engine() as engine:
        graphs, known = engine.store.graphs(), schedule.scheduled(engine)
    if as_json:
        told = [(graph, known.by_name.get(graph.name), known.holds.get(graph.name)) for graph in graphs]
        output.document([shapes.workflow_shape(*each) for each in told])
        return
    found = output.table("workflow", "version", "nodes", "next tick", right=["nodes"], whole=["next tick"])
    for graph in graphs:
        stands = known.by_name.get(graph.name)
        tick = "" if stands is None or stands.graph != graph.id else _next(stands, known)
        output.row(found, graph.name, shapes.version(graph), len(graph.nodes), tick)
    output.show(found if graphs else "no workflows")


@app.command()
def show(context: typer.Context, where: Where, as_json: AsJson = False) -> None:
    """Show a workflow's nodes and what each waits for."""
    graph = sessions.graph(context, where)
    known = schedule.Schedules() if graph.trigger is None else schedule.schedules(context)
    stands = known.by_name.get(graph.name)
    if as_json:
        output.document(shapes.workflow_details(graph, stands, known.holds.get(graph.name)))
        return
    kind = "stays open until it is completed" if graph.stays_open else None
    facts: dict[str, object] = {"workflow": graph.name, "version": shapes.version(graph), "runs": kind}
    if graph.trigger is not None:
        mine = stands is not None and stands.graph == graph.id
        facts["started"] = graph.trigger
        facts["next tick"] = (
            _next(stands, known) if stands and mine else "none yet: its runs start when a worker offers it"
        )
        facts["last tick"] = output.when(stands.last_at) if stands and mine else None
    found = output.table("node", "is", "waits for", "policy")
    for node in graph:
        output.row(found, node.name, _is(node), _waits_for(node), _policy(node))
    output.show(output.facts(facts), "", found)


def _next(stands: Schedule, known: schedule.Schedules) -> str:
    from heliostat.checks import paused_by
    from heliostat.trigger import LATE_SECONDS

    if stands.paused:
        hold = known.holds.get(stands.workflow)
        return "paused" + (f" {paused_by(hold, known.now)}" if hold else "")
    said = f"{output.lately(stands.next_at, known.now)} {output.zone(stands.next_at)}"
    return said if known.now - stands.next_at <= LATE_SECONDS else f"{said}: missed, for no worker offers it"


def _is(node: Node) -> str:
    words = [str(node.kind) if str(node.arity) != "handler" else "handler"]
    words = [f"workflow {node.workflow.name}"] if node.workflow is not None else words
    words += ["per item"] if str(node.arity) == "each" else []
    words += ["entry"] if node.entry else []
    words += [] if node.trigger is None else [str(node.trigger)]
    words += ["serial" if node.serial is True else f"serial by {node.serial}"] if node.serial else []
    words += [{"failed": "if the run failed", "ended": "after the run"}.get(node.epilogue, "")] if node.epilogue else []
    return ", ".join(words)


def _waits_for(node: Node) -> str:
    words = []
    for edge in node.edges:
        word = f'{edge.source}["{edge.choice}"]' if edge.choice is not None else edge.source
        word += f" {edge.on}" if str(edge.on) != "succeeded" else ""
        words.append(f"{word}?" if edge.optional else f"each of {word}" if edge.each else word)
    return ", ".join(words)


def _policy(node: Node) -> str:
    words = [f"queue {node.queue}"] if node.queue != "default" else []
    words += [f"priority {node.priority}"] if node.priority else []
    words += [f"limit {node.limit}"] if node.limit is not None else []
    words += [f"retry {node.retry.limit}×"] if node.retry.limit else []
    words += [f"timeout {node.timeout:g} s"] if node.timeout is not None else []
    words += ["may fail"] if node.may_fail else []
    words += [f"{node.resources}{', then as its function says' if node.adapts else ''}"] if node.resources else []
    words += [f"requires {', '.join(node.requires)}"] if node.requires else []
    words += [f"image {node.job.image}"] if node.job is not None and node.job.image else []
    env, secrets = shapes.variables(node)
    words += [f"env {', '.join(env)}"] if env else []
    words += [f"secret {', '.join(secrets)}"] if secrets else []
    return ", ".join(words)


@app.command()
def graph(
    context: typer.Context,
    where: Annotated[str | None, typer.Argument(metavar="WHERE", help="As for `show`; not needed with --run.")] = None,
    run: Annotated[str | None, typer.Option(metavar="RUN", help="Draw what became of this run.")] = None,
    form: Annotated[Format | None, typer.Option("--format", help="Else as --out ends; else svg.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write here, not to standard output.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw a graph, before a run or with what became of one."""
    chosen = form or (_ENDINGS.get(out.suffix.lower()) if out else None) or Format.svg
    if run is not None:
        with session(context).engine() as engine:
            handle = sessions.find_run(engine, run)
            if where is not None and sessions.graph(context, where).name != handle.graph.name:
                raise BadInput(f"run {handle.id} is one of {handle.graph.name}, not of {where}")
            text = drawn_run(engine, handle, chosen)
    elif where is not None:
        text = drawn(sessions.graph(context, where), chosen)
    else:
        raise BadInput("name a workflow, or a run with --run")
    if out is not None:
        out.write_text(text, "utf-8")
    if as_json:
        drawn_: shapes.DrawnShape = {
            "format": str(chosen),
            "written": str(out) if out else None,
            "text": None if out else text,
        }
        output.document(drawn_)
    elif out is None:
        typer.echo(text, nl=False)
    else:
        output.say(f"written: {out}")


def drawn(graph: Graph, form: Format) -> str:
    """A graph as text in a format."""
    from heliostat.exporters.dot import dot
    from heliostat.exporters.mermaid import mermaid
    from heliostat.exporters.svg import svg

    return {Format.svg: svg, Format.mermaid: mermaid, Format.dot: dot}[form](graph)


def drawn_run(engine: Engine, run: RunHandle, form: Format) -> str:
    """A run's graph, with what became of it."""
    from heliostat.exporters.dot import dot
    from heliostat.exporters.mermaid import mermaid
    from heliostat.exporters.notebook import drawing
    from heliostat.inside import traffic

    if form is Format.svg:
        return drawing(run) or ""
    return (mermaid if form is Format.mermaid else dot)(
        run.graph, engine.store.states(run.key), traffic(engine.store, run.graph, run.key)
    )


@app.command()
def check(
    where: Annotated[list[str] | None, typer.Argument(metavar="WHERE", help="Else the configured apps.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check that workflows can be loaded and planned, and doubt what a node gives to another that wants something else.

    A doubt is no error: what it is about fails when it happens, and may never.
    """
    from heliostat.agreement import doubts

    flows = sessions.workflows(where or [])
    for flow in flows:
        for signature in flow.signatures.values():
            signature.warm()
    if as_json:
        output.document([{**shapes.workflow_shape(flow.graph), "doubts": doubts(flow)} for flow in flows])
        return
    for flow in flows:
        nodes = f": {output.count(len(flow.graph.nodes), 'node')}"
        output.show(output.text("✓ ", "green") + output.text(flow.graph.label, "bold") + output.text(nodes))
        for words in doubts(flow):
            output.line(output.text("  ! ", "yellow") + output.text(words))
    if not flows:
        raise BadInput("there is nothing to check: name a file or module, or list apps in heliostat.toml")


app.command()(grid.grid)
app.command()(simulation.simulate)
app.command()(data.export)
app.command("import")(data.import_)
app.command()(schedule.pause)
app.command()(schedule.resume)
app.command()(schedule.backfill)
