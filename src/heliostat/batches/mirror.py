"""The files of jobs on a cluster that shares no file system with this machine: they are carried there and back.

A job's directory there is a copy of the one here, made before the submission. What tells how a job stands, and what it
prints, is copied here as it comes, and at the end all that is wanted, after which the directory there is removed. Marks
in the directory here say what was done:

- ``job.there``: where it was put, so that a directory that is gone there is never taken for one that was not put yet
- ``job.brought``: all is here that will come, so nothing there is looked at any more, whole or half removed
- ``job.removed``: nothing is left there
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING

from heliostat.batch import EXIT_CODE, SEEN, STDERR, STDOUT
from heliostat.batches import luggage, trickle
from heliostat.batches.shared import (
    ARRAY,
    BROUGHT,
    CLAIM,
    ENVIRONMENT,
    GONE,
    LOCK,
    REMOVED,
    TELLING,
    THERE,
    chunks,
    notes,
)
from heliostat.errors import OperatorError
from heliostat.files import put
from heliostat.transport import Ran

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from heliostat.batches.shared import Notes
    from heliostat.job import JobSpec
    from heliostat.transport import Transport

SECONDS = 60.0  #: for a question
PUT_AT_ONCE = 50  #: jobs that travel together
#: Never put: it is told there, or is for people here.
_HERE = frozenset({SEEN, LOCK, THERE, BROUGHT, REMOVED, STDOUT, STDERR, trickle.LOGS, *TELLING}) - {ARRAY}

#: Tells which directories below $1 are there.
_WHICH = """
cd -- "$1" 2> /dev/null || exit 0
shift
for name; do
    [ ! -d "$name" ] || printf '%s\\n' "$name"
done
"""
#: Puts directories below $1: all of each, or where it is there, only the files that come with it. A directory comes to
#: be at once and under a lock, so what is there is whole.
_PUT = """
umask 077
mkdir -p -- "$1" && cd -- "$1" || exit 1
new=.put.$2
shift 2
trap 'rm -rf -- "$new"' EXIT
mkdir -- "$new" && tar -C "$new" --no-same-owner -xf - || exit 1
exec 9>> .lock && flock -w 30 9 || exit 1
for name; do
    if [ -d "$name" ]; then
        for file in "$new/$name"/job.*; do
            [ ! -e "$file" ] || mv -f -- "$file" "$name/" || exit 1
        done
    else
        mkdir -p -- "${name%/*}" && mv -- "$new/$name" "$name" || exit 1
    fi
