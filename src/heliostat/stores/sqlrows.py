"""The rows of a ledger as SQL statements by name; a database says how to run them.

``SqlRows`` is ``rows.Rows`` over three verbs: ``run`` a statement, ``fetch`` what it answers, and carry it out for
``many`` rows at once. Statements are files; see ``statements``.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from heliostat.graph import Graph
from heliostat.queue import Lane, Queue, Terms
from heliostat.rerun import Count
from heliostat.review import Review
from heliostat.run import RunState
from heliostat.stores import rows as shapes
from heliostat.stores.rows import Arrived, Due, FenceState, RunRow
from heliostat.task import Attempt, Task, TaskState
from heliostat.trigger import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heliostat.artifact import Artifact
    from heliostat.queue import Hold, WorkerInfo
    from heliostat.store import Reference

Row = tuple[Any, ...]

RUN_STATES = {str(state): state for state in RunState}
TASK_STATES = {str(state): state for state in TaskState}


class SqlRows(ABC):
    """A transaction on a database's rows; implements ``rows.Rows``."""

    @abstractmethod
    def run(self, name: str, /, **values: object) -> int:
        """Carry out a statement; answers how many rows it changed."""

    @abstractmethod
    def fetch(self, name: str, /, **values: object) -> list[Row]:
        """Carry out a statement; answers its rows."""

    @abstractmethod
    def many(self, name: str, fields: Sequence[str], rows: Sequence[Row]) -> int:
        """Carry out a statement for each row; answers how many rows it changed in all."""

    def expect(self, n: int, name: str, fields: Sequence[str], rows: Sequence[Row]) -> None:
        """Carry out a statement for each row; raises Stale, at the latest before the commit, if that is not ``n``."""
        if self.many(name, fields, rows) != n:
            raise shapes.Stale

    # Where nobody asks what a statement changed, a database need not be waited for.

    def later(self, name: str, /, **values: object) -> None:
        """Carry out a statement, at the latest before the next answer."""
        self.run(name, **values)

    def many_later(self, name: str, fields: Sequence[str], rows: Sequence[Row]) -> None:
        """Carry out a statement for each row, at the latest before the next answer."""
        self.many(name, fields, rows)

    # runs

    def run_lock(self, ids: Sequence[int]) -> list[RunRow]:
        found = self.fetch("run_lock", ids=listed(ids))
        return [RunRow._make((*r[:6], RUN_STATES[r[6]], bool(r[7]), bool(r[8]), *r[9:])) for r in found]

    def run_insert(self, runs: Sequence[shapes.NewRun]) -> None:
        self.many_later("run_insert", shapes.NewRun._fields, runs)

    def run_change(self, changes: Sequence[shapes.RunChange]) -> None:
        self.many_later("run_change", shapes.RunChange._fields, changes)

    def run_parent(self, ids: Sequence[int]) -> list[int]:
        return [row[0] for row in self.fetch("run_parent", ids=listed(ids)) if row[0] is not None]

    def run_told(self, run: int) -> tuple[int, str] | None:
        found = self.fetch("run_told", run=run)
        return (found[0][0], found[0][1]) if found and found[0][0] is not None else None

    def run_by_key(self, workflow: str, key: str) -> tuple[int, str] | None:
        found = self.fetch("run_by_key", workflow=workflow, key=key)
        return (found[0][0], found[0][1]) if found else None

    def run_key(self, run: int) -> str | None:
        found = self.fetch("run_key", run=run)
        return found[0][0] if found else None

    def run_rekey(self, run: int, key: str) -> None:
        self.later("run_rekey", run=run, key=key)

    def run_overdue(self, now: float, limit: int) -> list[int]:
        return [row[0] for row in self.fetch("run_overdue", now=now, most=limit)]

    def run_next_deadline(self) -> float | None:
        found = self.fetch("run_next_deadline")
        return found[0][0] if found else None

    def run_dated(self, run: int, deadline_at: float | None) -> None:
        self.later("run_dated", run=run, deadline_at=deadline_at)

    def run_leftover(self, limit: int) -> list[int]:
        return [row[0] for row in self.fetch("run_leftover", most=limit)]

    def run_swept(self, ids: Sequence[int]) -> None:
        self.later("run_swept", ids=listed(ids))

    # tasks

    def task_insert(self, tasks: Sequence[shapes.NewTask]) -> None:
        self.many_later("task_insert", shapes.NewTask._fields, tasks)

    def task_settle(self, successes: Sequence[shapes.Success], others: Sequence[shapes.Fence]) -> None:
        for name, shape, fences in (("task_succeed", shapes.Success, successes), ("task_settle", shapes.Fence, others)):
            if fences:
                self.expect(len(fences), name, shape._fields, fences)

    def task_fences(self, references: Sequence[Reference]) -> dict[Reference, FenceState]:
        found = self.fetch("task_fences", references=listed(references))
        return {(r[0], r[1]): FenceState(TASK_STATES[r[2]], *r[3:]) for r in found}

    @abstractmethod
    def task_arrive(self, arrivals: Sequence[shapes.Arrival]) -> list[Arrived]:
        """Count down waiting tasks; see ``rows.Rows``."""

    @abstractmethod
    def task_gate(self, run: int, node: str, unmet: int, *, failing: bool) -> list[Arrived]:
        """The gate of a handler opens; see ``rows.Rows``."""

    def task_finish(self, finishes: Sequence[shapes.Finish]) -> None:
        self.many_later("task_finish", shapes.Finish._fields, finishes)

    def task_expand(self, expansions: Sequence[shapes.Expand]) -> None:
        self.many_later("task_expand", shapes.Expand._fields, expansions)

    def task_turn(self, keys: Iterable[tuple[int, str]]) -> None:
        if wanted := sorted(keys):
            self.many_later("task_turn", ("run", "key"), wanted)

    def task_cancel(self, run: int, reason: str, now: float, limit: int) -> int:
        return self.run("task_cancel", run=run, reason=reason, now=now, most=limit)

    def task_hold(self, run: int, *, held: bool) -> None:
        self.later("task_hold", run=run, held=held)
        self.later("task_hold_running", run=run, held=held)

    def task_open(self, run: int) -> int:
        count: int = self.fetch("task_open", run=run)[0][0]
        return count

    def task_by_key(self, run: int, node: str, key: str) -> tuple[int, str | None] | None:
        found = self.fetch("task_by_key", run=run, node=node, key=key)
        return (found[0][0], found[0][1]) if found else None

    def task_get(self, run: int, number: int) -> Task | None:
        return next(map(task, self.fetch("task", run=run, number=number)), None)

    def task_failed(self, run: int, number: int) -> bool:
        return bool(self.fetch("task_failed", run=run, number=number)[0][0])

    def task_of_worker(self, worker: str) -> list[Attempt]:
        return [attempt(row) for row in self.fetch("task_of_worker", worker=worker)]

    def task_adopt(self, attempts: Sequence[Attempt], worker: str, now: float) -> list[Attempt]:
        del now  # the work began when it began
        wanted = [(*a.task, a.count, worker) for a in attempts]
        self.many_later("task_adopt", ("run", "number", "attempt", "worker"), wanted)
        references = listed([a.task for a in attempts])
        return [attempt(row) for row in self.fetch("task_adopted", references=references, worker=worker)]

    def task_due(self, now: float, limit: int) -> list[Due]:
        return [Due(*row) for row in self.fetch("task_due", now=now, most=limit)]

    def task_promote(self, due: Sequence[Due], now: float) -> None:
        del now  # whatever was due then is due
        self.many_later("task_promote", Due._fields, due)

    def task_next_due(self) -> float | None:
        found = self.fetch("task_next_due")
        return found[0][0] if found else None

    # reviews

    def review_ask(self, asked: Sequence[shapes.Asking]) -> None:
        self.many_later("review_ask", shapes.Asking._fields, asked)

    def review_find(self, run: int, number: int) -> Review | None:
        found = self.fetch("review", run=run, number=number)
        return Review(*found[0]) if found else None

    def review_claim(self, run: int, number: int, by: str | None, at: float | None) -> None:
        self.later("review_claim", run=run, number=number, by=by, at=at)

    def review_close(self, closed: Sequence[Reference]) -> None:
        self.many_later("review_close", ("run", "number"), closed)

    def review_close_all(self, run: int) -> None:
        self.later("review_close_all", run=run)

    def task_decide(
        self, run: int, number: int, state: TaskState, result: str | None, reason: str | None, now: float
    ) -> bool:
        values = {"state": str(state), "result": result, "reason": reason, "now": now}
        return self.run("task_decide", run=run, number=number, **values) == 1

    # a run that goes on after it has failed

    def task_failures(self, run: int) -> list[tuple[int, str]]:
        return [(row[0], row[1]) for row in self.fetch("task_failures", run=run)]

    def task_again(self, tasks: Sequence[tuple[int, int, int, int]]) -> None:
        self.many_later("task_again", ("run", "number", "missing", "unmet"), tasks)

    def task_revive(self, run: int, now: float) -> None:
        self.later("task_revive", run=run, now=now)
        self.later("task_unkey", run=run)

    def task_reask(self, run: int, nodes: Iterable[str]) -> None:
        self.many_later("task_reask", ("run", "node"), [(run, node) for node in sorted(nodes)])

    def task_keys(self, run: int) -> list[str]:
        return [row[0] for row in self.fetch("task_keys", run=run)]

    def task_heard(self, run: int) -> list[tuple[int, str, int]]:
        return [(row[0], row[1], row[2]) for row in self.fetch("task_heard", run=run)]

    def task_call_off(self, run: int, number: int, reason: str) -> bool:
        return self.run("task_call_off", run=run, number=number, reason=reason) == 1

    def task_set(self, run: int, number: int, priority: int) -> bool:
        return self.run("task_set", run=run, number=number, priority=priority) == 1

    # a run that takes over what another one has settled

    def task_counts(self, run: int) -> list[Count]:
        return [Count(row[0], row[1], TASK_STATES[row[2]], row[3]) for row in self.fetch("task_counts", run=run)]

    def gate_firsts(self, run: int) -> dict[str, int]:
        return dict(self.fetch("gate_firsts", run=run))

    def run_carry(self, run: int, to: int, nodes: Sequence[shapes.Carried], graph: int, shift: int) -> None:
        values = {"run": run, "to": to, "nodes": listed(nodes), "graph": graph, "shift": shift}
        for table in ("task", "record", "artifact", "gate"):
            self.later(f"{table}_carry", **values)

    # runs that are part of another

    def run_parts(self, run: int, node: str, limit: int) -> list[int]:
        return [row[0] for row in self.fetch("run_parts", run=run, node=node, most=limit)]

    def task_parts(self, run: int, node: str) -> list[tuple[int, TaskState, int]]:
        return [(row[0], TASK_STATES[row[1]], row[2]) for row in self.fetch("task_parts", run=run, node=node)]

    def task_await(self, tasks: Sequence[Reference]) -> None:
        self.many_later("task_await", ("run", "number"), tasks)

    # gates

    def gate_first(self, run: int, node: str, number: int) -> bool:
        return self.run("gate_first", run=run, node=node, number=number) == 1

    def gate_arrive(self, run: int, node: str, waits: int, by: int, unmet: int) -> tuple[int, int]:
        self.later("gate_arrive", run=run, node=node, waits=waits, by=by, unmet=unmet)
        return self.gate_state(run, node) or (waits, 0)

    def gate_state(self, run: int, node: str) -> tuple[int, int] | None:
        found = self.fetch("gate_state", run=run, node=node)
        return (found[0][0], found[0][1]) if found else None

    # what a run keeps

    def record_put(self, records: Sequence[tuple[int, str, str | None, int, str]]) -> None:
        newest: dict[object, Row] = {}
        for place, row in enumerate(records):
            name: object = row[:3] if row[2] is not None else place
            newest.pop(name, None)
            newest[name] = row
        self.many_later("record_put", ("run", "node", "key", "number", "value"), list(newest.values()))

    def artifact_insert(self, kept: Sequence[tuple[int, int, Artifact, float]]) -> None:
        fields = ("run", "number", "name", "digest", "size", "media_type", "tags", "at")
        rows = [
            (run, number, a.name, a.digest, a.size, a.media_type, json.dumps(a.tags), at) for run, number, a, at in kept
        ]
        self.many_later("artifact_insert", fields, rows)

    def attempt_insert(self, attempts: Sequence[shapes.PastAttempt]) -> None:
        self.many_later("attempt_insert", shapes.PastAttempt._fields, attempts)

    def journal_insert(self, entries: Sequence[tuple[int, float, str, str]]) -> None:
        self.many_later("journal_insert", ("run", "at", "actor", "event"), entries)

    # definitions, queues, lanes, leases

    def graph_same(self, name: str, version: str) -> list[Graph]:
        return [definition(row[0]) for row in self.fetch("graph_same", name=name, version=version)]

    def graph_insert(self, graph: Graph, now: float) -> bool:
        new = {"id": graph.id, "name": graph.name, "version": graph.version, "definition": _text(graph), "now": now}
        return self.run("graph_insert", **new) == 1

    def graph_lock(self, graph: int) -> Graph | None:
        found = self.fetch("graph_lock", graph=graph)
        return definition(found[0][0]) if found else None

    def graph_change(self, graph: Graph, now: float | None = None) -> None:
        self.later("graph_change", id=graph.id, definition=_text(graph), now=now)

    def graph_get(self, graph: int) -> Graph | None:
        found = self.fetch("graph_get", graph=graph)
        return definition(found[0][0]) if found else None

    def lane_list(self, graphs: Iterable[int] | None = None) -> list[tuple[Lane, Queue]]:
        if graphs is None:
            return [lane_queue(row) for row in self.fetch("lane_list_all")]
        return [lane_queue(row) for row in self.fetch("lane_list", ids=listed(sorted(graphs)))]

    def lane_soon(self, graphs: Iterable[int]) -> None:
        del graphs  # a database at hand is asked when it is time

    def lane_insert(self, lanes: Sequence[Lane]) -> None:
        self.many_later("queue_insert", ("name",), [(name,) for name in sorted({lane.queue for lane in lanes})])
        self.many_later("lane_insert", LANE, sorted(map(_lane_row, lanes), key=lambda row: row[0]))

    def lane_set(self, lane: Lane) -> None:
        self.many_later("queue_insert", ("name",), [(lane.queue,)])
        self.later("lane_set", **dict(zip(LANE, _lane_row(lane), strict=True)))
        self.later("lane_adopt", id=lane.id, graph=lane.graph, node=lane.node)
        self.later("lane_adopt_running", id=lane.id, graph=lane.graph, node=lane.node)

    def queue_get(self, name: str) -> Queue | None:
        found = self.fetch("queue_get", name=name)
        return queue_of(found[0]) if found else None

    def queue_have(self, name: str) -> Queue:
        self.many_later("queue_insert", ("name",), [(name,)])
        return queue_of(self.fetch("queue_get", name=name)[0])

    def queue_set(self, queue: Queue) -> None:
        values = {"name": queue.name, "most": queue.limit, "paused": queue.paused, "rate": queue.rate}
        values |= {"configured_most": queue.configured.limit, "configured_rate": queue.configured.rate}
        self.later("queue_set", **values, by_hand=" ".join(sorted(queue.by_hand)))

    def queue_free(self, queues: Sequence[str]) -> dict[str, float]:
        return dict(self.fetch("rate_free", names=listed(queues)))

    def queue_taken(self, queue: str, free_at: float) -> None:
        self.later("rate_taken", name=queue, free_at=free_at)

    def lane_running(self, queues: Sequence[str], lanes: Sequence[int]) -> tuple[dict[str, int], dict[int, int]]:
        by_queue, by_lane = dict.fromkeys(queues, 0), dict.fromkeys(lanes, 0)
        if queues:
            by_queue |= {row[0]: row[1] for row in self.fetch("queue_running", names=listed(queues))}
        if lanes:
            by_lane |= {row[0]: row[1] for row in self.fetch("lane_running", ids=listed(lanes))}
        return by_queue, by_lane

    @abstractmethod
    def task_lease(
        self, worker: str, lanes: Sequence[tuple[Lane, int]], n: int, now: float, strays: shapes.Strays
    ) -> tuple[list[Attempt], int]:
        """Take ready tasks from lanes of one queue; see ``rows.Rows``."""

    def task_move(self, strays: shapes.Strays, limit: int) -> None:
        fields = ("lane", "node", "own", "most")
        self.many_later("task_move", fields, [(*place, own, limit) for place, own in sorted(strays.items())])

    # schedules

    def schedule_insert(self, schedule: Schedule) -> None:
        self.later("schedule_insert", workflow=schedule.workflow, graph=schedule.graph, next_at=schedule.next_at)

    def schedule_lock(self, workflows: Sequence[str]) -> list[Schedule]:
        return [schedule_of(row) for row in self.fetch("schedule_lock", names=listed(sorted(workflows)))]

    def schedule_list(self) -> list[Schedule]:
        return [schedule_of(row) for row in self.fetch("schedule_list")]

    def schedule_fire(self, schedule: Schedule, next_at: float, last_at: float | None) -> bool:
        return self._schedule("schedule_fire", schedule, to=next_at, last_at=last_at)

    def schedule_follow(self, schedule: Schedule, graph: int, next_at: float) -> bool:
        return self._schedule("schedule_follow", schedule, follows=graph, to=next_at)

    def schedule_drop(self, schedule: Schedule) -> bool:
        return self._schedule("schedule_drop", schedule)

    def hold_set(self, hold: Hold, *, on: bool) -> None:
        what = {"run": hold.run, "kind": hold.kind, "name": hold.name}
        if on:
            self.later("hold_set", **what, at=hold.at, actor=hold.actor, reason=hold.reason)
        else:
            self.later("hold_drop", **what)

    def schedule_pause(self, workflow: str, next_at: float, *, paused: bool) -> None:
        self.later("schedule_pause", workflow=workflow, next_at=next_at, paused=paused)

    def _schedule(self, name: str, read: Schedule, **values: object) -> bool:
        """Change a schedule that is as it was read; answers whether it was."""
        return self.run(name, workflow=read.workflow, graph=read.graph, next_at=read.next_at, **values) == 1

    # workers

    def worker_beat(self, worker: WorkerInfo, now: float) -> bool:
        names = ("id", "host", "pid", "process", "queues", "offers", "started_at", "state", "code", "site")
        return self.run("worker_beat", now=now, **{name: getattr(worker, name) for name in names}) == 1

    def worker_drain(self, worker: str) -> bool:
        return self.run("worker_drain", worker=worker) == 1

    def worker_state(self, worker: str) -> str | None:
        found = self.fetch("worker_state", worker=worker)
        return found[0][0] if found else None

    def worker_stops(self, worker: str) -> dict[Reference, bool]:
        return {(row[0], row[1]): bool(row[2]) for row in self.fetch("worker_stops", worker=worker)}

    def worker_lose(self, worker: str, beat: int) -> bool:
        return self.run("worker_lose", worker=worker, beat=beat) == 1


