"""The picture of the results: a panel per workload, a dot per peer on a logarithmic axis, the best on top.

Dots, not bars: on a logarithmic axis a bar's length says nothing. The line through a dot reaches from the worst to the
best round. Colours are those of the graphs that Heliostat draws, for light and for dark.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.peers.catalogue import ENTRIES
from benchmarks.peers.page import number
from benchmarks.peers.workloads import WORKLOADS
from heliostat.exporters.theme import FAINT, FONT, INK, PAPER, RULE, STATES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.peers.catalogue import Entry
    from benchmarks.peers.results import Results, Taken
    from benchmarks.peers.workloads import Workload

ROW, HEAD, FOOT = 21, 52, 34  #: heights: of a peer, above the first, below the last
NAMES, PLOT, FIGURE = 246, 206, 52  #: widths: of names, of the axis, of figures
GAP, EDGE, TOP = 36, 28, 84
WIDTH = 2 * (NAMES + PLOT + FIGURE) + GAP + 2 * EDGE
OURS = STATES["running"][:2]


class Axis(NamedTuple):
    """A logarithmic axis between two powers of ten."""

    low: int
    high: int

    @classmethod
    def over(cls, values: list[float]) -> Axis:
        """The whole decades that hold the values."""
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return cls(low, max(high, low + 1))

    def at(self, value: float) -> float:
        """Where a value stands."""
        return (math.log10(value) - self.low) / (self.high - self.low) * PLOT


def draw(results: Results) -> str:
    """The picture as SVG."""
    panels = [(load, _ranked(results, load)) for load in WORKLOADS.values()]
    panels = [(load, ranked) for load, ranked in panels if ranked]
    rows = [panels[first : first + 2] for first in range(0, len(panels), 2)]
    parts, y = [], TOP
    for pair in rows:
        for column, (load, ranked) in enumerate(pair):
            x = EDGE + column * (NAMES + PLOT + FIGURE + GAP)
            parts.append(f'<g transform="translate({x},{y})">{"".join(_panel(load, ranked))}</g>')
        y += HEAD + FOOT + ROW * max(len(ranked) for _, ranked in pair)
    body = "\n".join(parts)
    head = (
        f'<text class="h" x="{EDGE}" y="40">Heliostat beside its peers</text>'
        f'<text class="f" x="{EDGE}" y="61">The same work, durable everywhere, one worker each. '
        "Dots are medians, lines reach over all rounds, axes are logarithmic. The best is on top.</text>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img">\n'
        f"<title>Heliostat beside its peers</title>\n<style>{_css()}</style>\n"
        f'<rect class="p" x=".5" y=".5" width="{WIDTH - 1}" height="{y - 1}" rx="10"/>\n{head}\n{body}\n</svg>\n'
    )


def _ranked(results: Results, load: Workload) -> list[tuple[Entry, Taken]]:
    """Who was measured, the best first."""
    found = [(entry, taken) for entry in ENTRIES.values() if (taken := results.of(entry.name, load.name))]
    return sorted(found, key=lambda one: one[1].median, reverse=not load.fewer_is_better)


def _panel(load: Workload, ranked: list[tuple[Entry, Taken]]) -> Iterator[str]:
    axis = Axis.over([value for _, taken in ranked for value in taken.values])
    better = "shorter is better" if load.fewer_is_better else "more is better"
    bottom = HEAD + ROW * len(ranked)
    yield f'<text class="t" y="18">{escape(load.title)}</text>'
    yield f'<text class="f" y="35">{load.unit}, {better}</text>'
    for power in range(axis.low, axis.high + 1):
        x = NAMES + axis.at(10.0**power)
        yield f'<path class="r" d="M{x:.1f} {HEAD - 6}V{bottom}"/>'
        yield f'<text class="f m" x="{x:.1f}" y="{bottom + 14}">{_tick(power)}</text>'
    for place, (entry, taken) in enumerate(ranked):
        yield from _dot(entry, taken, axis, HEAD + ROW * place + ROW / 2)


def _dot(entry: Entry, taken: Taken, axis: Axis, y: float) -> Iterator[str]:
    kind = "o" if entry.ours else "a" if entry.rival else "b"
    low, middle, high = (NAMES + axis.at(value) for value in (min(taken.values), taken.median, max(taken.values)))
    smaller = f' <tspan class="f">{taken.scaled}</tspan>' if taken.scaled else ""
    yield f'<text class="n {kind}" x="0" y="{y + 4:.1f}">{escape(entry.title)}{smaller}</text>'
    yield f'<path class="l {kind}" d="M{low:.1f} {y:.1f}H{high:.1f}"/>'
    yield f'<circle class="d {kind}" cx="{middle:.1f}" cy="{y:.1f}" r="{5.5 if entry.ours else 4.5}"/>'
    yield f'<text class="v {kind}" x="{NAMES + PLOT + FIGURE}" y="{y + 4:.1f}">{number(taken.median)}</text>'


def _tick(power: int) -> str:
    return f"{10**power:,}" if power >= 0 else f"{10.0**power:g}"


def _css() -> str:
    shape = (
        f"text{{font-family:{FONT};font-size:12.5px}}.h{{font-size:23px;font-weight:700}}"
        ".t{font-size:15px;font-weight:600}.f{font-size:11px;font-weight:400}.m{text-anchor:middle}.v{text-anchor:end}"
        ".n.o,.v.o{font-weight:700}.n .f{font-weight:400}.r{stroke-width:1}"
        ".l{stroke-width:2.5;stroke-linecap:round;opacity:.5}"
        ".d.b{fill:none;stroke-width:2}"
    )
    return f"{shape}{_colours(0)}@media(prefers-color-scheme:dark){{{_colours(1)}}}"


def _colours(side: int) -> str:
    ink, faint, ours = INK[side], FAINT[side], OURS[side]
    return (
        f".p{{fill:{PAPER[side]};stroke:{RULE[side]}}}text{{fill:{ink}}}.f,.n.b,.v.b{{fill:{faint}}}"
        f".r{{stroke:{RULE[side]}}}.l{{stroke:{faint}}}.d{{fill:{faint}}}.d.b{{stroke:{faint}}}"
        f".l.o{{stroke:{ours}}}.d.o,.n.o,.v.o{{fill:{ours}}}"
    )
