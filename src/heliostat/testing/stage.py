"""The stage of a simulation: actors that take turns, and a virtual clock.

Every actor has a thread of its own, but only one goes on at a time: at each call to the store a seeded choice says who,
and which fault strikes. Time moves a little with every call, and leaps when nobody has anything to do.
"""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any

from heliostat.run import EPOCH
from heliostat.stores.memory import Tables
from heliostat.task import TaskState
from heliostat.testing.faults import FAULTS, Lost, Struck
from heliostat.testing.invariants import at_rest, possible

if TYPE_CHECKING:
    from collections.abc import Callable

SEVERITIES = (0.0, 0.01, 0.03, 0.08)  #: how likely it is that a call is struck; each seed has one of them
LEASE = 1.0  #: seconds of a lease; a pause takes up to three times as long
CALM = 300  #: calls after which no fault strikes any more, so that every play comes to its end
QUIET = 4.0  #: seconds without a change of state or a fault after which only a timer can bring one


class Stage:
    """One play under one seed. ``muted`` are faults that are left out, by the number of the call they strike."""

    def __init__(self, seed: int, muted: frozenset[int] = frozenset()) -> None:
        self.muted = muted
        self.chance = random.Random(seed)  # noqa: S311 - a seed is the point
        self.severity = self.chance.choice(SEVERITIES)
        self.time = self.stirred_at = EPOCH
        self.steps, self.over = 0, False
        self.tables, self.moves = Tables(), list[Any]()
        self.history: list[str] = []
        self.faults: list[int] = []
        self.failure: BaseException | None = None
        self.actors: list[Actor] = []
        self._entered = 0
        self._main = threading.Semaphore(0)

    def enter(self, role: str, live: Callable[[Actor], object]) -> None:
        """Another actor, which will live when it is its turn."""
        self._entered += 1
        self.actors.append(Actor(self, f"{role} {self._entered}", role, live))

    def play(self) -> None:
        """Let the actors play until all is done; what went wrong is in ``failure``."""
        self._choose().turn.release()
        self._main.acquire()
        for actor in list(self.actors):
            actor.turn.release()
            actor.thread.join()
        self.see(lambda: at_rest(self.tables))

    # whose turn it is

    def step(self, actor: Actor) -> None:
        """Let whoever is chosen go on; comes back when it is this actor's turn again."""
        chosen = self._choose()
        if chosen is not actor and not self.over:
            chosen.turn.release()
            actor.turn.acquire()
        if self.over:
            raise Lost

    def _choose(self) -> Actor:
        self.steps += 1
        self.time += self.chance.random() * 0.002
        if self.time - self.stirred_at > QUIET:
            self.over = True  # at rest or stuck, as the end will see
        able = [actor for actor in self.actors if actor.due <= self.time]
        if not able:
            self.time = max(min(actor.due for actor in self.actors), self._timer())
            able = [actor for actor in self.actors if actor.due <= self.time]
        return able[0] if len(able) == 1 else self.chance.choice(able)

    def _timer(self) -> float:
        """When the next timer goes off, if nothing can happen before."""
        if any(self.tables.running.values()) or any(self.tables.ready.values()):
            return 0.0
        tasks = [task for run in self.tables.tasks.values() for task in run.values()]
        dues = [task.due_at or 0.0 for task in tasks if task.state is TaskState.waiting and not task.held]
        dues += [actor.due for actor in self.actors if actor.role == "caller"]
        self.stirred_at = max(self.stirred_at, min(dues, default=0.0))
        return min(dues, default=0.0)

    def leave(self, actor: Actor) -> None:
        """An actor is gone; perhaps another comes in its place. Somebody else goes on."""
        self.actors.remove(actor)
        if self.over:
            self._main.release()
            return
        alone = all(other.role != actor.role for other in self.actors)
        if not actor.done and (alone or self.chance.random() < 0.7):
            self.enter(actor.role, actor.live)
        self._choose().turn.release()

    def rested(self) -> bool:
        """Whether all runs are over and nobody sleeps who might come back; then the play is over too."""
        awake = all(actor.role != "caller" and not actor.asleep for actor in self.actors)
        self.over = self.over or (awake and all(run.state.final and run.open <= 0 for run in self.tables.runs.values()))
        return self.over

    def retires(self) -> bool:
        """Whether a worker goes home now, as it should: it finishes or hands back what it holds."""
        return self.steps < CALM and self.chance.random() < self.severity / 3

    # what goes wrong

    def fault(self) -> str | None:
        """The fault that strikes the call that is about to be made."""
        struck, which = self.chance.random() < self.severity, self.chance.choice(FAULTS)
        if not struck or self.steps > CALM or self.steps in self.muted:
            return None
        self.faults.append(self.steps)
        self.stirred_at = self.time
        return which

    def fail(self, error: BaseException) -> None:
        """Something is wrong: the play ends here. The first failure counts."""
        self.failure, self.over = self.failure or error, True

    def see(self, look: Callable[[], object]) -> None:
        """Have a look that raises if something is wrong."""
        if self.failure is None:
            try:
                look()
            except Exception as error:  # noqa: BLE001 - whatever a check raises is what went wrong
                self.fail(error)

    def committed(self, moves: list[Any]) -> None:
        """A transaction has committed: see that it could."""
        if moves:
            self.moves += moves
            self.stirred_at = self.time
        self.see(lambda: possible(self.tables, moves))


class Actor:
    """A thread that goes on when it has its turn; to what it drives it is the clock (``clock.Clock``)."""

    def __init__(self, stage: Stage, name: str, role: str, live: Callable[[Actor], object]) -> None:
        self.stage, self.name, self.role, self.live = stage, name, role, live
        self.due, self.asleep, self.done = stage.time, False, False
        self.chance = random.Random(stage.chance.getrandbits(32))  # noqa: S311 - a seed is the point
        self.store = Struck(self)
        self.turn = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.turn.acquire()
        try:
            if not self.stage.over:
                self.live(self)
                self.done = self.role == "caller"
        except Lost:
            pass
        except BaseException as error:  # noqa: BLE001 - nothing that an actor does may raise
            self.stage.fail(error)
        self.stage.leave(self)

    def now(self) -> float:
        """The time."""
        return self.stage.time

    def wait(self, bell: threading.Event, seconds: float) -> bool:
        """Let others go on until then."""
        self.due = self.now() + seconds
        self.stage.step(self)
        return False

    def sleep(self) -> None:
        """Stand still for longer than a lease, so that others take this actor for dead."""
        self.due, self.asleep = self.now() + LEASE * self.chance.uniform(0.5, 3.0), True
        self.note("stands still")
        self.stage.step(self)
        self.asleep, self.stage.stirred_at = False, self.now()

    def note(self, what: str) -> None:
        """Write a line of the history."""
        self.stage.history.append(f"{self.now() - EPOCH:9.3f} {self.name:9} {what}")
