"""See what is configured, and where it comes from."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import typer

from heliostat.cli import output
from heliostat.cli.output import AsJson
from heliostat.cli.session import Session, session

if TYPE_CHECKING:
    from heliostat.cli.shapes import ConfigShape

NAME = "config"
app = typer.Typer(no_args_is_help=True)


@app.command()
def show(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the configuration, and where each value comes from."""
    found = settled(session(context))
    found["database"] = masked(found["database"])
    if as_json:
        output.document(found)
        return
    table = output.table("setting", "value", "from")
    output.row(table, "database", found["database"], found["database_from"])
    output.row(table, "files", found["files"], found["files_from"])
    output.row(table, "apps", ", ".join(found["apps"]) or "none", found["apps_from"])
    output.row(table, "broker", found["broker"] or "none", found["broker_from"])
    output.show(table)


def settled(given: Session) -> ConfigShape:
    """The configuration as this call has it."""
    import tomllib
    from pathlib import Path

    from heliostat import config

    chosen, file = config.read(), Path(config.FILE)
    written = tomllib.loads(file.read_text("utf-8")) if file.exists() else {}

    def origin(option: str | None, variable: str | None, setting: str) -> str:
        if option is not None:
            return "the command line"
        if variable is not None and os.environ.get(variable):
            return variable
        return config.FILE if setting in written else "default"

    files = None if given.files is None else str(given.files)
    return {
        "database": given.database or chosen.database,
        "database_from": origin(given.database, "HELIOSTAT_DATABASE", "database"),
        "files": files or str(chosen.files),
        "files_from": origin(files, "HELIOSTAT_FILES", "artifacts"),
        "apps": list(chosen.apps),
        "apps_from": origin(None, None, "apps"),
        "broker": masked(chosen.broker),
        "broker_from": origin(None, "HELIOSTAT_BROKER", "broker"),
    }


def masked(url: str) -> str:
    """A database's address without its password."""
    url = re.sub(r"(://[^/@:]*):[^/]*@", r"\1:***@", url)
    return re.sub(r"(?i)([?&]password=)[^&]*", r"\1***", url)
