"""What a job left on another machine, brought here: what is small in one go, what is large by itself.

A file counts as brought when it has the size that it has there. What is large goes on where it was cut off. While a job
runs, what it prints comes here in pieces, of which each goes behind the one before.
"""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import tempfile
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from heliostat.batch import STDERR, STDOUT, UNBEGUN
from heliostat.batches.shared import LOG, OUT, SAID, TELLING
from heliostat.errors import OperatorError
from heliostat.job import FILES, OUTPUT, patterns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from heliostat.job import JobSpec
    from heliostat.transport import Transport

SECONDS = 60.0  #: for a question
CARRY_SECONDS = 3600.0  #: for a piece of what is carried
LARGE_BYTES = 16 << 20  #: a file from which on it travels alone
TOLD_BYTES = 64 << 20  #: of what a job said, the last of which is brought
_GONE = 9

#: Lists the files of a directory, and the links that lead to files, but for those that came with the job. The
#: directory is gone only where that of all jobs is there, which has a lock.
_LIST = f"""
cd -- "$1" 2> /dev/null || {{ [ ! -e "$1" ] && [ -e "${{1%/*/*}}/.lock" ] && exit {_GONE}; cd -- "$1"; exit 1; }}
find . -path "./$2" -prune -o -type f -printf '%s %P\\0' -o -type l -xtype f -printf '- %P\\0'
"""
#: Tells the size of what links lead to, where that is within the directory.
_LINKS = """
cd -- "$1" || exit 1
here=$(pwd -P)
shift
for link; do
    case $(readlink -f -- "$link") in "$here"/*) stat -L -c %s -- "$link" ;; *) echo - ;; esac
done
"""
_SOME = 'cd -- "$1" && exec tar --null --no-recursion --hard-dereference -ch -T - -f -'
_FROM = 'cd -- "$1" && exec tail -c "+$3" -- "$2"'
_LAST = 'cd -- "$1" && exec tail -c "$3" -- "$2"'
#: Removes a directory, and its array's when none of its jobs is left, and the run's when it is empty.
_REMOVE = """
array=$(sed -n 2p "$1/job.array" 2> /dev/null)
rm -rf -- "$1" || exit 1
trap 'rmdir -- "${1%/*}" 2> /dev/null; exit 0' EXIT
[ -n "$array" ] || exit 0
array=${1%/*}/${array##*/}
[ -f "$array/job.members" ] || exit 0
while IFS= read -r member; do
    [ ! -e "$member" ] || exit 0
done < "$array/job.members"
rm -rf -- "$array"
"""


def bring(transport: Transport, there: str, directory: Path, spec: JobSpec) -> None:
    """Bring what is wanted of a job; raises OperatorError where not all of it came, and may be called again."""
    sizes = _sizes(transport, there, spec)
    small = {name: size for name, size in sizes.items() if size <= LARGE_BYTES}
    try:
        _bring_small(transport, there, directory, small)
        for name in sizes.keys() - small.keys():
            if name in (STDOUT, STDERR, OUT, LOG) and sizes[name] > TOLD_BYTES:
                _bring_end(transport, there, directory / name)
            else:
                _bring_large(transport, there, directory / name, name, sizes[name])
    except OSError as error:
        raise OperatorError(f"{directory} cannot be written: {error.strerror}") from error


def remove(transport: Transport, there: str) -> None:
    """Remove a job's directory there; raises OperatorError."""
    ran = transport.run(_REMOVE, there, timeout=CARRY_SECONDS)
    if ran.exit_code:
        raise OperatorError(f"{there} cannot be removed on {transport.place}: {ran.said}")


@contextmanager
def listed(names: Iterable[str]) -> Iterator[IO[bytes]]:
    """Names in a file, as tar reads them."""
    with tempfile.TemporaryFile() as file:
        file.write(b"".join(os.fsencode(name) + b"\0" for name in names))
        file.seek(0)
        yield file


