"""The site of the documentation: what is copied for it is whole, and what is drawn for it is what the code says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import heliostat
from heliostat.run import RUN_MOVES, RunState
from heliostat.task import TASK_MOVES, TaskState
from tests.docs.pages import ROOT, Page, page, pages
from tools import docs
from tools.site.diagrams import drawn
from tools.site.pages import STAGE, staged
from tools.states import Chart
from tools.states import drawn as states

DIAGRAMS = [(p.name, b.line, b.text) for p in pages() for b in p.blocks if b.language == "mermaid"]
TASKS = Chart("The states of a task", TaskState, TASK_MOVES, ("pending", "ready", "waiting"))
RUNS = Chart("The states of a run", RunState, RUN_MOVES, ("pending", "active"))


@pytest.mark.parametrize("name", docs.PICTURES)
def test_pictures_of_the_code_are_as_the_code_has_them(name: str) -> None:
    """If not: python -m tools.docs."""
    assert (ROOT / name).read_text("utf-8") == docs.PICTURES[name](), "run: python -m tools.docs"


@pytest.mark.parametrize("chart", [TASKS, RUNS], ids=["task", "run"])
def test_no_legal_move_is_missing_in_the_picture_of_states(chart: Chart) -> None:
    """Take any one out of the table, and the picture is another."""
    whole = _shapes(states(chart))
    moves = [(one, other) for one in chart.kind for other in chart.moves[one]]
    assert len(moves) > 4
    for one, other in moves:
        fewer = {state: frozenset(chart.moves[state]) - ({other} if state is one else set()) for state in chart.kind}
        assert _shapes(states(replace(chart, moves=fewer))) != whole, f"{one} -> {other} is not drawn"


def _shapes(svg: str) -> list[str]:
    """What is drawn, without the words that say it."""
    assert ET.fromstring(svg) is not None
    return re.findall(r"<(?:path|circle)[^>]+>", svg)


@pytest.mark.parametrize(
    ("name", "line", "text"), DIAGRAMS, ids=lambda value: str(value) if "\n" not in str(value) else ""
)
def test_every_diagram_of_a_page_can_be_drawn(name: str, line: int, text: str) -> None:
    """With each of its labels; the site loads no script for that."""
    root = ET.fromstring(drawn(text))
    said = {(part.text or "").strip() for part in root.iter() if part.text}
    labels = re.findall(r'-- "([^"]+)" -->|>>\w+: (.+)|\[([^\]]+)\]|participant \w+ as (.+)', text)
    wanted = {word.strip() for found in labels for word in found if word}
    assert wanted
    assert wanted <= said, f"{name}:{line}"


def test_a_diagram_of_an_unknown_kind_is_refused() -> None:
    """With the kinds that are known."""
    with pytest.raises(ValueError, match="draws flowchart and sequenceDiagram, not pie"):
        drawn("pie\n  a: 1")


def test_every_page_has_its_place_in_the_margin_of_the_site() -> None:
    """Once, below a heading of the index or below the page that gathers its kind."""
    found = staged()
    listed = [
        name
        for text in found.values()
        for contents in re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL)
        for name in contents.split()
        if name.endswith(".md")
    ]
    assert sorted(listed) == sorted(set(found) - {"index.md"})


def test_links_on_the_site_lead_to_pages_of_the_site_or_to_files_of_the_checkout() -> None:
    """Also those of pages that have another place there."""
    found = staged()
    for name, text in found.items():
        for link in _links(text):
            target = ((STAGE / name).parent / link.partition("#")[0]).resolve()
            inside = target.relative_to(STAGE).as_posix() if target.is_relative_to(STAGE) else None
            known = inside in found or (inside or "").startswith("images/")
            assert known if inside else target.is_file(), f"{name}: {link} leads nowhere"


def _links(text: str) -> list[str]:
    bare = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)\s#][^)\s]*)\)", bare) if not re.match(r"[a-z]+:", link)]


def test_the_first_page_of_the_site_has_a_lead_buttons_and_cards() -> None:
    """They are the index's own paragraphs and lists, marked for the style sheet."""
    first = staged()["index.md"]
    style = Path(ROOT / "tools/site/static/heliostat.css").read_text("utf-8")
    for mark in ("lead", "buttons", "cards"):
        assert f"{{.{mark}}}\n" in first
        assert f".{mark} " in style
    assert "{." not in page("docs/index.md").text


def test_the_page_of_names_has_every_public_name_with_its_signature() -> None:
    """And every public method of every class among them."""
    names: Page = page("docs/reference/python-names.md")
    for name in heliostat.__all__:
        assert name in names.headings
        kind = getattr(heliostat, name)
        for word, value in vars(kind).items() if isinstance(kind, type) else ():
            if (
                not word.startswith("_")
                and (callable(value) or isinstance(value, property))
                and word not in docs.MACHINE
            ):
                assert f"{name}.{word}" in names.headings
    assert len([block for block in names.blocks if block.language == "python"]) == len(names.headings) - 3
