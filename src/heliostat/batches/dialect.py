"""What differs between schedulers: their commands, the directives of a script, and what their answers mean.

A dialect runs nothing. It gives lines of sh, and reads what they print; ``cluster`` does the rest. The docstrings are
the contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heliostat.batch import Observation, Standing
    from heliostat.transport import Ran


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the directives of a script ask for; a ``walltime`` is in seconds, an ``array`` is a number of jobs or 0."""

    name: str
    cores: int = 1
    nodes: int = 1
    memory_bytes: int | None = None
    gpus: int = 0
    walltime: float | None = None
    partition: str = ""
    account: str = ""
    directives: tuple[str, ...] = ()
    array: int = 0


class Dialect(Protocol):
    """How to talk to one kind of scheduler."""

    name: str  #: its word in the configuration
    name_length: int  #: how long the name of a job may be
    index: str  #: the shell's expression for an array job's index, which begins at 0
    about: str  #: a line of sh that prints which scheduler answers, and perhaps its partitions

    def own(self, *, array: bool) -> str:
        """The shell's expression, within a job, for its handle."""

    def header(self, wanted: Wanted) -> str:
        """The directives at the head of a script.

        The job is not to be started a second time by the scheduler. Its output goes to ``shared.LOG`` where it was
        submitted; that of an array's jobs to a file each, with a dot and the index behind that name.
        """

    @property
    def submit(self) -> str:
        """A line of sh that submits the script ``$1``, and prints what ``submitted`` reads."""

    def submitted(self, text: str) -> str:
        """The handle in what ``submit`` printed; of a handle itself, that. Raises ValueError where there is none."""

    def member(self, handle: str, index: int) -> str:
        """The handle of one job of an array."""

    def refused(self, complaint: str) -> bool:
        """Whether a submission that failed with these words will fail again, whenever it is tried."""

    def find(self, names: Sequence[str]) -> str:
        """A line of sh that prints those of my jobs that have these names, with their names; there may be others."""

    def standing(self, text: str) -> Standing:
        """What ``about`` printed."""

    def found(self, text: str) -> Mapping[str, str]:
        """The handles in what ``find`` printed, by the names of jobs."""

    def look(self, handles: Sequence[str]) -> str:
        """One line or more of sh that print how these jobs stand, however many they are."""

    def past(self, handles: Sequence[str]) -> str:
        """The same from the scheduler's records of jobs that it has forgotten or that ended oddly; may be empty."""

    def seen(self, ran: Ran) -> Mapping[str, Observation]:
        """What ``look`` or ``past`` printed, by handle; those that it does not know are left out.

        The exit code is that of the script, where it is told. Raises OperatorError if the scheduler did not answer.
        """

    def why(self, output: str) -> Observation | None:
        """Why a job ended, as the scheduler may have written into the output of its script; None if it did not."""

    def cancel(self, handles: Sequence[str], *, kill: bool) -> str:
        """A line of sh that asks jobs to end (TERM and, in the scheduler's own time, KILL), or kills them now."""
