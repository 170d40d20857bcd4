"""What a process remembers of definitions, so that a commit does not read them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat.errors import Conflict, NotFound
from heliostat.queue import lanes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heliostat.graph import Graph
    from heliostat.queue import Lane
    from heliostat.stores.rows import Rows


class Known:
    """Definitions and the lanes of their nodes. A process that forgets it all only reads once more."""

    def __init__(self) -> None:
        self.graphs: dict[int, Graph] = {}
        self._lanes: dict[int, dict[str, int]] = {}

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
        if graph.id not in self.graphs and rows.graph_get(graph.id) is None:
            self.register(rows, graph, now)

    def register(self, rows: Rows, graph: Graph, now: float) -> None:
        """Write a definition, its lanes and queues; raises Conflict if its version stands for another structure."""
        if graph.version is not None:
            for other in rows.graph_same(graph.name, graph.version):
                if other.fingerprint != graph.fingerprint:
                    raise Conflict(
                        f"workflow {graph.label} is registered with another structure "
                        f"({graph.difference(other)}); give it a new version"
                    )
        rows.graph_insert(graph, lanes(graph), now)

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
