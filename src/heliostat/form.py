"""The JSON form of works and of what they answer, for where they leave the process: over a pipe, or as files.

Values are written whole and read back equal. Graphs are large and the same for many works, so a work goes without its
own: whoever reads it has that already.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from heliostat.artifact import Artifact
from heliostat.effects import End, Keep, Map, Put, Send, Start
from heliostat.errors import BadInput
from heliostat.executor import Work
from heliostat.graph import Graph
from heliostat.outcome import Failed, Released, Skipped, Snoozed, Succeeded
from heliostat.resources import Resources
from heliostat.run import Run, RunState
from heliostat.store import Kept, Record, Settled
from heliostat.task import Attempt, AttemptState, Task, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heliostat.outcome import Outcome

_OUTCOMES = {kind.__name__.lower(): kind for kind in (Succeeded, Snoozed, Skipped, Failed, Released)}
_EFFECTS = {kind.__name__.lower(): kind for kind in (Send, Map, Start, Put, Keep, End)}


def work_to_json(work: Work) -> dict[str, Any]:
    """A work, without its graph and without what becomes of it while it runs."""
    return {
        "attempt": list(work.attempt),
        "message": work.message,
        "settled": {name: list(settled) for name, settled in work.settled.items()},
        "lists": {name: [list(settled) for settled in items] for name, items in work.lists.items()},
        "given": work.given and work.given.to_json(),
    }


def work_from_json(data: dict[str, Any], graph: Graph) -> Work:
    """Read what ``work_to_json`` wrote."""
    attempt = Attempt(*data["attempt"])
    work = Work(attempt, graph, graph[attempt.node])
    work.message = data["message"]
    work.settled = {name: _settled(each) for name, each in data["settled"].items()}
    work.lists = {name: [_settled(each) for each in items] for name, items in data["lists"].items()}
    if (given := data.get("given")) is not None:
        work.given = Resources.from_json(given)
    return work


def _settled(data: list[Any]) -> Settled:
    state, *rest = data
    return Settled(TaskState(state), *rest)


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """An outcome with its effects."""
    return _tagged(outcome)


def outcome_from_json(data: object) -> Outcome:
    """Read what ``outcome_to_json`` wrote; raises BadInput for anything else."""
    try:
        outcome: Outcome = _untagged(_OUTCOMES, data)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"this is no outcome ({type(error).__name__}: {error})") from None
    if isinstance(outcome, Succeeded) and not isinstance(outcome.result, str):
        raise BadInput("this is no outcome: its result is no JSON text")
    return outcome


def to_json(value: object) -> Any:
    """What a store answered: rows as objects of their fields."""
    if isinstance(value, list):
        return [to_json(item) for item in value]
    return _fields(value) if is_dataclass(value) else value


def from_json(kind: type, data: Any) -> Any:
    """Read what ``to_json`` wrote of one kind of rows."""
    if isinstance(data, list):
        return [from_json(kind, item) for item in data]
    if data is None:
        return None
    special = _SPECIAL.get(kind, {})
    return kind(**{name: special[name](value) if name in special else value for name, value in data.items()})


def _tagged(value: Any) -> dict[str, Any]:
    return {"kind": type(value).__name__.lower(), **_fields(value)}


def _untagged(kinds: Mapping[str, type], data: Any) -> Any:
    given = dict(data)
    return from_json(kinds[given.pop("kind")], given)


def _fields(value: Any) -> dict[str, Any]:
    names = value._fields if isinstance(value, tuple) else [field.name for field in fields(value)]  # type: ignore[attr-defined]
    return {name: _plain(getattr(value, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, Graph | Artifact):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return _tagged(value) if type(value) in _EFFECTS.values() else value


def _effects(data: list[Any]) -> tuple[Any, ...]:
    return tuple(_untagged(_EFFECTS, effect) for effect in data)


#: How fields are read that are more than numbers and texts.
_SPECIAL: dict[type, dict[str, Callable[[Any], Any]]] = {
    Succeeded: {"effects": _effects},
    Snoozed: {"effects": _effects},
    Skipped: {"effects": _effects},
    Failed: {"how": AttemptState},
    Released: {"how": lambda how: how and AttemptState(how)},
    Map: {"messages": tuple},
    Start: {"graph": Graph.from_json},
    Keep: {"artifact": Artifact.from_json},
    End: {"state": RunState},
    Run: {"state": RunState},
    Task: {"state": TaskState},
    Record: {},
    Kept: {"artifact": Artifact.from_json},
}
