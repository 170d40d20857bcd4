"""The stage of a simulation: actors that take turns, and a virtual clock.

Every actor has a thread of its own, but only one goes on at a time: at each call to the store a seeded choice says who,
and which fault strikes. Time moves a little with every call, and leaps when nobody has anything to do.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heliostat.run import EPOCH
from heliostat.stores.memory import Tables
from heliostat.task import TaskState
from heliostat.testing.faults import FAULTS, Lost, Struck
from heliostat.testing.faults import possible as can_strike
from heliostat.testing.invariants import Account, at_rest, possible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from heliostat.clock import Clock


SEVERITIES = (0.0, 0.02, 0.05, 0.12)  #: how likely it is that a call is struck; each seed has one of them
LEASE = 1.0  #: seconds of a lease; a pause takes up to three times as long
CALM = 300  #: calls after which no fault strikes any more, so that every play comes to its end
RARE, RARELY = ("repeat", "late"), 3  #: kinds that can strike few calls, and how much likelier each is there
STAYING = ("worker", "person")  #: roles that are played until all is over
TICKS = 3  #: runs that each schedule has started before a play is over
QUIET = 4.0  #: seconds without a change of state or a fault after which only a timer can bring one


@dataclass(frozen=True)
class Cut:
    """What is left of a play that is told more shortly: its faults, and the calls at which turns change.

    A fault is known by who made the call and which of his calls it was. None: as the seed decides.
    """

    faults: Mapping[tuple[str, int], str] | None = None
    turns: frozenset[int] | None = None


class Stage:
    """One play under one seed, with faults of some kinds; or what a cut leaves of it."""

    def __init__(self, seed: int, kinds: Sequence[str] = tuple(FAULTS), cut: Cut | None = None) -> None:
        self.kinds, self.cut = kinds, cut or Cut()
        self.chance = random.Random(seed)  # noqa: S311 - a seed is the point
        self.severity = self.chance.choice(SEVERITIES)
        self.time = self.stirred_at = EPOCH
        self.steps, self.over = 0, False
        self.away_until = 0.0
        self.tables, self.account, self.moves = Tables(), Account(), list[Any]()
        self.history: list[str] = []
        self.faults: dict[tuple[str, int], str] = {}
        self.turns: list[int] = []
        self.failure: BaseException | None = None
        self.actors: list[Actor] = []
        self._entered = 0
        self._main = threading.Semaphore(0)

    def enter(self, role: str, live: Callable[[Actor], object]) -> Actor:
        """Another actor, which will live when it is its turn."""
        self._entered += 1
        self.actors.append(Actor(self, f"{role} {self._entered}", role, live))
        return self.actors[-1]

    def play(self) -> None:
        """Let the actors play until all is done; what went wrong is in ``failure``."""
        self._choose().turn.release()
        self._main.acquire()
        for actor in list(self.actors):
            actor.turn.release()
            actor.thread.join()
        self.see(lambda: at_rest(self.tables))
        self.see(lambda: self.account.balance(self.tables))

    # whose turn it is

    def step(self, actor: Actor) -> None:
        """Let whoever is chosen go on; comes back when it is this actor's turn again."""
        chosen = self._choose(actor)
        if chosen is not actor and not self.over:
            chosen.turn.release()
            actor.turn.acquire()
        if self.over:
            raise Lost

    def _choose(self, current: Actor | None = None) -> Actor:
        self.steps += 1
        self.time += self.chance.random() * 0.002
        if self.time - self.stirred_at > QUIET:
            self.over = True  # at rest or stuck, as the end will see
        able = [actor for actor in self.actors if actor.due <= self.time]
        if not able:
            self.time = max(min(actor.due for actor in self.actors), self._timer())
            able = [actor for actor in self.actors if actor.due <= self.time]
        chosen = able[0] if len(able) == 1 else self.chance.choice(able)
        if current in able and chosen is not current and current is not None:
            if self.cut.turns is not None and self.steps not in self.cut.turns:
                return current
            self.turns.append(self.steps)
        return chosen

    def _timer(self) -> float:
        """When the next timer goes off, if nothing can happen before."""
        if any(self.tables.running.values()) or any(self.tables.ready.values()):
            return 0.0
        tasks = [task for run in self.tables.tasks.values() for task in run.values()]
        waiting = [task for task in tasks if task.state is TaskState.waiting and not task.held]
        dues = [task.due_at for task in waiting if task.due_at is not None]
        asked = bool(self.tables.reviews)  # else a person only looks whether there is something to decide
        dues += [actor.due for actor in self.actors if actor.role not in STAYING or (asked and actor.role == "person")]
        dues += self._awaited()
        self.stirred_at = max(self.stirred_at, min(dues, default=0.0))
        return min(dues, default=0.0)

    def _awaited(self) -> list[float]:
        """The next ticks of schedules that have not had enough of them."""
        had = Counter(workflow for workflow, key in self.tables.run_keys if key.startswith("tick "))
        schedules = self.tables.schedules.values()
        return [each.next_at for each in schedules if not each.paused and had[each.workflow] < TICKS]

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
        awake = all(actor.role in STAYING and not actor.asleep for actor in self.actors)
        awake = awake and not self._awaited()
        self.over = self.over or (awake and all(run.state.final and run.open <= 0 for run in self.tables.runs.values()))
        return self.over

    # what goes wrong

    def fault(self, actor: Actor, verb: str, args: Sequence[Any]) -> str | None:
        """The kind of fault that strikes the call that an actor is about to make."""
        actor.calls += 1
        call = (actor.name, actor.calls)
        struck, which = self.chance.random() < self.severity, self.chance.random()
        if not struck and self.cut.faults is None:
            return None
        kinds = [kind for kind in self.kinds if can_strike(kind, actor.role, verb, args)]
        kinds += [kind for kind in kinds if kind in RARE] * RARELY
        kind = kinds[int(which * len(kinds))] if struck and kinds and self.steps <= CALM else None
        if self.cut.faults is not None:
            kept = self.cut.faults.get(call)
            kind = kept if kept in kinds else None
        if kind is not None:
            self.faults[call], self.stirred_at = kind, self.time
        return kind

    def outage(self) -> None:
        """The database goes away for everybody."""
        seconds = LEASE * self.chance.uniform(0.1, 3.0)
        self.away_until = self.stirred_at = self.time + seconds
        self.history.append(f"{self.time - EPOCH:9.3f} the database is away for {seconds:.3f} s")

    def turnover(self, actor: Actor) -> None:
        """A worker is to go home, as it should: it finishes or hands back what it holds; or another one comes."""
        if self.chance.random() < 0.5:
            actor.leaving = True
        else:
            self.enter(actor.role, actor.live)

    def deliver(self, actor: Actor, call: Callable[[Actor], object]) -> None:
        """Have a call made later, whatever has become of who made it."""
        late = self.enter("message", call)
        late.name = f"({actor.name})"
        late.due, late.asleep = self.time + LEASE * 10 ** self.chance.uniform(-1.0, 1.0), True

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

    def clock(self) -> Clock:
        """The time at which the play ended, for whoever looks at it."""
        return _Still(self.time)

    def committed(self, moves: list[Any]) -> None:
        """A transaction has committed: see that it could."""
        if moves:
            self.moves += moves
            self.stirred_at = self.time
        self.see(lambda: possible(self.tables, moves))


