"""From tiles to one image: neighbours say how they lie against each other, and all of them together where each is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # it is started as a program, from anywhere

from examples.imaging.steps.shifts import shift_between
from examples.imaging.steps.step import load, main, save

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 16  # pixels that a tile may be beside its place
TRUSTED = 5.0  # standard deviations of a peak


def stitch(given: dict[str, Any]) -> dict[str, Any]:
    """Register each pair of neighbours, solve for all places at once, and blend where they overlap."""
    tiles = sorted(given["tiles"], key=lambda tile: (tile["row"], tile["column"]))
    images = [load(tile["image"]) for tile in tiles]
    nominal = np.array([tile["at"] for tile in tiles], float)
    measured = {pair: _against(images, nominal, *pair) for pair in _pairs(tiles)}
    told = {pair: moved for pair, moved in measured.items() if moved is not None}
    offsets = _solved(len(tiles), told)
    places = nominal + offsets
    mosaic = _blended(images, places - places.min(axis=0))
    storage = Path(given["storage"])
    return {
        "image": save(storage / "mosaic.npy", mosaic.astype(np.float32)),
        "pairs": len(told),
        "moved": round(float(np.hypot(*(offsets - offsets.mean(axis=0)).T).max()), 2),
    }


def _pairs(tiles: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Neighbours: to the right and below."""
    at = {(tile["row"], tile["column"]): i for i, tile in enumerate(tiles)}
    steps = ((0, 1), (1, 0))
    return [(i, at[r + dr, c + dc]) for (r, c), i in at.items() for dr, dc in steps if (r + dr, c + dc) in at]


def _against(images: list[NDArray[Any]], nominal: NDArray[np.float64], i: int, j: int) -> NDArray[np.float64] | None:
    """By how much the second tile lies beside its place against the first; None where that cannot be told."""
    first, second = nominal[i].astype(int), nominal[j].astype(int)
    size = np.array(images[i].shape)
    low, high = np.maximum(first, second), np.minimum(first, second) + size
    parts = [
        image[low[0] - at[0] : high[0] - at[0], low[1] - at[1] : high[1] - at[1]]
        for image, at in ((images[i], first), (images[j], second))
    ]
    moved, score = shift_between(parts[0], parts[1], MOST)
    return moved if score >= TRUSTED else None


def _solved(count: int, told: dict[tuple[int, int], NDArray[np.float64]]) -> NDArray[np.float64]:
    """The places that fit all measured shifts best; what nothing is known of stays where it should be."""
    equations, wanted = np.zeros((len(told) + count, count)), np.zeros((len(told) + count, 2))
    for row, ((i, j), moved) in enumerate(told.items()):
        equations[row, j], equations[row, i] = 1, -1
        wanted[row] = moved
    equations[len(told) :] = 0.02 * np.eye(count)
    return np.asarray(np.linalg.lstsq(equations, wanted, rcond=None)[0])


def _blended(images: list[NDArray[Any]], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """All tiles in one frame, each fading towards its edges."""
    size = np.array(images[0].shape)
    frame = np.ceil(places.max(axis=0)).astype(int) + size + 1
    total, weight = np.zeros(frame), np.zeros(frame)
    ramp = [np.minimum(np.arange(n) + 1, n - np.arange(n)) for n in size]
    fade = np.minimum.outer(np.minimum(ramp[0], 40), np.minimum(ramp[1], 40)).astype(float) ** 2
    for image, at in zip(images, places, strict=True):
        whole = np.floor(at).astype(int)
        part = ndimage.shift(image.astype(float), at - whole, order=1, mode="nearest")
        here = np.s_[whole[0] : whole[0] + size[0], whole[1] : whole[1] + size[1]]
        total[here] += part * fade
        weight[here] += fade
    return np.asarray(total / np.maximum(weight, 1e-9))


if __name__ == "__main__":
    main(stitch)
