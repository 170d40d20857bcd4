"""Every bad input of the page about them gets its sentence, and leaves nothing behind."""

from __future__ import annotations

import re
import shlex
import sqlite3
import sys
import types
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from heliostat import config
from heliostat.cli import app
from heliostat.errors import HeliostatError
from tests.docs.bad_input import CASES, PRELUDE, Case

DATABASE = "bad.db"
EACH = [pytest.param(case, id=f"{group}: {case.name}") for group, cases in CASES.items() for case in cases]


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What Python finds: the names of the prelude, in a directory of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "400")
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)  # where dataclasses look names up
    Path("flow.py").write_text(PRELUDE.partition("engine =")[0], "utf-8")
    Path("heliostat.txt").write_text("no Python", "utf-8")
    exec(compile(PRELUDE, "prelude.py", "exec"), vars(module))
    yield vars(module)
    vars(module)["engine"].close()


@pytest.mark.parametrize("case", EACH)
def test_bad_input_gets_its_sentence_and_changes_nothing(case: Case, names: dict[str, Any]) -> None:
    """The database is the one it was, row for row; ``…`` in a sentence stands for what differs from run to run."""
    exec(compile(case.before, "before.py", "exec"), names)
    before = rows()
    said = refused(case.done, names)
    pattern = ".*".join(re.escape(piece) for piece in case.said.split("…"))
    assert re.fullmatch(pattern, said) is not None, said
    assert rows() == before


def refused(code: str, names: dict[str, Any]) -> str:
    """Do it, and answer the sentence that says why not."""
    if code.startswith("heliostat "):
        here = {"HELIOSTAT_DATABASE": f"sqlite:///{DATABASE}"}
        ran = CliRunner().invoke(app, shlex.split(code)[1:], env=here, prog_name="heliostat")
        assert isinstance(ran.exception, SystemExit), f"a stack trace: {ran.exception!r}"
        assert ran.exit_code in (2, 3, 4)
        assert not ran.stdout
        return sentence(ran.stderr)
    if code.startswith("# heliostat.toml"):
        Path(config.FILE).write_text(code, "utf-8")
        code = "config.read()"
    with pytest.raises(HeliostatError) as told:
        exec(compile(code, "case.py", "exec"), {**names, "config": config})
    return str(told.value)


def sentence(said: str) -> str:
    """What the program says, without its name and without the frame around it."""
    framed = [line.strip("│ ") for line in said.splitlines() if line.startswith("│")]
    return " ".join(framed) or said.strip().removeprefix("heliostat: ")


def rows() -> list[tuple[Any, ...]]:
    """Every row of every table of the database."""
    with closing(sqlite3.connect(DATABASE)) as database:
        tables = database.execute("select name from sqlite_master where type = 'table' order by name").fetchall()
        return [(name, *row) for (name,) in tables for row in database.execute(f'select * from "{name}"')]


def test_what_is_right_is_taken(names: dict[str, Any]) -> None:
    """The same calls with good input go through, and are seen in the database: so the cases could be told apart."""
    before = rows()
    exec("run.send(update, {'seeing': 1.0}, delay='1h')", names)
    assert rows() != before


def test_there_are_cases_of_every_kind_and_each_is_there_once() -> None:
    """Sixty at least, of definitions, policies, messages, files, ids, addresses, configuration and arguments."""
    found = [case for cases in CASES.values() for case in cases]
    assert len(found) >= 60
    assert all(len(cases) >= 5 for cases in CASES.values())
    assert len({(case.before, case.done) for case in found}) == len(found)
    for cases in CASES.values():
        assert len({case.name for case in cases}) == len(cases)
