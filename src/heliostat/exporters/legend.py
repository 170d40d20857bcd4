"""The legend of a picture: what its glyphs and lines mean, as far as they occur."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat.exporters import theme
from heliostat.exporters.layout import Point
from heliostat.exporters.lettering import measured
from heliostat.exporters.picture import Line
from heliostat.exporters.strokes import arrow, disc, mark, num, rect, stroke, text
from heliostat.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliostat.exporters.picture import Picture

ROW = 22.0
_ICONS = {
    "function": "function",
    "job": "job",
    "review": "waits for a person",
    "workflow": "another workflow",
    "handler": "handler: acts on each message",
    "epilogue": "runs after the end",
}
_LINES = {
    Line.needs: "waits for",
    Line.optional: "waits for, may be skipped",
    Line.message: "messages sent",
}


def legend(view: Picture, x: float, y: float, width: float) -> tuple[list[str], float]:
    """The legend under a rule, in as many rows as it needs; and where it ends."""
    out = [f'<path class="hs-r" d="M{num(x)} {num(y - 16)}H{num(x + width)}"/>']
    at = x
    for sample, wide, words in _samples(view):
        needed = wide + 7 + measured(words, 11)
        if at > x and at + needed > x + width:
            at, y = x, y + ROW
        out.append(f'<g transform="translate({num(at)} {num(y)})">{sample}</g>')
        out.append(text("hs-d", at + wide + 7, y + 4, words))
        at += needed + 20
    return out, y + ROW / 2


def _samples(view: Picture) -> Iterator[tuple[str, float, str]]:
    """A sample around the height 0, its width, and what it means."""
    for icon, words in _ICONS.items():
        if any(node.icon == icon for node in view.nodes):
            drawn = f'<path class="hs-i" transform="translate(0 -8)" d="{theme.ICONS[icon]}"/>'
            yield f'<g class="hs-new">{drawn}</g>', 16.0, words
    if any(node.many for node in view.nodes):
        cards = "".join(rect("hs-c", x, x / 2 - 7, 14, 11, 3) for x in (6, 3, 0))
        yield f'<g class="hs-new">{cards}</g>', 20.0, "one task per item"
    if any(node.starts and not node.outside for node in view.nodes):
        sample = disc(Point(3.2, 0), 3.2, "needs") + stroke("M8 0h9", "needs") + arrow(Point(24, 0), 1, "needs")
        yield sample, 24.0, "gets the run's message"
    lines = {edge.line for edge in view.edges} | {Line.message for node in view.nodes if node.outside}
    for line, words in _LINES.items():
        if line in lines:
            yield stroke("M1 0h22", line) + arrow(Point(30, 0), 1, line), 30.0, words
    there = {state for node in view.nodes for state, _ in node.counts}
    for state in TaskState:
        if state in there:
            yield f'<g class="hs-{state}">{mark(state, 8, 0)}</g>', 16.0, str(state)
