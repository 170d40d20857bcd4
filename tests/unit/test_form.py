"""The JSON form: what is written is read back equal, whatever it holds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from heliostat import form
from heliostat.artifact import Artifact
from heliostat.effects import End, Keep, Map, Put, Send, Start
from heliostat.errors import BadInput
from heliostat.executor import Work
from heliostat.graph import Arity, Edge, Graph, Node, Retry
from heliostat.outcome import Failed, Outcome, Released, Skipped, Snoozed, Succeeded
from heliostat.resources import Resources
from heliostat.run import Run, RunState
from heliostat.store import Kept, Record, Settled
from heliostat.task import Attempt, AttemptState, Task, TaskState

GRAPH = Graph(
    "night",
    (
        Node("list", retry=Retry(2, on=(OSError,)), env={"TZ": "UTC"}),
        Node("item", Arity.each, edges=(Edge("list", "x", each=True),), resources=Resources(memory="2GiB")),
        Node("sum", edges=(Edge("item", "items"), Edge("list", "whole"))),
    ),
)
FILE = Artifact("ü.png", "sha256:" + "0" * 64, 1 << 62, "image/png", ("map",))
EFFECTS = (
    Send("hear", '{"a": "ü"}', 1 / 3, "key", -5),
    Map("hear", ("1", "2"), "join"),
    Map("hear", (), "join"),
    Start((1 << 62) + 1, GRAPH, "null", "name", 3, "join", "key"),
    Put('"\\u2028"', None),
    Keep(FILE),
    End(RunState.succeeded, "[1]"),
    End(RunState.cancelled, reason="clouds"),
)


def through(data: Any) -> Any:
    """What comes out at the other end of a pipe."""
    return json.loads(json.dumps(data))


@pytest.mark.parametrize(
    "outcome",
    [
        Succeeded(),
        Succeeded('["a"]', EFFECTS, None, 1),
        Succeeded('"left"', (), "left"),
        Snoozed(1e9 / 3, EFFECTS[:1]),
        Skipped("no need", EFFECTS[4:6]),
        Failed("it said \ud800", how=AttemptState.timed_out),
        Failed("no", final=True),
        Released("its worker stops"),
        Released("no space left", 1e9 / 3),
        Released("its run is over", how=AttemptState.stopped),
    ],
)
def test_an_outcome_is_read_back_equal(outcome: Outcome) -> None:
    """With all of its effects."""
    read = form.outcome_from_json(through(form.outcome_to_json(outcome)))
    assert read == outcome
    assert type(read) is type(outcome)


def test_policies_of_a_started_graph_come_along() -> None:
    """Though equal graphs may differ in them."""
    read = form.outcome_from_json(through(form.outcome_to_json(Succeeded("1", EFFECTS[3:4]))))
    assert isinstance(read, Succeeded)
    [start] = read.effects
    assert isinstance(start, Start)
    assert start.graph.nodes == GRAPH.nodes


def test_a_work_is_read_back_with_its_inputs() -> None:
    """All that its function is called with."""
    attempt = Attempt((1 << 62) + 1, 3, 2, GRAPH.id, "sum", message='{"n": 1}', failures=1, started_at=1 / 3)
    work = Work(attempt, GRAPH, GRAPH["sum"])
    work.settled = {"item": Settled(TaskState.succeeded, None, 2, 4), "list": Settled(TaskState.succeeded, '["ü", 1]')}
    work.lists = {"item": [Settled(TaskState.succeeded, "1"), Settled(TaskState.failed, reason="no")]}
    read = form.work_from_json(through(form.work_to_json(work)), GRAPH)
    assert (read.attempt, read.node, read.task, read.message) == (attempt, GRAPH["sum"], attempt.task, '{"n": 1}')
    assert (read.settled, read.lists, read.inputs) == (work.settled, work.lists, work.inputs)
    assert all(isinstance(each.state, TaskState) for each in read.settled.values())


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        (Run, Run(1 << 62, 2, RunState.failed, "name", result="1", reason="no", ended_at=1 / 3)),
        (Run, None),
        (Task, [Task(1, 2, "n", TaskState.waiting, due_at=2.5), Task(1, 3, "n", TaskState.skipped)]),
        (Record, [Record(1, "n", None, '"x"', 4)]),
        (Kept, [Kept(FILE, 2, 3.5)]),
    ],
)
def test_rows_are_read_back_equal(kind: type, rows: object) -> None:
    """One, several, or none."""
    assert form.from_json(kind, through(form.to_json(rows))) == rows


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "succeeded",
        {"kind": "rescued"},
        {"kind": "succeeded", "result": 5},
        {"kind": "failed"},
        {"kind": "succeeded", "effects": [{"kind": "send", "node": "n"}]},
        {"kind": "succeeded", "effects": [{"kind": "send", "node": "n", "message": "1", "priority": "high"}]},
        {"kind": "snoozed", "until": 1.0, "else": 2},
    ],
)
def test_what_is_no_outcome_is_refused(data: object) -> None:
    """Whatever a child makes of it."""
    with pytest.raises(BadInput):
        form.outcome_from_json(data)
