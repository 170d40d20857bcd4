"""What must not type-check: each line below is wrong, and mypy complains of an ignore that ignores nothing."""

from __future__ import annotations

from pathlib import Path

import heliostat
from heliostat import Context, Resources, Retry, Workflow

flow = Workflow("flow")
unknown = Workflow("unknown", colour="red")  # type: ignore[call-arg]
timed = Workflow("timed", on="5m")  # type: ignore[arg-type]
positional = Workflow("positional", "1.0")  # type: ignore[call-arg]


@flow.node
def one(ctx: Context, message: int) -> Path:
    return ctx.dir / str(message)


@flow.handler(serial=True)
def two(ctx: Context, message: str, one: Path) -> None:
    ctx.send(one, message)  # type: ignore[arg-type]
    ctx.send(two, message, delay=[1])  # type: ignore[arg-type]
    ctx.log(3)  # type: ignore[arg-type]
    ctx.put("value", 3)  # type: ignore[arg-type]
    ctx.map(two, ["a", "b"])  # type: ignore[call-arg]
    ctx.cancel()  # type: ignore[call-arg]


@flow.node(retry="often")  # type: ignore[call-overload, untyped-decorator]
def three() -> None: ...


@flow.node(serial=True)  # type: ignore[call-overload, untyped-decorator]
def four() -> None: ...


@flow.node(on="sometimes")  # type: ignore[call-overload, untyped-decorator]
def five() -> None: ...


one(1)  # type: ignore[call-arg, arg-type]
flow.job("six", 6)  # type: ignore[arg-type]
flow.job("seven", "true", queues="cluster")  # type: ignore[call-arg]
Retry(3, on=("OSError", 3))  # type: ignore[arg-type]
flow.job("eight", "true", resources=lambda attempt: Resources())  # type: ignore[arg-type, misc]
flow.job("nine", "true", resources=lambda attempt, ended: "2GiB")  # type: ignore[arg-type, return-value]

with heliostat.open("memory://") as engine:
    run = engine.start(flow, 1)
    number: int = run.result(one)  # type: ignore[assignment]
    engine.start(5)  # type: ignore[arg-type]
    engine.work(until=3)  # type: ignore[arg-type]
    run.send(two, "text", key="a")  # type: ignore[call-arg]
    run.decide(3.5, "yes")  # type: ignore[arg-type]
    run.wait(timeout=[1])  # type: ignore[arg-type]
    run.tasks(state="done")  # type: ignore[arg-type]
    engine.start(flow, 1, priority="high")  # type: ignore[arg-type]
    engine.runs(limit="all")  # type: ignore[arg-type]
    engine.prune("yesterday")  # type: ignore[arg-type]

flow.review("eight", choices=3)  # type: ignore[arg-type]
flow.node(one, name="nine", priority="high")  # type: ignore[call-overload]
heliostat.open(3)  # type: ignore[arg-type]
flow.subworkflow("part", unknown, timeout="1s")  # type: ignore[call-arg]
flow.subworkflow("part", "unknown")  # type: ignore[arg-type]
