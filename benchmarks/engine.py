"""The loads as the engine carries them, through its public face; `loads` has the same ones for the bare loop.

Every function reads what it waits for and its result is checked, so nothing is left out that a user would have.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import heliostat
from heliostat import Workflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliostat.engine import Engine
    from heliostat.handle import RunHandle

LONGEST_LIST = 500_000  # items of one digit in a result of 1 MiB

marks: list[float] = []  # when each function began and ended

P = ParamSpec("P")
R = TypeVar("R")


def marked(function: Callable[P, R]) -> Callable[P, R]:
    """Note when a function begins and ends, by the clock of the process that runs it."""

    @wraps(function)
    def noting(*args: P.args, **kwargs: P.kwargs) -> R:
        marks.append(time.perf_counter())
        try:
            return function(*args, **kwargs)
        finally:
            marks.append(time.perf_counter())

    return noting


@marked
def first(message: int) -> int:
    """Begin a chain."""
    return message + 1


@marked
def step(value: int) -> int:
    """Go on with it."""
    return value + 1


@marked
def split(message: int) -> list[int]:
    """Fan out."""
    return [1] * message


@marked
def piece(item: int) -> int:
    """Be one of many."""
    return item


@marked
def total(pieces: list[int]) -> int:
    """Join."""
    return sum(pieces)


@marked
def source(message: int) -> int:
    """Be one of those that many wait for."""
    return message


@marked
def meet(**results: int) -> int:
    """Wait for many, with many."""
    return sum(results.values())


def steps_workflow(steps: int) -> Workflow:
    """One step after the other."""
    workflow = Workflow("steps")
    workflow.node(first, name="step-1")
    for number in range(2, steps + 1):
        workflow.node(step, name=f"step-{number}", inputs={"value": f"step-{number - 1}"})
    return workflow


def fan_workflow() -> Workflow:
    """As many pieces as the message says, and their sum."""
    workflow = Workflow("fan")
    workflow.node(split)
    workflow.node(piece, map={"item": "split"})
    workflow.node(total, inputs={"pieces": "piece"})
    return workflow


def mesh_workflow(width: int) -> Workflow:
    """So many nodes that each wait for so many others."""
    workflow = Workflow("mesh")
    sources = [workflow.node(source, name=f"source-{number}") for number in range(width)]
    for number in range(width):
        workflow.node(meet, name=f"meet-{number}", after=sources)
    return workflow


def chain_runs(url: str, runs: int, steps: int) -> dict[str, float]:
    """Runs of a few steps."""
    with heliostat.open(url) as engine:
        engine.store.upgrade()
        workflow = steps_workflow(steps)
        warm_up(engine, workflow)
        measures = work(engine, engine.start_many(workflow, [0] * runs), result=steps)
    assert measures["tasks"] == runs * steps
    return measures


def chain(url: str, steps: int) -> dict[str, float]:
    """One run of many steps."""
    with heliostat.open(url) as engine:
        engine.store.upgrade()
        warm_up(engine, steps_workflow(10))
        return work(engine, [engine.start(steps_workflow(steps), 0)], result=steps)


def fan(url: str, width: int) -> dict[str, float]:
    """One task that gives birth to many, and one that waits for them all."""
    with heliostat.open(url) as engine:
        engine.store.upgrade()
        workflow = fan_workflow()
        warm_up(engine, workflow)
        measures = work(engine, [engine.start(workflow, width)], result=width)
    assert measures["tasks"] == width + 2
    return measures


def mesh(url: str, width: int) -> dict[str, float]:
    """Many nodes that wait for many."""
    with heliostat.open(url) as engine:
        engine.store.upgrade()
        warm_up(engine, mesh_workflow(2))
        run = engine.start(mesh_workflow(width), 1)
        measures = work(engine, [run])
        assert run.result(f"meet-{width - 1}") == width
    assert measures["tasks"] == 2 * width
    return measures


def fill(url: str, waiting: int) -> dict[str, float]:
    """Make tasks ready that nobody takes."""
    from heliostat.outcome import Succeeded
    from heliostat.store import Ask

    with heliostat.open(url) as engine:
        engine.store.upgrade()
        store, now = engine.store, time.time()
        lists = [min(LONGEST_LIST, waiting - begin) for begin in range(0, waiting, LONGEST_LIST)]
        runs = engine.start_many(fan_workflow(), lists)
        splits = store.lease(Ask("filler", frozenset({runs[0].graph.id}), len(runs)), now)
        for attempt in splits:
            items = [1] * int(attempt.message or store.messages([attempt.run])[attempt.run])
            outcome = Succeeded(json.dumps(items, separators=(",", ":")), width=len(items))
            store.settle("filler", [(attempt, outcome)], now)
        return {"ready": sum(ready for _, ready, _ in store.queues())}


def backlog(url: str, tasks: int) -> dict[str, float]:
    """Some tasks that come first, while others wait behind them."""
    before = memory("VmRSS")
    with heliostat.open(url) as engine:
        engine.store.upgrade()
        run = engine.start(fan_workflow(), tasks, priority=1)
        marks.clear()
        engine.work(until=run)
        assert run.result() == tasks
    return measured(0.0) | {"growth": memory("VmHWM") - before}


def warm_up(engine: Engine, workflow: Workflow) -> None:
    """Have everything loaded and every statement prepared before it is measured."""
    engine.start(workflow, 3)
    engine.work(until="idle")


def work(engine: Engine, runs: list[RunHandle], result: int | None = None) -> dict[str, float]:
    """Work until all is done, which is then checked."""
    marks.clear()
    begun_at = time.perf_counter()
    engine.work(until="idle")
    measures = measured(time.perf_counter() - begun_at)
    assert all(run.state == "succeeded" for run in runs)
    assert result is None or all(run.result() == result for run in runs)
    return measures


def measured(seconds: float) -> dict[str, float]:
    """What the marks say: tasks, seconds from the first's begin to the last's end, and the gaps' median."""
    assert marks, "the functions ran in another process, whose clock is not ours"
    gaps = [begin - end for end, begin in zip(marks[1::2], marks[2::2], strict=False)]
    span = max(marks) - min(marks)
    return {"tasks": len(marks) / 2, "seconds": seconds, "span": span, "gap": statistics.median(gaps)}


def memory(key: str) -> float:
    """A figure of this process's memory in MiB: VmRSS is what it has, VmHWM the most it has had."""
    found = re.search(rf"^{key}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found, f"this system does not tell {key}"
    return int(found[1]) / 1024
