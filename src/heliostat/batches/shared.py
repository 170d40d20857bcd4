"""The files of jobs where both sides see the same ones: on this machine, or on a file system that the cluster shares.

``JobFiles`` is the seam to where they are; ``Shared`` is the simple case, in which nothing is carried.
"""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar
from uuid import uuid4

from heliostat.batch import ENDED, EXIT_CODE
from heliostat.files import make

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from heliostat.job import JobSpec
    from heliostat.transport import Ran, Transport

#: Names in a job's directory, as the scripts beside this module write them.
SCRIPT, WRAPPER, COMMAND, ENVIRONMENT = "job.script", "job.sh", "job.command", "job.env"
LOCK, SUBMITTING, ID, VOID = "job.lock", "job.submitting", "job.id", "job.void"
ANSWER, SAID = "job.answer", "job.said"  #: of the command that submits
CLAIM, STOP, OUT, LOG = "job.claim", "job.stop", "job.out", "job.log"
CONTAINER, BEGUN, GUARD = "job.container", "job.begun", "job.guard"  #: of a command in a container
SLEEPER = "job.sleeper"  #: who knows whether signals came to all processes of the job
TERM = "job.term"  #: the scheduler has asked the job to end
ARRAY, MEMBERS = "job.array", "job.members"  #: of a job in an array: which, and where; of an array: its jobs
#: Here, of a job whose files are elsewhere: where, that all came, and that nothing is left there.
THERE, BROUGHT, REMOVED = "job.there", "job.brought", "job.removed"
GONE = "job.gone"  #: no file, but in a look why nothing can be told of a directory
#: What tells how a job stands; each is small, and written once.
TELLING = (EXIT_CODE, CLAIM, STOP, TERM, ID, VOID, ARRAY)
_TELLING = frozenset(TELLING)
MARKS = frozenset({TERM, VOID})  #: of which it is enough that they are there
MOST_BYTES = 1 << 12

T = TypeVar("T")
Notes: TypeAlias = "dict[str, str]"


class JobFiles(Protocol):
    """Where the directories of jobs are for the batch system, and what stands in them."""

    def there(self, directory: Path) -> str:
        """The path of a directory for the batch system."""

    def put(self, directories: Sequence[Path]) -> None:
        """Have all that is in directories here be there; raises OperatorError."""

    def claim(self, directories: Sequence[Path]) -> None:
        """Have directories be there, with nothing in them where they were not put yet; raises OperatorError."""

    def look(self, directories: Sequence[Path], script: str = "") -> tuple[list[Notes], Ran | None]:
        """The telling files of directories by name, those that are there, and how a script ran, if one is given.

        Nothing is run where files can be read without. Raises OperatorError if nothing can be told; what cannot be told
        of one directory is ``GONE`` in its place.
        """

    @property
    def tells(self) -> bool:
        """Whether jobs can tell of their end here."""

    def told(self) -> list[Path]:
        """Directories of jobs that have told of their end, and were not brought since; of others' jobs, too."""

    def together(self, directories: Sequence[Path]) -> None:
        """Jobs are about to be submitted by one script: let them share a lock, where files can have two names."""

    def bring(self, directory: Path, spec: JobSpec) -> None:
        """Have here what an ended job left there; raises OperatorError."""


class Shared:
    """Files that have the same paths there as here.

    A job's directory lies in a folder for its run, and that beside those of all runs; no folder of a run has a dot in
    its name.
    """

    tells = True

    def __init__(self, transport: Transport, seconds: float = 60.0) -> None:
        self._transport, self._seconds = transport, seconds
        self._homes: set[str] = set()  # of what was looked at; replaced and never changed, others may be reading it

    def there(self, directory: Path) -> str:
        return str(directory)

    def put(self, directories: Sequence[Path]) -> None:
        for home in _homes(directories):
            with suppress(OSError):  # then no job can tell, and they are looked at
                os.makedirs(f"{home}/{ENDED}", exist_ok=True)

    def claim(self, directories: Sequence[Path]) -> None:
        del directories

    def look(self, directories: Sequence[Path], script: str = "") -> tuple[list[Notes], Ran | None]:
        if not self._homes >= (homes := _homes(directories)):
            self._homes = self._homes | homes
        ran = self._transport.run(script, timeout=self._seconds) if script else None
        return [notes(directory) for directory in directories], ran  # read after it: what it tells is older

    def told(self) -> list[Path]:
        found = []
        for home in self._homes:
            with suppress(OSError):
                told = (entry.partition(".") for entry in os.listdir(f"{home}/{ENDED}"))
                found += [Path(f"{home}/{run}/{name}") for run, _, name in told]
        return found

    def together(self, directories: Sequence[Path]) -> None:
        shared = f"{directories[0]}/.{LOCK}.{uuid4().hex}"
        with suppress(OSError):
            make(shared, "")
            for directory in directories:
                with suppress(FileExistsError):  # who has one keeps it, for somebody may hold it
                    os.link(shared, f"{directory}/{LOCK}")
            os.unlink(shared)

    def bring(self, directory: Path, spec: JobSpec) -> None:
        del spec
        with suppress(OSError):
            home, run, name = _split(directory)
            os.unlink(f"{home}/{ENDED}/{run}.{name}")


def _homes(directories: Sequence[Path]) -> set[str]:
    """Where the directories of all jobs are, below a folder for each run."""
    return {_split(directory)[0] for directory in directories}


def _split(directory: Path) -> tuple[str, str, str]:
    """The directory of a job as that of all jobs, its run's name, and its own."""
    home, run, name = str(directory).rsplit("/", 2)
    return home, run, name


def shell(command: str | tuple[str, ...]) -> str:
    """A command as a script."""
    return f"{command}\n" if isinstance(command, str) else f"exec {shlex.join(command)}\n"


def fields(text: str) -> dict[str, str]:
    """What a telling file says: a word and its value a line."""
    return {key: value for key, _, value in (line.partition(" ") for line in text.splitlines())}


def membership(note: Notes) -> tuple[int, Path] | None:
    """Which job of an array it is, and the array's directory; None of none, and where a power cut has damaged it."""
    index, _, directory = note.get(ARRAY, "").partition("\n")
    return (int(index), Path(directory.removesuffix("\n"))) if index.isdecimal() and directory.strip() else None


def chunks(items: list[T], size: int) -> Iterator[list[T]]:
    """A list in pieces of a size."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def notes(directory: Path) -> Notes:
    """The telling files of a directory at hand, by name. It is called for every job at every look."""
    place = str(directory)
    with suppress(OSError):
        found = set(os.listdir(place))  # asks a network file system anew, as opening may not
        wanted = found & _TELLING - ({ID} if CLAIM in found else set())  # the claim says it better
        texts = {name: "" if name in MARKS else _readable(f"{place}/{name}") for name in wanted}
        return {name: text for name, text in texts.items() if text is not None}
    return {}


def _readable(path: str) -> str | None:
    with suppress(OSError):
        return read(path)
    return None


def read(path: Path | str) -> str | None:
    """A small file's text; None if there is none. Never waits, whatever a job has put in its place."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return os.read(descriptor, MOST_BYTES).decode(errors="replace")
    except IsADirectoryError:
        return None
    finally:
        os.close(descriptor)
