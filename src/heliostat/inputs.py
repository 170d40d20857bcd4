"""Inputs: what attempts need to run, read by reference, for a whole batch at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat import codec
from heliostat.executor import Work
from heliostat.graph import Arity, Edge, Graph, Kind, Node
from heliostat.outcome import Succeeded
from heliostat.store import Settled
from heliostat.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from heliostat.codec import Json
    from heliostat.registry import Registry
    from heliostat.run import Run
    from heliostat.store import Reference, Store
    from heliostat.task import Attempt


REMEMBERED = 8  #: lists that each nodes go over, kept between batches: a long one lasts for many
RECENT = 10_000  #: results that this worker has just settled, for the steps that come next
SHORT = 4096  #: characters of a result worth remembering


class Inputs:
    """Turns leased attempts into works."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store, self._registry = store, registry
        self._wholes: dict[Reference, Json] = {}
        self._recent: dict[Reference, Settled] = {}

    def remember(self, attempt: Attempt, outcome: Succeeded) -> None:
        """Keep a result that was just committed: it never changes, and the next step may well run here."""
        graph = self._registry.graph(attempt.graph)
        once = graph[attempt.node].arity is Arity.once
        if once and len(outcome.result) <= SHORT and graph.downstream(attempt.node):
            self._recent[attempt.task] = Settled(TaskState.succeeded, outcome.result)

    def read(self, attempts: Sequence[Attempt]) -> list[Work]:
        """Works with all that their functions are called with, in the order of the attempts."""
        planned = []
        started: set[int] = set()
        wanted: dict[Reference, None] = {}
        for attempt in attempts:
            graph = self._registry.graph(attempt.graph)
            node = graph[attempt.node]
            planned.append((attempt, graph, node))
            if node.takes_message and node.arity is not Arity.handler:
                started.add(attempt.run)
            for edge in node.edges:
                if edge.parameter is not None:
                    reference = (attempt.run, graph.number(edge.source))
                    if not (edge.each and reference in self._wholes) and reference not in self._recent:
                        wanted[reference] = None
        while len(self._wholes) > REMEMBERED:
            del self._wholes[next(iter(self._wholes))]
        while len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]
        batch = _Batch(self._store, started, wanted, self._wholes, self._recent)
        batch.find_items(planned)
        return [self._work(attempt, graph, node, batch) for attempt, graph, node in planned]

    def _work(self, attempt: Attempt, graph: Graph, node: Node, batch: _Batch) -> Work:
        work = Work(attempt, attempt.message, timeout=None if node.kind is Kind.job else node.timeout)
        if node.arity is Arity.handler:
            if attempt.message is None:
                work.message = self._gathered(attempt)
        elif node.takes_message:
            work.message = batch.messages.get(attempt.run)
        for edge in node.edges:
            if edge.parameter is not None:
                self._input(work, edge, graph, batch)
        return work

    def _input(self, work: Work, edge: Edge, graph: Graph, batch: _Batch) -> None:
        run, arity = work.attempt.run, graph[edge.source].arity
        reference = (run, graph.number(edge.source))
        if arity is Arity.handler:
            found = self._store.first(run, edge.source)
        elif edge.each:
            found = batch.item(reference, work.attempt.item or 0, arity)
        else:
            found = batch.settled.get(reference) or self._recent.get(reference)
            if arity is Arity.each and found is not None:
                work.lists[edge.source] = batch.list(reference)
        if found is not None:
            work.settled[edge.source] = found

    def _gathered(self, attempt: Attempt) -> str:
        """The message that the engine puts together: a join's results, or the end of a run that was started."""
        child = self._store.child(attempt.run, attempt.number)
        if child is None:
            results = (item.result or "null" for item in self._store.joined(attempt.run, attempt.number))
            return f"[{','.join(results)}]"
        result = result_of(self._store, child, self._store.graph(child.graph))
        reason = codec.encode(child.reason, "reason")
        return f'{{"run":"{child.public}","state":"{child.state}","result":{result},"reason":{reason}}}'


class _Batch:
    """What was read for a batch, each thing once."""

    def __init__(
        self,
        store: Store,
        started: Iterable[int],
        wanted: Iterable[Reference],
        wholes: dict[Reference, Json],
        recent: Mapping[Reference, Settled],
    ) -> None:
        self._store, self._wholes, self._recent = store, wholes, recent
        self.messages = store.messages(started) if started else {}
        self.settled = store.results(wanted) if wanted else {}
        self._lists: dict[Reference, list[Settled]] = {}

    def find_items(self, planned: Sequence[tuple[Attempt, Graph, Node]]) -> None:
        """Read the single items that each nodes take from other each nodes."""
        items: dict[Reference, None] = {}
        for attempt, graph, node in planned:
            if node.arity is Arity.each and attempt.item:
                edge = next(edge for edge in node.edges if edge.each)
                first = self.settled.get((attempt.run, graph.number(edge.source)))
                if graph[edge.source].arity is Arity.each and first is not None and first.block is not None:
                    items[attempt.run, first.block + attempt.item - 1] = None
        if items:
            self.settled |= self._store.results(items)

    def item(self, reference: Reference, item: int, arity: Arity) -> Settled | None:
        """One item of a node's list: of an each node a task of its own, else a part of its result."""
        if (values := self._wholes.get(reference)) is None:
            whole = self.settled.get(reference) or self._recent.get(reference)
            if whole is None or arity is Arity.each:
                if whole is None or item == 0 or whole.block is None:
                    return whole
                return self.settled.get((reference[0], whole.block + item - 1))
            values = self._wholes[reference] = codec.decode(whole.result or "[]")
        if not isinstance(values, list) or item >= len(values):
            return None
        return Settled(TaskState.succeeded, codec.encode(values[item], "item"))

    def list(self, reference: Reference) -> list[Settled]:
        """The tasks of an each node, in item order."""
        if reference not in self._lists:
            self._lists[reference] = self._store.items(*reference)
        return self._lists[reference]


def result_of(store: Store, run: Run, graph: Graph) -> str:
    """A run's result as JSON text: what it was completed with, else what the node gave that nothing waits for.

    With several such nodes it is an object of their results by name.
    """
    if run.result is not None:
        return run.result
    texts = {node.name: node_result(store, run.id, graph, node) for node in graph.ends}
    if len(texts) == 1:
        return next(iter(texts.values()))
    inner = ",".join(f"{codec.encode(name, name)}:{text}" for name, text in texts.items())
    return f"{{{inner}}}" if inner else "null"


def node_result(store: Store, run: int, graph: Graph, node: Node) -> str:
    """A node's result as JSON text, ``null`` where there is none: of an each node the list, of a handler its first."""
    if node.arity is Arity.handler:
        first = store.first(run, node.name)
        return (first and first.result) or "null"
    number = graph.number(node.name)
    settled = store.results([(run, number)]).get((run, number))
    if settled is None:
        return "null"
    if node.arity is Arity.each:
        return f"[{','.join(item.result or 'null' for item in store.items(run, number))}]"
    return settled.result or "null"
