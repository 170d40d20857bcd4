"""What a scheduler is asked, and when: one command for all jobs, soon after something changed, then more rarely."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from heliostat.batches.shared import LOG, membership
from heliostat.batches.submission import COMMAND_SECONDS
from heliostat.errors import OperatorError
from heliostat.files import tail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from heliostat.batch import Observation
    from heliostat.batches.dialect import Dialect
    from heliostat.batches.shared import JobFiles, Notes
    from heliostat.batches.verdict import Case
    from heliostat.transport import Transport

ASK_SECONDS = (1.0, 30.0)  #: between questions to the scheduler: soon after a submission, and growing


class Inquiry:
    """Reads the files of jobs, and asks their scheduler for what those cannot tell, when it is time."""

    def __init__(self, dialect: Dialect, transport: Transport, files: JobFiles) -> None:
        self._dialect, self._transport, self._files = dialect, transport, files
        self._due, self._pause = 0.0, ASK_SECONDS[0]
        self.unasked = ""  #: why it could not be asked, if that was so the last time

    def hurry(self, now: float) -> None:
        """Ask soon, for something has just been asked of it."""
        self._pause = ASK_SECONDS[0]
        soon = now + self._pause
        self._due = min(self._due, soon) if self._due else soon

    def hasten(self, now: float) -> None:
        """Ask soon, for some job seems to have ended."""
        self._due = min(self._due, now + ASK_SECONDS[0])

    def notes(
        self, directories: Sequence[Path], cases: Sequence[Case], now: float, *, at_once: bool = False
    ) -> list[Notes]:
        """Read files, and note in cases what the scheduler says, if it is time to ask it.

        ``at_once`` asks for these in any case; of when it is time for the others, that changes nothing.
        """
        handles = [case.handle for case in cases if case.handle and case.final is None]
        if not handles or not (at_once or now >= self._due or not self._transport.here):
            return self._files.look(directories)[0]
        if not at_once:
            self._pause = min(self._pause * 1.5, ASK_SECONDS[1])
            self._due = now + self._pause
        try:
            notes, ran = self._files.look(directories, self._dialect.look(handles))
            assert ran is not None
            said = self._dialect.seen(ran)
        except OperatorError as error:
            self.unasked = f"{self._dialect.name} cannot be asked: {error}"
            if not self._transport.here:
                raise
            return self._files.look(directories)[0]
        self.unasked = ""
        by_case = dict(zip(directories, notes, strict=True))
        for case in cases:
            case.asked_at, case.said = now, self._with_why(case, said.get(case.handle), by_case[case.directory])
        return notes

    def _with_why(self, case: Case, said: Observation | None, note: Notes) -> Observation | None:
        """What the scheduler says of a job; should that be little, what it wrote into the output of its script."""
        if said is not None and (said.reason or not said.state.final):
            return said
        member = membership(note)
        case.output = case.directory / LOG if member is None else member[1] / f"{LOG}.{member[0]}"
        return self._dialect.why(tail(case.output)) or said

    def records(self, cases: Sequence[Case]) -> None:
        """Ask the scheduler's records for jobs that it does not know any more, or not by whom they were ended."""
        for case in cases:
            case.recorded = True
        if not (line := self._dialect.past([case.handle for case in cases])):
            return
        with suppress(OperatorError):  # many a cluster keeps no records
            said = self._dialect.seen(self._transport.run(line, timeout=COMMAND_SECONDS))
            for case in cases:
                if (told := said.get(case.handle)) is not None and told.state.final:
                    case.said = told
