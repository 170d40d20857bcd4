"""Workflows as data: write them as JSON, and have workers run what is in such a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heliostat.cli import output, shapes
from heliostat.cli import session as sessions
from heliostat.cli.output import AsJson
from heliostat.cli.session import session
from heliostat.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable


def export(
    context: typer.Context,
    where: Annotated[
        str, typer.Argument(metavar="WHERE", help="file.py:flow, module:flow, or a name from the apps or the database.")
    ],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write here, not to standard output.")] = None,
    as_json: AsJson = False,  # noqa: ARG001 - it writes nothing else
) -> None:
    """Write a workflow of jobs and reviews as JSON, which `import` reads."""
    from heliostat.definition import written

    text = json.dumps(written(sessions.graph(context, where)), indent=2, ensure_ascii=False)
    if out is None:
        typer.echo(text)
    else:
        out.write_text(text + "\n", "utf-8")
        output.say(f"written: {out}")


def import_(
    context: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="A JSON file as `export` writes it, Blue Sky's YAML, or - for JSON as input."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Keep workflows as data: from then on each is started by its name, and any worker runs it.

    Of a file with several, all are kept or none.
    """
    yaml = file.endswith((".yaml", ".yml"))
    data = _from_yaml(file) if yaml else [_document(file)]
    with session(context).engine(new=True) as engine:
        graphs = [flow.graph for flow in engine.register_many(data)]
    if as_json:
        found = [shapes.workflow_shape(graph) for graph in graphs]
        output.document(found if yaml else found[0])
        return
    for graph in graphs:
        output.say(f"{graph.label} is kept; start it with: heliostat run start {graph.name}")


def _from_yaml(file: str) -> list[Any]:
    """The workflows of a YAML file, as data."""
    from heliostat.importers import bluesky

    flows = bluesky.load(file)
    if not flows:
        raise BadInput(f"{file}: there is no workflow in it")
    return [flow.to_json() for flow in flows.values()]


def _document(file: str) -> Any:
    """What is in a JSON file; of a file that is too large no more is read than shows it."""
    from heliostat.codec import LIMIT_BYTES

    try:
        if file == "-":
            text = sys.stdin.buffer.read(LIMIT_BYTES + 1)
        else:
            with Path(file).open("rb") as stream:
                text = stream.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror or error}") from None
    if len(text) > LIMIT_BYTES:
        raise BadInput(f"{file}: more than {LIMIT_BYTES:,} bytes; a workflow as data has fewer")
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{'standard input' if file == '-' else file}: not JSON ({error})") from None


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose fields are all said once: of two, nobody could know which is meant."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the field {name[:100]!r} is given twice")
        found[name] = value
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number of JSON")
