"""The pieces of which a picture is written: numbers, paths, arrows, glyphs, as SVG text."""

from __future__ import annotations

from heliostat.exporters import theme
from heliostat.exporters.layout import Point
from heliostat.exporters.lettering import escaped
from heliostat.task import TaskState

ARROW = 8.0  #: length of an arrow's head


def num(number: float) -> str:
    """A number with one decimal at most."""
    return f"{number:.1f}".removesuffix(".0") if abs(number) >= 0.05 else "0"


def pair(point: Point) -> str:
    """A point."""
    return f"{num(point.x)} {num(point.y)}"


def curve(one: Point, other: Point) -> str:
    """The path from one point to another that leaves and arrives level."""
    if abs(one.y - other.y) < 0.05:
        return f"H{num(other.x)}"
    half = num((one.x + other.x) / 2)
    return f"C{half} {num(one.y)} {half} {num(other.y)} {pair(other)}"


def between(one: Point, other: Point, share: float) -> Point:
    """A point of that path, ``share`` of the way along."""
    x, y = 1.5 * share - 1.5 * share**2 + share**3, 3 * share**2 - 2 * share**3
    return Point(one.x + (other.x - one.x) * x, one.y + (other.y - one.y) * y)


def arrow(at: Point, side: int, look: str) -> str:
    """A level arrow's head that ends in a point; ``side`` is 1 where it points to the right, else -1."""
    return f'<path class="hs-a hs-{look}" d="M{pair(at)}l{num(-side * ARROW)}-4.2q{num(side * 2.2)} 4.2 0 8.4z"/>'


def arrow_down(at: Point, look: str) -> str:
    """An arrow's head that points downwards."""
    return f'<path class="hs-a hs-{look}" d="M{pair(at)}l-4.2-{num(ARROW)}q4.2 2.2 8.4 0z"/>'


def disc(at: Point, radius: float, look: str) -> str:
    """A small disc in the colour of a line."""
    return f'<circle class="hs-a hs-{look}" cx="{num(at.x)}" cy="{num(at.y)}" r="{num(radius)}"/>'


def stroke(path: str, look: str) -> str:
    """A line along a path."""
    return f'<path class="hs-e hs-{look}" d="{path}"/>'


def mark(state: str, x: float, y: float) -> str:
    """A state's glyph on its disc; a group of the state's class around it gives the colour."""
    glyph = f'<path class="hs-g" d="{theme.MARKS[TaskState(state)]}"/>' if state in theme.MARKS else ""
    radius = 6.5 if state == TaskState.pending else 8
    return f'<g transform="translate({num(x)} {num(y)})"><circle class="hs-m" r="{radius}"/>{glyph}</g>'


def rect(look: str, x: float, y: float, width: float, height: float, radius: float) -> str:
    """A rectangle with round corners."""
    size = f'width="{num(width)}" height="{num(height)}" rx="{num(radius)}"'
    return f'<rect class="{look}" x="{num(x)}" y="{num(y)}" {size}/>'


def text(look: str, x: float, y: float, words: str) -> str:
    """A line of text, escaped."""
    return f'<text class="{look}" x="{num(x)}" y="{num(y)}">{escaped(words)}</text>'
