"""What this process can run: the workflows it was given, by the graph that their runs are pinned to."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from heliostat.code import digest, digest_of_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from heliostat.graph import Graph
    from heliostat.signature import Signature
    from heliostat.workflow import Workflow


class Registry:
    """Workflows by graph. Definitions without functions are fetched from the store when they are met.

    ``digest`` tells which code is behind functions; it reads their files.
    """

    def __init__(self, fetch: Callable[[int], Graph], digest: Callable[[Iterable[object]], str] = digest) -> None:
        self._fetch, self._digest = fetch, digest
        self._graphs: dict[int, Graph] = {}
        self._signatures: dict[int, dict[str, Signature]] = {}
        self._offers: frozenset[int] = frozenset()
        self._data: frozenset[int] = frozenset()  # graphs whose commands stand in the database, and may be mended there
        self._adding = threading.Lock()
        self.codes: list[tuple[int, str]] = []  #: graphs and digests of the code behind them, as they came

    def add(self, workflow: Workflow) -> Graph:
        """Offer a workflow as it is defined now, with those that it contains; answers its graph.

        Any thread may do so at any time.
        """
        graph = workflow.graph
        if graph.id in self._offers and self._graphs[graph.id] is graph:
            return graph
        for part in workflow.parts.values():
            self.add(part)
        self.keep(graph, workflow.signatures)
        return graph

    def keep(self, graph: Graph, signatures: Mapping[str, Signature]) -> None:
        """Offer a graph with its functions."""
        signatures = dict(signatures)
        with self._adding:
            if self._signatures.get(graph.id) != signatures or (graph.data and self._graphs[graph.id] != graph):
                functions = (signature.function for signature in signatures.values())
                self.codes.append((graph.id, digest_of_data(graph) if graph.data else self._digest(functions)))
            self._graphs[graph.id] = graph
            self._signatures[graph.id] = signatures
            self._data = self._data | {graph.id} if graph.data else self._data - {graph.id}
            if graph.id not in self._offers:
                self._offers |= {graph.id}

    @property
    def offers(self) -> frozenset[int]:
        """The graphs whose tasks can run here."""
        return self._offers

    @property
    def graphs(self) -> list[Graph]:
        """The graphs that were added."""
        return [self._graphs[graph] for graph in tuple(self._signatures)]

    def graph(self, graph: int) -> Graph:
        """A graph, from here or from the store; one that is data as the store has it now."""
        known = self._graphs.get(graph)
        if known is not None and graph in self._data and (fresh := self._fetch(graph)) is not known:
            known = fresh
            self.keep(known, {})
        if known is None:
            known = self._graphs[graph] = self._fetch(graph)
        return known

    def signatures(self, graph: int) -> dict[str, Signature]:
        """How to call the functions of a graph's nodes."""
        return self._signatures.get(graph, {})
