"""Footprints: what a node stands on in its source."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heliostat.footprint import files, footprints

SOURCE = """
import helpers
from helpers import LIMIT
from heliostat import Workflow

FACTOR = 2
TABLE = {}
TABLE["a"] = 1

flow = Workflow("flow")


def twice(value):
    return value * FACTOR


@flow.node
def first(message: int) -> int:
    return twice(message)


@flow.node
def second(first: int) -> int:
    return first + TABLE["a"]


@flow.node
def third(second: int) -> int:
    LOCAL = [TABLE for TABLE in [second]]
    return helpers.shift(LOCAL[0])


@flow.node
def fourth(second: int) -> int:
    return min(second, LIMIT)


@flow.node
class Fifth:
    def run(self, second: int) -> int:
        return second


job = flow.job("job", "echo {second}", outputs="*")
"""
HELPERS = "LIMIT = 5\n\n\ndef shift(value):\n    return value + 1\n"

Change = Callable[..., set[str]]


@pytest.fixture
def changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Change]:
    """Give what tells the nodes whose footprints differ when a word of a file is another one."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def prints() -> dict[str, str]:
        for name in ("flows", "helpers"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return footprints(importlib.import_module("flows").flow)

    def change(old: str, new: str) -> set[str]:
        texts = {"flows.py": SOURCE, "helpers.py": HELPERS}
        found = []
        for text in (texts, {name: text.replace(old, new) for name, text in texts.items()}):
            for name, content in text.items():
                (tmp_path / name).write_text(content)
            found.append(prints())
        assert found[0].keys() == found[1].keys()
        return {name for name in found[0] if found[0][name] != found[1][name]}

    yield change
    for name in ("flows", "helpers"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("old", "new", "nodes"),
    [
        ("return twice(message)", "return twice(message) + 1", {"first"}),
        ("FACTOR = 2", "FACTOR = 3", {"first"}),
        ('TABLE["a"] = 1', 'TABLE["a"] = 2', {"second"}),
        ("value + 1", "value + 2", {"third", "fourth"}),
        ("LIMIT = 5", "LIMIT = 6", {"third", "fourth"}),
        ("        return second", "        return second + 1", {"Fifth"}),
        ("echo {second}", "echo {second} {second}", {"job"}),
        ('Workflow("flow")', 'Workflow("flow", retry=1)', {"first", "second", "third", "fourth", "Fifth"}),
        ("def twice(value):", "# a comment\n\n\ndef twice( value ):", set()),
        ("nothing", "at all", set()),
    ],
)
def test_a_change_touches_what_stands_on_it(changed: Change, old: str, new: str, nodes: set[str]) -> None:
    """A function, what it names and what that names; imported modules as a whole; no comments."""
    assert {name.lower() for name in changed(old, new)} == {name.lower() for name in nodes}


def test_the_files_of_a_workflow_are_its_own_and_what_they_import(changed: Change, tmp_path: Path) -> None:
    """No library's."""
    changed("nothing", "at all")
    assert files(sys.modules["flows"].flow) == [tmp_path / "flows.py", tmp_path / "helpers.py"]


def test_a_function_without_a_module_of_its_own_has_a_footprint() -> None:
    """One made inside another function stands on its whole file."""
    from heliostat import Workflow

    flow = Workflow("inner")

    @flow.node
    def inner(message: int) -> int:
        return message

    assert footprints(flow) == footprints(flow)
