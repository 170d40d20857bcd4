"""The public face: what ``import heliostat`` offers, what it leaves alone, and how large the rooms behind it are."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import heliostat
from heliostat.engine import Engine
from heliostat.handle import RunHandle

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "heliostat"
PAGE = ROOT / "docs" / "reference" / "python.md"

#: Libraries that cost time to load, or need not be installed: each is imported in its own room, when it is used.
HEAVY = (
    "asyncssh", "boto3", "celery", "click", "fastapi", "httpx", "jinja2", "kombu", "markdown_it", "matplotlib", "numpy",
    "opentelemetry", "psycopg", "psycopg_pool", "rich", "sqlite3", "starlette", "typer", "uvicorn",
)  # fmt: skip

FILE, CLASS, FUNCTION = 400, 200, 40  #: lines that the style guide has in mind

#: What is larger, and why. A new one is explained here, and one that has become smaller leaves.
LARGER: dict[str, str] = {
    "cli/alone.py:run": "a line for each option that people may type",
    "cli/run.py:start": "each option is a parameter with its help",
    "cli/shapes.py": "what every command writes as JSON: one file is the reference for programs that read it",
    "cli/simulation.py:simulate": "a line for each option that people may type",
    "cli/worker.py:start": "a line for each option that people may type, and their checks",
    "compose.py:engine_on": "the parts of an engine and of its workers, put together in one place",
    "context.py": "all that a function may ask for, on one page, and what contexts share",
    "context.py:Context": "all that a function may ask for, on one page",
    "engine.py": "all that a program may ask of an engine, on two pages",
    "engine.py:Engine": "one method for each thing that a program may ask of it",
    "handle.py": "all that a program may ask of a run, on two pages",
    "handle.py:RunHandle": "one method for each thing that a program may ask of a run",
    "graph.py": "the words of a graph, what follows from them, and what is refused of them",
    "stores/commit.py": "the life of a task, told once for all databases; in two files nobody could follow it",
    "stores/commit.py:Commit": "its steps share what a commit has added up so far",
    "stores/commit.py:Commit._insert": "a line for each column of the row",
    "stores/commit.py:Commit.open": "a line for each column of two rows",
    "stores/ledger.py": "every writing verb of a store, once for all databases",
    "stores/ledger.py:Ledger": "one method for each writing verb of the contract, and their few steps",
    "stores/memory.py": "a whole database: what others have in files of SQL stands here in Python",
    "stores/memory.py:MemoryRows": "one method for each verb of rows, with the indexes that make them quick",
    "stores/memory.py:MemoryStore": "one method for each reading verb of the contract",
    "stores/postgres.py": "connections, transactions, schema and sentences, all of one database",
    "stores/postgres.py:PostgresStore": "connections, transactions, schema and sentences, all of one database",
    "store.py": "the contract of a store: its verbs, what each takes and answers, and the shapes that travel",
    "stores/reading.py:Reading": "one method for each reading verb of the contract",
    "stores/rows.py:Rows": "the contract of a database's rows: what each verb takes, does and answers",
    "stores/rows.py": "the contract of a database's rows, on four pages: what each verb takes, does and answers",
    "stores/sqlite.py": "connections, transactions, schema and sentences, all of one database",
    "stores/sqlite.py:SqliteStore": "connections, transactions, schema and sentences, all of one database",
    "stores/sqlrows.py": "one method for each verb of rows, and what columns become",
    "stores/sqlrows.py:SqlRows": "one method for each verb of rows",
    "testing/simulation.py:simulate": "a line for each thing that a test may say, and what each means",
    "worker.py": "the cycle and its steps share what the worker holds",
    "worker.py:Worker.__init__": "a line for each thing that a worker knows, and what it is",
    "worker.py:Worker": "the cycle and its steps share what the worker holds",
    "workflow.py": "all that an author may say of a workflow, and what becomes of it",
    "workflow.py:Workflow": "one method for each kind of node, and the edges that their options mean",
}


def documented() -> list[str]:
    """The names in the first table of the page about the Python interface."""
    table = PAGE.read_text("utf-8").partition("| --- | --- |\n")[2].partition("\n\n")[0]
    return re.findall(r"^\| `(\w+)`", table, re.MULTILINE)


def test_the_public_names_are_sorted_and_the_documented_ones() -> None:
    """``__all__`` and the page about the Python interface say the same."""
    assert heliostat.__all__ == sorted(heliostat.__all__)
    assert sorted(documented()) == sorted(heliostat.__all__)


@pytest.mark.parametrize("name", heliostat.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name: str) -> None:
    """With a docstring of its own, and one for each of its methods and properties."""
    found = getattr(heliostat, name)
    assert inspect.getdoc(found), f"{name} has no docstring"
    if inspect.isclass(found):
        undocumented(found)


@pytest.mark.parametrize("kind", [Engine, RunHandle])
def test_what_public_functions_answer_with_says_what_it_is(kind: type) -> None:
    """An engine comes from ``open`` and a run from ``start``; neither has a public name."""
    undocumented(kind)


def undocumented(kind: type) -> None:
    """Raise if a class, or anything public that it defines itself, has no docstring."""
    assert vars(kind).get("__doc__"), f"{kind.__name__} has no docstring"
    for name, value in vars(kind).items():
        if not name.startswith("_") and (callable(value) or isinstance(value, property | classmethod | staticmethod)):
            assert inspect.getdoc(value), f"{kind.__name__}.{name} has no docstring"


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    """The lazy ``open`` does not make every other name look possible."""
    with pytest.raises(AttributeError, match="module 'heliostat' has no attribute 'opne'"):
        heliostat.opne  # type: ignore[attr-defined]  # noqa: B018 - asking is the test


def test_importing_heliostat_loads_no_heavy_library() -> None:
    """No web, database, broker or terminal library, and none of Heliostat's own families."""
    ask = "import sys, heliostat; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert not loaded & set(HEAVY)
    families = {"stores", "brokers", "executors", "batches", "transports", "repositories", "loops", "cli", "compose"}
    assert not {name for name in loaded if name.startswith("heliostat.") and name.split(".")[1] in families}


def test_what_is_larger_than_the_style_guide_has_in_mind_is_explained() -> None:
    """Sizes are a mirror and no fence: who goes over says why, and who came back is not listed."""
    found = dict(larger())
    unexplained = sorted(f"{name} ({size} lines)" for name, size in found.items() if name not in LARGER)
    assert not unexplained, f"give a reason in LARGER, or make it smaller: {', '.join(unexplained)}"
    assert sorted(LARGER.keys() - found.keys()) == [], "no longer larger: remove them from LARGER"
    assert all(reason.strip() for reason in LARGER.values())


def larger() -> Iterator[tuple[str, int]]:
    """Files, classes and functions over their sizes, by ``file`` or ``file:qualified.name``."""
    for file in sorted(SOURCE.rglob("*.py")):
        name, text = file.relative_to(SOURCE).as_posix(), file.read_text("utf-8")
        if (lines := len(text.splitlines())) > FILE:
            yield name, lines
        yield from ((f"{name}:{inner}", size) for inner, size in _inside(ast.parse(text), ""))


def _inside(body: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
    for part in ast.iter_child_nodes(body):
        if isinstance(part, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{prefix}{part.name}"
            size = (part.end_lineno or part.lineno) - part.lineno + 1
            if size > (CLASS if isinstance(part, ast.ClassDef) else FUNCTION):
                yield name, size
            yield from _inside(part, f"{name}.")
        else:
            yield from _inside(part, prefix)
