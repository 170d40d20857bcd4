"""What is measured: each workload, how large, and what is read from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.peers.work import Job

CHAIN = 100  #: steps of the long chain


@dataclass(frozen=True, slots=True)
class Workload:
    """One column of the table. ``unit`` says what is read: a rate, a time, or the median of the gaps between steps."""

    name: str
    title: str
    unit: Literal["steps/s", "tasks/s", "ms/step", "s"]
    sizes: Mapping[str, int]
    job: Job = "step"

    @property
    def fewer_is_better(self) -> bool:
        """Whether it is a time."""
        return self.unit in ("ms/step", "s")

    def steps(self, sizes: Mapping[str, int]) -> int:
        """How many functions run."""
        return sizes["runs"] * sizes["length"] if "runs" in sizes else sizes.get("width", 0) + 2


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("chain", "A long chain, a step", "ms/step", {"runs": 1, "length": CHAIN, "value": 0}),
        Workload("runs", "1,000 runs of 4 steps", "steps/s", {"runs": 1000, "length": 4, "value": 0}),
        Workload("fan", "1 → 1,000 → 1", "steps/s", {"width": 1000}),
        Workload("enqueue", "100,000 tasks accepted", "tasks/s", {"count": 100_000}),
        Workload("fib33", "10 × fib(33) in a row", "s", {"runs": 1, "length": 10, "value": 33}, "fib"),
        Workload("fib10", "40 × fib(10) in a row", "s", {"runs": 1, "length": 40, "value": 10}, "fib"),
    )
}

#: Small loads: whether it runs, not how fast.
QUICK = {"runs": {"runs": 250}, "fan": {"width": 250}, "enqueue": {"count": 2_000}, "fib33": {"value": 25}}
