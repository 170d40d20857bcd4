"""What a process remembers of definitions, so that a commit does not read them again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from heliostat.errors import Conflict, NotFound
from heliostat.queue import lanes, own_lane

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heliostat.graph import Graph
    from heliostat.queue import Lane
    from heliostat.stores.rows import Rows

COUNTED = 10_000  #: handlers of runs that are remembered; then it begins anew


class Known:
    """Definitions and the lanes of their nodes. A process that forgets it all only reads once more."""

    def __init__(self) -> None:
        self.graphs: dict[int, Graph] = {}
        self._lanes: dict[int, dict[str, int]] = {}
        self.counted: set[tuple[int, str]] = set()  # handlers of runs that have settled a task, a commit ago or more
        self._unsure: set[int] = set()  # definitions that a transaction wrote, of which nobody knows whether it stayed

    def begin(self) -> None:
        """A transaction begins: what was read of what the one before wrote is read again."""
        while self._unsure:
            self._lanes.pop(self._unsure.pop(), None)

    def remember_counted(self, run: int, handler: str) -> None:
        """A handler has had its first task in a run, for good."""
        if len(self.counted) >= COUNTED:
            self.counted.clear()
        self.counted.add((run, handler))

    def changed(self, graph: int) -> None:
        """This transaction writes a definition or its lanes."""
        self._lanes.pop(graph, None)
        self._unsure.add(graph)

    def graph(self, rows: Rows, graph: int) -> Graph:
        """A registered definition; raises NotFound."""
        if (known := self.graphs.get(graph)) is None:
            known = rows.graph_get(graph)
            if known is None:
                raise NotFound(f"no workflow is registered under {graph}")
            self.graphs[graph] = known
        return known

    def need(self, rows: Rows, graph: Graph, now: float) -> None:
        """Have a definition in the database; raises Conflict if its version stands for another structure."""
        if graph.id in self.graphs or graph.id in self._unsure:
            return
        if (known := rows.graph_get(graph.id)) is None:
            self.register(rows, graph, now)
        else:
            self.graphs[graph.id] = known

    def register(self, rows: Rows, graph: Graph, now: float) -> None:
        """Write a definition, its lanes and queues; raises Conflict if its version stands for another structure.

        Of one that is there, only what the code has changed is written: the rest stays as operators set it. What is
        data stays so, though a process with the same nodes in its code registers it too.
        """
        if graph.version is not None:
            for other in rows.graph_same(graph.name, graph.version):
                if other.fingerprint != graph.fingerprint:
                    raise Conflict(
                        f"workflow {graph.label} is registered with another structure "
                        f"({graph.difference(other)}); give it a new version"
                    )
        self.changed(graph.id)
        if rows.graph_insert(graph, now):
            rows.lane_insert(lanes(graph))
        elif (before := rows.graph_lock(graph.id)) is not None and (graph.data or before != graph):
            rows.graph_change(replace(graph, data=graph.data or before.data), now if graph.data else None)
            self._change_lanes(rows, before, graph)

    def _change_lanes(self, rows: Rows, before: Graph, graph: Graph) -> None:
        """Give each node whose queue or limit has changed a lane of its own, which every process will find."""
        rows.lane_insert([lane for lane in lanes(graph) if lane.node is None])
        own = {lane.node: lane for lane, _ in rows.lane_list([graph.id])}
        for node in graph:
            was = before[node.name]
            if (was.queue, was.limit) == (node.queue, node.limit):
                continue
            lane = own.get(node.name) or own_lane(graph, node)
            limit = lane.limit if was.limit == node.limit else node.limit
            rows.lane_set(replace(lane, queue=node.queue, limit=limit))

    def lane(self, rows: Rows, graph: Graph, node: str) -> int:
        """The lane in which a node's tasks become ready."""
        if (known := self._lanes.get(graph.id)) is None:
            self._remember(graph, (lane for lane, _ in rows.lane_list([graph.id])))
            known = self._lanes[graph.id]
        return known[node]

    def refresh(self, found: Iterable[Lane]) -> None:
        """Take in lanes as the database has them now: an operator may have given a node a limit of its own."""
        own = [lane for lane in found if lane.node is not None]
        for lane in own:
            if (known := self._lanes.get(lane.graph)) is not None and lane.node is not None:
                known[lane.node] = lane.id

    def _remember(self, graph: Graph, found: Iterable[Lane]) -> None:
        own: dict[str, int] = {}
        shared: dict[str, int] = {}
        for lane in found:
            if lane.node is None:
                shared[lane.queue] = lane.id
            else:
                own[lane.node] = lane.id
        self._lanes[graph.id] = {node.name: own.get(node.name) or shared[node.queue] for node in graph}
