"""A wildfire: from a region to a map that an officer has released, and an incident that lasts for days.

    hotspots ─┐               ┌─ summary ─┐
    terrain ──┼─ spread ──────┼─ picture ─┴─ approve (a person) ── publish
    weather ──┘  (a job)      └─ report, if it failed

    heliostat run start examples/wildfire.py:fire --wait          # or: hours=24 seed=7
    heliostat review decide RUN publish                           # meanwhile, and within two hours
    python examples/wildfire.py                                   # decides by itself

What is given is in wildfire_world.py, the science in wildfire_model.py, the drawing in wildfire_map.py;
this file says what is done with them.
The simulation is a program of its own, as on a cluster: it gets files, and leaves a file.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import heliostat
from heliostat import Artifact, Context, Decision, Ended, Resources, Retry, Workflow

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # wherever it is started from, its neighbours are found

from examples import wildfire_model as model
from examples import wildfire_world as world

WEST, EAST, SOUTH, NORTH = world.REGION
LONGEST = 72  # hours


@dataclass
class Region:
    """Where to look (degrees, WGS 84), for how many hours, and the seed of what is made up.

    What is no region is refused before a run exists.
    """

    west: float = WEST
    east: float = EAST
    south: float = SOUTH
    north: float = NORTH
    hours: int = 48
    seed: int = 3

    def __post_init__(self) -> None:
        if not (self.west < self.east and self.south < self.north):
            raise ValueError("west must be less than east, and south less than north")
        if not 1 <= self.hours <= LONGEST:
            raise ValueError(f"hours must be 1 to {LONGEST}, not {self.hours}")

    def elevation(self) -> world.Terrain:
        """The relief of the region, from the tile that is there."""
        return world.elevation(self.west, self.east, self.south, self.north)


fire = Workflow("wildfire")


@fire.node
def hotspots(ctx: Context, message: Region) -> Path:
    """What satellites have seen: where it burns."""
    seen = world.hotspots(message.elevation(), message.seed)
    ctx.log(f"{len(seen)} hotspots seen")
    return world.save_hotspots(seen, ctx.dir / "hotspots.csv")


@fire.node
def terrain(ctx: Context, message: Region) -> Path:
    """The digital elevation model, cut to the region."""
    return message.elevation().save(ctx.dir / "terrain.npz")


@fire.node(retry=Retry(3, delay="30s", on=(OSError,)), timeout="10m")
def weather(ctx: Context, message: Region) -> Path:
    """The forecast, hour by hour; asked for again where the service does not answer."""
    return world.weather(message.hours, message.seed).save(ctx.dir / "weather.csv")


# A program, found with this Python. Each {placeholder} in its command becomes one quoted word, a file its path.
SIMULATE = 'PYTHONPATH="$ROOT:$PYTHONPATH" "$PYTHON" -m examples.wildfire_model simulate'
PROGRAM = {"PYTHON": sys.executable, "ROOT": str(Path(__file__).resolve().parents[1])}

# It waits for the three nodes that it names.
spread = fire.job(
    "spread",
    SIMULATE + " --terrain {terrain} --weather {weather} --hotspots {hotspots} --hours {message.hours} --out fire.npz",
    outputs="fire.npz",
    env=PROGRAM,
    queue="cluster",
    resources=Resources(cores=1, memory="1GiB", walltime="10m"),
)


def draw(hotspots: Path, terrain: Path, weather: Path, spread: Path, target: Path) -> Path:
    """The map: relief, hotspots, the front every few hours, and the wind that drove it."""
    from examples import wildfire_map

    relief, wind = world.Terrain.load(terrain), world.Weather.load(weather)
    return wildfire_map.draw(relief, wind, world.load_hotspots(hotspots, "low"), model.Fire.load(spread), target)


@fire.node
def picture(ctx: Context, hotspots: Path, terrain: Path, weather: Path, spread: Path) -> Artifact:
    """What the officer sees, and the public if the officer says so."""
    drawn = draw(hotspots, terrain, weather, spread, ctx.dir / "wildfire.png")
    return ctx.artifact(drawn, media_type="image/png", tags=("map",))


@fire.node
def summary(terrain: Path, spread: Path) -> dict[str, float | None]:
    """The figures for a table: area, speed, intensity, and when the fire nears a town."""
    return model.summary(world.Terrain.load(terrain), model.Fire.load(spread))


approve = fire.review(
    "approve",
    after=[picture, summary],  # what it is decided on
    choices=("publish", "discard"),
    role="duty-officer",
    deadline="2h",
    otherwise="discard",
)


@fire.node(after=approve["publish"])
def publish(picture: Path, summary: dict[str, float | None], approve: Decision) -> str:
    """Tell the public, in the name of whoever decided."""
    return f"{picture.name}: {summary['burnt (ha)']:,.0f} ha in danger; released by {approve.by}"


@fire.node(after=spread, on="failed")
def report(ctx: Context) -> str:
    """No map, but an answer: with this `except`, a simulation that failed does not fail the run."""
    assert ctx.failure is not None
    return f"no map this time: {ctx.failure.error}"


# The same while it goes on: an incident stays open, takes what arrives, and simulates when all is there.


@dataclass
class Inputs:
    """What a simulation is started with: files, kept by Heliostat."""

    terrain: Path
    hotspots: Path
    weather: Path


simulation = Workflow("simulation")

front = simulation.job(
    "front",
    SIMULATE + " --terrain {message.terrain} --weather {message.weather} --hotspots {message.hotspots} --out fire.npz",
    outputs="fire.npz",
    env=PROGRAM,
    queue="cluster",
)


@simulation.node(name="picture")
def draw_front(ctx: Context, message: Inputs, front: Path) -> Path:
    """The same map."""
    return draw(message.hotspots, message.terrain, message.weather, front, ctx.dir / "incident.png")


incident = Workflow("incident", stays_open=True)
incident.node(terrain)  # the same function, in another workflow


@incident.handler
def look(ctx: Context, terrain: Path) -> None:
    """Ask what satellites have seen; what was seen in one pass is sent once, however often this asks."""
    seen = world.hotspots(world.Terrain.load(terrain), seed=3)
    file = world.save_hotspots(seen, ctx.dir / "hotspots.csv")
    ctx.send(update, {"hotspots": file}, idempotency_key=world.written(max(spot.acq_time for spot in seen)))


@incident.handler(serial=True)
def update(ctx: Context, message: dict[str, Path], terrain: Path) -> None:
    """Keep what has come, one at a time and in order; simulate when all is there."""
    for kind, file in message.items():
        ctx.put(file, key=kind)
    if (seen := ctx.get("hotspots")) and (forecast := ctx.get("weather")):
        ctx.start(simulation, Inputs(terrain, seen, forecast), then=simulated)


@incident.handler
def simulated(ctx: Context, message: Ended) -> None:
    """The other run has ended: so does this one, with its result."""
    ctx.complete(message.result)


if __name__ == "__main__":
    with heliostat.open() as engine:
        run = engine.start(fire, Region())
        engine.work(until=lambda: run.over or bool(run.reviews()))
        if run.reviews():
            run.decide(approve, "publish", reason="an example has no officer")
        engine.work(until=run)
        print(run.explain() if run.result(publish) is None else run.result(publish))
        print("run", run.id, "kept", *(artifact.name for artifact in run.artifacts("map")))
