"""``run start --watch``: run, and again whenever the files are saved, until it is interrupted.

Files are looked at a few times a second, which needs no library and works on every file system. A save counts when it
is whole: when two looks in a row see the same. Each round is a process of its own; see ``watched``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from heliostat.cli import output
from heliostat.cli.message import message
from heliostat.cli.watched import Came, Round
from heliostat.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from heliostat.cli.session import Session

    Seen = dict[Path, tuple[int, int, int] | None]

LOOK_SECONDS = 0.15
GONE_SECONDS = 2.0  #: for so long a file may be missing while it is saved
STOP_SECONDS = 10.0  #: for so long a round may take to hand back what it runs


class _Ended(Exception):
    """Somebody wants the watching to end; ``alone`` is whether the round was not told too."""

    def __init__(self, *, alone: bool) -> None:
        super().__init__()
        self.alone = alone


def begin(settings: Session, where: str, words: list[str], given: str | None, *, odd: bool, **options: Any) -> None:
    """Run again and again what was typed; what comes on standard input is read once, and told to each round.

    ``odd`` is whether options were typed that make no sense with it.
    """
    if odd:
        raise BadInput(
            "--watch is for people, and each save begins another run: leave --json, --key and --deadline out"
        )
    content = message(words, given)
    if "-" in (given, *words):
        words, given = [], json.dumps(content)
    files = None if settings.files is None else str(settings.files)
    watch(Round(where, words, given, options, settings.database, files))


def watch(first: Round) -> None:
    """Run round after round; raises Exit when it is interrupted."""
    before = {number: signal.signal(number, _ask) for number in (signal.SIGINT, signal.SIGTERM)}
    watching = _Watching(first)
    try:
        while True:
            watching.round()
            watching.until_saved()
    except _Ended as end:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # the round hears of a second one by itself
        raise typer.Exit(watching.end(tell=end.alone)) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ask(number: int, frame: FrameType | None) -> None:
    del frame
    raise _Ended(alone=number == signal.SIGTERM)  # a terminal's Ctrl-C reaches the round too


class _Watching:
    def __init__(self, first: Round) -> None:
        self._next = first
        self._imported: list[Path] = []
        self._seen = self._look()
        self._child: subprocess.Popen[str] | None = None

    def round(self) -> None:
        """Do one round; one that is overtaken by a save is stopped."""
        ours, theirs = os.pipe()
        command = [sys.executable, "-m", "heliostat.cli.watched", str(theirs)]
        try:
            self._child = child = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, pass_fds=[theirs])
        finally:
            os.close(theirs)
        with os.fdopen(ours) as answer:
            assert child.stdin is not None
            with child.stdin as told:
                told.write(json.dumps(asdict(self._next)) + "\n")
            heard = False
            while child.poll() is None:
                if not heard and select.select([answer], [], [], LOOK_SECONDS)[0]:
                    heard = True
                    self._hear(answer.readline())
                elif heard:
                    time.sleep(LOOK_SECONDS)
                if self._saved():
                    output.say("saved while it ran: it is stopped")
                    self.stop(tell=True)
            if not heard:
                self._hear(answer.readline())
        self._child = None

    def _hear(self, line: str) -> None:
        """What a round has begun; one that could not be loaded answers nothing, and what was known stays."""
        if line:
            came = Came(**json.loads(line))
            self._next = replace(self._next, last=came.run, footprints=came.footprints)
            self._imported = [Path(file) for file in came.files]
            self._seen = self._look() | self._seen

    def until_saved(self) -> None:
        """Wait for a save, and until it is whole."""
        output.say(f"watching {len(self._seen)} files; Ctrl-C ends")
        while not self._saved():
            time.sleep(LOOK_SECONDS)
        before, since = self._seen, time.monotonic()
        while True:
            self._seen = self._look()
            missing = None in self._seen.values() and time.monotonic() - since < GONE_SECONDS
            if self._seen == before and not missing:
                return
            before = self._seen
            time.sleep(LOOK_SECONDS)

    def _saved(self) -> bool:
        return self._look() != self._seen

    def _look(self) -> Seen:
        return _look([*_beside(self._next.where), *self._imported])

    def end(self, *, tell: bool) -> int:
        """Have it all end; answers the exit code, and says what becomes of a run that was going on."""
        code = self.stop(tell=tell)
        if code and self._next.last is not None:
            output.say(f"stopped; run {self._next.last} goes on with: heliostat worker start {self._next.where}")
        return max(code, 0)

    def stop(self, *, tell: bool) -> int:
        """Have the round that goes on end; answers its exit code."""
        child = self._child
        if child is None:
            return 0
        if tell:
            child.terminate()
        try:
            return child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()


def _beside(where: str) -> list[Path]:
    """The Python files beside the one that is named."""
    place = where.partition(":")[0]
    file = Path(place)
    if not (file.suffix == ".py" or "/" in place):
        try:
            spec = importlib.util.find_spec(place)
        except (ImportError, ValueError):
            spec = None
        if spec is None or spec.origin is None:
            return []
        file = Path(spec.origin)
    return sorted({file.absolute(), *file.absolute().parent.glob("*.py")})


def _look(files: Iterable[Path]) -> Seen:
    """What can be seen of files without reading them."""
    found: Seen = {}
    for file in files:
        try:
            stat = file.stat()
        except OSError:
            found[file] = None
        else:
            found[file] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return found
