"""The connection that the scripts of all of a user's processes share: its socket, and who may log in when."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from stat import S_IMODE, S_ISDIR
from typing import TYPE_CHECKING

from heliostat.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOGIN_SECONDS = 60.0  #: for reaching the machine and being let in
ANSWER_SECONDS = 5.0  #: for a connection that is up to say so
PLACE = Path("/tmp")  # noqa: S108 - what is made there is looked at before it is used
PAUSES = (1.0, 300.0)  #: after a log-in that failed: at first, and at most when each further failure doubles it


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection by its socket, ``path``, which OpenSSH keeps; ``notes`` is where failed log-ins are counted.

    ``own`` says that nobody but Heliostat uses it.
    """

    place: str
    path: Path
    notes: Path
    own: bool = True

    @classmethod
    def of(cls, place: str, configuration: str, command: tuple[str, ...]) -> Connection:
        """The connection that belongs to what ``ssh -G`` says of a machine."""
        said = dict(row.split(" ", 1) for row in configuration.splitlines() if " " in row)
        key = sha256("\0".join((*command, place, configuration)).encode()).hexdigest()[:16]
        theirs = said.get("controlpath", "none")
        room = _room()
        path = room / key if theirs == "none" else Path(theirs)
        return cls(place, path, room / f"{key}.notes", theirs == "none")

    def up(self) -> bool:
        """Whether somebody listens at the socket, be it that he sleeps."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(ANSWER_SECONDS)
            try:
                line.connect(str(self.path))
            except OSError:
                return False
            return True

    @contextmanager
    def login(self) -> Iterator[None]:
        """The right to log in, which one process at a time has; raises OperatorError during the pause after a failure.

        An OperatorError that comes out of it counts as one.
        """
        _room()  # it may have been cleared away
        with self.notes.open("a+", encoding="utf-8") as notes:
            _lock(notes.fileno(), self.place)
            notes.seek(0)
            failures, at, complaint = _noted(notes.read())
            pause = min(PAUSES[0] * 2.0 ** min(failures - 1, 20), PAUSES[1])
            left = at + pause - time.time()
            if failures and 0 < left <= pause:  # else the clock was set back
                raise OperatorError(f"{complaint} (it is tried again in {left:.0f} s)")
            try:
                yield
            except OperatorError as error:
                notes.truncate(0)
                json.dump([failures + 1, time.time(), str(error)], notes)
                raise
            notes.truncate(0)

    def doubt(self, check: list[str]) -> None:
        """Ask a connection that let somebody down whether it is there; one that gives no answer is given up.

        OpenSSH makes a new one then. What hangs ends by itself when it is woken, for nobody uses it any more.
        """
        if not self.own:
            return
        with suppress(OSError):
            inode = self.path.stat().st_ino
            try:
                subprocess.run(check, stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_SECONDS, check=True)
            except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
                if self.path.stat().st_ino == inode:  # else it was given up already, and there is a new one
                    self.path.unlink()


def _lock(descriptor: int, place: str) -> None:
    deadline = time.monotonic() + LOGIN_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise OperatorError(f"{place}: another process has been logging in for {LOGIN_SECONDS:g} s") from None
            time.sleep(0.02)
        else:
            return


def _noted(text: str) -> tuple[int, float, str]:
    """How many log-ins have failed in a row, when the last did, and why."""
    try:
        failures, at, complaint = json.loads(text)
        return int(failures), float(at), str(complaint)
    except (ValueError, TypeError):  # none, or cut off by whoever ended while writing
        return 0, 0.0, ""


def _room() -> Path:
    """A directory that only this user may enter; a socket's path has 108 bytes at most, and OpenSSH adds some."""
    room = PLACE / f"heliostat-{os.getuid()}"
    with suppress(FileExistsError):
        room.mkdir(mode=0o700)
    seen = room.lstat()
    if not S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid() or S_IMODE(seen.st_mode) & 0o077:
        raise OperatorError(f"{room} is not a directory of this user's alone; remove it, or chmod 700")
    return room
