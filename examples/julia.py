"""A Julia set in 5 × 5 tiles: fan out, compute in parallel, join, and keep every picture.

    heliostat run start examples/julia.py --wait                  # or: real=-0.5125 imaginary=0.5213
    python examples/julia.py

Of z → z² + c, each point is coloured by how soon it escapes; what never does is the set itself.
A tile is a task of its own, so a slow tile holds up no other, and one that is lost is computed again alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import heliostat
from heliostat import Artifact, Context, Workflow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STEPS = 500  # what has not escaped by then is taken for a point of the set
ESCAPED = 1e5  # the square of a distance from which nothing comes back
FINER = 2  # points per pixel, across and down
#: From the first to escape to the last: a night sky, a bright rim, embers.
COLOURS = ("#0b1026", "#123262", "#1f6f94", "#6fc0b4", "#f4f0c8", "#f6b25e", "#c4513d", "#5a1a43", "#140a24")


@dataclass
class View:
    """The constant c, what is looked at, and in how much detail.

    What is no view is refused before a run exists.
    """

    real: float = -0.8
    imaginary: float = 0.156
    width: float = 3.3  # of the picture, in the plane
    tiles: int = 5  # across and down
    across: int = 320  # pixels of a tile
    down: int = 200

    def __post_init__(self) -> None:
        if not 1 <= self.tiles <= 50:
            raise ValueError(f"tiles must be 1 to 50, not {self.tiles}")
        if not (self.width > 0 and self.across > 0 and self.down > 0):
            raise ValueError("width, across and down must be more than 0")


@dataclass
class Corner:
    """A tile's place: its row and column."""

    row: int
    column: int


julia = Workflow("julia")


@julia.node
def corners(message: View) -> list[Corner]:
    """Where the tiles are, row by row."""
    return [Corner(row, column) for row in range(message.tiles) for column in range(message.tiles)]


@julia.node(map={"corner": corners})
def tile(ctx: Context, message: View, corner: Corner) -> Path:
    """Compute one tile and keep it as a PNG."""
    from PIL import Image

    picture = Image.fromarray(coloured(escape_times(message, corner)))
    path = ctx.dir / f"tile-{corner.row}-{corner.column}.png"
    picture.resize((message.across, message.down), Image.Resampling.BOX).save(path)
    return path


@julia.node
def mosaic(ctx: Context, message: View, tile: list[Path]) -> Artifact:
    """Put them together; to name `tile` is to wait for all of them, and they come in the order of the list."""
    from PIL import Image

    whole = Image.new("RGB", (message.tiles * message.across, message.tiles * message.down))
    for number, path in enumerate(tile):
        row, column = divmod(number, message.tiles)
        with Image.open(path) as part:
            whole.paste(part, (column * message.across, row * message.down))
    whole.save(ctx.dir / "julia.png", optimize=True)
    return ctx.artifact(ctx.dir / "julia.png", media_type="image/png", tags=("mosaic",))


# the mathematics


def escape_times(view: View, corner: Corner) -> NDArray[np.float64]:
    """Steps until each point of a tile has escaped, made continuous; infinite where it never did."""
    import numpy as np

    across, down = view.across * FINER, view.down * FINER
    step = view.width / (view.tiles * across)
    x = (np.arange(across) + corner.column * across - (view.tiles * across - 1) / 2) * step
    y = ((view.tiles * down - 1) / 2 - np.arange(down) - corner.row * down) * step
    z = (x[None, :] + 1j * y[:, None]).ravel()
    times, still_here = np.full(z.size, np.inf), np.arange(z.size)
    for count in range(1, STEPS + 1):
        z = z * z + complex(view.real, view.imaginary)
        size = z.real**2 + z.imag**2
        gone = size > ESCAPED
        times[still_here[gone]] = count - np.log2(np.log(size[gone]) / np.log(ESCAPED))
        z, still_here = z[~gone], still_here[~gone]
    return times.reshape(down, across)


def coloured(times: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Red, green and blue for escape times, by their logarithm."""
    import numpy as np

    stops = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in COLOURS])
    late = np.clip(np.log(np.clip(times, 3, STEPS) / 3) / np.log(STEPS / 3), 0, 1) ** 0.8
    at = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(late, at, channel) for channel in stops.T], axis=-1).round().astype(np.uint8)


if __name__ == "__main__":
    with heliostat.open() as engine:
        run = engine.run(julia, View())
        print(f"run {run.id} kept {len(run.artifacts())} pictures; see: heliostat artifact get {run.id} julia.png")
