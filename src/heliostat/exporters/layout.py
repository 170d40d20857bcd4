"""A layered layout: where the boxes of a directed graph stand, and how the lines between them run.

From left to right, in the steps of Sugiyama, Tagawa and Toda (1981): turn round the links that would lead back,
give every box a layer by its longest path, lead long links through each layer on their way by a dummy vertex, order
the layers so that few links cross (``crossings``), and move them so that long links run straight (``straighten``).
Links of one ``group`` that leave the same box share their way as far as they can, so a result that many boxes need
is one line with branches. The same boxes and links give the same picture, always.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from heliostat.exporters.crossings import untangle
from heliostat.exporters.straighten import straighten

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

ROW_GAP = 24.0  #: between boxes of a layer
LINE_GAP = 14.0  #: between lines that pass through a layer
LAYER_GAP = (56.0, 240.0)  #: between layers, at least and at most
STEEP = 0.17  #: a gap between layers is at least this share of what its links climb
PART_GAP = 40.0  #: between parts that nothing connects
TOGETHER = 3  #: so many long links of one group from one box share their way
PORT_GAP = 17.0  #: between ports on a box's side


class Point(NamedTuple):
    """A place in the picture: x to the right, y down."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Box:
    """What is to be placed: its size, and the room kept free ``above`` it. One of width 0 is a joint of lines.

    Where links form a cycle, one that is ``first`` stands to the left of what follows it.
    """

    id: str
    width: float
    height: float
    above: float = 0.0
    first: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A line from one box to another, which are not the same.

    ``firm`` links lead to the right whatever happens; they must have no cycle. ``room`` is the width that a label
    at the target's end needs. Links of another ``port`` than "" leave and enter beside the middle of a box's side.
    """

    source: str
    target: str
    group: str = ""
    port: str = ""
    firm: bool = True
    room: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a box stands: left upper corner and size. It is as wide as its layer."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """The height of its middle line."""
        return self.y + self.height / 2


Route: TypeAlias = tuple[Point, ...]  #: from the source's side to the target's


@dataclass(slots=True)
class Layout:
    """Places by box, a route per link in the order given, and the size of it all."""

    places: dict[str, Place] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0


def layout(boxes: Sequence[Box], links: Sequence[Link], wide: float = 0.0) -> Layout:
    """Place boxes and route links. Parts that nothing connects stand in rows, ``wide`` at least before a new one."""
    parts = [(_Part(boxes, links).lay(), numbers) for boxes, links, numbers in _parts(boxes, links)]
    area = sum((part.width + PART_GAP) * (part.height + PART_GAP) for part, _ in parts)
    wide = max([wide, (2.0 * area) ** 0.5, *(part.width for part, _ in parts)])
    whole = Layout(routes=[()] * len(links))
    x = y = row = 0.0
    for part, numbers in parts:
        if x > 0 and x + part.width > wide:
            x, y, row = 0.0, y + row + PART_GAP, 0.0
        for name, place in part.places.items():
            whole.places[name] = Place(x + place.x, y + place.y, place.width, place.height)
        for number, route in zip(numbers, part.routes, strict=True):
            whole.routes[number] = tuple(Point(x + point.x, y + point.y) for point in route)
        whole.width, whole.height = max(whole.width, x + part.width), max(whole.height, y + part.height)
        x, row = x + part.width + PART_GAP, max(row, part.height)
    return whole


def _parts(boxes: Sequence[Box], links: Sequence[Link]) -> Collection[tuple[list[Box], list[Link], list[int]]]:
    """What is connected, in the order of the first boxes."""
    leader = {box.id: box.id for box in boxes}

    def find(name: str) -> str:
        while leader[name] != name:
            leader[name] = name = leader[leader[name]]
        return name

    for link in links:
        leader[find(link.target)] = find(link.source)
    found: dict[str, tuple[list[Box], list[Link], list[int]]] = {}
    for box in boxes:
        found.setdefault(find(box.id), ([], [], []))[0].append(box)
    for number, link in enumerate(links):
        part = found[find(link.source)]
        part[1].append(link)
        part[2].append(number)
    return found.values()


class _Part:
    """The layout of one connected part. Vertices are numbers: first the boxes, then the dummies."""

    def __init__(self, boxes: list[Box], links: list[Link]) -> None:
        self.boxes, self.links = boxes, links
        index = {box.id: number for number, box in enumerate(boxes)}
        self.ends = [(index[link.source], index[link.target]) for link in links]
        self.back: list[bool] = []  # per link, whether it leads to the left
        self.layer = [0] * len(boxes)
        self.chains: list[tuple[int, ...]] = []  # per link, its vertices from left to right
        self.succs: list[list[int]] = []
        self.preds: list[list[int]] = []

    def lay(self) -> Layout:
        """Do all steps."""
        order = self._forward()
        self._choose_layers(order)
        self._thread()
        layers: list[list[int]] = [[] for _ in range(max(self.layer) + 1)]
        for vertex, layer in enumerate(self.layer):
            layers[layer].append(vertex)
        untangle(layers, self.preds, self.succs)
        heights = straighten(layers, self.preds, self.succs, self._is_line, self._apart)
        return self._draw(layers, heights)

    # one direction

    def _forward(self) -> list[int]:
        """An order of the boxes in which all firm links lead forward, and of the others as many as can."""
        every: list[list[int]] = [[] for _ in self.boxes]
        firm: list[list[int]] = [[] for _ in self.boxes]
        missing = [0] * len(self.boxes)
        for link, (source, target) in zip(self.links, self.ends, strict=True):
            every[source].append(target)
            if link.firm:
                firm[source].append(target)
                missing[target] += 1
        rank = _ranks(every, [number for number, box in enumerate(self.boxes) if box.first])
        heap = [(rank[box], box) for box, count in enumerate(missing) if not count]
        heapify(heap)
        order = []
        while heap:
            _, box = heappop(heap)
            order.append(box)
            for target in firm[box]:
                missing[target] -= 1
                if not missing[target]:
                    heappush(heap, (rank[target], target))
        place = {box: number for number, box in enumerate(order)}
        self.back = [place[source] > place[target] for source, target in self.ends]
        return order

    def _arcs(self) -> Iterator[tuple[int, int]]:
        """The ends of each link, the left one first."""
        for (source, target), back in zip(self.ends, self.back, strict=True):
            yield (target, source) if back else (source, target)

    # layers

    def _choose_layers(self, order: list[int]) -> None:
        """The longest path decides; then boxes that feed more than they are fed move as far right as they can."""
        before: list[list[int]] = [[] for _ in self.boxes]
        after: list[list[int]] = [[] for _ in self.boxes]
        for left, right in self._arcs():
            before[right].append(left)
            after[left].append(right)
        for box in order:
            self.layer[box] = max((self.layer[left] + 1 for left in before[box]), default=0)
        for box in reversed(order):
            if len(after[box]) > len(before[box]):
                self.layer[box] = min(self.layer[right] for right in after[box]) - 1

    def _thread(self) -> None:
        """Lead long links through the layers between; several of one group from one box share their dummies."""
        arcs = list(zip(self._arcs(), self.links, self.back, strict=True))
        groups = [(left, link.group, back, 0) for (left, _), link, back in arcs]
        long = Counter(g for g, ((a, b), *_) in zip(groups, arcs, strict=True) if self.layer[b] - self.layer[a] > 1)
        shared: dict[tuple[tuple[int, str, bool, int], int], int] = {}
        segments: dict[tuple[int, int], None] = {}
        for number, (group, ((left, right), *_)) in enumerate(zip(groups, arcs, strict=True), 1):
            chain = [left]
            way = group if long[group] >= TOGETHER else (*group[:3], number)
            for layer in range(self.layer[left] + 1, self.layer[right]):
                dummy = shared.setdefault((way, layer), len(self.layer))
                if dummy == len(self.layer):
                    self.layer.append(layer)
                chain.append(dummy)
            chain.append(right)
            segments.update(dict.fromkeys(pairwise(chain)))
            self.chains.append(tuple(chain))
        self.succs = [[] for _ in self.layer]
        self.preds = [[] for _ in self.layer]
        for upper, lower in segments:
            self.succs[upper].append(lower)
            self.preds[lower].append(upper)

    # sizes

    def _is_line(self, vertex: int) -> bool:
        return vertex >= len(self.boxes) or not self.boxes[vertex].width

    def _reach(self, vertex: int) -> tuple[float, float]:
        """How far a vertex reaches above and below its middle line."""
        if self._is_line(vertex):
            return 0.0, 0.0
        box = self.boxes[vertex]
        return box.height / 2 + box.above, box.height / 2

    def _apart(self, upper: int, lower: int) -> float:
        """The least distance between the middle lines of two neighbours in a layer."""
        gap = LINE_GAP if self._is_line(upper) and self._is_line(lower) else ROW_GAP
        return self._reach(upper)[1] + gap + self._reach(lower)[0]

    # drawing

    def _draw(self, layers: list[list[int]], heights: list[float]) -> Layout:
        top = min(heights[layer[0]] - self._reach(layer[0])[0] for layer in layers)
        middle = [height - top for height in heights]
        spans = self._spans(layers, middle)
        done = Layout(width=spans[-1][1])
        done.height = max(middle[layer[-1]] + self._reach(layer[-1])[1] for layer in layers)
        for vertex, box in enumerate(self.boxes):
            left, right = spans[self.layer[vertex]]
            done.places[box.id] = Place(left, middle[vertex] - box.height / 2, right - left, box.height)
        ports = self._ports(middle)
        done.routes = [self._route(number, middle, spans, ports) for number in range(len(self.links))]
        return done

    def _spans(self, layers: list[list[int]], middle: list[float]) -> list[tuple[float, float]]:
        """From where to where each layer reaches."""
        width = [0.0] * len(layers)
        for vertex, box in enumerate(self.boxes):
            width[self.layer[vertex]] = max(width[self.layer[vertex]], box.width)
        gap = [LAYER_GAP[0]] * len(layers)
        for link, back, chain in zip(self.links, self.back, self.chains, strict=True):
            labelled = self.layer[chain[0] if back else chain[-2]]
            gap[labelled] = max(gap[labelled], link.room + LAYER_GAP[0] / 2)
            for one, other in pairwise(chain):
                climb = STEEP * abs(middle[one] - middle[other])
                gap[self.layer[one]] = max(gap[self.layer[one]], min(climb, LAYER_GAP[1]))
        spans, x = [], 0.0
        for number in range(len(layers)):
            spans.append((x, x + width[number]))
            x += width[number] + gap[number]
        return spans

    def _ports(self, middle: list[float]) -> dict[tuple[int, str, bool, bool], float]:
        """How far beside the middle of a box's side (vertex, port, back, right side) lines leave and enter."""
        seen: dict[tuple[int, bool], dict[tuple[str, bool], list[float]]] = defaultdict(lambda: defaultdict(list))
        for link, back, chain in zip(self.links, self.back, self.chains, strict=True):
            seen[chain[0], True][link.port, back].append(middle[chain[1]])
            seen[chain[-1], False][link.port, back].append(middle[chain[-2]])
        found = {}
        for (vertex, right), ports in seen.items():
            order = sorted(ports, key=lambda port: (sum(ports[port]) / len(ports[port]), port))
            at = order.index(("", False)) if ("", False) in order else (len(order) - 1) / 2
            most = max(at, len(order) - 1 - at)
            step = min(PORT_GAP, 0.75 * self._reach(vertex)[1] / most) if most else 0.0
            for number, (port, back) in enumerate(order):
                found[vertex, port, back, right] = (number - at) * step
        return found

    def _route(
        self,
        number: int,
        middle: list[float],
        spans: list[tuple[float, float]],
        ports: dict[tuple[int, str, bool, bool], float],
    ) -> Route:
        link, back, chain = self.links[number], self.back[number], self.chains[number]
        first, last = chain[0], chain[-1]
        points = [Point(spans[self.layer[first]][1], middle[first] + ports[first, link.port, back, True])]
        for dummy in chain[1:-1]:
            points += [Point(x, middle[dummy]) for x in spans[self.layer[dummy]]]
        points.append(Point(spans[self.layer[last]][0], middle[last] + ports[last, link.port, back, False]))
        points = list(dict.fromkeys(points))  # a layer of lines alone has no width
        return tuple(reversed(points)) if back else tuple(points)


def _ranks(ahead: list[list[int]], first: list[int]) -> list[int]:
    """Places in an order that follows the links, but for what closes a cycle: a depth-first walk, last out first."""
    entered = {target for targets in ahead for target in targets}
    roots = [vertex for vertex in reversed(range(len(ahead))) if vertex not in entered]
    seen: set[int] = set()
    left: list[int] = []
    for root in [*(vertex for vertex in first if vertex in entered), *roots, *sorted(entered)]:
        if root in seen:
            continue
        seen.add(root)
        walk = [(root, reversed(ahead[root]))]
        while walk:
            vertex, targets = walk[-1]
            for target in targets:
                if target not in seen:
                    seen.add(target)
                    walk.append((target, reversed(ahead[target])))
                    break
            else:
                left.append(vertex)
                walk.pop()
    ranks = [0] * len(ahead)
    for rank, vertex in enumerate(reversed(left)):
        ranks[vertex] = rank
    return ranks
