"""What can go wrong with a call to the store: a store in an actor's hands in which each call may be struck by a fault.

The actor is lost before or after the call, it stands still for longer than its lease, it is cut off from the database
before the call or before it hears the answer, or a caller settles the same twice.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from heliostat.errors import StoreUnavailable
from heliostat.stores.memory import MemoryRows, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heliostat.stores.memory import Tables
    from heliostat.testing.stage import Actor, Stage

FAULTS = ("crash before", "crash after", "pause before", "pause after", "cut before", "cut after", "twice")


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
        fault = stage.fault()
        self._suffer(fault, "before", verb)
        call = getattr(self._process, verb)
        answer = call(*args, **kwargs)
        if verb == "settle":
            stage.see(lambda: _no_poison(answer))
        if line := _line(verb, args, answer):
            actor.note(line)
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


def _no_poison(batch: Any) -> None:
    """Raise AssertionError for an outcome that the store could not record: functions in a play ask for nothing odd."""
    refused = [verdict.reason for verdict in batch.verdicts if verdict.word == "refused"]
    assert not refused, f"the store refused an outcome: {refused[0]}"


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
        return (
            "is taken for dead" if answer is None else f"is told to stop {sorted(answer.stop)}" if answer.stop else ""
        )
    return f"sweeps {answer}" if verb == "sweep" and answer else ""


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
