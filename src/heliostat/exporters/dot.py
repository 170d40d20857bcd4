"""A graph in the language of Graphviz; before a run or after, coloured by state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat.exporters import theme
from heliostat.exporters.lettering import GLYPHS, plain
from heliostat.exporters.picture import Line, NodeView, picture
from heliostat.task import TaskState

if TYPE_CHECKING:
    from heliostat.exporters.picture import States, Traffic
    from heliostat.graph import Graph

_SHAPES = {
    "function": "box",
    "job": "component",
    "review": "diamond",
    "workflow": "folder",
    "handler": "cds",
    "epilogue": "note",
}
_STYLES = {Line.optional: "dashed", Line.message: "dotted"}


def dot(graph: Graph, states: States | None = None, traffic: Traffic | None = None) -> str:
    """Write a graph; with ``states`` and ``traffic`` of a run, as a store gives them, with what became of it."""
    view = picture(graph, states, traffic)
    lines = [
        f"digraph {_quoted(view.title)} {{",
        '    graph [rankdir=LR, fontname="Helvetica"]',
        '    node [style="rounded,filled", fillcolor=white, fontname="Helvetica"]',
        '    edge [fontname="Helvetica", fontsize=10]',
    ]
    lines += [f"    {_quoted(node.name)} [{_look(node)}]" for node in view.nodes]
    for edge in view.edges:
        look = f"style={_STYLES.get(edge.line, 'solid')}" + (f", label={_quoted(edge.label)}" if edge.label else "")
        lines.append(f"    {_quoted(edge.source)} -> {_quoted(edge.target)} [{look}]")
    return "\n".join([*lines, "}", ""])


def _look(node: NodeView) -> str:
    look = f"shape={_SHAPES[node.icon]}" + (", peripheries=2" if node.many else "")
    glyph = ""
    if isinstance(node.state, TaskState):
        line, _, tint, _ = theme.STATES[node.state]
        look += f', color="{line}", fillcolor="{tint}"'
        glyph = f"{GLYPHS[node.state]} "
    return f"label={_quoted(f'{glyph}{node.name}', node.detail)}, {look}"


def _quoted(*lines: str) -> str:
    """Text as a quoted string, one line under the other."""
    words = (plain(line).replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return '"' + "\\n".join(words) + '"'
