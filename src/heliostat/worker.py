"""The worker: leases attempts, has them performed, settles their outcomes.

Its cycle is ``tick(now)``, without thread, sleep or signal inside; ``serve`` alone waits.
"""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from heliostat import retry
from heliostat.executor import Submitted
from heliostat.inputs import Inputs
from heliostat.outcome import Failed, Outcome, Released
from heliostat.store import Ask, WorkerInfo
from heliostat.task import AttemptState

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Sequence

    from heliostat.clock import Clock
    from heliostat.executor import Executor
    from heliostat.outcome import Verdict
    from heliostat.registry import Registry
    from heliostat.store import Store
    from heliostat.task import Attempt
    from heliostat.watch import Watch

BATCH = 100  #: outcomes and leases per commit, at most
AHEAD_SECONDS = 0.01  #: how much work may wait in line beyond the free slots
STUCK_SECONDS = 1.0  #: works that wait behind long ones for so long are handed back
WRITTEN_OFF = 16  #: a worker with so many threads that do not end exits, to be started afresh
IDLE_SECONDS = (0.005, 0.25)  #: the pause between looks for work, growing while there is none


class Loop(Protocol):
    """A background duty."""

    def tick(self, now: float) -> float:
        """Do it, and answer when to be called again."""


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
        lease_seconds: float = 15.0,
    ) -> None:
        self.store, self.registry, self.clock, self.chance = store, registry, clock, chance
        self.bell = threading.Event()
        self._inputs = Inputs(store, registry)
        self.executor: Executor
        self.watch: Watch | None = None
        self.loops: list[Loop] = []
        self.queues = None if queues is None else frozenset(queues)
        self.lease_seconds = lease_seconds
        self.settled = 0
        self.stopping = False
        self._name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.id = self._new_id()
        self._works: dict[tuple[int, int], Work] = {}
        self._dues: dict[int, float] = {}
        self._beat_at = self._poll_at = self._progress_at = 0.0
        self._idle, self._mean, self._turn = IDLE_SECONDS[0], 1.0, 0
        self._found_nothing = False

    def _new_id(self) -> str:
        return f"{self._name}:{self.chance.getrandbits(32):08x}"

    # the cycle

    def tick(self, now: float) -> float:
        """One turn: show life, do duties, settle what has ended, lease what is next; answers when to come again."""
        if now >= self._beat_at:
            self._beat(now)
        for position, loop in enumerate(self.loops):
            if now >= self._dues.get(position, 0.0):
                self._dues[position] = loop.tick(now)
        outcomes = self._ended(now)
        ask = None if self.stopping else self._ask()
        if outcomes or (ask is not None and now >= self._poll_at):
            self._settle(outcomes, ask, now)
        dues = [self._beat_at, *self._dues.values(), *self._time_outs()]
        if self.watch is not None and self.watch.jobs:
            dues.append(self.watch.due)
        if not self.stopping and self._free() > 0:
            dues.append(self._poll_at)
        return max(now, min(dues))

    def serve(self, until: Callable[[], bool]) -> None:
        """Tick until a condition holds, waiting for the bell or the next due time in between."""
        while not until():
            self.bell.clear()
            now = self.clock.now()
            due = self.tick(now)
            if due > now:
                self.clock.wait(self.bell, due - now)

    @property
    def idle(self) -> bool:
        """Whether its last look found nothing, it holds nothing, and nothing waits for a time."""
        return self._found_nothing and not self._works and all(getattr(x, "next_due", None) is None for x in self.loops)

    def holds(self, run: int) -> bool:
        """Whether it holds attempts of a run."""
        return any(task[0] == run for task in self._works)

    def ring(self) -> None:
        """Have it look for work at once."""
        self._poll_at, self._idle, self._found_nothing = 0.0, IDLE_SECONDS[0], False
        self.bell.set()

    @property
    def exhausted(self) -> bool:
        """Whether so many of its threads do not end that the process should be started afresh."""
        return self.executor.written_off >= WRITTEN_OFF

    def stop(self, grace: float) -> None:
        """Lease nothing more; finish within ``grace`` seconds what has begun, hand the rest back."""
        self.stopping = True
        self._hand_back(self.executor.take_back(), "its worker stopped")
        until = self.clock.now() + grace
        self.serve(lambda: not self._functions() or self.clock.now() >= until)
        for work in self._functions():
            work.stop = "its worker stops"
            self.executor.write_off(work)
        self._hand_back(self._functions(), "its worker stopped")
        self.executor.close(0.0)
        self.store.beat(self._info("stopped"), self.clock.now())

    def _functions(self) -> list[Work]:
        jobs = self.watch.jobs if self.watch else {}
        return [work for task, work in self._works.items() if task not in jobs]

    def _hand_back(self, works: Sequence[Work], reason: str) -> None:
        if works:
            self._settle([(work.attempt, Released(reason)) for work in works], None, self.clock.now())

    # life signs

    def _info(self, state: str = "active") -> WorkerInfo:
        return WorkerInfo(
            self.id,
            socket.gethostname(),
            os.getpid(),
            birth(os.getpid()),
            ",".join(sorted(self.queues)) if self.queues is not None else "",
            ", ".join(sorted(graph.label for graph in self.registry.graphs)),
            started_at=self.clock.now(),
            state=state,
        )

    def _beat(self, now: float) -> None:
        stops = self.store.beat(self._info(), now)
        self._beat_at = now + self.lease_seconds / 3
        if stops is None:  # presumed dead: nothing that it holds is its own any more
            for work in self._works.values():
                work.stop = "its lease was lost"
            self._works.clear()
            if self.watch is not None:
                self.watch.jobs.clear()
            self.id = self._new_id()
            self._beat_at = now
            return
        for task in stops:
            if (held := self._works.get(task)) is not None:
                held.stop = "its run is over"

    # what ended

    def _ended(self, now: float) -> list[tuple[Attempt, Outcome]]:
        outcomes: list[tuple[Attempt, Outcome]] = []
        for work, answer in self.executor.collect():
            if self._works.get(work.attempt.task) is not work:
                continue  # not ours any more
            self._progress_at = now
            if work.begun_at is not None:
                self._mean += 0.2 * (max(0.0, now - work.begun_at) / max(1, self.executor.slots) - self._mean)
            if isinstance(answer, Submitted):
                assert self.watch is not None
                self.watch.begin(work, answer.directory, now)
            else:
                outcomes.append((work.attempt, self._judge(work.attempt, answer, now)))
        outcomes += self._overdue(now)
        if self.watch is not None and self.watch.jobs and now >= self.watch.due:
            ended = self.watch.tick(now)
            self.executor.submit([work for work, over in ended if not over])
            outcomes += [(work.attempt, Released()) for work, over in ended if over]
        if now - self._progress_at > STUCK_SECONDS and self.executor.waiting():
            outcomes += [(work.attempt, Released("waited behind long work")) for work in self.executor.take_back()]
        return outcomes

    def _judge(self, attempt: Attempt, outcome: Outcome, now: float) -> Outcome:
        """Give a failure its next try, if the node's policy has one left."""
        if not isinstance(outcome, Failed) or outcome.final:
            return outcome
        policy = self.registry.graph(attempt.graph)[attempt.node].retry
        wait = retry.delay(policy, attempt.failures, self.chance.random())
        return outcome if wait is None else replace(outcome, retry_at=now + wait)

    def _time_outs(self) -> list[float]:
        return [w.begun_at + w.timeout for w in self.executor.begun() if w.timeout is not None and w.begun_at]

    def _overdue(self, now: float) -> list[tuple[Attempt, Outcome]]:
        overdue: list[tuple[Attempt, Outcome]] = []
        for work in self.executor.begun():
            if work.timeout is not None and work.begun_at is not None and now - work.begun_at >= work.timeout:
                work.stop = "timed out"
                if self.executor.write_off(work):
                    failed = Failed(f"timed out after {work.timeout:g} s", how=AttemptState.timed_out)
                    overdue.append((work.attempt, self._judge(work.attempt, failed, now)))
        return overdue

    # settling and leasing

    def _free(self) -> int:
        return self.executor.slots - len(self.executor.begun()) - self.executor.waiting()

    def _ask(self) -> Ask | None:
        free = self._free()
        ahead = min(BATCH, int(AHEAD_SECONDS / max(self._mean, 1e-6))) - max(0, -free)
        if free <= 0 and ahead < BATCH // 2:
            return None
        self._turn += 1
        return Ask(self.id, self.registry.offers, max(0, free), self.queues, self._turn, max(0, ahead))

    def _settle(self, outcomes: list[tuple[Attempt, Outcome]], ask: Ask | None, now: float) -> None:
        batch = self.store.settle(self.id, outcomes, now, ask)
        self.settled += len(outcomes)
        refused = []
        for (attempt, _), verdict in zip(outcomes, batch.verdicts, strict=True):
            if verdict.word in ("conflict", "refused"):
                refused.append((attempt, verdict))
            else:
                self._works.pop(attempt.task, None)
        self._take(batch.leased, now)
        if ask is not None:
            self._found_nothing = not batch.leased
            self._idle = IDLE_SECONDS[0] if batch.leased else min(self._idle * 2, IDLE_SECONDS[1])
            self._poll_at = now if batch.leased else now + self._idle
        if refused:
            self._refused(refused, now)

    def _refused(self, refused: Sequence[tuple[Attempt, Verdict]], now: float) -> None:
        """What the store would not take is the function's failure; only its error is recorded."""
        failed: list[tuple[Attempt, Outcome]] = [(a, Failed(v.reason, final=True)) for a, v in refused]
        self.store.settle(self.id, failed, now)
        for attempt, _ in refused:
            self._works.pop(attempt.task, None)

    def adopt(self, attempts: tuple[Attempt, ...]) -> None:
        """Take over jobs whose worker was lost: submitting again finds them."""
        self._take(attempts, self.clock.now())

    def _take(self, attempts: Sequence[Attempt], now: float) -> None:
        if attempts:
            works = self._inputs.read(attempts)
            self._works.update((work.attempt.task, work) for work in works)
            self._progress_at = now
            self.executor.submit(works)


def birth(pid: int) -> str:
    """Where and when a process was born: boot, process namespace and start time, or nothing where it cannot be seen."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - a magic link, not a path
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
    return f"{boot} {space} {started}"


def gone(worker: WorkerInfo) -> bool:
    """Whether a worker's process ran on this machine and is surely dead."""
    mine = birth(os.getpid())
    if not mine or not worker.process or mine.split()[:2] != worker.process.split()[:2]:
        return False
    return birth(worker.pid) != worker.process
