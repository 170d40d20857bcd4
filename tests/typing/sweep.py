"""A parameter sweep as a student writes it: the types of results follow from the functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_type

import heliostat
from heliostat import Context, Fail, Resources, Retry, Skip, Snooze, Workflow
from heliostat.task import AttemptState


@dataclass
class Sweep:
    low: float
    high: float
    steps: int = 10


sweep = Workflow("sweep", version="1.0", retry=Retry(2, delay="1s"))


def more(attempt: int, ended: AttemptState | None) -> Resources:
    return Resources(cores=2, memory=f"{2 * attempt}GiB" if ended is AttemptState.out_of_memory else "2GiB")


def by_word(attempt: int, ended: str | None) -> Resources:
    return Resources(walltime="2h" if ended == "timed_out" else "1h")


sweep.job("by_function", "true", resources=more, retry=Retry(2, on=("timed_out", "out_of_memory", OSError)))
sweep.job("by_word", "true", resources=by_word)
sweep.job("by_factor", "true", resources=Resources(memory="2GiB", memory_factor=2, directives=("--exclusive",)))
inherited = Workflow("inherited", resources=more)


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
