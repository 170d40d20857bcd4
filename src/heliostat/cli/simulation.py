"""Run a workflow in thousands of simulated accidents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heliostat.cli import output
from heliostat.cli.message import message
from heliostat.cli.output import AsJson
from heliostat.cli.session import value, workflow
from heliostat.errors import BadInput, RunFailed

if TYPE_CHECKING:
    from heliostat.cli.shapes import SeedShape, SimulationShape
    from heliostat.workflow import Workflow

SEEDS = 1000


def simulate(
    where: Annotated[
        str, typer.Argument(metavar="WHERE", help="file.py:flow, module:flow, or a name from the configured apps.")
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="The message: key=value, key=@file; or one JSON word, @file, -."),
    ] = None,
    given: Annotated[
        str | None, typer.Option("--message", metavar="JSON", help="The whole message: JSON, @file or -.")
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="N", help="How many seeds.")] = SEEDS,
    first: Annotated[int, typer.Option(metavar="S", help="The first of them.")] = 0,
    seed: Annotated[int | None, typer.Option(metavar="S", help="Only this one.")] = None,
    faults: Annotated[
        str, typer.Option(metavar="KINDS", help="crash, cut, late, …, with commas; all or none.")
    ] = "all",
    workers: Annotated[int, typer.Option(metavar="N", help="How many workers to begin with.")] = 3,
    check: Annotated[
        str | None, typer.Option(metavar="FILE:NAME", help="A function of a run that raises if it came out wrong.")
    ] = None,
    stub: Annotated[
        list[str] | None, typer.Option(metavar="NODE=FILE:NAME", help="A function in the place of a job or node.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="FILE:NAME", help="A function that makes the world anew before each play.")
    ] = None,
    other: Annotated[list[str] | None, typer.Option(metavar="WHERE", help="A workflow that is started too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run a workflow under many seeds, each with an order of events and faults of its own; nothing real is touched."""
    flow = workflow(where)
    only = None if seed is None else [seed]
    options = {
        "message": message(words or [], given),
        "faults": faults.split(","),
        "workers": workers,
        "check": value(check) if check else None,
        "before": value(before) if before else None,
        "stubs": dict(map(_stub, stub or [])),
        "others": [workflow(one) for one in other or []],
        "seeds": only or seeds,
        "first": first,
    }
    with _progress(len(only) if only else seeds) as held:
        shape, text = _simulated(flow, options, held)
    if as_json:
        output.document(shape)
    else:
        output.lines(text)
    if shape["failed"] is not None:
        raise typer.Exit(RunFailed.exit_code)


def _simulated(flow: Workflow, options: dict[str, Any], held: Callable[[], object]) -> tuple[SimulationShape, str]:
    """What came of it, for programs and for people."""
    from heliostat import testing

    done: list[int] = []

    def on_seed(seed: int) -> None:
        done.append(seed)
        held()

    shape: SimulationShape
    shape = {"workflow": flow.name, "seeds": 0, "transactions": None, "faults": {}, "failed": None}
    try:
        told = testing.simulate(flow, on_seed=on_seed, **options)
    except testing.SimulationFailed as error:
        failed: SeedShape = {
            "seed": error.seed,
            "error": error.what,
            "history": list(error.history),
            "replay": error.replay,
        }
        return {**shape, "seeds": len(done), "failed": failed}, f"✗ {flow.name}, {error}"
    shape |= {"seeds": told.seeds, "transactions": told.transactions, "faults": told.faults}
    counts = f"{output.count(told.seeds, 'seed')}, {output.count(told.transactions, 'transaction')}"
    struck = ", ".join(f"{kind} {count:,}" for kind, count in told.faults.items() if count) or "none"
    return shape, f"✓ {flow.name}: {counts}; faults: {struck}"


def _stub(word: str) -> tuple[str, Any]:
    name, equals, place = word.partition("=")
    if not equals:
        raise BadInput(f"--stub {word!r}: write node=file.py:function")
    return name, value(place)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], object]]:
    """A bar for people who wait at a terminal; answers whom to tell of each seed."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = output.console(talk=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal or total < 2) as bar:
        task = bar.add_task("seeds", total=total)
        yield lambda: bar.advance(task)
