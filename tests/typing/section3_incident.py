"""The incident with its handlers as the design prints it; the acceptance suite runs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from heliostat import Context, Ended, Every, Workflow
from tests.typing.section3_wildfire import terrain

feed = Path()  # where new data lies


def fetch() -> Path:
    return feed / "hotspots.json"


def last_modified() -> str:
    return str(fetch().stat().st_mtime_ns)


@dataclass
class Inputs:
    terrain: Path
    hotspots: Path
    weather: Path


simulation = Workflow("simulation")


@simulation.node
def simulate(message: Inputs) -> list[str]:
    return [file.read_text("utf-8") for file in (message.terrain, message.hotspots, message.weather)]


incident = Workflow("incident", stays_open=True)
incident.node(terrain)


@incident.handler(on=Every("5m"))
def look(ctx: Context) -> None:
    ctx.send(update, {"hotspots": fetch()}, idempotency_key=last_modified())


@incident.handler(serial=True)
def update(ctx: Context, message: dict[str, Path], terrain: Path) -> None:
    for kind, file in message.items():
        ctx.put(file, key=kind)
    if (hot := ctx.get("hotspots")) and (grib := ctx.get("weather")):
        ctx.start(simulation, Inputs(terrain, hot, grib), then=simulated)


@incident.handler
def simulated(ctx: Context, message: Ended) -> None:
    ctx.complete(message.result)
