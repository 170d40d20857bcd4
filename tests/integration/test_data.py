"""Workflows as data, over the command line: written, kept, started by name, run by workers that have no code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.test_cli import Shell, shell  # noqa: F401 - a fixture

FLOW = """
from heliostat import Workflow

survey = Workflow("survey", version="1.0")
survey.job("crop", "echo tile {message.tile} > out.txt", outputs="out.txt")
approve = survey.review("approve", after="crop", choices=("keep", "discard"))
survey.job("archive", "cat {crop} > kept.txt", after=approve["keep"], outputs="kept.txt")

night = Workflow("night")

@night.node
def look() -> int:
    return 1
"""


@pytest.fixture
def survey(shell: Shell) -> Shell:  # noqa: F811
    """Give a directory with a workflow of jobs and a review in a file."""
    (shell.directory / "survey.py").write_text(FLOW)
    return shell


def test_what_is_exported_is_imported_again_and_run_by_a_worker_without_code(survey: Shell) -> None:
    """From a file of Python to JSON, into a database, and out of it again the same."""
    document = survey("workflow", "export", "survey.py:survey").stdout
    Path("survey.json").write_text(document)
    Path("survey.py").unlink()
    kept = survey("workflow", "import", "survey.json")
    assert kept.stderr == "survey 1.0 is kept; start it with: heliostat run start survey\n"
    assert survey("workflow", "export", "survey").stdout == document
    run = survey.start("survey", "tile=3")
    Path("heliostat.toml").unlink()
    worker = [sys.executable, "-m", "heliostat.cli", "worker", "start", "--until", "idle"]
    done = subprocess.run(worker, check=True, capture_output=True, text=True, timeout=200)
    assert "offers what is kept as data" in done.stderr
    assert survey.json("review", "list")[0]["choices"] == ["keep", "discard"]
    survey("review", "decide", run, "keep")
    subprocess.run(worker, check=True, capture_output=True, timeout=200)
    details = survey.json("run", "show", run)
    assert (details["state"], [kept["name"] for kept in details["artifacts"]]) == ("succeeded", ["out.txt", "kept.txt"])


def test_import_reads_what_is_piped_and_answers_programs(survey: Shell) -> None:
    """``export | import -`` between two databases."""
    document = survey("workflow", "export", "survey.py:survey", "--out", "survey.json")
    assert document.stdout == ""
    done = survey("workflow", "import", "-", "--json", stdin=Path("survey.json").read_text())
    assert json.loads(done.stdout)["nodes"] == ["crop", "approve", "archive"]


def test_what_has_functions_is_neither_exported_nor_started_by_name(survey: Shell) -> None:
    """The sentence names the node, and says what to type instead."""
    assert "look is a function" in survey.says("workflow", "export", "survey.py:night", code=4)
    survey.start("survey.py:night")
    assert "say where its code is, file.py:flow" in survey.says("run", "start", "night", code=4)


def test_a_name_that_is_none_is_told_with_the_nearest(survey: Shell) -> None:
    """Of all that is data in the database."""
    survey("workflow", "export", "survey.py:survey", "--out", "survey.json")
    survey("workflow", "import", "survey.json")
    assert "did you mean 'survey'?" in survey.says("run", "start", "survye", code=4)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"name": "a", "name": "b"}', "the field 'name' is given twice"),
        (b'{"name": NaN}', "NaN is no number of JSON"),
        (b" " * (1 << 20) + b"{}", "more than 1,048,576 bytes; a workflow as data has fewer"),
        (b'{"name": "a", "nodes": [{"name": "x", "job": "a", "after": "x"}]}', "nodes[0]: job x: waits for 'x'"),
    ],
)  # fmt: skip
def test_what_is_no_definition_is_refused_and_nothing_is_kept(survey: Shell, text: bytes, sentence: str) -> None:
    """In one sentence; the database does not even come to be, or has nothing."""
    Path("bad.json").write_bytes(text)
    assert sentence in survey.says("workflow", "import", "bad.json", code=4)
    survey("db", "upgrade")
    assert survey.json("workflow", "list") == []


def test_another_structure_under_the_same_version_is_refused(survey: Shell) -> None:
    """With the difference in words."""
    document = json.loads(survey("workflow", "export", "survey.py:survey").stdout)
    Path("survey.json").write_text(json.dumps(document))
    survey("workflow", "import", "survey.json")
    document["nodes"].pop()
    Path("survey.json").write_text(json.dumps(document))
    assert "(removed archive); give it a new version" in survey.says("workflow", "import", "survey.json", code=4)
