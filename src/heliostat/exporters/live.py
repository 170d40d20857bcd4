"""How a run goes while it goes: a picture that changes in a notebook's cell, lines on a terminal."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType

    from heliostat.display import Progress
    from heliostat.handle import RunHandle

PAUSE = 0.25  #: seconds between pictures, at least
SHARE = 0.05  #: of the time, at most, goes into drawing


def progress(run: RunHandle) -> AbstractContextManager[Progress]:
    """What shows a run where this program's people are."""
    if _in_notebook():
        return Cell(run)
    from heliostat.cli.progress import Progress as Lines

    return Lines(run._engine, run)  # noqa: SLF001 - a handle is its engine's, and shows what that knows


def _in_notebook() -> bool:
    """Whether somebody looks through a kernel; IPython is there then, and is not loaded to find out."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class Cell:
    """A run in the cell that watches it. Call ``tick`` as often as you like; it draws when it is time."""

    def __init__(self, run: RunHandle) -> None:
        self._run, self._next = run, 0.0
        self._shown: Any = None

    def __enter__(self) -> Self:
        self._shown = import_module("IPython.display").display(self._run, display_id=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shown.update(self._run)

    def tick(self) -> None:
        """Draw the run if that was not done just before."""
        began = time.monotonic()
        if began >= self._next:
            self._shown.update(self._run)
            now = time.monotonic()
            self._next = now + max(PAUSE, (now - began) / SHARE)