LANE = ("id", "queue", "graph", "node", "most", "paused")


def listed(values: Iterable[object]) -> str:
    """A list as JSON text, the way in which statements take sets."""
    return to_json(list(values)).decode()


def attempt(row: Row) -> Attempt:
    """An attempt from the columns of ``_attempt.sql``."""
    values = (*row[:13], row[13] or 0.0, row[14], bool(row[15]), row[16])
    return Attempt(*values)


def task(row: Row) -> Task:
    """A task from the columns of ``_task.sql``."""
    values = (*row[:3], TASK_STATES[row[3]], *row[4:7], bool(row[7]), *row[8:])
    return Task(*values)


def schedule_of(row: Row) -> Schedule:
    """A schedule from the columns of ``_schedule.sql``."""
    workflow, graph, next_at, last_at, paused = row
    return Schedule(workflow, graph, next_at, last_at, bool(paused))


def definition(text: str) -> Graph:
    """A definition as it was registered."""
    return Graph.from_json(json.loads(text))


def _text(graph: Graph) -> str:
    return json.dumps(graph.to_json(), ensure_ascii=False)


def lane_queue(row: Row) -> tuple[Lane, Queue]:
    """A lane and its queue from the columns of ``_lane.sql``."""
    lane = (*row[:5], bool(row[5]))
    return Lane(*lane), queue_of(row[6:])


def queue_of(row: Row) -> Queue:
    """A queue from the columns of ``_queue.sql``."""
    return Queue(row[0], row[1], bool(row[2]), row[3], Terms(row[4], row[5]), frozenset(row[6].split()))


def _lane_row(lane: Lane) -> Row:
    return (lane.id, lane.queue, lane.graph, lane.node, lane.limit, lane.paused)
