"""A graph as a picture: SVG that stands by itself, light or dark as its reader likes it, before a run or after.

Nothing in it is loaded, and nothing in it runs; whatever text comes in is escaped. The same graph, states and
traffic give the same picture, to the letter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat.exporters import theme
from heliostat.exporters.layout import Box, layout
from heliostat.exporters.legend import legend
from heliostat.exporters.lettering import escaped, measured, shown
from heliostat.exporters.lines import Lines, joined, link, room_above
from heliostat.exporters.picture import picture
from heliostat.exporters.strokes import mark, num, rect, text
from heliostat.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliostat.exporters.layout import Layout, Place
    from heliostat.exporters.picture import NodeView, Picture, States, Traffic
    from heliostat.graph import Graph

MARGIN = 34.0
HEIGHT = 52.0  #: of a card
TEXT = 52.0  #: where a card's text begins
NARROW = 132.0  #: the least width of a card
WIDER = 1.15  #: room for letters of DejaVu, which stand in where there is no Helvetica or its likes
STACK = 3.0  #: how far a card looks out from under the one above
CAPTION = 110  #: letters of a caption that are shown


def svg(graph: Graph, states: States | None = None, traffic: Traffic | None = None, *, caption: str = "") -> str:
    """Draw a graph; with ``states`` and ``traffic`` of a run, as a store gives them, draw what became of it.

    ``caption`` is a line under the title, for instance which run this is and how it ended.
    """
    view = picture(graph, states, traffic)
    late = [node for node in view.nodes if node.icon == "epilogue"]
    main, lower, upper = _main([node for node in view.nodes if node.icon != "epilogue"], view)
    after = layout([_box(node) for node in late], [], main.width)
    width = max(main.width, after.width, _heading_width(view, caption), 300.0)
    top = MARGIN + (64.0 if caption else 46.0)
    out = [_group(MARGIN, top, [*lower, *upper])]
    y = top + main.height
    if late:
        y += 34.0 * bool(main.places)
        out += [_rule(y, width), _group(MARGIN, y + 22.0, [_card(node, after.places[node.name]) for node in late])]
        y += 22.0 + after.height
    meanings, y = legend(view, MARGIN, y + 36.0, width)
    return _document(view, caption, [*out, *meanings], width + 2 * MARGIN, y + MARGIN - 11.0)


def _main(nodes: Sequence[NodeView], view: Picture) -> tuple[Layout, list[str], list[str]]:
    """The graph proper: its layout, its lines and cards, and the labels that lie above them."""
    names = {node.name for node in nodes}
    edges = [edge for edge in view.edges if edge.source in names and edge.target in names]
    loops = {edge.source: edge for edge in edges if edge.source == edge.target}
    edges, joints = joined([edge for edge in edges if edge.source != edge.target])
    entered = {edge.target for edge in edges}
    boxes = [_box(n, room_above(n, loops, entered)) for n in sorted(nodes, key=lambda node: not node.starts)]
    placed = layout([*boxes, *(Box(joint, 0.0, 0.0) for joint in joints)], [link(edge) for edge in edges])
    lines = Lines()
    lines.draw(edges, placed, joints)
    for node in nodes:
        place = placed.places[node.name]
        if node.name in loops:
            lines.loop(loops[node.name], place)
        if node.starts or node.outside:
            lines.stub(node, place, above=node.name in entered)
    cards = [_card(node, placed.places[node.name]) for node in nodes]
    return placed, [*lines.out, *cards], list(lines.labels())


# cards


def _box(node: NodeView, above: float = 0.0) -> Box:
    name = WIDER * measured(shown(node.name), 13, bold=True) + (30.0 if node.state else 0.0)
    wide = TEXT + max(name, WIDER * measured(node.detail, 11)) + 16.0 + 2 * STACK * node.many
    return Box(node.name, max(NARROW, wide), HEIGHT, above, first=node.starts)


def _card(node: NodeView, place: Place) -> str:
    state = "new" if node.state is None else node.state or "none"
    words = escaped(f"{node.name}: {node.words}")
    width = place.width - 2 * STACK * node.many
    out = [f"<title>{words}</title>"]
    out += [rect("hs-c", back, back, width, HEIGHT, 11) for back in ((2 * STACK, STACK, 0) if node.many else (0,))]
    out.append(rect("hs-t", 9, 9, 34, 34, 9))
    out.append(f'<path class="hs-i" transform="translate(18 18)" d="{theme.ICONS[node.icon]}"/>')
    out += [text("hs-x", TEXT, 23, shown(node.name)), text("hs-d", TEXT, 38.5, node.detail)]
    if node.state:
        out.append(mark(state, width - 18, 18.5))
    if node.total > 1:
        out += _bar(node, width - TEXT - 14)
    attributes = f'class="hs-{state}" role="graphics-symbol" aria-label="{words}"'
    return _group(place.x, place.y, out, attributes)


_DONE_FIRST = (
    TaskState.succeeded,
    TaskState.skipped,
    TaskState.failed,
    TaskState.cancelled,
    TaskState.running,
    TaskState.waiting,
    TaskState.ready,
    TaskState.pending,
)


def _bar(node: NodeView, width: float) -> list[str]:
    """How many of a node's tasks are in which state, side by side."""
    counts = sorted(node.counts, key=lambda entry: _DONE_FIRST.index(entry[0]))
    least = min(2.5, width / len(counts))
    x, out = TEXT, []
    for state, count in counts:
        part = least + (width - least * len(counts)) * count / node.total
        shape = f"M{num(x)} 44.5h{num(part - 0.6)}v3h-{num(part - 0.6)}z"
        out.append(f'<path class="hs-s hs-{state}" d="{shape}"/>')
        x += part
    return out


# around them


def _heading_width(view: Picture, caption: str) -> float:
    title = measured(f"{shown(view.title, 60)}  {shown(view.version, 40)}", 19, bold=True)
    return max(title, measured(shown(caption, CAPTION), 12))


def _rule(y: float, width: float) -> str:
    said = "after the run's end"
    right = MARGIN + 14 + measured(said, 11)
    path = f"M{num(MARGIN)} {num(y)}h8M{num(right + 6)} {num(y)}H{num(MARGIN + width)}"
    return f'<path class="hs-r" stroke-dasharray="2 4" d="{path}"/>{text("hs-d", MARGIN + 14, y + 3.5, said)}'


def _group(x: float, y: float, out: Sequence[str], attributes: str = "") -> str:
    head = f'<g transform="translate({num(x)} {num(y)})"' + (f" {attributes}>" if attributes else ">")
    return "\n".join([head, *out, "</g>"])


def _document(view: Picture, caption: str, out: Sequence[str], width: float, height: float) -> str:
    words = escaped(f"workflow {view.title}, {len(view.nodes)} nodes" + (f"; {caption}" if caption else ""))
    wide, high = num(width), num(height)
    look = 'class="hs" role="graphics-document document"'
    version = f'<tspan class="hs-d hs-v" dx="8">{escaped(shown(view.version, 40))}</tspan>'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" {look}',
        f'aria-label="{words}">',
        f"<title>{words}</title>",
        f"<style>\n{theme.css()}</style>",
        f'<rect class="hs-paper" x=".5" y=".5" width="{num(width - 1)}" height="{num(height - 1)}" rx="14"/>',
        f'<text class="hs-h" x="{num(MARGIN)}" y="{num(MARGIN + 14)}">{escaped(shown(view.title, 60))}{version}</text>',
    ]
    if caption:
        head.append(text("hs-d hs-p", MARGIN, MARGIN + 35, shown(caption, CAPTION)))
    return "\n".join([*head, *out, "</svg>", ""])
