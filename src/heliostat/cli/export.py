"""The whole story of a run as one JSON document, written as it is read: no more than a page of it is in memory."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, TypedDict

from heliostat.allotment import noted
from heliostat.cli import shapes
from heliostat.cli.output import stamp
from heliostat.code import told
from heliostat.run import task_id
from heliostat.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from heliostat.engine import Engine
    from heliostat.graph import Graph
    from heliostat.handle import RunHandle
    from heliostat.queue import WorkerInfo
    from heliostat.store import Entry, Record, Store
    from heliostat.task import Task

FORM = 1  #: of the document; it grows when something in it changes its meaning
PAGE = 200  #: tasks and lines of the journal that are read at once


class ExportedTask(shapes.TaskShape):
    """A task, with what it was given, what it gave, and its attempts that ended otherwise than well."""

    cause: str | None  # the task that gave birth to it
    message: Any
    result: Any
    failures: int
    rescues: int
    code: str | None  # the digest of the code that ran last
    history: list[shapes.AttemptShape]


class ExportedEntry(TypedDict):
    """A line of the journal."""

    seq: int
    at: str | None
    actor: str
    event: Any


class ExportedRecord(TypedDict):
    """What a node has put."""

    seq: int
    node: str
    key: str | None
    task: str
    value: Any


class ExportedRun(shapes.RunShape, shapes.Payloads):
    """The run itself, with what it was started with and what it gave."""


class ExportShape(TypedDict):
    """``run export`` writes this, in this order, each member of a list on a line of its own."""

    form: int
    exported_at: str | None
    run: ExportedRun
    graph: dict[str, Any]  # nodes and edges, as the database keeps them
    tasks: list[ExportedTask]  # by number
    journal: list[ExportedEntry]  # in order
    records: list[ExportedRecord]  # by node, in the order put
    artifacts: list[shapes.ArtifactShape]  # what is known of the files, not what is in them
    reviews: list[shapes.ReviewShape]  # those that are open


def exported(engine: Engine, run: RunHandle, on_task: Callable[[int], None]) -> Iterator[str]:
    """The pieces of the document; ``on_task`` hears of each page of tasks."""
    store, info = engine.store, run.info
    yield f'{{"form": {FORM},\n"exported_at": {_line(stamp(engine.around.clock.now()))},\n'
    yield f'"run": {_line({**shapes.run_shape(info, run.graph), **shapes.message_and_result(store, run)})},\n'
    yield f'"graph": {_line(run.graph.to_json())},\n'
    yield from _list("tasks", _tasks(store, run.key, run.graph, engine.around.log_file(run.key), on_task))
    yield from _list("journal", _journal(store, run.key))
    records = (record for node in run.graph for record in store.records(run.key, node.name))
    yield from _list("records", (_record(run.key, record) for record in records))
    yield from _list("artifacts", (shapes.artifact_shape(run.key, kept) for kept in store.artifacts(run.key)))
    reviews = (shapes.review_shape(info, run.graph, review) for review in run.reviews())
    yield from _list("reviews", reviews, last=True)


def write(pieces: Iterable[str], out: Path | None) -> None:
    """Write the document to standard output, or to a file that is there only when all of it is."""
    if out is None:
        for piece in pieces:
            sys.stdout.write(piece)
        sys.stdout.flush()
        return
    half = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with half.open("w", encoding="utf-8") as file:
            file.writelines(pieces)
        half.replace(out)
    finally:
        half.unlink(missing_ok=True)


def _list(name: str, items: Iterable[object], *, last: bool = False) -> Iterator[str]:
    yield f'"{name}": ['
    before = "\n"
    for item in items:
        yield before + _line(item)
        before = ",\n"
    yield "]}\n" if last else "],\n"


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _tasks(store: Store, run: int, graph: Graph, log: Path, on_page: Callable[[int], None]) -> Iterator[ExportedTask]:
    workers: dict[str | None, WorkerInfo | None] = {None: None}
    after = 0

    def code(task: Task, worker: str | None, began_at: float | None) -> str | None:
        if worker not in workers:
            workers[worker] = store.worker(worker or "")
        return told(workers[worker], task.graph, began_at)

    while page := store.tasks(run, after=after, limit=PAGE):
        for task in page:
            past = [] if _routine(task) else store.attempts(run, task.number)
            given = noted(task, graph[task.node], log) if past else {}
            yield {
                **shapes.task_shape(task),
                "cause": None if task.cause is None else task_id(run, task.cause),
                "message": shapes.decoded(task.message),
                "result": shapes.decoded(task.result),
                "failures": task.failures,
                "rescues": task.rescues,
                "code": code(task, task.worker, task.started_at),
                "history": [
                    shapes.attempt_shape(one, code(task, one.worker, one.started_at), given.get(one.count))
                    for one in past
                ],
            }
        on_page(len(page))
        after = page[-1].number


def _routine(task: Task) -> bool:
    """Whether it has no attempt that ended otherwise than well: most have none, and those are not asked for."""
    done = task.count == 1 and task.state is TaskState.succeeded and task.worker is not None
    return not task.count or (done and not task.failures and not task.rescues)


def _journal(store: Store, run: int) -> Iterator[ExportedEntry]:
    after = 0
    while page := store.journal(run, after, PAGE):
        yield from map(_entry, page)
        after = page[-1].seq


def _entry(entry: Entry) -> ExportedEntry:
    return {"seq": entry.seq, "at": stamp(entry.at), "actor": entry.actor, "event": json.loads(entry.event)}


def _record(run: int, record: Record) -> ExportedRecord:
    return {
        "seq": record.seq,
        "node": record.node,
        "key": record.key,
        "task": task_id(run, record.number),
        "value": shapes.decoded(record.value),
    }