def _sizes(transport: Transport, there: str, spec: JobSpec) -> dict[str, int]:
    """The files that are wanted and there, with their sizes."""
    ran = transport.run(_LIST, there, FILES, timeout=CARRY_SECONDS)
    if ran.exit_code == _GONE:
        return {}
    if ran.exit_code:
        raise OperatorError(f"{there} cannot be listed on {transport.place}: {ran.said}")
    pairs = (os.fsdecode(row).partition(" ") for row in ran.stdout.split(b"\0") if row)
    wanted = _wanted(spec)
    found = {name: size for size, _, name in pairs if wanted.fullmatch(name)}
    links = [name for name, size in found.items() if size == "-"]
    if links:  # of those that lead elsewhere nothing is brought: they are no outputs
        ran = transport.run(_LINKS, there, *links, timeout=CARRY_SECONDS)
        if ran.exit_code:
            raise OperatorError(f"{there} cannot be listed on {transport.place}: {ran.said}")
        told = ran.stdout.decode().split()
        if len(told) != len(links):
            raise OperatorError(f"{there} has changed on {transport.place} while it was listed")
        found |= dict(zip(links, told, strict=True))
    return {name: int(size) for name, size in found.items() if size != "-"}


def _wanted(spec: JobSpec) -> re.Pattern[str]:
    """What is wanted of a job: what it said, how it ended, its result and its outputs."""
    names = map(re.escape, (STDOUT, STDERR, OUT, LOG, SAID, UNBEGUN, OUTPUT, *TELLING))
    return re.compile("|".join((*names, *(_pattern(pattern) for _, pattern in patterns(spec.outputs)))), re.DOTALL)


def _pattern(pattern: str) -> str:
    """The expression for a pattern of names in which ``*`` and ``?`` are special, and ``**`` is any folders."""
    steps = [step for step in pattern.split("/") if step not in ("", ".")]
    found = ""
    for number, step in enumerate(steps):
        if step == "**":
            found += "(?:[^/]+/)*"
            continue
        found += "".join({"*": "[^/]*", "?": "[^/]"}.get(letter) or re.escape(letter) for letter in step)
        found += "/" if number < len(steps) - 1 else ""
    return found


def _bring_small(transport: Transport, there: str, directory: Path, sizes: Mapping[str, int]) -> None:
    if not sizes:
        return
    with listed(sizes) as names, tempfile.TemporaryFile(dir=directory) as packed:
        ran = transport.run(_SOME, there, stdin=names, stdout=packed, timeout=CARRY_SECONDS)
        packed.seek(0)
        came = dict(_unpacked(packed, directory, sizes)) if ran.exit_code in (0, 1) else {}  # 1: a file has changed
    if odd := [name for name, size in sizes.items() if came.get(name) != size and name not in (STDOUT, STDERR)]:
        raise OperatorError(f"{odd[0]} did not come whole from {transport.place}: {ran.said or 'it has changed'}")


def _unpacked(packed: IO[bytes], directory: Path, sizes: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Unpack what was wanted and nothing else; the size of each file that came."""
    with suppress(tarfile.TarError), tarfile.open(fileobj=packed, mode="r:", errorlevel=1) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() and member.name in sizes else None
            if content is not None:
                part = _part(directory / member.name)
                with part.open("wb") as file:
                    shutil.copyfileobj(content, file)
                part.replace(directory / member.name)
                yield member.name, (directory / member.name).stat().st_size


def _bring_large(transport: Transport, there: str, path: Path, name: str, size: int) -> None:
    part = _part(path)
    if part.exists() and part.stat().st_size > size:
        part.unlink()
    with part.open("ab") as file:
        if (have := part.stat().st_size) < size:
            ran = transport.run(_FROM, there, name, str(have + 1), stdout=file, timeout=CARRY_SECONDS)
            if ran.exit_code:
                raise OperatorError(f"{name} did not come from {transport.place}: {ran.said}")
    if (have := part.stat().st_size) != size:
        raise OperatorError(f"{name} did not come whole from {transport.place}: {have:,} of {size:,} bytes")
    part.replace(path)


def _bring_end(transport: Transport, there: str, path: Path) -> None:
    part = _part(path)
    with part.open("wb") as file:
        transport.run(_LAST, there, path.name, str(TOLD_BYTES), stdout=file, timeout=CARRY_SECONDS)
    part.replace(path)


def _part(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.part")
