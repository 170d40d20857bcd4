"""A bar for work that takes a while: on standard error, and only on a terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from heliostat.cli import output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@contextmanager
def bars(done: str, kinds: Sequence[str]) -> Iterator[Callable[[str, int], None]]:
    """Show how many of each kind are done, where nobody knows how many there will be."""
    console = output.console(talk=True)
    if not console.is_terminal:
        yield lambda kind, more: None  # noqa: ARG005 - nobody looks
        return
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}"))
    with Progress(*columns, console=console, transient=True) as shown:
        tasks = {kind: shown.add_task(f"{kind} {done}", total=None) for kind in kinds}
        yield lambda kind, more: shown.advance(tasks[kind], more)


@contextmanager
def bar(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show how much is done; what it gives is told of each further part. ``total`` is None where nobody knows."""
    console = output.console(talk=True)
    if not console.is_terminal:
        yield lambda done: None  # noqa: ARG005 - nobody looks
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task(what, total=total)
        yield lambda done: shown.advance(task, done)
