"""Runs within runs within a run, whose workers are killed; what was done leaves a record."""

from __future__ import annotations

from heliostat import Context, Workflow

cell = Workflow("cell")


@cell.node
def sample(ctx: Context, message: int) -> int:
    """Begin."""
    ctx.put(message)
    return message


@cell.node
def refine(sample: int) -> int:
    """End."""
    return sample * 10


tile = Workflow("tile")


@tile.node
def corners(message: int) -> list[int]:
    """Two cells of each tile."""
    return [message, message + 1]


cells = tile.subworkflow("cells", cell, map={"message": corners})


@tile.node
def mean(cells: list[int]) -> float:
    """Of the cells."""
    return sum(cells) / len(cells)


land = Workflow("land")


@land.node
def tiles(message: int) -> list[int]:
    """So many of them."""
    return list(range(message))


surveyed = land.subworkflow("surveyed", tile, map={"message": tiles})


@land.node
def total(surveyed: list[float]) -> float:
    """Of all tiles."""
    return sum(surveyed)
