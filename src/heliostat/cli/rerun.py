"""``run rerun``: a run anew, with the code of today."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from heliostat.cli.output import AsJson
from heliostat.cli.run import Id, Reason
from heliostat.cli.session import duration, find_run, session, workflow, workflows
from heliostat.cli.working import follow
from heliostat.errors import BadInput

if TYPE_CHECKING:
    from heliostat.workflow import Workflow


def rerun(
    context: typer.Context,
    run: Id,
    where: Annotated[
        str | None,
        typer.Argument(metavar="WHERE", help="The code of today: file.py:flow; else what the configured apps have."),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="NODE", help="Where to begin, perhaps several times; what lies before is taken over."),
    ] = None,
    reason: Reason = "",
    key: Annotated[str | None, typer.Option(help="The same key begins one run only.")] = None,
    deadline: Annotated[
        str | None, typer.Option(metavar="DURATION", help="It fails if it has not ended after so long: 90s, 6h.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Work here until it has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Begin a new run, with the code of today, that takes over what lies before a node; without --at, nothing."""
    until = None if deadline is None else duration(deadline, "--deadline")
    with session(context).engine() as engine:
        before = find_run(engine, run)
        flow = _today(before.graph.name, where)
        new = before.rerun(at or None, workflow=flow, reason=reason, idempotency_key=key, deadline=until)
        follow(engine, new, where or flow.name, wait=wait, as_json=as_json)


def _today(name: str, where: str | None) -> Workflow:
    """The workflow of a name: the one given, or that of the configured apps."""
    if where is not None:
        return workflow(where)
    found = next((flow for flow in workflows(()) if flow.name == name), None)
    if found is None:
        raise BadInput(f"no configured app has workflow {name}; say where the code of today is, as in file.py:{name}")
    return found
