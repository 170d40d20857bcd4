"""What a call to the store did, in words: the lines of a history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heliostat.effects import End, Send, Start
from heliostat.outcome import Failed, Released, Skipped, Snoozed, Succeeded
from heliostat.store import Cancel, Claim, Decide, FireTicks, Pause, Replace, Rerun, Resolve, TryAgain

if TYPE_CHECKING:
    from heliostat.outcome import Outcome, Verdict
    from heliostat.store import Command
    from heliostat.stores.memory import Tables
    from heliostat.task import Attempt

LETTERS = 60  #: of an error or a result


def told(tables: Tables, verb: str, args: tuple[Any, ...], answer: Any) -> str:
    """What a call did, if it did anything, as a line of the history."""
    match verb:
        case "settle":
            said = [
                _settled(tables, attempt, outcome, verdict)
                for (attempt, outcome), verdict in zip(args[1], answer.verdicts, strict=True)
            ]
            said += [f"leases {', '.join(_name(tables, a) for a in answer.leased)}"] if answer.leased else []
            return "; ".join(said)
        case "accept":
            return ", ".join(
                _asked(tables, command) + ("" if one.done else " (nothing new)")
                for command, one in zip(args[0], answer, strict=True)
            )
        case "rescue":
            worker = args[0][0][0].rpartition(":")[0]
            return f"rescues {answer[0]} of {worker}" if answer[0] else ""
        case "beat":
            return "hears that it was taken for dead" if answer is None else ""
        case "sweep":
            return f"sweeps {answer} up" if answer else ""
        case _:
            return ""


def _name(tables: Tables, attempt: Attempt) -> str:
    """A task as a history calls it: its node and number, and which attempt unless it is the first."""
    again = f" (attempt {attempt.count})" if attempt.count > 1 else ""
    return f"{place(tables, attempt.run)}{attempt.node}/{attempt.number}{again}"


def place(tables: Tables, run: int) -> str:
    """Which run it is, where there are several: the first one need not be said."""
    position = list(tables.runs).index(run) + 1 if run in tables.runs else 0
    return f"run {position} " if position > 1 else ""


def _settled(tables: Tables, attempt: Attempt, outcome: Outcome, verdict: Verdict) -> str:
    what = _name(tables, attempt)
    if verdict.word == "committed" and isinstance(outcome, Released):
        return f"hands {what} back: {outcome.reason}"
    if verdict.word == "committed":
        return f"commits {what}: {_outcome(outcome)}"
    return f"comes in vain with {what}: {verdict.reason}"


def _outcome(outcome: Outcome) -> str:
    match outcome:
        case Succeeded(result):
            return _short(result)
        case Failed(error):
            return _short(f"failed, {error}") + (", to be tried again" if outcome.retry_at is not None else "")
        case Snoozed():
            return "snoozed"
        case Skipped(reason):
            return _short(f"skipped, {reason}")
        case _:
            return type(outcome).__name__.lower()


def _asked(tables: Tables, command: Command) -> str:
    """What somebody outside asked for."""
    where = place(tables, command.run) if command.run is not None else ""
    match command.verb:
        case Start() as start:
            return f"starts {start.graph.name} with {_short(start.message)}"
        case Replace(start):
            return f"starts {start.graph.name} with {_short(start.message)}, in the place of that with its key"
        case Rerun(start, at):
            return f"runs {where or 'the run '}anew at {', '.join(at) or 'its beginning'} with {_short(start.message)}"
        case Send() as send:
            return f"sends {where}{send.node} {_short(send.message)}"
        case End() as end:
            return f"ends {where or 'the run '}as {end.state}"
        case Pause(on):
            return f"{'pauses' if on else 'resumes'} {where or 'the run'}".rstrip()
        case Claim(number, on):
            return f"{'claims' if on else 'releases'} {where}{_title(tables, command.run, number)}"
        case Decide(number, choice):
            return f"decides {where}{_title(tables, command.run, number)}: {choice or 'withdrawn'}"
        case TryAgain(number):
            return f"has {where or 'the run '}{_title(tables, command.run, number) if number else ''} tried again"
        case Cancel(number):
            return f"cancels {where}{_title(tables, command.run, number)}"
        case Resolve(number, state, result):
            how = f"said to have {state} with {_short(result)}" if result else str(state)
            return f"has {where}{_title(tables, command.run, number)} {how}"
        case FireTicks(schedule, starts):
            return f"starts {schedule.workflow} for {', '.join(start.name for start in starts) or 'no tick'}"
        case other:
            return f"asks for {type(other).__name__}"


def _title(tables: Tables, run: int | None, number: int) -> str:
    task = tables.tasks[run].get(number) if run in tables.tasks else None
    return f"{task.node if task else 'task'}/{number}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"
