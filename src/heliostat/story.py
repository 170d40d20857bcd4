"""The story of a run: journal, tasks, attempts and log lines, told in order of time."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heliostat.files import opened
from heliostat.run import public_id, task_id
from heliostat.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from heliostat.run import Run
    from heliostat.store import Entry, Store
    from heliostat.task import Task


@dataclass(frozen=True, slots=True)
class Line:
    """One line of ``run.log()``: when, about which task and node, who did it, and in words what.

    ``kind`` is run, task, attempt, review, operator, log, progress, output, or traceback, whose text has many lines;
    ``fields`` are what ``ctx.log`` was given besides, ``done`` and ``total`` of ``ctx.progress``, the ``stream`` of
    what a process printed, and facts such as a reason or the seconds that a task ran. ``attempt`` is which one of its
    task's it is about.
    """

    at: float
    kind: str
    text: str
    task: str | None = None
    node: str | None = None
    by: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    attempt: int | None = None


_HEAD = ("at", "task", "node", "attempt", "message", "progress", "traceback")
#: What one commit did, as it came about.
_RANK = {name: rank for rank, names in enumerate((
    ("log", "progress", "output", "traceback"), ("review", "operator", "attempt"), ("task",), ("run",),
)) for name in names}  # fmt: skip
_FACTS = ("reason", "by", "result")
_PAGE = 10_000
_TASKS = 1000
_LAST = 1 << 37  #: no time is as late, in seconds since 1970, and no task has such a number


def story(store: Store, run: int, tasks: Sequence[Task], log: Log) -> list[Line]:
    """Everything that is known to have happened, in order of time."""
    titles = {task.number: task.title for task in tasks}
    told = (*_journal(store, run, titles), *_ended(run, tasks), *_attempts(store, run, tasks), *log.read())
    return ordered([*told])


def task_story(store: Store, task: Task, log: Log) -> list[Line]:
    """What is new of a task: lines that its attempts have logged since the last look, and how it ended if it has."""
    about, tasks = task_id(task.run, task.number), [task]
    logged = [line for line in log.read() if line.task == about]
    if not task.state.final:
        return ordered(logged)
    past = [line for line in _attempts(store, task.run, tasks) if line.task == about]
    return ordered([*logged, *past, *_ended(task.run, tasks)])


def raised(task: Task, log: Log) -> Line | None:
    """The traceback of a task's newest attempt that raised, where the log of that lies on this machine."""
    about = task_id(task.run, task.number)
    found = [line for line in log.read() if line.kind == "traceback" and line.task == about]
    return max(found, key=lambda line: (line.attempt or 0, line.at), default=None)


def culprit(store: Store, run: Run) -> Task | None:
    """The task whose failure is the reason for a run's."""
    reason = run.reason or ""
    node = re.split(r"[\[:]", reason, maxsplit=1)[0]  # a title begins with it
    return next((t for t in failures(store, run.id, node) if reason.startswith(f"{t.title}: {t.reason}")), None)


def failures(store: Store, run: int, node: str | None = None) -> Iterator[Task]:
    """The tasks of a run, or of one of its nodes, that have failed, by number."""
    after = 0
    while page := store.tasks(run, TaskState.failed, node, after, _TASKS):
        yield from page
        if len(page) < _TASKS:
            return
        after = page[-1].number


def cause(store: Store, run: Run, log_files: Callable[[int], Iterable[Path]]) -> Line | None:
    """The traceback of what a run has failed for, though that was raised in a run that is part of it."""
    while (task := culprit(store, run)) is not None:
        part = store.child(run.id, task.number) if task.node in store.graph(run.graph).parts else None
        if part is None:
            found = raised(task, Log(run.id, log_files))
            return found if found is not None and found.attempt == task.count else None
        run = part
    return None


def ordered(lines: list[Line]) -> list[Line]:
    """Lines in order of time, and what one commit did as it came about."""
    return sorted(lines, key=lambda line: (line.at, _RANK[line.kind]))


def _journal(store: Store, run: int, titles: Mapping[int, str]) -> Iterator[Line]:
    """What the journal tells of the run itself and of its reviews; its tasks tell for themselves."""
    after = 0
    while page := store.journal(run, after, _PAGE):
        for entry in page:
            event = json.loads(entry.event)
            yield from _people(run, entry, event, titles)
            facts = {name: event[name] for name in _FACTS if event.get(name)}
            for words in _words(event):
                yield Line(entry.at, "run", words, by=event.get("by") or entry.actor or None, fields=facts)
            yield from _reruns(entry, event)
        after = page[-1].seq


