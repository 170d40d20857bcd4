"""The stage of a simulation: actors that take turns, a virtual clock, and a store in which any call may go wrong.

Every actor has a thread of its own, but only one goes on at a time: at each call to the store a seeded choice says who,
and which fault strikes. Time moves a little with every call, and leaps when nobody has anything to do.
"""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from heliostat.errors import StoreUnavailable
from heliostat.run import EPOCH
from heliostat.stores.memory import MemoryRows, MemoryStore, Tables
from heliostat.task import TaskState
from heliostat.testing.invariants import at_rest, possible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

FAULTS = ("crash before", "crash after", "pause before", "pause after", "cut before", "cut after", "unheard", "twice")
SEVERITIES = (0.0, 0.01, 0.03, 0.08)  #: how likely it is that a call is struck; each seed has one of them
LEASE = 1.0  #: seconds of a lease; a pause takes up to three times as long
CALM = 300  #: calls after which no fault strikes any more, so that every play comes to its end
QUIET = 4.0  #: seconds without a change of state or a fault after which only a timer can bring one


class Lost(BaseException):
    """The actor is gone, with all that it knew."""


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
                self.done = True
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


class Struck:
    """``store.Store`` in an actor's hands: each call waits for its turn and may be struck by a fault."""

    def __init__(self, actor: Actor) -> None:
        self._actor, self._process = actor, _Process(actor.stage)

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: self._call(verb, args, kwargs)

    def _call(self, verb: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        actor, stage = self._actor, self._actor.stage
        actor.due = stage.time
        stage.step(actor)
        fault = stage.fault()
        self._suffer(fault, "before", verb)
        self._process.unheard = fault == "unheard"
        call = getattr(self._process, verb)
        answer = call(*args, **kwargs)
        if line := _line(verb, args, answer):
            actor.note(line + (" (unheard, and called again)" if fault == "unheard" else ""))
        if fault == "twice" and verb == "settle" and args[1]:
            actor.sleep()
            actor.note(f"{_line(verb, args, call(*args[:3]))} (the same once more)")
        self._suffer(fault, "after", verb)
        return answer

    def _suffer(self, fault: str | None, when: str, verb: str) -> None:
        if fault == f"crash {when}":
            self._actor.note(f"is lost {when} {verb}")
            raise Lost
        if fault == f"cut {when}":
            self._actor.note(f"is cut off from the database {when} {verb}")
            raise StoreUnavailable("the connection was cut")
        if fault == f"pause {when}":
            self._actor.sleep()


def _line(verb: str, args: tuple[Any, ...], answer: Any) -> str:
    """What a call did, if it did anything, as a line of the history."""
    if verb == "settle":
        told = [f"{a.node} {a.number}.{a.count} {type(o).__name__}" for a, o in args[1]]
        said = [f"{what} {verdict.word}" for what, verdict in zip(told, answer.verdicts, strict=True)]
        leased = [f"{a.node} {a.number}.{a.count}" for a in answer.leased]
        parts = [f"{word} {', '.join(names)}" for word, names in (("settles", said), ("leases", leased)) if names]
        return "; ".join(parts)
    if verb == "accept":
        return f"asks for {', '.join(type(command.verb).__name__ for command in args[0])}"
    if verb == "rescue":
        return f"rescues {answer[0]} of {args[0][0][0]}" if answer[0] else ""
    if verb == "beat":
        return "is taken for dead" if answer is None else f"is told to stop {sorted(answer)}" if answer else ""
    return f"sweeps {answer}" if verb == "sweep" and answer else ""


class _Process(MemoryStore):
    """The database as one process sees it: tables that all share, and its own memory of definitions."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage, self.tables, self.unheard = stage, stage.tables, False

    @contextmanager
    def transaction(self) -> Iterator[MemoryRows]:
        rows = _Rows(self.tables)
        try:
            yield rows
        except BaseException:
            for undo in reversed(rows.undo):
                undo()
            raise
        self.stage.committed(rows.moves)

    def again(self, work: Callable[[], T]) -> T:
        """A commit whose answer was not heard is made once more, as a database does after a lost connection."""
        answer = work()
        if self.unheard:
            self.unheard = False
            answer = work()
        return answer


class _Rows(MemoryRows):
    """A transaction that remembers which states it moved."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self.moves: list[Any] = []

    def change(self, task: Any, **values: Any) -> None:
        before = task.state
        super().change(task, **values)
        if task.state is not before:
            self.moves.append((f"{task.node} {task.number}", before, task.state))

    def run_change(self, changes: Any) -> None:
        for change in changes:
            before = self.t.runs[change.id].state
            if change.state is not before:
                self.moves.append((f"run {change.id}", before, change.state))
        super().run_change(changes)
