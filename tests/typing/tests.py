"""A test as a user writes it: what a call answers has the type of the function."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, assert_type

from heliostat import Context, Failure, Skip, Workflow, testing
from heliostat.engine import Engine
from heliostat.handle import RunHandle
from heliostat.run import RunState
from heliostat.testing import Called, Record, Sent


@dataclass
class Night:
    date: str
    fields: int = 3


night = Workflow("night")


@night.node
def frame(ctx: Context, message: Night) -> Path:
    return ctx.dir / f"{message.date}.fits"


@night.node
async def seeing(frame: Path) -> float:
    return float(len(frame.name))


@night.node
def cloud(seeing: float) -> str | Skip:
    return Skip("clear") if seeing < 1 else "cloudy"


@night.handler(serial=True)
def count(ctx: Context, message: int) -> None:
    ctx.put(ctx.get("total", 0) + message, key="total")
    ctx.send(count, 1, delay="5m")


def test_calls() -> None:
    called = testing.call(frame, Night("2026-03-01"))
    assert_type(called, Called[Path])
    assert_type(testing.call(seeing, frame=called.result).result, float)
    assert_type(testing.call(cloud, seeing=2.0).result, str | Skip)
    counted = testing.call(count, 2, records={"total": 3}, attempt=2, sender="count")
    assert_type(counted.result, None)
    assert counted.records == [Record(5, "total")]
    assert counted.sent == [Sent("count", 1, delay=300.0)]
    assert_type(counted.sent[0].message, Any)
    testing.call(count, 2, secrets={"token": "abc"}, run_name="tonight")
    testing.call(count, 2, failure=Failure("frame", 1, "no light"))


def wait_for(run: RunHandle) -> None:
    assert_type(run.result(frame, timeout="1h"), Path)
    assert_type(run.result(seeing, timeout=timedelta(hours=1)), float)
    assert_type(run.result(timeout=10), Any)
    assert_type(run.wait("1h").state, RunState)
    try:
        run.wait()
    except TimeoutError as late:
        assert_type(late, TimeoutError)


def stub(message: Night) -> str:
    return f"{message.date}.fits"


def test_in_memory() -> None:
    with testing.engine(seed=1, stubs={"frame": stub}, secrets={"token": "abc"}) as engine:
        engine.secrets["other"] = "def"
        engine.stubs["cloud"] = lambda: Skip("clear")
        run = engine.start(night, Night("2026-03-01"))
        engine.advance("2h")
        engine.advance(timedelta(days=1))
        assert_type(run.result(seeing), float)
        use(engine)


def use(engine: Engine) -> None:
    engine.run(night).watch()
    assert_type([run.id for run in engine.runs(night)], list[str])
