"""Rerun: which nodes' results a new run takes over from one that is over.

What lies before the nodes that are to run anew is taken over whole: a node with all its tasks, where each has settled.
Whatever waits for one that is not taken over, or was sent messages by it, is not taken over either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from heliostat.errors import BadInput, Conflict
from heliostat.graph import Arity
from heliostat.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heliostat.graph import Graph, Node

DONE = (TaskState.succeeded, TaskState.skipped)


class Count(NamedTuple):
    """How many tasks of a node there are in a state, by the node that sent or brought them."""

    node: str
    sender: str | None
    state: TaskState
    n: int


def taken_over(before: Graph, graph: Graph, at: Sequence[str], counts: Sequence[Count]) -> tuple[str, ...]:
    """The nodes of ``graph`` whose results are taken over by a run of it from one of ``before``, in order.

    Raises NotFound for a node that does not exist, BadInput for a handler and for a node whose structure is another
    one now, and Conflict where messages would be missing that nobody sends again.
    """
    for name in at:
        if graph[name].arity is Arity.handler:
            raise BadInput(
                f"{name} is a handler, which acts on each message, so nothing begins at it; "
                "a handler's task can be redelivered as a new message"
            )
    again = _again(before, graph, at, counts)
    _check_messages(graph, at, again, counts)
    over = tuple(node.name for node in graph if node.name not in again and node.name in before)
    for name in over:
        if not graph.alike(before, name):
            raise BadInput(
                f"{name} would be taken over, but it has another structure now than in {before.label}; "
                f"begin at {name}, or at what lies before it"
            )
    return over


def _again(before: Graph, graph: Graph, at: Iterable[str], counts: Sequence[Count]) -> set[str]:
    """The nodes that do not keep their results: what is asked for, what has not settled, and all behind these."""
    left = {count.node for count in counts if count.node in graph and not _settled(graph, count)}
    there = {count.node for count in counts}
    sent: dict[str, set[str]] = {}
    for count in counts:
        if count.sender is not None and count.node in graph and graph[count.node].arity is Arity.handler:
            sent.setdefault(count.sender, set()).add(count.node)
    waiting = [*at, *(node.name for node in graph if node.name in left or not _kept(before, graph, node, there))]
    found: set[str] = set()
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            behind = {node.name for node, _ in graph.downstream(name)} if name in graph else set()
            waiting += behind | sent.get(name, set())
    return found


def _settled(graph: Graph, count: Count) -> bool:
    node = graph[count.node]
    caught = count.state is TaskState.failed and (node.may_fail or graph.caught(node.name))
    return caught or count.state in DONE


def _kept(before: Graph, graph: Graph, node: Node, there: set[str]) -> bool:
    """Whether the run that is over has something of a node to take over; a handler may have had no message."""
    if node.epilogue or node.name not in before:
        return False
    return node.name in there or (node.arity is Arity.handler and graph.alike(before, node.name))


def _check_messages(graph: Graph, at: Sequence[str], again: set[str], counts: Sequence[Count]) -> None:
    """A handler that is to act anew gets its messages from what runs anew; others cannot be recalled."""
    outside: dict[str, int] = {}
    for name, sender, _, n in counts:
        if name in graph and name in again and graph[name].arity is Arity.handler:
            if sender is None:
                outside[name] = outside.get(name, 0) + n
            elif sender not in again:
                raise _missing(name, sender, at)
    for name, n in outside.items():
        node = graph[name]
        if n > node.entry + (node.trigger is not None):  # of a trigger's ticks, the first is sent by nobody
            raise _missing(name, "outside", at)


def _missing(handler: str, sender: str, at: Sequence[str]) -> Conflict:
    return Conflict(
        f"handler {handler} got messages from {sender}, which would not be sent again in a rerun at {', '.join(at)}; "
        "run all of it anew, or send them to the new run yourself"
    )
