"""What pages say of the code is so: names exist, tables are as generated, links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from heliostat import config, loading
from heliostat.errors import BadInput
from tests.docs.pages import ROOT, Page, page, pages
from tools import docs

PAGES = pages()
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)

#: Names in code on these pages are names of the package, without saying so each time.
ABOUT_CODE = ("docs/how-a-task-travels.md", "docs/reference/glossary.md", "docs/reference/limits.md")

#: The words that everything is made of; the glossary has each of them, and says where it lives.
WORDS = (
    "Workflow", "Graph", "Node", "Edge", "Handler", "Run", "Message", "Task", "Attempt", "Outcome", "Effects", "Record",
    "Result", "Artifact", "Job", "Worker", "Lease", "Rescue", "Queue", "Lane", "Review", "Decision", "Trigger",
)  # fmt: skip
#: Words with a meaning and no module yet. The day one gets a module, it moves up.
KEPT_FREE = ("Lifecycle", "Site", "Subject", "Topic")

#: What begins like a name of the package, and is a file or a group of entry points.
NO_NAMES = ("heliostat.db", "heliostat.toml", loading.GROUP)

_NAME = re.compile(r"[a-z_]+(\.\w+)+")


def resolve(name: str) -> object:
    """What a dotted name within the package stands for; raises if it stands for nothing."""
    parts = name.removeprefix("heliostat.").split(".")
    found, place = importlib.import_module("heliostat"), "heliostat"
    for part in parts:
        if isinstance(found, type) and not hasattr(found, part):
            assert part in getattr(found, "__annotations__", {}), f"{found.__name__} has no {part}"
            return None
        if find_spec(f"{place}.{part}") if not hasattr(found, part) and place else None:
            importlib.import_module(f"{place}.{part}")
        found = getattr(found, part)
        place = f"{place}.{part}" if hasattr(found, "__path__") else ""
    return found


def names(page: Page) -> list[str]:
    """The dotted names in a page's code spans and in its diagrams."""
    diagrams = [block.text for block in page.blocks if block.language == "mermaid"]
    aliases = [alias for text in diagrams for alias in re.findall(r"participant \w+ as ([\w.]+)", text)]
    return [code for code in page.code if _NAME.fullmatch(code)] + aliases


@pytest.mark.parametrize("name", ABOUT_CODE)
def test_every_name_on_a_page_about_the_code_exists(name: str) -> None:
    """Modules, classes, methods, fields; statements by their files."""
    found = names(page(name))
    assert found
    statements = {path.name for path in (ROOT / "src/heliostat/stores/sql").rglob("*.sql")}
    for word in found:
        if word.endswith(".sql"):
            assert word in statements, f"{name}: there is no statement {word}"
        elif not word.endswith((".json", ".jsonl", ".md", ".db", ".toml")):
            resolve(word)


@each_page
def test_names_with_the_package_in_front_exist(page: Page) -> None:
    """Wherever ``heliostat.something`` stands in code."""
    for word in page.code:
        if re.fullmatch(r"heliostat(\.[A-Za-z_]\w*)+", word) and word not in NO_NAMES:
            resolve(word)


@each_page
def test_generated_parts_are_as_the_code_has_them(page: Page) -> None:
    """If not: python -m tools.docs."""
    if page.path.is_relative_to(ROOT / "docs"):
        assert docs.filled(page.text) == page.text, "run: python -m tools.docs"


@each_page
def test_links_lead_somewhere(page: Page) -> None:
    """To a file that is there, and to a heading that the file has; addresses elsewhere are not followed."""
    for link in page.links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in Page(target).anchors, f"{target.name} has no heading #{anchor}"


@each_page
def test_a_paragraph_has_one_sentence_per_line(page: Page) -> None:
    """So that a change of a sentence is a change of a line."""
    for before, token in zip(page.tokens, page.tokens[1:], strict=False):
        if before.type == "paragraph_open" and before.level == 0:
            for line in token.content.splitlines():
                assert not re.search(r"[a-z)`][.!?] [A-Z]", line), line


