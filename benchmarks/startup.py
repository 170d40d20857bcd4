"""Command lines whose start is measured: Heliostat's, and a bare one of the same shape."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import click
import typer

from benchmarks.measure import MeasureError

if TYPE_CHECKING:
    from pathlib import Path

Tree: TypeAlias = "dict[str, Tree]"  # commands by name; a command that is no group has none

HELIOSTAT = [sys.executable, "-c", "from heliostat.cli import main; main()"]


def tree(command: Any) -> Tree:
    """The commands below a command."""
    if not hasattr(command, "list_commands"):
        return {}
    context = click.Context(command)
    return {name: tree(command.get_command(context, name)) for name in command.list_commands(context)}


def lines(commands: Tree, app: str) -> list[str]:
    """The source that gives an app such commands."""
    found = [f"{app} = typer.Typer(no_args_is_help=True)"]
    for name, below in commands.items():
        inner = f"{app}_{name.replace('-', '_')}"
        if below:
            found += [*lines(below, inner), f"{app}.add_typer({inner}, name={name!r}, help='Do things.')"]
        else:
            found += [f"@{app}.command({name!r})", f"def {inner}(name: str, much: int = 1) -> None:", "    'Do it.'"]
    return found


def write_bare_app(folder: Path) -> list[str]:
    """Write a Typer app with as many commands and groups as Heliostat has; answers how to start it."""
    try:
        own = importlib.import_module("heliostat.cli").app
    except (ImportError, AttributeError) as error:
        raise MeasureError(f"Heliostat's commands cannot be counted: {error}") from None
    commands = tree(typer.main.get_command(own) if isinstance(own, typer.Typer) else own)
    (folder / "bare_app.py").write_text("\n".join(["import typer", *lines(commands, "app")]))
    return [sys.executable, "-c", "from bare_app import app; app()"]
