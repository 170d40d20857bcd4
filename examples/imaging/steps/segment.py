"""Where the nuclei are: bright spots of their size, split where two touch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # it is started as a program, from anywhere

from examples.imaging.steps.step import load, main, save

if TYPE_CHECKING:
    from numpy.typing import NDArray


def segment(given: dict[str, Any]) -> dict[str, Any]:
    """Threshold what is brighter than its surroundings, and flood from the middles (Otsu 1979; watershed)."""
    image, size = load(given["image"]).astype(float), float(given["size"])
    bright = ndimage.gaussian_filter(image, size / 4) - ndimage.gaussian_filter(image, size * 2.5)
    mask = ndimage.binary_opening(bright > max(given["least"], _otsu(bright[bright > 1])), iterations=1)
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 0.8)
    peaks = (depth == ndimage.maximum_filter(depth, int(size) | 1)) & mask & (depth > 1.2)
    seeds, _ = ndimage.label(peaks, np.ones((3, 3)))
    height = (255 - 255 * depth / max(depth.max(), 1e-9)).astype(np.uint8)
    markers = seeds.astype(np.int32)
    markers[~mask] = -1
    labels = np.where(mask, np.maximum(ndimage.watershed_ift(height, markers), 0), 0)
    areas = np.bincount(labels.ravel())[1:]
    small = np.flatnonzero(areas < given["smallest"]) + 1
    labels[np.isin(labels, small)] = 0
    areas = areas[areas >= given["smallest"]]
    return {
        "labels": save(Path(given["storage"]) / "labels.npy", labels.astype(np.int32)),
        "nuclei": len(areas),
        "area": round(float(np.median(areas)), 1) if len(areas) else 0.0,
    }


def _otsu(values: NDArray[np.float64]) -> float:
    """The threshold that parts values best into two kinds."""
    if not len(values):
        return 0.0
    counts, edges = np.histogram(values, 256)
    middles, counts = (edges[1:] + edges[:-1]) / 2, counts / counts.sum()
    below, mean = np.cumsum(counts), np.cumsum(counts * middles)
    spread = (mean[-1] * below - mean) ** 2 / np.maximum(below * (1 - below), 1e-12)
    return float(middles[spread.argmax()])


if __name__ == "__main__":
    main(segment)
