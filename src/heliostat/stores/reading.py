"""The reading half of the database stores: what ``store.Store`` answers, from statements by name."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from typing import TYPE_CHECKING, Protocol, TypeVar

from heliostat.artifact import Artifact
from heliostat.errors import NotFound
from heliostat.graph import Arity, Graph
from heliostat.queue import Hold, Lane, Why, WorkerInfo
from heliostat.review import Review
from heliostat.run import Run, RunState
from heliostat.store import AttemptRecord, Busy, Discarded, Entry, Kept, Record, Settled
from heliostat.stores import sqlrows
from heliostat.stores.sqlrows import (
    RUN_STATES,
    TASK_STATES,
    Row,
    definition,
    lane_queue,
    listed,
    queue_of,
    schedule_of,
)
from heliostat.task import Task, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from heliostat.queue import Queue
    from heliostat.store import Reference
    from heliostat.trigger import Schedule

T = TypeVar("T")
LAST = (1 << 63) - 1


class Fetch(Protocol):
    """Carries out a reading statement by name."""

    def __call__(self, name: str, /, **values: object) -> list[Row]:
        """The statement's rows."""


class Reading(ABC):
    """The reading verbs of ``store.Store``; a database gives ``look``."""

    def __init__(self) -> None:
        super().__init__()
        self._graphs: dict[int, tuple[str, Graph]] = {}

    @abstractmethod
    def look(self, work: Callable[[Fetch], T], *, together: bool = False) -> T:
        """Do ``work`` with a connection for reading; with ``together``, all its statements see the same moment."""

    def fetch(self, name: str, /, **values: object) -> list[Row]:
        """What one statement answers."""
        return self.look(lambda fetch: fetch(name, **values))

    # runs and definitions

    def run(self, run: int) -> Run | None:
        return next(map(_run, self.fetch("run", run=run)), None)

    def runs(
        self, workflow: str | None = None, state: RunState | None = None, before: int | None = None, limit: int = 100
    ) -> list[Run]:
        given = {"workflow": workflow, "state": state and str(state)}
        name = _among("runs", given, "workflow", "state")
        last = LAST if before is None else before
        return [_run(row) for row in self.fetch(name, before=last, most=limit, **_given(given))]

    def graph(self, graph: int) -> Graph:
        found = self.fetch("graph_get", graph=graph)
        if not found:
            raise NotFound(f"no workflow is registered under {graph}")
        return self._definition(graph, found[0][0])

    def graphs(self, name: str | None = None) -> list[Graph]:
        found = self.fetch("graph_list") if name is None else self.fetch("graph_named", name=name)
        return [self._definition(*row) for row in found]

    def _definition(self, graph: int, text: str) -> Graph:
        """A definition, parsed only when it is new or has changed."""
        known = self._graphs.get(graph)
        if known is None or known[0] != text:
            known = self._graphs[graph] = (text, definition(text))
        return known[1]

    def messages(self, runs: Iterable[int]) -> dict[int, str]:
        return {row[0]: row[1] for row in self.fetch("messages", ids=listed(runs))}

    def child(self, run: int, number: int) -> Run | None:
        return next(map(_run, self.fetch("child", run=run, number=number)), None)

    def children(self, run: int, number: int) -> list[Run]:
        return [_run(row) for row in self.fetch("children", run=run, number=number)]

    def parts(self, run: int, limit: int = 100) -> list[Run]:
        return [_run(row) for row in self.fetch("parts", run=run, most=limit)]

    # tasks

    def task(self, run: int, number: int) -> Task | None:
        return next(map(sqlrows.task, self.fetch("task", run=run, number=number)), None)

    def tasks(
        self, run: int, state: TaskState | None = None, node: str | None = None, after: int = 0, limit: int = 1000
    ) -> list[Task]:
        given = {"state": state and str(state), "node": node}
        name = _among("tasks", given, "state", "node")
        return [sqlrows.task(row) for row in self.fetch(name, run=run, after=after, most=limit, **_given(given))]

    def results(self, references: Iterable[Reference]) -> dict[Reference, Settled]:
        found = self.fetch("results", references=listed(references))
        return {(row[0], row[1]): _settled(row[2:]) for row in found}

    def items(self, run: int, number: int) -> list[Settled]:
        return [_settled(row[:5]) for row in self.fetch("items", run=run, number=number)]

    def joined(self, run: int, number: int) -> list[Settled]:
        places = {row[0]: row[1:] for row in self.fetch("joined", run=run, number=number)}
        return [_settled(row) for row in places.values()]

    def first(self, run: int, node: str) -> Settled | None:
        return next(map(_settled, self.fetch("first", run=run, node=node)), None)

    def states(self, run: int) -> Mapping[str, Mapping[TaskState, int]]:
        found: dict[str, dict[TaskState, int]] = {}
        for node, state, count in self.fetch("states", run=run):
            found.setdefault(node, {})[TASK_STATES[state]] = count
        return found

    def traffic(self, run: int) -> list[tuple[str | None, str, int, float]]:
        rows = [(row[0], row[1], row[2], float(row[3])) for row in self.fetch("traffic", run=run)]
        return sorted(rows, key=lambda row: (row[0] or "", row[1]))

    def attempts(self, run: int, number: int | None = None) -> list[AttemptRecord]:
        name = "attempts" if number is None else "attempts_of_task"
        return [AttemptRecord(*row) for row in self.fetch(name, run=run, number=number)]

    def reviews(self, run: int | None = None, limit: int = 1000) -> list[Review]:
        if run is None:
            return [Review(*row) for row in self.fetch("reviews", most=limit)]
        return [Review(*row) for row in self.fetch("reviews_of_run", run=run, most=limit)]

    def review(self, run: int, number: int) -> Review | None:
        return next((Review(*row) for row in self.fetch("review", run=run, number=number)), None)

    # what a run keeps

    def records(self, run: int, node: str | None = None, key: str | None = None) -> list[Record]:
        given = {"node": node, "key": key}
        name = _among("records", given, "node", "key")
        return [Record(*row) for row in self.fetch(name, run=run, **_given(given))]

    def artifacts(self, run: int) -> list[Kept]:
        return [Kept(_artifact(row[:5]), row[5], row[6]) for row in self.fetch("artifacts", run=run)]

    def discarded(self, after: int = 0, limit: int = 1000) -> list[Discarded]:
        found = self.fetch("discarded", after=after, most=limit)
        return [Discarded(row[0], row[1], row[2], used=bool(row[3])) for row in found]

    def journal(self, run: int | None = None, after: int = 0, limit: int = 1000) -> list[Entry]:
        if run is None:
            return self._stream(after, limit)
        return [Entry(*row) for row in self.fetch("journal_of_run", run=run, after=after, most=limit)]

    def _stream(self, after: int, limit: int) -> list[Entry]:
        """The journal over all runs; nothing may later appear before what was answered."""
        return [Entry(*row) for row in self.fetch("journal", after=after, most=limit)]

    # schedules, queues and workers

    def schedules(self, workflows: Iterable[str] | None = None) -> list[Schedule]:
        if workflows is None:
            return [schedule_of(row) for row in self.fetch("schedule_list")]
        return [schedule_of(row) for row in self.fetch("schedules", names=listed(sorted(workflows)))]

    def queues(self) -> list[tuple[Queue, int, int]]:
        def work(fetch: Fetch) -> list[tuple[Queue, int, int]]:
            ready, busy = Counter[str](), Counter[str]()
            for counts, name in ((ready, "lane_ready"), (busy, "lane_busy")):
                for _, queue, count in fetch(name):
                    counts[queue] += count
            queues = [queue_of(row) for row in fetch("queues")]
            return [(queue, ready[queue.name], busy[queue.name]) for queue in queues]

        return sorted(self.look(work, together=True), key=lambda row: row[0].name)

    def holds(self, run: int = 0) -> list[Hold]:
        return [Hold(*row) for row in self.fetch("holds", run=run)]

    def lanes(self) -> list[tuple[Lane, int, int]]:
        def work(fetch: Fetch) -> list[tuple[Lane, int, int]]:
            ready, busy = ({row[0]: row[2] for row in fetch(name)} for name in ("lane_ready", "lane_busy"))
            lanes = [Lane(*(*row[:5], bool(row[5]))) for row in fetch("lanes_of_nodes")]
            return [(lane, ready.get(lane.id, 0), busy.get(lane.id, 0)) for lane in lanes]

        return self.look(work, together=True)

    def busy(self, limit: int = 1000) -> list[Busy]:
        return sorted(Busy(*row) for row in self.fetch("busy", most=limit))

    def lively(self) -> list[str]:
        return [row[0] for row in self.fetch("queue_lively")]

    def lively_lanes(self) -> list[tuple[str, int]]:
        return [(row[0], row[1]) for row in self.fetch("lane_lively")]

    def running_since(self) -> float | None:
        return next((row[0] for row in self.fetch("running_since")), None)

    def holding(self) -> dict[str, tuple[int, float]]:
        return {row[0]: (row[1], row[2]) for row in self.fetch("holding")}

    def workers(self) -> list[WorkerInfo]:
        return [WorkerInfo(*row) for row in self.fetch("workers")]

    def worker(self, worker: str) -> WorkerInfo | None:
        return next((WorkerInfo(*row) for row in self.fetch("worker_get", worker=worker)), None)

    # why

    def why(self, run: int, number: int) -> Why | None:
        return self.look(lambda fetch: self._why(fetch, run, number), together=True)

    def _why(self, fetch: Fetch, run: int, number: int) -> Why | None:
        found = fetch("task", run=run, number=number)
        if not found:
            return None
        task = sqlrows.task(found[0])
        graph = self._definition(task.graph, fetch("graph_get", graph=task.graph)[0][0])
        lane, queue = lane_queue(fetch("lane_of_task", run=run, number=number)[0])
        child = fetch("child", run=run, number=number)
        return Why(
            task,
            _run(fetch("run", run=run)[0]),
            graph,
            waits_for=_waits_for(fetch, graph, task),
            ahead=_ahead(fetch, task),
            queue=queue,
            free_at=fetch("rate_free", names=listed([queue.name]))[0][1],
            running=_count(fetch("lane_running", ids=listed([lane.id]))),
            in_queue=_count(fetch("queue_running", names=listed([lane.queue]))),
            lane_limit=lane.limit,
            lane_paused=lane.paused,
            workers=tuple(WorkerInfo(*row) for row in fetch("workers")),
            child=_run(child[0]).public if child else None,
            review=next((Review(*row) for row in fetch("review", run=run, number=number)), None),
            holds=tuple(Hold(*row) for row in fetch("holds", run=run)),
        )


