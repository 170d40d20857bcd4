"""What operators set over all runs: nodes and queues, over the command line and in Python, with who and why."""

from __future__ import annotations

import json

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
    assert done.stderr.startswith("node hello/greeting is paused, in hello dev+")
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
