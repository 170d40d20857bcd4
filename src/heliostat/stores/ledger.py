"""The ledger: the writing half of every store, over whatever rows its database gives.

Each method is one transaction, tried once; a database that asks for patience (locks, lost connections) puts its
retries around ``transaction``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

from heliostat import planner
from heliostat.effects import End, Send, Start
from heliostat.errors import BadInput, Ended, NotFound, Refused, nearest
from heliostat.graph import Kind
from heliostat.outcome import (
    COMMITTED,
    LOST,
    RUN_ENDED,
    Failed,
    Outcome,
    Released,
    Rescued,
    Skipped,
    Snoozed,
    Succeeded,
    Verdict,
)
from heliostat.queue import Lane, Queue, lane_id
from heliostat.run import RunState, public_id
from heliostat.store import KEEP, Answer, Ask, Batch, Command, Pause, Register, SetNode, SetQueue
from heliostat.stores.commit import CANCEL_AT_ONCE, Commit
from heliostat.stores.known import Known
from heliostat.stores.rows import Fence, PastAttempt
from heliostat.task import AttemptState, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import TypeVar

    from heliostat.store import Reference, WorkerInfo
    from heliostat.stores.commit import OpenRun
    from heliostat.stores.rows import Rows
    from heliostat.task import Attempt

    T = TypeVar("T")

PROMOTE_AT_ONCE = 1000
SWEEP_AT_ONCE = 100


class Stale(Exception):
    """Some fence of a batch did not hold, so the batch is looked at closely."""


class Ledger(ABC):
    """The writing verbs of ``store.Store``; a subclass gives ``transaction`` and the reading ones."""

    def __init__(self) -> None:
        self.known = Known()

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Rows]:
        """A transaction: commits when its block ends, rolls back when it raises."""

    def again(self, work: Callable[[], T]) -> T:
        """Do a transaction, again where the database asks for patience; every one here may be repeated."""
        return work()

    # settling

    def settle(
        self, worker: str, outcomes: Sequence[tuple[Attempt, Outcome]], now: float, ask: Ask | None = None
    ) -> Batch:
        """Record outcomes and lease what is next, in one commit; see ``store.Store``."""
        try:
            return self.again(lambda: self._settle(worker, outcomes, now, ask))
        except (Stale, Refused, self.data_error):
            pass
        verdicts = [self.again(lambda pair=pair: self._settle_closely(worker, pair, now)) for pair in outcomes]
        return Batch(tuple(verdicts), self.lease(ask, now) if ask else ())

    #: What the database raises for a value that it cannot take.
    data_error: type[Exception] = ValueError

    def _settle(self, worker: str, outcomes: Sequence[tuple[Attempt, Outcome]], now: float, ask: Ask | None) -> Batch:
        with self.transaction() as rows:
            if outcomes:
                commit = Commit(rows, self.known, now, worker)
                commit.lock(_runs_of(outcomes))
                for attempt, _ in outcomes:
                    run = commit.runs.get(attempt.run)
                    if run is None or not (run.state is RunState.active or attempt.epilogue):
                        raise Stale
                self._carry_out(commit, worker, outcomes)
            leased = self._lease(rows, ask, now) if ask else ()
        return Batch((COMMITTED,) * len(outcomes), leased)

    def _settle_closely(self, worker: str, pair: tuple[Attempt, Outcome], now: float) -> Verdict:
        """One outcome by itself, with its verdict."""
        attempt, _ = pair
        try:
            with self.transaction() as rows:
                commit = Commit(rows, self.known, now, worker)
                commit.lock(_runs_of([pair]))
                run = commit.runs.get(attempt.run)
                fence = rows.task_fences([attempt.task]).get(attempt.task)
                if run is None or fence is None:
                    return LOST
                if fence.settled == attempt.count:
                    return COMMITTED
                if (fence.state, fence.count, fence.worker) != (TaskState.running, attempt.count, worker):
                    return RUN_ENDED if run.state.final else LOST
                if run.state.final and not attempt.epilogue:
                    _stop(rows, run, attempt, worker, now)
                    commit.write()
                    return RUN_ENDED
                self._carry_out(commit, worker, [pair])
        except Refused as error:
            return Verdict("conflict", str(error))
        except self.data_error as error:
            return Verdict("refused", f"the database refused it: {error}")
        return COMMITTED

    def _carry_out(self, commit: Commit, worker: str, outcomes: Sequence[tuple[Attempt, Outcome]]) -> None:
        """Fence first, then apply what follows."""
        rows, now = commit.rows, commit.now
        planned = [(a, o, *planner.settled(commit.runs[a.run].graph, a, o)) for a, o in outcomes]
        fences = [_fence(attempt, outcome, state, worker, now) for attempt, outcome, state, _ in planned]
        if rows.task_settle(fences) != len(fences):
            raise Stale
        past = []
        for attempt, outcome, state, changes in planned:
            run = commit.runs[attempt.run]
            run.note(state, attempt.number)
            if state.final:
                run.open -= 1
            if attempt.key is not None and (state.final or isinstance(outcome, Snoozed)):
                commit.turns[run.id, attempt.key] = None
            if isinstance(outcome, Succeeded | Skipped | Snoozed) and outcome.effects:
                commit.keep(run, attempt.node, attempt.number, outcome.effects)
            if run.takes or attempt.epilogue:
                commit.apply(run, changes, attempt.number)
                if state.final and attempt.join is not None and not planner.passes_on(outcome):
                    commit.joined(run.id, attempt.join)
            if (how := _how(outcome)) is not None:
                reason = getattr(outcome, "error", None) or getattr(outcome, "reason", None)
                past.append(PastAttempt(*attempt.task, attempt.count, how, worker, attempt.started_at, now, reason))
        if past:
            rows.attempt_insert(past)
        commit.write()

    # leasing

    def lease(self, ask: Ask, now: float) -> tuple[Attempt, ...]:
        """Take ready tasks; see ``store.Store``."""

        def work() -> tuple[Attempt, ...]:
            with self.transaction() as rows:
                return self._lease(rows, ask, now)

        return self.again(work)

    def _lease(self, rows: Rows, ask: Ask, now: float) -> tuple[Attempt, ...]:
        if ask.n + ask.ahead <= 0:
            return ()
        lanes = rows.lane_list(ask.offers)
        self.known.refresh(lane for lane, _ in lanes)
        by_queue: dict[str, tuple[Queue, list[Lane]]] = {}
        for lane, queue in lanes:
            if not (lane.paused or queue.paused) and (ask.queues is None or queue.name in ask.queues):
                by_queue.setdefault(queue.name, (queue, []))[1].append(lane)
        names = sorted(by_queue)
        taken: list[Attempt] = []
        for position in range(len(names)):
            queue, found = by_queue[names[(position + ask.turn) % len(names)]]
            share = -(-(ask.n + ask.ahead - len(taken)) // (len(names) - position))
            free = max(0, ask.n - len(taken))
            taken += self._lease_queue(rows, ask, queue, found, share, free, now)
        return tuple(taken)

    def _lease_queue(
        self, rows: Rows, ask: Ask, queue: Queue, lanes: list[Lane], share: int, free: int, now: float
    ) -> list[Attempt]:
        """From one queue, within its limit and its lanes'; only unlimited lanes give more than there are free slots."""
        limited = [lane.id for lane in lanes if lane.limit is not None]
        room = share
        per_lane: dict[int, int] = {}
        if limited or queue.limit is not None:
            names = [queue.name] if queue.limit is not None else []
            in_queue, in_lane = rows.lane_running(names, sorted(limited))
            if queue.limit is not None:
                room = min(share, free, queue.limit - in_queue.get(queue.name, 0))
            for lane in lanes:
                if lane.limit is not None:
                    per_lane[lane.id] = min(free, lane.limit - in_lane.get(lane.id, 0))
        wanted = [(lane, min(room, per_lane.get(lane.id, room))) for lane in lanes]
        wanted = [(lane, n) for lane, n in wanted if n > 0]
        return rows.task_lease(ask.worker, wanted, room, now) if wanted and room > 0 else []

    # commands

    def accept(self, commands: Sequence[Command], now: float) -> list[Answer]:
        """Carry out commands, all or none; see ``store.Store``."""
        return self.again(lambda: self._accept(commands, now))

    def _accept(self, commands: Sequence[Command], now: float) -> list[Answer]:
        with self.transaction() as rows:
            ids = {c.run for c in commands if c.run is not None}
            ids |= {c.verb.run for c in commands if isinstance(c.verb, Start)}
            parents = rows.run_parent(sorted(ids)) if any(isinstance(c.verb, End) for c in commands) else []
            actor = commands[0].actor if commands else ""
            commit = Commit(rows, self.known, now, actor)
            if ids:
                commit.lock(ids | set(parents))
            answers = [self._command(commit, command) for command in commands]
            commit.write()
        for command in commands:
            if isinstance(command.verb, Register):
                self.known.graphs[command.verb.graph.id] = command.verb.graph
        return answers

    def _command(self, commit: Commit, command: Command) -> Answer:
        match command.verb:
            case Start() as start:
                run_id, new = commit.launch(start)
                return Answer(run_id, done=new, note="" if new else "this run was started before")
            case Register(graph):
                self.known.register(commit.rows, graph, commit.now)
                return Answer()
            case SetQueue() as change:
                return self._set_queue(commit.rows, change)
            case SetNode() as change:
                return self._set_node(commit.rows, change)
        run = commit.runs.get(command.run) if command.run is not None else None
        if run is None:
            raise NotFound(f"there is no run {public_id(command.run or 0)}")
        match command.verb:
            case Send() as send:
                return self._send(commit, run, send)
            case End() as end:
                return self._end(commit, run, end, command)
            case Pause(on):
                return self._pause(commit, run, command, on=on)

    def _send(self, commit: Commit, run: OpenRun, send: Send) -> Answer:
        change = planner.delivered(run.graph, send)
        if run.takes:
            before = run.last
            number = commit.create(run, change, None)
            return Answer(run.id, number, done=run.last > before)
        word = run.state if run.state.final else "failing"
        reason = f"not handled: the run had {word} before this message arrived"
        return Answer(run.id, commit.late(run, change, reason), done=False, note=reason)

    def _end(self, commit: Commit, run: OpenRun, end: End, command: Command) -> Answer:
        if run.state.final:
            return Answer(run.id, done=False, note=f"nothing to do: the run had {run.state} already")
        run.facts["by"] = command.actor
        commit.apply(run, [end if end.reason or not command.reason else replace(end, reason=command.reason)])
        return Answer(run.id)

    def _pause(self, commit: Commit, run: OpenRun, command: Command, *, on: bool) -> Answer:
        if run.state.final:
            raise Ended(f"run {public_id(run.id)} has {run.state}; there is nothing to {'pause' if on else 'resume'}")
        if run.paused == on:
            return Answer(run.id, done=False, note=f"the run was {'paused' if on else 'not paused'} already")
        run.paused = on
        run.facts |= {"paused": on, "reason": command.reason}
        commit.rows.task_hold(run.id, on)
        return Answer(run.id)

    def _set_queue(self, rows: Rows, change: SetQueue) -> Answer:
        queues = {queue.name: queue for _, queue in rows.lane_list()}
        queue = queues.get(change.name)
        if queue is None:
            raise NotFound(f"there is no queue {change.name!r}{nearest(change.name, queues)}")
        limit = queue.limit if change.limit == KEEP else change.limit
        paused = queue.paused if change.paused is None else change.paused
        if limit is not None and limit < 1:
            raise BadInput(f"queue {queue.name}: the limit must be at least 1; pause the queue to stop it")
        rows.queue_set(Queue(queue.name, limit, paused))
        return Answer()

    def _set_node(self, rows: Rows, change: SetNode) -> Answer:
        node = self.known.graph(rows, change.graph)[change.node]
        lanes = {lane.node: lane for lane, _ in rows.lane_list([change.graph])}
        new = Lane(lane_id(change.graph, node.queue, node.name), node.queue, change.graph, node.name)
        lane = lanes.get(node.name, new)
        limit = lane.limit if change.limit == KEEP else change.limit
        if limit is not None and limit < 1:
            raise BadInput(f"node {node.name}: the limit must be at least 1; pause the node to stop it")
        lane = replace(lane, limit=limit, paused=lane.paused if change.paused is None else change.paused)
        rows.lane_set(lane)
        self.known.refresh([lane])
        return Answer()

    # duties

    def beat(self, worker: WorkerInfo, now: float) -> frozenset[Reference] | None:
        """Show life; see ``store.Store``."""

        def work() -> frozenset[Reference] | None:
            with self.transaction() as rows:
                if not rows.worker_beat(worker, now):
                    return None
                return frozenset(rows.worker_stops(worker.id))

        return self.again(work)

    def rescue(
        self, lost: Sequence[tuple[str, int]], now: float, adopter: str | None = None
    ) -> tuple[int, tuple[Attempt, ...]]:
        """Take back what lost workers held; see ``store.Store``."""
        count, adopted = 0, ()
        for worker, beat in lost:
            more, jobs = self.again(lambda worker=worker, beat=beat: self._rescue(worker, beat, now, adopter))
            count, adopted = count + more, adopted + jobs
        return count, adopted

    def _rescue(self, worker: str, beat: int, now: float, adopter: str | None) -> tuple[int, tuple[Attempt, ...]]:
        with self.transaction() as rows:
            if not rows.worker_lose(worker, beat):
                return 0, ()
            attempts = rows.task_of_worker(worker)
            commit = Commit(rows, self.known, now, "rescue")
            commit.lock(_runs_of([(a, Released()) for a in attempts]))
            outcomes: list[tuple[Attempt, Outcome]] = []
            jobs: list[Attempt] = []
            for attempt in attempts:
                run = commit.runs[attempt.run]
                node = run.graph[attempt.node]
                if run.state.final and not attempt.epilogue:
                    _stop(rows, run, attempt, worker, now)
                elif node.kind is Kind.job:
                    jobs.append(attempt)
                elif attempt.rescues >= node.rescues:
                    error = f"lost with its worker {attempt.rescues + 1} times"
                    outcomes.append((attempt, Failed(error, how=AttemptState.rescued)))
                else:
                    outcomes.append((attempt, Rescued()))
            self._carry_out(commit, worker, outcomes)
            adopted = rows.task_adopt(jobs, adopter, now) if adopter and jobs else []
        return len(attempts), tuple(adopted)

    def promote(self, now: float) -> float | None:
        """Make ready what waited for a time that has come; see ``store.Store``."""

        def work() -> float | None:
            with self.transaction() as rows:
                due = rows.task_due(now, PROMOTE_AT_ONCE)
                keyed = sorted({task.run for task in due if task.key is not None})
                if keyed:
                    rows.run_lock(keyed)
                if due:
                    rows.task_promote(due, now)
                    rows.task_turn({(task.run, task.key) for task in due if task.key is not None})
                return rows.task_next_due()

        return self.again(work)

    def sweep(self, now: float) -> int:
        """Cancel what ends of runs left open; see ``store.Store``."""

        def work() -> int:
            with self.transaction() as rows:
                commit = Commit(rows, self.known, now, "sweep")
                commit.lock(rows.run_leftover(SWEEP_AT_ONCE))
                closed = 0
                for run in commit.runs.values():
                    done = rows.task_cancel(run.id, "the run was over", now, CANCEL_AT_ONCE)
                    run.open -= done
                    closed += done
                commit.write()
                return closed

        return self.again(work)


