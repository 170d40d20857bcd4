"""Take out what the camera and the lamp put in: the offset of each pixel, and how much light it gets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # it is started as a program, from anywhere

from examples.imaging.steps.step import load, main, save


def flatfield(given: dict[str, Any]) -> dict[str, Any]:
    """Subtract the dark frame, divide by the flat one, and mend pixels that are always bright."""
    raw, dark, flat = load(given["raw"]).astype(float), load(given["dark"]), load(given["flat"])
    light = ndimage.gaussian_filter(flat - dark, 4, mode="nearest")
    image = (raw - dark) / np.maximum(light / light.max(), 0.05)
    around = ndimage.median_filter(image, 3)
    hot = image - around > 12 * np.sqrt(np.maximum(around, 25))
    image[hot] = around[hot]
    path = save(Path(given["storage"]) / f"flat-{given['row']}-{given['column']}.npy", image.astype(np.float32))
    return {"image": path, "mended": int(hot.sum())}


if __name__ == "__main__":
    main(flatfield)
