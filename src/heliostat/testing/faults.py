"""What can go wrong with a call to the store: a store in an actor's hands, in which a fault may strike each call."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from heliostat.effects import End, Send, Start
from heliostat.errors import BadInput, StoreUnavailable, nearest
from heliostat.store import Replace
from heliostat.stores.memory import MemoryRows, MemoryStore
from heliostat.testing.told import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from heliostat.stores.memory import Tables
    from heliostat.testing.stage import Actor, Stage

#: The kinds of faults by their words. ``crash`` stands for both that begin so; ``all`` and ``none`` for what they say.
FAULTS = {
    "crash-before": "a process is lost before a transaction",
    "crash-after": "a process is lost after a transaction, before it hears the answer",
    "stall-before": "a process stands still before a transaction, perhaps for longer than its lease",
    "stall-after": "a process stands still after a transaction, perhaps for longer than its lease",
    "cut-before": "a connection breaks before a transaction",
    "cut-after": "a connection breaks after a transaction, before the answer is heard",
    "outage": "the database is away for everybody, for a while",
    "repeat": "what a worker answers or a caller asks for is delivered twice",
    "late": "what a worker answers is taken for undelivered, and is delivered later all the same",
    "turnover": "a worker retires, or another one comes",
}


def chosen(faults: str | Iterable[str]) -> tuple[str, ...]:
    """The kinds of faults that words stand for; raises BadInput for a word that is none."""
    words = [faults] if isinstance(faults, str) else list(faults)
    known = sorted({"all", "none", *FAULTS, *(word.partition("-")[0] for word in FAULTS)})
    for word in words:
        if word not in known:
            near = nearest(str(word), known)
            raise BadInput(f"faults: there is no kind {word!r}{near}; there are {', '.join(['all', 'none', *FAULTS])}")
    return tuple(kind for kind in FAULTS if {"all", kind, kind.partition("-")[0]} & set(words))


def possible(kind: str, role: str, verb: str, args: Sequence[Any]) -> bool:
    """Whether a fault of this kind can strike a call."""
    if kind == "turnover":
        return role == "worker"
    answers = verb == "settle" and bool(args[1])
    if kind == "repeat" and verb == "accept":
        return all(_same(command.verb) for command in args[0])
    return answers if kind in ("repeat", "late") else True


def _same(verb: object) -> bool:
    """Whether asking for it again asks for the same, and for nothing more."""
    return isinstance(verb, Start | Replace | End) or (isinstance(verb, Send) and verb.idempotency_key is not None)


class Lost(BaseException):
    """The actor is gone, with all that it knew."""


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
        if stage.time < stage.away_until:
            raise StoreUnavailable("the database is away")
        fault = stage.fault(actor, verb, args)
        self._suffer(fault, "before", verb)
        if fault == "late":
            stage.deliver(actor, partial(self._carry_out, verb, args, kwargs))
            actor.note(f"does not hear from {verb}, which is under way")
            raise StoreUnavailable("the connection was cut")
        answer = self._carry_out(verb, args, kwargs, actor)
        if fault == "repeat":
            actor.sleep()
            self._carry_out(verb, args[:3], {}, actor, " (the same once more)")
        self._suffer(fault, "after", verb)
        return answer

    def _carry_out(self, verb: str, args: tuple[Any, ...], kwargs: dict[str, Any], actor: Actor, note: str = "") -> Any:
        stage = self._actor.stage
        over = frozenset(run.id for run in stage.tables.runs.values() if run.state.final)
        answer = getattr(self._process, verb)(*args, **kwargs)
        if verb == "accept":
            stage.account.accept(answer)
        if verb == "settle":
            stage.see(lambda: stage.account.settle(args[1], answer, over))
        if line := told(stage.tables, verb, args, answer):
            actor.note(line + note)
        return answer

    def _suffer(self, fault: str | None, when: str, verb: str) -> None:
        actor, stage = self._actor, self._actor.stage
        if fault == f"crash-{when}":
            actor.note(f"is lost {when} {verb}")
            raise Lost
        if fault == f"cut-{when}":
            actor.note(f"is cut off from the database {when} {verb}")
            raise StoreUnavailable("the connection was cut")
        if fault == f"stall-{when}":
            actor.sleep()
        if when == "before" and fault == "outage":
            stage.outage()
            raise StoreUnavailable("the database is away")
        if when == "before" and fault == "turnover":
            stage.turnover(actor)


class _Process(MemoryStore):
    """The database as one process sees it: tables that all share, and its own memory of definitions."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage, self.tables = stage, stage.tables

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
