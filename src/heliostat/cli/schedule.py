"""Pause and resume what workflows start by themselves, and fill back what they have not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from heliostat.cli import output, shapes
from heliostat.cli import session as sessions
from heliostat.cli.output import AsJson
from heliostat.cli.run import Reason, tell
from heliostat.cli.session import session, time
from heliostat.cli.working import untaken
from heliostat.errors import NotFound, OperatorError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heliostat.engine import Engine
    from heliostat.handle import RunHandle
    from heliostat.queue import Hold
    from heliostat.trigger import Schedule

Name = Annotated[str, typer.Argument(metavar="NAME", help="The workflow's name.")]


def pause(context: typer.Context, name: Name, reason: Reason = "") -> None:
    """Have a workflow's trigger start no more runs; those that it has started go on."""
    with session(context).engine() as engine:
        tell(engine.pause(name, reason), f"workflow {name} is paused")


def resume(context: typer.Context, name: Name, reason: Reason = "") -> None:
    """Let a workflow's trigger go on with its next tick."""
    with session(context).engine() as engine:
        answer = engine.resume(name, reason)
        tell(answer, f"workflow {name} goes on, next at {output.when(_of(engine.schedules(), name).next_at)}")


def backfill(
    context: typer.Context,
    where: Annotated[str, typer.Argument(metavar="WHERE", help="file.py:flow, module:flow, or a scheduled name.")],
    since: Annotated[
        str,
        typer.Option("--from", metavar="TIME", help="From this time on: 2026-01-31T06:00+01:00; local without a zone."),
    ],
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="Before this time, written alike.")],
    as_json: AsJson = False,
) -> None:
    """Have runs for the ticks of a period that is over; what a tick has started already is not started again."""
    first, last = time(since, "--from"), time(until, "--to")
    with session(context).engine(new=True) as engine:
        known, began = {schedule.workflow for schedule in engine.schedules()}, engine.around.clock.now()
        runs = engine.backfill(where if where in known else sessions.workflow(where), first, last)
        started = [run for run in runs if run.info.created_at >= began]
        if runs:
            _say_which(engine, runs, started, where if where not in known else f"FILE.py:{where}")
        if as_json:
            output.document([shapes.run_shape(run.info, run.graph) for run in runs])
            return
        made = output.table("tick (UTC)", "run", "state", whole=["run"])
        for run in runs:
            output.row(made, run.name, run.id, output.state(str(run.state)))
        output.show(made if runs else f"no tick is in that period, {output.when(first)} to {output.when(last)}")


def _say_which(engine: Engine, runs: list[RunHandle], started: list[RunHandle], where: str) -> None:
    """How many ticks have runs now, of them how many new ones, and whether anybody does these."""
    words = f"{output.count(len(runs), 'tick')}: {output.count(len(started), 'run')} started, "
    words += f"{len(runs) - len(started):,} {'was' if len(runs) - len(started) == 1 else 'were'} there"
    nobody = untaken(engine, started[-1], where) if started else None
    output.say(words + (f"; {nobody}" if nobody else ""))


class Schedules(NamedTuple):
    """The schedules of a database by workflow, who has paused them, and its time."""

    by_name: Mapping[str, Schedule] = {}
    holds: Mapping[str, Hold] = {}
    now: float = 0.0


def schedules(context: typer.Context) -> Schedules:
    """The schedules of the database; none where there is no database yet, or, said so, where it cannot be read."""
    try:
        with session(context).engine() as engine:
            return scheduled(engine)
    except NotFound:
        return Schedules()
    except OperatorError as error:  # a definition in a file can be shown all the same
        output.say(f"what the database knows of its ticks is left out: {error}")
        return Schedules()


def scheduled(engine: Engine) -> Schedules:
    """The schedules of an engine's database."""
    by_name = {schedule.workflow: schedule for schedule in engine.schedules()}
    of_paused = [name for name, schedule in by_name.items() if schedule.paused]
    holds = {hold.name: hold for hold in engine.store.holds() if hold.kind == "workflow" and hold.name in of_paused}
    return Schedules(by_name, holds, engine.around.clock.now())


def _of(found: list[Schedule], name: str) -> Schedule:
    return next(schedule for schedule in found if schedule.workflow == name)
