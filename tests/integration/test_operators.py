"""What operators set over all runs: nodes and queues, over the command line and in Python, with who and why."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

import heliostat
from heliostat import Workflow
from heliostat.engine import Engine
from heliostat.errors import BadInput, NotFound
from heliostat.task import TaskState
from tests.integration.test_cli import Shell, shell  # noqa: F401 - a fixture


def told(engine: Engine) -> list[dict[str, object]]:
    """What the journal says of nodes and queues, with who did it."""
    events = [json.loads(entry.event) | {"by": entry.actor} for entry in engine.store.journal()]
    return [event for event in events if "node" in event or "queue" in event]


def test_a_node_that_is_paused_begins_in_no_run(shell: Shell) -> None:  # noqa: F811
    """`explain` says so, `node list` has it, and it goes on when it is resumed; who and why are in the journal."""
    first, second = shell.start("hello", "name=Ada"), shell.start("hello", "name=Eve")
    done = shell("node", "pause", "hello/greeting", "--reason", "its words are checked")
    assert done.stderr.startswith("node hello/greeting is paused: no limit, in hello dev+")
    assert "node greeting is paused" in shell("task", "explain", first).stdout
    [node] = shell.json("node", "list")
    assert (node["workflow"], node["node"], node["limit"], node["paused"]) == ("hello", "greeting", None, True)
    assert "paused" in shell("node", "list").stdout
    shell("worker", "start", "--until", "idle")
    assert shell.json("task", "list", second)[0]["state"] == "ready"
    shell("node", "resume", "hello/greeting")
    shell("worker", "start", "--until", "idle")
    assert [run["state"] for run in shell.json("run", "list")] == ["succeeded", "succeeded"]
    with heliostat.open() as engine:
        assert [event["reason"] for event in told(engine)] == ["its words are checked", ""]


def test_a_node_is_limited_and_freed(shell: Shell) -> None:  # noqa: F811
    """In the one version that is named, or in all."""
    shell.start("tiles", "2")
    assert (
        shell("node", "set", "tiles/draw", "--limit", "3").stderr == "node tiles/draw: at most 3 at once, in tiles 2\n"
    )
    assert shell.json("node", "list")[0]["limit"] == 3
    shell("node", "pause", "tiles/draw")
    assert "at most 5 at once, paused, in tiles 2" in shell("node", "set", "tiles/draw", "--limit", "5").stderr
    resumed = shell.json("node", "resume", "tiles/draw")
    assert resumed["nodes"] == [{"version": "tiles 2", "limit": 5, "paused": False}]
    assert "no limit" in shell("node", "set", "tiles 2/draw", "--no-limit").stderr
    assert shell.json("node", "list")[0]["limit"] is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["pause", "tilse/draw"], "there is no workflow 'tilse'; did you mean 'tiles'?"),
        (["pause", "tiles/drwa"], "workflow tiles has no node 'drwa'; did you mean 'draw'?"),
        (["pause", "tiles"], "node: 'tiles' names no node; write workflow/node"),
        (["pause", "/"], "node: '/' names no node; write workflow/node"),
        (["pause", "tiles/\x1b[31m"], "workflow tiles has no node '\\x1b[31m'; there is split, draw"),
        (["set", "tiles/draw"], "say --limit N or --no-limit"),
        (["set", "tiles/draw", "--limit", "3", "--no-limit"], "say --limit N or --no-limit"),
        (["pause", "tiles/draw", "--reason", "x" * 501], "reason: a string of 0 to 500 characters is wanted, not "),
    ],
)
def test_what_names_no_node_is_refused(shell: Shell, words: list[str], sentence: str) -> None:  # noqa: F811
    """With what was meant, and nothing is set."""
    shell.start("tiles", "2")
    assert shell.says("node", *words, code=4).startswith(sentence)
    assert shell.json("node", "list") == []


def test_the_engine_sets_nodes_and_queues() -> None:
    """Of all versions; what runs in a program hears of it at once."""
    flow = Workflow("night")
    look = flow.node(lambda: 1, name="look")
    with heliostat.open("memory://", actor="anna") as engine:
        one = engine.start(flow)
        flow.node(lambda: 2, name="later")
        two = engine.start(flow)
        assert {graph.id for graph in engine.set_node(look, paused=True, reason="ill")} == {one.graph.id, two.graph.id}
        engine.work(until="idle")
        assert [len(run.tasks(TaskState.ready, "look")) for run in (one, two)] == [1, 1]
        assert [graph.id for graph in engine.set_node(f"{one.graph.label}/look", paused=False)] == [one.graph.id]
        engine.work(until=one)
        engine.set_queue("default", limit=2, reason="slow")
        engine.set_node("night/look", limit=1, paused=False)
        engine.work(until=two)
        assert [event["by"] for event in told(engine)] == ["anna"] * 6
        assert told(engine)[3]["reason"] == "slow"
        with pytest.raises(NotFound, match="there is no queue 'defualt'; did you mean 'default'"):
            engine.set_queue("defualt", paused=True)
        with pytest.raises(BadInput, match="node look: the limit must be at least 1; pause the node to stop it"):
            engine.set_node(look, limit=0)
        with pytest.raises(BadInput, match="node: 5 names no node; write workflow/node"):
            engine.set_node(5)  # type: ignore[arg-type]
        with pytest.raises(BadInput, match=r'queue default: rate: .* is no rate; write "5/s"'):
            engine.set_queue("default", rate="often")


def test_claiming_a_review_takes_a_reason(shell: Shell) -> None:  # noqa: F811
    """As every verb of an operator does."""
    run = shell.start("warning", "3.4")
    shell("worker", "start", "--until", "idle")
    shell("review", "claim", f"{run}/first", "--reason", "on duty")
    assert any(line["fields"].get("reason") == "on duty" for line in shell.json("run", "log", run))


# tasks, and several runs at once


def test_a_task_is_cancelled_with_a_reason(shell: Shell) -> None:  # noqa: F811
    """Its run fails for it, says so, and can be tried again."""
    run = shell.start("hello", "name=Ada")
    assert shell("task", "cancel", f"{run}/1", "--reason", "wrong name").stderr == f"{run}/1: cancelled\n"
    shown = shell.json("run", "show", run)
    assert (shown["state"], shown["reason"].partition(" by ")[0]) == ("failed", "greeting: cancelled")
    assert shown["reason"].endswith(": wrong name")
    assert "is failed; only what is ready, waits or runs" in shell.says("task", "cancel", f"{run}/1", code=4)
    shell("run", "retry", run)
    shell("worker", "start", "--until", "idle")
    assert shell.json("run", "show", run)["state"] == "succeeded"


def test_several_runs_are_acted_on_at_once(shell: Shell) -> None:  # noqa: F811
    """Each says what came of it; if one cannot be, none is."""
    first, second, third = (shell.start("hello", f"name={name}") for name in ("Ada", "Eve", "Zoe"))
    shell("run", "pause", second)
    assert shell("run", "pause", first, second).stderr == f"{first}: paused\n{second}: the run was paused already\n"
    assert shell.json("run", "resume", first, second, first) == {
        "done": True,
        "said": [f"{first}: resumed", f"{second}: resumed"],
        "runs": [{"run": first, "done": True, "note": ""}, {"run": second, "done": True, "note": ""}],
    }
    shell("run", "cancel", first[-4:], second, "--reason", "clouds")
    assert [run["reason"] for run in shell.json("run", "list")] == [None, "clouds", "clouds"]
    assert "nothing to pause" in shell.says("run", "pause", third, second, code=4)
    assert shell.json("run", "show", third)["paused"] is False
    assert "there is no run" in shell.says("run", "cancel", third, "zzzzzzzz", code=4)
    assert shell.json("run", "show", third)["state"] == "active"


def test_a_run_that_failed_for_its_deadline_is_retried_with_another(shell: Shell) -> None:  # noqa: F811
    """By the command line and in Python; without one it has none."""
    run = shell.start("hello", "name=Ada", "--deadline", "0s")
    with heliostat.open() as engine:
        engine.store.promote(engine.around.clock.now())
    assert shell.json("run", "show", run)["reason"] == "it had not ended by its deadline"
    assert shell("run", "retry", run, "--deadline", "6h", "--reason", "no worker was there").stderr
    shown = shell.json("run", "show", run)
    assert (shown["state"], shown["deadline_at"] > shown["created_at"]) == ("active", True)
    shell("worker", "start", "--until", "idle")
    assert shell.json("run", "show", run)["state"] == "succeeded"
    assert "goes on" in shell("run", "log", run).stdout
    again = shell.json("run", "rerun", run, "--deadline", "6h")
    assert again["deadline_at"] > again["created_at"]


def test_a_file_is_put_into_a_run(shell: Shell) -> None:  # noqa: F811
    """And fetched again, under the name and with the words that it was given."""
    run = shell.start("hello", "name=Ada")
    put = shell.json("artifact", "put", run, "flows.py", "--name", "code.txt", "--tag", "code", "--tag", "tests")
    assert (put["name"], put["media_type"], put["tags"]) == ("code.txt", "text/plain", ["code", "tests"])
    assert shell("artifact", "put", run, "heliostat.toml").stderr.startswith("kept: heliostat.toml, ")
    shell("artifact", "get", run, "code.txt")
    assert (shell.directory / "code.txt").read_text() == (shell.directory / "flows.py").read_text()
    assert "nowhere.txt" in shell.says("artifact", "put", run, "nowhere.txt", code=4)


# what was decided, and what was not checked


def test_who_decides_too_late_hears_who_decided_what_when(shell: Shell) -> None:  # noqa: F811
    """By the review's number, its node, or the run alone where it asks for one thing; and `explain` says the same."""
    (shell.directory / "one.py").write_text(ONE_REVIEW)
    run = shell.start("one.py", "3.4")
    shell("worker", "start", "one.py", "--until", "idle")
    shell("review", "decide", run, "publish", "--reason", "it is good")
    for review in (run, f"{run}/approve", f"{run}/2"):
        said = shell.says("review", "decide", review, "discard", code=4)
        assert re.search(r"approve .* is over: \S+ decided 'publish' at 20\S+Z: it is good", said)
    assert "decided 'publish' at 20" in shell.says("review", "show", run, code=4)
    assert "succeeded: " in shell("task", "explain", f"{run}/2").stdout


