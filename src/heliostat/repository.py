"""The seam to where artifacts lie. The docstrings of ``Repository`` are the contract."""

from __future__ import annotations

import mimetypes
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO, Protocol

from heliostat import codec
from heliostat.artifact import ANY, MARK, mentioned
from heliostat.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from heliostat.artifact import Artifact


class Repository(Protocol):
    """Files by content: what has the same bytes is kept once. Any number of processes use it at the same time.

    They raise ArtifactError for a file that should be there and is missing or damaged.
    """

    def keep(
        self, path: Path, name: str | None = None, *, media_type: str | None = None, tags: Sequence[str] = ()
    ) -> Artifact:
        """Copy a file in; when it has returned, the copy is whole, and safe from a power cut.

        One that is there already counts as kept now, so that ``remove`` leaves it to whoever is about to refer to it.
        ``name`` is the file's own unless given, ``media_type`` is guessed from the name unless given. Digest and
        size are those of what was copied, even if the file changes meanwhile. Raises BadInput for a directory,
        for what is no ordinary file or is not there, and for a name that is none.
        """
        ...

    def bring(self, artifact: Artifact, directory: Path) -> Path:
        """Copy a file out, under its name, into a directory that is made if need be; answers with the path.

        The digest is verified on the way, and a path that is there is whole. If the directory has the same file
        already, that is the answer; if it has another one of this name, a number is added to the name.
        """
        ...

    def lend(self, artifact: Artifact, directory: Path) -> None:
        """Have a kept file in a directory, too, where ``DirectoryRepository`` would have it: linked if that can be.

        It is not verified, for whoever brings it from there does so.
        """
        ...

    def take(self, artifact: Artifact, directory: Path) -> None:
        """Keep a file that was kept in such a directory, linked if that can be; its digest is verified.

        When it has returned, the file is whole here, and safe from a power cut. Harmless if it is here already.
        """
        ...

    def open(self, artifact: Artifact) -> BinaryIO:
        """Open a kept file for reading, without verifying it."""
        ...

    def hold(self, artifact: Artifact) -> bool:
        """Count a file as kept now; answers whether it is there."""
        ...

    def remove(self, digest: str, unused_seconds: float) -> int | None:
        """Remove a file that was not kept for so long; answers how many bytes went, 0 if it was not there.

        None: it was kept since, and stays. No ``keep`` that is going on is left without its file. Raises
        OperatorError where files cannot be removed safely, or not at all.
        """
        ...

    def sweep(self, unused_seconds: float) -> int:
        """Remove what crashes left unfinished and nobody has written to for so long; answers how many bytes went."""
        ...


def check_files(text: str, where: str, repository: Repository | None = None) -> str:
    """JSON text in which every file that stands there is one, and is kept if a ``repository`` is given.

    Raises BadInput.
    """
    if MARK not in text:
        return text
    try:
        files = list(mentioned(codec.decode(text)))
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
    for file in files:
        if repository is not None and not repository.hold(file):  # who kept it may be about to be forgotten
            raise BadInput(
                f"{where}: the file {file.name!r} ({file.digest[:15]}…) is not kept here; give a Path instead"
            )
    return text


def guess(name: str) -> str:
    """The media type that a file's name tells, the same on every machine."""
    media_type, packed = _types().guess_type(name)
    if packed:
        return _PACKED.get(packed, ANY)
    return media_type or ANY


_PACKED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}


@lru_cache(maxsize=1)
def _types() -> mimetypes.MimeTypes:
    """Python's own table, which an instance has to itself, and what science adds to it."""
    types = mimetypes.MimeTypes()
    types.add_type("application/fits", ".fits")
    types.add_type("application/geo+json", ".geojson")
    return types
