"""A workflow of every kind of node, in thirty lines; mypy and pyright both know the type of each result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import assert_type

import heliostat
from heliostat import Artifact, Context, Decision, Resources, Retry, Workflow


@dataclass
class Night:
    date: str
    fields: int = 3


station = Workflow("station", version="1.0", retry=1, timeout="1h")


@station.node
def fields(message: Night) -> Iterator[str]:
    yield from (f"{message.date}-{number}" for number in range(message.fields))


@station.node(map={"field": fields}, limit=2, retry=Retry(3, delay="5s", on=(OSError,)), resources=Resources(cores=2))
async def expose(ctx: Context, field: str) -> Path:
    return ctx.dir / f"{field}.fits"


@station.node
def mosaic(ctx: Context, expose: list[Path]) -> Artifact:
    return ctx.artifact(expose[0], media_type="image/fits", tags=("mosaic",))


approve = station.review("approve", choices=("publish", "discard"), after=mosaic, deadline="2h", otherwise="discard")


@station.node(after=approve["publish"])
def publish(mosaic: Path, approve: Decision) -> dict[str, str]:
    return {"file": mosaic.name, "by": approve.by}


def use() -> None:
    with heliostat.open("memory://") as engine:
        run = engine.start(station, Night("2026-03-01"), name="first light", priority=5)
        run.decide(approve, "publish", "sharp")
        assert_type(run.result(fields), list[str])  # what a generator yields becomes a list
        assert_type(run.result(mosaic), Artifact)
        assert_type(run.result(approve), Decision)
        assert_type(run.result(publish, timeout="1h"), dict[str, str])
        assert_type(publish(Path("a.fits"), Decision("publish")), dict[str, str])  # a node is still its function
