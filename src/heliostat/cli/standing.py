"""How a run stands: what it waits for, and waiting for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat.cli import output, shapes
from heliostat.cli.codes import NOT_ENDED
from heliostat.errors import NotEnded

if TYPE_CHECKING:
    from heliostat.engine import Engine
    from heliostat.handle import RunHandle
    from heliostat.reasons import Reason


def show_reasons(engine: Engine, run: RunHandle, *, as_json: bool) -> None:
    """Print why a run is not over."""
    from heliostat.cli.log import trace
    from heliostat.reasons import reasons, summary
    from heliostat.story import cause

    store = engine.store
    found = reasons(store, run)
    words, info = summary(store, run, found), run.info
    raised = None if found else cause(store, info, engine.around.log_files)
    if as_json:
        told: shapes.RunReasons = {
            "id": run.id,
            "state": str(info.state),
            "paused": info.paused,
            "summary": words,
            "reasons": [_shape(reason) for reason in found],
            "traceback": None if raised is None else raised.text,
        }
        output.document(told)
        return
    output.show(output.text(words))
    if not found:
        if raised is not None:
            output.show(*trace(raised))
        return
    table = output.table("state", "tasks", "why", "nodes", right=["tasks"], whole=["state", "tasks"])
    for reason in found:
        nodes = ", ".join(f"{node} {count:,}×" if count > 1 else node for node, count in reason.nodes.items())
        why = reason.why + (f" (task {reason.first[0].partition('/')[2]}; others alike)" if reason.alike else "")
        output.row(table, output.state(str(reason.state)), f"{reason.tasks:,}", why, nodes)
    output.show("", table)


def _shape(reason: Reason) -> shapes.ReasonShape:
    return {
        "state": str(reason.state),
        "why": reason.why,
        "alike": reason.alike,
        "tasks": reason.tasks,
        "nodes": dict(reason.nodes),
        "first": list(reason.first),
    }


def wait_for(engine: Engine, run: RunHandle, seconds: float | None) -> bool:
    """Show how a run goes until it is over; answers False, and says why, where it is not waited for any longer."""
    from heliostat.cli.progress import Progress

    try:
        with Progress(engine, run) as progress:
            engine._wait(run, lambda: run.over, seconds, progress.tick)  # noqa: SLF001 - shown meanwhile
    except NotEnded as error:
        words = error.waits_for.partition("; work on it here")[0]
        output.refuse(type(error).__name__, f"run {run.id} has not ended: {words}", NOT_ENDED)
        return False
    return True
