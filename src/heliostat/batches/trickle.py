"""What jobs print on another machine while they run, brought here piece by piece.

A file here is the beginning of the one there, and grows at its end; when the job has ended, all of it is brought by
``luggage``. A look brings little of each, however much there is: of who prints faster the rest is told at the end.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from heliostat.batch import STDERR, STDOUT
from heliostat.batches.luggage import SECONDS, TOLD_BYTES
from heliostat.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from heliostat.transport import Transport

PIECE_BYTES = (1 << 12, 1 << 18)  #: of a file, in a look: the least, where there are many, and the most
LOOK_BYTES = 8 << 20  #: of all files, in a look, unless even the least of each is more
LOGS = "logs"  #: in a job's directory: what its function logs, in a file named after the run

#: Prints pieces of files below $2, each behind a line with $1 and its name: by threes, a name, an offset and a size.
_PIECES = """
mark=$1
cd -- "$2" 2> /dev/null || exit 0
shift 2
while [ $# -gt 0 ]; do
    printf '%s %s\\n' "$mark" "$1"
    tail -c "+$2" -- "$1" 2> /dev/null | head -c "$3"
    shift 3
done
"""


def growing(directory: Path) -> tuple[str, ...]:
    """The files of a job that tell what it says, by their names in its directory."""
    return STDOUT, STDERR, f"{LOGS}/{directory.parent.name}.jsonl"


def follow(transport: Transport, root: str, sizes: Mapping[str, int], places: Mapping[str, Path]) -> None:
    """Bring a piece of each file below ``root`` that has grown: of ``sizes`` there, by name, to ``places`` here."""
    grown = {name: at for name, size in sizes.items() if (at := _size(places[name])) < min(size, TOLD_BYTES)}
    if not grown:
        return
    least, most = PIECE_BYTES
    piece = min(most, max(least, LOOK_BYTES // len(grown)))
    mark = f"-- {secrets.token_hex(8)}"
    words = [word for name, at in grown.items() for word in (name, str(at + 1), str(piece))]
    with suppress(OperatorError):  # what is not told now is told later, or at the end
        ran = transport.run(_PIECES, mark, root, *words, timeout=SECONDS)
        for part in ran.stdout.split(f"{mark} ".encode())[1:]:
            name, _, data = part.partition(b"\n")
            if data and (path := name.decode(errors="replace")) in grown:
                _append(places[path], grown[path], data)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _append(path: Path, at: int, data: bytes) -> None:
    """Write data behind what is there, unless somebody else has done so, or has brought the whole file."""
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
    with suppress(OSError), path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.stat().st_ino == os.fstat(file.fileno()).st_ino and file.tell() == at:
            file.write(data)
