"""Small files that pass between processes: written whole, and read without waiting, whatever lies in their place."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

if TYPE_CHECKING:
    from pathlib import Path

_OURS, _NUMBERS = uuid4().hex, count()  # no other process, here or on another machine, has the same names
TAIL_LINES, TAIL_BYTES = 20, 16 << 10


def put(path: Path | str, text: str, *, mode: int = 0o666, sync: bool = False) -> None:
    """Make or replace a file with all its text, at once, for somebody may be reading it; ``sync``: and for good."""
    folder, slash, name = str(path).rpartition("/")
    mine = f"{folder}{slash}.{name}.{_OURS}.{os.getpid()}.{next(_NUMBERS)}"
    try:
        _fill(mine, text, mode, sync=sync)
        os.replace(mine, path)  # noqa: PTH105 - it is called several times for a job
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(mine)  # noqa: PTH108
        raise


def make(path: Path | str, text: str, *, mode: int = 0o666) -> None:
    """Make a file that nobody reads yet, in a quarter of the time; one that is there is replaced, as by ``put``.

    If this process is killed, it may be left cut short.
    """
    try:
        _fill(str(path), text, mode)
    except FileExistsError:
        put(path, text, mode=mode)


def _fill(path: str, text: str, mode: int, *, sync: bool = False) -> None:
    """Make a new file with a text, or none."""
    data = text.encode("utf-8", "surrogateescape")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    mine = os.fstat(descriptor)
    try:
        try:
            while data:
                data = data[os.write(descriptor, data) :]
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)  # where a network file system may say that there is no room
    except BaseException:
        with suppress(OSError):  # another process may have put its own in the place of this one
            if os.path.samestat(mine, os.stat(path)):  # noqa: PTH116
                os.unlink(path)  # noqa: PTH108
        raise


def opened(path: Path, *, follow: bool = True) -> BinaryIO:
    """A file of a job's directory, to be read; raises OSError for whatever else a job may have put in its place.

    It never waits, as who opens a pipe to which nobody writes would do for ever. Links are not gone after unless
    ``follow``.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "no ordinary file", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def tail(path: Path) -> str:
    """The last lines of a text file, for people; empty where there is none, or it cannot be read."""
    data = b""
    with suppress(OSError), opened(path) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
        data = file.read(TAIL_BYTES)
    text = data.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return "\n".join(text.splitlines()[-TAIL_LINES:])
