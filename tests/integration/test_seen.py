"""How the jobs of running tasks stand in their batch system, as other processes are told it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import heliostat
from heliostat import Workflow
from heliostat.batch import EXIT_CODE, SEEN, JobState
from heliostat.engine import Engine
from heliostat.handle import RunHandle
from heliostat.printed import job_directory
from heliostat.reasons import reasons
from heliostat.seen import Seen, grouped, seen, standings
from heliostat.store import Ask

LINE: dict[str, Any] = {
    "system": "slurm",
    "place": "login1",
    "handle": "1234",
    "state": "submitted",
    "reason": "Resources",
    "at": 100.0,
}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunHandle]:
    """Give a run whose four jobs somebody has leased, and has a directory for."""
    with heliostat.open("memory://", files=tmp_path) as engine:
        flow = Workflow("flow")
        for name in "abcd":
            flow.job(name, "true")
        run = engine.start(flow)
        engine.store.lease(Ask("w", frozenset({run.graph.id}), 4), engine.around.clock.now())
        for number in (1, 2, 3, 4):
            job_directory(engine.around, run.key, number, 1).mkdir(parents=True)
        yield run


def write(run: RunHandle, number: int, **told: object) -> None:
    """Write what was seen of a job, as its watch does."""
    engine: Engine = run._engine
    line = LINE | {"at": engine.around.clock.now() - 90.0} | told
    (job_directory(engine.around, run.key, number, 1) / SEEN).write_text(json.dumps(line))


def test_a_job_that_waits_says_for_what(run: RunHandle) -> None:
    """With its id in the batch system; and since when it has been so."""
    write(run, 1)
    write(run, 2, state="running", reason="")
    write(run, 3, state="unknown", handle="", reason="not submitted: login1 cannot be reached")
    first, second, third, fourth = (run.explain(number) for number in (1, 2, 3, 4))
    assert first.startswith("pending in slurm on login1 (job 1234) for 90.")
    assert ": Resources; watched for 0." in first
    assert "by worker w (attempt 1)" in first
    assert second.startswith("running in slurm on login1 (job 1234) for 90.")
    assert third.startswith("unknown in slurm on login1 for 90.")
    assert ": not submitted: login1 cannot be reached; watched for" in third
    assert fourth.startswith("its job is submitted and not seen yet; watched for")


def test_jobs_that_wait_for_the_same_are_one_reason_of_their_run(run: RunHandle) -> None:
    """Whatever their numbers are."""
    for number in (1, 2, 3, 4):
        write(run, number, handle=str(1000 + number))
    (reason,) = reasons(run._engine.store, run)
    assert reason.tasks == 4
    assert ": Resources; " in reason.why


def test_jobs_that_wait_alike_are_counted_together_whenever_they_are_to_begin(run: RunHandle) -> None:
    """Of the times that their scheduler plans, the first is told."""
    for number, words in enumerate(("Priority, expected to begin {}", "Priority, expected to begin {}", "Priority"), 1):
        write(run, number, reason=words.format(f"2026-12-01 08:0{5 - number}:00 UTC"))
    write(run, 4, reason="expected to begin 2026-12-01 09:00:00 UTC")
    standing = standings(run._engine.store, run._engine.around)
    assert grouped(words for _, words in standing) == {
        "pending in slurm: Priority, the first expected to begin 2026-12-01 08:03:00 UTC": 3,
        "pending in slurm, expected to begin 2026-12-01 09:00:00 UTC": 1,
    }


def test_what_is_damaged_is_nothing(tmp_path: Path) -> None:
    """Half a line, another shape, a state that there is not."""
    assert seen(tmp_path) is None
    for text in ("", "{", "[]", "3", '"x"', json.dumps(LINE | {"state": "dozing"}), json.dumps({"state": "running"})):
        (tmp_path / SEEN).write_text(text)
        assert seen(tmp_path) is None
    (tmp_path / SEEN).write_text(json.dumps(LINE | {"reason": None}))
    assert seen(tmp_path) == Seen("slurm", "login1", "1234", JobState.submitted, "", 100.0)


def test_a_job_that_has_ended_says_so_by_its_exit_code(tmp_path: Path) -> None:
    """Whoever watched it wrote no more once it had; what was told of its end stays."""
    (tmp_path / SEEN).write_text(json.dumps(LINE | {"state": "running", "reason": "suspended"}))
    (tmp_path / EXIT_CODE).write_text("0\n")
    os.utime(tmp_path / EXIT_CODE, (300.0, 300.0))
    assert seen(tmp_path) == Seen("slurm", "login1", "1234", JobState.ended, "", 300.0)
    (tmp_path / SEEN).write_text(json.dumps(LINE | {"state": "ended", "reason": "timed out after 3 s"}))
    assert seen(tmp_path) == Seen("slurm", "login1", "1234", JobState.ended, "timed out after 3 s", 100.0)


def test_without_the_files_it_is_told_who_watches_it(run: RunHandle) -> None:
    """As where they are on another machine."""
    job_directory(run._engine.around, run.key, 1, 1).rmdir()
    assert run.explain(1).startswith("running for 0.")
