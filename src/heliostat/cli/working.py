"""Work on a run in this process and show how it goes, or say who else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from heliostat.cli import output, shapes
from heliostat.cli.codes import INTERRUPTED, NOT_ENDED
from heliostat.cli.runs import show_end
from heliostat.errors import RunFailed
from heliostat.run import RunState

if TYPE_CHECKING:
    from heliostat.engine import Engine
    from heliostat.handle import RunHandle
    from heliostat.queue import WorkerInfo


def follow(engine: Engine, run: RunHandle, where: str, *, wait: bool, as_json: bool) -> None:
    """Say what has begun or, to wait for it, work on it here and show how it goes."""
    if not wait:
        if as_json:
            output.document(shapes.run_details(engine.store, run))
        else:
            typer.echo(run.id)
            if not run.info.state.final:
                _who_works(engine, run, where)
        return
    if work(engine, run) and not run.info.state.final:
        output.say(f"stopped; run {run.id} goes on with: {_worker(run, where)}")
        raise typer.Exit(INTERRUPTED)
    if as_json:
        output.document(shapes.run_details(engine.store, run))
    else:
        show_end(engine, run)
    if (info := run.info).state is not RunState.succeeded:
        raise typer.Exit(RunFailed.exit_code if info.state.final else NOT_ENDED)


def work(engine: Engine, run: RunHandle) -> bool:
    """Work until a run has ended, or until a signal says stop; answers whether one did."""
    from heliostat.cli.progress import Progress
    from heliostat.cli.signals import Stops
    from heliostat.engine import GRACE_SECONDS

    class Asked(Exception):
        """It is to stop."""

    with Stops(engine._ring) as stops:  # noqa: SLF001 - its worker waits, and is to look who asks

        def tick() -> None:
            if stops.asked:
                raise Asked
            progress.tick()

        try:
            with Progress(engine, run) as progress:
                engine.work(until=run, on_tick=tick)
        except Asked:
            output.say(f"stopping: what runs has {GRACE_SECONDS:g} s to end; a second signal hands it back at once")
            engine.stop(hurry=lambda: stops.asked > 1)
        return stops.asked > 0


def _who_works(engine: Engine, run: RunHandle, where: str) -> None:
    """Say whether anybody will do what was started."""
    label = run.graph.label
    if (nobody := untaken(engine, run, where)) is not None:
        output.say(f"{label} has started, and {nobody}")
        return
    data, able = run.graph.data, len(_able(engine, run))
    there = "is there" if data else "offers it"
    several = "are there" if data else "offer it"
    output.say(f"{label} has started; " + (f"a worker {there}" if able == 1 else f"{able} workers {several}"))


def untaken(engine: Engine, run: RunHandle, where: str) -> str | None:
    """A clause that says that nobody does a run, and what does, if that is so."""
    from heliostat.fleet import others

    if _able(engine, run):
        return None
    if run.graph.data:
        return f"no worker is there; start one with: {_worker(run, where)}"
    return f"no worker offers it{others(_there(engine), run.graph)}; one does with: {_worker(run, where)}"


def _able(engine: Engine, run: RunHandle) -> list[WorkerInfo]:
    from heliostat.fleet import offers

    return [worker for worker in _there(engine) if offers(worker, run.graph)]


def _there(engine: Engine) -> list[WorkerInfo]:
    from heliostat.fleet import takers

    return takers(engine.store.workers(), engine.around.clock.now())


def _worker(run: RunHandle, where: str) -> str:
    """How a worker is started that goes on with a run."""
    return "heliostat worker start" + ("" if run.graph.data else f" {where}")