def _among(name: str, given: Mapping[str, object], first: str, second: str) -> str:
    """The statement for the conditions that are given."""
    wanted = [key for key in (first, second) if given[key] is not None]
    return f"{name}_of_both" if len(wanted) == 2 else f"{name}_of_{wanted[0]}" if wanted else name


def _given(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _waits_for(fetch: Fetch, graph: Graph, task: Task) -> tuple[str, ...]:
    """The upstream nodes that have not settled: a handler counts with its first task, others with all."""
    sources = [edge.source for edge in graph[task.node].edges]
    if not sources:
        return ()
    numbers = {graph.number(name): name for name in sources if graph[name].arity is not Arity.handler}
    done = {numbers[row[0]] for row in fetch("why_settled", run=task.run, ids=listed(numbers))}
    if len(numbers) < len(sources):
        done |= {row[0] for row in fetch("why_handled", run=task.run)}
    return tuple(name for name in sources if name not in done)


def _ahead(fetch: Fetch, task: Task) -> int:
    """How many tasks of the same serial key come first."""
    if task.key is None:
        return 0
    same = {"run": task.run, "key": task.key}
    before = fetch("why_ahead", **same, node=task.node, number=task.number)[0][0]
    return int(before) + sum(bool(row[0] != task.number) for row in fetch("why_head", **same))


def _count(rows: list[Row]) -> int:
    """How many, of what was counted by one name: nothing is counted as no row."""
    return int(rows[0][1]) if rows else 0


def _run(row: Row) -> Run:
    return Run(row[0], row[1], RUN_STATES[row[2]], row[3], bool(row[4]), bool(row[5]), *row[6:])


def _artifact(row: Row) -> Artifact:
    values = (*row[:4], tuple(json.loads(row[4])))
    return Artifact(*values)


def _settled(row: Row) -> Settled:
    return Settled(TASK_STATES[row[0]], *row[1:])