class _Still:
    """A clock that stands."""

    def __init__(self, time: float) -> None:
        self._time = time

    def now(self) -> float:
        """The time."""
        return self._time

    def wait(self, bell: threading.Event, seconds: float) -> bool:
        """Nothing comes any more."""
        return False


class Actor:
    """A thread that goes on when it has its turn; to what it drives it is the clock (``clock.Clock``)."""

    def __init__(self, stage: Stage, name: str, role: str, live: Callable[[Actor], object]) -> None:
        self.stage, self.name, self.role, self.live = stage, name, role, live
        self.due, self.asleep, self.done, self.leaving = stage.time, False, False, False
        self.calls = 0
        self.chance = random.Random(stage.chance.getrandbits(32))  # noqa: S311 - a seed is the point
        self.store = Struck(self)
        self.turn = threading.Lock()  # and no semaphore, who wakes from which has to wait for its lock once more
        self.turn.acquire()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.turn.acquire()
        try:
            if not self.stage.over:
                self.live(self)
                self.done = self.role not in STAYING
        except Lost:
            pass
        except BaseException as error:  # noqa: BLE001 - nothing that an actor does may raise
            self.stage.fail(error)
        self.stage.leave(self)

    def now(self) -> float:
        """The time."""
        return self.stage.time

    def wait(self, bell: threading.Event | None, seconds: float) -> bool:
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
        self.stage.history.append(f"{self.now() - EPOCH:9.3f} {self.name:10} {what}")
