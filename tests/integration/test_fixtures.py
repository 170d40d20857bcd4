"""The fixture for pytest: found where Heliostat is installed, and loading nothing where nobody asks for it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytest_plugins = ("pytester",)


@pytest.fixture
def installed(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Give a pytest that finds the checkout as if it were installed: by the entry points of its project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    told = pytester.path / "site" / "heliostat-0.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: heliostat\nVersion: 0\n", "utf-8")
    points = "\n".join(f"{name} = {place}" for name, place in project["entry-points"]["pytest11"].items())
    (told / "entry_points.txt").write_text(f"[pytest11]\n{points}\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(told.parent), str(ROOT / "src")]))
    return pytester


def test_a_test_that_names_the_fixture_gets_an_engine(installed: pytest.Pytester) -> None:
    """Without a conftest or an option; each test has one of its own, with the same ids."""
    installed.makepyfile("""
        import pytest
        from heliostat import Snooze, Workflow

        night = Workflow("night")
        ids = []

        @night.node
        def wait(ctx):
            return Snooze("1h") if ctx.attempt < 3 else ctx.attempt

        @pytest.mark.parametrize("time", [1, 2])
        def test_night(heliostat_engine, time):
            run = heliostat_engine.start(night)
            heliostat_engine.advance("2h")
            assert run.result() == 3
            ids.append(run.id)
            assert len(set(ids)) == 1
    """)
    installed.runpytest_subprocess("-W", "error").assert_outcomes(passed=2)


def test_a_wrong_stub_is_an_error_of_its_test(installed: pytest.Pytester) -> None:
    """Though the test itself has passed."""
    installed.makepyfile("""
        def test_stub(heliostat_engine):
            heliostat_engine.stubs["nobody"] = len
    """)
    ran = installed.runpytest_subprocess()
    ran.assert_outcomes(passed=1, errors=1)
    ran.stdout.fnmatch_lines(["*stubs: no workflow here has a node 'nobody'*"])


def test_who_does_not_use_it_loads_nothing_for_it(installed: pytest.Pytester) -> None:
    """Two modules that do nothing, and the one with the fixture; no validation, no engine."""
    installed.makepyfile("""
        import sys

        def test_loaded():
            loaded = {name for name in sys.modules if name.split(".")[0] == "heliostat"}
            assert loaded == {"heliostat", "heliostat.testing", "heliostat.testing.fixtures"}
            assert "pydantic" not in sys.modules
    """)
    installed.runpytest_subprocess("-W", "error", "-p", "no:hypothesispytest").assert_outcomes(passed=1)
