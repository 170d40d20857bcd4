"""Jobs that a worker watches: one question per look, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from heliostat.batch import Collected, JobRequest, JobState, Observation
from heliostat.errors import OperatorError
from heliostat.executor import Work
from heliostat.graph import Graph, Kind, Node
from heliostat.job import JobSpec
from heliostat.task import Attempt
from heliostat.watch import GRACE_SECONDS, Watch

GRAPH = Graph("line", (Node("j", kind=Kind.job, job=JobSpec("true")),))


class System:
    """A batch system that says of every job what a test wants."""

    def __init__(self) -> None:
        self.says: JobState | None = JobState.running  # None: it cannot be reached
        self.cancelled = 0

    def submit(self, request: JobRequest) -> str:
        """Nothing to do."""
        return request.key

    def observe(self, directories: Sequence[Path]) -> list[Observation]:
        """How the jobs stand."""
        if self.says is None:
            raise OperatorError("nobody answers")
        return [Observation(self.says)] * len(directories)

    def cancel(self, directories: Sequence[Path], grace: float) -> None:
        """Count."""
        if self.says is None:
            raise OperatorError("nobody answers")
        self.cancelled += 1

    def collect(self, directory: Path, spec: JobSpec) -> Collected:
        """Nothing is left."""
        return Collected(None)


def watched() -> tuple[System, Watch, Work]:
    """A system, a watch and the one job that it watches since time 0."""
    system = System()
    watch, work = Watch(system), Work(Attempt(1, 1, 1, 1, "j"), GRAPH, GRAPH["j"])
    watch.begin(work, Path("/job"), 0.0)
    return system, watch, work


def test_a_job_that_nobody_knows_is_given_up_when_the_grace_of_its_stop_is_over() -> None:
    """Its run is over, and its task would hold a place in its queue for ever."""
    system, watch, work = watched()
    system.says = JobState.unknown
    assert watch.tick(1000.0) == []
    work.stop = "its run is over"
    assert watch.tick(1001.0) == []
    assert watch.tick(1001.0 + GRACE_SECONDS) == [(work, True)]
    assert (watch.jobs, system.cancelled) == ({}, 2)


def test_a_job_that_still_runs_is_not_given_up() -> None:
    """Whoever is told to stop may take longer."""
    system, watch, work = watched()
    work.stop = "its run is over"
    assert [watch.tick(at) for at in (1.0, 1000.0)] == [[], []]
    system.says = JobState.lost
    assert watch.tick(1001.0) == [(work, True)]


def test_while_a_batch_system_cannot_be_reached_nothing_is_given_up() -> None:
    """What it should stop it is told when it is back."""
    system, watch, work = watched()
    work.stop, system.says = "its run is over", None
    assert [watch.tick(at) for at in (1.0, 1000.0)] == [[], []]
    system.says = JobState.running
    assert watch.tick(1001.0) == []
    assert system.cancelled == 1
