"""The memory store among threads."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import pytest

from heliostat import planner
from heliostat.errors import NotFound
from heliostat.graph import Arity, Edge, Graph, Node
from heliostat.outcome import Failed, Skipped, Snoozed
from heliostat.store import SEVERAL, Store
from heliostat.stores.memory import MemoryStore
from heliostat.testing.conformance.hand import Hand, gives

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(
        (
            *("runs", "graphs", "journal", "queues", "workers", "discarded", "running_since", "lively", "holding"),
            *("lively_lanes", "lanes", "busy", "reviews", "schedules"),
        ),
        (),
    ),
    **dict.fromkeys(
        ("run", "graph", "tasks", "records", "artifacts", "attempts", "traffic", "states", "parts", "holds"), (1,)
    ),
    **dict.fromkeys(("task", "items", "joined", "first", "child", "children", "why", "review"), (1, 1)),
    "worker": ("w",),
    **dict.fromkeys(("messages", "results"), ((),)),
    "prune": (0.0,),
    "done_with": ((),),
}
WRITES = {"accept", "settle", "lease", "beat", "rescue", "promote", "sweep", "upgrade", "status", "about", "close"}


def test_reading_waits_for_whoever_is_writing() -> None:
    """Nobody sees what is not committed, or a table that changes while it is walked through."""
    assert {name for name in vars(Store) if not name.startswith("_")} == ARGUMENTS.keys() | WRITES
    store = MemoryStore()

    def read(name: str) -> None:
        with suppress(NotFound, KeyError):  # there is nothing
            getattr(store, name)(*ARGUMENTS[name])

    threads = {name: threading.Thread(target=read, args=(name,)) for name in ARGUMENTS}
    with store.transaction():
        for thread in threads.values():
            thread.start()
        next(iter(threads.values())).join(0.1)
        assert [name for name, thread in threads.items() if not thread.is_alive()] == []
    for thread in threads.values():
        thread.join()


def test_a_transaction_reads_what_it_has_written() -> None:
    """Whoever holds the lock does not wait for itself."""
    store = MemoryStore()
    with store.transaction():
        assert store.runs() == []
        with pytest.raises(NotFound):
            store.graph(1)


def test_a_run_that_is_pruned_leaves_nothing_in_any_table() -> None:
    """Not even what its handlers have counted; but the last number of the journal is taken."""
    hand = Hand(MemoryStore())
    gated = Node("part", Arity.handler, entry=True, edges=(Edge("open"),))
    run = hand.start(Graph("gated", (Node("open"), gated, Node("after", edges=(Edge("part"),)))))
    hand.work()
    tables = hand.store.tables  # type: ignore[attr-defined]
    assert [place[0] for place in (*tables.gates, *tables.firsts)] == [run, run]
    assert hand.store.prune(hand.now + 1) == 1
    left = (tables.runs, tables.tasks, tables.gates, tables.firsts, tables.leftover)
    assert [len(table) for table in left] == [0] * 5
    assert [(entry.run, entry.event) for entry in tables.journal] == [(SEVERAL, "{}")]


def test_what_an_outcome_means_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the outcome: one that sends or maps thousands of messages is planned as often as any other."""
    hand = Hand(MemoryStore())
    run = hand.start(Graph("four", tuple(Node(name) for name in "abcd"), on_failure="finish"))
    planned: list[str] = []
    settled = planner.settled
    monkeypatch.setattr(
        planner,
        "settled",
        lambda graph, attempt, outcome: planned.append(attempt.node) or settled(graph, attempt, outcome),
    )
    outcomes = [gives(), Skipped("nothing there"), Failed("no light"), Snoozed(hand.now + 5)]
    hand.settle_all(list(zip(hand.lease(4), outcomes, strict=True)))
    assert planned == ["a", "b", "c", "d"]
    assert hand.tasks(run) == ["a succeeded", "b skipped", "c failed", "d cancelled"]
