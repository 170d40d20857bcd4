"""What a whole run waits for, waiting for it, and its story as one document."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

import heliostat
from heliostat import Context, Retry, Snooze, Workflow
from heliostat.cli.export import exported
from heliostat.engine import Engine
from heliostat.errors import Ended
from heliostat.handle import RunHandle
from heliostat.reasons import LOOKED_AT, OTHERS, reasons, summary
from heliostat.run import task_id
from tests.integration.test_cli import Shell, shell  # noqa: F401 - a fixture


def tiles(engine: Engine, count: int) -> RunHandle:
    """A run with a list, of which every third item fails and is tried again in an hour; one more is ready elsewhere."""
    flow = Workflow("tiles")
    flow.node(lambda: list(range(count)), name="split")

    def draw(tile: int) -> int:
        if tile % 3 == 0:
            raise ValueError(f"tile {tile} is dark")
        return tile

    flow.node(draw, map={"tile": "split"}, retry=Retry(2, delay="1h"))
    flow.node(lambda **results: 1, name="count", after="draw")
    flow.node(lambda: 1, name="far", queue="far")
    run = engine.start(flow)
    engine.set_queue("far", paused=True)
    engine.work(until=lambda: len(run.tasks("waiting")) == count // 3 and not run.tasks("running"))
    return run


def test_a_whole_run_is_explained_by_its_reasons() -> None:
    """Each once, in the words of `explain`, with how many tasks of which nodes; those alike are one."""
    with heliostat.open("memory://") as engine:
        run = tiles(engine, 9)
        found = reasons(engine.store, run)
        assert [(reason.why.partition(" ")[0], reason.tasks, dict(reason.nodes)) for reason in found] == [
            ("retried", 3, {"draw": 3}),
            ("count", 1, {"count": 1}),
            ("queue", 1, {"far": 1}),
        ]
        assert found[0].alike
        assert found[0].why == run.explain(int(found[0].first[0].partition("/")[2]))
        assert summary(engine.store, run, found).endswith("is active; 5 tasks are not over")


def test_of_many_tasks_the_first_are_asked_and_all_are_counted() -> None:
    """What a million of them wait for is said in a moment; where the first differ, nobody vouches for the others."""
    flow = Workflow("many", stays_open=True)
    flow.handler(lambda message: None, name="hear", serial="key")
    with heliostat.open("memory://") as engine:
        run = engine.start(flow)
        for number in range(50):
            run.send("hear", {"key": "same"}, priority=number % 2)
        found = reasons(engine.store, run)
        assert sum(reason.tasks for reason in found) == 50
        assert {reason.tasks for reason in found} == {49, 1}
        for number in range(LOOKED_AT):
            run.send("hear", {"key": f"k{number % 2}"})
        assert sum(reason.tasks for reason in reasons(engine.store, run)) == 50 + LOOKED_AT
        assert OTHERS not in [reason.why for reason in found]


def test_a_run_that_is_over_or_waits_for_nobody_is_explained_in_a_sentence(shell: Shell) -> None:  # noqa: F811
    """The same that it says of itself."""
    run = shell.start("counter", "--to", "add", "1")
    shell("worker", "start", "--until", "idle")
    told = shell.json("run", "explain", run)
    assert told["summary"] == f"run {run} is active and stays open: it waits for a message, or to be completed"
    shell("run", "complete", run)
    assert shell("run", "explain", run).stdout == f"run {run} has succeeded\n"


def test_the_page_says_who_is_to_decide(shell: Shell) -> None:  # noqa: F811
    """Tables for people, the same for programs."""
    run = shell.start("warning", "3.4")
    shell("worker", "start", "--until", "idle")
    page = shell("run", "explain", run).stdout
    assert "waits for a decision, publish or discard, by chief; claimed by nobody" in page
    assert "first, last" in page
    [reason] = shell.json("run", "explain", run)["reasons"]
    assert (reason["tasks"], reason["nodes"], reason["alike"]) == (2, {"first": 1, "last": 1}, False)


# waiting


def test_a_run_is_waited_for_while_a_worker_elsewhere_does_it(shell: Shell) -> None:  # noqa: F811
    """How it came out is printed as after `run start --wait`, and the exit code is that of the run."""
    run, broken = shell.start("hello", "name=Ada"), shell.start("broken")
    worker = subprocess.Popen([sys.executable, "-m", "heliostat.cli", "worker", "start"], stderr=subprocess.DEVNULL)
    try:
        while not shell.json("worker", "list"):
            pass
        assert "Hello, Ada!" in shell("run", "wait", run, "--timeout", "60s").stdout
        assert shell.json("run", "wait", broken, "--timeout", "60s", code=5)["state"] == "failed"
    finally:
        worker.terminate()
        worker.wait(200)


def test_waiting_ends_where_nobody_could_go_on_or_time_is_over(shell: Shell) -> None:  # noqa: F811
    """With exit code 1, on standard error, in words for the command line."""
    run = shell.start("hello", "name=Ada")
    done = shell("run", "wait", run, code=1)
    assert done.stdout == ""
    assert "has not ended: no worker offers hello dev+" in done.stderr
    assert "engine.work" not in done.stderr
    assert "no duration" in shell("run", "wait", run, "--timeout", "soon", code=2).stderr


# exporting


def story(engine: Engine) -> RunHandle:
    """A run of which everything was asked: failures, snoozes, records, files, a review, what operators did."""
    flow = Workflow("story", version="1")
    tries = iter(range(9))

    def flaky(ctx: Context, message: dict[str, str]) -> str:
        if next(tries) == 0:
            raise ValueError("once")
        (ctx.dir / "a.txt").write_text("ä")
        ctx.artifact(ctx.dir / "a.txt", tags=("t",))
        ctx.put({"seen": message}, key="k")
        return "ü\n"

    flow.node(flaky, retry=Retry(1, delay=0))
    flow.node(lambda: Snooze(3600), name="sleepy")
    flow.node(lambda: 1 / 0, name="bad", may_fail=True)
    flow.node(lambda: [1, 2, 3], name="items")
    flow.node(lambda item: item, name="each", map={"item": "items"})
    flow.review("ask", choices=("yes", "no"), after="each")
    flow.review("later", choices=("yes",))
    run = engine.start(flow, {"to": "世界"}, name="\x1b[31mred", priority=3)
    engine.work(until=lambda: len(run.reviews()) == 2 and len(run.tasks("waiting")) == 3 and not run.tasks("running"))
    run.decide("ask", "yes", "because")
    run.resolve("sleepy", {"said": "by hand"}, "no time")
    run.pause("look")
    run.resume("seen")
    return run


def read(engine: Engine, run: RunHandle) -> Any:
    """The document, as it is written and read."""
    return json.loads("".join(exported(engine, run, lambda done: None)))


@pytest.mark.parametrize("database", ["memory://", "sqlite:///story.db"])
def test_what_is_exported_is_what_the_database_has(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it: each task with its payloads and attempts, the journal, records, files, open reviews."""
    monkeypatch.chdir(tmp_path)
    with heliostat.open(database) as engine:
        run = story(engine)
        found, store = read(engine, run), engine.store
        assert found["form"] == 1
        assert (found["run"]["name"], found["run"]["message"], found["run"]["state"]) == (
            "\x1b[31mred",
            {"to": "世界"},
            "active",
        )
        assert found["graph"] == json.loads(json.dumps(run.graph.to_json()))
        tasks = run.tasks()
        assert [task["id"] for task in found["tasks"]] == [task_id(run.key, task.number) for task in tasks]
        for told, task in zip(found["tasks"], tasks, strict=True):
            assert (told["node"], told["item"], told["state"]) == (task.node, task.item, task.state)
            assert told["result"] == (None if task.result is None else json.loads(task.result))
            assert told["message"] == (None if task.message is None else json.loads(task.message))
            past = store.attempts(run.key, task.number)
            assert [(one["attempt"], one["state"], one["reason"]) for one in told["history"]] == [
                (one.count, one.state, one.reason) for one in past
            ]
        assert {one["state"] for told in found["tasks"] for one in told["history"]} >= {"failed", "snoozed"}
        journal = store.journal(run.key)
        assert [(line["seq"], line["actor"], line["event"]) for line in found["journal"]] == [
            (entry.seq, entry.actor, json.loads(entry.event)) for entry in journal
        ]
        assert [(kept["key"], kept["value"]) for kept in found["records"]] == [("k", {"seen": {"to": "世界"}})]
        assert [(kept["name"], kept["digest"]) for kept in found["artifacts"]] == [
            (artifact.name, artifact.digest) for artifact in run.artifacts()
        ]
        assert [review["node"] for review in found["reviews"]] == ["later"]


