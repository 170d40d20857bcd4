"""What the shell offers where a run, a workflow, a node or a queue is to be typed.

It asks the database, for a moment only: where that is away, is not there yet or does not answer, nothing is offered,
and nothing is said, made or waited for.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from heliostat.store import Store

PATIENCE_SECONDS = 1.0  #: with which somebody at a keyboard waits
MOST = 100  #: runs that are offered, newest first

Offers: TypeAlias = list[tuple[str, str]]


def runs(context: typer.Context, incomplete: str) -> Offers:
    """Ids of runs, newest first, with what they are of."""

    def found(store: Store) -> Iterable[tuple[str, str]]:
        labels = {graph.id: graph.label for graph in store.graphs()}
        return [(run.public, f"{labels.get(run.graph, '')} {run.state}") for run in store.runs(limit=MOST)]

    return _offered(context, incomplete, found)


def workflows(context: typer.Context, incomplete: str) -> Offers:
    """Names of workflows that the database knows."""
    return _offered(context, incomplete, lambda store: [(graph.name, graph.label) for graph in store.graphs()])


def nodes(context: typer.Context, incomplete: str) -> Offers:
    """Nodes with their workflows: ``fire/spread``."""

    def found(store: Store) -> Iterable[tuple[str, str]]:
        return [(f"{graph.name}/{node.name}", str(node.kind)) for graph in store.graphs() for node in graph]

    return _offered(context, incomplete, found)


def node_names(context: typer.Context, incomplete: str) -> Offers:
    """Names of nodes, with the workflows that have them."""
    return _offered(
        context, incomplete, lambda store: [(node.name, graph.label) for graph in store.graphs() for node in graph]
    )


def queues(context: typer.Context, incomplete: str) -> Offers:
    """Names of queues."""

    def found(store: Store) -> Iterable[tuple[str, str]]:
        return [(queue.name, f"{ready} ready") for queue, ready, _ in store.queues()]

    return _offered(context, incomplete, found)


def _offered(context: typer.Context, incomplete: str, found: Callable[[Store], Iterable[tuple[str, str]]]) -> Offers:
    """What begins as it was typed, each once; nothing if that cannot be had in a moment."""
    answers: Offers = []

    def look() -> None:
        with suppress(Exception):  # whatever it is, somebody is typing
            answers.extend(_asked(context, found))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    given = [] if thread.is_alive() else answers
    return list({name: (name, about) for name, about in given if name.startswith(incomplete)}.values())


def _asked(context: typer.Context, found: Callable[[Store], Iterable[tuple[str, str]]]) -> Offers:
    from pathlib import Path

    from heliostat import compose
    from heliostat.cli.session import Session

    options = context.find_root().params  # while a line is completed, no command runs that could have made a session
    settings = Session(options.get("database"), options.get("files")).settings()
    scheme, _, place = settings.database.partition(":///")
    if scheme == "sqlite" and not Path(place).is_file():  # to open it would make it
        return []
    store, _ = compose.store_on(settings.database, patience=PATIENCE_SECONDS)
    try:
        schema, needed = store.status()
        return list(found(store)) if schema == needed else []
    finally:
        store.close()
