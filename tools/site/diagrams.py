"""What pages say in Mermaid, as pictures of Heliostat's own look: the site loads no script from elsewhere.

Of Mermaid it knows what the pages use: ``flowchart LR`` with labelled arrows, and ``sequenceDiagram``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from heliostat.exporters import theme
from heliostat.exporters.layout import Box, layout
from heliostat.exporters.lettering import escaped, measured
from heliostat.exporters.lines import Lines, link
from heliostat.exporters.picture import EdgeView, Line
from heliostat.exporters.strokes import num, rect

if TYPE_CHECKING:
    from collections.abc import Sequence

MARGIN = 28.0
HIGH, STEP = 40.0, 38.0  #: of a box; from one arrow to the next

_NODE = re.compile(r"(\w+)\[([^\]]+)\]")
_ARROW = re.compile(r'^\s*(\w+)(?:\[[^\]]+\])? --(?: "([^"]+)" --)?> (\w+)', re.MULTILINE)
_PARTICIPANT = re.compile(r"participant (\w+) as (.+)")
_CALL = re.compile(r"(\w+)-(-?)>>(\w+): (.+)")


def setup(app: Any) -> dict[str, bool]:
    """Take part in a build of Sphinx: fences of Mermaid become pictures."""
    app.connect("doctree-read", lambda _, tree: _draw(tree))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _draw(tree: Any) -> None:
    from docutils import nodes

    for block in list(tree.findall(nodes.literal_block)):
        if block.get("language") == "mermaid":
            block.replace_self(nodes.raw("", f'<div class="diagram">{drawn(block.astext())}</div>', format="html"))


def drawn(text: str) -> str:
    """The SVG of a diagram; raises ValueError for one of a kind that is not known."""
    kind = text.split(maxsplit=1)[0]
    if kind == "flowchart":
        return flowchart(text)
    if kind == "sequenceDiagram":
        return sequence(text)
    raise ValueError(f"the site draws flowchart and sequenceDiagram, not {kind}; let tools.docs make a picture of it")


def flowchart(text: str) -> str:
    """Boxes and arrows, laid out as graphs of workflows are."""
    names = dict(_NODE.findall(text))
    edges = [EdgeView(one, other, Line.needs, label) for one, label, other in _ARROW.findall(text)]
    boxes = [Box(key, measured(name, 13, bold=True) * 1.15 + 36, HIGH) for key, name in names.items()]
    links = [replace(link(edge), firm=False) for edge in edges]
    placed, lines = layout(boxes, links), Lines()
    lines.draw(edges, placed, ())
    out = [*lines.out]
    for key, name in names.items():
        place = placed.places[key]
        out.append(_card(place.x, place.y, place.width, name))
    body = f'<g transform="translate({num(MARGIN)} {num(MARGIN)})">{"".join([*out, *lines.labels()])}</g>'
    return document(placed.width + 2 * MARGIN, placed.height + 2 * MARGIN, [body], "; ".join(names.values()))


class Arrow(NamedTuple):
    """A call from one life line to another, and whether it is an answer."""

    source: str
    answer: bool
    target: str
    label: str


def sequence(text: str) -> str:
    """Life lines with the calls between them, from top to bottom; ``loop`` frames what is repeated."""
    people = dict(_PARTICIPANT.findall(text))
    lines = [line.strip() for line in text.splitlines()]
    calls = [Arrow(a, bool(dash), b, label) for a, dash, b, label in _CALL.findall(text)]
    at = _columns(people, calls)
    width = max(at.values()) + MARGIN + max(measured(name, 13, bold=True) for name in people.values()) / 2 + 18
    out: list[str] = []
    y = top = MARGIN + HIGH
    frame, said = 0.0, ""
    for line in lines:
        if line.startswith("loop "):
            frame, said, y = y + 14, line.removeprefix("loop "), y + 24
        elif line == "end":
            y += 14
            out.insert(0, rect("hs-r", 12, frame, width - 24, y - frame, 10))
            out.append(f'<text class="hs-d" x="22" y="{num(frame + 16)}">{escaped(said)}</text>')
        elif found := _CALL.fullmatch(line):
            y += STEP
            out.append(_call(at[found[1]], at[found[3]], y, found[4], answer=bool(found[2])))
    height = y + MARGIN
    stems = [f'<path class="hs-r" d="M{num(x)} {num(top)}V{num(height - 12)}"/>' for x in at.values()]
    heads = []
    for key, name in people.items():
        wide = measured(name, 13, bold=True) * 1.1 + 24
        heads.append(_card(at[key] - wide / 2, MARGIN, wide, name))
    return document(width, height, [*stems, *out, *heads], "calls between " + ", ".join(people.values()))


def _columns(people: dict[str, str], calls: Sequence[Arrow]) -> dict[str, float]:
    """Where each life line stands: so far from the one before that names and labels between the two have room."""
    order = list(people)
    place = dict(zip(order, count(), strict=False))
    half = {key: measured(name, 13, bold=True) * 0.55 + 12 for key, name in people.items()}
    at = {order[0]: MARGIN + half[order[0]]}
    for before, key in pairwise(order):
        wide = [half[before] + half[key] + 18]
        for call in calls:
            first, last = sorted((place[call.source], place[call.target]))
            if last == place[key]:
                wide.append(measured(call.label, 11) * 1.1 + 30 - (at[before] - at[order[first]]))
        at[key] = at[before] + max(wide)
    return at


def _call(one: float, other: float, y: float, label: str, *, answer: bool) -> str:
    side = 1 if other > one else -1
    look = "hs-optional" if answer else "hs-needs"
    tip = other - side * 1
    path = f'<path class="hs-e hs-needs {look}" d="M{num(one)} {num(y)}H{num(tip - side * 7)}"/>'
    head = f'<path class="hs-a hs-needs" d="M{num(tip)} {num(y)}l{-side * 8}-4.2v8.4z"/>'
    middle = (one + other) / 2
    return f'{path}{head}<text text-anchor="middle" x="{num(middle)}" y="{num(y - 7)}">{escaped(label)}</text>'


def _card(x: float, y: float, width: float, name: str) -> str:
    words = f'<text class="hs-x" text-anchor="middle" x="{num(x + width / 2)}" y="{num(y + HIGH / 2 + 4.5)}">'
    return f'<g class="hs-new">{rect("hs-c", x, y, width, HIGH, 10)}{words}{escaped(name)}</text></g>'


def document(width: float, height: float, out: Sequence[str], words: str) -> str:
    """A picture of a size, in the colours of the site's theme."""
    size = f'viewBox="0 0 {num(width)} {num(height)}" width="{num(width)}" height="{num(height)}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} class="hs" role="img" aria-label="{escaped(words)}">'
        f"<style>{_style()}</style>{''.join(out)}</svg>"
    )


def _style() -> str:
    """The look of graphs, light or dark as the page is: by the system's wish, or by the reader's click."""
    system = "@media (prefers-color-scheme:dark){body:not([data-theme=light]){" + theme.colours(1) + "}}"
    return f"{theme.css().partition('@media')[0]}{system}body[data-theme=dark]{{{theme.colours(1)}}}"
