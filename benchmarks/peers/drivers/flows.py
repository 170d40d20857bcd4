"""Heliostat's workflows, which its own workers and Celery's find here alike."""

from __future__ import annotations

from benchmarks.peers.work import JOBS, Job, note
from benchmarks.peers.workloads import CHAIN
from heliostat import Workflow


def sequence(job: Job, length: int) -> Workflow:
    """So many steps, one after the other."""
    workflow, function = Workflow(f"{job}-{length}"), JOBS[job]

    @workflow.node(name="step-1")
    def first(message: int) -> int:
        return function(message)

    for number in range(2, length + 1):
        workflow.node(function, name=f"step-{number}", inputs={"value": f"step-{number - 1}"})
    return workflow


one, four, chain = sequence("step", 1), sequence("step", 4), sequence("step", CHAIN)
heavy, light = sequence("fib", 10), sequence("fib", 40)
SEQUENCES = {flow.name: flow for flow in (one, four, chain, heavy, light)}

fan = Workflow("fan")


@fan.node
def split(message: int) -> list[int]:
    """Fan out."""
    note()
    return list(range(message))


fan.node(JOBS["step"], name="piece", map={"value": split})


@fan.node
def total(piece: list[int]) -> int:
    """Join."""
    note()
    return len(piece)
