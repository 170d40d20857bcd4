"""Markdown pages as tests see them: their examples, links, names in code, and tables.

A comment before a block says what is done with it; a page shows none of them:

- ``<!-- file: night.py -->``: the block is written to that file, which the blocks after it find where they run
- ``<!-- run -->``: the shell block is run and must succeed; ``<!-- run: 4 -->`` if it must end with status 4. Its lines
  are calls, ``heliostat run list`` or ``run=$(heliostat run start …)``; variables stay for the blocks after it
- ``<!-- prints -->``: the block is what the one before it said, where ``…`` stands for anything, lines included
- ``<!-- sketch -->``: the Python block is read for its syntax only, since it needs what a test has not

Python blocks run, all of a page in one namespace. Lines of other shell blocks must be commands that exist.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
SHELLS = frozenset({"sh", "bash", "shell", "console"})
_COMMENT = re.compile(r"<!--\s*(file|run|prints|sketch)(?::\s*(\S+))?\s*-->")


@dataclass(frozen=True, slots=True)
class Block:
    """A code block: its language, its text, the line of the page on which it begins, and what is done with it."""

    language: str
    text: str
    line: int
    marks: tuple[tuple[str, str], ...] = ()

    def mark(self, word: str) -> str | None:
        """What a comment before it says about ``word``: empty if it only says the word, None if it does not."""
        return dict(self.marks).get(word)


@dataclass(frozen=True)
class Page:
    """One file of Markdown."""

    path: Path

    @property
    def name(self) -> str:
        """The path from the root of the repository."""
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        """What it says."""
        return self.path.read_text("utf-8")

    @cached_property
    def tokens(self) -> list[Token]:
        """It, parsed."""
        return MarkdownIt("commonmark").enable("table").parse(self.text)

    @cached_property
    def inline(self) -> list[Token]:
        """Code spans, links, images and texts, in order."""
        return [child for token in self.tokens for child in token.children or ()]

    @cached_property
    def blocks(self) -> list[Block]:
        """Its code blocks, in order."""
        found, marks = [], []
        for token in self.tokens:
            if token.type == "html_block":
                marks = [(mark[1], mark[2] or "") for mark in _COMMENT.finditer(token.content)]
            elif token.type == "fence":
                language = token.info.split(maxsplit=1)[0] if token.info else ""
                found.append(Block(language, token.content, (token.map or [0])[0] + 2, tuple(marks)))
                marks = []
            else:
                marks = []
        return found

    @cached_property
    def code(self) -> list[str]:
        """What stands in back quotes."""
        return [token.content for token in self.inline if token.type == "code_inline"]

    @cached_property
    def links(self) -> list[str]:
        """Where its links and images lead."""
        hrefs = (token.attrs.get("href") or token.attrs.get("src") for token in self.inline)
        return [str(href) for href in hrefs if href] + re.findall(r'(?:src|href)="([^"]+)"', self.html)

    @cached_property
    def html(self) -> str:
        """What it has of HTML."""
        return "\n".join(token.content for token in (*self.tokens, *self.inline) if token.type.startswith("html"))

    @cached_property
    def anchors(self) -> frozenset[str]:
        """What a link may name behind ``#``: its headings, as GitHub spells them."""
        return frozenset(anchor(title) for title in self.headings)

    @cached_property
    def headings(self) -> list[str]:
        """Its headings, without markup."""
        pairs = zip(self.tokens, self.tokens[1:], strict=False)
        return [_plain(title) for head, title in pairs if head.type == "heading_open"]

    @cached_property
    def rows(self) -> list[list[str]]:
        """The rows of all its tables, as cells without markup."""
        found: list[list[str]] = []
        for token in self.tokens:
            if token.type == "tr_open":
                found.append([])
            elif token.type == "inline" and found and token.level >= 4:
                found[-1].append(_plain(token))
        return found


def anchor(title: str) -> str:
    """A heading as it stands behind ``#``."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def pages() -> list[Page]:
    """Every page that is written for readers."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [Page(path) for path in found if path.exists() and path.name != "0000-template.md"]


def page(name: str) -> Page:
    """One page, by its path from the root."""
    return Page(ROOT / name)


def commands(block: Block) -> Iterator[str]:
    """The commands of a shell block, without prompts, with continued lines joined."""
    for line in block.text.replace("\\\n", " ").splitlines():
        line = line.strip().removeprefix("$ ")
        if line and not line.startswith("#"):
            yield line


def _plain(token: Token) -> str:
    return "".join(child.content for child in token.children or () if child.type in ("text", "code_inline"))
