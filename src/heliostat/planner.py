"""The planner: what follows from an event in a run, as a list of changes.

It sees the graph, the task that settled and its outcome; nothing else of the run. So its changes are relative and
commute: a store adds them up per target and decides there, in SQL, what has reached zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from heliostat import codec
from heliostat.effects import End, Map, Send, Start
from heliostat.errors import BadInput, NotFound
from heliostat.graph import Arity, Edge, Graph, Kind, Node, On
from heliostat.outcome import Begun, Failed, Outcome, Released, Rescued, Skipped, Snoozed, Succeeded
from heliostat.run import RunState
from heliostat.task import TaskState
from heliostat.trigger import is_tick, tick_key, tick_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliostat.effects import Effect
    from heliostat.task import Attempt

SUCCEEDED, ONCE = TaskState.succeeded, Arity.once  # looked up once: members of an enumeration are slow to reach


@dataclass(slots=True)
class Create:
    """A task is born. Without ``number`` the store gives the run's next one.

    ``join`` is the number of the task that waits for its result at ``place``; a negative one counts back among the
    tasks of the same plan (−1 is the one created just before the first of this group).
    """

    node: Node
    state: TaskState = TaskState.ready
    number: int | None = None
    item: int | None = None
    message: str | None = None
    key: str | None = None
    due_at: float | None = None
    priority: int | None = None
    idempotency_key: str | None = None
    missing: int = 0
    join: int | None = None
    place: int | None = None
    leads: bool = False  # the tasks created after it refer to it as join −1


class Arrive(NamedTuple):
    """``by`` of what a node waits for is settled, ``unmet`` of it in a way that does not let the node run.

    ``width`` is the length of the list that an each node goes over. ``first`` names the handler whose first settled
    task is what arrives: its later ones arrive nowhere.
    """

    node: Node
    by: int = 1
    unmet: int = 0
    width: int | None = None
    first: str | None = None


def together(arrivals: Sequence[Arrive]) -> Arrive:
    """What arrived at one node, as one."""
    if len(arrivals) == 1:
        return arrivals[0]
    widths = [arrival.width for arrival in arrivals if arrival.width is not None]
    by, unmet = sum([arrival.by for arrival in arrivals]), sum([arrival.unmet for arrival in arrivals])
    return Arrive(arrivals[0].node, by, unmet, widths[-1] if widths else None)


@dataclass(slots=True)
class Launch:
    """Another run begins; if it is new, ``told`` is born with it: the task whose message its end will be.

    ``part``: it is part of the run that starts it, and the task that does so waits for its end.
    """

    start: Start
    told: Create | None = None
    part: bool = False


Change: TypeAlias = Create | Arrive | Launch | End


def begun(graph: Graph, message: str, to: str | None = None) -> list[Change]:
    """A run starts: every node that waits for nothing acts, and the handlers that were named get the message."""
    changes: list[Change] = []
    for node in graph.starts:
        if node.arity is Arity.handler:
            if to is None:
                changes.append(delivered(graph, Send(node.name, message)))
        else:
            changes.append(Create(node, number=graph.number(node.name)))
    if to is not None:
        changes.append(delivered(graph, Send(to, message)))
    if not changes and not graph.stays_open:
        raise BadInput(
            f"workflow {graph.name}: nothing takes the message; give a handler entry=True or name one in to="
        )
    return changes


def handler(graph: Graph, name: str) -> Node:
    """The handler of a name; raises BadInput for a node that takes no messages, NotFound where there is none."""
    node = graph[name]
    if node.arity is not Arity.handler:
        raise BadInput(f"node {node.name} acts once, when its inputs are there; only handlers take messages")
    return node


def delivered(graph: Graph, send: Send) -> Create:
    """A message to a handler is the birth of its task."""
    node = handler(graph, send.node)
    key = serial_key(node, send.message)
    state = TaskState.waiting if send.due_at is not None else TaskState.pending if key else TaskState.ready
    return Create(
        node,
        state,
        message=send.message,
        key=key,
        due_at=send.due_at,
        priority=send.priority,
        idempotency_key=send.idempotency_key,
    )


def tick(graph: Graph, node: Node, time: float) -> Create:
    """The next message that a handler's trigger sends, after a time."""
    assert node.trigger is not None
    at = node.trigger.after(time)
    return delivered(graph, Send(node.name, tick_message(at), at, tick_key(at)))


