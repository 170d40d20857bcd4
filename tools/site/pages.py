"""The pages of the documentation as a site has them: with a table of contents, and with links that lead within it."""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
STAGE = ROOT / "build" / "docs-pages"

#: Pages that do not lie in ``docs/``, and what they are called on the site.
OTHERS = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "changes.d/README.md": "changelog-fragments.md",
}
#: What a forge shows and the site has in another place.
REPLACED = {"README.md": "index.md"}
DECISIONS = "decisions.md"

_LINK = re.compile(r"(\]\(|<img src=\")(?P<target>[^)\s#\"]+)")
_SECTION = re.compile(r"^## (?P<title>.+)\n(?P<text>(?:(?!^## ).*\n?)*)", re.MULTILINE)
_PAGE = re.compile(r"\]\((?P<page>[\w/.-]+\.md)\)")
_LIST = re.compile(r"(?:^- .*\n(?:  .*\n)*)+", re.MULTILINE)
_CARD = re.compile(r"^(- \[[^\]]+\]\([^)]+\)):", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def staged() -> dict[str, str]:
    """Every page of the site by its path, as MyST reads it."""
    found = {path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))}
    found |= {name: ROOT / source for source, name in OTHERS.items()}
    pages = {name: _moved(path.read_text("utf-8"), path, name) for name, path in found.items()}
    pages[DECISIONS] = decisions(pages)
    pages["contributing.md"] += "\n" + _contents("", ["changelog-fragments.md"])
    pages["index.md"] = landing(pages["index.md"])
    return pages


def _moved(text: str, path: Path, name: str) -> str:
    """A page whose links are true from its place on the site; code is left as it is."""

    def turned(found: re.Match[str]) -> str:
        target = found["target"]
        if re.match(r"[a-z]+:", target):
            return found[0]
        return found[1] + _from(STAGE / name, (path.parent / target).resolve())

    pieces, at = [], 0
    for fence in _FENCED.finditer(text):
        pieces += [_LINK.sub(turned, text[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*pieces, _LINK.sub(turned, text[at:])])


def _from(page: Path, target: Path) -> str:
    """A link to a file of the checkout: to its page where there is one, else to the file itself, to be taken along."""
    name = target.relative_to(ROOT).as_posix()
    if name in OTHERS or name in REPLACED:
        target = STAGE / (OTHERS | REPLACED)[name]
    elif target.is_relative_to(DOCS):
        target = STAGE / target.relative_to(DOCS)
    elif target.is_dir():
        target = next(iter(sorted(target.glob("*.py"))))
    return Path(os.path.relpath(target, page.parent)).as_posix()


def decisions(pages: dict[str, str]) -> str:
    """The page that the records of decisions hang on."""
    names = sorted(name for name in pages if name.startswith("adr/"))
    lines = [f"- [{pages[name].partition(chr(10))[0].lstrip('# ')}]({name})" for name in names]
    head = (
        "# Decisions\n\nWhat somebody will ask about later, each on one page: what was decided, why, what followed.\n"
    )
    return "\n".join([head, *lines, "", _contents("", names)])


def landing(text: str) -> str:
    """The index as the first page of a site: a lead, buttons, cards, and the table of contents for the margin."""
    head, _, rest = text.partition("\n\n")
    text = f"{head}\n\n{{.lead}}\n{rest}"
    text = re.sub(r"^\*\*\[", "{.buttons}\n**[", text, count=1, flags=re.MULTILINE)
    contents = []
    for section in _SECTION.finditer(text):
        pages = list(dict.fromkeys(_PAGE.findall(section["text"])))
        kept = [page for page in pages if not page.startswith("adr/")]
        if kept != pages:
            kept.append(DECISIONS)
        if kept:
            contents.append(_contents(section["title"], kept))
    text = _LIST.sub(
        lambda found: "{.cards}\n" + re.sub(r"^(- \[[^\]]+\]\([^)]+\)):", r"\1", found[0], flags=re.MULTILINE), text
    )
    return "\n\n".join([text.rstrip(), *contents, ""])


def _contents(caption: str, pages: list[str]) -> str:
    said = [f":caption: {caption}"] if caption else []
    return "\n".join(["```{toctree}", ":hidden:", *said, "", *pages, "```"])
