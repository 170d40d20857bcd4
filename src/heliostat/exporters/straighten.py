"""Where the vertices of ordered layers stand, so that long lines run straight and boxes lie between their neighbours.

After U. Brandes and B. Köpf, *Fast and simple horizontal coordinate assignment* (2001), with layers as columns:
vertices are joined to blocks along lines, four times (from the left and the right, upwards and downwards), each
block is placed as high as it can be, and a vertex gets the mean of the middle two of its four places.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NEAR = 14.0  #: what is so little off level is brought level
Conflicts = set[tuple[int, int]]


def straighten(
    layers: Sequence[Sequence[int]],
    preds: Sequence[Sequence[int]],
    succs: Sequence[Sequence[int]],
    is_line: Callable[[int], bool],
    apart: Callable[[int, int], float],
) -> list[float]:
    """The place of each vertex across its layer.

    ``apart`` is the least distance of two neighbours, the first being the upper; segments between two vertices that
    are ``is_line`` are the inner parts of long lines, which come out straight.
    """
    place = [0] * len(preds)
    for layer in layers:
        for number, vertex in enumerate(layer):
            place[vertex] = number
    forbidden = _conflicts(layers, preds, place, is_line)
    found = []
    for rightward in (True, False):
        for downward in (True, False):
            columns = list(layers) if rightward else list(reversed(layers))
            beside = preds if rightward else succs
            if downward:
                roots = _align(columns, beside, place, forbidden)
                found.append(_compact(columns, roots, apart))
            else:
                columns = [list(reversed(column)) for column in columns]
                back = [-number for number in place]
                roots = _align(columns, beside, back, forbidden)
                heights = _compact(columns, roots, lambda upper, lower: apart(lower, upper))
                found.append([-height for height in heights])
    heights = _balanced(found)
    _snap(layers, preds, succs, is_line, apart, heights)
    return heights


def _snap(
    layers: Sequence[Sequence[int]],
    preds: Sequence[Sequence[int]],
    succs: Sequence[Sequence[int]],
    is_line: Callable[[int], bool],
    apart: Callable[[int, int], float],
    heights: list[float],
) -> None:
    """A box that lies almost level with a neighbour comes to lie level, where there is room."""
    for layer in layers:
        for number, vertex in enumerate(layer):
            if is_line(vertex):
                continue
            off = sorted((heights[other] - heights[vertex] for other in (*preds[vertex], *succs[vertex])), key=abs)
            if not off or abs(off[0]) < 0.01 or abs(off[0]) > NEAR:
                continue
            wanted = heights[vertex] + off[0]
            high = number and wanted - heights[layer[number - 1]] < apart(layer[number - 1], vertex)
            low = number + 1 < len(layer) and heights[layer[number + 1]] - wanted < apart(vertex, layer[number + 1])
            if not (high or low):
                heights[vertex] = wanted


def _conflicts(
    layers: Sequence[Sequence[int]],
    preds: Sequence[Sequence[int]],
    place: Sequence[int],
    is_line: Callable[[int], bool],
) -> Conflicts:
    """Segments that cross an inner segment of a long line: the line has precedence."""
    found: Conflicts = set()
    for before, layer in pairwise(layers):
        lower_bound, start = 0, 0
        for number, vertex in enumerate(layer):
            inner = next((p for p in preds[vertex] if is_line(p) and is_line(vertex)), None)
            if inner is None and number < len(layer) - 1:
                continue
            upper_bound = place[inner] if inner is not None else len(before) - 1
            for other in layer[start : number + 1]:
                for pred in preds[other]:
                    crosses = not lower_bound <= place[pred] <= upper_bound
                    if crosses and not (is_line(pred) and is_line(other)):
                        found.add((pred, other))
                        found.add((other, pred))
            lower_bound, start = upper_bound, number + 1
    return found


def _align(
    columns: Sequence[Sequence[int]], beside: Sequence[Sequence[int]], place: Sequence[int], forbidden: Conflicts
) -> list[int]:
    """Join each vertex to the block of a middle neighbour, so that blocks do not cross; answers the block of each."""
    root = list(range(len(beside)))
    for column in columns:
        last: float = float("-inf")
        for vertex in column:
            others = sorted(beside[vertex], key=place.__getitem__)
            half = (len(others) - 1) // 2
            for other in others[half : len(others) // 2 + 1]:
                if root[vertex] == vertex and place[other] > last and (other, vertex) not in forbidden:
                    root[vertex] = root[other]
                    last = place[other]
    return root


def _compact(columns: Sequence[Sequence[int]], root: Sequence[int], apart: Callable[[int, int], float]) -> list[float]:
    """Each block as high as its upper neighbours let it, then as low as it may if that brings it nearer to one."""
    above: dict[int, dict[int, float]] = {}
    below: dict[int, dict[int, float]] = {}
    for column in columns:
        for vertex in column:
            above.setdefault(root[vertex], {})
            below.setdefault(root[vertex], {})
        for upper, lower in pairwise(column):
            one, other = root[upper], root[lower]
            least = max(apart(upper, lower), above[other].get(one, 0.0))
            above[other][one] = below[one][other] = least
    order = _sorted(above, below)
    height: dict[int, float] = {}
    for block in order:
        height[block] = max((height[one] + least for one, least in above[block].items()), default=0.0)
    for block in reversed(order):
        if below[block]:
            height[block] = max(height[block], min(height[one] - least for one, least in below[block].items()))
    return [height[block] for block in root]


def _sorted(above: dict[int, dict[int, float]], below: dict[int, dict[int, float]]) -> list[int]:
    """Blocks from the top downwards."""
    missing = {block: len(uppers) for block, uppers in above.items()}
    order = [block for block, count in missing.items() if not count]
    for block in order:
        for lower in below[block]:
            missing[lower] -= 1
            if not missing[lower]:
                order.append(lower)
    return order


def _balanced(found: Sequence[Sequence[float]]) -> list[float]:
    """Bring the four to the edges of the narrowest, then take the mean of the middle two."""
    tops, ends = [min(heights) for heights in found], [max(heights) for heights in found]
    narrow = min(range(len(found)), key=lambda number: ends[number] - tops[number])
    moved = []
    for number, heights in enumerate(found):
        downward = number % 2 == 0
        shift = tops[narrow] - tops[number] if downward else ends[narrow] - ends[number]
        moved.append([height + shift for height in heights])
    return [sum(sorted(four)[1:3]) / 2 for four in zip(*moved, strict=True)]
