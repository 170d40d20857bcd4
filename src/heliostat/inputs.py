"""Inputs: what attempts need to run, read by reference, for a whole batch at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import to_json

from heliostat import codec
from heliostat.executor import Work
from heliostat.graph import Arity, Graph, Kind, Node
from heliostat.outcome import Succeeded
from heliostat.store import Settled
from heliostat.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heliostat.codec import Json
    from heliostat.graph import Input
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

    def remember(self, work: Work, outcome: Succeeded) -> None:
        """Keep a result that was just committed: it never changes, and the next step may well run here."""
        node = work.node
        if node.arity is Arity.once and len(outcome.result) <= SHORT and work.graph.downstream(node.name):
            self._recent[work.attempt[:2]] = Settled(TaskState.succeeded, outcome.result)

    def read(self, attempts: Sequence[Attempt]) -> list[Work]:
        """Works with all that their functions are called with, in the order of the attempts."""
        works = [self._work(attempt) for attempt in attempts]
        self._forget()
        found = _Found(self._store, works, self._wholes, self._recent)
        for work in works:
            if work.node.arity is not Arity.handler:
                if work.node.takes_message:
                    work.message = found.messages.get(work.attempt.run)
            elif work.message is None:
                work.message = self._gathered(work.attempt)
            if inputs := work.graph.inputs(work.node.name):
                found.give(work, inputs)
        return works

    def _work(self, attempt: Attempt) -> Work:
        graph = self._registry.graph(attempt.graph)
        node = graph[attempt.node]
        return Work(attempt, graph, node, attempt.message, timeout=None if node.kind is Kind.job else node.timeout)

    def _forget(self) -> None:
        while len(self._wholes) > REMEMBERED:
            del self._wholes[next(iter(self._wholes))]
        while len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]

    def _gathered(self, attempt: Attempt) -> str:
        """The message that the engine puts together: a join's results, or the end of a run that was started."""
        child = self._store.child(attempt.run, attempt.number)
        if child is None:
            results = (item.result or "null" for item in self._store.joined(attempt.run, attempt.number))
            return f"[{','.join(results)}]"
        result = result_of(self._store, child, self._store.graph(child.graph))
        reason = codec.encode(child.reason, "reason")
        return f'{{"run":"{child.public}","state":"{child.state}","result":{result},"reason":{reason}}}'


class _Found:
    """What was read for a batch of works, each thing once."""

    def __init__(
        self, store: Store, works: Sequence[Work], wholes: dict[Reference, Json], recent: Mapping[Reference, Settled]
    ) -> None:
        self._store, self._wholes, self._recent = store, wholes, recent
        self._lists: dict[Reference, list[Settled]] = {}
        started: set[int] = set()
        wanted: dict[Reference, None] = {}
        for work in works:
            run = work.attempt.run
            if work.node.takes_message and work.node.arity is not Arity.handler:
                started.add(run)
            for _, _, number, _, each in work.graph.inputs(work.node.name):
                reference = (run, number)
                if reference not in recent and not (each and reference in wholes):
                    wanted[reference] = None
        self.messages = store.messages(started) if started else {}
        self._settled = store.results(wanted) if wanted else {}
        if items := self._items(works):
            self._settled |= store.results(items)

    def _items(self, works: Sequence[Work]) -> dict[Reference, None]:
        """The tasks that gave the single items which each nodes take from other each nodes."""
        items: dict[Reference, None] = {}
        for work in works:
            run, item = work.attempt.run, work.attempt.item
            if item:  # the first item's task is the node's first
                for _, _, number, arity, each in work.graph.inputs(work.node.name):
                    if each and arity is Arity.each:
                        first = self._settled.get((run, number))
                        if first is not None and first.block is not None:
                            items[run, first.block + item - 1] = None
        return items

    def give(self, work: Work, inputs: Sequence[Input]) -> None:
        """Put what was read into a work."""
        run, item = work.attempt.run, work.attempt.item
        for _, source, number, arity, each in inputs:
            reference = (run, number)
            if each:
                found = self._item(reference, item or 0, arity)
            elif arity is Arity.handler:
                found = self._store.first(run, source)
            else:
                found = self._settled.get(reference) or self._recent.get(reference)
                if arity is Arity.each and found is not None:
                    work.lists[source] = self._list(reference)
            if found is not None:
                work.settled[source] = found

    def _item(self, reference: Reference, item: int, arity: Arity) -> Settled | None:
        """One item of a node's list: of an each node a task of its own, else a part of its result."""
        if (values := self._wholes.get(reference)) is None:
            whole = self._settled.get(reference) or self._recent.get(reference)
            if whole is None or arity is Arity.each:
                if whole is None or item == 0 or whole.block is None:
                    return whole
                return self._settled.get((reference[0], whole.block + item - 1))
            values = self._wholes[reference] = codec.decode(whole.result or "[]")
        if not isinstance(values, list) or item >= len(values):
            return None
        return Settled(TaskState.succeeded, to_json(values[item]).decode())

    def _list(self, reference: Reference) -> list[Settled]:
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
