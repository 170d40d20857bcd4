"""A directory as a repository: one file per content, named after its digest, as ``ab/cdef…``.

A file is written beside the others under a temporary name and renamed when it is whole and on disk, so whoever
looks finds it complete or not at all. What crashes leave behind lies in ``tmp`` until ``sweep``. When a file was last
kept is its time of change. Who keeps holds a lock together with all who keep, for as long as it takes to set that time
or to rename; who removes holds it alone. So a file is either seen to be young, or gone before it is looked for.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

from heliostat.artifact import NAME_BYTES, Artifact
from heliostat.errors import ArtifactError, BadInput, OperatorError
from heliostat.repository import guess

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CHUNK = 1 << 20
_EMPTY = "sha256:" + hashlib.sha256().hexdigest()


class DirectoryRepository:
    """Artifacts in a directory of this machine or of a network file system."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._temporary = self.root / "tmp"

    def keep(
        self, path: Path, name: str | None = None, *, media_type: str | None = None, tags: Sequence[str] = ()
    ) -> Artifact:
        name = path.name if name is None else name
        blank = Artifact(name, _EMPTY, 0, media_type or guess(name), tuple(tags))  # a bad name is refused first
        if not path.is_file():
            what = "is a directory; keep the files in it, or pack it" if path.is_dir() else "is no file"
            raise BadInput(f"artifact {name!r}: {path} {what}")
        self._make()
        with path.open("rb") as source, _new(self._temporary) as (temporary, target):
            digest, size = _copy(source, target)
            self._settle(temporary, target, self._path(digest))
        return replace(blank, digest=digest, size=size)

    def bring(self, artifact: Artifact, directory: Path) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        for path in _names(directory, artifact.name):
            if not os.path.lexists(path) and self._copy_out(artifact, path):
                return path
            if _digest(path) == artifact.digest:
                return path
        raise AssertionError("there is always another number")

    def lend(self, artifact: Artifact, directory: Path) -> None:
        path = self._path(artifact.digest, directory)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            return
        with self._linked(artifact, path.parent, self.root) as (temporary, _):
            temporary.replace(path)

    def take(self, artifact: Artifact, directory: Path) -> None:
        if self.hold(artifact):
            return
        self._make()
        with self._linked(artifact, self._temporary, directory) as (temporary, target):
            digest = _digest(temporary)
            if digest != artifact.digest:
                raise _damaged(artifact, self._path(artifact.digest, directory), digest)
            os.utime(temporary)  # it is kept now, not when it was made
            self._settle(temporary, target, self._path(artifact.digest))

    def open(self, artifact: Artifact) -> BinaryIO:
        return self._opened(artifact, self.root)

    def hold(self, artifact: Artifact) -> bool:
        path = self._path(artifact.digest)
        with self._locked(), suppress(OSError):  # another user's is there too
            os.utime(path)
        return path.is_file()

    def remove(self, digest: str, unused_seconds: float) -> int | None:
        path = self._path(digest)
        if not self.root.is_dir():
            raise OperatorError(f"there is no directory {self.root}; see that its disk is there")
        if not path.is_file():
            return 0
        with self._locked(alone=True):
            return _remove(path, time.time() - unused_seconds)

    def sweep(self, unused_seconds: float) -> int:
        limit = time.time() - unused_seconds
        return sum(_remove(temporary, limit) or 0 for temporary in self._temporary.glob("*"))

    def _make(self) -> None:
        if not self._temporary.is_dir():
            self._temporary.mkdir(parents=True, exist_ok=True)
            _sync(self.root.parent)

    @contextmanager
    def _locked(self, *, alone: bool = False) -> Iterator[None]:
        """Hold the directory's lock, alone or together with all who keep; it ends with its process.

        Where nobody can lock, nobody removes, so whoever keeps goes on without.
        """
        how = os.O_RDWR if alone else os.O_RDONLY  # a network file system asks for it
        with ExitStack() as stack:
            try:
                descriptor = os.open(self.root / "lock", how | os.O_CREAT | os.O_CLOEXEC, 0o666)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            except OSError as error:
                if alone:
                    raise OperatorError(
                        f"files in {self.root} cannot be removed safely, since it cannot be locked: {error}; "
                        "see to its permissions, and that its file system has locks"
                    ) from error
            yield

    def _settle(self, temporary: Path, target: BinaryIO, path: Path) -> None:
        """Give a copy its name, unless its bytes are here already; on disk when it returns."""
        target.flush()
        path.parent.mkdir(exist_ok=True)
        with self._locked():
            here = _touch(path, os.fstat(target.fileno()).st_size)
        if not here:
            os.fchmod(target.fileno(), 0o444)
            os.fsync(target.fileno())
            with self._locked():
                temporary.replace(path)
        _sync(path.parent)  # also for another's file: it may have been renamed only just now
        _sync(self.root)

    def _copy_out(self, artifact: Artifact, path: Path) -> bool:
        """Copy and verify; False if another file got this name meanwhile."""
        with self.open(artifact) as source, _new(path.parent) as (temporary, target):
            digest, _ = _copy(source, target)
            if digest != artifact.digest:
                raise _damaged(artifact, self._path(artifact.digest), digest)
            target.flush()
            try:
                os.link(temporary, path)  # unlike a rename, never over another file
            except FileExistsError:
                return False
        return True

    @contextmanager
    def _linked(self, artifact: Artifact, directory: Path, root: Path) -> Iterator[tuple[Path, BinaryIO]]:
        """The file of a repository in ``root`` under a temporary name, linked or else copied; open, whatever it is."""
        path = directory / f".{uuid4().hex}"
        with self._opened(artifact, root) as source:
            try:
                try:
                    os.link(self._path(artifact.digest, root), path)
                except OSError:  # another file system, or one without links
                    with path.open("xb") as target:
                        _copy(source, target)
                with path.open("rb") as target:
                    yield path, target
            finally:
                path.unlink(missing_ok=True)

    def _opened(self, artifact: Artifact, root: Path) -> BinaryIO:
        path = self._path(artifact.digest, root)
        if path.is_file():  # whatever else is there may have its reader wait for ever
            with suppress(FileNotFoundError):
                return path.open("rb")
        raise ArtifactError(f"artifact {artifact.name!r}: {artifact.digest} is not in {root}")

    def _path(self, digest: str, root: Path | None = None) -> Path:
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise BadInput(f"{digest!r} is no digest; it is sha256: and 64 hex digits")
        hexadecimal = digest.removeprefix("sha256:")
        return (root or self.root) / hexadecimal[:2] / hexadecimal[2:]