def _runs_of(outcomes: Sequence[tuple[Attempt, Outcome]]) -> set[int]:
    """All runs that outcomes can touch: their own, those that wait for their end, and those that they start."""
    ids: set[int] = set()
    for attempt, outcome in outcomes:
        ids.add(attempt.run)
        if attempt.parent is not None:
            ids.add(attempt.parent)
        if isinstance(outcome, Succeeded | Skipped | Snoozed):
            ids.update(effect.run for effect in outcome.effects if isinstance(effect, Start))
    return ids


def _fence(attempt: Attempt, outcome: Outcome, state: TaskState, worker: str, now: float) -> Fence:
    result = reason = due_at = None
    failures, rescues = attempt.failures, attempt.rescues
    holds = False
    if isinstance(outcome, Succeeded):
        result = outcome.result
    elif isinstance(outcome, Skipped):
        reason = outcome.reason
    elif isinstance(outcome, Snoozed):
        due_at = outcome.until
    elif isinstance(outcome, Failed):
        reason, due_at, failures = outcome.error, outcome.retry_at, failures + 1
        holds = attempt.key is not None and state is TaskState.waiting
    else:
        holds = attempt.key is not None
        rescues += isinstance(outcome, Rescued)
    return Fence(state, result, reason, due_at, holds, failures, rescues, now, *attempt.task, attempt.count, worker)


def _how(outcome: Outcome) -> str | None:
    """How an attempt that did not simply succeed is remembered."""
    if isinstance(outcome, Failed):
        return outcome.how
    if isinstance(outcome, Snoozed):
        return AttemptState.snoozed
    if isinstance(outcome, Rescued):
        return AttemptState.rescued
    return None


def _stop(rows: Rows, run: OpenRun, attempt: Attempt, worker: str, now: float) -> None:
    """An attempt of a run that is over ends with it."""
    reason = f"the run had {run.state}"
    fence = Fence(
        TaskState.cancelled,
        None,
        reason,
        None,
        False,
        attempt.failures,
        attempt.rescues,
        now,
        *attempt.task,
        attempt.count,
        worker,
    )
    if rows.task_settle([fence]):
        run.open -= 1
        run.note(TaskState.cancelled, attempt.number)
        past = PastAttempt(*attempt.task, attempt.count, AttemptState.stopped, worker, attempt.started_at, now, reason)
        rows.attempt_insert([past])
