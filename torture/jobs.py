"""Jobs of a cluster as whole lives: what an engine does with one run, and how that has to end whoever is killed.

Imported by the jobs themselves where they are functions, so nothing but Heliostat is imported here.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heliostat import Context, Workflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliostat.engine import Engine
    from heliostat.handle import RunHandle

CONFIGURATION = """
queues.cluster = { executor = "slurm" }
queues.closed = { executor = "slurm", partition = "closed" }
"""
CANCELLED = "cancelled: enough; 0 kept, 0 put, 0 failures"
RUNS = "runs"  #: in a job's directory: a line for each time that its command began

# a command between two functions

doubling = Workflow("doubling")


@doubling.node
def before(message: int) -> int:
    """Give what the job doubles."""
    return message


doubling.job("double", f"echo run >> {RUNS}; expr {{before}} '*' 2 > {{output}}", queue="cluster")


@doubling.node
def after(double: int) -> int:
    """Use what the job gave."""
    return double + 2


# a function that is a job

carried = Workflow("carried")


@carried.node(queue="cluster")
def twice(ctx: Context, message: int) -> int:
    """Double, put a record and keep a file."""
    with Path(os.environ["HELIOSTAT_JOB"], RUNS).open("a") as file:
        file.write("run\n")
    made = ctx.dir / "made.txt"
    made.write_text("light", "utf-8")
    ctx.artifact(made)
    ctx.put(message, key="given")
    return message * 2


@carried.node
def on(twice: int) -> int:
    """Use what it gave."""
    return twice + 2


# commands that are cancelled

stopped = Workflow("stopped")
stopped.job("wait", f"echo run >> {RUNS}; sleep 600", queue="cluster")

withdrawn = Workflow("withdrawn")
withdrawn.job("wait", f"echo run >> {RUNS}; sleep 600", queue="closed")


@dataclass(frozen=True, slots=True)
class Life:
    """What is done with one run of ``flow``; its points begin where the function ``begins`` is first called.

    ``fate`` is what ``told`` has to say at the end, and ``ran`` how often its job's command has to have begun.
    """

    flow: Workflow
    begins: str
    act: Callable[[Engine, RunHandle], None]
    fate: str
    ran: int = 1


def see_through(engine: Engine, run: RunHandle) -> None:
    """Work until the run has ended."""
    engine.work(until=run)


def cancel_once(state: str) -> Callable[[Engine, RunHandle], None]:
    """Cancel the run when its job is seen in a state, and work until the job has ended."""

    def cancel(engine: Engine, run: RunHandle) -> None:
        engine.work(until=lambda: run.over or _seen(engine, run) == state)
        run.cancel("enough")
        engine.work(until=lambda: _seen(engine, run) in ("ended", "lost"))

    return cancel


def _seen(engine: Engine, run: RunHandle) -> str:
    """What was seen last of the run's only job, which runs when its command has begun; nothing at first."""
    for path in (engine.around.directory / "jobs" / run.id).glob("*/job.seen"):
        state = str(json.loads(path.read_text("utf-8"))["state"])
        return state if state != "running" or path.with_name(RUNS).exists() else ""
    return ""


def told(run: RunHandle) -> str:
    """What came of a run."""
    result = run.result() if run.state == "succeeded" else run.info.reason
    failures = sum(task.failures for task in run.tasks())
    return f"{run.state}: {result}; {len(run.artifacts())} kept, {len(run.records())} put, {failures} failures"


LIVES = {
    "submit": Life(doubling, "Jobs.prepare", see_through, "succeeded: 42; 0 kept, 0 put, 0 failures"),
    "carry": Life(carried, "Carrier.submit", see_through, "succeeded: 42; 1 kept, 1 put, 0 failures"),
    "cancel": Life(stopped, "RunHandle.cancel", cancel_once("running"), CANCELLED),
    "withdraw": Life(withdrawn, "RunHandle.cancel", cancel_once("submitted"), CANCELLED, ran=0),
}