ONE_REVIEW = """
from heliostat import Workflow

one = Workflow("one")

@one.node
def forecast(message: float) -> float:
    return message

one.review("approve", choices=("publish", "discard"), after=forecast)
"""


def test_what_is_sent_is_checked_where_its_code_is_and_else_it_is_said(shell: Shell) -> None:  # noqa: F811
    """The configured apps have it, just as it was when the run began."""
    run = shell.start("counter", "--to", "add", "1")
    assert "input should be a valid integer" in shell.says("run", "send", run, "add", '"two"', code=4)
    assert shell.json("run", "send", run, "add", "2")["checked"] is True
    (shell.directory / "heliostat.toml").write_text("")
    said = shell("run", "send", run, "add", '"two"').stderr
    assert re.fullmatch(r"sent: task 4; its form was not checked, since no configured app has counter dev\+\w+\n", said)


def test_a_worker_that_is_not_idle_says_what_it_waits_for(shell: Shell) -> None:  # noqa: F811
    """A retry far off, or a deadline; it says so once."""
    (shell.directory / "far.py").write_text(FAR)
    run = shell.start("far.py", "--deadline", "2h")
    worker = subprocess.Popen(
        [sys.executable, "-m", "heliostat.cli", "worker", "start", "far.py", "--until", "idle"],
        stderr=subprocess.PIPE,
        text=True,
    )
    with worker:
        assert worker.stderr is not None
        said = next(line for line in worker.stderr if "is not idle yet" in line)
        worker.terminate()
    assert f"is not idle yet: {run}/1 flaky: retried in" in said


