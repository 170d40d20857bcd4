"""SQL as files: one per verb, common to the databases where it can be, a database's own where it must be.

A file begins with a comment that says what it does. ``:name`` is a parameter; ``{name}`` stands for the file
``_name.sql``, a piece that several statements share.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)\b")
_PIECE = re.compile(r"\{([a-z_]+)\}")
_COMMENT = re.compile(r"^\s*--.*\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement in a database's own spelling; ``names`` are its parameters in the order of their numbers."""

    text: str
    names: tuple[str, ...]


class Statements:
    """The statements of one database, each read when it is first wanted. ``sigil`` begins a numbered parameter."""

    def __init__(self, dialect: str, sigil: str) -> None:
        self._dialect, self._sigil = dialect, sigil
        self._known: dict[str, Statement] = {}

    def __getitem__(self, name: str) -> Statement:
        if (known := self._known.get(name)) is None:
            known = self._known[name] = fill(self.source(name), self._sigil, {})
        return known

    def source(self, name: str) -> str:
        """The text of a statement's file, its pieces put in and its comments left out."""
        folder = files("heliostat.stores") / "sql"
        own = folder / self._dialect / f"{name}.sql"
        text = (own if own.is_file() else folder / f"{name}.sql").read_text(encoding="utf-8")
        text = _PIECE.sub(lambda piece: self.source(f"_{piece[1]}"), _COMMENT.sub("", text))
        return text.strip().rstrip(";")

    def migrations(self) -> list[tuple[int, str, list[str]]]:
        """The steps of the schema, oldest first: number, name, statements."""
        folder = files("heliostat.stores") / "sql" / "migrations" / self._dialect
        return [_migration(entry) for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)]

    @cached_property
    def newest(self) -> int:
        """The version of the schema after the last migration."""
        return self.migrations()[-1][0]


def fill(source: str, sigil: str, words: Mapping[str, str]) -> Statement:
    """Number the parameters of a statement; those in ``words`` are written out instead."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if (word := words.get(match[1])) is not None:
            return word
        if match[1] not in names:
            names.append(match[1])
        return f"{sigil}{names.index(match[1]) + 1}"

    text = _PARAMETER.sub(number, source)
    return Statement(text, tuple(names))


def _migration(entry: Traversable) -> tuple[int, str, list[str]]:
    name = entry.name.removesuffix(".sql")
    text = _COMMENT.sub("", entry.read_text(encoding="utf-8"))
    return int(name.split("_")[0]), name, [part.strip() for part in text.split(";\n") if part.strip()]
