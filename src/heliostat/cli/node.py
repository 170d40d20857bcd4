"""Limit and pause nodes, over all their runs; run one alone."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from heliostat.cli import output, shapes
from heliostat.cli.completion import nodes
from heliostat.cli.output import AsJson
from heliostat.cli.queue import counted, paused
from heliostat.cli.run import Reason
from heliostat.cli.session import session
from heliostat.errors import BadInput

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
    _set(context, node, "", reason, limit=limit)


@app.command()
def pause(context: typer.Context, node: Id, reason: Reason = "") -> None:
    """Let no more tasks of a node begin, in any run; what is running goes on."""
    _set(context, node, " is paused", reason, paused=True)


@app.command()
def resume(context: typer.Context, node: Id, reason: Reason = "") -> None:
    """Let tasks of a paused node begin again."""
    _set(context, node, " goes on", reason, paused=False)


def _set(context: typer.Context, node: str, done: str, reason: str, **change: Any) -> None:
    """Set something, and say on what terms the node is now, in each version; programs are told that, too."""
    name = node.partition("/")[2]
    with session(context).engine() as engine:
        labels = {graph.id: graph.label for graph in engine.set_node(node, reason=reason, **change)}
        lanes = [lane for lane, *_ in engine.store.lanes() if lane.node == name and lane.graph in labels]
    told: dict[str, list[str]] = {}
    for lane in lanes:
        words = "no limit" if lane.limit is None else f"at most {lane.limit:,} at once"
        words += ", paused" if lane.paused and not done else ""
        told.setdefault(words, []).append(labels[lane.graph])
    for words, versions in told.items():
        output.say(f"node {node}{done}: {words}, in {', '.join(versions)}")
    if len(labels) > 1:
        output.say("a version that is registered later begins without it")
    output.fact(nodes=[{"version": labels[lane.graph], "limit": lane.limit, "paused": lane.paused} for lane in lanes])
