"""Queues and lanes: where work waits, and who may take it."""

from __future__ import annotations

from dataclasses import dataclass

from heliostat.graph import Graph, Node, stable_id


@dataclass(frozen=True, slots=True)
class Queue:
    """A named lane with a limit on how many tasks run at once (None: none), and a mark that stops it."""

    name: str
    limit: int | None = None
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    """What a worker leases from: the ready tasks of one definition on one queue.

    A node with a limit of its own has a lane of its own, so that a lease never scans past what it may not take.
    """

    id: int
    queue: str
    graph: int
    node: str | None = None
    limit: int | None = None
    paused: bool = False


def lane_of(graph: Graph, node: Node) -> Lane:
    """The lane in which a node's tasks become ready, as its definition says it."""
    own = node.name if node.limit is not None else None
    return Lane(lane_id(graph.id, node.queue, own), node.queue, graph.id, own, node.limit)


def lane_id(graph: int, queue: str, node: str | None) -> int:
    """A lane's key, which every process computes alike."""
    return stable_id("lane", str(graph), queue, node or "")


def lanes(graph: Graph) -> tuple[Lane, ...]:
    """Every lane that a definition needs."""
    found = {lane.id: lane for lane in (lane_of(graph, node) for node in graph.nodes)}
    return tuple(found.values())
