"""Lay a section on the one before it, so that what goes through the stack goes straight."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # it is started as a program, from anywhere

from examples.imaging.steps.shifts import shift_between
from examples.imaging.steps.step import load, main, save

MOST = 70  # pixels


def align(given: dict[str, Any]) -> dict[str, Any]:
    """Shift a mosaic so that it lies on its neighbour; the first section stays where it is."""
    rows, columns = given["frame"]
    image = _framed(load(given["image"]).astype(float), rows, columns)
    moved, score = np.zeros(2), float("inf")
    if given["before"] is not None:
        moved, score = shift_between(load(given["before"]).astype(float), image, MOST)
    straight = ndimage.shift(image, moved, order=1, mode="constant")
    path = save(Path(given["storage"]) / "aligned.npy", straight.astype(np.float32))
    return {"image": path, "moved": [round(float(each), 2) for each in moved], "score": round(min(score, 1e6), 1)}


def _framed(image: Any, rows: int, columns: int) -> Any:
    """An image cut or filled to a size, from its upper left corner."""
    framed = np.zeros((rows, columns))
    part = image[:rows, :columns]
    framed[: part.shape[0], : part.shape[1]] = part
    return framed


if __name__ == "__main__":
    main(align)
