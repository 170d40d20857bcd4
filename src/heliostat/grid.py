"""The grid: which subject stands where, a row for each run of a workflow and a column for each node.

A subject is what a run is about, by the run's name. Of runs with the same name the newest counts; the others are its
history. What goes through a part of the workflow by itself is counted in the subject's row, and may have rows below.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from heliostat import codec
from heliostat.graph import Kind
from heliostat.perform import AFTERWARDS
from heliostat.printed import job_directory
from heliostat.run import task_id
from heliostat.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliostat.engine import Engine
    from heliostat.graph import Graph
    from heliostat.handle import RunHandle
    from heliostat.task import Task

MOST = 10_000  #: subjects of one grid


class Seen(StrEnum):
    """How a task looks to whoever runs a facility; the comment says what it is."""

    pending = "pending"  # what it waits for is not there
    waiting = "waiting"  # for its condition, for another try, for a person: it takes nobody's place
    queued = "queued"  # its turn will come
    running = "running"  # its program, or its function, is at work
    finished_execution = "finished execution"  # its program has ended, and nobody has looked at what it left
    success = "success"  # it gave its result
    failed_execution = "failed execution"  # its program failed, was lost or took too long
    failed = "failed"  # what is done around its program failed
    killed = "killed"  # it had begun and was stopped
    cancelled = "cancelled"  # it had not begun, and will not
    skipped = "skipped"  # its guard, or a branch, led past it


_SEEN = {
    TaskState.pending: Seen.pending,
    TaskState.ready: Seen.queued,
    TaskState.waiting: Seen.waiting,
    TaskState.succeeded: Seen.success,
    TaskState.skipped: Seen.skipped,
}


@dataclass(frozen=True, slots=True)
class Cell:
    """How a subject stands at a node; ``tasks`` counts them, where the node has several."""

    state: Seen
    task: str
    tasks: dict[Seen, int]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A subject: its run, how deep that is inside others, and how it stands, by node."""

    subject: str
    run: str
    state: str
    depth: int
    cells: dict[str, Cell]


@dataclass(frozen=True, slots=True)
class Grid:
    """Subjects by nodes."""

    workflow: str
    nodes: tuple[str, ...]
    rows: tuple[Row, ...]


def grid(engine: Engine, workflow: str, limit: int = 100, *, every: bool = False, parts: bool = False) -> Grid:
    """The newest subjects of a workflow, oldest first.

    ``every``: their earlier runs, too. ``parts``: a row for each run inside theirs, too.
    """
    runs = engine.runs(workflow, limit=codec.whole(limit, "limit", 1, MOST))
    newest = {run.name or run.id: run for run in reversed(runs)}
    kept = [run for run in reversed(runs) if every or newest[run.name or run.id] is run]
    rows = [row for run in kept for row in _rows(engine, run, 0)[: None if parts else 1]]
    columns = (name for run in runs for name in _columns(engine, run.graph))
    return Grid(workflow, tuple(dict.fromkeys(columns)), tuple(rows))


def seen(engine: Engine, run: RunHandle, task: Task) -> Seen:
    """How one task looks."""
    kind = run.graph[task.node].kind if task.node in run.graph else Kind.function
    if task.state is TaskState.running:
        return Seen.finished_execution if kind is Kind.job and _left(engine, task) else Seen.running
    if task.state is TaskState.failed:
        executed = kind is Kind.job and not (task.reason or "").startswith(AFTERWARDS)
        return Seen.failed_execution if executed else Seen.failed
    if task.state is TaskState.cancelled:
        return Seen.killed if task.count else Seen.cancelled
    return _SEEN[task.state]


def _left(engine: Engine, task: Task) -> bool:
    """Whether its program has left its exit code."""
    return (job_directory(engine.around, task.run, task.number, task.failures + 1) / "job.exit_code").exists()


def _rows(engine: Engine, run: RunHandle, depth: int) -> list[Row]:
    """A run's row, with what its parts add to it, and the rows of these."""
    cells: dict[str, Cell] = {}
    for task in run.tasks():
        if task.node not in run.graph.parts:
            state = seen(engine, run, task)
            _add(cells, task.node, Cell(state, task_id(run.key, task.number), {state: 1}, task.reason))
    below = []
    for part in sorted(run.parts(), key=lambda part: part.info.parent_task or 0):
        rows = _rows(engine, part, depth + 1)
        below += rows
        for name, cell in rows[0].cells.items():
            _add(cells, name, cell)
    return [Row(run.name or run.id, run.id, str(run.state), depth, cells), *below]


def _add(cells: dict[str, Cell], name: str, more: Cell) -> None:
    """Count in what else is at a node; the state that asks for attention first is the cell's."""
    if (cell := cells.get(name)) is None:
        cells[name] = more
        return
    first = min(cell, more, key=lambda each: _URGENT.index(each.state))
    cells[name] = replace(first, tasks=dict(Counter(cell.tasks) + Counter(more.tasks)))


_URGENT = (
    *(Seen.failed, Seen.failed_execution, Seen.killed, Seen.running, Seen.finished_execution, Seen.queued),
    *(Seen.waiting, Seen.pending, Seen.cancelled, Seen.success, Seen.skipped),
)


def _columns(engine: Engine, graph: Graph) -> Iterator[str]:
    """The nodes of a graph in order, those of its parts in the place of each."""
    for node in graph:
        if node.workflow is None:
            yield node.name
        else:
            yield from _columns(engine, engine.registry.graph(node.workflow.graph))
