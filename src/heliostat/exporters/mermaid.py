"""A graph as Mermaid text, which Markdown on many forges draws; before a run or after, coloured by state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat.exporters import theme
from heliostat.exporters.lettering import GLYPHS, plain, shown
from heliostat.exporters.picture import Line, NodeView, picture
from heliostat.task import TaskState

if TYPE_CHECKING:
    from heliostat.exporters.picture import States, Traffic
    from heliostat.graph import Graph

_SHAPES = {
    "function": ("(", ")"),
    "job": ("[[", "]]"),
    "review": ("{", "}"),
    "workflow": ("[/", "/]"),
    "handler": ("([", "])"),
    "epilogue": ("{{", "}}"),
}
_ARROWS = {Line.needs: "-->", Line.optional: "-. optional .->", Line.message: "-.->"}


def mermaid(graph: Graph, states: States | None = None, traffic: Traffic | None = None) -> str:
    """Write a graph; with ``states`` and ``traffic`` of a run, as a store gives them, with what became of it."""
    view = picture(graph, states, traffic)
    number = {node.name: f"n{place}" for place, node in enumerate(view.nodes, 1)}
    lines = ["flowchart LR"]
    for node in view.nodes:
        opening, closing = _SHAPES[node.icon]
        lines.append(f'    {number[node.name]}{opening}"{_label(node)}"{closing}')
    for edge in view.edges:
        arrow = _ARROWS.get(edge.line, "-->")
        label = f'|"{_escaped(shown(edge.label))}"|' if edge.label else ""
        lines.append(f"    {number[edge.source]} {arrow}{label} {number[edge.target]}")
    for state in TaskState:
        members = [number[node.name] for node in view.nodes if node.state == state]
        if members:
            line, _, tint, _ = theme.STATES[state]
            lines.append(f"    classDef {state} fill:{tint},stroke:{line},color:#15202b")
            lines.append(f"    class {','.join(members)} {state}")
    return "\n".join(lines) + "\n"


def _label(node: NodeView) -> str:
    glyph = f"{GLYPHS[node.state]} " if isinstance(node.state, TaskState) else ""
    stacked = " ⧉" if node.many else ""
    return f"{glyph}<b>{_escaped(shown(node.name))}</b>{stacked}<br/>{_escaped(node.detail)}"


def _escaped(text: str) -> str:
    """Text inside a quoted label: whatever could be markup becomes a character's number."""
    return "".join(
        letter if letter.isalnum() or letter in " _.,-/·×…" else f"#{ord(letter)};" for letter in plain(text)
    )
