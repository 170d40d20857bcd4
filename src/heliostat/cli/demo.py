"""The demonstration: a wildfire, from a region to a map."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heliostat.cli import output, shapes
from heliostat.cli.session import Session, load, session
from heliostat.errors import NotFound, RunFailed
from heliostat.run import RunState

if TYPE_CHECKING:
    from heliostat.engine import Engine
    from heliostat.handle import RunHandle
    from heliostat.workflow import Workflow


def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where everything goes that comes of it.")] = Path(
        "heliostat-demo"
    ),
) -> None:
    """Run a wildfire over real terrain, and draw its map."""
    from heliostat.cli.progress import Progress
    from heliostat.cli.runs import node_table
    from heliostat.cli.workflow import Format, drawn_run

    if missing := [name for name in ("matplotlib", "numpy") if find_spec(name) is None]:
        raise NotFound(f"the demonstration needs {' and '.join(missing)}: pip install 'heliostat[examples]'")
    flow, region = _example()
    out.mkdir(parents=True, exist_ok=True)
    given = session(context)
    place = Session(given.database or f"sqlite:///{out / 'heliostat.db'}", given.files or out / "files")
    with place.engine(new=True) as engine:
        run = engine.start(flow, region, name="demonstration")
        with Progress(engine, run) as progress:
            engine.work(until=lambda: run.over or bool(run.reviews()), on_tick=progress.tick)
            for review in run.reviews():
                run.decide(review, "publish", "a demonstration has no officer to wait for")
            engine.work(until=run, on_tick=progress.tick)
        written = _files(engine, run, out)
        graph = out / "wildfire.svg"
        graph.write_text(drawn_run(engine, run, Format.svg), "utf-8")
        details = shapes.run_details(engine.store, run)
        info = run.info
        took = output.span(info.created_at, info.ended_at)
        head = output.text(f"run {run.id} ") + output.state(str(info.state)) + output.text(f" in {took}")
        output.show("", head, "", node_table(run, details["nodes"]), "")
        if info.state is RunState.succeeded:
            output.show(*_told(run))
        output.show(output.facts({**{path.name: path for path in written}, "the run's graph": graph}))
        if info.state is not RunState.succeeded:
            raise RunFailed(run.id, info.state, info.reason or "")
        output.say(f"look again: heliostat --database {place.database} --files {place.files} run show {run.id}")


def _told(run: RunHandle) -> list[object]:
    """What the run has found out, and what was done about it."""
    figures, decision = run.result("summary"), run.result("approve")
    if figures is None or decision is None:
        return [output.facts({"told": run.result("report")}), ""]
    decided = f"{decision.choice}, by {decision.by}: {decision.reason}"
    return [
        output.facts({name: "–" if figure is None else figure for name, figure in figures.items()}),
        "",
        output.facts({"decided": decided, "told": run.result("publish")}),
        "",
    ]


def _files(engine: Engine, run: RunHandle, out: Path) -> list[Path]:
    """Fetch the pictures that the run keeps."""
    written = []
    for artifact in run.artifacts():
        if artifact.media_type.startswith("image/"):
            target = out / artifact.name
            target.unlink(missing_ok=True)
            written.append(engine.around.repository.bring(artifact, out))
    return written


def _example() -> tuple[Workflow, object]:
    """The example's workflow, and a region for it.

    In a checkout ``examples`` stands beside the sources; a wheel brings it along as ``heliostat/_demo/examples``.
    """
    package = Path(__file__).resolve().parent.parent
    for place in (package.parent.parent, package / "_demo"):
        if (place / "examples" / "wildfire.py").is_file():
            sys.path.insert(0, str(place))
            flow = next(iter(load("examples.wildfire:fire").values()))
            return flow, import_module("examples.wildfire").Region()
    raise NotFound("the examples are not here; run the demonstration in a checkout, or install a wheel of Heliostat")
