"""Make the pictures of the docs: what the examples draw, and graphs of what became of their runs.

python -m tools.pictures            # the graphs, which are the same each time; a test compares them
python -m tools.pictures --all      # and what takes a minute: maps, mosaics, plots, and the run of the demonstration
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from typer.testing import CliRunner

import heliostat
from examples import etl, julia, nightly, poller, sweep, wildfire
from examples import wildfire_world as world
from examples.sweep import Behaviour
from heliostat import Artifact
from heliostat.cli import app
from heliostat.exporters.svg import svg
from heliostat.handle import RunHandle
from heliostat.testing import VirtualEngine, engine

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
MOSAIC = (1200, 750)  #: of which a page is not too heavy


def main(options: list[str]) -> int:
    """Write them."""
    for name, draw in GRAPHS.items():
        (IMAGES / name).write_text(draw(), "utf-8")
        print(f"docs/images/{name} written")
    if "--all" in options:
        with TemporaryDirectory() as directory:
            _paint(Path(directory))
    return 0


# graphs of runs in virtual time, in which nothing takes any


def _drawn(stage: VirtualEngine, run: RunHandle, caption: str) -> str:
    return svg(run.graph, stage.store.states(run.key), stage.store.traffic(run.key), caption=caption)


def the_etl() -> str:
    """A branch that is not taken, and something optional that fails."""
    with engine() as stage:
        stage.stubs["places"] = _unreachable
        run = stage.run(etl.etl, etl.Delivery(broken=0))
        return _drawn(stage, run, "a clean delivery, on a day on which the catalogue of gauges cannot be read")


def _unreachable() -> None:
    raise OSError("the catalogue does not answer")


def the_julia() -> str:
    """Twenty-five tiles."""
    with engine() as stage:
        return _drawn(stage, stage.run(julia.julia, julia.View(across=4, down=4)), "5 × 5 tiles and their mosaic")


def the_sweep() -> str:
    """Two hundred values."""
    with engine() as stage:
        stage.stubs["behaviour"] = lambda r: Behaviour(r, 0.0, [0.5], [1])
        run = stage.run(sweep.sweep, sweep.Sweep())
        return _drawn(stage, run, "200 values, a task for each")


def the_incident() -> str:
    """Two looks that see the same, and a forecast."""
    with engine() as stage, TemporaryDirectory() as directory:
        stage.stubs["front"] = stage.stubs["simulation.picture"] = lambda: None
        run = stage.start(wildfire.incident, wildfire.Region())
        for _ in range(2):
            run.send(wildfire.look)
        stage.work(until="idle")
        forecast = world.weather(6, seed=3).save(Path(directory) / "weather.csv")
        run.send(wildfire.update, {"weather": forecast})
        stage.work(until=run)
        return _drawn(stage, run, "two looks that saw the same, one forecast, one simulation")


def the_nightly() -> str:
    """One of the seven runs that a week starts."""
    with engine() as stage:
        stage.add(nightly.nightly)
        stage.advance("7d")
        [run, *_] = stage.runs(nightly.nightly)
        return _drawn(stage, run, f"the run of {run.name}, one of seven in a week")


def the_poller() -> str:
    """Three lists in half an hour."""
    with engine() as stage:
        run = stage.start(poller.incident)
        stage.advance("1h")
        return _drawn(stage, run, "a look every five minutes; each list handled once, however often it was found")


GRAPHS: dict[str, Callable[[], str]] = {
    "etl-run.svg": the_etl,
    "incident-run.svg": the_incident,
    "julia-run.svg": the_julia,
    "nightly-run.svg": the_nightly,
    "poller-run.svg": the_poller,
    "sweep-run.svg": the_sweep,
}


# what takes its time


def _paint(directory: Path) -> None:
    from PIL import Image

    _demonstrate(directory)
    with heliostat.open("memory://", files=directory) as ours:
        bring = ours.around.repository.bring
        _keep(bring(ours.run(sweep.sweep, sweep.Sweep()).result(sweep.plot), directory), "sweep.png")
        whole: Artifact = ours.run(julia.julia, julia.View()).result(julia.mosaic)
        with ours.around.repository.open(whole) as file, Image.open(file) as picture:
            picture.resize(MOSAIC, Image.Resampling.LANCZOS).save(directory / "mosaic.png", optimize=True)
        _keep(directory / "mosaic.png", "julia.png")
    _image(directory)


def _image(directory: Path) -> None:
    """The sections, as the example is started; its pictures become lighter for the docs."""
    from PIL import Image

    program = str(ROOT / "examples" / "imaging" / "imaging.py")
    subprocess.run([sys.executable, program, "--out", "imaging"], cwd=directory, check=True)
    for drawn, name in (("before-after", "imaging"), ("contact-sheet", "imaging-stack"), ("cut", "imaging-cut")):
        with Image.open(directory / "imaging" / f"{drawn}.png") as picture:
            picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(
                directory / f"{name}.png", optimize=True
            )
        _keep(directory / f"{name}.png", f"{name}.png")


def _demonstrate(directory: Path) -> None:
    ran = CliRunner().invoke(app, ["demo", "--out", str(directory)], catch_exceptions=False)
    if ran.exit_code:
        raise SystemExit(f"the demonstration ended with status {ran.exit_code}: {ran.output}")
    _keep(directory / "wildfire.png", "wildfire.png")
    _keep(directory / "wildfire.svg", "wildfire-run.svg")


def _keep(found: Path, name: str) -> None:
    (IMAGES / name).write_bytes(found.read_bytes())
    print(f"docs/images/{name} written")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
