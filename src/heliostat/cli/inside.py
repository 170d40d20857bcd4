"""How runs that are part of others are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat.cli import output

if TYPE_CHECKING:
    from heliostat.cli import shapes


def whole(details: shapes.RunDetails) -> str | None:
    """The run that a run is part of or tells its end, and where it stands there."""
    return None if details["parent"] is None else f"{details['parent']}, {details['parent_task']}"


def part_table(parts: list[shapes.PartShape]) -> object:
    """The runs that are part of a run or tell it their end."""
    found = output.table("run inside", "workflow", "is", "state")
    for part in parts:
        output.row(found, part["id"], part["workflow"], part["task"], output.state(part["state"]))
    return found
