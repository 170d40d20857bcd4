"""What operators do to runs: end them, hold them, let them go on; to several at once, all or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from heliostat.cli import completion, output
from heliostat.cli.message import message
from heliostat.cli.run import Id, Reason, tell
from heliostat.cli.session import duration, find_run, session

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliostat.cli.shapes import DoneRunShape
    from heliostat.handle import RunHandle
    from heliostat.store import Verb

HELP = "Ids of runs, or four letters of each from either end."
Ids = Annotated[list[str], typer.Argument(metavar="RUN", help=HELP, autocompletion=completion.runs)]


def complete(
    context: typer.Context,
    run: Id,
    result: Annotated[str | None, typer.Option(metavar="JSON", help="The run's result: JSON, @file or -.")] = None,
    reason: Reason = "",
) -> None:
    """End a run as succeeded; what has not begun is cancelled."""
    content = message([], result)
    with session(context).engine() as engine:
        tell(find_run(engine, run).complete(content, reason=reason), "completed")


def cancel(context: typer.Context, runs: Ids, reason: Reason = "") -> None:
    """End runs as cancelled, and ask what is running to stop."""
    from heliostat.effects import End
    from heliostat.run import RunState

    end = End(RunState.cancelled, reason=reason or "cancelled by its caller")
    _act(context, runs, lambda _: end, reason, "cancelled")


def retry(
    context: typer.Context,
    runs: Ids,
    reason: Reason = "",
    deadline: Annotated[
        str | None, typer.Option(metavar="DURATION", help="From now on, they fail after so long: 90s, 6h.")
    ] = None,
) -> None:
    """Give what made runs fail one more attempt; they go on from where they were."""
    until = None if deadline is None else duration(deadline, "--deadline")
    _act(context, runs, lambda run: run._trying_again(None, until), reason, "it is tried again")  # noqa: SLF001


def pause(context: typer.Context, runs: Ids, reason: Reason = "") -> None:
    """Hold what has not begun; what is running goes on."""
    from heliostat.store import Pause

    _act(context, runs, lambda _: Pause(True), reason, "paused")


def resume(context: typer.Context, runs: Ids, reason: Reason = "") -> None:
    """Let paused runs go on."""
    from heliostat.store import Pause

    _act(context, runs, lambda _: Pause(False), reason, "resumed")


def _act(context: typer.Context, words: list[str], verb: Callable[[RunHandle], Verb], reason: str, done: str) -> None:
    """Do the same to each run; if one of them refuses, to none."""
    with session(context).engine() as engine:
        runs = list({run.key: run for run in (find_run(engine, word) for word in words)}.values())
        answers = engine._act([(run, verb(run)) for run in runs], reason)  # noqa: SLF001 - as its own verbs do
        if len(answers) == 1:
            tell(answers[0], done)
            return
        told: list[DoneRunShape] = []
        for run, answer in zip(runs, answers, strict=True):
            note = "" if answer.done else answer.note or "nothing to do"
            output.say(f"{run.id}: {note or done}")
            told.append({"run": run.id, "done": answer.done, "note": note})
        output.fact(done=any(answer.done for answer in answers), runs=told)
