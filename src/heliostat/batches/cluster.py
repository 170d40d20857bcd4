"""A cluster as a batch system: the life of its jobs, which is the same whatever its scheduler.

The files in a job's directory are all that is known of it, and people may read them:

- ``job.script``: what was submitted; ``job.command``: what to run; ``job.sh``: the wrapper that runs it on a node
- ``job.answer``: what the scheduler said to the submission; ``job.said``: what it complained of
- ``job.id``: the same answer, once it has taken the job; or the handle by which it was found
- ``job.submitting``: the name of the job, from when its submission is begun; ``job.void``: it never will be
- ``job.claim``: linked by the wrapper, which succeeds once or not at all: handle, node, begin, time-out
- ``job.stop``: made before the job is asked to end: why, when, and the grace until KILL
- ``job.term``: made when the scheduler asks it to end, which will have a reason
- ``stdout``, ``stderr``, and at the end ``job.exit_code``; ``job.out`` and ``job.log``: the script's own words
- ``job.array``: of a job that was submitted with others, which it is of which array
- in ``../../.ended``, a folder for all jobs: a file for each that has ended and was not collected

Of all wrappers that are ever started in a directory, only the one that links its claim runs the command: so even a
second submission would be no second run. How there is none to begin with is told in ``submission``.

A job is known by its files first, and by its scheduler for what they cannot tell: why it waits, and why it is gone.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from heliostat.batch import Accepted, BatchQueue, Collected, JobState, Observation
from heliostat.batches import script
from heliostat.batches.inquiry import ASK_SECONDS, Inquiry
from heliostat.batches.results import collected
from heliostat.batches.shared import GONE, VOID, chunks
from heliostat.batches.submission import COMMAND_SECONDS, Submission
from heliostat.batches.verdict import Case, judge
from heliostat.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from heliostat.batch import JobRequest, Reply, Standing
    from heliostat.batches.dialect import Dialect
    from heliostat.batches.shared import JobFiles, Notes
    from heliostat.job import JobSpec
    from heliostat.transport import Transport

SETTLE_SECONDS = 20.0  #: for how long the files of a job that has ended are waited for, and the scheduler's last word
AGAIN_SECONDS = 10.0  #: between two askings to end the same job
GATHERING_SECONDS = 0.5
TOLD_AT_ONCE = 200  #: jobs that one command ends


class ClusterBatch:
    """Jobs of a scheduler; ``heliostat.batch.Batch`` is the contract.

    ``queues`` say by name what is configured of each; ``grace`` is the time in seconds between TERM and KILL for a job
    that has timed out, ``settle`` how long files are waited for that a network file system has not shown yet.
    """

    def __init__(
        self,
        dialect: Dialect,
        transport: Transport,
        files: JobFiles,
        queues: Mapping[str, BatchQueue],
        *,
        grace: float = 10.0,
        settle: float = SETTLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dialect, self._transport, self._files, self._queues = dialect, transport, files, queues
        self._settle, self._clock = settle, clock
        self._submission = Submission(dialect, transport, files, queues, grace)
        self._cases: dict[Path, Case] = {}
        self._inquiry = Inquiry(dialect, transport, files)

    @property
    def system(self) -> str:
        """The scheduler's word."""
        return self._dialect.name

    @property
    def place(self) -> str:
        """Where its commands run."""
        return self._transport.place

    @property
    def pauses(self) -> tuple[float, float]:
        """Files at hand are looked at often; each look at those elsewhere is a question."""
        return (0.05, 1.0) if self._transport.here else ASK_SECONDS

    def gathering(self, queue: str) -> float:
        """Jobs are gathered where they can be an array."""
        return GATHERING_SECONDS if queue in self._queues and self._queues[queue].array > 1 else 0.0

    # submitting

    def submit(self, requests: Sequence[JobRequest]) -> list[Reply]:
        """Look at the directories, and have those submitted together whose jobs are not there."""
        directories = [Path(request.directory).absolute() for request in requests]
        wanted = dict(zip(directories, requests, strict=True))
        replies = self._submission.submit(wanted)
        for directory, reply in replies.items():
            if isinstance(reply, Accepted):
                self._case(directory, reply.handle)
        self._inquiry.hurry(self._clock())
        return [replies[directory] for directory in directories]

    def _case(self, directory: Path, handle: str) -> Case:
        case = self._cases.get(directory)
        if case is None or case.handle != handle:
            case = self._cases[directory] = Case(directory, handle)
        return case

    # observing

    @property
    def tells(self) -> bool:
        """Where files are shared."""
        return self._files.tells

    def observe(self, directories: Sequence[Path]) -> list[Observation]:
        """Look at the files, and ask the scheduler now and then for those that they do not tell of."""
        return self._look([directory.absolute() for directory in directories], self._clock())

    def told(self) -> dict[Path, Observation]:
        """Look at the files of those that have told of their end; the scheduler is asked where these are not enough."""
        now = self._clock()
        mine = [each for each in self._files.told() if (case := self._cases.get(each)) and case.final is None]
        notes = self._files.look(mine)[0] if mine else []
        seen = {each: self._judge(each, note, now) for each, note in zip(mine, notes, strict=True)}
        cases = [case for each in mine if (case := self._cases.get(each)) and case.final is None]
        odd = [case.directory for case in cases if case.ending_at is not None and now >= case.asked_at + ASK_SECONDS[0]]
        if odd:
            seen |= zip(odd, self._look(odd, now, at_once=True), strict=True)
        return seen

    def _look(self, directories: list[Path], now: float, *, at_once: bool = False) -> list[Observation]:
        known = [case for directory in directories if (case := self._cases.get(directory))]
        notes = self._inquiry.notes(directories, known, now, at_once=at_once)
        seen = [self._judge(directory, note, now) for directory, note in zip(directories, notes, strict=True)]
        cases = [case for directory in directories if (case := self._cases.get(directory)) and case.final is None]
        if odd := [case for case in cases if case.answered and case.odd and not case.recorded]:
            self._inquiry.records(odd)
            seen = [self._judge(directory, note, now) for directory, note in zip(directories, notes, strict=True)]
        if any(case.ending_at is not None for case in cases):
            self._inquiry.hasten(now)
        return seen

    def _judge(self, directory: Path, note: Notes, now: float) -> Observation:
        case = self._cases.get(directory)
        if GONE in note and (case is None or case.final is None):
            return Observation(JobState.unknown, reason=note[GONE])
        if case is None or (not case.handle and VOID not in note):
            handle = self._submission.handle(note)
            if handle is None:
                return Observation(JobState.unknown, reason=f"there is no job in {directory}")
            case = self._case(directory, handle)
        try:
            return judge(case, note, now, self._settle, self._inquiry.unasked)
        except OSError as error:  # of this one; the others are told of all the same
            return Observation(JobState.unknown, reason=f"{directory} cannot be read: {error.strerror}")

    # stopping and collecting

    def cancel(self, directories: Sequence[Path], grace: float) -> None:
        """Note it in the directories, have the scheduler end the jobs, and kill those whose grace is over."""
        now = self._clock()
        due = [directory for each in directories if self._to_be_told(directory := each.absolute(), grace, now)]
        self._files.claim(due)
        asked: dict[bool, list[str]] = {False: [], True: []}
        for some in chunks(due, TOLD_AT_ONCE):
            for directory, word, text in self._submission.run(script.text("cancel.sh"), (f"{grace:g}",), some):
                if (case := self._stopped(directory, word, text)) is not None:
                    case.term_at = now if case.term_at is None else case.term_at
                    case.told_at = now
                    asked[now >= case.term_at + grace].append(case.handle)
        for kill, handles in asked.items():
            for some_handles in chunks(sorted(handles), TOLD_AT_ONCE):
                self._transport.run(self._dialect.cancel(some_handles, kill=kill), timeout=COMMAND_SECONDS)
        if due:
            self._inquiry.hurry(now)

    def _stopped(self, directory: Path, word: str, text: str) -> Case | None:
        """The job that its scheduler is to end, if there is one."""
        known = self._cases.get(directory)
        reply = self._submission.reply(word, text) if word in ("id", "claim", "void") else None
        handle = (reply.handle if isinstance(reply, Accepted) else "") or (known.handle if known else "")
        if word == "void" and not handle:
            self._case(directory, "")
        return self._case(directory, handle) if handle and word not in ("ended", "busy", "failed") else None

    def _to_be_told(self, directory: Path, grace: float, now: float) -> bool:
        """Whether it is time to ask for a job's end, once more, or with KILL: not at every look."""
        case = self._cases.get(directory)
        if case is None or case.term_at is None or now >= case.told_at + AGAIN_SECONDS:
            return True
        return case.told_at < case.term_at + grace <= now

    def collect(self, directory: Path, spec: JobSpec) -> Collected:
        """Bring what the job left, where that has to be, and find it."""
        directory = directory.absolute()
        case = self._cases.get(directory)
        seen = case.final if case is not None and case.final is not None else self.observe([directory])[0]
        self._files.bring(directory, spec)
        left = collected(directory, spec, seen, script.OWN)
        self._cases.pop(directory, None)
        return left

    def about(self) -> Standing:
        """What the scheduler says of itself; raises OperatorError if it does not answer."""
        ran = self._transport.run(self._dialect.about, timeout=COMMAND_SECONDS)
        if ran.exit_code:
            raise OperatorError(f"{self.system} on {self.place} does not answer: {ran.said}")
        return self._dialect.standing(ran.stdout.decode(errors="replace"))