done
"""
#: Makes directories below $1 that are not there, so that something can be noted in them.
_CLAIM = """
umask 077
mkdir -p -- "$1" && cd -- "$1" || exit 1
exec 9>> .lock && flock -w 30 9 || exit 1
shift
mkdir -p -- "$@"
"""
#: Runs a script, and tells then how large those of the files below $2 are that are there, and what stands in job.*; $1
#: parts the three.
_LOOK = """
(
SCRIPT
)
printf '\\n%s %s\\n' "$1" $?
mark=$1
[ $# -gt 2 ] && cd -- "$2" 2> /dev/null || exit 0
shift 2
printf '%s\\0' "$@" | xargs -0 stat -c '%s %n' -- 2> /dev/null
printf '%s\\n' "$mark"
printf '%s\\0' "$@" | grep -z '/job\\.[^/]*$' | xargs -0 grep -asHZ -m 64 -e '' --
exit 0
"""


class Mirror:
    """``heliostat.batches.shared.JobFiles`` is the contract. ``root`` is the directory there, of which this is all."""

    tells = False

    def __init__(self, transport: Transport, root: str) -> None:
        self._transport, self._root = transport, root.rstrip("/")
        self._told: dict[Path, Notes] = {}  # what was copied here already

    def there(self, directory: Path) -> str:
        return f"{self._root}/{_name(directory)}"

    def put(self, directories: Sequence[Path]) -> None:
        beside: defaultdict[Path, list[Path]] = defaultdict(list)
        for directory in directories:
            beside[directory.parent.parent].append(directory)
        for home, all_of_them in beside.items():
            for some in chunks(all_of_them, PUT_AT_ONCE):
                self._put(home, some)

    def _put(self, home: Path, directories: list[Path]) -> None:
        names = [_name(directory) for directory in directories]
        there = set(self._run(_WHICH, self._root, *names).stdout.decode(errors="replace").splitlines())
        entries = [entry for directory in directories for entry in _entries(directory, _name(directory) in there)]
        command = ["tar", "-C", str(home), "--null", "-ch", "-T", "-", "-f", "-"]
        with (
            luggage.listed(entries) as listing,
            subprocess.Popen(command, stdin=listing, stdout=subprocess.PIPE) as tar,
        ):
            assert tar.stdout is not None
            token = secrets.token_hex(8)
            seconds = luggage.CARRY_SECONDS
            ran = self._transport.run(_PUT, self._root, token, *names, stdin=tar.stdout, timeout=seconds)
        if ran.exit_code or tar.returncode:
            raise OperatorError(f"the files of jobs cannot be put on {self._transport.place}: {ran.said}")
        for directory in directories:
            self._mark(directory)
            (directory / BROUGHT).unlink(missing_ok=True)  # of a submission that was refused, and left nothing there
            (directory / REMOVED).unlink(missing_ok=True)
            (directory / ENVIRONMENT).unlink(missing_ok=True)  # a secret waits in one place, where it is needed

    def claim(self, directories: Sequence[Path]) -> None:
        missing = [each for each in directories if each.is_dir() and not (each / THERE).exists()]
        for some in chunks(missing, PUT_AT_ONCE):
            self._run(_CLAIM, self._root, *map(_name, some))
            for directory in some:
                self._mark(directory)

    def _mark(self, directory: Path) -> None:
        put(directory / THERE, f"{self._transport.place} {self.there(directory)}\n")

    def look(self, directories: Sequence[Path], script: str = "") -> tuple[list[Notes], Ran | None]:
        away = [directory for directory in directories if _is_there(directory)]
        ran, told = self._asked(away, script) if away or script else (None, {})
        found = []
        for directory in directories:
            note = told.get(directory)
            if note is None and directory in away:
                note = self._missed(directory)
            found.append(notes(directory) if note is None else note)
        return found, ran if script else None

    def _asked(self, directories: Sequence[Path], script: str) -> tuple[Ran, dict[Path, Notes]]:
        """How a script ran there, and the telling files of those directories that are there."""
        mark = f"-- {secrets.token_hex(8)}"
        names = [f"{_name(each)}/{file}" for each in directories for file in (".", *TELLING, *trickle.growing(each))]
        ran = self._run(_LOOK.replace("SCRIPT", script or ":"), mark, self._root, *names)
        said, parted, rest = ran.stdout.rpartition(f"\n{mark} ".encode())
        code, _, rest = rest.partition(b"\n")
        if not parted:
            raise OperatorError(f"{self._transport.place} broke off: {ran.said or 'it said nothing'}")
        listed, _, content = rest.partition(f"{mark}\n".encode())
        rows = (row.partition(" ") for row in listed.decode(errors="replace").splitlines())
        there = {name: int(size) for size, _, name in rows if size.isdigit()}
        lines: defaultdict[str, list[str]] = defaultdict(list)
        for line in content.split(b"\n"):
            path, parted, text = line.partition(b"\0")
            if parted:
                lines[path.decode(errors="replace")].append(text.decode(errors="replace"))
        told = {}
        for directory in directories:
            name = _name(directory)
            if f"{name}/." in there:
                kept = (file for file in TELLING if f"{name}/{file}" in there)
                told[directory] = {file: "".join(f"{line}\n" for line in lines[f"{name}/{file}"]) for file in kept}
                self._copy(directory, told[directory])
        self._follow([each for each, note in told.items() if CLAIM in note and EXIT_CODE not in note], there)
        return Ran(int(code), said, ran.stderr), told

    def _follow(self, running: Sequence[Path], sizes: Mapping[str, int]) -> None:
        """Have here what jobs have said since the last look."""
        places = {f"{_name(each)}/{file}": each / file for each in running for file in trickle.growing(each)}
        trickle.follow(self._transport, self._root, {name: sizes[name] for name in places if name in sizes}, places)

    def _copy(self, directory: Path, note: Notes) -> None:
        """Have here what is told there, for people, and for when it is not there any more."""
        if self._told.get(directory) == note:
            return
        with suppress(OSError):
            for name, text in note.items():
                put(directory / name, text)
            self._told[directory] = note

    def _missed(self, directory: Path) -> Notes:
        """What is known of a job whose directory is gone there; it is not to be submitted again for that."""
        known = notes(directory)
        if known.keys() - {ARRAY}:  # that it was to be one of an array says nothing of what became of it
            return known
        return {GONE: f"{self.there(directory)} is not on {self._transport.place}, where it was put; is it mounted?"}

    def told(self) -> list[Path]:
        return []

    def together(self, directories: Sequence[Path]) -> None:
        del directories  # their locks are there, made by whoever needs one

    def bring(self, directory: Path, spec: JobSpec) -> None:
        if not (directory / THERE).exists() or (directory / REMOVED).exists():
            return
        if not (directory / BROUGHT).exists():
            luggage.bring(self._transport, self.there(directory), directory, spec)
            put(directory / BROUGHT, "")
            self._told.pop(directory, None)
        with suppress(OperatorError):  # it would be in the way of nothing
            luggage.remove(self._transport, self.there(directory))
            put(directory / REMOVED, "")

    def _run(self, script: str, *arguments: str) -> Ran:
        ran = self._transport.run(script, *arguments, timeout=SECONDS)
        if ran.exit_code:
            raise OperatorError(f"{self._transport.place} cannot tell of {self._root}: {ran.said}")
        return ran


def _name(directory: Path) -> str:
    """Run and try: below the directory of all jobs, there as here."""
    return f"{directory.parent.name}/{directory.name}"


def _is_there(directory: Path) -> bool:
    return (directory / THERE).exists() and not (directory / BROUGHT).exists()


def _entries(directory: Path, is_there: bool) -> Iterator[str]:  # noqa: FBT001 - a fact, no option
    """What of a directory is to be put: all that is in it, or what may be another than before."""
    for entry in sorted(os.listdir(directory)):  # noqa: PTH208 - names are what is wanted
        if not entry.startswith(".") and entry not in _HERE and (not is_there or entry.startswith("job.")):
            yield f"{_name(directory)}/{entry}"
