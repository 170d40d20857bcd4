"""Start runs, look at them, act on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heliostat.cli import completion, inside, output, shapes
from heliostat.cli.codes import NOT_ENDED
from heliostat.cli.message import message
from heliostat.cli.output import AsJson
from heliostat.cli.runs import artifact_table, failure_table, node_table, paused_words, show_end, value_lines
from heliostat.cli.session import duration, find_run, offered, session, startable
from heliostat.cli.working import follow
from heliostat.errors import NotFound, RunFailed, nearest
from heliostat.run import RunState, public_id

if TYPE_CHECKING:
    from heliostat.store import Answer

NAME = "run"
app = typer.Typer(no_args_is_help=True)

Id = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="A run's id, or four of its letters from either end.", autocompletion=completion.runs
    ),
]
Reason = Annotated[str, typer.Option(help="Why, for the journal.", show_default=False)]


@app.command()
def start(
    context: typer.Context,
    where: Annotated[
        str, typer.Argument(metavar="WHERE", help="file.py:flow, module:flow, or a name from the apps or of data.")
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="The message: key=value, key=@file; or one JSON word, @file, -."),
    ] = None,
    given: Annotated[
        str | None, typer.Option("--message", metavar="JSON", help="The whole message: JSON, @file or -.")
    ] = None,
    name: Annotated[str, typer.Option(help="What to call the run.", show_default=False)] = "",
    to: Annotated[str | None, typer.Option(metavar="HANDLER", help="Who gets the message.")] = None,
    priority: Annotated[int, typer.Option(help="Higher goes first.")] = 0,
    deadline: Annotated[
        str | None, typer.Option(metavar="DURATION", help="It fails if it has not ended after so long: 90s, 6h.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="The same key and message start one run only.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="With the same --key and another message, take the place of that run.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Work here until it has ended.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Work here, and again whenever its files are saved, from what has changed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start a run; with --wait, work on it here and show how it goes."""
    if watch:
        from heliostat.cli.watching import begin

        begin(
            session(context),
            where,
            words or [],
            given,
            odd=as_json or replace or bool(key or deadline),
            name=name,
            to=to,
            priority=priority,
        )
        return
    with session(context).engine(new=True) as engine:
        flow, content = startable(engine, where), message(words or [], given)
        began = engine.around.clock.now()
        run = engine.start(
            flow,
            content,
            name=name,
            to=to,
            priority=priority,
            deadline=deadline,
            idempotency_key=key,
            replace=replace,
        )
        if (there := run.info).created_at < began:
            stands = f"it {there.state.over}" if there.state.final else "it goes on"
            output.say(f"run {run.id} was started with this key before, {output.when(there.created_at)}; {stands}")
        follow(engine, run, where, wait=wait, as_json=as_json)


