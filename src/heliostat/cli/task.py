"""Look at tasks, and ask why one does not run."""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from heliostat.cli import output, shapes
from heliostat.cli.completion import runs
from heliostat.cli.message import message
from heliostat.cli.output import AsJson
from heliostat.cli.run import Id, Reason, tell
from heliostat.cli.session import find_run, find_task, session
from heliostat.inside import as_runs, past_runs
from heliostat.run import task_id
from heliostat.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heliostat.engine import Engine
    from heliostat.handle import RunHandle
    from heliostat.resources import Resources
    from heliostat.store import AttemptRecord
    from heliostat.task import Task

NAME = "task"
FOLLOW_SECONDS = 0.2  #: the pause between looks whether there is more to tell
app = typer.Typer(no_args_is_help=True)

TaskId = Annotated[
    str,
    typer.Argument(metavar="TASK", help="RUN/NUMBER, RUN/NODE or RUN/NODE[ITEM].", autocompletion=runs),
]


@app.command("list")
def list_(
    context: typer.Context,
    run: Id,
    state: Annotated[TaskState | None, typer.Option(help="In this state only.")] = None,
    node: Annotated[str | None, typer.Option(help="Of this node only.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, by number.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the tasks of a run."""
    with session(context).engine() as engine:
        handle = find_run(engine, run)
        if node is not None:
            node = handle.graph[node].name
        tasks = engine.store.tasks(handle.key, state, node, limit=limit + 1)
        shown = as_runs(engine.store, handle.graph, tasks[:limit])
        if as_json:
            output.document([shapes.task_shape(task) for task in shown])
            return
        also = ["priority"] if any(task.priority for task in shown) else []
        right = ["task", *also, "tries", "ran"]
        found = output.table(
            "task", "node", "state", *also, "tries", "ran", "why", right=right, whole=["state", *right]
        )
        for task in shown:
            ran, priority = output.span(task.started_at, task.ended_at), [task.priority] if also else []
            state_ = output.state(str(task.state))
            output.row(found, task.number, task.title, state_, *priority, task.count or "", ran, task.reason)
        output.show(found if shown else "no tasks")
        if len(tasks) > limit:
            output.say(f"there are more than {limit}; see --limit, --state and --node")


@app.command()
def show(context: typer.Context, task: TaskId, as_json: AsJson = False) -> None:
    """Show a task: its state, what it was given, its result, and the attempts that did not succeed."""
    from heliostat.allotment import noted

    with session(context).engine() as engine:
        run, number = find_task(engine, task)
        task_ = engine.store.task(run.key, number)
        assert task_ is not None
        [found] = as_runs(engine.store, run.graph, [task_])
        past = past_runs(engine.store, run.graph, found, engine.store.attempts(run.key, number))
        given = noted(task_, run.graph[found.node], engine.around.log_file(run.key))
        details = shapes.task_details(engine, found, past, run.explain(number), given)
        if as_json:
            output.document(details)
            return
        output.show(_facts(found, details, given.get(found.count, run.graph[found.node].resources)))
        if details["inputs"]:
            output.show("", _inputs(details["inputs"]))
        if past:
            output.show("", _history(past, given))
        output.show(*_raised(engine, found))


def _facts(task: Task, details: shapes.TaskDetails, given: Resources | None) -> object:
    """What is to be said of a task itself."""
    return output.facts(
        {
            "task": details["id"],
            "node": task.node if task.item is None else f"{task.node}, item {task.item}",
            "state": output.state(str(task.state)),
            "why": details["explanation"],
            "queue": task.queue,
            "priority": task.priority or None,
            "resources": given,
            "worker": task.worker,
            **_job(details["job"]),
            "code": details["code"] and details["code"][: len("sha256:") + 12],
            "attempts": task.count or None,
            "caused by": details["cause"],
            "born": output.when(task.created_at),
            "due": output.when(task.due_at),
            "started": output.when(task.started_at),
            "ended": output.when(task.ended_at),
            "ran": output.span(task.started_at, task.ended_at) or None,
            "message": None if task.message is None else output.short(task.message, 2000),
            "result": None if task.result is None else output.short(task.result, 2000),
        }
    )


def _job(job: shapes.JobShape | None) -> dict[str, object]:
    """What its newest job is, and where."""
    if job is None:
        return {}
    known = " ".join(filter(None, (job["system"], job["id"])))
    command = job["command"] and output.short(job["command"], 2000)
    return {"job": known or None, "directory": job["directory"], "command": command}


def _raised(engine: Engine, task: Task) -> list[object]:
    """The traceback of the newest attempt that raised."""
    from heliostat.cli.log import trace
    from heliostat.story import Log, raised

    line = raised(task, Log(task.run, engine.around.log_files))
    return [] if line is None else trace(line)


def _inputs(inputs: dict[str, shapes.InputShape]) -> object:
    """What a task was given, and by which one."""
    found = output.table("input", "from", "task", "was", right=["task"])
    for name, given in inputs.items():
        by = (given["task"] or "").partition("/")[2]
        was = given["brief"] if given["state"] == "succeeded" else given["state"]
        output.row(found, name, given["source"], by, was)
    return found


def _history(history: list[AttemptRecord], given: Mapping[int, Resources]) -> object:
    """Attempts that did not succeed, and what each was given, where anything is known of that."""
    also = ["given"] if given else []
    found = output.table("attempt", "ended", "at", "worker", *also, "why", right=["attempt"])
    for attempt in history:
        ended, at = attempt.state.replace("_", " "), output.when(attempt.ended_at)
        was = [given.get(attempt.count)] if given else []
        output.row(found, attempt.count, ended, at, attempt.worker, *was, attempt.reason)
    return found


@app.command()
def retry(context: typer.Context, task: TaskId, reason: Reason = "") -> None:
    """Give a task that made its run fail one more attempt; the run goes on from where it was."""
    with session(context).engine() as engine:
        run, number = find_task(engine, task)
        tell(run.retry(number, reason), f"{task_id(run.key, number)} is tried again")


@app.command()
def cancel(context: typer.Context, task: TaskId, reason: Reason = "") -> None:
    """Have a task fail that is ready, waits or runs, which is asked to stop; its run fails if nothing catches that."""
    with session(context).engine() as engine:
        run, number = find_task(engine, task)
        answer = run.cancel_task(number, reason)
        tell(answer, f"{task_id(run.key, number)}: {answer.note or 'cancelled'}")


@app.command()
def skip(context: typer.Context, task: TaskId, reason: Reason = "") -> None:
    """Have a task that is ready, waits or has failed count as skipped; a run that failed for it goes on."""
    with session(context).engine() as engine:
        run, number = find_task(engine, task)
        tell(run.skip(number, reason), f"{task_id(run.key, number)} is skipped")


@app.command()
def resolve(
    context: typer.Context,
    task: TaskId,
    result: Annotated[str, typer.Argument(metavar="JSON", help="Its result: JSON, @file or -.")] = "null",
    reason: Reason = "",
) -> None:
    """Say the result of a task that is ready, waits or has failed; a run that failed for it goes on."""
    content = message([], result)
    with session(context).engine() as engine:
        run, number = find_task(engine, task)
        tell(run.resolve(number, content, reason), f"{task_id(run.key, number)} has succeeded")


@app.command("set")
def set_(
    context: typer.Context,
    task: TaskId,
    priority: Annotated[int, typer.Option(help="Higher goes first.")],
    reason: Reason = "",
) -> None:
    """Have a task that has not begun come sooner or later."""
    with session(context).engine() as engine:
        run, number = find_task(engine, task)
        tell(run.set(number, priority=priority, reason=reason), f"{task_id(run.key, number)} has priority {priority}")


@app.command()
def log(
    context: typer.Context,
    task: TaskId,
    attempt: Annotated[int | None, typer.Option(min=1, help="Of this attempt only.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the task has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what a task's attempts logged and, as jobs or in processes of their own, printed; and how they ended.

    With --follow, --json writes an object a line, as they come.
    """
    from heliostat.cli.log import shape, told
    from heliostat.printed import Printed
    from heliostat.story import Log, ordered, task_story

    with session(context).engine() as engine:
        run, number = find_task(engine, task)
        lines = Log(run.key, engine.around.log_files)
        printed: Printed | None = None
        shown = over = False
        while not over:
            found = engine.store.task(run.key, number)  # before its log is read: what ends has said what it says
            assert found is not None
            printed = printed or Printed(engine.around, run.graph[found.node])
            come = ordered([*printed.read(found), *task_story(engine.store, found, lines)])
            new = [line for line in come if attempt in (None, line.attempt)]
            over = found.state.final or not follow
            if as_json and not follow:
                output.document([shape(line) for line in new])
            elif as_json:
                for line in new:
                    output.record(shape(line))
            elif new or (over and not shown):
                output.show(*told(new))
                sys.stdout.flush()
            shown = shown or bool(new)
            if not over:
                engine.around.clock.wait(Event(), FOLLOW_SECONDS)


@app.command("exec")
def exec_(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A job's directory, with work.json in it.")],
) -> None:
    """Perform the attempt that a job's directory holds, and leave its outcome there; jobs of functions call this."""
    from heliostat.exec import execute

    execute(directory)


@app.command()
def explain(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(metavar="TASK|RUN", help="A task's id, or a run's for all its open tasks."),
    ],
    limit: Annotated[int, typer.Option(min=1, help="How many tasks of a run, by number.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Say why a task is not running: what it waits for, or how it ended."""
    with session(context).engine() as engine:
        if "/" in what:
            run, number = find_task(engine, what)
            numbers = [number]
        else:
            run = find_run(engine, what)
            numbers = [task.number for task in run.unfinished(limit + 1)]
        found = [_explained(engine, run, number) for number in numbers[:limit]]
        if as_json:
            output.document(found)
        elif not found:
            output.show(output.text(run.explain()))
        for each in () if as_json else found:
            words = output.text(f"{each['task'].partition('/')[2]:>5} {each['title']}: ", "bold")
            output.show(words + output.text(each["explanation"]))
        if len(numbers) > limit:
            output.say(f"there are more than {limit} open tasks; see --limit")


def _explained(engine: Engine, run: RunHandle, number: int) -> shapes.Explanation:
    task = engine.store.task(run.key, number)
    assert task is not None
    return {
        "task": task_id(run.key, number),
        "node": task.node,
        "title": task.title,
        "state": str(task.state),
        "explanation": run.explain(number),
    }
