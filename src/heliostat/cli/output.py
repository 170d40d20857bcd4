"""What commands print: tables and sentences for people, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

import typer

from heliostat.exporters.lettering import GLYPHS, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from heliostat.cli.shapes import ErrorShape

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Write one JSON document.", show_default=False)]

WIDE = 200  #: columns where no terminal says how many there are: lines in a pipe are cut by nobody
COLOURS = {
    "pending": "bright_black",
    "ready": "cyan",
    "running": "blue",
    "active": "blue",
    "waiting": "yellow",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "magenta",
    "skipped": "bright_black",
    "draining": "yellow",
    "stopped": "bright_black",
    "lost": "red",
}
MARKS = GLYPHS | {"active": "▶", "draining": "◌", "stopped": "◷", "lost": "✕"}


def console(*, talk: bool = False) -> Console:
    """A console on standard output, or on standard error for talk."""
    from rich.console import Console

    found = Console(stderr=talk, highlight=False)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found.width = WIDE
    return found


class _Programs:
    """What a command has said, for programs: where it has no document of its own, this becomes one.

    ``read``: whoever called it is one, and gets errors as JSON, too.
    """

    asked = read = False
    said: ClassVar[list[str]] = []
    facts: ClassVar[dict[str, object]] = {}


def begin(*, for_program: bool = False) -> None:
    """A command begins, perhaps for a program."""
    _Programs.asked, _Programs.read = False, for_program
    _Programs.said.clear()
    _Programs.facts.clear()


def for_programs() -> None:
    """A program reads this command, which shows nothing to people then."""
    _Programs.asked = True


def end() -> None:
    """A command has done what it should; say so to a program."""
    if _Programs.asked:
        document({"done": True, **_Programs.facts, "said": _Programs.said})


def fact(**facts: object) -> None:
    """Something that a program may want to know of what was done."""
    _Programs.facts.update(facts)


def say(words: str) -> None:
    """Talk: a sentence on standard error; where it quotes several lines, none of them looks like one of ours."""
    _Programs.said.append(words)
    typer.echo(hung(plain(words), 2), err=True)


def refuse(kind: str, message: str, exit_code: int) -> None:
    """Say why nothing more is done: to people in a sentence, to a program as one line of JSON; on standard error."""
    if not _Programs.read:
        say(f"heliostat: {message}")
        return
    told: ErrorShape = {"error": {"kind": kind, "message": message, "exit_code": exit_code}}
    typer.echo(_json(told), err=True)


def hung(words: str, indent: int) -> str:
    """Text whose lines after the first are indented, whatever a terminal takes for the end of a line."""
    return ("\n" + " " * indent).join(words.splitlines())


def lines_of_talk(words: str) -> None:
    """Talk of several lines, such as a traceback."""
    for line in words.splitlines():
        say(line)


def document(value: object) -> None:
    """One JSON document on standard output."""
    _Programs.asked = False
    typer.echo(_json(value, 2))


def record(value: object) -> None:
    """Print a value as one line of JSON, at once: for programs that read while it goes on."""
    typer.echo(_json(value))
    sys.stdout.flush()


def _json(value: object, indent: int | None = None) -> str:
    """A value as JSON that every program reads, whatever was logged once."""
    from heliostat.codec import told

    return told(value, indent)


def show(*things: object) -> None:
    """Print renderables for people."""
    if _Programs.asked:
        return
    out = console()
    if out.is_terminal:
        for thing in things:
            out.print(thing, soft_wrap=isinstance(thing, str))
        return
    with out.capture() as shown:  # in a pipe, nobody wants a row as wide as the widest
        for thing in things:
            out.print(thing, soft_wrap=isinstance(thing, str))
    out.file.write("".join(f"{line.rstrip(' ')}\n" for line in shown.get().splitlines()))


def line(words: Text) -> None:
    """Print one line for people, which a terminal may break and a pipe may not."""
    console().print(words, soft_wrap=True)


def lines(words: str) -> None:
    """Print text of several lines for people, each of them whole, so that it can be copied."""
    for line in words.splitlines():
        typer.echo(plain(line))


def table(*columns: str, right: Iterable[str] = (), whole: Iterable[str] = ()) -> Table:
    """A plain table: heads, a rule, rows; columns in ``whole`` are never broken into lines."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name in columns:
        side: Literal["left", "right"] = "right" if name in right else "left"
        made.add_column(name, justify=side, overflow="fold", no_wrap=name in whole)
    return made


def row(made: Table, *cells: object) -> None:
    """Add a row; texts are taken as they are, whatever brackets or control characters they hold."""
    from rich.text import Text

    made.add_row(*(cell if isinstance(cell, Text) else text(cell) for cell in cells))


def stacked(*words: str) -> str:
    """What is told one below the other, without what is empty."""
    return "\n".join(filter(None, words))


def facts(pairs: Mapping[str, object]) -> Table:
    """Names and values, one pair a line; what is None is left out."""
    from rich.table import Table

    made = Table.grid(padding=(0, 2))
    made.add_column(style="bright_black", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs.items():
        if value is not None:
            row(made, name, value)
    return made


def text(value: object, style: str = "") -> Text:
    """Text that cannot do anything to a terminal."""
    from rich.text import Text

    return Text("" if value is None else plain(str(value)), style=style)


def state(word: str, note: str = "") -> Text:
    """A state with its glyph, in its colour."""
    return text(f"{MARKS.get(word, '·')} {word}{note}", COLOURS.get(word, ""))


def when(at: float | None) -> str | None:
    """A time for people, in their own zone, which is named."""
    return None if at is None else datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def zone(at: float) -> str:
    """The name of the zone in which people read a time."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Z")


def lately(at: float, now: float) -> str:
    """A time for people, of which the time of day is enough today."""
    there, here = (datetime.fromtimestamp(time, UTC).astimezone() for time in (at, now))
    return there.strftime("%H:%M:%S" if there.date() == here.date() else "%Y-%m-%d %H:%M")


def stamp(at: float | None) -> str | None:
    """A time for programs: ISO 8601 in UTC, to the microsecond."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def span(start: float | None, end: float | None) -> str:
    """How long it was from one time to another, for people."""
    from heliostat.exporters.picture import duration

    return "" if start is None or end is None else duration(max(0.0, end - start))


def size(count: int) -> str:
    """A number of bytes for people."""
    from heliostat.exporters.picture import size

    return size(count)


def count(number: int, what: str) -> str:
    """So many of something, for people."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def readable(value: Any) -> Any:
    """A JSON value for people: a file in it stands there by its name and size."""
    from heliostat.artifact import Artifact

    if isinstance(value, list):
        return [readable(item) for item in value]
    if not isinstance(value, dict):
        return value
    file = Artifact.from_json(value)
    return (
        {name: readable(item) for name, item in value.items()} if file is None else f"{file.name} ({size(file.size)})"
    )


def short(value: Any, letters: int = 60) -> str:
    """A JSON value on one line, shortened."""
    value = readable(value)
    words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    words = " ".join(words.split())
    return words if len(words) <= letters else words[: letters - 1] + "…"
