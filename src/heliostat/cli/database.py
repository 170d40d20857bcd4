"""Bring the database up to date, see how it stands, forget old runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from heliostat.cli import output
from heliostat.cli.config import masked
from heliostat.cli.output import AsJson
from heliostat.cli.session import duration, session

if TYPE_CHECKING:
    from heliostat.cli.shapes import DatabaseShape

NAME = "db"
app = typer.Typer(no_args_is_help=True)

PAGE = 500


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
    older: Annotated[str, typer.Option("--older-than", metavar="TIME", help="Ended so long ago: 30d, 12h.")],
) -> None:
    """Forget runs that ended long ago, with all that belongs to them but their files."""
    age = duration(older, "--older-than")
    with session(context).engine() as engine:
        before, forgotten = engine.around.clock.now() - age, 0
        while done := engine.store.prune(before, PAGE):
            forgotten += done
    output.say(f"{output.count(forgotten, 'run')} forgotten")
