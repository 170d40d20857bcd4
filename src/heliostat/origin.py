"""Origin: where in an author's own files an error came about, and the traceback that leads there.

Frames of Heliostat are left out, for they are nobody's fault; those of Python and of installed packages are shown, but
an error is named after a line of the author's own.
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from traceback import FrameSummary, StackSummary, TracebackException, extract_stack, extract_tb
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

LINES, FIRST = 100, 20  #: of a traceback, at most, and how many of them are its first where it is longer
LETTERS = 500  #: of a line
_OURS = str(Path(__file__).parent) + os.sep  # not by its name: a user's folder may be called heliostat, too
_PYTHONS = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))
_INSTALLED = frozenset({"site-packages", "dist-packages"})


def frame(error: BaseException) -> FrameSummary | None:
    """The last frame in the author's own files, else the last in anybody's but Heliostat's; None if there is none."""
    frames = [frame for frame in extract_tb(error.__traceback__) if not _ours(frame)]
    own = [frame for frame in frames if not _installed(frame.filename)]
    return next(iter([*own[-1:], *frames[-1:]]), None)


def place(error: BaseException) -> str:
    """Where it came about, in brackets: `` (fit.py:12 in fit)``; empty where no frame says so."""
    found = frame(error)
    return "" if found is None else f" ({os.path.basename(found.filename)}:{found.lineno} in {found.name})"  # noqa: PTH119


def story(error: BaseException) -> str:
    """The traceback, without Heliostat's frames; empty where there are no others.

    Of a long one the first and the last lines, and of a long line the first letters.
    """
    try:
        return _story(error)
    except Exception:  # noqa: BLE001 - an error is other people's code, of which the traceback asks more than its words
        return ""


def standing(frame: FrameType, words: str) -> str:
    """Where a thread is, as a traceback that ends with ``words``; empty where that is in nobody's code but ours."""
    stack = extract_stack(frame)
    first = next((at for at, each in enumerate(stack) if _ours(each)), 0)  # those before have started the thread
    shown = StackSummary.from_list([each for each in stack[first:] if not _ours(each)])
    return f"Traceback (most recent call last):\n{''.join(shown.format())}{words}" if shown else ""


def _story(error: BaseException) -> str:
    told = TracebackException.from_exception(error)
    shown = 0
    for each in _chain(told):
        each.stack = StackSummary.from_list([frame for frame in each.stack if not _ours(frame)])
        shown += len(each.stack)
    if not shown:
        return ""
    lines = "".join(told.format()).splitlines()
    if (left := len(lines) - LINES) > 0:
        lines = [*lines[:FIRST], f"… {left} lines are left out …", *lines[FIRST + left :]]
    return "\n".join(line if len(line) <= LETTERS else f"{line[:LETTERS]}…" for line in lines)


def _chain(told: TracebackException) -> Iterator[TracebackException]:
    """An error with what it came of, and what a group of errors holds."""
    waiting = [told]
    while waiting:
        yield (each := waiting.pop())
        before = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
        waiting += [other for other in (before, *(each.exceptions or ())) if other is not None]


def _ours(frame: FrameSummary) -> bool:
    """Whether a frame is Heliostat's, Python's loader's, or of code that a dataclass has made."""
    made = frame.filename == "<string>" and frame.name == "__init__"
    return made or frame.filename.startswith((_OURS, "<frozen"))


def _installed(file: str) -> bool:
    return file.startswith(_PYTHONS) or not _INSTALLED.isdisjoint(Path(file).parts)