@app.command("list")
def list_(
    context: typer.Context,
    flow: Annotated[
        str | None, typer.Option("--workflow", help="Of this workflow only.", autocompletion=completion.workflows)
    ] = None,
    state: Annotated[RunState | None, typer.Option(help="In this state only.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    from heliostat import codec
    from heliostat.handle import MOST

    most = codec.whole(limit, "limit", 1, MOST)
    with session(context).engine() as engine:
        runs = engine.store.runs(flow, state, limit=most)
        if flow is not None and not runs and flow not in (known := {graph.name for graph in engine.store.graphs()}):
            raise NotFound(f"there is no workflow {flow!r}{nearest(flow, sorted(known))}")
        graphs = {run.graph: engine.registry.graph(run.graph) for run in runs}
        if as_json:
            output.document([shapes.run_shape(run, graphs[run.graph]) for run in runs])
            return
        parents = ["part of"] if any(run.parent is not None for run in runs) else []
        whole = ["run", "state", "started", "took", *parents]
        columns = ("run", "workflow", "name", "state", "started", "took", *parents)
        found = output.table(*columns, right=["took"], whole=whole)
        now = engine.around.clock.now()
        for run in runs:
            state_ = output.state(str(run.state), ", paused" if run.paused else "")
            took = output.span(run.created_at, run.ended_at or now)
            began = output.lately(run.created_at, now)
            of = [public_id(run.parent) if run.parent is not None else ""] if parents else []
            output.row(found, run.public, graphs[run.graph].label, run.name, state_, began, took, *of)
        output.show(found if runs else "no runs")


@app.command()
def show(context: typer.Context, run: Id, as_json: AsJson = False) -> None:
    """Show a run: its state, its nodes, what failed, its result and its files."""
    with session(context).engine() as engine:
        handle = find_run(engine, run)
        details = shapes.run_details(engine.store, handle)
        if as_json:
            output.document(details)
            return
        info, now = handle.info, engine.around.clock.now()
        output.show(
            output.facts(
                {
                    "run": info.public,
                    "workflow": handle.graph.label,
                    "name": info.name or None,
                    "state": output.state(str(info.state), ", paused" if info.paused else ""),
                    "paused": paused_words(engine, details) if info.paused else None,
                    "reason": info.reason,
                    "priority": info.priority or None,
                    "part of": inside.whole(details),
                    "key": info.idempotency_key,
                    "started": output.when(info.created_at),
                    "ended": output.when(info.ended_at),
                    "took" if info.ended_at else "for": output.span(info.created_at, info.ended_at or now),
                    "message": None if details["message"] is None else output.short(details["message"], 100),
                }
            ),
            "",
            node_table(handle, details["nodes"]),
        )
        if details["parts"]:
            output.show("", inside.part_table(details["parts"]))
        if details["failures"]:
            output.show("", failure_table(details["failures"]))
        if details["result"] is not None:
            output.show("", output.text("result", "bright_black"), *value_lines(details["result"]))
        if details["artifacts"]:
            output.show("", artifact_table(engine.store, details["artifacts"]))


@app.command()
def explain(context: typer.Context, run: Id, as_json: AsJson = False) -> None:
    """Say what a whole run waits for, on one page: each reason once, with how many tasks of which nodes."""
    from heliostat.cli.standing import show_reasons

    with session(context).engine() as engine:
        show_reasons(engine, find_run(engine, run), as_json=as_json)


@app.command()
def wait(
    context: typer.Context,
    run: Id,
    timeout: Annotated[str | None, typer.Option(help="No longer than this: 90s, 10m, 1h30m.")] = None,
    as_json: AsJson = False,
) -> None:
    """Wait until a run has ended, while workers elsewhere do it; exit code 5 if it did not succeed."""
    from heliostat.cli.standing import wait_for

    seconds = None if timeout is None else duration(timeout, "--timeout")
    with session(context).engine() as engine:
        handle = find_run(engine, run)
        if not wait_for(engine, handle, seconds):
            raise typer.Exit(NOT_ENDED)
        if as_json:
            output.document(shapes.run_details(engine.store, handle))
        else:
            show_end(engine, handle)
        if handle.state is not RunState.succeeded:
            raise typer.Exit(RunFailed.exit_code)


@app.command()
def export(
    context: typer.Context,
    run: Id,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write here, not to standard output.")] = None,
    as_json: AsJson = False,  # noqa: ARG001 - it writes nothing else
) -> None:
    """Write the whole story of a run as one JSON document: graph, tasks, attempts, journal, records, files."""
    from heliostat.cli.bar import bar
    from heliostat.cli.export import exported, write

    with session(context).engine() as engine:
        handle = find_run(engine, run)
        total = sum(sum(counts.values()) for counts in engine.store.states(handle.key).values())
        with bar(f"export of run {handle.id}", total) as advance:
            write(exported(engine, handle, advance), out)
    if out is not None:
        output.say(f"written: {out}")


@app.command()
def log(
    context: typer.Context,
    run: Id,
    as_json: AsJson = False,
) -> None:
    """Tell what happened in a run: its journal and what its functions logged, in order of time.

    Tracebacks are among it with --json; for people, `task log` and `task show` have them.
    """
    from heliostat.cli.log import shape, told

    with session(context).engine() as engine:
        lines = find_run(engine, run).log()
        if as_json:
            output.document([shape(line) for line in lines])
        else:
            output.show(*told([line for line in lines if line.kind != "traceback"]))


@app.command()
def send(
    context: typer.Context,
    run: Id,
    handler: Annotated[str, typer.Argument(metavar="HANDLER", help="Which of the run's handlers.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="MESSAGE", help="JSON, @file, - or key=value words; null where there is none."),
    ] = None,
    key: Annotated[str | None, typer.Option(help="The same key and message are sent once only.")] = None,
    delay: Annotated[str | None, typer.Option(help="Not before this time has passed: 90s, 10m, 1h30m.")] = None,
) -> None:
    """Send a message to a handler of a run; when this returns, it is kept.

    Its form is checked if the run's workflow is among the configured apps, as it was when the run began.
    """
    content = message(words or [])
    later = None if delay is None else duration(delay, "--delay")
    with session(context).engine() as engine:
        handle = find_run(engine, run)
        checked = offered(engine, handle)
        answer = handle.send(handler, content, idempotency_key=key, delay=later)
        output.fact(checked=checked)
        unchecked = f"; its form was not checked, since no configured app has {handle.graph.label}"
        tell(answer, f"sent: task {answer.number}" + ("" if checked else unchecked))


def tell(answer: Answer, words: str) -> None:
    """What came of a command."""
    output.fact(done=answer.done, **shapes.answered(answer))
    output.say(words if answer.done else answer.note or "nothing to do")
