"""What the jobs of a task have printed: ``stdout`` and ``stderr`` in their directories, as they grow and afterwards.

Whoever lets a job run elsewhere lets these files grow here, at their end or by replacing them; that is all that is
asked of it.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from heliostat.batch import STDERR, STDOUT
from heliostat.errors import HeliostatError
from heliostat.files import TAIL_BYTES, opened
from heliostat.run import task_id
from heliostat.secret import Secret
from heliostat.story import Line
from heliostat.task import CANCELLED_BY, ENDINGS, LOST_WITH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from heliostat.context import Surroundings
    from heliostat.graph import Graph, Node
    from heliostat.store import AttemptRecord
    from heliostat.task import Task

MOST = 1 << 20  #: bytes of a file that are told at first; what is before stays in the file
BURST = 64  #: times as many that are told of what has come since the last look
_TRY = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
PART = 1 << 16  #: what is printed without a line's end is cut there
HIDDEN = "what its job prints may hold secrets that cannot be read here; it is told when the job has ended"


class Tries:
    """Where the tasks of a run have run as jobs, as it is now."""

    def __init__(self, around: Surroundings, run: int) -> None:
        *_, self._home = around.places(run)
        self._found: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        with suppress(OSError):  # it has no jobs, or they were elsewhere
            for found in filter(None, map(_TRY.fullmatch, os.listdir(self._home))):  # noqa: PTH208 - names are wanted
                number, tried, again = map(int, found.groups("1"))
                self._found[number, tried].append(again)
        self.tasks = {number for number, _ in self._found}  #: by number, those that have been jobs here

    def of(self, number: int, tried: int) -> list[Path]:
        """The directories of a try at a task: another one after each time that it was put off, if it was a job then."""
        agains = sorted(self._found.get((number, tried), (1,)))
        return [self._home / (f"{number}.{tried}" + (f".{again}" if again > 1 else "")) for again in agains]


def job_directory(around: Surroundings, run: int, number: int, tried: int) -> Path:
    """Where a try at a task runs as a job."""
    return Tries(around, run).of(number, tried)[-1]


@dataclass(slots=True)
class _File:
    """A file that is read on from where it was left; told from its last ``most`` bytes on."""

    path: Path
    most: int
    parts: bool = True  # a line that is very long is told in parts
    place: tuple[int, int] = (0, 0)  # by which a file is known that has been replaced
    at: int = 0
    lines: int = 0
    cut: bool = False

    def more(self, *, whole: bool) -> list[tuple[float, str]]:
        """Lines that have come, with when; ``whole``: nothing will, so the last one needs no end."""
        try:
            with opened(self.path) as file:
                return self._more(file, whole=whole)
        except OSError:  # not there yet, no more, or no file
            return []

    def _more(self, file: BinaryIO, *, whole: bool) -> list[tuple[float, str]]:
        status = os.fstat(file.fileno())  # of the one that is read: another may lie there by now
        place = (status.st_dev, status.st_ino)
        if self.place not in ((0, 0), place) and not self.cut:
            self.at = sum(map(len, (file.readline() for _ in range(self.lines))))
        self.place = place
        found: list[tuple[float, str]] = []
        if status.st_size - self.at > self.most * (BURST if self.at else 1):
            self.at, self.cut = status.st_size - self.most, True
            file.seek(self.at)
            self.at += len(file.readline())
            found.append((status.st_mtime, f"… what is before stands in {self.path}, {self.at:,} bytes"))
        file.seek(self.at)
        data = file.read()
        *ended, rest = data.split(b"\n")
        if rest and (whole or (self.parts and len(rest) > PART)):
            ended.append(rest)
            rest = b""
        self.at += len(data) - len(rest)
        self.lines += data.count(b"\n")
        return [*found, *((status.st_mtime, line.decode(errors="replace").removesuffix("\r")) for line in ended)]


@dataclass(slots=True)
class Printed:
    """What the jobs of one task print: each call of ``read`` tells what is new."""

    around: Surroundings
    node: Node
    most: int = MOST
    _tried: int = 1
    _files: dict[Path, _File] = field(default_factory=dict)
    _hidden: bool = False

    def read(self, task: Task, tries: Tries | None = None) -> Iterator[Line]:
        """Lines that have come since the last call, as the task stood when it was read before."""
        counts: list[tuple[int, float | None]] | None = None
        tries = tries or Tries(self.around, task.run)
        while self._tried <= task.failures + 1:
            over = task.state.final or self._tried <= task.failures
            *before, last = tries.of(task.number, self._tried)
            if last.is_dir():
                counts = counts or self._counts(task)
                for directory in (*before, last):
                    left = over or directory is not last
                    yield from self._lines(task, directory, *counts[self._tried - 1], over=left)
            if not over or self._tried > task.failures:
                return
            self._tried, self._files, self._hidden = self._tried + 1, {}, False

    def _counts(self, task: Task) -> list[tuple[int, float | None]]:
        """For each try which attempt it was, and when it ended: the last one has not, as far as this tells."""
        past = self.around.store.attempts(task.run, task.number) if task.failures else []
        failed = [(each.count, each.ended_at) for each in past if _failure(each)]
        return [*failed[: task.failures], *[(task.count, task.ended_at)] * (task.failures + 1 - len(failed))]

    def _lines(
        self, task: Task, directory: Path, attempt: int, ended_at: float | None, *, over: bool
    ) -> Iterator[Line]:
        about, confided = task_id(task.run, task.number), not over and self._confided
        if confided and not self._masking:
            if not self._hidden:
                self._hidden = True
                yield Line(self.around.clock.now(), "output", HIDDEN, about, task.node, attempt=attempt)
            return
        for stream in (STDOUT, STDERR):
            path = directory / stream
            file = self._files.setdefault(path, _File(path, self.most))
            file.parts = not confided  # half a secret would not be known
            for at, text in file.more(whole=over):
                shown, at = self.around.vault.masked(text), at if ended_at is None else min(at, ended_at)
                yield Line(at, "output", shown, about, task.node, None, {"stream": stream}, attempt)

    @property
    def _confided(self) -> bool:
        """Whether secrets were given to it; when a job has ended, whoever ran it has masked what it printed."""
        return any(isinstance(value, Secret) for value in self._env.values())

    @property
    def _masking(self) -> bool:
        """Whether its secrets are known here, and so can be masked."""
        with suppress(HeliostatError):
            self.around.vault.filled(self._env)
            return True
        return False

    @property
    def _env(self) -> dict[str, str | Secret]:
        return {**self.node.env, **(self.node.job.env if self.node.job else {})}


def _failure(past: AttemptRecord) -> bool:
    """Whether an attempt is among the failures of its task, after which another try has another directory."""
    return past.state in ENDINGS or (past.reason or "").startswith((CANCELLED_BY, LOST_WITH))


def ends(around: Surroundings, graph: Graph, tasks: Sequence[Task]) -> Iterator[Line]:
    """The last that the jobs of a run's tasks have printed."""
    if not tasks:
        return
    tries = Tries(around, tasks[0].run)
    for task in tasks:
        if task.number in tries.tasks:
            yield from Printed(around, graph[task.node], TAIL_BYTES).read(task, tries)
