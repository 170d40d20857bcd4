"""Whether a section can be used: sharp, even, complete, and in line with the one before."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # it is started as a program, from anywhere

from examples.imaging.steps.step import load, main


def quality(given: dict[str, Any]) -> dict[str, Any]:
    """A few figures, and a word that says what they come to."""
    image, labels = load(given["image"]).astype(float), load(given["labels"])
    tissue = ndimage.binary_fill_holes(ndimage.gaussian_filter(image, 6) > 8)
    nuclei = labels > 0
    ground = image[tissue & ~ndimage.binary_dilation(nuclei, iterations=3)]
    contrast = float(image[nuclei].mean() / ground.mean()) if nuclei.any() else 0.0
    sharp = float(ndimage.laplace(ndimage.gaussian_filter(image, 1.0))[nuclei].std() / (image[nuclei].mean() + 1e-9))
    found = {
        "contrast": round(contrast, 2),
        "sharpness": round(sharp, 3),
        "tissue": round(float(tissue.mean()), 3),
        "nuclei": int(len(np.unique(labels)) - 1),
        "score": round(given["score"], 1),
    }
    good = contrast >= given["contrast"] and found["nuclei"] >= given["nuclei"] and found["score"] >= 8
    return found | {"verdict": "good" if good else "doubtful"}


if __name__ == "__main__":
    main(quality)
