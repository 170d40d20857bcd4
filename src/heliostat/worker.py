"""The worker: leases attempts, has them performed, settles their outcomes.

Its cycle is ``tick(now)``, without thread, sleep or signal inside; ``serve`` alone waits. While it serves, a thread of
the executor that has emptied the line takes a turn at the cycle itself: so the next step begins where the last one
ended, without a change of threads between them.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from heliostat import retry
from heliostat.alive import birth
from heliostat.code import release
from heliostat.errors import StoreUnavailable
from heliostat.executor import Submitted
from heliostat.graph import Kind
from heliostat.inputs import Inputs, item
from heliostat.outcome import COMMITTED, Failed, Outcome, Released, Succeeded, ends, times
from heliostat.queue import ITSELF, WorkerInfo
from heliostat.store import Ask
from heliostat.suspect import Suspects
from heliostat.task import AttemptState

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Sequence

    from heliostat.clock import Clock
    from heliostat.executor import Executor, Work
    from heliostat.graph import Graph
    from heliostat.registry import Registry
    from heliostat.store import Store
    from heliostat.task import Attempt
    from heliostat.watch import Came, Watch

LOG = logging.getLogger("heliostat.worker")

BATCH = 400  #: outcomes and leases per commit, at most
AHEAD_SECONDS = 0.01  #: how much work may wait in line beyond the free slots, where a commit does not take longer
COMMIT_SECONDS = 0.1  #: what a commit is taken to last, at most, when its rhythm is followed
STUCK_SECONDS = 1.0  #: works that wait behind long ones for so long are handed back
LINE_SECONDS = 0.02  #: the pause between looks at a line that does not become empty, whether it needs more threads
WRITTEN_OFF = 16  #: a worker with so many threads that do not end exits, to be started afresh
AWAY_SECONDS = 1.0  #: the pause after the database could not be reached
FOREVER = float("inf")
IDLE_SECONDS = (0.005, 0.25)  #: the pause between looks for work, growing while there is none

OVER = "its run is over"  #: why a work is to stop
#: What is settled of it then, however it ended: should its run go on meanwhile, it is begun anew.
STOPPED = Released(OVER, how=AttemptState.stopped)
UNSAID = Failed("its error could not be kept", final=True)  #: for a failure that the store would not take


class Loop(Protocol):
    """A background duty."""

    def tick(self, now: float) -> float:
        """Do it, and answer when to be called again."""


@runtime_checkable
class Timed(Loop, Protocol):
    """The duty that waits for times: it hears at once of those that its own worker has set."""

    next_due: float | None  #: the next time that something waits for, as far as it knows

    def expect(self, due: float) -> None:
        """Something was put off until then, and it is to be called then."""


class Worker:
    """One worker of a process. Give it ``executor`` and ``loops`` before the first tick."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        clock: Clock,
        chance: random.Random,
        *,
        name: str = "",
        queues: Iterable[str] | None = None,
        site: str = "",
        lease_seconds: float = 15.0,
    ) -> None:
        self.store, self.registry, self.clock, self.chance = store, registry, clock, chance
        self.bell = threading.Event()
        self._inputs = Inputs(store, registry)
        self.executor: Executor
        self.watch: Watch | None = None
        self.loops: list[Loop] = []
        self.looked: Callable[[Ask, Sequence[Attempt]], object] | None = None  # is told of each look, and what it found
        self.queues = None if queues is None else frozenset(queues)
        self.batched: frozenset[str] = frozenset()  #: the queues whose functions run as jobs
        self.reached: frozenset[str] = frozenset()  #: the queues whose jobs are elsewhere, to be watched from anywhere
        self.taking = self.queues  #: the queues that it takes from now; none while it is empty
        self.site, self.lease_seconds = site, lease_seconds
        self.settled, self.started_at = 0, clock.now()
        self.stopping = self.draining = False
        self._name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.id = self._new_id()
        self._works: dict[tuple[int, int], Work] = {}
        self._outcomes: list[tuple[Attempt, Outcome]] = []
        self._suspects = Suspects()
        self._code: list[tuple[int, str, float]] = []
        self._dues: dict[int, float] = {}
        self._duty_at = 0.0  # the earliest of them
        self._beat_at = self._poll_at = self._progress_at = 0.0
        self._idle, self._turn = IDLE_SECONDS[0], 0
        self._lately = (0.0, 0.0)  # works that ended, and in how many seconds: what was before counts by half
        self._commit_seconds = self._settle_at = 0.0  # what the last commit took, and when the next is worth it
        self._found_nothing = self._unheard = self._doubtful = self._rung = self._over = False
        self._cycle = threading.Lock()  # who holds it ticks
        self._serving, self._due, self._wakes_at = False, 0.0, 0.0
        self._trouble: BaseException | None = None

    def _new_id(self) -> str:
        return f"{self._name}:{self.chance.getrandbits(32):08x}"

    # the cycle

    def tick(self, now: float) -> float:
        """One turn: show life, do duties, settle what has ended, lease what is next; answers when to come again."""
        if self._rung:
            self._rung, self._poll_at, self._idle = False, 0.0, IDLE_SECONDS[0]
        if now >= self._beat_at or self._over or len(self._code) < len(self.registry.codes):
            self._over = False
            self._beat(now)
        if now >= self._duty_at:
            self._do_duties(now)
        self._outcomes += self._ended(now)
        closed_until = self._suspects.closed_until(now, self.executor.begun()) if self._suspects else 0.0
        ask = None if self.stopping or self.draining or now < closed_until else self._ask()
        if (self._outcomes or (ask is not None and now >= self._poll_at)) and not self._too_soon(now):
            self._settle(ask, now)
        if self._suspects:
            self._see_suspects(now)
            closed_until = self._suspects.closed_until(now, self.executor.begun())
        waiting = self.executor.waiting() > 0  # looked at first: what leaves the line now has a time-out
        dues = [now if self._over else self._beat_at, self._duty_at, *self._time_outs()]
        if self.watch is not None:
            dues.append(self.watch.due)
        if not (self.stopping or self.draining) and self._open and self._free() > 0:
            dues.append(max(self._poll_at, closed_until, self._settle_at if waiting else 0.0))
        if self._suspects.due is not None:
            dues.append(self._suspects.due)
        if self._outcomes:
            dues.append(self._settle_at)
        if waiting:
            dues.append(self.clock.now() + LINE_SECONDS)  # a pause after this look, however long that has taken
        return max(now, min(dues))

    def _do_duties(self, now: float) -> None:
        for position, loop in enumerate(self.loops):
            if now >= self._dues.get(position, 0.0):
                awaited = loop.next_due if isinstance(loop, Timed) else None
                self._dues[position] = loop.tick(now)
                if awaited is not None and awaited <= now:  # what it was is ready now, though a look found nothing
                    self._poll_at, self._found_nothing = 0.0, False
                if (
                    isinstance(loop, Timed) and loop.next_due == now
                ):  # not done yet: it has ended runs, at their deadline
                    self._over = True
        self._duty_at = min(self._dues.values(), default=FOREVER)

    def serve(self, until: Callable[[], bool]) -> None:
        """Tick or wait for the bell or the next due time, until a condition holds: it is asked after either."""
        self._serving, self._due = True, 0.0
        try:
            while not until():
                now = self.clock.now()
                if not self.bell.is_set() and now < self._due:
                    self._wakes_at = self._due  # and read again: a turn writes the one and then reads the other
                    self.clock.wait(self.bell, self._due - now)
                elif self._cycle.acquire(blocking=self.bell.is_set()):
                    try:
                        self.bell.clear()  # only before a look: what rings from here on ends the next wait
                        self._due = self._tried(self.clock.now())
                    finally:
                        self._cycle.release()
                else:  # a thread has a turn, and will say when the next one is due
                    self._wakes_at = now + LINE_SECONDS
                    self.clock.wait(self.bell, LINE_SECONDS)
        finally:
            self._serving = False
            with self._cycle:  # whoever has a turn has had it
                pass

    def _tried(self, now: float) -> float:
        trouble, self._trouble = self._trouble, None
        try:
            if trouble is not None:
                raise trouble
            return self.tick(now)
        except StoreUnavailable as error:  # what has ended is kept, and settled when the database is back
            LOG.warning("the database is not there: %s", error)
            self._unheard = self._doubtful = True
            return now + AWAY_SECONDS
        except BaseException:  # as Ctrl-C in the middle of it: what has been leased is asked for again
            self._unheard = self._doubtful = True
            raise

    def turn(self) -> None:
        """Tick, in a thread that has nothing else to do, while another serves."""
        if self._cycle.acquire(blocking=False):
            try:
                if not self._serving:  # asked under the lock: whoever has served goes on without it
                    return
                self._due = self.tick(self.clock.now())
            except BaseException as error:  # noqa: BLE001 - it is for whoever serves
                self._trouble, self._due = error, 0.0
            finally:
                self._cycle.release()
            soon = self._due < self._wakes_at or self._found_nothing or self.taking is not self.queues
            if not (soon or self.stopping or self.draining):
                return
        self.bell.set()  # whoever serves is to look: at the time to wake, at the condition, at what just ended

    @property
    def idle(self) -> bool:
        """Whether its last look found nothing, it holds nothing, and nothing that it knows of waits for a time."""
        if self._works or not self._found_nothing:
            return False  # asked at every turn, so what is at hand decides before the duties are looked through
        return self._next_due is None

    @property
    def awaits(self) -> float | None:
        """The time for which it waits, where nothing else keeps it from being idle."""
        return self._next_due if self._found_nothing and not self._works else None

    @property
    def _next_due(self) -> float | None:
        """The next time that something waits for, as far as it knows."""
        dues = [loop.next_due for loop in self.loops if isinstance(loop, Timed) and loop.next_due is not None]
        return min(dues, default=None)

    @property
    def spent(self) -> bool:
        """Whether no function is here, and a look for more since it was last rung found nothing."""
        return self._found_nothing and not self._rung and not self.functions

    @property
    def functions(self) -> int:
        """How many functions it holds, begun or in line or ended and not yet settled."""
        return len(self._functions()) if self._works else 0

    def time_out(self, why: str) -> None:
        """Have the functions that have begun ended as timed out, whatever their own time is."""
        for work in self.executor.begun():
            work.overdue = why
        self.bell.set()

    def holds(self, run: int) -> bool:
        """Whether it holds attempts of a run."""
        return any(task[0] == run for task in list(self._works))  # a turn may be under way

    def ring(self, *, ended: bool = False) -> None:
        """Have it look for work at once; and if a run has ``ended``, ask at once what is to stop."""
        self._rung, self._found_nothing, self._over = True, False, self._over or ended
        self.bell.set()

    @property
    def lasting(self) -> list[Graph]:
        """The definitions that it offers and goes on to offer; none once it is to end."""
        return [] if self.stopping or self.draining else self.registry.graphs

    @property
    def exhausted(self) -> bool:
        """Whether so many of its threads do not end that the process should be started afresh."""
        return self.executor.written_off >= WRITTEN_OFF

    @property
    def drained(self) -> bool:
        """Whether an operator has told it to end, and nothing is left that it has taken, but jobs."""
        return self.draining and not self._functions()

    def stop(self, grace: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """Lease nothing more; finish what has begun within ``grace`` seconds or until ``hurry``; hand the rest back."""
        self.stopping = True
        try:
            self._finish(grace, hurry)
        except StoreUnavailable as error:  # it goes all the same, and what it held is rescued by others
            LOG.warning("stopped without the database: %s", error)
            self.executor.close(0.0)

    def _finish(self, grace: float, hurry: Callable[[], bool]) -> None:
        self._hand_back([*self.executor.take_back(), *self._suspects.waiting])
        until = self.clock.now() + grace
        self.serve(lambda: not self._functions() or hurry() or self.clock.now() >= until)
        for work in self._functions():
            work.stop = "its worker stops"
            self.executor.write_off(work)
        self._hand_back(self._functions())
        self.executor.close(0.0)
        self.store.beat(self._info("stopped"), self.clock.now())

    def _functions(self) -> list[Work]:
        jobs = self.watch.jobs if self.watch else {}
        return [work for work in list(self._works.values()) if work.task not in jobs]  # a turn may be under way

    def _hand_back(self, works: Sequence[Work]) -> None:
        self._outcomes += [(work.attempt, Released("its worker stopped")) for work in works]
        if self._outcomes:
            self._settle(None, self.clock.now())

    # life signs

    def _info(self, state: str = "active") -> WorkerInfo:
        return WorkerInfo(
            self.id,
            socket.gethostname(),
            os.getpid(),
            birth(os.getpid()),
            ",".join(sorted(self.queues)) if self.queues is not None else "",
            ", ".join(sorted(graph.label for graph in self.registry.graphs)),
            started_at=self.started_at,
            state=state,
            code=json.dumps([(ITSELF, release(), self.started_at), *self._code]),
            site=self.site,
        )

    def _beat(self, now: float) -> None:
        self._code += [(graph, code, now) for graph, code in self.registry.codes[len(self._code) :]]
        orders = self.store.beat(self._info(), now)
        self._beat_at = now + self.lease_seconds / 3
        self._unheard |= self._doubtful  # what was cut off once may have arrived since, and have leased something
        if orders is None:  # presumed dead: nothing that it holds is its own any more
            if self.watch is not None:
                self.watch.clear()  # before they are stopped: what their jobs leave is for others
            for work in self._works.values():
                work.stop = "its lease was lost"
            self._works.clear()
            self._outcomes.clear()
            self._suspects = Suspects()
            self.id = self._new_id()
            self.store.beat(self._info(), now)  # nothing is leased under a name that nobody watches
            return
        self.draining = self.draining or orders.drain
        for task in orders.stop:
            if (held := self._works.get(task)) is not None:
                held.stop = OVER
        for task in orders.cancelled:
            if (held := self._works.get(task)) is not None:
                held.stop, held.cancelled = "it was cancelled", True
        if self.watch is not None and (asked := {*orders.stop, *orders.cancelled}):
            self.watch.stop(asked, now)

    # what ended

    def _ended(self, now: float) -> list[tuple[Attempt, Outcome]]:
        outcomes: list[tuple[Attempt, Outcome]] = []
        collected = self.executor.collect()
        if collected:
            works, seconds = self._lately
            self._lately = (works / 2 + len(collected), seconds / 2 + max(0.0, now - self._progress_at))
            self._progress_at = now
        for work, answer in collected:
            if self._works.get(work.task) is not work:
                continue  # not ours any more
            if isinstance(answer, Submitted):
                assert self.watch is not None
                self.watch.begin(work, answer, now)
            elif type(answer) is Failed:
                outcomes.append((work.attempt, STOPPED if work.stop == OVER else self._judge(work, answer, now)))
            else:
                outcomes.append((work.attempt, answer))
        outcomes += self._overdue(now)
        if self.watch is not None and now >= self.watch.due:
            outcomes += self._looked(self.watch.tick(now), now)
        if now - self._progress_at > STUCK_SECONDS and self.executor.waiting():
            self._lately = (0.0, 0.0)  # not as it was: else this commit would take again what it hands back
            outcomes += [(work.attempt, Released("waited behind long work")) for work in self.executor.take_back()]
        return outcomes

    def _looked(self, came: list[Came], now: float) -> list[tuple[Attempt, Outcome]]:
        """Have what ended jobs left collected; those that nobody wants, or that no batch system takes, are over."""
        if came:
            self._progress_at = now  # what a long job left to collect has not waited in line
        self.executor.submit([work for work, over, rejected in came if not over and rejected is None])
        outcomes: list[tuple[Attempt, Outcome]] = [(work.attempt, STOPPED) for work, over, _ in came if over]
        for work, over, rejected in came:
            if rejected is not None and not over:
                failed = Failed(rejected, final=not work.node.retry.covers(AttemptState.failed))
                outcomes.append((work.attempt, self._judge(work, failed, now)))
        return outcomes

    def _judge(self, work: Work, outcome: Failed, now: float) -> Failed:
        """Say of which item a failure is, and give it its next try, if the node's policy has one left."""
        if work.attempt.item is not None and (of := item(work)):
            outcome = replace(outcome, error=f"{of}: {outcome.error}")
        if outcome.final:
            return outcome
        wait = retry.delay(work.node.retry, work.attempt.failures, self.chance.random())
        return outcome if wait is None else replace(outcome, retry_at=now + wait)

    def _time_outs(self) -> list[float]:
        return [w.begun_at + w.timeout for w in self.executor.begun() if w.timeout is not None and w.begun_at]

    def _overdue(self, now: float) -> list[tuple[Attempt, Outcome]]:
        overdue: list[tuple[Attempt, Outcome]] = []
        for work in self.executor.begun():
            if work.timeout is not None and work.begun_at is not None and now - work.begun_at >= work.timeout:
                work.overdue = f"timed out after {work.timeout:g} s"
            if work.cancelled and self.executor.write_off(work):
                overdue.append((work.attempt, Released("cancelled")))  # the store knows by whom, and that it has failed
                self._over = True  # and perhaps its run with it, and what else runs of that
            elif work.overdue is not None:
                work.stop = "timed out"
                if self.executor.write_off(work):
                    how = AttemptState.timed_out
                    failed = Failed(work.overdue, how=how, final=not work.node.retry.covers(how))
                    overdue.append((work.attempt, self._judge(work, failed, now)))
        return overdue

    # settling and leasing

    def _free(self) -> int:
        held = self.executor.waiting() + len(self._suspects.waiting)
        return self.executor.slots - len(self.executor.begun()) - held

    @property
    def _open(self) -> bool:
        return self.taking is None or bool(self.taking)

    def _too_soon(self, now: float) -> bool:
        """Whether outcomes gather a little longer: while works wait in line, commits get half the time at most."""
        return now < self._settle_at and self.executor.waiting() > 0

    def _ask(self) -> Ask | None:
        if not self._open:
            return None
        free = self._free()
        works, seconds = self._lately
        each = max(seconds, 1e-6) / works if works else FOREVER  # until one more has ended, and the next begins
        line = min(BATCH, round(max(AHEAD_SECONDS, self._commit_seconds) / each))
        ahead = line - max(0, -free)
        if free <= 0 and ahead <= line // 2:
            return None
        self._turn += 1
        return Ask(self.id, self.registry.offers, max(0, free), self.taking, self._turn, max(0, ahead), self._unheard)

    def _settle(self, ask: Ask | None, now: float) -> None:
        outcomes = self._outcomes
        begun_at = self.clock.now()
        batch = self.store.settle(self.id, outcomes, now, ask)
        ended_at = self.clock.now()
        self._commit_seconds = min(COMMIT_SECONDS, ended_at - begun_at)
        self._settle_at = ended_at + self._commit_seconds
        self._outcomes = []
        if ask is not None:
            self._unheard, self._found_nothing = False, not batch.leased
            if self.looked is not None:
                self.looked(ask, batch.leased)
        self.settled += len(outcomes)
        for (attempt, outcome), verdict in zip(outcomes, batch.verdicts, strict=True):
            if verdict is COMMITTED:
                work = self._works.pop(attempt[:2], None)
                if work is not None and type(outcome) is Succeeded:
                    self._inputs.remember(work, outcome)
            elif verdict.word in ("conflict", "refused") and outcome is not UNSAID:
                # what the store would not take is the function's failure, and only its error is recorded
                error = UNSAID if isinstance(outcome, Failed) else Failed(verdict.reason, final=True)
                self._outcomes.append((attempt, error))
            else:
                self._works.pop(attempt[:2], None)
        special = [outcome for _, outcome in outcomes if type(outcome) is not Succeeded or outcome.effects]
        if special:
            if later := [due for outcome in special for due in times(outcome)]:
                self._expect(min(later))
            if any(ends(outcome) and self.holds(attempt.run) for attempt, outcome in outcomes):
                self._over = True
        self._take(batch.leased, ended_at)
        if ask is not None:
            self._idle = IDLE_SECONDS[0] if batch.leased else min(self._idle * 2, IDLE_SECONDS[1])
            full = len(batch.leased) >= ask.n + ask.ahead  # else there was no more, for the moment
            self._poll_at = now if full else now + self._idle

    def _expect(self, due: float) -> None:
        for position, loop in enumerate(self.loops):
            if isinstance(loop, Timed):
                loop.expect(due)
                self._dues[position] = min(due, self._dues.get(position, due))
                self._duty_at = min(due, self._duty_at)

    def offer(self) -> Ask:
        """What it could take over, as an asking for nothing."""
        return Ask(self.id, self.registry.offers, 0, self.queues, batched=self.batched, reached=self.reached)

    def adopt(self, attempts: tuple[Attempt, ...]) -> None:
        """Take over jobs whose worker was lost: submitting again finds them."""
        self._take(attempts, self.clock.now())
        if attempts:
            self._beat_at = 0.0  # whose run is over is told at once

    def _take(self, leased: Sequence[Attempt], now: float) -> None:
        held = self._works  # a call that was repeated answers what it has already
        if held:
            leased = [a for a in leased if (work := held.get(a[:2])) is None or work.attempt.count != a.count]
        if not leased:
            return
        works = self._read(leased)
        for work in works if self.batched else ():
            work.batched = work.node.kind is Kind.function and work.attempt.queue in self.batched
        held.update([(work.task, work) for work in works])
        self._progress_at = now
        self.executor.submit(self._suspects.take(works, now))

    def _read(self, attempts: Sequence[Attempt]) -> list[Work]:
        """Works of attempts; those whose inputs cannot be read have failed, and are no danger to the others."""
        try:
            return self._inputs.read(attempts)
        except StoreUnavailable as error:
            self._outcomes += [(attempt, Released(str(error))) for attempt in attempts]
        except Exception as error:  # noqa: BLE001 - a poisonous row stops no worker
            if len(attempts) > 1:
                return [work for attempt in attempts for work in self._read([attempt])]
            self._outcomes += [(attempts[0], Failed(f"its inputs cannot be read: {error}", final=True))]
        return []

    def _see_suspects(self, now: float) -> None:
        """Begin one if nothing else runs here, or leave them to others if that does not come about."""
        self._suspects.forget(lambda work: self._works.get(work.task) is work, now)
        if self._suspects.waiting and len(self._functions()) == len(self._suspects.waiting):
            self.executor.submit([self._suspects.begin(now)])
        if given_up := self._suspects.give_up(now):
            self._outcomes += [(work.attempt, Released("something long runs beside it")) for work in given_up]
            self._settle(None, now)
