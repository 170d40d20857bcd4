"""The command ``heliostat``: its nouns, its global options, and what becomes of errors."""

from __future__ import annotations

import re
from errno import EPIPE
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from heliostat.cli import (
    acting,
    alone,
    artifact,
    compare,
    config,
    database,
    demo,
    doctor,
    node,
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
from heliostat.errors import HeliostatError, OperatorError, nearest


class Sentences(TyperGroup):
    """A group in which an error of Heliostat is one sentence and an exit code, and no stack trace.

    Each command in it takes ``--json``: one that has no document of its own writes what it did and said.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        _give_json(self)

    def invoke(self, ctx: Any) -> Any:
        output.begin(for_program=_is_asked_for_json(ctx))
        try:
            answer = super().invoke(ctx)
            output.end()
            return answer
        except typer.Exit as over:
            if over.exit_code == 0:
                output.end()
            raise
        except _UsageError as error:
            if isinstance(error, typer.BadParameter):
                error.message = _plainly(error.message)
            if not _is_asked_for_json(ctx):
                raise
            output.refuse("Usage", error.format_message(), error.exit_code)
            raise typer.Exit(error.exit_code) from None
        except HeliostatError as error:
            output.refuse(type(error).__name__, str(error), error.exit_code)
            raise typer.Exit(error.exit_code) from None
        except OSError as error:
            if error.errno == EPIPE:
                raise
            where = "" if error.filename is None else f"{error.filename}: "
            output.refuse(OperatorError.__name__, f"{where}{error.strerror or error}", OperatorError.exit_code)
            raise typer.Exit(OperatorError.exit_code) from None


def _is_asked_for_json(ctx: Any) -> bool:
    """Whether a program reads what the command says: seen before the command is, which may be written wrongly."""
    return "--json" in ctx.meta.setdefault(_WORDS, [*ctx._protected_args, *ctx.args])  # noqa: SLF001 - nobody tells


_UsageError: Any = typer.BadParameter.__base__  # which Typer does not give out by itself
_WORDS = "heliostat.words"  #: under which the words of the command line are kept


def _give_json(group: TyperGroup) -> None:
    """Let commands that know nothing of it take ``--json``, too."""
    for command in group.commands.values():
        if isinstance(command, TyperGroup):
            _give_json(command)
        elif not any("--json" in parameter.opts for parameter in command.params):
            command.params.append(_json_option())


def _json_option() -> Any:
    """The option, as it is on commands that have it, which is seen to here."""
    lone = typer.Typer()
    lone.command()(_takes_json)
    option = next(parameter for parameter in get_command(lone).params if "--json" in parameter.opts)
    option.expose_value = False
    option.callback = lambda context, parameter, value: output.for_programs() if value else None  # noqa: ARG005
    return option


def _takes_json(as_json: output.AsJson = False) -> None:
    pass


def _plainly(words: str) -> str:
    """What a choice should have been, in our words."""
    found = _CHOICE.fullmatch(words)
    if found is None:
        return words
    known = [word.strip("' ") for word in found["known"].split(",")]
    return f"there is no {found['given']!r}{nearest(found['given'], known)}"


_CHOICE = re.compile(r"(?:Value error, )?'(?P<given>.*)' is not one of (?P<known>.*)\.", re.DOTALL)

app = typer.Typer(cls=Sentences, no_args_is_help=True, pretty_exceptions_enable=False)


def _version(asked: bool) -> None:
    if asked:
        from heliostat.code import release

        typer.echo(f"heliostat {release()}")
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
node.app.command("run")(alone.run)
for verb in (acting.complete, acting.cancel, acting.retry, acting.pause, acting.resume):
    run.app.command()(verb)
run.app.command("rerun")(rerun.rerun)
run.app.command("compare")(compare.compare)
app.command("doctor")(doctor.doctor)
for noun in (run, task, review, worker, workflow, node, queue, artifact, database, config):
    app.add_typer(noun.app, name=noun.NAME, help=noun.__doc__)


def main() -> None:
    """The installed command."""
    app(prog_name="heliostat")