FAR = """
from heliostat import Retry, Workflow

far = Workflow("far")

@far.node(retry=Retry(1, delay="1h"))
def flaky() -> None:
    raise OSError("clouds")
"""


def test_a_worker_of_an_edited_file_says_what_it_leaves(shell: Shell) -> None:  # noqa: F811
    """Runs that were started before have the structure of then, which it does not offer."""
    shell.start("hello", "name=Ada")
    [before] = shell.json("workflow", "list")
    code = (shell.directory / "flows.py").read_text()
    (shell.directory / "edited.py").write_text(code.replace("def letter", "def card"))
    said = shell("worker", "start", "edited.py:hello", "--until", "idle").stderr.splitlines()
    assert said[1].startswith(f"what is ready of hello {before['version']} waits for a worker that offers that; ")
    assert len(shell("worker", "start", "--until", "idle").stderr.splitlines()) == 1


def test_what_was_logged_is_json_whatever_it_was(shell: Shell) -> None:  # noqa: F811
    """A name of a file that is no UTF-8, and a number that is none, spoil neither today's logs nor older ones."""
    (shell.directory / "odd.py").write_text(ODD)
    run = shell.start("odd.py")
    shell("worker", "start", "odd.py", "--until", "idle")
    [log] = shell.directory.glob("**/logs/*.jsonl")
    log.read_text("utf-8")
    with log.open("a") as old:  # as earlier versions wrote it
        old.write('{"at": 1.0, "task": 1, "node": "look", "message": "old \\udce9", "loss": NaN}\n')
    for words in (("run", "log", run), ("task", "log", f"{run}/1")):
        shell(*words)
        told = json.loads(shell(*words, "--json").stdout, parse_constant=pytest.fail)
        lines = [line for line in told if line["kind"] == "log"]
        assert [(line["text"], line["fields"]) for line in lines] == [
            ("old ?", {"loss": "nan"}),
            ("seen", {"file": "caf?.txt", "loss": "nan"}),
        ]


def test_nobody_forges_lines_of_ours(shell: Shell) -> None:  # noqa: F811
    """What people and functions say in several lines is told in lines that are indented, after the first."""
    (shell.directory / "forged.py").write_text(FORGED)
    run = shell.start("forged.py")
    shell("worker", "start", "forged.py", "--until", "idle")
    lie = "late\rheliostat: decided: yes\nheliostat: all is well\u2028heliostat: yes"
    shell("review", "decide", run, "publish", "--reason", lie)
    said = shell("review", "decide", run, "discard", code=4).stderr
    assert "\r" not in said
    assert [line.startswith("heliostat: ") for line in said.splitlines()] == [True, False, False, False]
    told = shell("run", "log", run).stdout
    assert "late" in told
    assert "  00:00:00.000  run" in told
    assert not re.search(r"(?m)^(heliostat|00:00:00\.000)", told.replace("\r", "\n"))


FORGED = """
from heliostat import Context, Workflow

forged = Workflow("forged")

@forged.node
def look(ctx: Context) -> None:
    ctx.log("seen\\n00:00:00.000  run  succeeded")

forged.review("approve", choices=("publish", "discard"))
"""


ODD = """
import os
from heliostat import Context, Workflow

odd = Workflow("odd")

@odd.node
def look(ctx: Context) -> None:
    ctx.log("seen", file=os.fsdecode(b"caf\\xe9.txt"), loss=float("nan"))
"""