def polls(graph: Graph, now: float) -> list[Create]:
    """A run begins: the first message of each trigger of its handlers waits for its time."""
    return [tick(graph, node, now) for node in graph.nodes if node.trigger is not None]


def goes_on(message: str | None, state: TaskState, changes: Sequence[Change]) -> bool:
    """Whether a polled handler's next tick is to be set: this was a tick, it is settled, and the run is not over."""
    return state.final and is_tick(message) and not any(type(change) is End for change in changes)


def serial_key(node: Node, message: str) -> str | None:
    """What a serial handler handles one at a time: its node, or its node and the value of one field."""
    if node.serial is False:
        return None
    if node.serial is True:
        return node.name
    data = codec.decode(message, f"message to {node.name}")
    if not isinstance(data, dict) or node.serial not in data:
        raise BadInput(f"message to {node.name}: the field {node.serial!r} is missing, by which it is serial")
    value = codec.encode(data[node.serial], node.serial)
    if len(value) > codec.LETTERS:
        raise BadInput(
            f"message to {node.name}: the field {node.serial!r}, by which it is serial, has {len(value):,} characters "
            f"of JSON; the limit is {codec.LETTERS}, give what it is about a shorter name"
        )
    return f"{node.name}\n{value}"


def settled(graph: Graph, attempt: Attempt, outcome: Outcome) -> tuple[TaskState, Sequence[Change]]:
    """The state that an attempt's outcome gives its task, and what follows for the rest of the run."""
    try:
        node = graph[attempt.node]
    except NotFound:
        return TaskState.failed, [End(RunState.failed, reason=f"{attempt.node}: {graph.label} has no such node")]
    if type(outcome) is Succeeded:  # the routine: without what a pattern costs
        _, effects, choice, width = outcome
        changes = after(graph, node, SUCCEEDED, attempt.item, choice, width)
        return SUCCEEDED, [*_effects(graph, attempt, effects), *changes] if effects else changes
    match outcome:
        case Skipped(effects=effects):
            changes = after(graph, node, TaskState.skipped, attempt.item)
            return TaskState.skipped, [*_effects(graph, attempt, effects), *changes]
        case Snoozed(effects=effects):  # it keeps its place in a join: it will answer once more
            return TaskState.waiting, _effects(graph, attempt._replace(join=None, place=None), effects)
        case Begun(effects=(start,)):
            return TaskState.pending, [Launch(start, part=True)]
        case Released(until=None) | Rescued():
            return TaskState.ready, []
        case Failed(retry_at=None):
            return TaskState.failed, _failure(graph, node, attempt, outcome)
        case _:
            return TaskState.waiting, []


def keeps_place(state: TaskState, changes: Sequence[Change]) -> bool:
    """Whether a settled task's place in a join stays open.

    It does where a join of the task's own fills it, and where its failure is its run's: it may be tried again.
    """
    if state is TaskState.failed:
        return any(type(change) is End for change in changes)
    return any(type(change) is Create and change.leads for change in changes)


def after(
    graph: Graph,
    node: Node,
    state: TaskState,
    item: int | None = None,
    choice: str | None = None,
    width: int | None = None,
) -> Sequence[Change]:
    """What a node's settled task brings to the nodes that wait for it; the routine is worked out once per graph."""
    if choice is not None and node.name not in graph.choosing:
        choice = None  # nobody asks which string it returned
    own = width if item is None else None  # what an item's task returns is no list to go over
    known = graph.plans.get((node.name, state, item is None)) if choice is None and own is None else None
    if known is None:
        known = tuple(
            _brought(graph, node, target, edge, own, met=_met(node, edge, state, item, choice))
            for target, edge in graph.downstream(node.name)
        )
        if choice is None and own is None:
            graph.plans[node.name, state, item is None] = known
    return known


