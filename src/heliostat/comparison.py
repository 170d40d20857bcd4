"""Two runs beside each other: which nodes came out otherwise, and in what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heliostat import codec
from heliostat.code import ran
from heliostat.inputs import node_result
from heliostat.inside import as_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliostat.graph import Graph
    from heliostat.run import Run
    from heliostat.store import Store
    from heliostat.task import Task

MOST = 20  #: differences of one node's result that are told one by one
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Difference:
    """A place of a JSON value, such as ``$.tiles[3]``, and what is there on either side, or on one ``only``."""

    place: str
    before: Any = None
    after: Any = None
    only: str | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """What became of a node in one run: tasks by state, attempts and seconds in all, digests of the code that ran.

    ``over`` is whether it was taken over from another run.
    """

    states: dict[str, int] = field(default_factory=dict)
    attempts: int = 0
    seconds: float = 0.0
    codes: tuple[str, ...] = ()
    over: bool = False


@dataclass(frozen=True, slots=True)
class NodeComparison:
    """A node in two runs; a side is None where the graph has no such node. ``more`` differences are not listed."""

    node: str
    before: Side | None
    after: Side | None
    structure: bool = False
    result: tuple[Difference, ...] = ()
    more: int = 0

    @property
    def differs(self) -> tuple[str, ...]:
        """In what they differ: structure, state, attempts, result, code. Times differ always, and are not counted."""
        a, b = self.before, self.after
        if a is None or b is None:
            return ("structure",)
        found = {
            "structure": self.structure,
            "state": a.states != b.states,
            "attempts": a.attempts != b.attempts,
            "result": bool(self.result),
            "code": bool(a.codes and b.codes) and a.codes != b.codes,
        }
        return tuple(word for word, differs in found.items() if differs)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs: ids, versions, how their graphs differ in structure (None: not at all), and node by node."""

    before: str
    after: str
    versions: tuple[str, str]
    structure: str | None
    nodes: tuple[NodeComparison, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs but times."""
        return self.structure is None and not any(node.differs for node in self.nodes)


def compare(store: Store, before: Run, after: Run) -> Comparison:
    """Set two runs side by side, node by node, in the order of the newer graph."""
    a, b = store.graph(before.graph), store.graph(after.graph)
    sides = _sides(store, before, a), _sides(store, after, b)
    names = [*(node.name for node in b), *(node.name for node in a if node.name not in b)]
    nodes = tuple(_node(store, (before, a), (after, b), name, sides) for name in names)
    words = None if a.fingerprint == b.fingerprint else b.difference(a)
    return Comparison(before.public, after.public, (a.label, b.label), words, nodes)


def _node(
    store: Store,
    before: tuple[Run, Graph],
    after: tuple[Run, Graph],
    name: str,
    sides: tuple[dict[str, Side], dict[str, Side]],
) -> NodeComparison:
    if name not in before[1] or name not in after[1]:
        here = [side.get(name, Side()) if name in graph else None for side, (_, graph) in zip(sides, (before, after))]  # noqa: B905
        return NodeComparison(name, here[0], here[1], structure=True)
    texts = [node_result(store, run.id, graph, graph[name]) for run, graph in (before, after)]
    found = [] if texts[0] == texts[1] else list(differences(codec.decode(texts[0]), codec.decode(texts[1])))
    structure = not before[1].alike(after[1], name)
    told = tuple(found[:MOST])
    return NodeComparison(
        name, sides[0].get(name, Side()), sides[1].get(name, Side()), structure, told, len(found) - len(told)
    )


def _sides(store: Store, run: Run, graph: Graph) -> dict[str, Side]:
    """What became of each node, from all tasks of a run."""
    known: dict[tuple[str | None, float | None], str | None] = {}
    graphs = [graph.id, *(other.id for other in store.graphs() if other.name == graph.name and other.id != graph.id)]
    found: dict[str, Side] = {}
    for task in as_runs(store, graph, _tasks(store, run.id)):
        side = found.get(task.node) or Side()
        over = task.created_at < run.created_at
        code = _code(store, task, graphs if over else graphs[:1], known) if task.worker else None
        ran_for = (task.ended_at or 0.0) - task.started_at if task.started_at and task.ended_at else 0.0
        states = {**side.states, str(task.state): side.states.get(str(task.state), 0) + 1}
        codes = tuple(sorted({*side.codes, code})) if code else side.codes
        found[task.node] = Side(states, side.attempts + task.count, side.seconds + ran_for, codes, side.over or over)
    return found


def _code(
    store: Store, task: Task, graphs: list[int], known: dict[tuple[str | None, float | None], str | None]
) -> str | None:
    """The code that ran a task; one that was taken over may have run as another version."""
    place = (task.worker, task.started_at)
    if place not in known:
        told = (ran(store, graph, task.worker, task.started_at) for graph in graphs)
        known[place] = next((code for code in told if code is not None), None)
    return known[place]


def _tasks(store: Store, run: int) -> Iterator[Task]:
    after = 0
    while page := store.tasks(run, after=after, limit=PAGE):
        yield from page
        after = page[-1].number


def differences(before: Any, after: Any, place: str = "$") -> Iterator[Difference]:
    """Where two JSON values differ, as deep inside as can be said."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            yield from _both(before, after, name, f"{place}.{name}", name in before, name in after)
    elif isinstance(before, list) and isinstance(after, list):
        for at in range(max(len(before), len(after))):
            yield from _both(before, after, at, f"{place}[{at}]", at < len(before), at < len(after))
    elif type(before) is not type(after) or before != after:
        yield Difference(place, before, after)


def _both(before: Any, after: Any, key: Any, place: str, here: bool, there: bool) -> Iterator[Difference]:  # noqa: FBT001
    if here and there:
        yield from differences(before[key], after[key], place)
    elif here:
        yield Difference(place, before=before[key], only="before")
    else:
        yield Difference(place, after=after[key], only="after")
