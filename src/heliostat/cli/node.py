"""Limit and pause nodes, over all their runs; run one alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from heliostat.cli import output, shapes
from heliostat.cli.completion import nodes
from heliostat.cli.output import AsJson
from heliostat.cli.queue import counted, paused
from heliostat.cli.run import Reason
from heliostat.cli.session import session
from heliostat.errors import BadInput

if TYPE_CHECKING:
    from heliostat.graph import Graph

NAME = "node"
app = typer.Typer(no_args_is_help=True)

HELP = "A workflow and its node, fire/spread: in all its versions, or in one, 'fire 1.0/spread'."
Id = Annotated[str, typer.Argument(metavar="NODE", help=HELP, autocompletion=nodes)]


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the nodes that have a limit of their own, or have been paused or set."""
    from heliostat.queue import node_hold
    from heliostat.seen import grouped, standings

    with session(context).engine() as engine:
        lanes, holds, now = engine.store.lanes(), engine.store.holds(), engine.around.clock.now()
        standing = standings(engine.store, engine.around) if lanes else []
        graphs = {lane.graph: engine.registry.graph(lane.graph) for lane, *_ in lanes}
    shown: list[shapes.NodeLimitShape] = []
    right = ["running", "limit", "ready"]
    columns = ("workflow", "version", "node", "queue", *right, "why")
    found = output.table(*columns, right=right, whole=["version", *right])
    for lane, ready, running in lanes:
        name = lane.node or ""
        hold = shapes.hold_of(holds, "node", node_hold(lane.graph, name)) if lane.paused else None
        jobs = grouped(words for task, words in standing if (task.graph, task.node) == (lane.graph, name))
        node = shapes.node_limit_shape(lane, graphs[lane.graph], ready, running, hold=hold, jobs=jobs)
        shown.append(node)
        limit = "none" if lane.limit is None else f"{lane.limit:,}"
        told = output.stacked(paused(hold, now) if lane.paused else "", *counted(jobs))
        told_of = (node["workflow"], node["version"], name, lane.queue, f"{running:,}", limit, f"{ready:,}")
        output.row(found, *told_of, told)
    if as_json:
        output.document(shown)
    else:
        output.show(found if lanes else "no node has a limit of its own, and none was paused or set")


@app.command("set")
def set_(
    context: typer.Context,
    node: Id,
    limit: Annotated[int | None, typer.Option(min=1, help="How many of its tasks may run at once.")] = None,
    no_limit: Annotated[bool, typer.Option("--no-limit", help="As many as can.")] = False,
    reason: Reason = "",
) -> None:
    """Limit how many tasks of a node run at once, over all runs and all workers."""
    if (limit is None) != no_limit:
        raise BadInput("say --limit N or --no-limit")
    graphs = _set(context, node, reason, limit=limit)
    words = f"at most {limit:,} at once" if limit else "no limit"
    output.say(f"node {node}: {words}{_where(graphs)}")


@app.command()
def pause(context: typer.Context, node: Id, reason: Reason = "") -> None:
    """Let no more tasks of a node begin, in any run; what is running goes on."""
    output.say(f"node {node} is paused{_where(_set(context, node, reason, paused=True))}")


@app.command()
def resume(context: typer.Context, node: Id, reason: Reason = "") -> None:
    """Let tasks of a paused node begin again."""
    output.say(f"node {node} goes on{_where(_set(context, node, reason, paused=False))}")


def _set(context: typer.Context, node: str, reason: str, **change: Any) -> list[Graph]:
    with session(context).engine() as engine:
        return engine.set_node(node, reason=reason, **change)


def _where(graphs: list[Graph]) -> str:
    """In which versions it holds, where that is not plain."""
    if len(graphs) == 1:
        return f", in {graphs[0].label}"
    return f", in {len(graphs)} versions; a version that is registered later begins without it"
