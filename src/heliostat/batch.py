"""The seam to batch systems: local processes, Slurm, PBS. The docstrings of ``Batch`` are the contract.

A job goes in as a request, and is seen as observations of its state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from heliostat.errors import OperatorError
from heliostat.task import AttemptState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from heliostat.job import JobSpec
    from heliostat.resources import Resources

STDOUT, STDERR = "stdout", "stderr"  #: in a job's directory: what it said
COMMAND = "job.command"  #: in a job's directory: what it runs
ENDED = ".ended"  #: beside the folders of runs: an empty file for each job that has told of its end, RUN.TRY
EXIT_CODE = "job.exit_code"  #: in a job's directory, once it has ended by itself
SEEN = "job.seen"  #: in a job's directory: what was seen of it last, before it ended by itself
UNBEGUN = "job.unbegun"  #: in a job's directory: why its command was never begun, in a sentence
#: What can run a container, those first that need neither a daemon nor rights; all have the options that are used.
CONTAINER_TOOLS = ("apptainer", "singularity", "podman", "docker")
BEGINS = "expected to begin "  #: in the reason of a job that waits, before the time that its scheduler plans

Output: TypeAlias = "Path | tuple[Path, ...]"


class JobState(StrEnum):
    """Where a job stands: submitted < running < lost < ended. The comment says what was seen."""

    unknown = "unknown"  # it could not be observed; says nothing, moves nothing
    submitted = "submitted"  # the batch system has it and it has not begun
    running = "running"  # it has begun
    lost = "lost"  # it is gone and left no exit code: concluded from silence, so an exit code disproves it
    ended = "ended"  # by itself, by a signal or by a time-out; final

    @property
    def final(self) -> bool:
        """Whether nothing more is to be expected."""
        return self in (JobState.ended, JobState.lost)


_J = JobState
#: From each state, the states an observation may move a job to.
JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    _J.unknown: frozenset({_J.submitted, _J.running, _J.lost, _J.ended}),
    _J.submitted: frozenset({_J.running, _J.lost, _J.ended}),
    _J.running: frozenset({_J.lost, _J.ended}),
    _J.lost: frozenset({_J.ended}),
    _J.ended: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of a job. ``exit_code`` is None where there is none; ``reason`` is for people.

    ``how`` is for the machine: as what an attempt counts that ended so, unless it went well. ``asked`` is false where
    it is unknown because nobody answered.
    """

    state: JobState
    exit_code: int | None = None
    reason: str | None = None
    how: AttemptState = AttemptState.failed
    asked: bool = True


def unasked(reason: str) -> Observation:
    """What is seen of a job where who could tell does not answer."""
    return Observation(JobState.unknown, reason=reason, asked=False)


def later(old: Observation, new: Observation) -> Observation:
    """The one that counts: whatever the order in which observations arrive, the state comes out the same."""
    if new.state in JOB_MOVES[old.state]:
        return new
    return new if new.state is old.state and not old.state.final else old  # the reason for waiting may change


@dataclass(frozen=True, slots=True)
class Container:
    """In what a command runs, if not on the machine as it is; ``node`` is whose job it is, for people.

    ``tool`` is what runs it: a program, and options of its own. Without one, whichever is found where the job runs.
    """

    image: str
    node: str
    tool: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a batch system is asked to run.

    ``key`` is the task's id, for people; ``directory`` is where the job runs and what it is known by;
    ``command`` is text for ``/bin/sh`` or arguments; ``resources`` is what it is given; ``timeout`` is
    in seconds from its begin; ``queue`` is the node's, whose ``BatchQueue`` says the rest. With a ``container``, the
    command finds its directory and nothing else of the machine.
    """

    key: str
    directory: str
    command: str | tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)  # with the values of secrets
    resources: Resources | None = None
    timeout: float | None = None
    queue: str = "default"
    container: Container | None = None


@dataclass(frozen=True, slots=True)
class BatchQueue:
    """What is configured of a queue whose tasks run in a batch system.

    ``system`` is its word: local, slurm, pbs or torque. ``setup`` are lines of shell before the command,
    ``directives`` lines for the scheduler, ``template`` is the text of a site's own script, and ``array`` how many jobs
    may be one submission. ``host`` is where its commands are, if not here; ``directory`` is for jobs there, and
    ``python`` for functions.
    """

    system: str = "local"
    partition: str = ""
    account: str = ""
    setup: tuple[str, ...] = ()
    directives: tuple[str, ...] = ()
    template: str = ""
    array: int = 0
    host: str = ""
    directory: str = ""
    python: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The batch system has the job, under this handle."""

    handle: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """It does not have the job now; whoever asks again may fare better. The reason is the operator's affair."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """It will not have this job, however often it is asked, for the reason in its own words."""

    reason: str


Reply: TypeAlias = "Accepted | Deferred | Rejected"


@dataclass(frozen=True, slots=True)
class Standing:
    """What a scheduler says of itself, in words; the partitions that it has by name, where it tells them, and how."""

    words: str
    partitions: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Collected:
    """What an ended job left behind.

    ``outputs`` has the shape of the job's ``outputs``: a path (for a pattern a sorted tuple), or a dict of
    those that are there. ``output`` is the text of ``output.json``, not yet parsed. ``reason`` says in one
    sentence why the job did not succeed, and then ``stdout`` and ``stderr`` are their last lines.
    """

    exit_code: int | None
    outputs: Output | dict[str, Output] | None = None
    output: str | None = None
    reason: str | None = None
    how: AttemptState = AttemptState.failed
    stdout: str = ""
    stderr: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether it ended with exit code 0 and with all of its outputs."""
        return self.reason is None


