"""The story of a run: journal, tasks, attempts and log lines, told in order of time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heliostat.run import public_id, task_id
from heliostat.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from heliostat.store import Entry, Store
    from heliostat.task import Task


@dataclass(frozen=True, slots=True)
class Line:
    """One line of ``run.log()``: when, about which task and node, who did it, and in words what.

    ``kind`` is run, task, attempt, review, operator, log or progress; ``fields`` are what ``ctx.log`` was given
    besides, ``done`` and ``total`` of ``ctx.progress``, and facts such as a reason or the seconds that a task ran.
    """

    at: float
    kind: str
    text: str
    task: str | None = None
    node: str | None = None
    by: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)


_HEAD = ("at", "task", "node", "attempt", "message", "progress")
#: What one commit did, as it came about.
_RANK = {"log": 0, "progress": 0, "review": 1, "operator": 1, "attempt": 1, "task": 2, "run": 3}
_FACTS = ("reason", "by", "result")
_PAGE = 10_000


def story(store: Store, run: int, tasks: Sequence[Task], log: Path) -> list[Line]:
    """Everything that is known to have happened, in order of time."""
    titles = {task.number: task.title for task in tasks}
    lines = [*_journal(store, run, titles), *_ended(run, tasks), *_attempts(store, run, tasks), *logged(run, log)]
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
        yield f"started: {event['started']}" + (f", by run {public_id(cause)}" if isinstance(cause, int) else "")
    if "paused" in event:
        yield "paused" if event["paused"] else "resumed"
    if "reopened" in event:
        yield "goes on"
    if "ended" in event:
        yield str(event["ended"])


def _ended(run: int, tasks: Sequence[Task]) -> Iterator[Line]:
    """How tasks came out."""
    for task in tasks:
        if task.state.final and task.ended_at is not None:
            words = f"{task.state}: {task.reason}" if task.reason else str(task.state)
            ran = {} if task.started_at is None else {"seconds": round(task.ended_at - task.started_at, 6)}
            yield Line(task.ended_at, "task", words, task_id(run, task.number), task.node, task.worker or None, ran)


def _attempts(store: Store, run: int, tasks: Sequence[Task]) -> Iterator[Line]:
    """Attempts that ended otherwise than well, but for the last ones of tasks that failed."""
    by_number = {task.number: task for task in tasks}
    for past in store.attempts(run):
        task = by_number.get(past.number)
        if task is not None and task.state is TaskState.failed and past.count == task.count:
            continue  # the task's own line says it
        words = f"attempt {past.count} {past.state.replace('_', ' ')}" + (f": {past.reason}" if past.reason else "")
        node = None if task is None else task.node
        yield Line(past.ended_at, "attempt", words, task_id(run, past.number), node, past.worker)


def logged(run: int, log: Path) -> Iterator[Line]:
    """What functions logged, as far as it lies on this machine."""
    try:
        text = log.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return
    for raw in text.splitlines():
        try:
            logged = json.loads(raw)
            at, number = float(logged["at"]), int(logged["task"])
        except (ValueError, KeyError, TypeError):
            continue  # half a line, from a machine that lost power
        fields = {name: value for name, value in logged.items() if name not in _HEAD}
        kind = "progress" if logged.get("progress") else "log"
        yield Line(
            at, kind, str(logged.get("message") or ""), task_id(run, number), str(logged.get("node")), None, fields
        )
