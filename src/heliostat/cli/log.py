"""The story of a run: journal, tasks, attempts and log lines, told in order of time."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from heliostat.cli import output
from heliostat.run import public_id, task_id
from heliostat.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliostat.cli.shapes import LogLine
    from heliostat.engine import Engine, RunHandle
    from heliostat.task import Task

_HEAD = ("at", "task", "node", "attempt", "message", "progress")
_RANK = {"log": 0, "progress": 0, "attempt": 1, "task": 2, "run": 3}  # what one commit did, as it came about
_FACTS = ("reason", "by", "result")


def story(engine: Engine, run: RunHandle) -> list[LogLine]:
    """Everything that is known to have happened, in order of time."""
    tasks = run.tasks()
    lines = [*_journal(run), *_ended(run, tasks), *_attempts(engine, run, tasks), *_logged(engine, run)]
    lines.sort(key=lambda pair: (pair[0], _RANK.get(pair[1]["kind"], 4)))
    return [line for _, line in lines]


def _line(
    run: RunHandle, at: float, kind: str, text: str, number: int | None = None, **more: Any
) -> tuple[float, LogLine]:
    return at, {
        "at": output.stamp(at),
        "kind": kind,
        "task": None if number is None else task_id(run.key, number),
        "node": more.pop("node", None),
        "by": more.pop("by", None),
        "text": text,
        "fields": more.pop("fields", {}),
    }


def _journal(run: RunHandle) -> Iterator[tuple[float, LogLine]]:
    """What the journal tells of the run itself; its tasks tell for themselves."""
    for entry in run.log():
        event = json.loads(entry.event)
        for words in _words(event):
            facts = {name: event[name] for name in _FACTS if event.get(name)}
            yield _line(run, entry.at, "run", words, by=event.get("by") or entry.actor or None, fields=facts)


def _words(event: dict[str, Any]) -> Iterator[str]:
    if "started" in event:
        cause = event.get("cause")
        yield f"started: {event['started']}" + (f", by run {public_id(cause)}" if isinstance(cause, int) else "")
    if "paused" in event:
        yield "paused" if event["paused"] else "resumed"
    if "ended" in event:
        yield str(event["ended"])


def _ended(run: RunHandle, tasks: list[Task]) -> Iterator[tuple[float, LogLine]]:
    """How tasks came out."""
    for task in tasks:
        if task.state.final and task.ended_at is not None:
            words = f"{task.state}: {task.reason}" if task.reason else str(task.state)
            ran = {} if task.started_at is None else {"seconds": round(task.ended_at - task.started_at, 6)}
            yield _line(
                run, task.ended_at, "task", words, task.number, node=task.node, by=task.worker or None, fields=ran
            )


def _attempts(engine: Engine, run: RunHandle, tasks: list[Task]) -> Iterator[tuple[float, LogLine]]:
    """Attempts that ended otherwise than well, but for the last ones of tasks that failed."""
    by_number = {task.number: task for task in tasks}
    for past in engine.store.attempts(run.key):
        task = by_number.get(past.number)
        if task is not None and task.state is TaskState.failed and past.count == task.count:
            continue  # the task's own line says it
        words = f"attempt {past.count} {past.state.replace('_', ' ')}" + (f": {past.reason}" if past.reason else "")
        node = None if task is None else task.node
        yield _line(run, past.ended_at, "attempt", words, past.number, node=node, by=past.worker)


def _logged(engine: Engine, run: RunHandle) -> Iterator[tuple[float, LogLine]]:
    """What functions logged, as far as it lies on this machine."""
    try:
        text = engine.around.log_file(run.key).read_text("utf-8", errors="replace")
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
        yield _line(
            run, at, kind, str(logged.get("message") or ""), number, node=str(logged.get("node")), fields=fields
        )


def told(lines: list[LogLine]) -> Iterator[object]:
    """The story for people; tasks of a node that come out alike in a row are one line."""
    if not lines:
        yield "nothing has happened yet"
        return
    width = min(24, max(len(line["node"] or "run") for line in lines))
    position = 0
    while position < len(lines):
        line, alike = lines[position], 1
        while line["kind"] == "task" and _alike(lines, position + alike, line):
            alike += 1
        position += alike
        yield _told(line, alike, width)


def _alike(lines: list[LogLine], position: int, line: LogLine) -> bool:
    if position >= len(lines):
        return False
    other = lines[position]
    return (other["kind"], other["node"], other["text"]) == (line["kind"], line["node"], line["text"])


def _told(line: LogLine, alike: int, width: int) -> object:
    at = datetime.fromisoformat(line["at"]).astimezone().strftime("%H:%M:%S.%f")[:-3] if line["at"] else ""
    style = {"log": "", "progress": "bright_black"}.get(
        line["kind"], output.COLOURS.get(line["text"].split(":")[0], "")
    )
    words = line["text"] + (f" ×{alike}" if alike > 1 else "")
    if line["kind"] == "progress":
        done, total = line["fields"].get("done"), line["fields"].get("total")
        words = " ".join(filter(None, (f"{done}" + (f"/{total}" if total is not None else ""), line["text"])))
    elif line["kind"] == "log":
        words += "".join(f"  {name}={output.short(value, 40)}" for name, value in line["fields"].items())
    elif line["kind"] == "run" and "reason" in line["fields"]:
        words += f": {line['fields']['reason']}"
    if line["kind"] == "run" and line["by"]:
        words += f"  (by {line['by']})"
    return (
        output.text(f"{at}  ", "bright_black")
        + output.text(f"{(line['node'] or 'run'):{width}}  ", "bold" if line["kind"] == "run" else "")
        + output.text(words, style)
    )
