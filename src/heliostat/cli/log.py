"""The story of a run, as lines for people and as shapes for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from heliostat.cli import output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliostat.cli.shapes import LogLine
    from heliostat.story import Line


_PEOPLES = ("run", "review", "operator")  #: kinds of lines that tell who and why
STYLES = {"log": "", "output": "", "progress": "bright_black", "traceback": "bright_black"}


def trace(line: Line) -> list[object]:
    """A traceback for people, as a part of a page."""
    which = f"attempt {line.attempt} of task {(line.task or '').partition('/')[2]} {line.node} raised"
    return ["", output.text(which, "bold"), output.text(line.text, "bright_black")]


def shape(line: Line) -> LogLine:
    """A line for programs."""
    return {
        "at": output.stamp(line.at),
        "kind": line.kind,
        "task": line.task,
        "node": line.node,
        "attempt": line.attempt,
        "by": line.by,
        "text": line.text,
        "fields": line.fields,
    }


def told(lines: list[Line]) -> Iterator[object]:
    """The story for people; tasks of a node that come out alike in a row are one line."""
    if not lines:
        yield "nothing has happened yet"
        return
    width = min(24, max(len(line.node or "run") for line in lines))
    position = 0
    while position < len(lines):
        line, alike = lines[position], 1
        while line.kind == "task" and _alike(lines, position + alike, line):
            alike += 1
        position += alike
        yield _told(line, alike, width)


def _alike(lines: list[Line], position: int, line: Line) -> bool:
    if position >= len(lines):
        return False
    other = lines[position]
    return (other.kind, other.node, other.text) == (line.kind, line.node, line.text)


def _told(line: Line, alike: int, width: int) -> object:
    at = datetime.fromtimestamp(line.at, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
    style = STYLES.get(line.kind, output.COLOURS.get(line.text.split(":")[0], ""))
    words = line.text + (f" ×{alike}" if alike > 1 else "")
    if line.kind == "progress":
        done, total = line.fields.get("done"), line.fields.get("total")
        words = " ".join(filter(None, (f"{done}" + (f"/{total}" if total is not None else ""), line.text)))
    elif line.kind == "log":
        words += "".join(f"  {name}={output.short(value, 40)}" for name, value in line.fields.items())
    elif line.kind == "output" and line.fields.get("stream") == "stderr":
        style = "yellow"
    elif line.kind in _PEOPLES and "reason" in line.fields:
        words += f": {line.fields['reason']}"
    if line.kind in _PEOPLES and line.by:
        words += f"  (by {line.by})"
    return (
        output.text(f"{at}  ", "bright_black")
        + output.text(f"{(line.node or 'run'):{width}}  ", "bold" if line.kind == "run" else "")
        + output.text(output.hung(words, len(at) + width + 4), style)
    )
