"""The command ``heliostat``: its nouns, its global options, and what becomes of errors."""

from __future__ import annotations

from errno import EPIPE
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from heliostat.cli import (
    alone,
    artifact,
    compare,
    config,
    database,
    demo,
    doctor,
    output,
    queue,
    rerun,
    review,
    run,
    task,
    worker,
    workflow,
)
from heliostat.cli.session import Session
from heliostat.errors import HeliostatError, OperatorError


class Sentences(TyperGroup):
    """A group in which an error of Heliostat is one sentence and an exit code, and no stack trace."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except HeliostatError as error:
            output.say(f"heliostat: {error}")
            raise typer.Exit(error.exit_code) from None
        except OSError as error:
            if error.errno == EPIPE:
                raise
            where = "" if error.filename is None else f"{error.filename}: "
            output.say(f"heliostat: {where}{error.strerror or error}")
            raise typer.Exit(OperatorError.exit_code) from None


app = typer.Typer(cls=Sentences, no_args_is_help=True, pretty_exceptions_enable=False)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"heliostat {version('heliostat')}")
        except PackageNotFoundError:
            typer.echo("heliostat, not installed: run from its sources")
        raise typer.Exit


@app.callback()
def heliostat(
    context: typer.Context,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="sqlite:///file.db or postgresql://…; else as configured.", show_default=False
        ),
    ] = None,
    files: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where artifacts, logs and jobs are; else as configured.", show_default=False),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback does it
        bool, typer.Option("--version", help="Say which version this is, and end.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """A durable workflow engine: start runs, watch them, work on them."""
    context.obj = Session(database, files)


app.command("demo")(demo.demo)
node = typer.Typer(no_args_is_help=True)
node.command("run")(alone.run)
app.add_typer(node, name="node", help="Run one node alone.")
run.app.command("rerun")(rerun.rerun)
run.app.command("compare")(compare.compare)
app.command("doctor")(doctor.doctor)
for noun in (run, task, review, worker, workflow, queue, artifact, database, config):
    app.add_typer(noun.app, name=noun.NAME, help=noun.__doc__)


def main() -> None:
    """The installed command."""
    app(prog_name="heliostat")
