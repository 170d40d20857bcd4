"""Queues, lanes and workers: where work waits, who may take it, and why it is not taken."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from reprlib import repr as shortened
from typing import TYPE_CHECKING, NamedTuple

from heliostat.errors import BadInput
from heliostat.graph import Graph, Node, stable_id

if TYPE_CHECKING:
    from heliostat.review import Review
    from heliostat.run import Run
    from heliostat.task import Task


class Terms(NamedTuple):
    """On what terms tasks of a queue run: how many at once, and how many may begin in a time; None: no end to it."""

    limit: int | None = None
    rate: str | None = None


NO_TERMS = Terms()


@dataclass(frozen=True, slots=True)
class Queue:
    """A named lane with a limit on how many tasks run at once (None: none), and a mark that stops it.

    ``rate`` is how many attempts may begin in a second, a minute, an hour or a day, over all workers: ``"600/m"``.
    ``configured`` is what the configuration has said last, ``by_hand`` names what an operator has set: that stays.
    """

    name: str
    limit: int | None = None
    paused: bool = False
    rate: str | None = None
    configured: Terms = NO_TERMS
    by_hand: frozenset[str] = frozenset()

    def overruled(self, term: str) -> bool:
        """Whether an operator has set a term: marked, or set by a version that knew no such marks."""
        return term in self.by_hand or getattr(self, term) != getattr(self.configured, term)

    def follow(self, terms: Terms) -> Queue:
        """The queue when the configuration says this; what operators have set stays."""
        held = {term: getattr(self if self.overruled(term) else terms, term) for term in Terms._fields}
        by_hand = frozenset(term for term in Terms._fields if self.overruled(term))
        return replace(self, **held, configured=terms, by_hand=by_hand)

    def set_by_hand(self, **terms: int | str | None) -> Queue:
        """The queue when an operator has set some terms."""
        return replace(self, **terms, by_hand=self.by_hand | terms.keys())  # type: ignore[arg-type]

    def as_configured(self) -> Queue:
        """The queue when operators leave its terms to the configuration again."""
        return replace(self, **self.configured._asdict(), by_hand=frozenset())


class Pace(NamedTuple):
    """A rate as it is kept: so many seconds from one begin to the next, and so many at once after a pause.

    A queue remembers one time, from which on the next attempt may begin. What a pause has saved up is worth a second,
    or one attempt where fewer than one are allowed in a second.
    """

    gap: float
    burst: int

    def allowed(self, free_at: float, now: float) -> int:
        """How many attempts may begin now."""
        since = self._since(free_at, now)
        return 0 if now < since else min(self.burst, int((now - since) / self.gap + 1e-6) + 1)

    def after(self, free_at: float, now: float, begun: int) -> float:
        """From when on the next one may begin, when so many have begun now."""
        return self._since(free_at, now) + begun * self.gap

    def _since(self, free_at: float, now: float) -> float:
        if free_at > now + 2 * self.gap + 1.0:  # no attempt has said so: a clock was put back
            return now
        return max(free_at, now - (self.burst - 1) * self.gap)


@dataclass(frozen=True, slots=True)
class Hold:
    """Who has paused something, when and why.

    ``kind`` says what it is: a ``queue`` or ``workflow`` of that name, a ``node`` (its graph's id, a slash, its name),
    or the ``run`` itself, which has no name.
    """

    kind: str
    name: str
    at: float
    actor: str
    reason: str = ""
    run: int = 0


def node_hold(graph: int, node: str) -> str:
    """The name under which a hold is about a node."""
    return f"{graph}/{node}"


ITSELF = 0  #: the graph under which a worker tells which version of Heliostat it is; no definition has it
MOST = (1 << 31) - 1  #: the highest limit
_RATE = re.compile(r"([1-9][0-9]{0,5})/([smhd])")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def pace(rate: object, where: str = "rate") -> Pace:
    """A rate such as ``"5/s"``, ``"600/m"``, ``"100/h"`` or ``"20/d"``; raises BadInput."""
    match = _RATE.fullmatch(rate) if isinstance(rate, str) else None
    if match is None:
        raise BadInput(f'{where}: {shortened(rate)} is no rate; write "5/s", "600/m", "100/h" or "20/d"')
    gap = _UNITS[match[2]] / int(match[1])
    return Pace(gap, max(1, int(1.0 / gap)))


@dataclass(frozen=True, slots=True)
class Lane:
    """What a worker leases from: the ready tasks of one definition on one queue.

    A node with a limit of its own has a lane of its own, so that a lease never scans past what it may not take; so has
    one that was paused, or whose queue or limit has changed. Where a node has one, its tasks belong there: what was
    born elsewhere, in a process that did not know, is moved by whoever would lease it.
    """

    id: int
    queue: str
    graph: int
    node: str | None = None
    limit: int | None = None
    paused: bool = False


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker as the store knows it. ``beat`` counts its heartbeats: it is alive while that changes."""

    id: str
    host: str = ""
    pid: int = 0
    process: str = ""  # where and when that process was born, so that its death can be seen on the same machine
    queues: str = ""
    offers: str = ""
    beat: int = 0
    beat_at: float = 0.0
    started_at: float = 0.0
    state: str = "active"  # active, draining (takes nothing more), stopped, lost
    code: str = ""  # JSON: graph, digest of the code behind it, since when, for each that it offers or has offered
    site: str = ""  # where it runs, if anybody has said so

    @property
    def release(self) -> str | None:
        """The version of Heliostat that it is; None of one from before they told it."""
        return next((code for graph, code, _ in json.loads(self.code or "[]") if graph == ITSELF), None)


@dataclass(frozen=True, slots=True)
class Why:
    """The facts behind 'why does this task not run', for ``checks.explain`` to put into words."""

    task: Task
    run: Run
    graph: Graph
    waits_for: tuple[str, ...] = ()  # upstream nodes that have not settled
    ahead: int = 0  # tasks of the same serial key that come first
    queue: Queue | None = None
    free_at: float = 0.0  # from when on the queue's rate lets the next one begin
    running: int = 0  # in the same lane
    in_queue: int = 0  # running in all lanes of the queue
    lane_limit: int | None = None
    lane_paused: bool = False
    workers: tuple[WorkerInfo, ...] = ()
    child: str | None = None  # the run whose end it waits for
    review: Review | None = None  # what a person is asked
    holds: tuple[Hold, ...] = ()  # who has paused queues, nodes and its run


def lane_of(graph: Graph, node: Node) -> Lane:
    """The lane in which a node's tasks become ready, as its definition says it."""
    if node.limit is not None:
        return own_lane(graph, node)
    return Lane(lane_id(graph.id, node.queue, None), node.queue, graph.id)


def own_lane(graph: Graph, node: Node) -> Lane:
    """A lane for a node alone, as its definition says it; it keeps its key when the node changes queues."""
    return Lane(lane_id(graph.id, node.queue, node.name), node.queue, graph.id, node.name, node.limit)


def lane_id(graph: int, queue: str, node: str | None) -> int:
    """A lane's key, which every process computes alike."""
    return stable_id("lane", str(graph), queue, node or "")


def lanes(graph: Graph) -> tuple[Lane, ...]:
    """Every lane that a definition needs."""
    found = {lane.id: lane for lane in (lane_of(graph, node) for node in graph.nodes)}
    return tuple(found.values())
