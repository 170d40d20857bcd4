"""The graph: the frozen data of a workflow, and all that planning needs.

A graph is nodes in an order in which every edge leads forward. It has a JSON form (``to_json``/``from_json``)
and a fingerprint over its structure: nodes, arity, edges, serial, choices; not queues, retries or resources.
"""

from __future__ import annotations

import builtins
import hashlib
import re
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from functools import cache, cached_property
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from heliostat.codec import seconds
from heliostat.errors import BadInput, DefinitionError, NotFound, nearest
from heliostat.job import JobSpec, check_environment
from heliostat.resources import Resources
from heliostat.review import ReviewSpec
from heliostat.secret import Secret
from heliostat.task import ENDINGS, AttemptState, TaskState
from heliostat.trigger import Trigger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LARGEST = 1_000_000  #: by which a retry's delay may grow each time
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")  #: names of workflows, nodes and queues


#: A package, perhaps with extras, and what is said of its version or place: never an option, a path or a second line.
REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*( ?\[[A-Za-z0-9._, -]*\])?( ?[~=!<>@;(][ -~]*)?")


class Kind(StrEnum):
    """What a node does when it acts."""

    function = "function"  # calls Python
    job = "job"  # gives a command to a batch system
    review = "review"  # asks a person
    workflow = "workflow"  # is another run, which is part of this one


class Arity(StrEnum):
    """How many tasks a node may have in one run."""

    once = "once"  # at most one, when all that it waits for has settled
    each = "each"  # one per item of another node's list
    handler = "handler"  # one per message that it is sent


class On(StrEnum):
    """Which end of the upstream node an edge is waiting for."""

    succeeded = "succeeded"  # the ordinary edge
    failed = "failed"  # the author's `except`
    ended = "ended"  # the author's `finally`


@dataclass(frozen=True, slots=True)
class Edge:
    """What leads to a node: from ``source``, perhaps into ``parameter``, perhaps only for one ``choice``."""

    source: str
    parameter: str | None = None
    on: On = On.succeeded
    choice: str | None = None
    optional: bool = False  # the parameter has a default, so an upstream that was skipped does not skip the node
    each: bool = False  # the parameter gets one item of the source's list at a time

    def met(self, state: TaskState, choice: str | None) -> bool:
        """Whether an upstream that settled so lets this edge's node run."""
        if self.on is On.ended:
            return True
        if self.on is On.failed:
            return state is TaskState.failed
        if self.optional:
            return True
        return state is TaskState.succeeded and self.choice in (None, choice)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a failed attempt is tried again, and after how long.

    ``limit`` more tries; the first after ``delay``, each next one ``factor`` times later, at most ``max_delay``,
    spread by ``jitter`` (0.1 is ±10 %, 1 the most). ``on`` says what is worth another try: exception classes, and how
    an attempt may end otherwise (``"timed_out"``, ``"out_of_memory"``, ``"killed"``, ``"lost"``, and ``"failed"`` for a
    job that failed by itself); where it names no such ending, each of them is. Durations become seconds and classes
    their names, so that the value is data.
    """

    limit: int = 0
    delay: str | timedelta | float = 1.0
    factor: float = 2.0
    max_delay: str | timedelta | float = 3600.0
    jitter: float = 0.1
    on: tuple[type[BaseException] | str, ...] | type[BaseException] = ("builtins.Exception",)

    def __post_init__(self) -> None:
        if not _is_count(self.limit):
            raise DefinitionError(f"retry: the number of further tries is a whole number from 0, not {self.limit!r}")
        object.__setattr__(self, "delay", seconds(self.delay, "retry: delay"))
        object.__setattr__(self, "max_delay", seconds(self.max_delay, "retry: max_delay"))
        kinds = self.on if isinstance(self.on, tuple | list | set | frozenset) else (self.on,)
        object.__setattr__(self, "on", tuple(_kind(kind) for kind in kinds))
        for name, most in (("factor", LARGEST), ("jitter", 1)):
            value: object = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most:
                raise DefinitionError(f"retry: {name} is a number from 0 to {most:,}, not {shortened(value)}")

    def covers(self, ended: BaseException | AttemptState) -> bool:
        """Whether an error, or an attempt that ended so without one, is worth another try."""
        on: tuple[str, ...] = self.on  # type: ignore[assignment]
        if isinstance(ended, AttemptState):
            return ended in on or ENDINGS.isdisjoint(on)
        if isinstance(ended, MemoryError) and AttemptState.out_of_memory in on:
            return True
        return any(kind_name(kind) in on for kind in type(ended).__mro__)


def kind_name(kind: type) -> str:
    """The name by which an exception class is kept; a program's own module is called otherwise in its children."""
    module = "__main__" if kind.__module__ == "__mp_main__" else kind.__module__
    return f"{module}.{kind.__qualname__}"


def _kind(kind: object) -> str:
    """The name of an exception class, or of an ending; another bare name is a builtin class's."""
    if isinstance(kind, type) and issubclass(kind, BaseException):
        return kind_name(kind)
    if not isinstance(kind, str):
        raise DefinitionError(f"retry: on= takes exception classes, not {kind!r}")
    if "." in kind or kind in ENDINGS:
        return str(kind)
    builtin = getattr(builtins, kind, None)
    if isinstance(builtin, type) and issubclass(builtin, BaseException):
        return kind_name(builtin)
    known = [name for name, value in vars(builtins).items() if isinstance(value, type) and name.endswith("Error")]
    known += map(str, sorted(ENDINGS))
    raise DefinitionError(
        f"retry: on= names {kind!r}, which is no exception of Python's own{nearest(kind, known)}; "
        'give the class, or its module too: "package.Name"'
    )


def _is_count(value: object, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


@dataclass(frozen=True, slots=True)
class Part:
    """The workflow that a node is: the very graph, for runs are pinned to what they contain, too."""

    name: str
    fingerprint: str
    version: str | None = None

    @property
    def graph(self) -> int:
        """The graph's id."""
        return graph_id(self.name, self.version, self.fingerprint)

    @property
    def label(self) -> str:
        """Name and version, as people see it."""
        return _label(self.name, self.version, self.fingerprint)


@dataclass(frozen=True, slots=True)
class Node:
    """A vertex of the graph: structure first, then policies (which may differ under one fingerprint)."""

    name: str
    arity: Arity = Arity.once
    kind: Kind = Kind.function
    edges: tuple[Edge, ...] = ()
    epilogue: On | None = None  # runs after the run's end, when it ended so; cannot change it
    entry: bool = False  # this handler gets the message that starts the run
    serial: bool | str = False  # one at a time per run, or per value of that field of the message
    takes_message: bool = False  # its function has a parameter for the message
    job: JobSpec | None = None
    review: ReviewSpec | None = None
    workflow: Part | None = None
    queue: str = "default"
    priority: int = 0
    limit: int | None = None
    retry: Retry = Retry()
    timeout: float | None = None  # seconds
    may_fail: bool = False
    rescues: int = 3
    resources: Resources | None = None
    adapts: bool = False  # a function says its resources for each attempt; those above are the first one's
    env: dict[str, str | Secret] = field(default_factory=dict)  # of its function; a job's is with its command
    requires: tuple[str, ...] = ()  # packages that its function is to find, in an environment of its own
    trigger: Trigger | None = None  # what sends to this handler in each active run

    @property
    def waits(self) -> int:
        """How many arrivals complete its inputs, before any fan-out adds to them."""
        return len(self.edges)


class Input(NamedTuple):
    """What a node's function is given by a node before it: the number of that one's (first) task, and its arity.

    ``each``: one item of its list at a time.
    """

    parameter: str
    source: str
    number: int
    arity: Arity
    each: bool


@dataclass(frozen=True)
class Graph:
    """The frozen data of a workflow, to which its runs are pinned."""

    name: str
    nodes: tuple[Node, ...]
    version: str | None = None
    stays_open: bool = False
    on_failure: str = "stop"
    data: bool = False  # it has no functions, and whichever worker meets its tasks runs them
    trigger: Trigger | None = None  # what starts its runs

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of the structure; equal fingerprints plan alike."""
        return hashlib.sha256(repr([self._structure(node) for node in self.nodes]).encode()).hexdigest()[:16]

    @cached_property
    def label(self) -> str:
        """Name and version, as people see it."""
        return _label(self.name, self.version, self.fingerprint)

    @cached_property
    def id(self) -> int:
        """63 bits that every process computes alike, so that registering needs no round trip."""
        return graph_id(self.name, self.version, self.fingerprint)

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {node.name: number for number, node in enumerate(self.nodes, 1)}

    @cached_property
    def _downstream(self) -> dict[str, tuple[tuple[Node, Edge], ...]]:
        found: dict[str, list[tuple[Node, Edge]]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for edge in node.edges:
                found[edge.source].append((node, edge))
        return {name: tuple(pairs) for name, pairs in found.items()}

    @cached_property
    def _inputs(self) -> dict[str, tuple[Input, ...]]:
        return {
            node.name: tuple(
                Input(edge.parameter, edge.source, self._numbers[edge.source], self[edge.source].arity, edge.each)
                for edge in node.edges
                if edge.parameter is not None
            )
            for node in self.nodes
        }

    def __getitem__(self, name: str) -> Node:
        try:
            return self._by_name[name]
        except KeyError:
            raise NotFound(f"workflow {self.name} has no node {name!r}{nearest(name, self._by_name)}") from None

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def number(self, name: str) -> int:
        """The task number that a once node's task, or an each node's first one, has in every run: its position."""
        return self._numbers[name]

    def downstream(self, name: str) -> tuple[tuple[Node, Edge], ...]:
        """The nodes that wait for this one, with the edge that says so."""
        return self._downstream[name]

    def inputs(self, name: str) -> tuple[Input, ...]:
        """What a node's function is given by the nodes before it."""
        return self._inputs[name]

    @cached_property
    def sources(self) -> frozenset[str]:
        """The nodes that act once and whose results others take."""
        taken = {given.source for inputs in self._inputs.values() for given in inputs}
        return frozenset(name for name in taken if self[name].arity is Arity.once)

    @cached_property
    def starts(self) -> tuple[Node, ...]:
        """The nodes that get the message a run is started with: those that wait for nothing, and entry handlers."""
        return tuple(
            n for n in self.nodes if n.entry or (n.arity is not Arity.handler and not n.edges and not n.epilogue)
        )

    @cached_property
    def ends(self) -> tuple[Node, ...]:
        """The nodes that nothing waits for: without ``complete`` their results are the run's."""
        return tuple(
            n for n in self.nodes if not n.epilogue and n.arity is not Arity.handler and not self._downstream[n.name]
        )

    @cached_property
    def queues(self) -> tuple[str, ...]:
        """The queues that its nodes use."""
        return tuple(dict.fromkeys(node.queue for node in self.nodes))

    @cached_property
    def listed(self) -> dict[str, str]:
        """The nodes that must return a list, since another goes over it: each with one that does.

        A node that goes over a list itself is none of them: its items are the list.
        """
        mapped = [(edge.source, node.name) for node in self.nodes for edge in node.edges if edge.each]
        return {source: name for source, name in mapped if self[source].arity is not Arity.each}

    @cached_property
    def choosing(self) -> frozenset[str]:
        """The nodes whose returned string decides where the run goes on."""
        return frozenset(edge.source for node in self.nodes for edge in node.edges if edge.choice is not None)

    @cached_property
    def reviews(self) -> frozenset[str]:
        """The nodes that ask a person."""
        return frozenset(node.name for node in self.nodes if node.kind is Kind.review)

    @cached_property
    def polled(self) -> frozenset[str]:
        """The handlers that something sends to without being asked."""
        return frozenset(node.name for node in self.nodes if node.trigger is not None)

    @cached_property
    def parts(self) -> dict[str, Part]:
        """The nodes that are other workflows, with which."""
        return {node.name: node.workflow for node in self.nodes if node.workflow is not None}

    @cached_property
    def plans(self) -> dict[Any, Any]:
        """What the planner has worked out for it; it follows from the graph alone."""
        return {}

    @cached_property
    def counted(self) -> frozenset[str]:
        """The nodes with an each node before them: only the run tells how many arrivals complete their inputs."""
        return frozenset(n.name for n in self.nodes if any(self[e.source].arity is Arity.each for e in n.edges))

    def caught(self, name: str) -> bool:
        """Whether an edge takes over when this node fails, so that the run goes on."""
        return any(edge.on is not On.succeeded for _, edge in self._downstream[name])

    def to_json(self) -> dict[str, Any]:
        """The graph as JSON, defaults left out."""
        data = _without_defaults(asdict(self))
        return data if self.data else {name: value for name, value in data.items() if name != "data"}

    @classmethod
    def from_json(cls, data: object) -> Graph:
        """Read what ``to_json`` wrote; raises BadInput for anything else."""
        try:
            graph = _adapter().validate_python(data)
        except ValidationError as error:
            first = error.errors()[0]
            raise BadInput(f"graph.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        check(graph)
        return graph

    def difference(self, other: Graph) -> str:
        """One clause that says how the structure differs from another graph of the same name."""
        mine, theirs = ({n.name: self._structure(n) for n in g} for g in (self, other))
        added, removed = sorted(mine.keys() - theirs.keys()), sorted(theirs.keys() - mine.keys())
        changed = sorted(name for name in mine.keys() & theirs.keys() if mine[name] != theirs[name])
        parts = [("added", added), ("removed", removed), ("changed", changed)]
        words = [f"{verb} {', '.join(names)}" for verb, names in parts if names]
        return "; ".join(words) or "the nodes stand in another order"

    def alike(self, other: Graph, name: str) -> bool:
        """Whether a node has the same structure in another graph, whatever is around it."""
        like = replace(other, stays_open=self.stays_open, on_failure=self.on_failure)
        return self._structure(self[name]) == like._structure(other[name])  # noqa: SLF001 - its own kind

    def _structure(self, node: Node) -> object:
        edges = [(e.source, e.parameter, str(e.on), e.choice, e.optional, e.each) for e in node.edges]
        epilogue = node.epilogue and str(node.epilogue)
        head = (node.name, str(node.arity), str(node.kind), edges, epilogue, node.entry, node.serial)
        choices = () if node.review is None else (sorted(node.review.choices),)
        part = () if node.workflow is None else ((node.workflow.graph,),)
        return (*head, node.may_fail, self.stays_open, self.on_failure, *choices, *part)


def named(node: object, where: str) -> str:
    """The name of a node that is given by its name or its handle; raises BadInput for anything else."""
    name = node if isinstance(node, str) else getattr(node, "name", None)
    if not isinstance(name, str):
        raise BadInput(f"{where}: a node or its name is wanted, not {shortened(node)}")
    return name


def stable_id(*parts: str) -> int:
    """A positive 63-bit integer that is the same in every process for the same words."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big") >> 1


def graph_id(name: str, version: str | None, fingerprint: str) -> int:
    """The id of the graph with this name, version and structure."""
    return stable_id("graph", name, version or "", fingerprint)


def _label(name: str, version: str | None, fingerprint: str) -> str:
    return f"{name} {version or 'dev+' + fingerprint[:4]}"


def check(graph: Graph) -> None:
    """Refuse a graph that cannot be planned; raises DefinitionError with the node and what would be right."""
    if not _is_name(graph.name):
        raise DefinitionError(f"{graph.name!r} is no name for a workflow; use letters, digits, _ . -")
    seen: dict[str, Node] = {}
    for node in graph.nodes:
        check_node(node, seen)
        check_trigger(node, stays_open=graph.stays_open)
        seen[node.name] = node


def check_node(node: Node, before: Mapping[str, Node]) -> None:
    """Refuse a node that cannot come after those before it; raises DefinitionError."""
    if not _is_name(node.name):
        own = "; say name=" if node.name == "<lambda>" else ""
        raise DefinitionError(f"{node.name!r} is no name for a node; use letters, digits, _ . -{own}")
    if node.name in before:
        raise DefinitionError(f"node {node.name!r} is defined twice in one workflow; give one of them another name=")
    if not _is_name(node.queue):
        raise DefinitionError(f"node {node.name}: {node.queue!r} is no name for a queue; use letters, digits, _ . -")
    for edge in node.edges:
        if edge.source not in before:
            near = nearest(edge.source, before)
            raise DefinitionError(f"node {node.name}: waits for {edge.source!r}, which is no node before it{near}")
        if edge.each and before[edge.source].kind is Kind.review and before[edge.source].arity is not Arity.each:
            raise DefinitionError(f"node {node.name}: {edge.source!r} is decided once, so there is no list to go over")
        if before[edge.source].epilogue:
            raise DefinitionError(f"node {node.name}: waits for {edge.source!r}, which runs after the run's end")
    check_environment(node.env, f"node {node.name}: ")
    for requirement in node.requires:
        if not REQUIREMENT.fullmatch(requirement):
            raise DefinitionError(
                f'node {node.name}: requires={shortened(requirement)} is no requirement; write "package==1.2"'
            )
    if node.requires and node.kind is not Kind.function:
        raise DefinitionError(f"node {node.name}: requires= is for functions; a {node.kind} has no interpreter")
    _check_arity(node)


def check_trigger(node: Node, *, stays_open: bool) -> None:
    """Refuse a trigger that would never have its say, or its last; raises DefinitionError."""
    if node.trigger is None:
        return
    if node.arity is not Arity.handler:
        raise DefinitionError(f"node {node.name}: it acts once in a run; a handler has a trigger, or the workflow")
    if not stays_open:
        raise DefinitionError(
            f"handler {node.name}: on= sends to it until somebody completes the run, so its workflow is to be one that "
            "stays_open=True"
        )
    if isinstance(node.serial, str) and node.serial != "scheduled_at":
        raise DefinitionError(
            f"handler {node.name}: it is serial by {node.serial!r}, which no tick has; have it serial=True"
        )


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(NAME.fullmatch(name))


def _check_arity(node: Node) -> None:
    maps = [edge for edge in node.edges if edge.each]
    if (node.arity is Arity.each) != (len(maps) == 1):
        raise DefinitionError(f"node {node.name}: map= takes one parameter and the node whose list it goes over")
    if node.arity is Arity.handler and node.kind in (Kind.review, Kind.workflow):
        raise DefinitionError(f"node {node.name}: a {node.kind} takes no messages")
    if node.arity is not Arity.handler and (node.entry or node.serial):
        raise DefinitionError(f"node {node.name}: entry= and serial= are for handlers, which act on each message")
    if node.limit is not None and node.limit < 1:
        raise DefinitionError(f"node {node.name}: limit={node.limit} would never let it run; pause the node instead")
    if node.rescues < 0:
        raise DefinitionError(f"node {node.name}: rescues={node.rescues}; its worker may be lost 0 or more times")
    if (node.kind is Kind.review) != (node.review is not None):
        raise DefinitionError(f"node {node.name}: a review has choices, and nothing else has")
    if (node.kind is Kind.workflow) != (node.workflow is not None):
        raise DefinitionError(f"node {node.name}: a node of the kind workflow says which, and no other does")
    if node.epilogue and node.kind is Kind.review:
        raise DefinitionError(f"node {node.name}: a review decides how a run goes on, so it cannot come after its end")
    if node.epilogue and node.kind is Kind.workflow:
        raise DefinitionError(f"node {node.name}: a workflow that is part of a run ends with it, and cannot come after")
    if node.epilogue and node.edges:
        raise DefinitionError(f"node {node.name}: a node that runs after the run's end waits for no other")


def _without_defaults(data: dict[str, Any]) -> dict[str, Any]:
    nodes = [{k: v for k, v in node.items() if v != _NODE_DEFAULTS.get(k, ...)} for node in data["nodes"]]
    if data["trigger"] is None:
        del data["trigger"]
    return data | {"nodes": nodes}


_NODE_DEFAULTS = {k: v for k, v in asdict(Node("x")).items() if k != "name"}


@cache
def _adapter() -> TypeAdapter[Graph]:
    return TypeAdapter(Graph)  # made when first needed: it takes longer than all of the import
