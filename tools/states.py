"""The legal moves of a task or a run as a picture, drawn from the table in the code.

Open states stand in a row, in the order of a life; final ones lie below, each on a line of its own. Where the way down
from an open state meets the line of a final one, a full dot says that the move is legal, and a ring that only an
operator makes it, backwards: out of an end, back into life.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from heliostat.exporters import theme
from heliostat.exporters.layout import Point
from heliostat.exporters.lettering import escaped, measured
from heliostat.exporters.strokes import arrow, arrow_down, disc, mark, num, rect, stroke, text

WIDE, HIGH = 128.0, 44.0  #: of a card
COLUMN, ROW = 178.0, 66.0  #: from one open state to the next, from one final state to the next
LEFT, MARGIN = 40.0, 34.0
LANE = 22.0  #: from one arc above the open states to the next


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn: the states in order, the table, where lives begin, and how a state looks."""

    title: str
    kind: type[StrEnum]
    moves: Mapping[StrEnum, Iterable[StrEnum]]
    begin: Sequence[str]

    @property
    def open(self) -> list[StrEnum]:
        """States in which something may still happen, in the order of a life."""
        return [state for state in self.kind if not getattr(state, "final", False)]

    @property
    def final(self) -> list[StrEnum]:
        """States in which a life ends."""
        return [state for state in self.kind if getattr(state, "final", False)]

    def moves_from(self, states: Iterable[StrEnum], into: Sequence[StrEnum]) -> Iterator[tuple[StrEnum, StrEnum]]:
        """The legal moves from some states into others, in order."""
        return ((one, other) for one in states for other in into if other in self.moves[one])


def drawn(chart: Chart) -> str:
    """The picture, as SVG that stands by itself, light or dark as its reader likes it."""
    arcs = [move for move in chart.moves_from(chart.open, chart.open) if _apart(chart, *move) != 1]
    top = MARGIN + 40.0 + LANE * _lanes(chart, arcs) + 26.0
    right = LEFT + COLUMN * len(chart.open) + 26.0
    first = top + HIGH + 56.0
    back = list(chart.moves_from(chart.final, chart.final))
    width = right + WIDE + (46.0 + 20.0 * len({one for one, _ in back}) if back else LEFT)
    bottom = first + ROW * (len(chart.final) - 1) + HIGH
    rows = {state: first + ROW * number + HIGH / 2 for number, state in enumerate(chart.final)}
    legend, height = _legend(chart, bottom + 38.0, width)
    out = [
        *_rails(chart, rows, top, right),
        *_between_open(chart, arcs, top),
        *_between_final(back, rows, right + WIDE),
        *(_card(state, LEFT + COLUMN * n, top) for n, state in enumerate(chart.open)),
        *(_card(state, right, y - HIGH / 2) for state, y in rows.items()),
        *legend,
    ]
    return _document(chart, width, height, out)


def _apart(chart: Chart, one: StrEnum, other: StrEnum) -> int:
    return chart.open.index(other) - chart.open.index(one)


def _lanes(chart: Chart, arcs: Sequence[tuple[StrEnum, StrEnum]]) -> int:
    return max((abs(_apart(chart, *arc)) for arc in arcs), default=0)


def _rails(chart: Chart, rows: Mapping[StrEnum, float], top: float, right: float) -> list[str]:
    """The ways from open states down to the lines of final ones, and the dots where they meet."""
    out, dots = [], []
    for number, state in enumerate(chart.open):
        x = LEFT + COLUMN * number + WIDE / 2
        met = [rows[end] for end in chart.final if end in chart.moves[state] or state in chart.moves[end]]
        out.append(f'<path class="hs-e hs-needs" d="M{num(x)} {num(top + HIGH)}V{num(max(met, default=top + HIGH))}"/>')
        for end, y in rows.items():
            if end in chart.moves[state]:
                dots.append(_dot(x, y, end))
            if state in chart.moves[end]:
                dots.append(_ring(x - 13 if end in chart.moves[state] else x, y, end))
    for end, y in rows.items():
        rings = [LEFT + COLUMN * n + WIDE / 2 for n, one in enumerate(chart.open) if one in chart.moves[end]]
        xs = [LEFT + COLUMN * n + WIDE / 2 for n, one in enumerate(chart.open) if end in chart.moves[one]]
        if not xs:
            continue
        line = f'<path class="hs-e" d="M{num(min(xs))} {num(y)}H{num(right - 8)}"/>'
        tip = f'<path class="hs-a" d="M{num(right)} {num(y)}l-8-4.2q2.2 4.2 0 8.4z"/>'
        if rings and (start := min(rings) - 13 * (min(rings) >= min(xs))) < min(xs):
            line += f'<path class="hs-e st-back" d="M{num(start)} {num(y)}H{num(min(xs))}"/>'
        out.append(f'<g class="st-{_look(end)}">{line}{tip}</g>')
    return [*out, *dots]


def _dot(x: float, y: float, end: StrEnum) -> str:
    return f'<g class="st-{_look(end)}"><circle class="hs-a" cx="{num(x)}" cy="{num(y)}" r="5"/></g>'


def _ring(x: float, y: float, end: StrEnum) -> str:
    return f'<g class="st-{_look(end)}"><circle class="st-ring" cx="{num(x)}" cy="{num(y)}" r="4.5"/></g>'


