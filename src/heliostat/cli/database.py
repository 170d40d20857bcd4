"""Bring the database up to date, see how it stands, forget old runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from heliostat.cli import output
from heliostat.cli.bar import bars
from heliostat.cli.output import AsJson, stamp
from heliostat.cli.session import duration, session, time

if TYPE_CHECKING:
    from heliostat.cli.shapes import DatabaseShape, PruneShape

NAME = "db"
app = typer.Typer(no_args_is_help=True)


@app.command()
def upgrade(context: typer.Context) -> None:
    """Bring the schema to this version of Heliostat; repeated, it does nothing."""
    with session(context).engine(new=True) as engine:
        done = engine.store.upgrade()
    for name in done:
        output.show(output.text(name))
    output.say(f"{output.count(len(done), 'migration')} carried out" if done else "nothing to do")


@app.command()
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Say which schema the database has, and which is needed; exit code 6 if they differ."""
    from heliostat.cli.config import settled
    from heliostat.config import masked
    from heliostat.errors import OperatorError

    place = masked(settled(session(context))["database"])
    with session(context).engine(new=True) as engine:
        schema, needed = engine.store.status()
    found: DatabaseShape = {"database": place, "schema": schema, "needed": needed}
    if as_json:
        output.document(found)
    else:
        words = "up to date" if schema == needed else "none yet" if not schema else "run: heliostat db upgrade"
        output.show(output.facts({"database": place, "schema": f"{schema} of {needed}, {words}"}))
    if 0 < schema != needed:
        raise typer.Exit(OperatorError.exit_code)


@app.command()
def prune(
    context: typer.Context,
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Ended before it: 2026-01-31T12:00+01:00; local without a zone.")
    ] = None,
    older_than: Annotated[str | None, typer.Option(metavar="DURATION", help="Ended so long ago: 30d, 12h.")] = None,
    as_json: AsJson = False,
) -> None:
    """Forget runs that ended long ago, with all that belongs to them; files that other runs keep too stay."""
    age, until = _age(before, older_than)
    with session(context).engine() as engine:
        until = engine.around.clock.now() - age if until is None else until
        with bars("forgotten", ("runs", "files")) as advance:
            done = engine.prune(until, on_progress=advance)
    if as_json:
        found: PruneShape = {"before": stamp(until), "runs": done.runs, "bytes": done.bytes, "left": done.left}
        output.document(found)
        return
    output.say(f"{output.count(done.runs, 'run')} forgotten, {output.size(done.bytes)} of files removed")
    if done.left:
        stay = "file stays" if done.left == 1 else "files stay"
        output.say(f"{done.left:,} {stay} for now: kept within the last hour, or since something that is running began")


def _age(before: str | None, older_than: str | None) -> tuple[float, float | None]:
    """How long ago runs must have ended, or before which time."""
    if (before is None) == (older_than is None):
        raise typer.BadParameter("say how far back, one of the two", param_hint="--before or --older-than")
    if older_than is not None:
        return duration(older_than, "--older-than"), None
    return 0.0, time(before or "", "--before")
