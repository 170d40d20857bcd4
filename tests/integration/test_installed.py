"""Workflows that come with installed packages: found unasked, as if they were configured."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from heliostat import loading
from heliostat.cli.application import app
from heliostat.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

FLOWS = """
from heliostat import Workflow

night = Workflow("night")
day = Workflow("day")

@night.node
def look(message: int) -> int:
    return message + 1

@day.node
def sleep() -> None: ...
"""


def call(*words: str) -> Result:
    """What a command answers."""
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Install a package with an entry point; in the current directory nothing is configured."""
    packages, home = tmp_path / "packages", tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.syspath_prepend(str(packages))

    def add(module: str, point: str, flows: str = FLOWS) -> None:
        told = packages / f"{module}-1.dist-info"
        told.mkdir(parents=True)
        (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n", "utf-8")
        (told / "entry_points.txt").write_text(f"[{loading.GROUP}]\nmine = {point}\n", "utf-8")
        (packages / f"{module}.py").write_text(flows, "utf-8")
        os.utime(packages, (1, 1 + len(list(packages.iterdir()))))  # who remembers a folder goes by its time

    return add


def test_what_a_package_offers_is_started_by_its_name(install: Callable[[str, str], None]) -> None:
    """And a worker without words offers it."""
    install("observatory_a", "observatory_a")
    ran = call("run", "start", "night", "3", "--wait", "--json")
    assert (ran.exit_code, json.loads(ran.stdout)["result"]) == (0, 4), ran.stderr
    started = json.loads(call("run", "start", "day", "--json").stdout)["id"]
    assert call("worker", "start", "--until", "idle").exit_code == 0
    assert json.loads(call("run", "show", started, "--json").stdout)["state"] == "succeeded"


def test_an_entry_point_may_name_one_workflow_of_a_module(install: Callable[[str, str], None]) -> None:
    """The others of its module are not offered, as with an app in the configuration."""
    install("observatory_b", "observatory_b:night [extra]")
    assert loading.installed() == {"observatory_b:night": "observatory_b"}
    assert call("run", "start", "night", "3", "--wait").exit_code == 0
    assert "no workflow 'day'" in call("run", "start", "day").stderr


def test_what_is_configured_too_is_there_once(install: Callable[[str, str], None]) -> None:
    """One workflow, whichever way it was found; `config show` tells of both ways."""
    install("observatory_c", "observatory_c:night")
    Path("heliostat.toml").write_text('apps = ["observatory_c"]\n', "utf-8")
    assert call("run", "start", "night", "3", "--wait").exit_code == 0
    shown = json.loads(call("config", "show", "--json").stdout)
    assert (shown["apps"], shown["installed"]) == (["observatory_c"], ["observatory_c:night"])
    assert "observatory_c:night" in call("config", "show").stdout
    assert call("config", "check").exit_code == 0


def test_a_package_that_is_damaged_stops_nobody(install: Callable[[str, str], None], tmp_path: Path) -> None:
    """Its list of entry points cannot be read, and with it those of others."""
    install("observatory_g", "observatory_g")
    (tmp_path / "packages" / "observatory_g-1.dist-info" / "entry_points.txt").write_text("[console_scripts]\nx\n")
    Path("mine.py").write_text(FLOWS, "utf-8")
    ran = call("run", "start", "mine.py:night", "3", "--wait")
    assert ran.exit_code == 0, ran.stderr
    assert "what installed packages offer is left out" in call("worker", "start", "--until", "idle").stderr
    assert json.loads(call("config", "show", "--json").stdout)["installed"] == []


def test_a_configured_workflow_goes_before_that_of_a_package(install: Callable[[str, str], None]) -> None:
    """As where a package is worked on from its own files."""
    install("observatory_e", "observatory_e")
    Path("mine.py").write_text(FLOWS.replace("message + 1", "message + 2"), "utf-8")
    Path("heliostat.toml").write_text('apps = ["mine.py"]\n', "utf-8")
    assert json.loads(call("run", "start", "night", "3", "--wait", "--json").stdout)["result"] == 5


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ("observatory_d:dawn", "observatory_d:dawn cannot be loaded: observatory_d has no workflow 'dawn'"),
        ("observatory_f", "observatory_f cannot be loaded: ZeroDivisionError: division by zero"),
    ],
)
def test_what_a_package_offers_and_cannot_be_loaded_is_said_and_stops_nobody(
    install: Callable[..., None], point: str, said: str
) -> None:
    """Others' mistakes are in nobody's way."""
    install("observatory_d", point)
    install("observatory_f", "observatory_f", "1 / 0")
    Path("mine.py").write_text(FLOWS, "utf-8")
    Path("heliostat.toml").write_text('apps = ["mine.py"]\n', "utf-8")
    ran = call("run", "start", "night", "3", "--wait")
    assert ran.exit_code == 0
    assert said in call("worker", "start", "--until", "idle").stderr
    assert call("run", "start", "dusk").exit_code == Refused.exit_code
    assert said in call("config", "check").stdout