def _between_open(chart: Chart, arcs: Sequence[tuple[StrEnum, StrEnum]], top: float) -> list[str]:
    """Arrows to the next state are straight, others are arcs above; a dot with an arrow is a birth."""
    out, middle = [], top + HIGH / 2
    for one, other in pairwise(chart.open):
        if other in chart.moves[one]:
            end = LEFT + COLUMN * chart.open.index(other)
            out.append(stroke(f"M{num(end - COLUMN + WIDE)} {num(middle)}H{num(end - 8)}", "needs"))
            out.append(arrow(Point(end, middle), 1, "needs"))
    for one, other in arcs:
        far = _apart(chart, one, other)
        x, end = (LEFT + COLUMN * chart.open.index(state) + WIDE / 2 for state in (one, other))
        x, end = x - 18 + 9 * (abs(far) - 1), end + 16 + 14 * (abs(far) - 1)
        y = top - 12 - LANE * abs(far)
        path = f"M{num(x)} {num(top)}V{num(y + 10)}q0-10-10-10H{num(end + 10)}q-10 0-10 10V{num(top - 8)}"
        out += [f'<path class="hs-e hs-needs" d="{path}"/>', arrow_down(Point(end, top), "needs")]
    for word in chart.begin:
        x = LEFT + COLUMN * chart.open.index(chart.kind(word)) + 22
        out.append(f'<circle class="hs-a hs-needs" cx="{num(x)}" cy="{num(top - 26)}" r="4"/>')
        out.append(f'<path class="hs-e hs-needs" d="M{num(x)} {num(top - 22)}V{num(top - 8)}"/>')
        out.append(arrow_down(Point(x, top), "needs"))
    return out


def _between_final(moves: Sequence[tuple[StrEnum, StrEnum]], rows: Mapping[StrEnum, float], x: float) -> list[str]:
    """What an operator may make of an end: brackets on the right."""
    out = []
    sources = list(dict.fromkeys(one for one, _ in moves))
    for one, other in moves:
        far = x + 24 + 20 * sources.index(one)
        look = f'class="st-{_look(one)}"'
        y, end = rows[one] + (7 if rows[other] > rows[one] else -7), rows[other]
        turn = 8 if end > y else -8
        path = f"M{num(x)} {num(y)}H{num(far - 8)}q8 0 8 {turn}V{num(end - turn)}q0 {turn}-8 {turn}H{num(x + 8)}"
        out.append(f'<g {look}><path class="hs-e st-back" d="{path}"/>')
        out.append(f'<path class="hs-a" d="M{num(x)} {num(end)}l8-4.2q-2.2 4.2 0 8.4z"/></g>')
    return out


def _look(state: StrEnum) -> str:
    """A run that is active looks like a task that runs."""
    return "running" if state == "active" else str(state)


def _card(state: StrEnum, x: float, y: float) -> str:
    look = _look(state)
    inner = [rect("hs-c", 0, 0, WIDE, HIGH, 11), mark(look, 22, HIGH / 2), text("hs-x", 40, HIGH / 2 + 4.5, str(state))]
    return f'<g class="hs-{look}" transform="translate({num(x)} {num(y)})">{"".join(inner)}</g>'


def _legend(chart: Chart, y: float, width: float) -> tuple[list[str], float]:
    """What dots, rings and lines mean, in rows, and where the picture ends below them."""
    said = [
        (disc(Point(0, 0), 4.5, "needs"), "where lines meet: may end so"),
        (
            '<circle class="hs-a hs-needs" cx="-3" cy="0" r="3.5"/><path class="hs-e hs-needs" d="M0 0h9"/>',
            "may begin so",
        ),
    ]
    if any(True for _ in chart.moves_from(chart.final, chart.open)):
        said.append(('<circle class="st-ring" cx="0" cy="0" r="4.5"/>', "an operator moves it back"))
    if any(True for _ in chart.moves_from(chart.final, chart.final)):
        said.append(('<path class="hs-e hs-needs st-back" d="M-6 0h16"/>', "an operator says so afterwards"))
    out, x = [], LEFT + 6
    for shape, words in said:
        wide = 16 + measured(words, 11) * 1.1 + 26
        if x + wide > width:
            x, y = LEFT + 6, y + 24
        out.append(f'<g transform="translate({num(x)} {num(y)})">{shape}{text("hs-d", 16, 4, words)}</g>')
        x += wide
    return out, y + 30


def _document(chart: Chart, width: float, height: float, out: Sequence[str]) -> str:
    said = "; ".join(f"{state} may become {', '.join(sorted(chart.moves[state])) or 'nothing'}" for state in chart.kind)
    size = f'viewBox="0 0 {num(width)} {num(height)}" width="{num(width)}" height="{num(height)}"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} class="hs" role="img" aria-label="{escaped(said)}">',
        f"<title>{escaped(said)}</title>",
        f"<style>\n{_style()}</style>",
        rect("hs-paper", 0.5, 0.5, width - 1, height - 1, 14),
        text("hs-h", LEFT, MARGIN + 12, chart.title),
    ]
    return "\n".join([*head, *out, "</svg>", ""])


def _style() -> str:
    """The look of graphs, and lines in the colours of the states that they lead to."""
    own = [".st-ring{stroke-width:2}.st-back{stroke-dasharray:4 4}"]
    dark = "".join(_colours(1))
    return f"{theme.css()}{''.join(own)}{''.join(_colours(0))}\n@media (prefers-color-scheme:dark){{{dark}}}\n"


def _colours(side: int) -> Iterator[str]:
    yield f".st-ring{{fill:{theme.PAPER[side]};stroke:{theme.EDGE[side]}}}"
    for name, shades in theme.STATES.items():
        look = f".st-{name}"
        yield f"{look} .hs-e,{look} .st-ring{{stroke:{shades[side]}}}{look} .hs-a{{fill:{shades[side]}}}"
