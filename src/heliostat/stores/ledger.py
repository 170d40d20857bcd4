"""The ledger: the writing half of every store, over whatever rows its database gives.

Each method is one transaction, tried once; a database that asks for patience (locks, lost connections) puts its
retries around ``transaction``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from heliostat import planner
from heliostat.effects import End, Keep, Send, Start
from heliostat.errors import BadInput, Ended, NotFound, OperatorError, Refused, Taken
from heliostat.graph import Kind
from heliostat.outcome import (
    COMMITTED,
    LOST,
    RUN_ENDED,
    Asked,
    Begun,
    Failed,
    Outcome,
    Released,
    Rescued,
    Skipped,
    Snoozed,
    Succeeded,
    Verdict,
)
from heliostat.queue import Hold, Lane, Queue, node_hold, own_lane, pace
from heliostat.run import OVERDUE, RunState, public_id, replaced_key
from heliostat.store import (
    KEEP,
    Answer,
    Ask,
    Batch,
    Cancel,
    Claim,
    Command,
    Configure,
    Decide,
    Drain,
    FireTicks,
    Follow,
    Orders,
    Pause,
    Register,
    Replace,
    Rerun,
    Resolve,
    SetNode,
    SetQueue,
    SetSchedule,
    SetTask,
    TryAgain,
)
from heliostat.stores.commit import CANCEL_AT_ONCE, READY, WHY_CANCELLED, Commit, Unlocked
from heliostat.stores.known import Known
from heliostat.stores.operating import operated
from heliostat.stores.rerunning import rerun
from heliostat.stores.reviewing import reviewed
from heliostat.stores.rows import Fence, PastAttempt, Stale, Success
from heliostat.stores.scheduling import poll_again, scheduled
from heliostat.stores.terms import configure, limited, set_queue
from heliostat.task import FINAL, LOST_WITH, AttemptState, TaskState, lean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import TypeVar

    from heliostat.graph import Node
    from heliostat.planner import Change
    from heliostat.queue import WorkerInfo
    from heliostat.store import Woke
    from heliostat.stores.commit import OpenRun
    from heliostat.stores.rows import Rows
    from heliostat.task import Attempt

    T = TypeVar("T")

PROMOTE_AT_ONCE = 1000
#: The verbs after which something may be ready that no commit has counted.
_LOOSENS = (Pause, SetQueue, Configure, SetNode, TryAgain, Resolve)
SWEEP_AT_ONCE = 100
MOVE_AT_ONCE = 1000  #: ready tasks among which a lease that met a stray looks for others
FOREVER = 1 << 63  #: above every key


class Ledger(ABC):
    """The writing verbs of ``store.Store``; a subclass gives ``transaction`` and the reading ones."""

    woke: Woke | None = None

    def __init__(self) -> None:
        self.known = Known()
        self._lanes = _Lanes()

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Rows]:
        """A transaction: commits when its block ends, rolls back when it raises."""

    def again(self, work: Callable[[], T]) -> T:
        """Do a transaction, again where the database says that it did not happen; one that may have is not repeated."""
        return work()

    @abstractmethod
    def lively(self) -> list[str]:
        """The queues that have something ready; see ``store.Store``."""

    def _tell(self, woken: dict[str, int], taken: Sequence[Attempt] = ()) -> None:
        """A commit made tasks ready, and leased some itself: the others may be taken elsewhere."""
        if self.woke is None or not woken:
            return
        for attempt in taken:
            if attempt.queue in woken:
                woken[attempt.queue] -= 1
        if left := {queue: n for queue, n in woken.items() if n > 0}:
            self.woke(left)

    def _locking(self, work: Callable[[frozenset[int]], T]) -> T:
        """Do a transaction on runs, again with those locked too that an end turned out to reach."""
        also: frozenset[int] = frozenset()
        while True:
            try:
                return self.again(partial(work, also))
            except Unlocked as end:
                also |= end.runs

    # settling

    def settle(
        self, worker: str, outcomes: Sequence[tuple[Attempt, Outcome]], now: float, ask: Ask | None = None
    ) -> Batch:
        """Record outcomes and lease what is next, in one commit; see ``store.Store``."""
        try:
            return self._locking(partial(self._settle, worker, outcomes, now, ask))
        except OperatorError:
            raise
        except Exception:  # noqa: BLE001, S110 - whose fault it is shows when each is settled by itself
            pass
        verdicts = [self._verdict(worker, pair, now) for pair in outcomes]
        return Batch(tuple(verdicts), self._leased(ask, now))

    def _verdict(self, worker: str, pair: tuple[Attempt, Outcome], now: float) -> Verdict:
        """Settle one outcome; whatever it raises is its own verdict, so that no function's answer stops a worker."""
        try:
            return self._settle_alone(worker, pair, now)
        except OperatorError:
            raise
        except self.data_error as error:
            return Verdict("refused", str(error))
        except Refused as error:
            return Verdict("conflict", str(error))
        except Exception as error:  # noqa: BLE001 - nobody foresaw it, and the others are to be settled all the same
            return Verdict("refused", f"it cannot be recorded: {type(error).__name__}: {error}")

    #: What the database raises for a value that it cannot take.
    data_error: type[Exception] = ValueError

    def _settle(
        self,
        worker: str,
        outcomes: Sequence[tuple[Attempt, Outcome]],
        now: float,
        ask: Ask | None,
        also: frozenset[int],
    ) -> Batch:
        woken: dict[str, int] = {}
        with self.transaction() as rows:
            if ask is not None:
                rows.lane_soon(ask.offers)
            if outcomes:
                commit = Commit(rows, self.known, now, worker, heard=self.woke is not None)
                woken = commit.woken
                commit.lock(_runs_of(outcomes) | also)
                for attempt, _ in outcomes:
                    run = commit.runs.get(attempt.run)
                    if run is None or not (run.state is RunState.active or attempt.epilogue):
                        raise Stale
                self._carry_out(commit, worker, outcomes)
            leased = self._lease(rows, ask, now)
        self._tell(woken, leased)
        return Batch((COMMITTED,) * len(outcomes), leased)

    def _settle_alone(self, worker: str, pair: tuple[Attempt, Outcome], now: float) -> Verdict:
        try:
            return self._locking(partial(self._settle_closely, worker, pair, now))
        except Taken as error:  # no fault of the function's: its next attempt draws another id
            back = (pair[0], Released(str(error)))
            verdict = self._locking(partial(self._settle_closely, worker, back, now))
            return LOST if verdict is COMMITTED else verdict

    def _settle_closely(self, worker: str, pair: tuple[Attempt, Outcome], now: float, also: frozenset[int]) -> Verdict:
        """One outcome by itself, with its verdict."""
        attempt, _ = pair
        with self.transaction() as rows:
            commit = Commit(rows, self.known, now, worker, heard=self.woke is not None)
            commit.lock(_runs_of([pair]) | also)
            run = commit.runs.get(attempt.run)
            fence = rows.task_fences([attempt.task]).get(attempt.task)
            if run is None or fence is None:
                return LOST
            if fence.settled == attempt.count:
                return COMMITTED
            if (fence.state, fence.attempt, fence.worker) != (TaskState.running, attempt.count, worker):
                return RUN_ENDED if run.state.final else LOST
            if run.state.final and not attempt.epilogue:
                _stop(rows, run, attempt, worker, now)
                commit.write()
                return RUN_ENDED
            self._carry_out(commit, worker, [pair])
        self._tell(commit.woken)
        return COMMITTED

    def _carry_out(
        self, commit: Commit, worker: str, outcomes: Sequence[tuple[Attempt, Outcome]], *, own: bool = True
    ) -> None:
        """Fence first, then apply what follows. ``own``: the attempts say so themselves."""
        rows, runs, now = commit.rows, commit.runs, commit.now
        outcomes = _called_off(rows, outcomes)
        successes = [
            lean(Success, (outcome.result, now, attempt.run, attempt.number, attempt.count, worker))
            for attempt, outcome in outcomes
            if type(outcome) is Succeeded
        ]
        planned = [_planned(runs[attempt.run], attempt, outcome) for attempt, outcome in outcomes]
        others: list[tuple[Attempt, Outcome, TaskState]] = []
        if len(successes) < len(outcomes):
            told = zip(outcomes, planned, strict=True)
            others = [(*pair, state) for pair, (state, _) in told if type(pair[1]) is not Succeeded]
        rows.task_settle(successes, [_fence(*other, worker, now, own=own) for other in others])
        for (attempt, outcome), (state, changes) in zip(outcomes, planned, strict=True):
            run, number = runs[attempt.run], attempt.number
            final = state in FINAL
            run.note(state, number)
            run.open -= final
            if attempt.key is not None and (final or type(outcome) is Snoozed):
                commit.turns[run.id, attempt.key] = None
                commit.wakes(attempt.queue)
            elif state is READY:
                commit.wakes(attempt.queue)
            if changes:
                commit.apply(run, changes, number)
            if final and attempt.join is not None and not planner.keeps_place(state, changes):
                commit.joined(run.id, attempt.join)
            if effects := getattr(outcome, "effects", ()):
                commit.keep(run, attempt.node, number, effects)
            if run.graph.reviews and attempt.node in run.graph.reviews:
                commit.review(attempt.task, outcome, final=final)
            if run.graph.polled and attempt.node in run.graph.polled:
                poll_again(commit, run, attempt, state, changes)
        if past := [_past(attempt, outcome, worker, now) for attempt, outcome, _ in others if _how(outcome)]:
            rows.attempt_insert(past)
        commit.write()

    # leasing

    def lease(self, ask: Ask, now: float) -> tuple[Attempt, ...]:
        """Take ready tasks; see ``store.Store``."""
        return self._leased(ask, now)

    def _leased(self, ask: Ask | None, now: float) -> tuple[Attempt, ...]:
        if ask is None:
            return ()

        def work() -> tuple[Attempt, ...]:
            with self.transaction() as rows:
                return self._lease(rows, ask, now)

        return self.again(work)

    def _lease(self, rows: Rows, ask: Ask | None, now: float) -> tuple[Attempt, ...]:
        if ask is None or ask.n + ask.ahead <= 0:
            return ()
        if ask.again and (held := rows.task_of_worker(ask.worker)):
            return tuple(held)
        found = rows.lane_list(ask.offers)
        lanes = self._lanes
        if found is not lanes.found or ask.queues != lanes.queues:
            self.known.refresh(lane for lane, _ in found)
            lanes = self._lanes = _Lanes(found, ask.queues)
        taken: list[Attempt] = []
        while self._take(rows, ask, lanes, taken, now):
            rows.task_move(lanes.strays, MOVE_AT_ONCE)
        return tuple(taken)

    def _take(
        self,
        rows: Rows,
        ask: Ask,
        lanes: _Lanes,
        taken: list[Attempt],
        now: float,
    ) -> int:
        """Lease from each queue in its turn, and what some leave from those that have more.

        Answers how many strays were met and moved, so that more may be there.
        """
        running = rows.lane_running(*lanes.limited) if any(lanes.limited) else ({}, {})
        free_at = rows.queue_free(sorted(lanes.paces)) if lanes.paces else {}
        moved, most = 0, ask.n + ask.ahead
        names = [lanes.names[(place + ask.turn) % len(lanes.names)] for place in range(len(lanes.names))]
        while names and len(taken) < most:
            more = []
            for position, name in enumerate(names):
                queue, found = lanes.by_queue[name]
                share, free = -(-(most - len(taken)) // (len(names) - position)), max(0, ask.n - len(taken))
                kept = lanes.paces.get(name)
                if kept is not None:
                    share = min(share, free, kept.allowed(free_at[name], now))
                wanted, room = _within_limits(queue, found, running, share, free)
                if not wanted or room <= 0:
                    continue
                attempts, aside = rows.task_lease(ask.worker, wanted, room, now, lanes.strays)
                taken += attempts
                moved += aside
                if kept is not None and attempts:
                    rows.queue_taken(name, kept.after(free_at[name], now, len(attempts)))
                if name in lanes.unlimited and len(attempts) + aside >= room:
                    more.append(name)
            names = more
        return moved

    # commands

    def accept(self, commands: Sequence[Command], now: float) -> list[Answer]:
        """Carry out commands, all or none; see ``store.Store``."""
        return self._locking(partial(self._accept, commands, now))

    def _accept(self, commands: Sequence[Command], now: float, also: frozenset[int]) -> list[Answer]:
        with self.transaction() as rows:
            ids = {c.run for c in commands if c.run is not None}
            ids |= {c.verb.run for c in commands if isinstance(c.verb, Start)}
            ids |= {c.verb.start.run for c in commands if isinstance(c.verb, Rerun | Replace)}
            ids |= {start.run for c in commands if isinstance(c.verb, FireTicks) for start in c.verb.starts}
            if unknown := [run for run in ids if not 0 < run < FOREVER]:
                raise NotFound(f"there is no run {public_id(unknown[0])}")
            parents = rows.run_parent(sorted(ids)) if any(isinstance(c.verb, End) for c in commands) else []
            actor = commands[0].actor if commands else ""
            commit = Commit(rows, self.known, now, actor, heard=self.woke is not None)
            if ids:
                commit.lock(ids | set(parents) | also)
            answers = [self._command(commit, command) for command in commands]
            commit.write()
        self._tell(commit.woken)
        if any(isinstance(command.verb, _LOOSENS) for command in commands):
            self._tell(self._anything())
        for command in commands:
            if isinstance(command.verb, Register):
                self.known.graphs[command.verb.graph.id] = command.verb.graph
        return answers

    def _command(self, commit: Commit, command: Command) -> Answer:
        match command.verb:
            case Start() as start:
                return self._start(commit, start)
            case Replace(start):
                return self._replace(commit, start, command)
            case Register(graph):
                self.known.register(commit.rows, graph, commit.now)
                return Answer()
            case SetQueue() as change:
                return set_queue(commit, change, command)
            case Configure(name, terms):
                return configure(commit, name, terms)
            case SetNode() as change:
                return self._set_node(commit, change, command)
            case Drain(worker):
                return self._drain(commit, worker, command)
            case FireTicks() | Follow() | SetSchedule() as verb:
                return scheduled(commit, verb, command)
            case _:
                return self._run_command(commit, command)

    def _start(self, commit: Commit, start: Start) -> Answer:
        run, new = commit.launch(start)
        return Answer(run, done=new, note="" if new else "this run was started before")

    def _replace(self, commit: Commit, start: Start, command: Command) -> Answer:
        key = start.idempotency_key or ""
        known = commit.rows.run_by_key(start.graph.name, key)
        if known is None or known[1] == start.message:
            return self._start(commit, start)
        end = End(RunState.cancelled, reason=f"replaced by run {public_id(start.run)}")
        for run in commit.reached([known[0]]):
            self._end(commit, run, end, command)
        commit.rows.run_rekey(known[0], replaced_key(key, start.run))
        answer = self._start(commit, start)
        commit.runs[start.run].facts["replaces"] = known[0]
        return answer

    def _run_command(self, commit: Commit, command: Command) -> Answer:
        run = commit.runs.get(command.run) if command.run is not None else None
        if run is None:
            raise NotFound(f"there is no run {public_id(command.run or 0)}")
        number = getattr(command.verb, "number", None)
        if number is not None and not 0 < number < FOREVER:
            raise NotFound(f"run {public_id(run.id)} has no task {number}")
        match command.verb:
            case Send() as send:
                return self._send(commit, run, send)
            case Rerun() as verb:
                return rerun(commit, run, verb, command)
            case End() as end:
                return self._end(commit, run, end, command)
            case Keep(artifact):
                commit.artifacts.append((run.id, 0, artifact, commit.now))
                run.facts |= {"kept": artifact.name, "by": command.actor, "reason": command.reason}
                return Answer(run.id)
            case Pause(on):
                return self._pause(commit, run, command, on=on)
            case Claim() | Decide() as verb:
                return reviewed(commit, run, verb, command)
            case TryAgain() | Resolve() | Cancel() | SetTask() as verb:
                return operated(commit, run, verb, command)
            case _:
                raise BadInput(f"{type(command.verb).__name__} is not about a run")

    def _send(self, commit: Commit, run: OpenRun, send: Send) -> Answer:
        change = planner.delivered(run.graph, send)
        if run.takes:
            before = run.last
            number = commit.create(run, change, None)
            if born := run.last > before:
                commit.keep_mentioned(run, number, send.message)
            return Answer(run.id, number, done=born)
        return Answer(run.id, commit.late(run, change), done=False, note=run.why_late)

    def _end(self, commit: Commit, run: OpenRun, end: End, command: Command) -> Answer:
        if run.state.final:
            return Answer(run.id, done=False, note=f"nothing to do: the run {run.state.over} already")
        if run.closing and end.state is RunState.succeeded:
            return Answer(run.id, done=False, note="nothing to do: the run is failing")
        run.facts["by"] = command.actor
        commit.keep_mentioned(run, 0, end.result or "")
        commit.apply(run, [end if end.reason or not command.reason else replace(end, reason=command.reason)])
        return Answer(run.id)

    def _pause(self, commit: Commit, run: OpenRun, command: Command, *, on: bool) -> Answer:
        if run.state.final:
            raise Ended(f"run {public_id(run.id)} has {run.state}; there is nothing to {'pause' if on else 'resume'}")
        if run.paused == on:
            return Answer(run.id, done=False, note=f"the run was {'paused' if on else 'not paused'} already")
        run.facts |= {"paused": on, "reason": command.reason}
        commit.hold(run, Hold("run", "", commit.now, command.actor, command.reason), on=on)
        return Answer(run.id)

    def _set_node(self, commit: Commit, change: SetNode, command: Command) -> Answer:
        rows = commit.rows
        graph = rows.graph_lock(change.graph)
        if graph is None:
            raise NotFound(f"no workflow is registered under {change.graph}")
        node = graph[change.node]
        lanes = {lane.node: lane for lane, _ in rows.lane_list([change.graph])}
        lane = lanes.get(node.name) or own_lane(graph, node)
        limit = lane.limit if change.limit == KEEP else limited(change.limit, "node", node.name)
        lane = replace(lane, limit=limit, paused=lane.paused if change.paused is None else change.paused)
        rows.lane_set(lane)
        if change.paused is not None:
            hold = Hold("node", node_hold(graph.id, node.name), commit.now, command.actor, command.reason)
            rows.hold_set(hold, on=change.paused)
        told: dict[str, object] = {"node": node.name, "workflow": graph.label, "limit": limit, "paused": lane.paused}
        commit.told(told | {"reason": command.reason})
        self.known.changed(graph.id)
        return Answer()

    def _drain(self, commit: Commit, worker: str, command: Command) -> Answer:
        state = commit.rows.worker_state(worker)
        if state is None:
            raise NotFound(f"there is no worker {worker!r}")
        if not commit.rows.worker_drain(worker):
            return Answer(done=False, note=f"nothing to do: worker {worker} is {state} already")
        commit.told({"worker": worker, "drain": True, "reason": command.reason})
        return Answer()

    # duties

    def beat(self, worker: WorkerInfo, now: float) -> Orders | None:
        """Show life; see ``store.Store``."""

        def work() -> Orders | None:
            with self.transaction() as rows:
                if not rows.worker_beat(worker, now):
                    return None
                stops, drain = rows.worker_stops(worker.id), rows.worker_state(worker.id) == "draining"
                cancelled = frozenset(task for task, called_off in stops.items() if called_off)
                return Orders(frozenset(stops) - cancelled, drain, cancelled)

        return self.again(work)

    def rescue(
        self, lost: Sequence[tuple[str, int]], now: float, adopter: Ask | None = None, *, here: bool = True
    ) -> tuple[int, tuple[Attempt, ...]]:
        """Take back what lost workers held; see ``store.Store``."""
        taken = 0
        adopted: tuple[Attempt, ...] = ()
        for each in lost:
            more, jobs = self._rescue_fenced(partial(self._rescue, each, now, adopter, here))
            taken, adopted = taken + more, adopted + jobs
        return taken, adopted

    def _rescue_fenced(self, work: Callable[[frozenset[int]], T]) -> T:
        """A rescue; again if who was presumed dead has settled something just now: then there is less to rescue."""
        while True:
            try:
                return self._locking(work)
            except Stale:
                continue

    def _rescue(
        self,
        lost: tuple[str, int],
        now: float,
        adopter: Ask | None,
        here: bool,  # noqa: FBT001 - of its caller's
        also: frozenset[int],
    ) -> tuple[int, tuple[Attempt, ...]]:
        worker, beat = lost
        with self.transaction() as rows:
            if not rows.worker_lose(worker, beat):
                return 0, ()
            attempts = rows.task_of_worker(worker)
            commit = Commit(rows, self.known, now, "rescue", heard=self.woke is not None)
            commit.lock(_runs_of([(a, Released()) for a in attempts]) | also)
            outcomes: list[tuple[Attempt, Outcome]] = []
            jobs: list[Attempt] = []
            for attempt in attempts:
                run = commit.runs[attempt.run]
                node = run.graph[attempt.node]
                if _is_job(node, attempt, adopter):  # it goes on; if its run is over, who watches it is told to end it
                    if adopter is not None and _can_watch(adopter, attempt, here=here):
                        jobs.append(attempt)  # else it stays with its job until somebody comes who can watch it
                elif run.state.final and not attempt.epilogue:
                    _stop(rows, run, attempt, worker, now)
                elif attempt.rescues + 1 >= node.rescues:
                    error = f"{LOST_WITH} {attempt.rescues + 1} times"
                    outcomes.append((attempt, Failed(error, how=AttemptState.rescued)))
                else:
                    outcomes.append((attempt, Rescued()))
            self._carry_out(commit, worker, outcomes, own=False)
            adopted = rows.task_adopt(jobs, adopter.worker, now) if adopter and jobs else []
            if adopted:
                rows.attempt_insert(_passed_on(jobs, adopted, worker, now))
        self._tell(commit.woken)
        return len(attempts), tuple(adopted)

    def promote(self, now: float) -> float | None:
        """Make ready what waited for a time that has come, and end what was to have ended; see ``store.Store``."""
        promoted, overdue = False, list[int]()

        def work() -> float | None:
            nonlocal promoted, overdue
            with self.transaction() as rows:
                due = rows.task_due(now, PROMOTE_AT_ONCE)
                promoted = bool(due)
                keyed = sorted({task.run for task in due if task.key is not None})
                if keyed:
                    rows.run_lock(keyed)
                if due:
                    rows.task_promote(due, now)
                    rows.task_turn({(task.run, task.key) for task in due if task.key is not None})
                overdue = rows.run_overdue(now, SWEEP_AT_ONCE)
                return min(filter(None, (rows.task_next_due(), rows.run_next_deadline())), default=None)

        due_at = self.again(work)
        if promoted:
            self._tell(self._anything())
        if overdue:  # ending a run locks it before its tasks, so this is a transaction of its own
            end = End(RunState.failed, reason=OVERDUE)
            self.accept([Command(end, run, actor="deadline") for run in overdue], now)
            return now
        return due_at

    def _anything(self) -> dict[str, int]:
        """What may have become ready where no commit has counted: asked only if somebody is to be told."""
        return {} if self.woke is None else dict.fromkeys(self.lively(), 1)

    def sweep(self, now: float) -> int:
        """Cancel what ends of runs left open; see ``store.Store``."""

        def work(also: frozenset[int]) -> int:
            with self.transaction() as rows:
                commit = Commit(rows, self.known, now, "sweep", heard=self.woke is not None)
                leftover = rows.run_leftover(SWEEP_AT_ONCE)
                commit.lock({*leftover} | also)
                closed, swept = 0, []
                for run in commit.reached(leftover):
                    if not run.state.final:  # it goes on since just now
                        continue
                    if run.graph.parts and commit.end_parts(run):
                        closed += 1
                        continue
                    done = rows.task_cancel(run.id, "the run was over", now, CANCEL_AT_ONCE)
                    closed += done
                    if done == CANCEL_AT_ONCE:
                        run.open -= done
                    else:  # leases, which lock no run, may have cancelled some uncounted
                        run.open = rows.task_open(run.id)
                        swept.append(run.id)
                commit.write()
                rows.run_swept(swept)
                return closed

        return self._locking(work)


class _Lanes:
    """What a lease needs to know of lanes and queues; worked out again when they are read again.

    ``limited`` names the queues and lanes of which it has to be known what runs in them or may begin: they are locked
    in this order before any task is. The ``unlimited`` give what others leave, since nothing has to be counted again.
    """

    def __init__(self, found: Sequence[tuple[Lane, Queue]] = (), queues: frozenset[str] | None = None) -> None:
        self.found, self.queues = found, queues
        self.by_queue: dict[str, tuple[Queue, list[Lane]]] = {}
        for lane, queue in found:
            if not (lane.paused or queue.paused) and (queues is None or queue.name in queues):
                self.by_queue.setdefault(queue.name, (queue, []))[1].append(lane)
        self.names = sorted(self.by_queue)
        self.strays = _strays([lane for lane, _ in found])
        self.paces = {queue.name: pace(queue.rate) for queue, _ in self.by_queue.values() if queue.rate is not None}
        opened = [lane for _, lanes in self.by_queue.values() for lane in lanes]
        self.unlimited = {
            name
            for name, (queue, opened) in self.by_queue.items()
            if not queue.limit and not queue.rate and all(lane.limit is None for lane in opened)
        }
        self.limited = (
            sorted(queue.name for queue, _ in self.by_queue.values() if queue.limit or queue.rate),
            sorted(lane.id for lane in opened if lane.limit is not None),
        )


def _strays(found: Sequence[Lane]) -> dict[tuple[int, str], int]:
    """Where tasks that are found in another lane than their node's own belong."""
    own = {(lane.graph, lane.node): lane.id for lane in found if lane.node is not None}
    if not own:
        return {}
    others = [(lane, node, home) for lane in found for (graph, node), home in own.items() if graph == lane.graph]
    return {(lane.id, node): home for lane, node, home in others if lane.id != home and lane.node in (None, node)}


def _within_limits(
    queue: Queue, lanes: Sequence[Lane], running: tuple[dict[str, int], dict[int, int]], share: int, free: int
) -> tuple[list[tuple[Lane, int]], int]:
    """What each lane of a queue may give, and the queue; only unlimited lanes give more than there are slots."""
    in_queue, in_lane = running
    room = share if queue.limit is None else min(share, free, queue.limit - in_queue[queue.name])
    wanted = []
    for lane in lanes:
        most = room if lane.limit is None else min(room, free, lane.limit - in_lane[lane.id])
        if most > 0:
            wanted.append((lane, most))
    return wanted, room


def _can_watch(adopter: Ask, attempt: Attempt, *, here: bool) -> bool:
    """Whether a worker could have leased an attempt, and can see its job."""
    offered = attempt.graph in adopter.offers and (adopter.queues is None or attempt.queue in adopter.queues)
    return offered and (here or attempt.queue in adopter.reached)


def _is_job(node: Node, attempt: Attempt, adopter: Ask | None) -> bool:
    """Whether an attempt lives on without its worker, as far as an adopter can tell."""
    batched = adopter is not None and attempt.queue in adopter.batched
    return node.kind is Kind.job or (batched and node.kind is Kind.function)


def _runs_of(outcomes: Sequence[tuple[Attempt, Outcome]]) -> set[int]:
    """All runs that outcomes can touch: their own, those that wait for their end, and those that they start."""
    ids: set[int] = set()
    for attempt, outcome in outcomes:
        ids.add(attempt.run)
        if attempt.parent is not None:
            ids.add(attempt.parent)
        if effects := getattr(outcome, "effects", ()):
            ids.update(effect.run for effect in effects if isinstance(effect, Start))
    return ids


def _called_off(rows: Rows, outcomes: Sequence[tuple[Attempt, Outcome]]) -> Sequence[tuple[Attempt, Outcome]]:
    """Outcomes in which those who were called off have failed for that, unless they have succeeded before they knew."""
    asked = [attempt.task for attempt, outcome in outcomes if type(outcome) not in _DONE]
    fences = rows.task_fences(asked) if asked else {}
    why = {task: fence.called_off for task, fence in fences.items() if fence.called_off is not None}
    return (
        [
            (attempt, Failed(why[attempt.task], how=AttemptState.stopped, final=True))
            if attempt.task in why and type(outcome) not in _DONE
            else (attempt, outcome)
            for attempt, outcome in outcomes
        ]
        if why
        else outcomes
    )


_DONE = (Succeeded, Skipped)  #: outcomes of attempts that have done what they should


def _planned(run: OpenRun, attempt: Attempt, outcome: Outcome) -> tuple[TaskState, Sequence[Change]]:
    """What follows from an outcome; a run that is failing asks nobody any more, and begins no other run."""
    if type(outcome) in (Asked, Begun) and not run.takes:
        return TaskState.cancelled, ()
    return planner.settled(run.graph, attempt, outcome)


def _fence(attempt: Attempt, outcome: Outcome, state: TaskState, worker: str, now: float, *, own: bool) -> Fence:
    reason = due_at = None
    failures, rescues = attempt.failures, attempt.rescues
    holds = False
    if isinstance(outcome, Skipped):
        reason = outcome.reason
    elif state is TaskState.cancelled:
        reason, holds = WHY_CANCELLED[RunState.failed], attempt.key is not None
    elif isinstance(outcome, Snoozed | Asked):
        due_at = outcome.until
    elif isinstance(outcome, Begun):
        failures = outcome.before
    elif isinstance(outcome, Failed):
        reason, due_at, failures = outcome.error, outcome.retry_at, failures + 1
        holds = attempt.key is not None and state is TaskState.waiting
    else:
        holds = attempt.key is not None
        rescues += isinstance(outcome, Rescued)
        if isinstance(outcome, Released) and outcome.until is not None:
            reason, due_at = outcome.reason, outcome.until
    missing = int(state is TaskState.pending)
    changed = (state, reason, due_at, holds, failures, rescues, now, attempt.count if own else 0, missing)
    return Fence(*changed, *attempt[:3], worker)


def _how(outcome: Outcome) -> AttemptState | None:
    """How an attempt that did not simply succeed is remembered, if it is."""
    if isinstance(outcome, Failed | Released):
        return outcome.how
    return _HOW.get(type(outcome))


_HOW: dict[type, AttemptState] = {Snoozed: AttemptState.snoozed, Rescued: AttemptState.rescued}


def _past(attempt: Attempt, outcome: Outcome, worker: str, now: float) -> PastAttempt:
    reason = getattr(outcome, "error", None) or getattr(outcome, "reason", None)
    return PastAttempt(*attempt.task, attempt.count, str(_how(outcome)), worker, attempt.started_at, now, reason)


def _passed_on(jobs: Sequence[Attempt], adopted: Sequence[Attempt], worker: str, now: float) -> list[PastAttempt]:
    """The attempts at jobs that ended with their worker, though the jobs did not."""
    heirs = {attempt.task for attempt in adopted}
    how, reason = AttemptState.rescued, "its worker was lost; the job goes on with another"
    return [
        PastAttempt(*job.task, job.count, how, worker, job.started_at, now, reason) for job in jobs if job.task in heirs
    ]


def _stop(rows: Rows, run: OpenRun, attempt: Attempt, worker: str, now: float) -> None:
    """An attempt of a run that is over ends with it."""
    reason = f"the run {run.state.over}"
    changed = (TaskState.cancelled, reason, None, attempt.key is not None, attempt.failures, attempt.rescues, now, 0, 0)
    rows.task_settle([], [Fence(*changed, *attempt[:3], worker)])
    run.open -= 1
    run.note(TaskState.cancelled, attempt.number)
    past = PastAttempt(*attempt.task, attempt.count, AttemptState.stopped, worker, attempt.started_at, now, reason)
    rows.attempt_insert([past])