def test_a_long_list_is_exported_without_being_held_in_memory(tmp_path: Path) -> None:
    """A page at a time; what is read is given back before the next."""
    flow = Workflow("long")
    flow.node(lambda: list(range(3_000)), name="items")
    flow.node(lambda item: "x" * 20_000, name="each", map={"item": "items"})
    flow.node(lambda each: None, name="end")
    with heliostat.open(tmp_path / "long.db", files=tmp_path) as engine:
        run = engine.run(flow)
        tracemalloc.start()
        try:
            written = sum(len(piece) for piece in exported(engine, run, lambda done: None))
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert written > 60_000_000
    assert most < 25_000_000


def test_a_file_is_there_only_when_all_of_it_is(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Whatever stops the writing leaves what was there before, and nothing half."""
    run = shell.start("hello", "name=Ada", "--wait").split()[1]
    shell("run", "export", run, "--out", "story.json")
    before = Path("story.json").read_text()
    assert json.loads(before)["run"]["result"] == "Hello, Ada!"
    assert json.loads(shell("run", "export", run).stdout)["tasks"] == json.loads(before)["tasks"]

    def breaks(*given: object) -> Any:
        raise Ended("it breaks")

    monkeypatch.setattr("heliostat.cli.export._journal", breaks)
    shell("run", "export", run, "--out", "story.json", code=4)
    assert Path("story.json").read_text() == before
    assert [path.name for path in Path().iterdir() if "story.json" in path.name] == ["story.json"]
