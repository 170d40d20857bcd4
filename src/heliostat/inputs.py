"""Inputs: what attempts need to run, read by reference, for a whole batch at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from pydantic_core import to_json

from heliostat import codec
from heliostat.artifact import Artifact
from heliostat.executor import Work
from heliostat.graph import Arity, Graph, Node
from heliostat.outcome import Succeeded
from heliostat.store import Settled
from heliostat.task import Attempt, TaskState, lean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from heliostat.codec import Json
    from heliostat.registry import Registry
    from heliostat.run import Run
    from heliostat.store import Reference, Store
    from heliostat.task import Task


# Looked up once: members of an enumeration are slow to reach.
ONCE, EACH, SUCCEEDED = Arity.once, Arity.each, TaskState.succeeded
REMEMBERED = 8  #: lists that each nodes go over, kept between batches: a long one lasts for many
RECENT = 10_000  #: results that this worker has just settled, for the steps that come next
SHORT = 4096  #: characters of a result worth remembering
BRIEF = 60  #: letters of a value that stands in a sentence


class Inputs:
    """Turns leased attempts into works."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store, self._registry = store, registry
        self._wholes: dict[Reference, Json] = {}
        self._recent: dict[Reference, str] = {}  # texts, which the garbage collector need not look through

    def remember(self, work: Work, outcome: Succeeded) -> None:
        """Keep a result that was just committed: it never changes, and the next step may well run here."""
        if len(outcome.result) <= SHORT and work.node.name in work.graph.sources:
            self._recent[work.task] = outcome.result

    def read(self, attempts: Sequence[Attempt]) -> list[Work]:
        """Works with all that their functions are called with, in the order of the attempts."""
        graphs = {graph: self._registry.graph(graph) for graph in {attempt.graph for attempt in attempts}}
        works = [Work(attempt, graph := graphs[attempt.graph], graph[attempt.node]) for attempt in attempts]
        self._forget()
        if late := [work for work in works if not self._at_hand(work)]:
            found = _Found(self._store, late, self._wholes, self._recent)
            for work in late:
                if work.node.arity is Arity.handler:
                    if work.message is None:
                        work.message = self._gathered(work.attempt)
                elif work.node.takes_message:
                    work.message = found.messages.get(work.attempt.run)
                found.give(work)
        return works

    def _at_hand(self, work: Work) -> bool:
        """Whether all that a work needs was settled here lately, as in a chain of steps; then it has it now."""
        if work.node.takes_message or work.node.arity is not ONCE:
            return False
        run, recent = work.attempt.run, self._recent
        for parameter, _, number, _, _ in work.inputs:
            if (found := recent.get((run, number))) is None:
                return False
            work.settled[parameter] = lean(Settled, (SUCCEEDED, found, None, None, None))
        return True

    def _forget(self) -> None:
        while len(self._wholes) > REMEMBERED:
            del self._wholes[next(iter(self._wholes))]
        if len(self._recent) > RECENT:  # the older half at once: a dict is slow at giving up its first again and again
            self._recent = dict(islice(self._recent.items(), RECENT // 2, None))

    def _gathered(self, attempt: Attempt) -> str:
        """The message that the engine puts together: a join's results, or the end of a run that was started."""
        child = self._store.child(attempt.run, attempt.number)
        if child is None:
            results = (item.result or "null" for item in self._store.joined(attempt.run, attempt.number))
            return f"[{','.join(results)}]"
        result = result_of(self._store, child, self._store.graph(child.graph))
        reason = codec.encode(child.reason, "reason")
        return f'{{"run":"{child.public}","state":"{child.state}","result":{result},"reason":{reason}}}'


@dataclass(frozen=True, slots=True)
class Given:
    """What a task was given by a node before it: which (``rates[12]``), its task, how that came out, and what it gave.

    ``task`` is None of a handler; of an item it is the task that gave the list, or the first of those that did.
    """

    source: str
    task: int | None
    state: TaskState
    result: str | None


def given(store: Store, registry: Registry, task: Task) -> dict[str, Given]:
    """By parameter, what a task's attempts are called with, as far as it is there: read again as a worker reads it."""
    attempt = Attempt(task.run, task.number, task.count, task.graph, task.node, item=task.item, message="null")
    [work] = Inputs(store, registry).read([attempt])
    found = {}
    for parameter, source, number, arity, each in work.inputs:
        if (settled := work.settled.get(parameter)) is None:
            continue
        result = settled.result
        if arity is EACH and not each:
            result = f"[{','.join(item.result or 'null' for item in work.lists.get(parameter, ()))}]"
        title = f"{source}[{task.item or 0}]" if each else source
        found[parameter] = Given(title, None if arity is Arity.handler else number, settled.state, result)
    return found


def item(work: Work) -> str:
    """The item of a list that a work is for, by its parameter: ``tile="north"``; empty where it goes over none."""
    for parameter, _, _, _, each in work.inputs:
        if each and (settled := work.settled.get(parameter)) is not None and settled.result is not None:
            return f"{parameter}={brief(settled.result)}"
    return ""


def brief(text: str) -> str:
    """JSON text for people: on one line, a file by its name, shortened."""
    value = _by_name(codec.decode(text)) if len(text) <= SHORT else text
    words = text if value is text else to_json(value).decode()
    return words if len(words) <= BRIEF else f"{words[: BRIEF - 1]}…"


def _by_name(value: Json) -> Json:
    if isinstance(value, list):
        return [_by_name(item) for item in value]
    if isinstance(value, dict):
        file = Artifact.from_json(value)
        return {key: _by_name(item) for key, item in value.items()} if file is None else file.name
    return value


class _Found:
    """What was read for a batch of works, each thing once."""

    def __init__(
        self, store: Store, works: Sequence[Work], wholes: dict[Reference, Json], recent: Mapping[Reference, str]
    ) -> None:
        self._store, self._wholes = store, wholes
        self._lists: dict[Reference, list[Settled]] = {}
        started: set[int] = set()
        wanted: dict[Reference, None] = {}
        near: dict[Reference, Settled] = {}
        items: list[tuple[Reference, int]] = []
        for work in works:
            run, item = work.attempt.run, work.attempt.item
            if work.node.takes_message and work.node.arity is not Arity.handler:
                started.add(run)
            for _, _, number, arity, each in work.inputs:
                reference = (run, number)
                if each and reference in wholes:
                    pass  # the list that it goes over is here
                elif (result := recent.get(reference)) is None:
                    wanted[reference] = None
                elif reference not in near:
                    near[reference] = Settled(SUCCEEDED, result)
                if item and each and arity is EACH:  # the first item's task is the node's first
                    items.append((reference, item))
        self.messages = store.messages(started) if started else {}
        self._settled: dict[Reference, Settled] = dict(store.results(wanted)) if wanted else {}
        if items:
            self._settled |= store.results(self._tasks(items))
        self._settled |= near

    def _tasks(self, items: Sequence[tuple[Reference, int]]) -> Iterator[Reference]:
        """The tasks that gave single items of each nodes, whose first tasks are named."""
        for first, item in items:
            settled = self._settled.get(first)
            if settled is not None and settled.block is not None:
                yield first[0], settled.block + item - 1

    def give(self, work: Work) -> None:
        """Put what was read into a work."""
        run, item = work.attempt.run, work.attempt.item
        for parameter, source, number, arity, each in work.inputs:
            reference = (run, number)
            if each:
                found = self._item(reference, item or 0, arity, source)
            elif arity is Arity.handler:
                found = self._store.first(run, source)
            else:
                found = self._settled.get(reference)
                if arity is Arity.each and found is not None:
                    work.lists = {**work.lists, parameter: self._list(reference)}
            if found is not None:
                work.settled[parameter] = found

    def _item(self, reference: Reference, item: int, arity: Arity, source: str) -> Settled | None:
        """One item of a node's list: of an each node a task of its own, else a part of its (first) result."""
        if (values := self._wholes.get(reference)) is None:
            whole = self._store.first(reference[0], source) if arity is Arity.handler else self._settled.get(reference)
            if whole is None or arity is Arity.each:
                if whole is None or item == 0 or whole.block is None:
                    return whole
                return self._settled.get((reference[0], whole.block + item - 1))
            values = self._wholes[reference] = codec.decode(whole.result or "[]")
        if not isinstance(values, list) or item >= len(values):
            return None
        return Settled(SUCCEEDED, to_json(values[item]).decode())

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


def upstream(store: Store, graph: Graph, run: int, name: str) -> dict[str, tuple[TaskState, str | None]]:
    """How the nodes that a node waits for came out, as far as they have settled: state and result."""
    found = {}
    for edge in graph[name].edges:
        reference = (run, graph.number(edge.source))
        if graph[edge.source].arity is Arity.handler:
            settled = store.first(run, edge.source)
        else:
            settled = store.results([reference]).get(reference)
        if settled is not None:
            found[edge.source] = (settled.state, settled.result)
    return found