def _brought(graph: Graph, node: Node, target: Node, edge: Edge, width: int | None, *, met: bool) -> Create | Arrive:
    """What a settled task is to one node behind it: one arrival, or its birth where it waits for nothing else."""
    if met and target.arity is node.arity is ONCE and target.waits == 1:
        return Create(target, number=graph.number(target.name))
    first = node.name if node.arity is Arity.handler else None
    return Arrive(target, 1, 0 if met else 1, width if edge.each else None, first)


def expanded(graph: Graph, node: Node, width: int) -> Sequence[Change]:
    """An each node knows how many tasks it has: what waits for it waits for all of them."""
    if width == 0:
        return after(graph, node, SUCCEEDED, None, None, 0)
    return [Arrive(target, 1 - width, 0, width if edge.each else None) for target, edge in graph.downstream(node.name)]


def counts_failures(graph: Graph, node: Node) -> tuple[str, ...]:
    """The each nodes of which at least one task must have failed for this node to run."""
    return tuple(e.source for e in node.edges if e.on is On.failed and graph[e.source].arity is Arity.each)


def epilogue(graph: Graph, state: RunState) -> list[Create]:
    """The nodes that run after a run has ended so."""
    wanted = (On.ended, On.failed) if state is RunState.failed else (On.ended,)
    return [Create(node, number=graph.number(node.name)) for node in graph.nodes if node.epilogue in wanted]


def _met(node: Node, edge: Edge, state: TaskState, item: int | None, choice: str | None) -> bool:
    if node.arity is Arity.each and (edge.on is On.failed or item is not None):
        if state is TaskState.failed and not node.may_fail:
            return edge.on is not On.succeeded or edge.optional
        return True  # an item that is missing is None in the list; failures are counted when all have settled
    return edge.met(state, choice)


def _failure(graph: Graph, node: Node, attempt: Attempt, outcome: Failed) -> Sequence[Change]:
    tries = f" (attempt {attempt.count})" if attempt.count > 1 and node.kind is not Kind.workflow else ""
    return failed(graph, node, attempt.item, f"{outcome.error}{tries}")


def failed(graph: Graph, node: Node, item: int | None, why: str) -> Sequence[Change]:
    """What follows from a node's task that has failed: its run does, unless an edge catches it or it may."""
    if node.epilogue is not None:
        return []
    if node.may_fail or graph.caught(node.name):
        return after(graph, node, TaskState.failed, item)
    which = node.name if item is None else f"{node.name}[{item}]"
    return [End(RunState.failed, reason=f"{which}: {why}")]


def _effects(graph: Graph, attempt: Attempt, effects: tuple[Effect, ...]) -> list[Change]:
    changes: list[Change] = []
    for effect in effects:
        match effect:
            case Send():
                changes.append(delivered(graph, effect))
            case Map():
                changes += _mapped(graph, attempt, effect)
            case Start(then=None):
                changes.append(Launch(effect))
            case Start(then=then):
                told = Create(graph[str(then)], TaskState.pending, key=_plain_key(graph, str(then)), missing=1)
                changes.append(Launch(effect, told))
            case End():
                changes.append(effect)
            case _:  # records and artifacts lead nowhere
                pass
    return changes


def _mapped(graph: Graph, attempt: Attempt, effect: Map) -> list[Change]:
    """A join and its members. The join takes the place of the attempt's own result, if somebody waits for that."""
    count, key = len(effect.messages), _plain_key(graph, effect.then)
    then = Create(
        graph[effect.then],
        TaskState.pending if count or key else TaskState.ready,
        key=key,
        missing=count,
        join=attempt.join,
        place=attempt.place,
        leads=True,
    )
    members = [delivered(graph, Send(effect.node, message)) for message in effect.messages]
    for place, member in enumerate(members):
        member.join, member.place = -1, place
    return [then, *members]


def _plain_key(graph: Graph, name: str) -> str | None:
    """The serial key of a handler whose message is put together by the engine."""
    node = graph[name]
    if isinstance(node.serial, str):
        raise BadInput(f"handler {name} is serial by {node.serial!r}; what joins or awaits a run has no such field")
    return name if node.serial else None
