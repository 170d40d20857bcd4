"""Why a task does not run: every answer, from facts to words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from heliostat import checks
from heliostat.graph import Arity, Edge, Graph, Node, On
from heliostat.queue import Queue, Why, WorkerInfo
from heliostat.run import Run, RunState, public_id
from heliostat.task import Task, TaskState

GRAPH = Graph(
    "fire",
    (
        Node("terrain"),
        Node("spread", edges=(Edge("terrain"),)),
        Node("hear", Arity.handler),
        Node("tidy", epilogue=On.ended),
        Node("hotspots"),
    ),
    version="1.0",
)
RUN = Run(5, GRAPH.id, RunState.active)
NOW = 10_000.0
HERE = WorkerInfo("w1", offers="other 2.0, fire 1.0")


def why(state: TaskState = TaskState.ready, node: str = "spread", run: Run = RUN, **facts: Any) -> str:
    """Explain a task that stands so."""
    known = {name: facts.pop(name) for name in list(facts) if name in Why.__dataclass_fields__}
    task = Task(5, 2, node, state, **facts)
    return checks.explain(Why(task, run, GRAPH, **({"queue": Queue("default"), "workers": (HERE,)} | known)), NOW)


READY: list[tuple[dict[str, Any], str]] = [
    ({}, "ready: a task in queue default, next for one of 1 workers"),
    ({"node": "hear"}, "ready: a message in queue default, next for one of 1 workers"),
    ({"workers": ()}, "no worker offers fire 1.0, for there is none; start one: heliostat worker start WHERE"),
    ({"workers": (replace(HERE, offers="fire 1.1"),)}, "no worker offers fire 1.0; workers offer 1.1"),
    (
        {"workers": (replace(HERE, state="stopped"),)},
        "no worker offers fire 1.0, for there is none; start one: heliostat worker start WHERE",
    ),
    (
        {"workers": (replace(HERE, queues="slow,fast"),)},
        "no worker that offers fire 1.0 takes from queue default",
    ),
    ({"queue": Queue("default", paused=True)}, "queue default is paused"),
    ({"queue": Queue("default", limit=3), "in_queue": 3}, "queue default is full: 3 of 3 running"),
    ({"queue": Queue("default", limit=3), "in_queue": 2}, "ready: a task in queue default, next for one of 1 workers"),
    ({"lane_paused": True}, "node spread is paused"),
    ({"lane_limit": 2, "running": 2}, "node spread is full: 2 of 2 running"),
    ({"run": replace(RUN, paused=True)}, f"run {public_id(5)} is paused"),
    (
        {"run": replace(RUN, state=RunState.active), "node": "tidy"},
        "ready: a task in queue default, next for one of 1 workers",
    ),
]


@pytest.mark.parametrize(("facts", "words"), READY, ids=lambda value: value if isinstance(value, str) else "")
def test_a_ready_task_says_why_nobody_takes_it(facts: dict[str, Any], words: str) -> None:
    """Paused, full, not offered, not served, or simply next."""
    assert why(TaskState.ready, **facts) == words


@pytest.mark.parametrize("state", [RunState.succeeded, RunState.failed, RunState.cancelled])
def test_a_task_that_an_end_left_over_says_so(state: RunState) -> None:
    """But not one that runs after the end."""
    over = replace(RUN, state=state)
    assert why(TaskState.ready, run=over).endswith("it will be cancelled")
    assert why(TaskState.ready, "tidy", run=over).startswith("ready: a task")


PENDING: list[tuple[dict[str, Any], str]] = [
    ({"waits_for": ("hotspots", "terrain")}, "spread waits for hotspots, terrain"),
    (
        {"waits_for": ("terrain", "hear")},
        "spread waits for terrain, hear; hear is a handler, which acts when it is sent a message",
    ),
    ({"child": "0abc"}, "waits for the end of run 0abc"),
    ({"missing": 3}, "waits for 3 more results of the tasks it joins"),
    ({"key": "spread", "ahead": 2}, "spread is serial: 2 before it"),
    ({"key": 'spread\n"a"', "ahead": 1}, 'spread is serial for "a": 1 before it'),
    ({"key": "spread", "run": replace(RUN, paused=True)}, f"run {public_id(5)} is paused"),
    ({}, "waits for its inputs"),
]


@pytest.mark.parametrize(("facts", "words"), PENDING, ids=lambda value: value if isinstance(value, str) else "")
def test_a_pending_task_says_what_is_missing(facts: dict[str, Any], words: str) -> None:
    """Which inputs, whose end, how many members, how many before it."""
    assert why(TaskState.pending, **facts) == words


WAITING: list[tuple[dict[str, Any], str]] = [
    ({"due_at": NOW + 5}, "a delayed message, due in 5.0 s"),
    ({"due_at": NOW + 600, "count": 1}, "asked to be asked again, due in 10 min"),
    ({"due_at": NOW + 600, "count": 3, "failures": 2}, "asked to be asked again, due in 10 min"),
    ({"due_at": NOW + 9000, "failures": 1, "reason": "OSError: cold"}, "retried in 2.5 h after: OSError: cold"),
    ({"due_at": NOW - 5}, "a delayed message, due in 0.0 s"),
    ({"due_at": NOW + 5, "run": replace(RUN, paused=True)}, f"run {public_id(5)} is paused"),
]


@pytest.mark.parametrize(("facts", "words"), WAITING, ids=lambda value: value if isinstance(value, str) else "")
def test_a_waiting_task_says_until_when(facts: dict[str, Any], words: str) -> None:
    """And whether it was delayed, failed or asked to be asked again."""
    assert why(TaskState.waiting, **facts) == words


def test_a_running_task_says_where_and_since_when() -> None:
    """And that it will be rescued if its worker shows no life."""
    facts: dict[str, Any] = {"worker": "w1", "started_at": NOW - 30, "count": 2}
    assert why(TaskState.running, **facts) == "running for 30.0 s on worker w1 (attempt 2)"
    gone = "running for 30.0 s on worker w1 (attempt 2), which shows no life; it will be rescued"
    assert why(TaskState.running, **facts, workers=()) == gone
    assert why(TaskState.running, **facts, workers=(replace(HERE, state="lost"),)) == gone


def test_a_job_whose_worker_is_gone_says_that_somebody_else_watches_it_soon() -> None:
    """Nothing is begun anew, so nothing is to be rescued; and not everybody can watch every job."""
    task = Task(5, 2, "spread", TaskState.running, worker="w1", started_at=NOW - 30, count=2)
    known = Why(task, RUN, GRAPH, queue=Queue("default"), workers=(replace(HERE, state="lost"),))
    assert checks.explain(known, NOW, job="running in slurm for 30.0 s") == (
        "running in slurm for 30.0 s; watched for 30.0 s by worker w1 (attempt 2), which shows no life; "
        "a worker that can watch the job takes it over"
    )


def test_a_task_that_is_done_says_how() -> None:
    """With the reason, if it has one."""
    assert why(TaskState.succeeded) == "succeeded"
    assert why(TaskState.failed, reason="OSError: cold") == "failed: OSError: cold"
    assert why(TaskState.skipped, reason="not today") == "skipped: not today"
    assert why(TaskState.cancelled, reason="the run failed") == "cancelled: the run failed"
