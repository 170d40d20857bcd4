"""See what is configured, and where it comes from."""

from __future__ import annotations

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
    from heliostat.config import masked

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
    output.row(table, "executor", found["executor"], found["executor_from"])
    output.row(table, "site", found["site"] or "none", found["site_from"])
    output.show(table)


def settled(given: Session) -> ConfigShape:
    """The configuration as this call has it."""
    from heliostat import config

    chosen = given.settings()
    return {
        "database": chosen.database,
        "database_from": chosen.whence["database"],
        "files": str(chosen.files),
        "files_from": chosen.whence["files"],
        "apps": list(chosen.apps),
        "apps_from": chosen.whence["apps"],
        "broker": config.masked(chosen.broker),
        "broker_from": chosen.whence["broker"],
        "executor": chosen.executor,
        "executor_from": chosen.whence["executor"],
        "site": chosen.site,
        "site_from": chosen.whence["site"],
    }
