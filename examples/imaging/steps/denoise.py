"""Less noise, the same edges: photons are counted, so their noise is made even first (Anscombe 1948)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # it is started as a program, from anywhere

from examples.imaging.steps.step import load, main, save


def denoise(given: dict[str, Any]) -> dict[str, Any]:
    """A Wiener filter where the noise is the same everywhere, and back."""
    image = load(given["image"]).astype(float)
    even = 2 * np.sqrt(np.maximum(image, 0) + 3 / 8)
    mean = ndimage.uniform_filter(even, 5)
    spread = np.maximum(ndimage.uniform_filter(even**2, 5) - mean**2, 1e-6)
    smooth = mean + np.maximum(spread - 1, 0) / np.maximum(spread, 1) * (even - mean)  # the noise's spread is 1 here
    result = np.maximum((ndimage.gaussian_filter(smooth, 0.6) / 2) ** 2 - 1 / 8, 0)
    path = save(Path(given["storage"]) / f"tile-{given['row']}-{given['column']}.npy", result.astype(np.float32))
    return {"image": path, "row": given["row"], "column": given["column"], "at": given["at"]}


if __name__ == "__main__":
    main(denoise)
