"""The microscope: a section in tiles, as a real one sees it: unevenly lit, noisy, never quite where it should be."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # it is started as a program, from anywhere

from examples.imaging.steps.specimen import MARGIN, section
from examples.imaging.steps.step import main, save

if TYPE_CHECKING:
    from numpy.typing import NDArray

TILE, OVERLAP = 340, 48  # pixels
JITTER = 5  # of the stage, for each tile
DRIFT = 16  # of the holder, from section to section
OFFSET, READ_NOISE = 100.0, 4.0  # of the camera
HOT = 0.0008  # of its pixels
FRAMES = 24  # that are averaged for calibration


def size(tiles: int) -> int:
    """Pixels that so many tiles cover."""
    return tiles * (TILE - OVERLAP) + OVERLAP


def illumination() -> NDArray[np.float64]:
    """How much light each pixel of a tile gets: less towards the corners, and a little from one side."""
    y, x = (np.mgrid[0:TILE, 0:TILE] - TILE / 2) / (TILE / 2)
    light = 1 - 0.33 * (x**2 + y**2) + 0.12 * x - 0.08 * y + 0.05 * np.sin(3 * x + 2 * y)
    return np.asarray(light / light.max())


def acquire(given: dict[str, Any]) -> dict[str, Any]:
    """Take all tiles of a section, and the frames by which they are corrected."""
    number, of, seed = given["number"], given["of"], given["seed"]
    rows, columns, place = given["rows"], given["columns"], Path(given["storage"])
    truth = section(number, of, size(rows), size(columns), seed)
    holder = np.random.default_rng([seed, 1])
    drifts = np.clip(np.cumsum(holder.normal(0, DRIFT, (of, 2)), axis=0), -MARGIN + 12, MARGIN - 12)
    drift = (drifts - drifts[0])[number].clip(-MARGIN + 12, MARGIN - 12)
    chance, light = np.random.default_rng([seed, 2, number]), illumination()
    hot = np.random.default_rng([seed, 3]).uniform(size=(TILE, TILE)) < HOT
    tiles = []
    for row in range(rows):
        for column in range(columns):
            nominal = np.array([row, column]) * (TILE - OVERLAP)
            real = np.round(nominal + MARGIN + drift + chance.uniform(-JITTER, JITTER, 2)).astype(int)
            top, left = real.clip(0, np.array(truth.shape) - TILE)
            seen = chance.poisson(truth[top : top + TILE, left : left + TILE] * light).astype(float)
            seen = seen + OFFSET + chance.normal(0, READ_NOISE, seen.shape) + hot * chance.uniform(300, 900, seen.shape)
            raw = save(place / f"raw-{row}-{column}.npy", np.clip(seen, 0, 65535).astype(np.uint16))
            tiles.append({"row": row, "column": column, "at": nominal.tolist(), "raw": raw})
    dark = OFFSET + chance.normal(0, READ_NOISE / np.sqrt(FRAMES), light.shape)
    flat = chance.poisson(600 * light * FRAMES) / FRAMES + OFFSET
    calibration = {"flat": save(place / "flat.npy", flat), "dark": save(place / "dark.npy", dark)}
    return {"tiles": [tile | calibration | {"storage": given["storage"]} for tile in tiles]}


if __name__ == "__main__":
    main(acquire)