def test_every_page_of_the_docs_is_found_from_the_index() -> None:
    """By a link on the index itself."""
    index = page("docs/index.md")
    linked = {(index.path.parent / link).resolve() for link in index.links}
    for other in PAGES:
        if other.path.is_relative_to(ROOT / "docs") and other.path != index.path:
            assert other.path in linked, f"docs/index.md does not mention {other.name}"


def test_the_glossary_has_every_word_of_the_design() -> None:
    """With the place where it lives, or among those that are kept free."""
    rows = page("docs/reference/glossary.md").rows
    defined = {row[0]: row[2] for row in rows if len(row) == 3 and row[0] != "word"}
    free = {row[0] for row in rows if len(row) == 2}
    for word in WORDS:
        assert _NAME.search(defined.get(word, "")), f"{word} has no entry that says where it lives"
    assert set(KEPT_FREE) <= free
    assert list(defined) == sorted(defined, key=str.lower)


@pytest.mark.parametrize("word", KEPT_FREE)
def test_a_word_that_is_kept_free_has_no_module(word: str) -> None:
    """When it gets one, the glossary says where it lives."""
    assert find_spec(f"heliostat.{word.lower()}") is None


def test_every_sentence_that_explains_a_task_is_on_the_page_about_them() -> None:
    """Whatever ``task explain`` may say, somebody can look up what helps."""
    text = page("docs/how-to/find-out-why-a-task-does-not-run.md").text
    tree = ast.parse((ROOT / "src/heliostat/checks.py").read_text("utf-8"))
    docstrings = {part.value for part in ast.walk(tree) if isinstance(part, ast.Expr)}
    pieces = [part.value for part in ast.walk(tree) if isinstance(part, ast.Constant) and part not in docstrings]
    said = [piece.strip() for piece in pieces if isinstance(piece, str) and " " in piece.strip()]
    assert len(said) > 10
    for words in said:
        assert words in text, f"nobody says what {words!r} means"


def test_promises_name_tests_that_exist() -> None:
    """Each promise at least one, except where it says what holds it instead."""
    promises = page("docs/promises.md")
    held = [code for code in promises.code if code.startswith(("tests/", "src/"))]
    for name in held:
        file, _, test = name.partition("::")
        assert re.search(rf"def {test}\(", (ROOT / file).read_text("utf-8")), f"there is no test {name}"
    assert [title.partition(".")[0] for title in promises.headings[1:]] == [f"P{n}" for n in range(1, 13)]
    for part in promises.text.split("\n## ")[1:]:
        assert "::test_" in part or "make bench" in part, f"no test holds {part.splitlines()[0]}"


def test_every_noun_of_the_command_line_has_a_part() -> None:
    """A heading of its own, and the table below it."""
    nouns = [*docs.NOUNS, "demo", "doctor"]
    assert sorted(docs.program().commands) == sorted(nouns)
    assert set(nouns) < set(page("docs/reference/command-line.md").headings)


def test_the_table_of_settings_is_what_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting is taken, each variable is read, and there is no other."""
    rows = page("docs/reference/configuration.md").rows
    head = rows.index(["setting", "what it says", "unless given"])
    settings = [row[0] for row in rows[head + 1 : head + 1 + len(config.SETTINGS)]]
    assert settings == [*config.SETTINGS]
    for setting in settings:
        special = {
            "apps": '["x"]',
            "sites": '{ x = { queues = ["y"] } }',
            "executor": '"process"',
            "queues": "{ x = {} }",
        }
        value = special.get(setting, '"x"')
        (tmp_path / config.FILE).write_text(f"{setting} = {value}\n", "utf-8")
        config.read(tmp_path)
    (tmp_path / config.FILE).write_text("nonsense = 1\n", "utf-8")
    with pytest.raises(BadInput, match="there is no setting 'nonsense'"):
        config.read(tmp_path)
    source = (ROOT / "src/heliostat/config.py").read_text("utf-8")
    variables = set(re.findall(r'"(HELIOSTAT_\w+)"', source))
    assert variables == {row[0] for row in rows if row[0].startswith("HELIOSTAT_")}
