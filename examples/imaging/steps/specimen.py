"""A piece of tissue that was never alive: what a microscope would see in one of its sections, if it were perfect.

Nuclei, neuropil, fibres and vessels go on from section to section, so neighbours look alike, as serial sections do.
Lengths are in pixels of half a micrometre, brightness is in photons of a well-lit pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARGIN = 60  # around what a perfectly placed section shows
NUCLEI = 17000  # in all sections of a stack of eight
THICKNESS = 1.3  # sections that a nucleus reaches up and down
SECTIONS = 8  # for which the counts are


def section(number: int, of: int, height: int, width: int, seed: int) -> NDArray[np.float64]:
    """The section with a number from 0, with a margin on each side."""
    rows, columns = height + 2 * MARGIN, width + 2 * MARGIN
    chance = np.random.default_rng(seed)
    depth = number - (of - 1) / 2
    y, x = np.mgrid[0:rows, 0:columns].astype(float)
    v, u = (y - rows / 2) / (rows / 2), (x - columns / 2) / (columns / 2)
    edge = _edge(u, v, depth, chance, (rows, columns))
    inside = 1 / (1 + np.exp(-edge / 0.012))
    layers = np.clip(edge / 0.55, 0, 1)  # from the surface inwards, as in a cortex
    neuropil = 30 + 8 * _smooth(chance, (rows, columns), 26, depth) + 5 * _smooth(chance, (rows, columns), 5, depth)
    fibres = _fibres(u, v, layers, chance, depth)
    image = inside * (neuropil * (0.75 + 0.5 * layers) + fibres)
    _add_nuclei(image, edge, number, of, chance)
    return np.clip(image * _vessels(y, x, depth, chance), 0, None)


def _edge(
    u: NDArray[np.float64], v: NDArray[np.float64], depth: float, chance: np.random.Generator, shape: tuple[int, int]
) -> NDArray[np.float64]:
    """How far inside the tissue a point is: 0 at its surface, negative outside."""
    angle = np.arctan2(v, u)
    wave = sum(
        amplitude * np.cos(k * angle + phase + 0.05 * depth * turn)
        for k, amplitude, phase, turn in zip(
            range(2, 8), chance.normal(0, 0.028, 6), chance.uniform(0, 6.3, 6), chance.normal(0, 1, 6), strict=True
        )
    )
    radius = np.hypot(u / (0.83 - 0.004 * depth), v / (0.8 + 0.003 * depth))
    groove = 0.42 * np.exp(-((u / 0.055) ** 2)) * np.clip(-v - 0.25, 0, 1)  # between the two halves
    return np.asarray(1 + wave - radius - groove)


def _smooth(chance: np.random.Generator, shape: tuple[int, int], scale: float, depth: float) -> NDArray[np.float64]:
    """A texture of a scale that changes slowly with depth: two fields, one turning into the other."""
    coarse = max(1, int(scale // 3))
    small = (shape[0] // coarse + 2, shape[1] // coarse + 2)
    a, b = (ndimage.gaussian_filter(chance.normal(size=small), scale / coarse, mode="wrap") for _ in range(2))
    mixed = np.cos(0.12 * depth) * a / a.std() + np.sin(0.12 * depth) * b / b.std()
    return np.asarray(ndimage.zoom(mixed, coarse, order=1)[: shape[0], : shape[1]])


def _fibres(
    u: NDArray[np.float64],
    v: NDArray[np.float64],
    layers: NDArray[np.float64],
    chance: np.random.Generator,
    depth: float,
) -> NDArray[np.float64]:
    """Bundles that run along arcs, deep in the tissue."""
    arc = np.hypot(u, (v + 0.55) * 1.15)
    stripes = np.cos(95 * arc + 2.4 * np.sin(5 * np.arctan2(v + 0.55, u) + 0.1 * depth))
    band = np.exp(-(((arc - 0.62) / 0.1) ** 2)) + 0.6 * np.exp(-(((arc - 0.27) / 0.05) ** 2))
    return np.asarray((16 + 12 * stripes) * band * np.clip(1.6 * layers - 0.2, 0, 1))


def _add_nuclei(
    image: NDArray[np.float64], edge: NDArray[np.float64], number: int, of: int, chance: np.random.Generator
) -> None:
    """Bright, roundish, denser in some layers than in others."""
    rows, columns = image.shape
    count = NUCLEI * of // SECTIONS
    at = np.stack([chance.uniform(0, rows, count), chance.uniform(0, columns, count)], axis=1)
    z, size = chance.uniform(-1, of, count), chance.uniform(2.2, 3.8, count)
    bright, keep = chance.uniform(80, 170, count), chance.uniform(0, 1, count)
    stretch, angle = chance.uniform(1.0, 1.5, count), chance.uniform(0, np.pi, count)
    for i in np.flatnonzero(np.abs(z - number) < THICKNESS):
        row, column = at[i].astype(int)
        deep = edge[row, column]
        dense = 0.07 + 0.9 * np.exp(-(((deep - 0.13) / 0.035) ** 2)) + 0.45 * np.exp(-(((deep - 0.27) / 0.05) ** 2))
        if deep < 0.02 or keep[i] > dense:
            continue
        reach = 14
        top, left = max(0, row - reach), max(0, column - reach)
        patch = image[top : row + reach + 1, left : column + reach + 1]
        dy, dx = np.mgrid[top : top + patch.shape[0], left : left + patch.shape[1]] - at[i][:, None, None]
        along = (dx * np.cos(angle[i]) + dy * np.sin(angle[i])) / (size[i] * stretch[i])
        across = (dy * np.cos(angle[i]) - dx * np.sin(angle[i])) / size[i]
        height = np.sqrt(max(0.0, 1 - ((z[i] - number) / THICKNESS) ** 2))
        patch += bright[i] * height / (1 + np.exp(4.5 * (np.hypot(along, across) - 1)))


def _vessels(
    y: NDArray[np.float64], x: NDArray[np.float64], depth: float, chance: np.random.Generator
) -> NDArray[np.float64]:
    """Dark where blood ran; each wanders a little from section to section."""
    rows, columns = y.shape
    light = np.ones_like(y)
    for _ in range(34):
        row, column = chance.uniform(0, rows), chance.uniform(0, columns)
        drift, size, long = chance.normal(0, 2.2, 2), chance.uniform(4, 13), chance.uniform(1, 2.2)
        angle, reach = chance.uniform(0, np.pi), int(size * long * 2.5)
        row, column = row + drift[0] * depth, column + drift[1] * depth
        here = np.s_[max(0, int(row) - reach) : int(row) + reach, max(0, int(column) - reach) : int(column) + reach]
        dy, dx = y[here] - row, x[here] - column
        along = (dx * np.cos(angle) + dy * np.sin(angle)) / (size * long)
        across = (dy * np.cos(angle) - dx * np.sin(angle)) / size
        light[here] *= 1 - 0.9 / (1 + np.exp(np.minimum(7 * (np.hypot(along, across) - 1), 50)))
    return light
