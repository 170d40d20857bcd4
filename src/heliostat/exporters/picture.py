"""What every drawing of a graph shows, whatever the format: nodes with their state and counts, edges with labels."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from heliostat.exporters.lettering import shown
from heliostat.graph import Arity, Kind, On
from heliostat.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from heliostat.graph import Edge, Graph, Node

States: TypeAlias = "Mapping[str, Mapping[TaskState, int]]"  #: ``Store.states``
Traffic: TypeAlias = "Iterable[tuple[str | None, str, int, float]]"  #: ``Store.traffic``

#: Which state stands for a node whose tasks are in several.
_FIRST = (
    TaskState.failed,
    TaskState.running,
    TaskState.waiting,
    TaskState.ready,
    TaskState.pending,
    TaskState.cancelled,
    TaskState.succeeded,
    TaskState.skipped,
)


class Line(StrEnum):
    """What an edge says."""

    needs = "needs"  # its node waits for the other's success
    optional = "optional"  # it runs, too, when the other was skipped
    failed = "failed"  # it runs when the other failed
    ended = "ended"  # it runs when the other ended, however
    message = "message"  # messages were sent


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as it is drawn. ``state`` is None where nothing is known of a run, "" where the run did not reach it."""

    name: str
    icon: str  # function, job, handler, epilogue
    many: bool
    starts: bool
    detail: str
    state: TaskState | str | None = None
    counts: tuple[tuple[TaskState, int], ...] = ()
    seconds: float = 0.0
    outside: int = 0  # messages that came to this handler from outside

    @property
    def total(self) -> int:
        """How many tasks it has."""
        return sum(count for _, count in self.counts)

    @property
    def words(self) -> str:
        """The whole of it in words, for whoever cannot see the picture."""
        counts = ", ".join(f"{count:,} {state}" for state, count in self.counts)
        reached = self.detail if self.state == "" else counts
        spent = f"ran {duration(self.seconds)} in all" if self.seconds else ""
        return ", ".join(part for part in (self.detail if self.state is None else self.icon, reached, spent) if part)


@dataclass(frozen=True, slots=True)
class EdgeView:
    """An edge as it is drawn; ``idle`` says that nothing went over it in the run."""

    source: str
    target: str
    line: Line
    label: str = ""
    idle: bool = False
    count: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """A graph as it is drawn, before a run or with what became of it."""

    title: str
    version: str
    nodes: tuple[NodeView, ...]
    edges: tuple[EdgeView, ...]
    ran: bool = False
    by_name: dict[str, NodeView] = field(default_factory=dict)


def picture(graph: Graph, states: States | None = None, traffic: Traffic | None = None) -> Picture:
    """Bring a graph, and what is known of a run of it, into the form that is drawn."""
    sent = [row for row in traffic or () if row[1] in graph and (row[0] is None or row[0] in graph)]
    seconds: dict[str, float] = defaultdict(float)
    outside: dict[str, int] = defaultdict(int)
    for sender, receiver, count, spent in sent:
        seconds[receiver] += spent
        if sender is None and graph[receiver].arity is Arity.handler:
            outside[receiver] += count
    starts = {node.name for node in graph.starts}
    open_tasks = any(count for counts in (states or {}).values() for state, count in counts.items() if not state.final)
    absent = "not yet" if open_tasks else "not reached"
    nodes = []
    for node in graph:
        counts = None if states is None else dict(states.get(node.name, {}))
        spent, came = seconds[node.name], outside[node.name]
        nodes.append(_node(node, counts, spent, came, absent, starts=node.name in starts))
    by_name = {node.name: node for node in nodes}
    edges = [edge for node in graph for edge in _edges(node, by_name)]
    for sender, receiver, count, _ in sent:
        if sender is not None and graph[receiver].arity is Arity.handler:
            edges.append(EdgeView(sender, receiver, Line.message, f"×{count:,}", count=count))
    version = graph.label.removeprefix(graph.name).strip()
    return Picture(graph.name, version, tuple(nodes), tuple(edges), states is not None, by_name)


def headline(counts: Mapping[TaskState, int], *, may_fail: bool = False) -> TaskState | str:
    """The one state that stands for a node: what needs attention first; "" if it has no task."""
    there = {state for state, count in counts.items() if count}
    if may_fail and len(there) > 1:
        there.discard(TaskState.failed)
    return next((state for state in _FIRST if state in there), "")


def _node(
    node: Node, counts: Mapping[TaskState, int] | None, seconds: float, outside: int, absent: str, *, starts: bool
) -> NodeView:
    icon = "epilogue" if node.epilogue else "handler" if node.arity is Arity.handler else str(node.kind)
    many = node.arity is not Arity.once
    if counts is None:
        return NodeView(node.name, icon, node.arity is Arity.each, starts, _kind(node))
    found = tuple((state, counts[state]) for state in TaskState if counts.get(state))
    state = headline(counts, may_fail=node.may_fail)
    total, done = sum(counts.values()), counts.get(TaskState.succeeded, 0)
    detail = f"{done:,}/{total:,}" if many and total else str(state or absent)
    if seconds:
        detail += f" · {duration(seconds)}"
    return NodeView(node.name, icon, node.arity is Arity.each, starts, detail, state, found, seconds, outside)


def _kind(node: Node) -> str:
    """What a node is, in few words."""
    words = [str(node.kind) if node.workflow is None else f"workflow {shown(node.workflow.name, 16)}"]
    if node.epilogue:
        words = [{On.failed: "if the run failed", On.ended: "when the run ended"}.get(node.epilogue, "after success")]
    elif node.arity is Arity.handler:
        words = ["handler" if node.kind is Kind.function else f"{node.kind} per message"]
        words += ["serial" if node.serial is True else f"serial by {node.serial}"] if node.serial else []
    elif node.arity is Arity.each:
        over = next(edge.source for edge in node.edges if edge.each)
        words = [f"{node.kind} per item of {shown(over, 16)}"]
    if node.queue != "default":
        words.append(shown(node.queue, 16))
    return " · ".join(words)


def _edges(node: Node, by_name: Mapping[str, NodeView]) -> Iterable[EdgeView]:
    """What leads to a node; several edges from one node that say the same are one, choices are listed."""
    found: dict[tuple[str, Line], list[Edge]] = defaultdict(list)
    for edge in node.edges:
        found[edge.source, _line(edge)].append(edge)
    for (source, line), edges in found.items():
        choices = dict.fromkeys(edge.choice for edge in edges if edge.choice is not None)
        label = ", ".join(choices) or (str(line) if line in (Line.failed, Line.ended) else "")
        unused = by_name[node.name].state in ("", TaskState.skipped)
        yield EdgeView(source, node.name, line, label, idle=unused)


def _line(edge: Edge) -> Line:
    if edge.on is not On.succeeded:
        return Line.failed if edge.on is On.failed else Line.ended
    return Line.optional if edge.optional else Line.needs


def duration(seconds: float) -> str:
    """A duration in two figures or units, such as ``0.35 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 else "< 1 ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for unit, size, smaller, small in (("min", 60, "s", 1), ("h", 3600, "min", 60), ("d", 86400, "h", 3600)):
        if whole < size * (60 if size < 3600 else 24 if size < 86400 else 1 << 40):
            rest = whole % size // small
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    raise AssertionError("a day has no end")


def size(count: int) -> str:
    """A number of bytes for people."""
    amount, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 99.5 else f"{amount:.1f} {unit}"
