"""Secrets: there where a function or job runs, and nowhere else."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

import heliostat
from heliostat.cli import app
from heliostat.engine import Engine
from heliostat.task import TaskState
from tests.integration import confided as flows

TOKEN = 'hunter2 "é\\ü" ' + "".join(f"{n:x}" for n in range(60))
PEM = (
    "-----BEGIN KEY-----\nMIIBVgIBADANBgkqhkiG9w0BAQEFAASCAUAwggE8\nAgEAAkEAq7BFUpkGp3+LQmlQYx2eqzDV\n-----END KEY-----"
)


@pytest.fixture(params=["thread", "process"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine in a directory of its own, with a directory of secrets elsewhere."""
    monkeypatch.chdir(tmp_path)
    Path("held").mkdir()
    Path("heliostat.toml").write_text(f'secrets = "{tmp_path}/held"\ndatabase = "sqlite:///w/h.db"', "utf-8")
    Path("w").mkdir()
    with heliostat.open(files="w", executor=request.param) as engine:
        yield engine


def holders(*values: str) -> list[Path]:
    """The files that a run has left with one of these in it, however it is spelled."""
    spelled = {s.encode() for v in values for s in (v, json.dumps(v)[1:-1], json.dumps(v, ensure_ascii=False)[1:-1])}
    left = [Path(directory, name) for directory, _, names in os.walk("w") for name in names]
    return [path for path in left if any(s in there(path) for s in spelled)]


def there(path: Path) -> bytes:
    """What is in a file, or nothing where the engine has removed it by now, as it does beside a run."""
    with suppress(FileNotFoundError):
        return path.read_bytes()
    return b""


@pytest.mark.parametrize(("value", "whence"), [(TOKEN, "variable"), (PEM, "file")])
def test_nothing_that_a_run_leaves_holds_a_secret(
    opened: Engine, value: str, whence: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After success, failure, retries, time-outs and death; in the database, its journal, logs and files."""
    caplog.set_level(logging.DEBUG)
    if whence == "variable":
        monkeypatch.setenv("HELIOSTAT_SECRET_TOKEN", value)
    else:
        Path("held/token").write_text(value + "\n")
    run = opened.run(flows.tell)
    fates = {task.title: (str(task.state), task.reason or "") for task in run.tasks()}
    assert run.state == "succeeded", run.info.reason
    assert run.result("good") == [len(value), "'***'", True, True]
    assert run.result("in_env") == [len(value), []]
    assert fates["returned"] == ("failed", "result holds the secret 'token', which nothing may keep")
    assert fates["put"][1] == "record holds the secret 'token', which nothing may keep"
    assert fates["sent"][1] == "message to heard holds the secret 'token', which nothing may keep"
    assert fates["tagged"][1] == "what it asks for holds the secret 'token', which nothing may keep"
    assert fates["failed"][1] == "because of ***"
    assert fates["skipped"] == ("skipped", "because of ***")
    assert fates["raised_badly"][1] == "CancelledError: ***"
    assert fates["slow"][1] == "timed out after 0.5 s"
    assert fates["job"][0] == "succeeded"
    assert fates["job_fails"][1].startswith("exit code 3: ***")
    assert fates["job_late"][1].startswith("timed out after 0.5 s")
    assert fates["job_keeps"][1] == "output.json holds the secret 'token', which nothing may keep"
    assert fates["job_shows"][1] == "its command holds the secret 'token', which all could see; give it with env="
    assert holders(value, *value.splitlines()) == []
    assert not any(value in record.getMessage() for record in caplog.records)
    lines = [line.text for line in run.log() if line.kind == "log"]
    assert any(line.startswith("token=***") for line in lines)
    assert TOKEN not in repr(flows.TOKEN) + repr(flows.tell.graph) + json.dumps(flows.tell.graph.to_json())


def test_what_a_job_printed_is_masked_when_its_run_was_cancelled(
    opened: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though nobody collects it."""
    monkeypatch.setenv("HELIOSTAT_SECRET_TOKEN", TOKEN)
    run = opened.start(flows.stops)
    opened.work(until=lambda: bool(list(Path("w").rglob("ready"))))
    run.cancel(reason="enough")
    opened.work(until="idle")
    assert [path.name for path in Path("w").rglob("stdout")] == ["stdout"]
    assert holders(TOKEN) == []


MISSING = "secret 'nowhere' is not there: HELIOSTAT_SECRET_NOWHERE is not set, and there is no file {}/nowhere"
NAMES = {
    "nowhere": MISSING,
    "../x": "'../x' is no name for a secret; use letters, digits, _ . -",
    "a b": "'a b' is no name for a secret; use letters, digits, _ . -",
    "": "'' is no name for a secret; use letters, digits, _ . -",
    "empty": "secret 'empty' is empty in {}/empty",
    "folder": "secret 'folder': {}/folder is no ordinary file",
    "pipe": "secret 'pipe': {}/pipe is no ordinary file",
    "latin": "secret 'latin': {}/latin is not UTF-8 text",
    "zero": "secret 'zero' holds a NUL in {}/zero, which no variable can have",
    "large": "secret 'large': {}/large has more than 65,536 bytes",
}


def test_a_secret_that_cannot_be_had_is_a_failed_attempt(opened: Engine) -> None:
    """With a sentence that says where it was looked for."""
    held = Path("held").absolute()
    (held / "folder").mkdir()
    os.mkfifo(held / "pipe")
    for file, data in {"empty": b"\n", "latin": b"\xff\xfe", "zero": b"a\0b", "large": b"x" * 70_000}.items():
        (held / file).write_bytes(data)
    (held.parent / "x").write_text("outside")
    run = opened.run(flows.wants, list(NAMES))
    said = {task.item: task.reason for task in run.tasks(node="function")}
    for item, words in enumerate(NAMES.values()):
        assert str(said[item]).startswith("name=")
        assert str(said[item]).endswith(f": {words.format(held)}")
    fates = {task.node: (task.state, task.reason) for task in run.tasks()}
    assert fates["variable"] == fates["job"] == (TaskState.failed, MISSING.format(held))


def test_a_missing_secret_is_seen_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever checks the configuration; what is there is not shown."""
    monkeypatch.chdir(tmp_path)
    Path("heliostat.toml").write_text(f"apps = {json.dumps([flows.__file__])}", "utf-8")
    check: Callable[[], str] = lambda: CliRunner().invoke(app, ["config", "check"]).stdout  # noqa: E731
    assert "workflow wants, node job: secret 'nowhere' is not there: HELIOSTAT_SECRET_NOWHERE is not set" in check()
    monkeypatch.setenv("HELIOSTAT_SECRET_NOWHERE", "abcdefgh")
    monkeypatch.setenv("HELIOSTAT_SECRET_TOKEN", TOKEN)
    assert check() == "✓ the configuration is in order\n"


def test_a_secret_is_read_anew_for_each_attempt(opened: Engine) -> None:
    """So it can be changed while workers run; both values are masked."""
    Path("held/token").write_text("first-value")
    assert opened.run(flows.tell).result("in_env")[0] == len("first-value")
    Path("held/token").write_text("second-one")
    assert opened.run(flows.tell).result("in_env")[0] == len("second-one")
    assert holders("first-value", "second-one") == []