class Batch(Protocol):
    """A batch system. A job is known by its directory, which is its own and lasts longer than any process.

    All methods may be called by any process at any time, repeated after any crash, and keep their state in
    the directory or in the batch system. But for ``submit``, they raise OperatorError when the system cannot be
    reached or used.
    """

    @property
    def system(self) -> str:
        """Its word in the configuration: local, slurm, pbs or torque."""
        ...

    @property
    def place(self) -> str:
        """The machine where its commands run, for people."""
        ...

    @property
    def pauses(self) -> tuple[float, float]:
        """Seconds between looks at jobs: soon after one was submitted, and growing up to the second."""
        ...

    @property
    def tells(self) -> bool:
        """Whether jobs tell of their end themselves, as ``told`` has it; else nobody but ``observe`` knows."""
        ...

    def gathering(self, queue: str) -> float:
        """For how many seconds more requests of a queue are waited for, as many are cheaper together; 0: not at all."""
        ...

    def submit(self, requests: Sequence[JobRequest]) -> list[Reply]:
        """Have jobs run, each in a directory of its own; one reply each, in the order given.

        That the system cannot be reached is a reply, too: ``Deferred``. When it has accepted a job, the job is there,
        whatever happens to the caller. Idempotent per directory: called again, by this or another process, after a
        crash at whatever point, it never starts a second job but answers with the handle of the one that is there, be
        it running or ended. That is how jobs are adopted. What was deferred may be submitted again; it may also be
        there by then.
        """
        ...

    def observe(self, directories: Sequence[Path]) -> list[Observation]:
        """See how the jobs stand, in the order given; one question to the batch system for all of them.

        A job past its time-out is stopped and seen to have timed out. ``lost`` means that nothing of the job
        runs any more. What cannot be seen now is ``unknown``, with the reason; one job never hides another.
        """
        ...

    def told(self) -> dict[Path, Observation]:
        """How those jobs stand that have told of their end, of those that were submitted or observed here.

        It takes no look at the others. A job that was killed tells of nothing, so all are to be observed now and then
        in any case.
        """
        ...

    def cancel(self, directories: Sequence[Path], grace: float) -> None:
        """Stop jobs: TERM to all of their processes, and KILL to what is still there after ``grace`` seconds.

        Returns without waiting, and may be called again until the job has ended: the shortest grace counts.
        A job that has not begun never will. Harmless for one that has ended or was never there.
        """
        ...

    def collect(self, directory: Path, spec: JobSpec) -> Collected:
        """Find what an ended job left: exit code, outputs, result and last words.

        Outputs are ordinary files within the directory; others are reported as missing, with the cause.
        """
        ...


@dataclass(frozen=True, slots=True)
class Systems:
    """The batch systems of a worker, by the queues whose tasks they run; ``local`` is for jobs of all others.

    ``containers`` are what runs images, by the queues of which that was said: see ``Container.tool``.
    """

    local: Batch
    by_queue: Mapping[str, Batch] = field(default_factory=dict)
    containers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, queue: str) -> Batch:
        """Where a job of this queue runs."""
        return self.by_queue.get(queue, self.local)


def begin(batch: Batch, request: JobRequest) -> str:
    """Submit one job and answer with its handle; raises OperatorError where it was not accepted."""
    (reply,) = batch.submit([request])
    if isinstance(reply, Accepted):
        return reply.handle
    raise OperatorError(reply.reason)
