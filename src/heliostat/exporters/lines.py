"""The lines of a picture: what nodes wait for, and the messages that were sent."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from heliostat.exporters.layout import Link, Point
from heliostat.exporters.lettering import escaped, measured, shown
from heliostat.exporters.picture import Line
from heliostat.exporters.strokes import ARROW, arrow, arrow_down, between, curve, disc, num, pair, rect, stroke

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from heliostat.exporters.layout import Layout, Place
    from heliostat.exporters.picture import EdgeView, NodeView

LOOP = 34.0  #: room above a card for what it sends itself
STUB = 19.0  #: of what comes from outside
SAVED = 3  #: where so many lines are saved by it, lines run together in a joint
KEY = 10.5  #: size of type of labels
CELL = 8.0  #: in squares of this size it is known which lines run where
_ALONG = (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.18, 0.82)  # where on its line a label may lie, best first


def joined(edges: Sequence[EdgeView]) -> tuple[list[EdgeView], list[str]]:
    """Edges with joints, and the joints: where several nodes all wait for the same others, lines run together.

    So 300 nodes that each need 300 others are 600 lines, and not 90,000.
    """
    into: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for edge in edges:
        if edge.line is Line.needs and not edge.label:
            into[edge.target, edge.idle].append(edge.source)
    alike: dict[tuple[tuple[str, ...], bool], list[str]] = defaultdict(list)
    for (target, idle), origins in into.items():
        alike[tuple(origins), idle].append(target)
    joint_of: dict[tuple[str, bool], str] = {}
    joints: list[str] = []
    for (sources, idle), targets in alike.items():
        if len(sources) * len(targets) - len(sources) - len(targets) >= SAVED:
            joints.append(f"\0{len(joints)}")  # no name of a node
            joint_of |= dict.fromkeys(((target, idle) for target in targets), joints[-1])
    found: dict[EdgeView, None] = {}
    for edge in edges:
        plain = edge.line is Line.needs and not edge.label
        joint = joint_of.get((edge.target, edge.idle)) if plain else None
        if joint is None:
            found[edge] = None
        else:
            found[replace(edge, target=joint)] = found[replace(edge, source=joint)] = None
    return list(found), joints


def link(edge: EdgeView) -> Link:
    """An edge as the layout knows it."""
    message = edge.line is Line.message
    room = measured(shown(edge.label), KEY, bold=True) + 34 if edge.label else 0.0
    group = _look(edge) if message else f"{_look(edge)} {edge.label}"
    return Link(edge.source, edge.target, group, "message" if message else "", not message, room)


def _look(edge: EdgeView) -> str:
    """The classes of lines that look alike."""
    return f"{edge.line} hs-idle" if edge.idle else str(edge.line)


class Lines:
    """Lines while they are drawn: ``out`` is what is to be drawn below the cards, ``labels()`` what above."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self._labels: list[tuple[Point, str, str]] = []
        self._crowd: dict[tuple[int, int], set[tuple[Point, Point]]] = defaultdict(set)  # curves by square of CELL

    def draw(self, edges: Sequence[EdgeView], main: Layout, joints: Sequence[str]) -> None:
        """All lines of one look are one path; what several share is drawn once."""
        ends = {joint: _end(main.places[joint]) for joint in joints}
        paths: dict[str, list[str]] = defaultdict(list)
        tips: dict[str, None] = {}
        drawn: set[tuple[str, Point, Point]] = set()
        labelled: list[tuple[EdgeView, list[Point]]] = []
        for edge, route in sorted(zip(edges, main.routes, strict=True), key=lambda pair: not pair[0].idle):
            look = _look(edge)
            points = list(route)
            if edge.target in ends:  # a joint is as wide as its layer
                points.append(ends[edge.target])
                tips[disc(points[-1], 3.5, look)] = None
            else:
                side = 1 if points[-1].x > points[-2].x else -1
                tips[arrow(points[-1], side, look)] = None
                points[-1] = Point(points[-1].x - side * (ARROW - 1), points[-1].y)
            if edge.label:
                labelled.append((edge, points))
            pen: Point | None = None
            for one, other in pairwise(points):
                if one != other and (look, one, other) not in drawn:
                    drawn.add((look, one, other))
                    for share in range(17):
                        self._crowd[_cell(between(one, other, share / 16))].add((one, other))
                    paths[look].append(("" if pen == one else f"M{pair(one)}") + curve(one, other))
                    pen = other
        self.out += [stroke("".join(path), look) for look, path in paths.items()]
        self.out += tips
        for edge, points in labelled:
            self._label(edge, points)

    def loop(self, edge: EdgeView, place: Place) -> None:
        """What a handler sends to itself."""
        x, y = place.x + place.width / 2, place.y
        half = measured(shown(edge.label), KEY, bold=True) / 2 + 16
        path = f"M{num(x + half)} {num(y)}c0-30-{num(2 * half)}-30-{num(2 * half)}-{num(ARROW)}"
        self.out += [stroke(path, Line.message), arrow_down(Point(x - half, y), Line.message)]
        self._labels.append((Point(x, y - 23), edge.label, Line.message))

    def stub(self, node: NodeView, place: Place, *, above: bool) -> None:
        """What comes from outside: the message that starts the run, and later ones."""
        look = Line.message if node.outside else Line.needs
        if above:
            at = Point(place.x + 26, place.y)
            start, label = Point(at.x, at.y - STUB), Point(at.x - 22, at.y - STUB + 2)
            tip, path = arrow_down(at, look), f"M{num(at.x)} {num(start.y + 5)}V{num(at.y - ARROW)}"
        else:
            at = Point(place.x, place.middle)
            start, label = Point(at.x - STUB, at.y), Point(at.x - STUB, at.y - 15)
            tip, path = arrow(at, 1, look), f"M{num(start.x + 5)} {num(at.y)}H{num(at.x - ARROW)}"
        self.out += [disc(start, 3.2, look), stroke(path, look), tip]
        if node.outside > 1:
            self._labels.append((label, f"×{node.outside:,}", look))

    def _label(self, edge: EdgeView, points: Sequence[Point]) -> None:
        """Remember a label, on the last curve of its line, where it is free of others and few lines cross."""
        along = [between(points[-2], points[-1], share) for share in _ALONG]
        ends, half = sorted((points[-2].x, points[-1].x)), _half(edge.label)
        beside = [at for at in along if ends[0] <= at.x - half and at.x + half <= ends[1]]  # no card lies below
        places = beside or along
        places.sort(key=lambda at: len(self._crossing(at, edge.label) - {(points[-2], points[-1])}))
        free = (at for at in places if not any(_near(at, edge.label, label) for label in self._labels))
        self._labels.append((next(free, places[0]), edge.label, _look(edge)))

    def _crossing(self, at: Point, label: str) -> set[tuple[Point, Point]]:
        """The curves that run below a label."""
        half = _half(label)
        (left, up), (right, down) = _cell(Point(at.x - half, at.y - 8)), _cell(Point(at.x + half, at.y + 8))
        cells = [(x, y) for x in range(left, right + 1) for y in range(up, down + 1)]
        return {curve for cell in cells if cell in self._crowd for curve in self._crowd[cell]}

    def labels(self) -> Iterator[str]:
        """All labels, each on a plate."""
        for at, words, line in self._labels:
            half = _half(words)
            plate = rect("hs-paper", at.x - half, at.y - 8, 2 * half, 16, 8)
            look = f'class="hs-k hs-{line}" text-anchor="middle" x="{num(at.x)}" y="{num(at.y + 3.7)}"'
            yield f"<g><title>{escaped(words)}</title>{plate}<text {look}>{escaped(shown(words))}</text></g>"


def room_above(node: NodeView, loops: Mapping[str, EdgeView], entered: set[str]) -> float:
    """How much room lines need above a card."""
    if node.name in loops:
        return LOOP
    return STUB if node.name in entered and (node.starts or node.outside) else 0.0


def _cell(at: Point) -> tuple[int, int]:
    return int(at.x // CELL), int(at.y // CELL)


def _end(place: Place) -> Point:
    return Point(place.x + place.width, place.middle)


def _half(label: str) -> float:
    return measured(shown(label), KEY, bold=True) / 2 + 6.5


def _near(at: Point, label: str, other: tuple[Point, str, str]) -> bool:
    return abs(at.y - other[0].y) < 17 and abs(at.x - other[0].x) < _half(label) + _half(other[1])
