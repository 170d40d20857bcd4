"""The wildfire as the design prints it, up to the picture; the acceptance suite runs it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from heliostat import Artifact, Context, Resources, Retry, Workflow


@dataclass
class Region:
    west: float
    south: float
    days: int = 3


def crop_dem(region: Region, target: Path) -> Path:
    target.write_text(json.dumps([region.west, region.south]), "utf-8")
    return target


def forecast(region: Region, target: Path) -> Path:
    target.write_text(f"{region.days} windy days", "utf-8")
    return target


def draw(burnt: Path, target: Path) -> Path:
    target.write_bytes(b"\x89PNG\r\n\x1a\n" + burnt.read_bytes())
    return target


fire = Workflow("wildfire")


@fire.node
def terrain(ctx: Context, message: Region) -> Path:
    return crop_dem(message, ctx.dir / "dem.tif")


@fire.node(retry=Retry(3, delay="30s", on=(OSError,)), timeout="10m")
def weather(ctx: Context, message: Region) -> Path:
    return forecast(message, ctx.dir / "weather.grib")


spread = fire.job(
    "spread",
    "simulate --dem {terrain} --weather {weather} --days {message.days} --out fire.tif",
    outputs="fire.tif",
    queue="cluster",
    resources=Resources(cores=4, memory="2GiB", walltime="30m"),
)


@fire.node
def picture(ctx: Context, spread: Path) -> Artifact:
    return ctx.artifact(draw(spread, ctx.dir / "fire.png"), media_type="image/png", tags=("map",))
