"""How a job on a cluster stands: by its files, and by its scheduler's last word."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heliostat.batch import EXIT_CODE, JobState, Observation
from heliostat.batches.shared import CLAIM, OUT, STOP, TERM, fields
from heliostat.files import tail
from heliostat.task import AttemptState

if TYPE_CHECKING:
    from heliostat.batches.shared import Notes

NEVER = float("-inf")
NO_WORDS = "it left no words; is its directory there on the compute nodes?"
SIGNALLED = 128  #: exit codes above tell of a signal, and not who sent it


@dataclass(slots=True)
class Case:
    """What is known of a job besides its files, and since when something is awaited.

    ``handle`` is empty for one that never will be submitted.
    """

    directory: Path
    handle: str
    output: Path | None = None  # of its script, and its scheduler's words
    said: Observation | None = None  # by the scheduler, when it was last asked; None: it does not know the job
    asked_at: float = NEVER  # when it last answered, with whatever
    ending_at: float | None = None  # since when the job seems to have ended
    recorded: bool = False  # the scheduler's records were asked, too
    final: Observation | None = None
    term_at: float | None = None  # when it was first asked to end
    told_at: float = NEVER  # and last

    @property
    def answered(self) -> bool:
        """Whether the scheduler has said something since the job seems to have ended."""
        return self.ending_at is not None and self.asked_at >= self.ending_at

    @property
    def odd(self) -> bool:
        """Whether the scheduler does not know the job any more, or not by whom it was ended: its records may."""
        return self.said is None or self.said.how is AttemptState.killed


def judge(case: Case, note: Notes, now: float, settle: float, unasked: str) -> Observation:
    """How a job stands. ``unasked`` is why its scheduler could not be asked, ``settle`` how long files are awaited."""
    if case.final is None:
        seen = _seen(case, note, now, settle, unasked)
        case.final = seen if seen.state.final else None
        return seen
    return case.final


def _seen(case: Case, note: Notes, now: float, settle: float, unasked: str) -> Observation:
    stop, code, said = _stopped(note), _code(note), case.said
    begun = JobState.running if CLAIM in note else JobState.submitted
    if code is not None and (stop is not None or (code <= SIGNALLED and TERM not in note)):
        return Observation(JobState.ended, code) if stop is None else _stop(stop, code)
    if code is None and not case.handle:
        return Observation(JobState.ended, None, "cancelled before it began")
    gone = said.state.final if said is not None else case.asked_at > NEVER
    if code is None and not gone:
        case.ending_at = None
        return _going_on(said, begun, unasked)
    case.ending_at = now if case.ending_at is None else case.ending_at
    answered = gone and case.answered and (case.recorded or not case.odd)
    if answered and (code is not None or (said is not None and said.reason is not None)):
        return _ended(case, code, stop, begun)
    if now >= case.ending_at + settle:  # until then, a file may come to be seen
        return _ended(case, code, stop, begun)
    return Observation(begun)


def _going_on(said: Observation | None, begun: JobState, unasked: str) -> Observation:
    if unasked:
        return Observation(JobState.unknown, reason=unasked, asked=False)
    if said is None or said.state is JobState.unknown:
        return Observation(begun)
    if begun is JobState.submitted:
        return said
    # its files are ahead of the scheduler's word, which may still be why it waited
    return Observation(JobState.running, reason=said.reason if said.state is JobState.running else None)


def _ended(case: Case, code: int | None, stop: str | None, begun: JobState) -> Observation:
    """What became of a job that its own files do not tell of, or not all of it."""
    said = case.said
    if stop is not None:
        return _stop(stop, code)
    if said is not None and said.state.final and said.reason:
        return Observation(said.state, code, said.reason, said.how)
    if code is not None:
        return Observation(JobState.ended, code)
    if case.directory.is_dir() and begun is JobState.submitted:
        words = tail(case.directory / OUT) or (tail(case.output) if case.output else "") or NO_WORDS
        reason = f"its script ended before its command began: {words}"
        return Observation(JobState.ended, said.exit_code if said else None, reason)
    reason = "it is gone and left no exit code: killed by somebody, or its node failed"
    if not case.directory.is_dir():
        reason = f"its directory {case.directory} was removed while it ran"
    return Observation(JobState.lost, reason=reason, how=AttemptState.lost)


def _stop(reason: str, code: int | None) -> Observation:
    """A job that was asked to stop, and has."""
    how = AttemptState.timed_out if reason.startswith("timed out") else AttemptState.failed
    return Observation(JobState.ended, code, reason, how)


def _stopped(note: Notes) -> str | None:
    return fields(note[STOP]).get("reason") if STOP in note else None


def _code(note: Notes) -> int | None:
    with suppress(ValueError):  # empty after a power cut: the same as none
        return int(note[EXIT_CODE]) if EXIT_CODE in note else None
    return None
