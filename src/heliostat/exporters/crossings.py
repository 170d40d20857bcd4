"""Order the vertices of each layer so that few lines cross: sweeps by median, then exchanges of neighbours."""

from __future__ import annotations

from bisect import bisect_right, insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WORK = 250_000  #: segments looked at, about: large pictures get fewer sweeps
SWEEPS = 24
HUB = 2500  #: pairs of lines of two neighbours; with more of them, sweeps alone decide


def untangle(layers: list[list[int]], preds: Sequence[Sequence[int]], succs: Sequence[Sequence[int]]) -> None:
    """Put each layer in order, in place; a vertex's ``preds`` and ``succs`` are in the layers beside its own."""
    place = [0] * len(preds)
    _begin(layers, succs, place)
    size = len(place) + sum(map(len, succs))
    allowance = WORK // 2
    best, fewest = [list(layer) for layer in layers], crossings(layers, succs, place)
    for sweep in range(max(4, min(SWEEPS, WORK // size))):
        if fewest == 0:
            break
        down = sweep % 2 == 0
        for layer in layers[1:] if down else layers[-2::-1]:
            _sort(layer, preds if down else succs, place)
        allowance = _exchange(layers, preds, succs, place, allowance)
        if (found := crossings(layers, succs, place)) < fewest:
            best, fewest = [list(layer) for layer in layers], found
    layers[:] = best


def crossings(layers: Sequence[Sequence[int]], succs: Sequence[Sequence[int]], place: Sequence[int]) -> int:
    """How many pairs of lines cross."""
    total = 0
    for layer in layers:
        seen: list[int] = []
        for vertex in layer:
            ends = sorted(place[lower] for lower in succs[vertex])
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _begin(layers: list[list[int]], succs: Sequence[Sequence[int]], place: list[int]) -> None:
    """The order in which a walk along the lines meets the vertices."""
    met: dict[int, None] = {}
    for layer in layers:
        for root in layer:
            stack = [root]
            while stack:
                vertex = stack.pop()
                if vertex not in met:
                    met[vertex] = None
                    stack.extend(reversed(succs[vertex]))
    when = {vertex: number for number, vertex in enumerate(met)}
    for layer in layers:
        layer.sort(key=when.__getitem__)
        _number(layer, place)


def _number(layer: Sequence[int], place: list[int]) -> None:
    for number, vertex in enumerate(layer):
        place[vertex] = number


def _sort(layer: list[int], beside: Sequence[Sequence[int]], place: list[int]) -> None:
    """Each vertex to the median of its neighbours in one layer; one without neighbours stays where it is."""
    wanted = {vertex: _median(sorted(place[other] for other in beside[vertex])) for vertex in layer if beside[vertex]}
    moved = iter(sorted(wanted, key=lambda vertex: (wanted[vertex], place[vertex])))
    layer[:] = [next(moved) if vertex in wanted else vertex for vertex in layer]
    _number(layer, place)


def _median(places: Sequence[int]) -> float:
    """The median, of an even number of places weighted to the side where they lie closer (Gansner et al., 1993)."""
    half = len(places) // 2
    if len(places) % 2:
        return places[half]
    if len(places) == 2:
        return (places[0] + places[1]) / 2
    left, right = places[half - 1] - places[0], places[-1] - places[half]
    if not left + right:
        return (places[half - 1] + places[half]) / 2
    return (places[half - 1] * right + places[half] * left) / (left + right)


def _exchange(
    layers: list[list[int]],
    preds: Sequence[Sequence[int]],
    succs: Sequence[Sequence[int]],
    place: list[int],
    allowance: int,
) -> int:
    """Exchange neighbours as long as that removes crossings; answers what is left of the pairs that may be compared."""
    for layer in layers:
        better = True
        while better and allowance > 0:
            better = False
            for number in range(len(layer) - 1):
                upper, lower = layer[number], layer[number + 1]
                gain = 0
                for beside in (preds, succs):
                    one, other = [place[v] for v in beside[upper]], [place[v] for v in beside[lower]]
                    allowance -= len(one) * len(other) + 2
                    if one and other and max(one) > min(other) and len(one) * len(other) <= HUB:
                        gain += sum((a > b) - (b > a) for a in one for b in other)
                if gain > 0:
                    layer[number], layer[number + 1] = lower, upper
                    place[upper], place[lower] = number + 1, number
                    better = True
    return allowance
