"""How a worker comes to offer what is data: when it meets its tasks, and when somebody left them behind."""

from __future__ import annotations

import json
from dataclasses import replace

from heliostat.effects import Start
from heliostat.graph import Graph, Kind, Node
from heliostat.job import JobSpec
from heliostat.loops.learn import FORGOTTEN_SECONDS, Learn
from heliostat.queue import WorkerInfo
from heliostat.store import Command, Register
from heliostat.stores.memory import MemoryStore

JOB = Node("say", kind=Kind.job, job=JobSpec(shell="true"))
DATA = Graph("talk", (JOB,), data=True)


def learned(store: MemoryStore) -> tuple[Learn, list[Graph]]:
    """The duty of a worker that offers nothing yet, and what it has had it offer."""
    kept: list[Graph] = []
    return Learn(store, lambda: frozenset(graph.id for graph in kept), kept.append), kept


def start(store: MemoryStore, graph: Graph, run: int = 1) -> None:
    """Have something of a definition ready."""
    store.accept([Command(Register(graph)), Command(Start(run, graph, "null"))], 0.0)


def test_what_is_ready_is_offered_if_it_is_data() -> None:
    """Once; what needs code is left to those who have it, and what has nothing ready is not met."""
    store = MemoryStore()
    learn, kept = learned(store)
    store.accept([Command(Register(replace(DATA, name="quiet")))], 0.0)
    start(store, Graph("coded", (Node("a"),)), 1)
    start(store, DATA, 2)
    assert learn.tick(10.0) == 11.0
    learn.tick(11.0)
    assert kept == [DATA]


def test_what_became_data_is_met_again_after_a_while() -> None:
    """A definition that needed code is not read again at every look."""
    store = MemoryStore()
    learn, kept = learned(store)
    start(store, replace(DATA, data=False))
    learn.tick(10.0)
    store.accept([Command(Register(DATA))], 0.0)
    learn.tick(11.0)
    assert kept == []
    learn.tick(10.0 + FORGOTTEN_SECONDS)
    assert kept == [DATA]


def test_a_clock_that_is_put_back_makes_nobody_wait() -> None:
    """What was seen in a time to come is looked at again."""
    store = MemoryStore()
    learn, kept = learned(store)
    start(store, replace(DATA, data=False))
    learn.tick(1_000_000.0)
    store.accept([Command(Register(DATA))], 0.0)
    learn.tick(10.0)
    assert kept == [DATA]


def test_what_a_lost_worker_offered_is_offered_too() -> None:
    """It may have left jobs that only somebody who offers their definition can watch."""
    store = MemoryStore()
    learn, kept = learned(store)
    store.accept([Command(Register(DATA))], 0.0)
    told = json.dumps([[DATA.id, "sha256:0", 0.0], [5, "sha256:0", 0.0]])
    store.workers = lambda: [WorkerInfo("a", code=told, state="active")]  # type: ignore[method-assign]
    learn.tick(10.0)
    assert kept == []
    store.workers = lambda: [WorkerInfo("a", code=told, state="lost")]  # type: ignore[method-assign]
    learn.tick(11.0)
    assert kept == [DATA]
