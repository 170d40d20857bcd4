"""``heliostat workflow simulate``: what it prints, with which code it ends, and that what it prints can be pasted."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from heliostat.cli import app

FLOWS = """
from heliostat import Context, Workflow

called = []
plates = Workflow("plates")

@plates.node
def fields(message: int) -> list[int]:
    return list(range(message))

@plates.node(map={"field": fields})
def expose(ctx: Context, field: int) -> int:
    called.append(field)
    return field

scan = plates.job("scan", "scan --out scan.tif", after=expose, outputs="scan.tif")

def scanned() -> str:
    return "scanned"

def once_each(run):
    assert sorted(called) == [0, 1, 2]

def anew():
    called.clear()
"""
WORDS = ("plates.py:plates", "--message", "3", "--stub", "scan=plates.py:scanned")
CHECKED = (*WORDS, "--check", "plates.py:once_each", "--before", "plates.py:anew")


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a directory with a workflow."""
    (tmp_path / "plates.py").write_text(FLOWS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


def simulate(*words: str, code: int = 0) -> Result:
    """Call the command, and see that it ends as it should."""
    done = CliRunner().invoke(app, ["workflow", "simulate", *words], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done


def test_seeds_that_hold_are_counted() -> None:
    """In one line for people, in one document for programs."""
    assert simulate(*WORDS, "--seeds", "20").stdout.startswith("✓ plates: 20 seeds, ")
    told = json.loads(simulate(*WORDS, "--seeds", "30", "--faults", "crash,none", "--json").stdout)
    assert (told["workflow"], told["seeds"], told["failed"]) == ("plates", 30, None)
    assert set(told["faults"]) == {"crash-before", "crash-after"}
    assert told["transactions"] > 30


def test_a_seed_that_fails_ends_with_five_and_can_be_pasted() -> None:
    """The printed command fails at the same seed with the same history, in another process and under other hashes."""
    told = json.loads(simulate(*CHECKED, "--json", code=5).stdout)
    assert told["seeds"] == told["failed"]["seed"]
    words = shlex.split(told["failed"]["replay"])
    assert words[:3] == ["heliostat", "workflow", "simulate"]
    assert words[-2:] == ["--seed", str(told["failed"]["seed"])]
    command = [sys.executable, "-m", "heliostat.cli", *words[1:], "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONHASHSEED": "7"})
    assert ran.returncode == 5, ran.stderr
    assert json.loads(ran.stdout)["failed"] == told["failed"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("plates.py:plates", "--message", "3"), "scan is a job and reaches outside"),
        ((*WORDS, "--faults", "crsh"), "there is no kind 'crsh'; did you mean 'crash'?"),
        ((*WORDS, "--check", "plates.py:once"), "plates.py has nothing called 'once'; did you mean 'once_each'?"),
        ((*WORDS, "--check", "once_each"), "'once_each' names nothing in a file; write file.py:name"),
        ((*WORDS, "--stub", "scan"), "--stub 'scan': write node=file.py:function"),
        ((*WORDS, "--seeds", "0"), "seeds"),
    ],
)
def test_what_cannot_be_simulated_is_refused(words: tuple[str, ...], sentence: str) -> None:
    """One sentence, and the exit code of a refusal."""
    done = simulate(*words, code=4)
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
