"""P2 on PostgreSQL: whoever was presumed dead may settle in the very moment in which it is rescued."""

from __future__ import annotations

from typing import Any

import pytest

from heliostat.graph import Edge, Graph, Node
from heliostat.stores.postgres import PostgresStore
from heliostat.stores.postgresrows import PostgresRows
from heliostat.testing.conformance import Hand

CHAIN = Graph("chain", (Node("a"), Node("b", edges=(Edge("a"),))))


def test_p02_a_zombie_that_settles_while_it_is_rescued_is_heard_or_lost_and_nobody_falls(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rescue has read what it holds, then it settles, then the rescue goes on: one of the two counts."""
    rescuer, zombie = Hand(PostgresStore(emptied)), Hand(PostgresStore(emptied), "zombie")
    runs = [rescuer.start(CHAIN) for _ in range(2)]
    zombie.offers = rescuer.offers
    zombie.beat()
    first, _ = zombie.lease(2)
    read = PostgresRows.task_of_worker

    def read_and_be_late(rows: PostgresRows, worker: str) -> Any:
        found = read(rows, worker)
        monkeypatch.setattr(PostgresRows, "task_of_worker", read)
        assert zombie.settle(first).word == "committed"
        return found

    monkeypatch.setattr(PostgresRows, "task_of_worker", read_and_be_late)
    assert rescuer.lose("zombie")[0] == 1
    assert [rescuer.tasks(run) for run in runs] == [["a succeeded", "b ready"], ["a ready"]]
    assert zombie.beat() is None
    for hand in (rescuer, zombie):
        hand.store.close()