def _people(run: int, entry: Entry, event: dict[str, Any], titles: Mapping[int, str]) -> Iterator[Line]:
    """What people did to reviews and to other tasks."""
    for kind, name in (("review", "reviews"), ("operator", "tasks")):
        for told in event.get(name, ()):
            number, facts = told["number"], {"reason": told["reason"]} if told["reason"] else {}
            yield Line(entry.at, kind, told["did"], task_id(run, number), titles.get(number), told["by"] or None, facts)


def _words(event: dict[str, Any]) -> Iterator[str]:
    if "started" in event:
        cause = event.get("cause")
        old = event.get("replaces")
        instead = f", in the place of run {public_id(old)}" if isinstance(old, int) else ""
        by = f", by run {public_id(cause)}" if isinstance(cause, int) else ""
        yield f"started: {event['started']}{by}{instead}"
    if "paused" in event:
        yield "paused" if event["paused"] else "resumed"
    if "kept" in event:
        yield f"file kept: {event['kept']}"
    if "reopened" in event:
        yield "goes on"
    if "ended" in event:
        yield str(event["ended"])


def _reruns(entry: Entry, event: dict[str, Any]) -> Iterator[Line]:
    """That a run is one anew, or has been run anew."""
    for name in ("rerun_of", "rerun"):
        if told := event.get(name):
            at = f" at {', '.join(told['at'])}" if told["at"] else ""
            over = f", with {', '.join(told['over'])} taken over" if told.get("over") else ""
            other = public_id(told["run"])
            words = f"rerun{at} as run {other}" if name == "rerun" else f"rerun of run {other}{at}{over}"
            facts = {"reason": told["reason"]} if told["reason"] else {}
            yield Line(entry.at, "run", words, by=told["by"] or None, fields=facts)


def _ended(run: int, tasks: Sequence[Task]) -> Iterator[Line]:
    """How tasks came out."""
    for task in tasks:
        if task.state.final and task.ended_at is not None:
            words = f"{task.state}: {task.reason}" if task.reason else str(task.state)
            ran = {} if task.started_at is None else {"seconds": round(task.ended_at - task.started_at, 6)}
            about, worker = task_id(run, task.number), task.worker or None
            yield Line(task.ended_at, "task", words, about, task.node, worker, ran, task.count or None)


def _attempts(store: Store, run: int, tasks: Sequence[Task]) -> Iterator[Line]:
    """Attempts that ended otherwise than well, but for the last ones of tasks that failed."""
    by_number = {task.number: task for task in tasks}
    for past in store.attempts(run):
        task = by_number.get(past.number)
        if task is not None and task.state is TaskState.failed and past.count == task.count:
            continue  # the task's own line says it
        words = f"attempt {past.count} {past.state.replace('_', ' ')}" + (f": {past.reason}" if past.reason else "")
        node = None if task is None else task.node
        yield Line(past.ended_at, "attempt", words, task_id(run, past.number), node, past.worker, {}, past.count)


class Log:
    """What a run's functions logged and printed, as far as it lies on this machine."""

    def __init__(self, run: int, files: Callable[[int], Iterable[Path]]) -> None:
        self._run, self._files = run, files
        self._offsets: dict[Path, int] = {}

    def read(self) -> Iterator[Line]:
        """The whole lines that have come since the last reading."""
        for file in self._files(self._run):
            yield from self._lines(file)

    def _lines(self, file: Path) -> Iterator[Line]:
        offset = self._offsets.get(file, 0)
        try:
            with opened(file) as log:
                log.seek(offset)
                whole, end, _ = log.read().rpartition(b"\n")
        except OSError:  # not there yet, or a job has put something else there
            return
        self._offsets[file] = offset + len(whole) + len(end)
        for raw in whole.split(b"\n"):
            try:
                logged = json.loads(raw)
                at, number = float(logged["at"]), int(logged["task"])
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
                continue  # half a line, from a machine that lost power, or none of ours
            if 0 <= at < _LAST and 0 < number < _LAST:
                yield _logged(at, task_id(self._run, number), logged)


def _logged(at: float, task: str, logged: dict[str, Any]) -> Line:
    fields = {name: value for name, value in logged.items() if name not in _HEAD}
    kinds = {"progress": "progress", "stream": "output", "traceback": "traceback"}
    kind = next((kind for name, kind in kinds.items() if logged.get(name)), "log")
    attempt = logged.get("attempt")
    said, node = str(logged.get("message") or ""), str(logged.get("node"))
    return Line(at, kind, said, task, node, None, fields, attempt if isinstance(attempt, int) else None)
