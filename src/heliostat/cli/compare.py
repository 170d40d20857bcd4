"""``run compare``: two runs beside each other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from heliostat.cli import output, shapes
from heliostat.cli.output import AsJson
from heliostat.cli.session import find_run, session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliostat.comparison import Comparison, Difference, NodeComparison, Side
    from heliostat.graph import Graph

LETTERS = 60  #: of a value
SHOWN = 5  #: differences of one node's result

Before = Annotated[str, typer.Argument(metavar="BEFORE", help="A run's id, or four of its letters from either end.")]
After = Annotated[str, typer.Argument(metavar="AFTER", help="Another run's.")]


def compare(
    context: typer.Context,
    before: Before,
    after: After,
    everything: Annotated[bool, typer.Option("--all", help="Nodes too that do not differ.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare two runs: which nodes differ in state, result, attempts, code or structure, and how long each ran."""
    with session(context).engine() as engine:
        one, other = find_run(engine, before), find_run(engine, after)
        found = one.compare(other)
        if as_json:
            output.document(shapes.comparison_shape(found))
            return
        output.show(*_told(found, one.graph, other.graph, everything=everything))


def _told(found: Comparison, a: Graph, b: Graph, *, everything: bool) -> Iterator[object]:
    if found.versions[0] != found.versions[1]:
        yield output.text(f"{found.versions[0]} and {found.versions[1]}: {found.structure or 'the same structure'}")
    if found.same:
        yield output.text(f"runs {found.before} and {found.after} came out alike")
    table = output.table("node", "differs in", "before", "after", "ran", "then", right=["ran", "then"])
    shown = [node for node in found.nodes if everything or node.differs]
    for node in shown:
        sides = [_state(side, graph, node.node) for side, graph in ((node.before, a), (node.after, b))]
        ran = [_ran(side) for side in (node.before, node.after)]
        output.row(table, node.node, ", ".join(node.differs), *sides, *ran)
    if shown:
        yield table
    yield from (line for node in shown for line in _values(node))


def _state(side: Side | None, graph: Graph, name: str) -> object:
    from heliostat.exporters.picture import headline
    from heliostat.task import TaskState

    if side is None:
        return "no such node"
    counts = {TaskState(state): n for state, n in side.states.items()}
    word = str(headline(counts, may_fail=graph[name].may_fail))
    total = sum(counts.values())
    many = f" {counts.get(TaskState(word), 0)}/{total}" if total > 1 else ""
    again = f", {side.attempts} attempts" if side.attempts > total else ""
    return output.state(word, many + again) if word else output.text("· no task", "bright_black")


def _ran(side: Side | None) -> str:
    from heliostat.exporters.picture import duration

    if side is None or not side.states:
        return ""
    return "taken over" if side.over else duration(side.seconds)


def _values(node: NodeComparison) -> Iterator[object]:
    """How the results of a node differ."""
    if not node.result:
        return
    yield output.text(f"\n{node.node}", "bold")
    for one in node.result[:SHOWN]:
        yield output.text(f"  {one.place}: {_change(one)}")
    if (more := node.more + len(node.result) - SHOWN) > 0:
        yield output.text(f"  … {more:,} differences more", "bright_black")


def _change(one: Difference) -> str:
    if one.only == "before":
        return f"was {_short(one.before)}, is not there any more"
    if one.only == "after":
        return f"is new: {_short(one.after)}"
    return f"{_short(one.before)} → {_short(one.after)}"


def _short(value: object) -> str:
    return output.short(json.dumps(value, ensure_ascii=False), LETTERS)
