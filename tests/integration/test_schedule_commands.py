"""The commands about what starts by itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import heliostat
from heliostat.cli.application import app

FLOW = """
from heliostat import Cron, Every, Tick, Workflow

nightly = Workflow("nightly", version="1", on=Cron("0 6 * * *", timezone="Europe/Rome"))

@nightly.node
def go(message: Tick) -> str:
    return message.scheduled_at.isoformat()

poll = Workflow("poll", version="1", stays_open=True)

@poll.handler(on=Every("5m"))
def look(message: Tick) -> None: ...
"""
DAYS = ("--from", "2026-01-01T00:00Z", "--to", "2026-01-04T00:00Z")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a workflow and a database that knows it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("HELIOSTAT_DATABASE", f"sqlite:///{tmp_path}/x.db")
    (tmp_path / "flows.py").write_text(FLOW, "utf-8")
    assert call("worker", "start", "flows.py", "--until", "idle").exit_code == 0
    return tmp_path


def call(*words: str) -> Result:
    """What a command answers."""
    return CliRunner().invoke(app, list(words))


def told(*words: str) -> Any:
    """What a command writes as JSON."""
    return json.loads(call(*words, "--json").stdout)


def test_the_next_tick_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the list and of a workflow; of one without a trigger there is nothing to tell."""
    nightly, poll = sorted(told("workflow", "list"), key=lambda found: str(found["name"]))
    assert nightly["schedule"]["trigger"] == 'cron "0 6 * * *" Europe/Rome'
    assert nightly["schedule"]["next_at"].endswith(":00:00.000000Z")
    assert (nightly["schedule"]["paused"], nightly["schedule"]["last_at"], poll["schedule"]) == (False, None, None)
    assert told("workflow", "show", "nightly")["schedule"] == nightly["schedule"]
    assert told("workflow", "show", "poll")["nodes"][0]["trigger"] == "every 5m"
    shown = call("workflow", "show", "flows.py:nightly").stdout
    assert 'cron "0 6 * * *" Europe/Rome' in shown
    assert "next tick" in shown
    (folder / "other.py").write_text(FLOW.replace('version="1"', 'version="2"'), "utf-8")
    monkeypatch.setattr("heliostat.compose.time.time", lambda: 4e9)  # so that the tick is long past, and nobody came
    assert "missed, for no worker offers it" in call("workflow", "show", "nightly").stdout
    assert "missed, for no worker" in call("workflow", "list").stdout
    assert "none yet: its runs start when a worker offers it" in call("workflow", "show", "other.py:nightly").stdout


def test_a_workflow_is_shown_where_the_database_cannot_be_read_and_why_is_said(folder: Path) -> None:
    """What a file defines is told; what only the database knows is not passed over in silence."""
    (folder / "x.db").write_bytes(b"no database " * 400)
    shown = call("workflow", "show", "flows.py:nightly")
    assert (shown.exit_code, 'cron "0 6 * * *" Europe/Rome' in shown.stdout) == (0, True)
    assert shown.stderr.startswith("what the database knows of its ticks is left out: ")


def test_a_workflow_is_paused_and_resumed_with_a_reason(folder: Path) -> None:
    """Who and why is in the journal."""
    assert call("workflow", "pause", "nightly", "--reason", "snow").stderr == "workflow nightly is paused\n"
    assert "was paused already" in call("workflow", "pause", "nightly").stderr
    assert "paused" in call("workflow", "list").stdout
    assert "workflow nightly goes on, next at 20" in call("workflow", "resume", "nightly", "--reason", "thaw").stderr
    with heliostat.open() as engine:
        lines = [(line.actor, json.loads(line.event)) for line in engine.store.journal() if "paused" in line.event]
    assert [(event["workflow"], event["paused"], event["reason"]) for _, event in lines] == [
        ("nightly", True, "snow"),
        ("nightly", False, "thaw"),
    ]
    assert all(actor not in ("", "python") for actor, _ in lines)
    wrong = call("workflow", "pause", "nightli")
    assert wrong.exit_code == 4
    assert "did you mean 'nightly'" in wrong.stderr


def test_ticks_of_the_past_are_filled_back_once(folder: Path) -> None:
    """By the name of a scheduled workflow or by its file; the second time they are the same runs."""
    runs = told("workflow", "backfill", "nightly", *DAYS)
    assert [run["name"] for run in runs] == [f"2026-01-0{day}T05:00:00Z" for day in (1, 2, 3)]
    done = call("workflow", "backfill", "flows.py:nightly", *DAYS[:3], "2026-01-06T00:00Z")
    assert done.stderr == (
        "5 ticks: 2 runs started, 3 were there; no worker offers it; "
        "one does with: heliostat worker start flows.py:nightly\n"
    )
    assert call("workflow", "backfill", "nightly", *DAYS).stderr == "3 ticks: 0 runs started, 3 were there\n"
    again = told("workflow", "backfill", "flows.py:nightly", *DAYS)
    assert [run["id"] for run in again] == [run["id"] for run in runs]
    assert "2026-01-03T05:00:00Z" in call("workflow", "backfill", "nightly", *DAYS).stdout
    assert "no tick is in that period" in call("workflow", "backfill", "nightly", *DAYS[:3], DAYS[1]).stdout
    assert call("worker", "start", "flows.py", "--until", "idle").exit_code == 0
    assert {run["state"] for run in told("run", "list")} == {"succeeded"}
    wrong = call("workflow", "backfill", "nightly", "--from", "soon", "--to", "2026-01-04")
    assert "'soon' is no time" in wrong.stderr
