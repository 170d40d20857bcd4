"""What an attempt is given of a machine, where that depends on how those before it ended.

A node says so by the factors of its ``Resources``, or by a function of which attempt it is and why the last one ended.
The function is code, so it is kept beside the node's own in its workflow's signatures, under a name that no node has.
"""

from __future__ import annotations

import inspect
from contextlib import suppress
from reprlib import repr as shortened
from typing import TYPE_CHECKING

from heliostat.errors import DefinitionError, HeliostatError, TaskError, said
from heliostat.resources import Resources
from heliostat.run import task_id
from heliostat.signature import Signature
from heliostat.story import Log
from heliostat.task import ENDINGS, AttemptState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeAlias

    from heliostat.context import Surroundings
    from heliostat.executor import Work
    from heliostat.graph import Node
    from heliostat.registry import Registry
    from heliostat.task import Task

    #: The number of an attempt, not counting those that did not fail, and how the last one that failed ended.
    Allots: TypeAlias = Callable[[int, AttemptState | None], Resources]


GIVEN = "given"  #: the line of a run's log that says what an attempt is given; its function logs none before


def behind(node: str) -> str:
    """The name among a workflow's signatures of the function that says a node's resources."""
    return f"{node} resources"


def adapting(function: Allots, where: str) -> tuple[Resources, Signature]:
    """What a function gives the first attempt, and the function to be kept; raises DefinitionError."""
    example = "def more(attempt: int, ended: AttemptState | None) -> Resources"
    try:
        inspect.signature(function).bind(1, None)
        if isinstance(function, type) or inspect.iscoroutinefunction(function):
            raise TypeError("a class or a coroutine is none")
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"{where}: resources= is a function such as `{example}`: {error}") from None
    try:
        first = _given(function, 1, None)
    except Exception as error:
        words = f"{type(error).__name__}: {said(error)}".removeprefix("TaskError: ")
        raise DefinitionError(f"{where}: resources= of the first attempt: {words}") from error
    return first, Signature(function, f"{where} resources", None)


def allot(work: Work, registry: Registry, around: Surroundings) -> None:
    """Say what an attempt is given, and note it in the log of its run; nothing is done where its node says all.

    Raises whatever the node's function does, and StoreUnavailable.
    """
    node, attempt = work.node, work.attempt
    if node.resources is None or not (node.adapts or node.resources.grows):
        return
    endings = _endings(work, around) if attempt.failures else []
    if node.adapts:
        signature = registry.signatures(attempt.graph).get(behind(node.name))
        if signature is None:
            raise TaskError(f"this worker has no function for the resources of node {node.name}")
        work.given = _given(signature.function, attempt.failures + 1, endings[-1] if endings else None)
    else:
        work.given = node.resources.after(endings)
    around.log(attempt, [{"message": GIVEN, **work.given.to_json()}])


def noted(task: Task, node: Node, log: Path) -> dict[int, Resources]:
    """What each attempt at a task was given, as far as that is known; the log of its run tells where it differs."""
    if node.resources is None:
        return {}
    if not (node.adapts or node.resources.grows):
        return dict.fromkeys(range(1, task.count + 1), node.resources)
    about, found = task_id(task.run, task.number), dict[int, Resources]()
    for line in Log(task.run, lambda _: (log,)).read():
        if line.task == about and line.kind == "log" and line.attempt is not None and line.attempt not in found:
            with suppress(HeliostatError):
                found[line.attempt] = Resources.from_json(line.fields if line.text == GIVEN else None)
    return found


def _endings(work: Work, around: Surroundings) -> list[AttemptState]:
    """How the attempts that have failed ended, in their order."""
    past = around.store.attempts(*work.task)
    return [AttemptState(each.state) for each in past if each.state in ENDINGS and each.count < work.attempt.count]


def _given(function: Allots, attempt: int, ended: AttemptState | None) -> Resources:
    found: object = function(attempt, ended)
    if not isinstance(found, Resources):
        raise TaskError(f"its function gives a Resources(cores=…, memory=…), not {shortened(found)}")
    return found
