"""What people look at: a section before and after, the whole stack, and a cut through it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

STEP = 292  # pixels from tile to tile, as the stage was told
NIGHT, PAPER, QUIET = "#070b14", "#e8edf2", "#8b98a8"
#: From nothing to bright: deep water, glass, lamp light.
GLOW = ("#05070d", "#0a1a2f", "#103a52", "#1d6a78", "#4fa79a", "#bfe0b4", "#fff6d5")
INK = {"good": "#8fd3a8", "doubtful": "#f0b35e"}


def section(image: str, target: Path) -> Path:
    """An aligned section as a picture."""
    from PIL import Image

    Image.fromarray(_coloured(np.load(image))).save(target, optimize=True)
    return target


def report(out: Path, names: Sequence[str], counted: Mapping[str, Mapping[str, Any]]) -> list[Path]:
    """Before and after, a contact sheet, and a cut through the stack."""
    middle = names[len(names) // 2]
    return [
        before_and_after(out, middle, counted[middle], out / "before-after.png"),
        contact_sheet(out, names, counted, out / "contact-sheet.png"),
        cut(out, names, out / "cut.png"),
    ]


def before_and_after(out: Path, name: str, counted: Mapping[str, Any], target: Path) -> Path:
    """The same section as it was acquired, and as it came out."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    done = np.load(out / name / "aligned.npy")
    raw = pasted(out / name)[: done.shape[0], : done.shape[1]]
    labels = np.load(out / name / "labels.npy")
    figure, axes = plt.subplots(1, 2, figsize=(16, 6.9), dpi=100, facecolor=NIGHT)
    _show(axes[0], _coloured(np.sqrt(np.maximum(raw - 100, 0)), 0.5, 99.7, root=False))
    _show(axes[1], _outlined(_coloured(done), labels))
    notes = (
        ("as acquired", "uneven light, noise, seams: tiles laid where the stage was told to go"),
        ("as it came out", f"flat-fielded, denoised, stitched, aligned; {counted['nuclei']:,} nuclei outlined"),
    )
    for axis, (title, note) in zip(axes, notes, strict=True):
        axis.set_title(title, color=PAPER, fontsize=19, loc="left", pad=24)
        axis.text(0, 1.018, note, color=QUIET, fontsize=12, transform=axis.transAxes)
    _scale_bar(axes[1], done.shape)
    figure.subplots_adjust(left=0.012, right=0.988, top=0.88, bottom=0.02, wspace=0.02)
    figure.savefig(target, facecolor=NIGHT)
    plt.close(figure)
    return target


def contact_sheet(out: Path, names: Sequence[str], counted: Mapping[str, Mapping[str, Any]], target: Path) -> Path:
    """All sections, with what was counted and what quality said."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    across = min(3 if len(names) % 3 == 0 else 4, len(names))
    down = -(-len(names) // across)
    figure, axes = plt.subplots(down, across, figsize=(16, 0.7 + 3.35 * down), dpi=100, facecolor=NIGHT, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, name in zip(axes.flat, names, strict=False):
        said = counted[name]
        _show(axis, _coloured(np.load(out / name / "aligned.npy"))[::2, ::2])
        axis.set_title(name.replace("section-", ""), color=PAPER, fontsize=15, loc="left", pad=6)
        axis.text(
            1, 1.025, f"{said['nuclei']:,} nuclei   {said['verdict']}", color=INK[said["verdict"]], fontsize=11,
            ha="right", transform=axis.transAxes,
        )  # fmt: skip
    figure.subplots_adjust(
        left=0.012, right=0.988, top=1 - 0.42 / (0.7 + 3.35 * down), bottom=0.012, wspace=0.03, hspace=0.14
    )
    figure.savefig(target, facecolor=NIGHT)
    plt.close(figure)
    return target


def cut(out: Path, names: Sequence[str], target: Path) -> Path:
    """One line of every section, one below the other, as they were stitched and as they were aligned."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    stacks = [[np.load(out / name / f"{kind}.npy") for name in names] for kind in ("mosaic", "aligned")]
    figure, axes = plt.subplots(2, 1, figsize=(16, 6.4), dpi=100, facecolor=NIGHT)
    for axis, stack, title in zip(axes, stacks, ("stitched", "aligned"), strict=True):
        width = min(image.shape[1] for image in stack)
        row = int(np.median(np.flatnonzero((stack[0] > 0).any(axis=1))))  # amid what was seen
        lines = np.stack([image[row - 1 : row + 2, :width].mean(axis=0) for image in stack])
        axis.imshow(_coloured(lines, 1, 99.5), aspect="auto", interpolation="nearest")
        axis.set_axis_off()
        axis.set_title(f"a cut through the stack, {title}", color=PAPER, fontsize=15, loc="left", pad=8)
    figure.subplots_adjust(left=0.012, right=0.988, top=0.93, bottom=0.02, hspace=0.2)
    figure.savefig(target, facecolor=NIGHT)
    plt.close(figure)
    return target


def pasted(place: Path) -> NDArray[np.float64]:
    """Raw tiles, laid where the stage was told to go."""
    tiles = {file.stem.removeprefix("raw-"): np.load(file) for file in sorted(place.glob("raw-*.npy"))}
    corners = {name: tuple(int(word) * STEP for word in name.split("-")) for name in tiles}
    size = next(iter(tiles.values())).shape[0]
    image = np.zeros([max(corner[axis] for corner in corners.values()) + size for axis in (0, 1)])
    for name, tile in tiles.items():
        top, left = corners[name]
        image[top : top + size, left : left + size] = tile
    return image


def _coloured(image: NDArray[Any], low: float = 2, high: float = 99.8, *, root: bool = True) -> NDArray[np.uint8]:
    """Brightness as colour; what is far brighter than the rest does not darken it."""
    seen = np.sqrt(np.maximum(image, 0)) if root else image
    bottom, top = np.percentile(seen[image > 0], (low, high))  # where nothing was seen, nothing is told
    level = np.clip((seen - bottom) / max(top - bottom, 1e-9), 0, 1)
    stops = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in GLOW])
    at = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(level, at, channel) for channel in stops.T], axis=-1).round().astype(np.uint8)


def _outlined(picture: NDArray[np.uint8], labels: NDArray[Any]) -> NDArray[np.uint8]:
    """The edge of each nucleus in a warm colour."""
    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        differs = np.diff(labels, axis=axis) != 0
        edge |= np.pad(differs, [(0, int(axis == a)) for a in (0, 1)])
    edge &= labels > 0
    made = picture.astype(float)
    made[edge] = 0.25 * made[edge] + 0.75 * np.array([255, 138, 76])
    return made.astype(np.uint8)


def _show(axis: Axes, picture: NDArray[np.uint8]) -> None:
    axis.imshow(picture, interpolation="lanczos")
    axis.set_axis_off()


def _scale_bar(axis: Axes, shape: tuple[int, ...]) -> None:
    """A hundred micrometres, at two pixels each."""
    right, bottom = shape[1] - 30, shape[0] - 34
    axis.plot([right - 200, right], [bottom, bottom], color=PAPER, linewidth=3, solid_capstyle="butt")
    axis.text(right - 100, bottom - 12, "100 µm", color=PAPER, fontsize=11, ha="center", va="bottom")
