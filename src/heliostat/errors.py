"""Everything that Heliostat raises, by who must act.

HeliostatError
├── DefinitionError        the author of a workflow: the definition itself is wrong
├── Refused                the caller: this request cannot be taken, nothing was changed
│   ├── BadInput           a value is not what was asked for
│   ├── NotFound           the thing named does not exist
│   ├── NotEnded           the run whose result was asked for still goes on
│   │   └── NotEndedInTime  and the time that was given is over (a TimeoutError, too)
│   ├── Ended              the run is over, or the verb comes too late
│   └── Conflict           the same key or version with another content
│       └── Taken          the id of a new run is another run's: draw another
├── RunFailed              the caller: the run whose result was asked for did not succeed
├── TaskError              the author of a function: misuse of its context
│   └── Stopped            the attempt was asked to stop
└── OperatorError          the operator: something outside needs care
    ├── Drained            the worker was told to end
    ├── StoreUnavailable   the database cannot be reached or is busy (transient)
    ├── SchemaMismatch     the database has another schema than this version
    └── ArtifactError      a file is missing or is not what it was
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class HeliostatError(Exception):
    """The root: catch it to catch whatever Heliostat itself has to say."""

    #: Process exit code of the command line for this branch.
    exit_code = 1


class DefinitionError(HeliostatError):
    """A workflow is defined in a way that cannot work; raised at the line that says so."""

    exit_code = 3


class Refused(HeliostatError):
    """A request was refused at the door, and nothing was changed."""

    exit_code = 4


class BadInput(Refused):
    """A value is not what was asked for; the message names the field and what would be right."""


class NotFound(Refused):
    """What was named does not exist."""


class NotEnded(Refused):
    """The run has not come to its end, so it has no result; the message says what it waits for."""

    def __init__(self, run: str, waits_for: str) -> None:
        super().__init__(f"run {run} has not ended: {waits_for}")
        self.run, self.waits_for = run, waits_for


class NotEndedInTime(NotEnded, TimeoutError):
    """The run has not come to its end in the time that was given; the message says what it waits for."""

    def __init__(self, run: str, waits_for: str, seconds: float) -> None:
        super().__init__(run, waits_for)
        self.args = (f"run {run} has not ended in {seconds:g} s: {waits_for}",)
        self.seconds = seconds


class Ended(Refused):
    """The run is over, so the request has nothing left to act on."""


class Conflict(Refused):
    """The same key or version was used before with another content."""


class Taken(Conflict):
    """Another process drew the same id for a run in the same moment; the same request with another id will do."""


class RunFailed(HeliostatError):
    """The run did not succeed; the message names node and cause, with the line of the function that raised.

    That one's traceback, where it lies on this machine, is a note of this error, which Python shows below it.
    """

    exit_code = 5

    def __init__(self, run: str, state: str, reason: str, traceback: str | None = None) -> None:
        super().__init__(f"run {run} {state}: {reason}")
        self.run, self.state, self.reason, self.traceback = run, state, reason, traceback
        if traceback:
            self.add_note(traceback)


class TaskError(HeliostatError):
    """A function used its context in a way that has no meaning."""


class Stopped(TaskError):
    """The attempt was asked to stop and said so by raising this."""


class OperatorError(HeliostatError):
    """Something outside the workflow needs an operator's care."""

    exit_code = 6
    transient = False


class Drained(OperatorError):
    """An operator had the worker end; what it was working on goes on with another."""


class StoreUnavailable(OperatorError):
    """The database cannot be reached or stayed busy; the same call may succeed later."""

    transient = True


class SchemaMismatch(OperatorError):
    """The database has another schema than this version of Heliostat."""


class ArtifactError(OperatorError):
    """A file that the repository should hold is missing or damaged."""


def said(error: BaseException) -> str:
    """What an error says; empty where it cannot even do that, for other people's errors are other people's code."""
    try:
        return str(error).strip()
    except BaseException:  # noqa: BLE001 - its own class is told, which is all there is to tell
        return ""


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause that offers the nearest known name, or lists the few there are, or nothing."""
    names = list(known)
    if close := get_close_matches(name, names, n=1):
        return f"; did you mean {close[0]!r}?"
    return f"; there is {', '.join(names)}" if 0 < len(names) <= 8 else ""
