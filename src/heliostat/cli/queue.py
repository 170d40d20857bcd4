"""Look at queues, limit them, pause them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from heliostat.cli import output, shapes
from heliostat.cli.completion import queues
from heliostat.cli.output import AsJson
from heliostat.cli.run import Reason
from heliostat.cli.session import session
from heliostat.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heliostat.queue import Hold, Queue

NAME = "queue"
app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="QUEUE", help="A queue's name.", autocompletion=queues)]


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List queues, how full they are, and what holds their tasks: as far as is known here, also their jobs."""
    from heliostat.checks import held
    from heliostat.seen import grouped, standings

    with session(context).engine() as engine:
        store, now = engine.store, engine.around.clock.now()
        queues, holds, workers = store.queues(), store.holds(), store.workers()
        standing = standings(store, engine.around)
    if not (queues or as_json):
        output.show("no queues; they come with the workflows that use them")
        return
    shown: list[shapes.QueueShape] = []
    right = ["running", "limit", "rate", "ready"]
    found = output.table("queue", *right, "why", right=right, whole=["queue", *right])
    for queue, ready, running in queues:
        hold = shapes.hold_of(holds, "queue", queue.name) if queue.paused else None
        jobs = grouped(words for task, words in standing if task.queue == queue.name)
        why = held(queue, ready, running, workers, now)
        shown.append(shapes.queue_shape(queue, ready, running, hold=hold, why=why, jobs=jobs))
        limit = "none" if queue.limit is None else f"{queue.limit:,}"
        told = [paused(hold, now) if queue.paused else "", _by_hand(queue), why, *counted(jobs)]
        figures = (f"{running:,}", limit, queue.rate or "none", f"{ready:,}")
        output.row(found, queue.name, *figures, output.stacked(*told))
    if as_json:
        output.document(shown)
    else:
        output.show(found)


def paused(hold: Hold | None, now: float) -> str:
    """The mark of what is paused, with who has done that, when and why."""
    from heliostat.checks import paused_by

    return "paused" + (f" {paused_by(hold, now)}" if hold else "")


def counted(jobs: Mapping[str, int]) -> list[str]:
    """How jobs stand, the most first: a line for each reason, with how many there are."""
    return [f"{count:,} {words}" for words, count in sorted(jobs.items(), key=lambda pair: -pair[1])]


@app.command("set")
def set_(
    context: typer.Context,
    name: Name,
    limit: Annotated[int | None, typer.Option(min=1, help="How many tasks may run at once.")] = None,
    no_limit: Annotated[bool, typer.Option("--no-limit", help="As many as can.")] = False,
    rate: Annotated[str | None, typer.Option(metavar="N/s|m|h|d", help="How many may begin in a time: 600/m.")] = None,
    no_rate: Annotated[bool, typer.Option("--no-rate", help="As fast as they can.")] = False,
    as_configured: Annotated[
        bool, typer.Option("--as-configured", help="Both as heliostat.toml says, now and from now on.")
    ] = False,
    reason: Reason = "",
) -> None:
    """Limit how many tasks of a queue run at once, and how many begin in a time, over all workers.

    This holds until somebody sets it again, whatever is configured.
    """
    change: dict[str, int | str | None] = {}
    if limit is not None or no_limit:
        change["limit"] = limit
    if rate is not None or no_rate:
        change["rate"] = rate
    if rate is not None:
        from heliostat.queue import pace

        pace(rate, f"queue {name}: rate")  # here, since to the engine an empty one means that it stays
    if bool(change) == as_configured or (limit is not None and no_limit) or (rate is not None and no_rate):
        raise BadInput("say --limit N or --no-limit, --rate N/s or --no-rate, or --as-configured alone")
    if as_configured:
        output.say(f"queue {name} as configured: {_set(context, name, reason, as_configured=True)}")
    else:
        output.say(f"queue {name}: {_set(context, name, reason, **change)}")


@app.command()
def pause(context: typer.Context, name: Name, reason: Reason = "") -> None:
    """Let no more tasks of a queue begin; what is running goes on."""
    _set(context, name, reason, paused=True)
    output.say(f"queue {name} is paused" + (f": {reason}" if reason else ""))


@app.command()
def resume(context: typer.Context, name: Name, reason: Reason = "") -> None:
    """Let tasks of a paused queue begin again."""
    output.say(f"queue {name} goes on; {_set(context, name, reason, paused=False)}")


def _by_hand(queue: Queue) -> str:
    """What an operator has set otherwise than configured."""
    from heliostat.queue import NO_TERMS

    kept = [term for term in queue.configured._fields if queue.overruled(term)]
    if not kept or queue.configured == NO_TERMS:
        return ""
    return "; ".join(f"{term} set by hand, configured is {getattr(queue.configured, term) or 'none'}" for term in kept)


def _set(context: typer.Context, name: str, reason: str, **change: Any) -> str:
    """Set something, and answer on what terms the queue is now; programs are told that, too."""
    with session(context).engine() as engine:
        engine.set_queue(name, reason=reason, **change)
        queue = next(queue for queue, *_ in engine.store.queues() if queue.name == name)
    output.fact(queue=name, limit=queue.limit, rate=queue.rate, paused=queue.paused)
    words = [f"at most {queue.limit:,} at once" if queue.limit else "no limit"]
    words += [f"{queue.rate} begin" if queue.rate else "no rate"]
    words += ["paused"] if queue.paused and "paused" not in change else []
    return f"{', '.join(words)}" + (f" ({told})" if (told := _by_hand(queue)) else "")
