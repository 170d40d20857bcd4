"""See what is configured, and where it comes from."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import typer

from heliostat.cli import output
from heliostat.cli.output import AsJson
from heliostat.cli.session import Session, load, session
from heliostat.errors import BadInput, HeliostatError, nearest

if TYPE_CHECKING:
    from heliostat.batch import BatchQueue
    from heliostat.cli.shapes import ConfigShape, MistakesShape
    from heliostat.config import Config
    from heliostat.graph import Graph
    from heliostat.workflow import Workflow

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
    if found["installed"]:
        output.row(table, "", ", ".join(found["installed"]), "installed packages")
    output.row(table, "broker", found["broker"] or "none", found["broker_from"])
    output.row(table, "executor", found["executor"], found["executor_from"])
    output.row(table, "site", found["site"] or "none", found["site_from"])
    output.row(table, "environments", found["environments"], found["environments_from"])
    output.row(table, "secrets", found["secrets"] or "none", found["secrets_from"])
    for site, queues in found["sites"].items():
        output.row(table, f"sites.{site}", f"queues {', '.join(queues) or 'all'}", found["sites_from"])
    for queue, terms in found["queues"].items():
        said = {name: value for name, value in terms.items() if value is not None and name != "cluster"}
        words = [f"{name} {value}" for name, value in (said | (terms["cluster"] or {})).items()]
        output.row(table, f"queues.{queue}", ", ".join(words) or "no limit", found["queues_from"])
    output.show(table)


@app.command()
def check(as_json: AsJson = False) -> None:
    """Look for mistakes in heliostat.toml, and in what the apps want of it; exit code 4 if there are any."""
    mistakes = _mistakes()
    if as_json:
        shape: MistakesShape = {"mistakes": mistakes}
        output.document(shape)
    for mistake in [] if as_json else mistakes:
        output.line(output.text("✗ ", "red") + output.text(mistake))
    if mistakes:
        raise typer.Exit(BadInput.exit_code)
    if not as_json:
        output.line(output.text("✓ ", "green") + output.text("the configuration is in order"))


def _mistakes() -> list[str]:
    """Everything that is wrong, in the order of the file."""
    from heliostat import config, loading

    settings, mistakes = config.examine()
    flows: list[Workflow] = []
    for app in settings.apps:
        try:
            flows += load(app).values()
        except HeliostatError as error:
            mistakes.append(f"apps: {error}")
    flows += loading.besides(flows, mistakes.append).values()
    for flow in flows:
        mistakes += _missing(flow.graph, settings)
    return mistakes


def _missing(graph: Graph, settings: Config) -> list[str]:
    """What a workflow's nodes name and the configuration does not have."""
    from heliostat.secret import Secret
    from heliostat.vault import find

    known = settings.known
    wanting = [
        f"workflow {graph.name}, node {node.name}: there is no queue {node.queue!r}{nearest(node.queue, sorted(known))}"
        for node in graph
        if known is not None and node.queue not in known
    ]
    for node in graph:
        for value in {**node.env, **(node.job.env if node.job else {})}.values():
            try:
                _ = isinstance(value, Secret) and find(value.name, settings.secrets)
            except HeliostatError as error:
                wanting.append(f"workflow {graph.name}, node {node.name}: {error}")
    return wanting


def _installed() -> list[str]:
    """Where installed packages offer workflows; none where that cannot be told."""
    from heliostat import loading

    try:
        return list(loading.installed())
    except Exception as error:  # noqa: BLE001 - a package that is damaged is no mistake in the configuration
        output.say(f"what installed packages offer is left out: {type(error).__name__}: {error}")
        return []


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
        "installed": _installed(),
        "broker": config.masked(chosen.broker),
        "broker_from": chosen.whence["broker"],
        "executor": chosen.executor,
        "executor_from": chosen.whence["executor"],
        "site": chosen.site,
        "site_from": chosen.whence["site"],
        "secrets": str(chosen.secrets or ""),
        "secrets_from": chosen.whence["secrets"],
        "environments": str(chosen.environments),
        "environments_from": chosen.whence["environments"],
        "sites": {name: list(queues) for name, queues in chosen.sites.items()},
        "sites_from": chosen.whence["sites"],
        "queues": {
            name: {
                "limit": queue.terms.limit,
                "rate": queue.terms.rate,
                "executor": queue.runs or None,
                "containers": shlex.join(queue.containers) or None,
                "cluster": None if queue.batch is None else _cluster(queue.batch),
            }
            for name, queue in chosen.queues.items()
        },
        "queues_from": chosen.whence["queues"],
    }


def _cluster(batch: BatchQueue) -> dict[str, str | int]:
    """What is set of a queue's cluster; lines of shell and for the scheduler one behind the other, a script by size."""
    from dataclasses import asdict

    given = {name: value for name, value in asdict(batch).items() if value and name != "system"}
    told = {name: "; ".join(value) if isinstance(value, tuple) else value for name, value in given.items()}
    return told | (
        {"template": f"of {output.count(len(batch.template.splitlines()), 'line')}"} if batch.template else {}
    )
