"""``workflow grid``: which subject stands where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from heliostat.cli import output, shapes
from heliostat.cli.completion import workflows
from heliostat.cli.output import AsJson
from heliostat.cli.session import session
from heliostat.errors import NotFound, nearest

if TYPE_CHECKING:
    from heliostat.engine import Engine
    from heliostat.grid import Cell, Row

Flow = Annotated[str, typer.Argument(metavar="WORKFLOW", help="A workflow's name.", autocompletion=workflows)]
#: A state of Heliostat with the glyph and colour of each word.
LIKE = {
    "queued": "ready",
    "finished execution": "running",
    "success": "succeeded",
    "failed execution": "failed",
    "killed": "cancelled",
}
AT_REST = ("success", "cancelled", "skipped")  #: what nobody has to look at


def grid(
    context: typer.Context,
    workflow: Flow,
    limit: Annotated[int, typer.Option(min=1, help="How many subjects, the newest of them.")] = 100,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are not at rest.")] = False,
    parts: Annotated[bool, typer.Option("--parts", help="A row for each part that a subject goes on in.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Earlier runs of the same subject, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show which subject stands where: a row for each run by its name, a column for each node."""
    from heliostat.grid import grid as gridded

    with session(context).engine() as engine:
        found = gridded(engine, _known(engine, workflow), limit, every=everything, parts=parts)
    rows = [row for row in found.rows if not open_only or any(_restless(cell) for cell in row.cells.values())]
    if as_json:
        shape: shapes.GridShape = {
            "workflow": found.workflow,
            "nodes": list(found.nodes),
            "subjects": [_shape(row) for row in rows],
        }
        output.document(shape)
        return
    if not rows:
        rest = len(found.rows)
        output.show(f"no subject is open; {rest:,} {'is' if rest == 1 else 'are'} at rest" if rest else "no subjects")
        return
    table = output.table("subject", *found.nodes, whole=["subject", *found.nodes])
    for row in rows:
        name = f"{'  ' * row.depth}{row.subject}"
        output.row(table, name, *(_told(row.cells.get(node)) for node in found.nodes))
    output.show(table)


def _known(engine: Engine, name: str) -> str:
    known = {graph.name for graph in engine.store.graphs()}
    if name not in known:
        raise NotFound(f"there is no workflow {name!r}{nearest(name, sorted(known))}")
    return name


def _restless(cell: Cell) -> bool:
    return any(str(state) not in AT_REST for state in cell.tasks)


def _told(cell: Cell | None) -> object:
    if cell is None:
        return output.text("·", "bright_black")
    word = str(cell.state)
    like = LIKE.get(word, word)
    total = sum(cell.tasks.values())
    count = f" {cell.tasks[cell.state]:,}/{total:,}" if total > 1 else ""
    return output.text(f"{output.MARKS.get(like, '·')} {word}{count}", output.COLOURS.get(like, ""))


def _shape(row: Row) -> shapes.SubjectShape:
    nodes: dict[str, shapes.CellShape] = {
        name: {
            "state": str(cell.state),
            "task": cell.task,
            "tasks": {str(state): count for state, count in cell.tasks.items()},
            "reason": cell.reason,
        }
        for name, cell in row.cells.items()
    }
    return {"subject": row.subject, "run": row.run, "state": row.state, "depth": row.depth, "nodes": nodes}