@contextmanager
def _new(directory: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A file of its own under a temporary name, which is gone at the end, whatever became of the file."""
    path = directory / f".{uuid4().hex}"
    try:
        with path.open("xb") as file:
            yield path, file
    finally:
        path.unlink(missing_ok=True)


def _copy(source: BinaryIO, target: BinaryIO) -> tuple[str, int]:
    """Copy, and tell digest and size of what was written, however the source changes meanwhile."""
    hashed, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        hashed.update(chunk)
        size += target.write(chunk)
    return f"sha256:{hashed.hexdigest()}", size


def _damaged(artifact: Artifact, path: Path, digest: str | None) -> ArtifactError:
    return ArtifactError(f"artifact {artifact.name!r}: {path} is damaged, its digest is {digest}")


def _touch(path: Path, size: int) -> bool:
    """Have a file count as kept now; False if it is not there, cut short, or not to be touched: a copy mends that."""
    try:
        if path.stat().st_size != size:
            return False
        os.utime(path)
    except OSError:
        return False
    return True


def _remove(path: Path, limit: float) -> int | None:
    """Remove a file that was last written before a time; answers its bytes, or None if it stays."""
    try:
        found = path.stat()
        if found.st_mtime >= limit:
            return None
        path.unlink()
    except FileNotFoundError:  # its writer, or somebody else who removes, was faster
        return 0
    except OSError as error:
        raise OperatorError(f"{path} cannot be removed: {error}; see to its permissions") from error
    return found.st_size


def _digest(path: Path) -> str | None:
    """The digest of an ordinary file; None for anything else."""
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _names(directory: Path, name: str) -> Iterator[Path]:
    """Paths to try: ``dem.tif``, ``dem-2.tif``, ``dem-3.tif`` and so on."""
    yield directory / name
    for number in count(2):
        tail = f"-{number}{PurePath(name).suffix}"
        stem = PurePath(name).stem.encode()[: NAME_BYTES - len(tail.encode())].decode(errors="ignore")
        yield directory / f"{stem}{tail}"


def _sync(directory: Path) -> None:
    """Have the names in a directory on disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
