"""Heliostat: a run for each job and the step after it, or one run that maps a job over a list and joins.

Every result is kept in the database, and read by the step that waits for it. That they are all there is seen in the
database itself: to ask a thousand runs for what they gave, one by one, is no part of having jobs run.
"""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import heliostat
import heliostat.batches.cluster  # as PSI/J has imported what it has for Slurm
import heliostat.batches.slurm
import heliostat.stores.sqlite
from heliostat import Workflow

if TYPE_CHECKING:
    from benchmarks.jobs.work import Task

QUEUE = "slurm"

heliostat.open("memory://").close()  # what is loaded when it is needed is there, as is all of what is imported above


def carry(task: Task) -> dict[int, float]:
    """Start, work until all is done, and see that it was done once and in order."""
    array = f"array = {task.count}\n" if task.form == "array" else ""
    Path("heliostat.toml").write_text(f'[queues.{QUEUE}]\nexecutor = "slurm"\n{array}', "utf-8")
    begun: dict[int, float] = {}
    database = task.disk / "jobs.db"
    with heliostat.open(database, files=task.place / "files") as engine:
        engine.store.upgrade()
        if task.form == "single":
            engine.start_many(single(task, begun), range(task.count))
            engine.work(until="idle")
        else:
            run = engine.start(mapped(task, begun), task.count)
            engine.work(until=run)
    with closing(sqlite3.connect(database)) as kept:
        found = kept.execute("select node, state, count(*) from tasks group by node, state").fetchall()
        given = [json.loads(text) for (text,) in kept.execute("select result from tasks where node = 'after'")]
    assert ("nap", "succeeded", task.count) in found, found
    assert {state for _, state, _ in found} == {"succeeded"}, found
    numbers = list(range(task.count))
    assert (sorted(given) if task.form == "single" else given[0]) == numbers, given
    return begun


def single(task: Task, begun: dict[int, float]) -> Workflow:
    """A job, and a step that waits for it."""
    workflow = Workflow("single")
    workflow.job("nap", f"sh {task.script} {{message}} && echo {{message}} > {{output}}", queue=QUEUE)

    @workflow.node
    def after(nap: int) -> int:
        begun[nap] = time.time()
        return nap

    return workflow


def mapped(task: Task, begun: dict[int, float]) -> Workflow:
    """A job over a list, and a step that waits for them all."""
    workflow = Workflow("mapped")

    @workflow.node
    def numbers(message: int) -> list[int]:
        return list(range(message))

    command = f"sh {task.script} {{number}} && echo {{number}} > {{output}}"
    workflow.job("nap", command, map={"number": numbers}, queue=QUEUE)

    @workflow.node
    def after(nap: list[int]) -> list[int]:
        begun[0] = time.time()
        return nap

    return workflow
