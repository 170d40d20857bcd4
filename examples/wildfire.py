"""A wildfire: from a region to a map of where the fire will be, and when.

    hotspots ─┐
    terrain ──┼─ spread (a job) ─┬─ picture
    weather ──┘                  └─ summary

    heliostat run start examples/wildfire.py --wait               # or: hours=24 seed=7

What is given is in wildfire_world.py, the science in wildfire_model.py, the drawing in wildfire_map.py;
this file says what is done with them.
The simulation is a program of its own, as on a cluster: it gets files, and leaves a file.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import heliostat
from examples import wildfire_model as model
from examples import wildfire_world as world
from heliostat import Artifact, Context, Resources, Retry, Workflow

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


# It waits for the three nodes that it names. Each {placeholder} becomes one quoted word, a file its path.
spread = fire.job(
    "spread",
    'PYTHONPATH="$ROOT:$PYTHONPATH" "$PYTHON" -m examples.wildfire_model simulate'
    " --terrain {terrain} --weather {weather} --hotspots {hotspots} --out fire.npz",
    outputs="fire.npz",
    env={"PYTHON": sys.executable, "ROOT": str(Path(__file__).absolute().parents[1])},
    queue="cluster",
    resources=Resources(cores=1, memory="1GiB", walltime="10m"),
)


@fire.node
def picture(ctx: Context, hotspots: Path, terrain: Path, weather: Path, spread: Path) -> Artifact:
    """The map: relief, hotspots, the front every few hours, and the wind that drove it."""
    from examples.wildfire_map import draw

    relief, wind, seen = (
        world.Terrain.load(terrain),
        world.Weather.load(weather),
        world.load_hotspots(hotspots, "low"),
    )
    drawn = draw(relief, wind, seen, model.Fire.load(spread), ctx.dir / "wildfire.png")
    return ctx.artifact(drawn, tags=("map",))


@fire.node
def summary(terrain: Path, spread: Path) -> dict[str, float | None]:
    """The figures for a table: area, speed, intensity, and when the fire nears a town."""
    return model.summary(world.Terrain.load(terrain), model.Fire.load(spread))


if __name__ == "__main__":  # python -m examples.wildfire
    with heliostat.open() as engine:
        run = engine.run(fire, Region())
        for what, figure in run.result(summary).items():
            print(f"{what:32} {figure if figure is not None else '–'}")
        print("run", run.id, "kept", *(artifact.name for artifact in run.artifacts("map")))
