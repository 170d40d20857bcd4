"""The memory store: the reference by which the databases are judged, for tests, simulation and a first try.

One process, nothing survives it. A transaction that raises is undone row by row.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from heliostat.errors import NotFound
from heliostat.graph import Arity
from heliostat.queue import Hold, Lane, Queue, Why, WorkerInfo
from heliostat.rerun import Count
from heliostat.review import Review
from heliostat.run import Run, RunState
from heliostat.store import SEVERAL, About, AttemptRecord, Busy, Discarded, Entry, Kept, Record, Settled
from heliostat.stores.ledger import Ledger
from heliostat.stores.pruning import unneeded
from heliostat.stores.rows import Arrived, Due, FenceState, RunRow, Stale
from heliostat.task import Attempt, Task, TaskState
from heliostat.trigger import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from heliostat.artifact import Artifact
    from heliostat.graph import Graph
    from heliostat.store import Reference
    from heliostat.stores.rows import (
        Arrival,
        Asking,
        Carried,
        Expand,
        Fence,
        Finish,
        NewRun,
        NewTask,
        PastAttempt,
        RunChange,
        Strays,
        Success,
    )

P = ParamSpec("P")
R = TypeVar("R")

READY, RUNNING, PENDING, WAITING = TaskState.ready, TaskState.running, TaskState.pending, TaskState.waiting


@dataclass(slots=True, eq=False)
class TaskRow:
    """A task's row; only ``MemoryRows.change`` writes it."""

    seq: int
    run: int
    number: int
    lane: int
    node: str
    item: int | None
    state: TaskState
    held: bool
    priority: int
    key: str | None
    missing: int
    unmet: int
    width: int | None
    block: int | None
    join: int | None
    place: int | None
    cause: int | None
    message: str | None
    idempotency_key: str | None
    due_at: float | None
    epilogue: bool
    reason: str | None
    created_at: float
    ended_at: float | None
    holds: bool = False
    count: int = 0
    failures: int = 0
    rescues: int = 0
    settled: int = 0
    worker: str | None = None
    started_at: float | None = None
    result: str | None = None


@dataclass
class Tables:
    """Everything the store holds. ``ready``, ``running`` and ``waiting`` are indexes that ``MemoryRows`` keeps."""

    runs: dict[int, Run] = field(default_factory=dict)
    tasks: dict[int, dict[int, TaskRow]] = field(default_factory=lambda: defaultdict(dict))
    graphs: dict[int, Graph] = field(default_factory=dict)
    lanes: dict[int, Lane] = field(default_factory=dict)
    queues: dict[str, Queue] = field(default_factory=dict)
    free_at: dict[str, float] = field(default_factory=dict)
    gates: dict[tuple[int, str], tuple[int, int]] = field(default_factory=dict)
    firsts: dict[tuple[int, str], int] = field(default_factory=dict)
    reviews: dict[tuple[int, int], Review] = field(default_factory=dict)
    records: dict[int, dict[Any, Record]] = field(default_factory=lambda: defaultdict(dict))
    artifacts: dict[int, list[Kept]] = field(default_factory=lambda: defaultdict(list))
    attempts: dict[int, list[AttemptRecord]] = field(default_factory=lambda: defaultdict(list))
    journal: list[Entry] = field(default_factory=list)
    holds: dict[int, dict[tuple[str, str], Hold]] = field(default_factory=dict)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    run_keys: dict[tuple[str, str], int] = field(default_factory=dict)
    task_keys: dict[tuple[int, str, str], int] = field(default_factory=dict)
    workers: dict[str, WorkerInfo] = field(default_factory=dict)
    ready: dict[int, list[tuple[int, int, TaskRow]]] = field(default_factory=lambda: defaultdict(list))
    running: dict[int, set[TaskRow]] = field(default_factory=lambda: defaultdict(set))
    waiting: set[TaskRow] = field(default_factory=set)
    leftover: dict[int, bool] = field(default_factory=dict)
    dated: dict[int, bool] = field(default_factory=dict)  # runs that were given a deadline
    discarded: list[tuple[int, int, str | None]] = field(default_factory=list)
    seq: int = 0

    def task(self, row: TaskRow) -> Task:
        """A task as it is read."""
        lane = self.lanes[row.lane]
        names = [name for name in Task.__dataclass_fields__ if name not in ("graph", "queue")]
        return Task(graph=lane.graph, queue=lane.queue, **{name: getattr(row, name) for name in names})


