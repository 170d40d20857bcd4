"""A parameter sweep as a student writes it: the types of results follow from the functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_type

import heliostat
from heliostat import Context, Fail, Retry, Skip, Snooze, Workflow


@dataclass
class Sweep:
    low: float
    high: float
    steps: int = 10


sweep = Workflow("sweep", version="1.0", retry=Retry(2, delay="1s"))


@sweep.node
def points(message: Sweep) -> list[float]:
    return [message.low + (message.high - message.low) * step / message.steps for step in range(message.steps)]


@sweep.node(map={"point": points}, limit=4, timeout="10m")
async def energy(ctx: Context, message: Sweep, point: float) -> float | Skip | Snooze | Fail:
    return Skip("out of range") if point > message.high else point**2


@sweep.node(inputs={"energies": energy}, priority=1)
def best(energies: list[float | None]) -> dict[str, float]:
    return {"lowest": min(found for found in energies if found is not None)}


@sweep.node(after=best, on="failed")
def apologise(ctx: Context) -> str:
    return ctx.failure.error if ctx.failure is not None else "nothing failed"


def use() -> None:
    with heliostat.open("memory://") as engine:
        run = engine.run(sweep, Sweep(0.0, 1.0), name="first", priority=5)
        assert_type(run.result(best), dict[str, float])
        assert_type(run.result(apologise), str)
        assert_type(points(Sweep(0.0, 1.0)), list[float])  # a node is still its function
        run.send("points", {"low": 1.0}, delay="1h30m", idempotency_key="late")