class MemoryRows:
    """One transaction on the tables; implements ``rows.Rows``."""

    def __init__(self, tables: Tables) -> None:
        self.t = tables
        self.undo: list[Callable[[], object]] = []

    # one row

    def change(self, task: TaskRow, **values: Any) -> None:
        """Write fields of a task, keep the indexes, and remember how to undo it."""
        before = {name: getattr(task, name) for name in values}
        self._unindex(task)
        for name, value in values.items():
            setattr(task, name, value)
        self._index(task)
        self.undo.append(lambda: self._restore(task, before))

    def _restore(self, task: TaskRow, before: dict[str, Any]) -> None:
        self._unindex(task)
        for name, value in before.items():
            setattr(task, name, value)
        self._index(task)

    def _index(self, task: TaskRow) -> None:
        if task.state is READY and not task.held:
            insort(self.t.ready[task.lane], (-task.priority, task.seq, task), key=_rank)
        elif task.state is RUNNING:
            self.t.running[task.lane].add(task)
        elif task.state is WAITING and not task.held:
            self.t.waiting.add(task)

    def _unindex(self, task: TaskRow) -> None:
        if task.state is READY and not task.held:
            lane = self.t.ready[task.lane]
            del lane[bisect_left(lane, (-task.priority, task.seq), key=_rank)]
        elif task.state is RUNNING:
            self.t.running[task.lane].discard(task)
        elif task.state is WAITING and not task.held:
            self.t.waiting.discard(task)

    def put(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        """Write an entry of a table and remember how to undo it."""
        if key in table:
            old = table[key]
            self.undo.append(lambda: table.__setitem__(key, old))
        else:
            self.undo.append(lambda: table.pop(key, None))
        table[key] = value

    def take(self, table: dict[Any, Any], key: Any) -> None:
        """Take an entry out of a table, if it is there, and remember how to undo it."""
        if key in table:
            old = table.pop(key)
            self.undo.append(lambda: table.__setitem__(key, old))

    def append(self, rows: list[Any], value: Any) -> None:
        """Append to a list and remember how to undo it."""
        rows.append(value)
        self.undo.append(rows.pop)

    def _next(self) -> int:
        self.t.seq += 1  # a number that a transaction did not use after all is no harm
        return self.t.seq

    # runs

    def run_lock(self, ids: Sequence[int]) -> list[RunRow]:
        found = [self.t.runs[run] for run in ids if run in self.t.runs]
        return [RunRow._make(getattr(run, name) for name in RunRow._fields) for run in found]

    def run_insert(self, runs: Sequence[NewRun]) -> None:
        for new in runs:
            fields = new._asdict()
            self.put(self.t.runs, new.id, Run(state=RunState.active, **fields))
            if new.idempotency_key is not None:
                self.put(self.t.run_keys, (self.t.graphs[new.graph].name, new.idempotency_key), new.id)
            if new.deadline_at is not None:
                self.put(self.t.dated, new.id, True)

    def run_change(self, changes: Sequence[RunChange]) -> None:
        for change in changes:
            fields = change._asdict()
            self.put(self.t.runs, change.id, replace(self.t.runs[change.id], **fields))
            self.put(self.t.leftover, change.id, change.state.final and change.open > 0)

    def run_parent(self, ids: Sequence[int]) -> list[int]:
        runs = (self.t.runs.get(i) for i in ids)
        return [run.parent for run in runs if run and run.parent is not None]

    def run_told(self, run: int) -> tuple[int, str] | None:
        child = self.t.runs.get(run)
        if child is None or child.parent is None or child.parent_task is None:
            return None
        return child.parent, self.t.tasks[child.parent][child.parent_task].node

    def run_by_key(self, workflow: str, key: str) -> tuple[int, str] | None:
        run = self.t.runs.get(self.t.run_keys.get((workflow, key), 0))
        return None if run is None else (run.id, run.message)

    def run_key(self, run: int) -> str | None:
        return self.t.runs[run].idempotency_key if run in self.t.runs else None

    def run_rekey(self, run: int, key: str) -> None:
        old = self.t.runs[run]
        name = self.t.graphs[old.graph].name
        self.take(self.t.run_keys, (name, old.idempotency_key))
        self.put(self.t.run_keys, (name, key), run)
        self.put(self.t.runs, run, replace(old, idempotency_key=key))

    def run_overdue(self, now: float, limit: int) -> list[int]:
        return [run for deadline_at, run in self._dated() if deadline_at <= now][:limit]

    def run_next_deadline(self) -> float | None:
        return next((deadline_at for deadline_at, _ in self._dated()), None)

    def _dated(self) -> list[tuple[float, int]]:
        runs = [self.t.runs[run] for run in self.t.dated]
        live = [run for run in runs if run.state is RunState.active and not run.closing]
        return sorted((run.deadline_at, run.id) for run in live if run.deadline_at is not None)

    def run_dated(self, run: int, deadline_at: float | None) -> None:
        self.put(self.t.runs, run, replace(self.t.runs[run], deadline_at=deadline_at))
        self.put(self.t.dated, run, True)

    def run_leftover(self, limit: int) -> list[int]:
        return sorted(run for run, leftover in self.t.leftover.items() if leftover)[:limit]

    def run_swept(self, ids: Sequence[int]) -> None:
        for run in ids:
            self.put(self.t.leftover, run, False)

    # tasks

    def task_insert(self, tasks: Sequence[NewTask]) -> None:
        for new in tasks:
            task = TaskRow(self._next(), *new)
            if new.number in self.t.tasks[new.run]:
                raise AssertionError(f"task {new.run}/{new.number} is born twice")
            self.put(self.t.tasks[new.run], new.number, task)
            if new.idempotency_key is not None:
                self.put(self.t.task_keys, (new.run, new.node, new.idempotency_key), new.number)
            self._index(task)
            self.undo.append(partial(self._unindex, task))

    def task_settle(self, successes: Sequence[Success], others: Sequence[Fence]) -> None:
        for done in successes:
            changes = {"result": done.result, "ended_at": done.ended_at, "settled": done.attempt}
            self._settle(done, state=TaskState.succeeded, reason=None, due_at=None, holds=False, **changes)
        for fence in others:
            self._settle(fence, **dict(zip(fence._fields[:9], fence[:9], strict=True)))

    def _settle(self, fence: Success | Fence, **changes: object) -> None:
        task = self.t.tasks[fence.run].get(fence.number)
        if not task or task.state is not RUNNING or (task.count, task.worker) != (fence.attempt, fence.worker):
            raise Stale
        self.change(task, **changes)

    def task_fences(self, references: Sequence[Reference]) -> dict[Reference, FenceState]:
        found = {r: self.t.tasks[r[0]].get(r[1]) for r in references}
        return {
            r: FenceState(t.state, t.count, t.settled, t.worker, t.reason if t.unmet else None)
            for r, t in found.items()
            if t
        }

    def task_arrive(self, arrivals: Sequence[Arrival]) -> list[Arrived]:
        found = []
        for arrival in arrivals:
            task = self.t.tasks[arrival.run].get(arrival.number)
            if task is None or task.state not in (PENDING, WAITING, TaskState.cancelled):
                continue
            missing, unmet = task.missing - arrival.by, task.unmet + arrival.unmet
            ready = not (missing or unmet or arrival.decide or task.key) and task.state is PENDING
            width = arrival.width if arrival.width is not None else task.width
            self.change(task, missing=missing, unmet=unmet, width=width, state=READY if ready else task.state)
            found.append(_arrived(task))
        return found

    def task_gate(self, run: int, node: str, unmet: int, *, failing: bool) -> list[Arrived]:
        waiting = (TaskState.cancelled,) if failing else (PENDING, WAITING)
        found = []
        for task in list(self.t.tasks[run].values()):
            if task.node == node and task.state in waiting and task.missing > 0:
                missing = task.missing - 1
                ready = not (missing or unmet or task.key) and task.state is PENDING
                self.change(task, missing=missing, unmet=task.unmet + unmet, state=READY if ready else task.state)
                found.append(_arrived(task))
        return found

    def task_finish(self, finishes: Sequence[Finish]) -> None:
        for f in finishes:
            task = self.t.tasks[f.run][f.number]
            self.change(task, state=f.state, reason=f.reason, width=f.width, ended_at=f.ended_at)

    def task_expand(self, expansions: Sequence[Expand]) -> None:
        for e in expansions:
            task = self.t.tasks[e.run][e.number]
            state = task.state if task.state is TaskState.cancelled else READY
            self.change(task, state=state, width=e.width, block=e.block, item=None if e.width is None else 0)

    def task_turn(self, keys: Iterable[tuple[int, str]]) -> None:
        for run, key in keys:
            same = [task for task in self.t.tasks[run].values() if task.key == key]
            if any(task.holds for task in same):
                continue
            waiting = [task for task in same if task.state is PENDING and not task.missing and not task.unmet]
            if waiting:
                self.change(min(waiting, key=lambda t: (-t.priority, t.number)), state=READY, holds=True)

    def task_cancel(self, run: int, reason: str, now: float, limit: int) -> int:
        done = 0
        for task in list(self.t.tasks[run].values()):
            if done < limit and task.state in (PENDING, READY, WAITING) and not task.epilogue:
                self.change(task, state=TaskState.cancelled, reason=reason, ended_at=now)
                done += 1
        return done

    def task_hold(self, run: int, *, held: bool) -> None:
        for task in self.t.tasks[run].values():
            if not task.state.final:
                self.change(task, held=held)

    def task_open(self, run: int) -> int:
        return sum(not task.state.final for task in self.t.tasks[run].values())

    def task_by_key(self, run: int, node: str, key: str) -> tuple[int, str | None] | None:
        number = self.t.task_keys.get((run, node, key))
        return None if number is None else (number, self.t.tasks[run][number].message)

    def task_get(self, run: int, number: int) -> Task | None:
        row = self.t.tasks.get(run, {}).get(number)
        return None if row is None else self.t.task(row)

    def task_failed(self, run: int, number: int) -> bool:
        return any(task.state is TaskState.failed for task in _items(self.t.tasks[run], number))

    def task_of_worker(self, worker: str) -> list[Attempt]:
        rows = [task for lane in self.t.running.values() for task in lane if task.worker == worker]
        return [self._attempt(task) for task in sorted(rows, key=lambda task: task.seq)]

    def task_adopt(self, attempts: Sequence[Attempt], worker: str, now: float) -> list[Attempt]:
        found = []
        for attempt in attempts:
            task = self.t.tasks[attempt.run][attempt.number]
            self.change(task, worker=worker, count=task.count + 1)
            found.append(self._attempt(task))
        return found

    def task_due(self, now: float, limit: int) -> list[Due]:
        return [Due(task.run, task.number, task.key) for due_at, task in self._waiting() if due_at <= now][:limit]

    def task_promote(self, due: Sequence[Due], now: float) -> None:
        for run, number, _ in due:
            task = self.t.tasks[run][number]
            waits = task.missing or (task.key and not task.holds)
            self.change(task, state=PENDING if waits else READY)

    def task_next_due(self) -> float | None:
        return next((due_at for due_at, _ in self._waiting()), None)

    def _waiting(self) -> list[tuple[float, TaskRow]]:
        """What waits for a time, in its order."""
        due = [(task.due_at, task) for task in self.t.waiting if task.due_at is not None]
        return sorted(due, key=lambda found: (found[0], found[1].seq))

    # reviews

    def review_ask(self, asked: Sequence[Asking]) -> None:
        for ask in asked:
            if ask[:2] not in self.t.reviews:
                task = self.t.tasks[ask.run][ask.number]
                self.put(self.t.reviews, ask[:2], Review(*ask[:2], task.node, task.item, *ask[2:]))

    def review_find(self, run: int, number: int) -> Review | None:
        return self.t.reviews.get((run, number))

    def review_claim(self, run: int, number: int, by: str | None, at: float | None) -> None:
        self.put(self.t.reviews, (run, number), replace(self.t.reviews[run, number], claimed_by=by, claimed_at=at))

    def review_close(self, closed: Sequence[Reference]) -> None:
        for reference in closed:
            self.take(self.t.reviews, reference)

    def review_close_all(self, run: int) -> None:
        self.review_close([reference for reference in self.t.reviews if reference[0] == run])

    def task_decide(
        self, run: int, number: int, state: TaskState, result: str | None, reason: str | None, now: float
    ) -> bool:
        task = self.t.tasks[run].get(number)
        if task is None or task.state not in (READY, WAITING, TaskState.failed):
            return False
        self.change(task, state=state, result=result, reason=reason, ended_at=now, due_at=None, holds=False)
        self.change(task, worker=None, started_at=None)
        return True

    # a run that goes on after it has failed

    def task_failures(self, run: int) -> list[tuple[int, str]]:
        failed = [task for task in self.t.tasks[run].values() if task.state is TaskState.failed and not task.epilogue]
        return sorted((task.number, task.node) for task in failed)

    def task_again(self, tasks: Sequence[tuple[int, int, int, int]]) -> None:
        for run, number, missing, unmet in tasks:
            task, changes = self.t.tasks[run][number], {"reason": None, "due_at": None, "ended_at": None}
            state = READY if task.key is None and not missing else PENDING
            self.change(task, state=state, missing=missing, unmet=unmet, held=False, **changes)

    def task_revive(self, run: int, now: float) -> None:
        for task in self.t.tasks[run].values():
            if task.state is TaskState.cancelled and (task.reason or "").startswith("not handled"):
                self.take(self.t.task_keys, (run, task.node, task.idempotency_key or ""))
                self.change(task, idempotency_key=None)
            elif task.state is TaskState.cancelled:
                waits = PENDING if task.missing or (task.key and not task.holds) else READY
                state = waits if task.due_at is None or task.due_at <= now else WAITING
                self.change(task, state=state, reason=None, ended_at=None, held=False)
                self.change(task, unmet=0 if task.count else task.unmet)  # it was called off, and its run then ended

    def task_reask(self, run: int, nodes: Iterable[str]) -> None:
        for task in self.t.tasks[run].values():
            if task.state in (WAITING, READY) and task.node in nodes:
                self.change(task, state=READY, due_at=None)

    def task_keys(self, run: int) -> list[str]:
        return sorted({task.key for task in self.t.tasks[run].values() if task.key and task.state is PENDING})

    def task_heard(self, run: int) -> list[tuple[int, str, int]]:
        ended = {r.parent_task for r in self.t.runs.values() if r.parent == run and r.state.final}
        waiting = [t for t in self.t.tasks[run].values() if t.state is PENDING and t.missing > 0]
        return sorted((task.number, task.node, task.missing) for task in waiting if task.number in ended)

    def task_call_off(self, run: int, number: int, reason: str) -> bool:
        task = self.t.tasks[run].get(number)
        if task is None or task.state is not RUNNING or task.unmet:
            return False
        self.change(task, unmet=1, reason=reason)
        return True

    def task_set(self, run: int, number: int, priority: int) -> bool:
        task = self.t.tasks[run].get(number)
        if task is None or task.state not in (PENDING, READY, WAITING):
            return False
        self.change(task, priority=priority)
        return True

    # a run that takes over what another one has settled

    def task_counts(self, run: int) -> list[Count]:
        tasks = self.t.tasks[run]
        found = Counter((t.node, tasks[t.cause].node if t.cause in tasks else None, t.state) for t in tasks.values())
        return [Count(*place, n) for place, n in found.items()]

    def gate_firsts(self, run: int) -> dict[str, int]:
        return {node: number for (owner, node), number in self.t.firsts.items() if owner == run}

    def run_carry(self, run: int, to: int, nodes: Sequence[Carried], graph: int, shift: int) -> None:
        carried = {one.node: one for one in nodes}
        numbers = {one.was: one.number for one in nodes}

        def moved(number: int | None) -> int | None:
            if number is None:
                return None
            return number + shift if number > graph else numbers.get(number)

        tasks = [task for task in self.t.tasks[run].values() if task.node in carried]
        for task in tasks:
            places = {name: moved(getattr(task, name)) for name in ("number", "block", "join", "cause")}
            own = {"seq": self._next(), "run": to, "lane": carried[task.node].lane, "held": False, "holds": False}
            self.put(self.t.tasks[to], places["number"], replace(task, **places, **own))  # type: ignore[arg-type]
        kept = sorted(self.t.records[run].values(), key=lambda record: record.seq)
        self.record_put([(to, r.node, r.key, moved(r.number) or 0, r.value) for r in kept if r.node in carried])
        there = {task.number for task in tasks}
        files = [kept for kept in self.t.artifacts[run] if kept.number in there]
        self.artifact_insert([(to, moved(kept.number) or 0, kept.artifact, kept.at) for kept in files])
        for node in carried:
            if (first := self.t.firsts.get((run, node))) is not None:
                self.put(self.t.firsts, (to, node), moved(first))
            if (gate := self.t.gates.get((run, node))) is not None:
                self.put(self.t.gates, (to, node), gate)

    # runs that are part of another

    def _children(self, run: int, node: str) -> list[tuple[TaskRow, Run]]:
        tasks = self.t.tasks[run]
        found = [(tasks[r.parent_task], r) for r in self.t.runs.values() if r.parent == run and r.parent_task]
        return sorted((pair for pair in found if pair[0].node == node), key=lambda pair: pair[1].id)

    def run_parts(self, run: int, node: str, limit: int) -> list[int]:
        return [child.id for _, child in self._children(run, node) if not child.state.final][:limit]

    def task_parts(self, run: int, node: str) -> list[tuple[int, TaskState, int]]:
        newest = {task.number: (task.number, task.state, child.id) for task, child in self._children(run, node)}
        return [newest[number] for number in sorted(newest) if newest[number][1] in (PENDING, TaskState.failed)]

    def task_await(self, tasks: Sequence[Reference]) -> None:
        for run, number in tasks:
            task, changes = self.t.tasks[run][number], {"reason": None, "due_at": None, "ended_at": None}
            failures = sum((r.parent, r.parent_task) == (run, number) for r in self.t.runs.values()) - 1
            self.change(task, state=PENDING, missing=1, unmet=0, failures=failures, held=False, **changes)

    # gates

    def gate_first(self, run: int, node: str, number: int) -> bool:
        if (run, node) in self.t.firsts:
            return False
        self.put(self.t.firsts, (run, node), number)
        return True

    def gate_arrive(self, run: int, node: str, waits: int, by: int, unmet: int) -> tuple[int, int]:
        missing, before = self.t.gates.get((run, node), (waits, 0))
        self.put(self.t.gates, (run, node), (missing - by, before + unmet))
        return missing - by, before + unmet

    def gate_state(self, run: int, node: str) -> tuple[int, int] | None:
        return self.t.gates.get((run, node))

    # what a run keeps

    def record_put(self, records: Sequence[tuple[int, str, str | None, int, str]]) -> None:
        for run, node, key, number, value in records:
            record = Record(self._next(), node, key, value, number)
            self.put(self.t.records[run], (node, key) if key is not None else record.seq, record)

    def artifact_insert(self, kept: Sequence[tuple[int, int, Artifact, float]]) -> None:
        for run, number, artifact, at in kept:
            self.append(self.t.artifacts[run], Kept(artifact, number, at))

    def attempt_insert(self, attempts: Sequence[PastAttempt]) -> None:
        for past in attempts:
            self.append(self.t.attempts[past.run], AttemptRecord(*past[1:]))

    def journal_insert(self, entries: Sequence[tuple[int, float, str, str]]) -> None:
        for run, at, actor, event in entries:
            self.append(self.t.journal, Entry(self._next(), run, at, actor, event))

    # definitions, queues, lanes, leases

    def graph_same(self, name: str, version: str) -> list[Graph]:
        return [graph for graph in self.t.graphs.values() if (graph.name, graph.version) == (name, version)]

    def graph_insert(self, graph: Graph, now: float) -> bool:
        del now  # they stand in the order in which they came
        if graph.id in self.t.graphs:
            return False
        self.put(self.t.graphs, graph.id, graph)
        return True

    def graph_lock(self, graph: int) -> Graph | None:
        return self.t.graphs.get(graph)

    def graph_change(self, graph: Graph, now: float | None = None) -> None:
        if now is not None:
            self.take(self.t.graphs, graph.id)
        self.put(self.t.graphs, graph.id, graph)

    def lane_insert(self, lanes: Sequence[Lane]) -> None:
        for lane in lanes:
            if lane.queue not in self.t.queues:
                self.put(self.t.queues, lane.queue, Queue(lane.queue))
            if lane.id not in self.t.lanes:
                self.put(self.t.lanes, lane.id, lane)

    def graph_get(self, graph: int) -> Graph | None:
        return self.t.graphs.get(graph)

    def lane_list(self, graphs: Iterable[int] | None = None) -> list[tuple[Lane, Queue]]:
        wanted = None if graphs is None else set(graphs)
        found = [lane for lane in self.t.lanes.values() if wanted is None or lane.graph in wanted]
        return [(lane, self.t.queues[lane.queue]) for lane in found]

    def lane_soon(self, graphs: Iterable[int]) -> None:
        del graphs  # they are here

    def lane_set(self, lane: Lane) -> None:
        if lane.queue not in self.t.queues:
            self.put(self.t.queues, lane.queue, Queue(lane.queue))
        self.put(self.t.lanes, lane.id, lane)
        others = [other.id for other in self.t.lanes.values() if other.graph == lane.graph and other.id != lane.id]
        ready = [task for other in others for *_, task in self.t.ready[other]]
        for task in [*ready, *(task for other in others for task in self.t.running[other])]:
            if task.node == lane.node:
                self.change(task, lane=lane.id)

    def queue_get(self, name: str) -> Queue | None:
        return self.t.queues.get(name)

    def queue_have(self, name: str) -> Queue:
        if name not in self.t.queues:
            self.put(self.t.queues, name, Queue(name))
        return self.t.queues[name]

    def queue_set(self, queue: Queue) -> None:
        self.put(self.t.queues, queue.name, queue)

    def queue_free(self, queues: Sequence[str]) -> dict[str, float]:
        return {queue: self.t.free_at.get(queue, 0.0) for queue in queues}

    def queue_taken(self, queue: str, free_at: float) -> None:
        self.put(self.t.free_at, queue, free_at)

    def lane_running(self, queues: Sequence[str], lanes: Sequence[int]) -> tuple[dict[str, int], dict[int, int]]:
        by_queue = dict.fromkeys(queues, 0)
        for lane_id, tasks in self.t.running.items():
            if tasks and (name := self.t.lanes[lane_id].queue) in by_queue:
                by_queue[name] += len(tasks)
        return by_queue, {lane: len(self.t.running[lane]) for lane in lanes}

    def task_lease(
        self, worker: str, lanes: Sequence[tuple[Lane, int]], n: int, now: float, strays: Strays
    ) -> tuple[list[Attempt], int]:
        heads = [head for lane, most in lanes for head in self.t.ready[lane.id][:most]]
        found = []
        moved = 0
        for *_, task in sorted(heads, key=_rank)[:n]:
            if (own := strays.get((task.lane, task.node))) is not None:
                self.change(task, lane=own)
                moved += 1
                continue
            if self.t.runs[task.run].state is not RunState.active and not task.epilogue:
                self.change(task, state=TaskState.cancelled, reason="the run was over", ended_at=now)
                continue
            self.change(task, state=RUNNING, count=task.count + 1, worker=worker, started_at=now)
            found.append(self._attempt(task))
        return found, moved

    def task_move(self, strays: Strays, limit: int) -> None:
        for (lane, node), own in strays.items():
            for *_, task in self.t.ready[lane][:limit]:
                if task.node == node:
                    self.change(task, lane=own)

    def _attempt(self, task: TaskRow) -> Attempt:
        lane = self.t.lanes[task.lane]
        return Attempt(
            task.run,
            task.number,
            task.count,
            lane.graph,
            task.node,
            lane.queue,
            task.item,
            task.message,
            task.key,
            task.join,
            task.place,
            task.failures,
            task.rescues,
            task.started_at or 0.0,
            task.due_at,
            task.epilogue,
            self.t.runs[task.run].parent,
        )

    # schedules

    def schedule_insert(self, schedule: Schedule) -> None:
        if schedule.workflow not in self.t.schedules:
            self.put(self.t.schedules, schedule.workflow, schedule)

    def schedule_lock(self, workflows: Sequence[str]) -> list[Schedule]:
        return [self.t.schedules[name] for name in sorted(workflows) if name in self.t.schedules]

    def schedule_list(self) -> list[Schedule]:
        return sorted(self.t.schedules.values(), key=lambda schedule: schedule.workflow)

    def schedule_fire(self, schedule: Schedule, next_at: float, last_at: float | None) -> bool:
        now = self._as_read(schedule)
        if now is None or now.paused:
            return False
        newest = now.last_at if last_at is None else last_at
        self.put(self.t.schedules, now.workflow, replace(now, next_at=next_at, last_at=newest))
        return True

    def schedule_follow(self, schedule: Schedule, graph: int, next_at: float) -> bool:
        now = self._as_read(schedule)
        if now is not None:
            self.put(self.t.schedules, now.workflow, replace(now, graph=graph, next_at=next_at))
        return now is not None

    def schedule_drop(self, schedule: Schedule) -> bool:
        now = self._as_read(schedule)
        self.take(self.t.schedules, now and now.workflow)
        return now is not None

    def hold_set(self, hold: Hold, *, on: bool) -> None:
        holds = dict(self.t.holds.get(hold.run, {}))
        holds.pop((hold.kind, hold.name), None)
        self.put(self.t.holds, hold.run, holds | ({(hold.kind, hold.name): hold} if on else {}))

    def schedule_pause(self, workflow: str, next_at: float, *, paused: bool) -> None:
        changed = replace(self.t.schedules[workflow], next_at=next_at, paused=paused)
        self.put(self.t.schedules, workflow, changed)

    def _as_read(self, read: Schedule) -> Schedule | None:
        now = self.t.schedules.get(read.workflow)
        return now if now is not None and (now.graph, now.next_at) == (read.graph, read.next_at) else None

    # workers

    def worker_beat(self, worker: WorkerInfo, now: float) -> bool:
        known = self.t.workers.get(worker.id)
        if known is not None and known.state == "lost":
            return False
        beat = known.beat + 1 if known else 1
        draining = known is not None and known.state == "draining" and worker.state == "active"
        state = "draining" if draining else worker.state
        self.put(self.t.workers, worker.id, replace(worker, beat=beat, beat_at=now, state=state))
        return True

    def worker_drain(self, worker: str) -> bool:
        known = self.t.workers.get(worker)
        if known is None or known.state != "active":
            return False
        self.put(self.t.workers, worker, replace(known, state="draining"))
        return True

    def worker_state(self, worker: str) -> str | None:
        known = self.t.workers.get(worker)
        return None if known is None else known.state

    def worker_stops(self, worker: str) -> dict[Reference, bool]:
        held = [task for lane in self.t.running.values() for task in lane if task.worker == worker]
        stops = [t for t in held if t.unmet or (self.t.runs[t.run].state.final and not t.epilogue)]
        return {(t.run, t.number): bool(t.unmet) for t in stops}

    def worker_lose(self, worker: str, beat: int) -> bool:
        known = self.t.workers.get(worker)
        if known is None or known.beat != beat:
            return False
        self.put(self.t.workers, worker, replace(known, state="lost"))
        return True


def _alone(read: Callable[Concatenate[MemoryStore, P], R]) -> Callable[Concatenate[MemoryStore, P], R]:
    """A method that waits until nobody writes, and keeps others from writing."""

    @wraps(read)
    def locked(store: MemoryStore, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with store.lock:
            return read(store, *args, **kwargs)

    return locked


class MemoryStore(Ledger):
    """``store.Store`` in one process's memory."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = Tables()
        self.lock = threading.RLock()

    @contextmanager
    def transaction(self) -> Iterator[MemoryRows]:
        """One at a time; what raises is undone."""
        with self.lock:
            rows = MemoryRows(self.tables)
            try:
                yield rows
            except BaseException:
                for undo in reversed(rows.undo):
                    undo()
                raise

    @_alone
    def run(self, run: int) -> Run | None:
        return self.tables.runs.get(run)

    @_alone
    def runs(
        self, workflow: str | None = None, state: RunState | None = None, before: int | None = None, limit: int = 100
    ) -> list[Run]:
        found = [
            run
            for run in self.tables.runs.values()
            if (workflow is None or self.tables.graphs[run.graph].name == workflow)
            and (state is None or run.state == state)
            and (before is None or run.id < before)
        ]
        return sorted(found, key=lambda run: -run.id)[:limit]

    @_alone
    def graph(self, graph: int) -> Graph:
        if graph not in self.tables.graphs:
            raise NotFound(f"no workflow is registered under {graph}")
        return self.tables.graphs[graph]

    @_alone
    def graphs(self, name: str | None = None) -> list[Graph]:
        return [graph for graph in self.tables.graphs.values() if name in (None, graph.name)]

    @_alone
    def task(self, run: int, number: int) -> Task | None:
        row = self.tables.tasks.get(run, {}).get(number)
        return None if row is None else self.tables.task(row)

    @_alone
    def tasks(
        self, run: int, state: TaskState | None = None, node: str | None = None, after: int = 0, limit: int = 1000
    ) -> list[Task]:
        rows = sorted(self.tables.tasks.get(run, {}).items())
        found = [
            row
            for number, row in rows
            if number > after and (state is None or row.state == state) and (node is None or row.node == node)
        ]
        return [self.tables.task(row) for row in found[:limit]]

    @_alone
    def reviews(self, run: int | None = None, limit: int = 1000) -> list[Review]:
        found = [review for review in self.tables.reviews.values() if run in (None, review.run)]
        order = ("asked_at", "run", "number") if run is None else ("number",)
        return sorted(found, key=lambda review: [getattr(review, name) for name in order])[:limit]

    @_alone
    def review(self, run: int, number: int) -> Review | None:
        return self.tables.reviews.get((run, number))

    @_alone
    def messages(self, runs: Iterable[int]) -> dict[int, str]:
        return {run: self.tables.runs[run].message for run in runs}

    @_alone
    def results(self, references: Iterable[Reference]) -> dict[Reference, Settled]:
        found = {r: self.tables.tasks.get(r[0], {}).get(r[1]) for r in references}
        return {r: _settled(row) for r, row in found.items() if row}

    @_alone
    def items(self, run: int, number: int) -> list[Settled]:
        return [_settled(row) for row in _items(self.tables.tasks[run], number)]

    @_alone
    def joined(self, run: int, number: int) -> list[Settled]:
        rows = [row for row in self.tables.tasks[run].values() if row.join == number]
        places = {row.place: row for row in sorted(rows, key=lambda row: row.number)}
        return [_settled(places[place]) for place in sorted(places, key=lambda p: p or 0)]

    @_alone
    def first(self, run: int, node: str) -> Settled | None:
        number = self.tables.firsts.get((run, node))
        return None if number is None else _settled(self.tables.tasks[run][number])

    @_alone
    def child(self, run: int, number: int) -> Run | None:
        runs = self.tables.runs.values()
        found = (r for r in runs if (r.parent, r.parent_task) == (run, number))
        return max(found, key=lambda r: r.id, default=None)

    @_alone
    def children(self, run: int, number: int) -> list[Run]:
        runs = self.tables.runs.values()
        return sorted((r for r in runs if (r.parent, r.parent_task) == (run, number)), key=lambda r: r.id)

    @_alone
    def parts(self, run: int, limit: int = 100) -> list[Run]:
        found = sorted((r for r in self.tables.runs.values() if r.parent == run), key=lambda r: r.id)
        return found[:limit]

    @_alone
    def records(self, run: int, node: str | None = None, key: str | None = None) -> list[Record]:
        rows = sorted(self.tables.records.get(run, {}).values(), key=lambda record: record.seq)
        return [r for r in rows if (node is None or r.node == node) and (key is None or r.key == key)]

    @_alone
    def artifacts(self, run: int) -> list[Kept]:
        return list(self.tables.artifacts.get(run, ()))

    @_alone
    def attempts(self, run: int, number: int | None = None) -> list[AttemptRecord]:
        rows = self.tables.attempts.get(run, ())
        return [row for row in rows if number is None or row.number == number]

    @_alone
    def journal(self, run: int | None = None, after: int = 0, limit: int = 1000) -> list[Entry]:
        found = [e for e in self.tables.journal if e.seq > after and (run is None or e.run == run)]
        return found[:limit]

    @_alone
    def traffic(self, run: int) -> list[tuple[str | None, str, int, float]]:
        tasks = self.tables.tasks.get(run, {})
        sums: dict[tuple[str | None, str], list[float]] = {}
        for row in tasks.values():
            sender = tasks[row.cause].node if row.cause is not None else None
            entry = sums.setdefault((sender, row.node), [0, 0.0])
            entry[0] += 1
            entry[1] += (row.ended_at or 0.0) - row.started_at if row.started_at and row.ended_at else 0.0
        return sorted(
            ((sender, node, int(n), spent) for (sender, node), (n, spent) in sums.items()),
            key=lambda row: (row[0] or "", row[1]),
        )

    @_alone
    def states(self, run: int) -> Mapping[str, Mapping[TaskState, int]]:
        found: dict[str, dict[TaskState, int]] = {}
        for row in self.tables.tasks.get(run, {}).values():
            counts = found.setdefault(row.node, {})
            counts[row.state] = counts.get(row.state, 0) + 1
        return found

    @_alone
    def why(self, run: int, number: int) -> Why | None:
        row = self.tables.tasks.get(run, {}).get(number)
        if row is None:
            return None
        lane = self.tables.lanes[row.lane]
        graph = self.tables.graphs[lane.graph]
        own = (found for found in self.tables.lanes.values() if (found.graph, found.node) == (lane.graph, row.node))
        lane = next(own, lane)
        in_queue = [task for i, tasks in self.tables.running.items() for task in tasks if self._queue(i) == lane.queue]
        in_lane = [task for task in in_queue if task.lane == lane.id]
        same = [t for t in self.tables.tasks[run].values() if row.key and t.key == row.key and not t.state.final]
        child = self.child(run, number)
        return Why(
            self.tables.task(row),
            self.tables.runs[run],
            graph,
            waits_for=self._waits_for(run, graph, row),
            ahead=sum(1 for t in same if t is not row and (t.holds or t.number < row.number)),
            queue=self.tables.queues[lane.queue],
            free_at=self.tables.free_at.get(lane.queue, 0.0),
            running=len(in_lane),
            in_queue=len(in_queue),
            lane_limit=lane.limit,
            lane_paused=lane.paused,
            workers=tuple(self.workers()),
            child=None if child is None else child.public,
            review=self.tables.reviews.get((run, number)),
            holds=tuple(self.holds(run)),
        )

    def _queue(self, lane: int) -> str:
        return self.tables.lanes[lane].queue

    def _waits_for(self, run: int, graph: Graph, row: TaskRow) -> tuple[str, ...]:
        tasks = self.tables.tasks[run]
        names = []
        for edge in graph[row.node].edges:
            rows = [t for t in tasks.values() if t.node == edge.source]
            if graph[edge.source].arity is Arity.handler:  # counts with its first
                settled = (run, edge.source) in self.tables.firsts
            else:
                settled = bool(rows) and all(t.state.final for t in rows)
            if not settled:
                names.append(edge.source)
        return tuple(names)

    @_alone
    def queues(self) -> list[tuple[Queue, int, int]]:
        ready, running = dict.fromkeys(self.tables.queues, 0), dict.fromkeys(self.tables.queues, 0)
        for counts, lanes in ((ready, self.tables.ready), (running, self.tables.running)):
            for lane, rows in lanes.items():
                if rows:  # of a lane whose registration was undone, an empty entry may be left
                    counts[self._queue(lane)] += len(rows)
        return [(queue, ready[name], running[name]) for name, queue in sorted(self.tables.queues.items())]

    @_alone
    def holds(self, run: int = 0) -> list[Hold]:
        found = [hold for of in {0, run} for hold in self.tables.holds.get(of, {}).values()]
        return sorted(found, key=lambda hold: (hold.kind, hold.name))

    @_alone
    def lanes(self) -> list[tuple[Lane, int, int]]:
        own = [lane for lane in self.tables.lanes.values() if lane.node is not None]
        ready, running = self.tables.ready, self.tables.running
        ordered = sorted(own, key=lambda lane: (lane.graph, lane.node or ""))
        return [(lane, len(ready.get(lane.id, ())), len(running.get(lane.id, ()))) for lane in ordered]

    @_alone
    def busy(self, limit: int = 1000) -> list[Busy]:
        found = [
            Busy(task.run, task.number, lane.graph, task.node, lane.queue, task.failures + 1)
            for key, tasks in self.tables.running.items()
            for task in tasks
            for lane in (self.tables.lanes[key],)
        ]
        return sorted(found)[:limit]

    @_alone
    def schedules(self, workflows: Iterable[str] | None = None) -> list[Schedule]:
        wanted = None if workflows is None else set(workflows)
        found = [each for each in self.tables.schedules.values() if wanted is None or each.workflow in wanted]
        return sorted(found, key=lambda schedule: schedule.workflow)

    @_alone
    def lively(self) -> list[str]:
        return sorted({self._queue(lane) for lane, rows in self.tables.ready.items() if rows})

    @_alone
    def lively_lanes(self) -> list[tuple[str, int]]:
        lanes = [self.tables.lanes[lane] for lane, rows in self.tables.ready.items() if rows]
        return sorted({(lane.queue, lane.graph) for lane in lanes})

    @_alone
    def worker(self, worker: str) -> WorkerInfo | None:
        return self.tables.workers.get(worker)

    @_alone
    def workers(self) -> list[WorkerInfo]:
        holding = {task.worker for lane in self.tables.running.values() for task in lane}
        return [w for w in self.tables.workers.values() if w.state != "lost" or w.id in holding]

    def upgrade(self) -> list[str]:
        """Nothing to bring up: it is born as this version needs it."""
        return []

    def status(self) -> tuple[int, int]:
        return (1, 1)

    def about(self) -> About:
        return About("memory", "", "the memory of this process", ("all of it is gone when this process ends",))

    @_alone
    def prune(self, before: float, limit: int = 1000) -> int:
        t, done = self.tables, 0
        while done < limit and (old := self._old(before)[: limit - done]):
            for run in old:
                self._forget(run)
            done += len(old)
        t.journal = self._remembered(before if done < limit else 0.0)
        for gates in (t.gates, t.firsts):
            for place in [place for place in gates if place[0] not in t.runs]:
                del gates[place]
        holding = {task.worker for lane in t.running.values() for task in lane}
        until = unneeded(before, *(t.runs[run].created_at for run in sorted(t.runs)[:1]))
        for worker in list(t.workers.values()):
            if worker.state in ("lost", "stopped") and worker.beat_at < until and worker.id not in holding:
                del t.workers[worker.id]
        return done

    def _remembered(self, before: float) -> list[Entry]:
        """The journal without what is forgotten; its newest line stays, though it may say nothing more."""
        t = self.tables
        lines = [e for e in t.journal if e.run in t.runs or (e.run == SEVERAL and e.at >= before)]
        for newest in t.journal[-1:]:
            if newest not in lines[-1:]:
                lines.append(newest if newest.run == SEVERAL else Entry(newest.seq, SEVERAL, newest.at, "", "{}"))
        return lines

    def _old(self, before: float) -> list[int]:
        """Runs that ended before a time, oldest first, without those whose end was told to a run that is there."""
        t = self.tables
        ended = [(r.ended_at or 0.0, r.id) for r in t.runs.values() if r.state.final and r.open <= 0]
        return [run for at, run in sorted(ended) if at < before and t.runs[run].parent not in t.runs]

    def _forget(self, run: int) -> None:
        t = self.tables
        digests = sorted({kept.artifact.digest for kept in t.artifacts.get(run, ())})
        for digest in (None, *digests):
            t.seq += 1
            t.discarded.append((t.seq, run, digest))
        for task in t.tasks.get(run, {}).values():
            t.task_keys.pop((run, task.node, task.idempotency_key or ""), None)
        t.run_keys.pop((t.graphs[t.runs[run].graph].name, t.runs[run].idempotency_key or ""), None)
        for table in (t.runs, t.tasks, t.records, t.artifacts, t.attempts, t.holds, t.leftover, t.dated):
            table.pop(run, None)

    @_alone
    def discarded(self, after: int = 0, limit: int = 1000) -> list[Discarded]:
        used = {kept.artifact.digest for rows in self.tables.artifacts.values() for kept in rows}
        later = [row for row in self.tables.discarded if row[0] > after]
        return [Discarded(*row, used=row[2] in used) for row in later[:limit]]

    @_alone
    def done_with(self, discarded: Sequence[int]) -> None:
        done = set(discarded)
        self.tables.discarded = [row for row in self.tables.discarded if row[0] not in done]

    @_alone
    def holding(self) -> dict[str, tuple[int, float]]:
        held: dict[str, tuple[int, float]] = {}
        for task in [task for lane in self.tables.running.values() for task in lane]:
            n, since = held.get(task.worker or "", (0, task.started_at or 0.0))
            held[task.worker or ""] = (n + 1, min(since, task.started_at or 0.0))
        return held

    @_alone
    def running_since(self) -> float | None:
        begun = [task.started_at for lane in self.tables.running.values() for task in lane if task.started_at]
        return min(begun, default=None)

    def close(self) -> None:
        """Nothing to give back."""


def _rank(entry: tuple[Any, ...]) -> tuple[int, int]:
    return (entry[0], entry[1])


def _arrived(task: TaskRow) -> Arrived:
    return Arrived(task.run, task.number, task.node, task.missing, task.unmet, task.width, task.key, task.join)


def _items(tasks: dict[int, TaskRow], number: int) -> list[TaskRow]:
    first = tasks[number]
    if not first.width or first.item is None:
        return []
    block = first.block or 0
    return [first, *(tasks[n] for n in range(block, block + first.width - 1))]


def _settled(row: TaskRow) -> Settled:
    return Settled(row.state, row.result, row.width, row.block, row.reason)
