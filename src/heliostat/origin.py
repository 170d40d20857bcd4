"""Origin: where in an author's own files an error came about, and the traceback that leads there.

Frames of Heliostat are left out, for they are nobody's fault; those of Python and of installed packages are shown, but
an error is named after a line of the author's own.
"""

from __future__ import annotations

import os
import sysconfig
from functools import lru_cache
from pathlib import Path
from traceback import FrameSummary, StackSummary, TracebackException, extract_stack, extract_tb, walk_tb
from types import CodeType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

LINES, FIRST = 100, 20  #: of a traceback, at most, and how many of them are its first where it is longer
LETTERS = 500  #: of a line
CHANGED = "(the file has been changed since this was loaded)"  #: in the place of a line that is another one now
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
    told, changed = TracebackException.from_exception(error), _changed(error)
    shown = 0
    for each in _chain(told):
        frames = [frame for frame in each.stack if not _ours(frame)]
        each.stack = StackSummary.from_list([_honest(frame) if _at(frame) in changed else frame for frame in frames])
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


def _at(frame: FrameSummary) -> tuple[str, int | None, str]:
    return frame.filename, frame.lineno, frame.name


def _honest(frame: FrameSummary) -> FrameSummary:
    """A frame without the line that stands there now, which is not the one that ran."""
    return FrameSummary(frame.filename, frame.lineno, frame.name, line=CHANGED)


def _changed(error: BaseException) -> set[tuple[str, int | None, str]]:
    """The frames behind an error whose code is not what stands in their files now."""
    found: set[tuple[str, int | None, str]] = set()
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        ran = ((frame.f_code, line) for frame, line in walk_tb(each.__traceback__))
        found.update((code.co_filename, line, code.co_name) for code, line in ran if not _stands(code))
        waiting += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
    return found


def _stands(code: CodeType) -> bool:
    """Whether code is in its file as it was loaded, as far as can be told."""
    if _installed(code.co_filename):
        return True
    try:
        status = os.stat(code.co_filename)  # noqa: PTH116 - it may be no path at all
        return code in _codes(code.co_filename, (status.st_mtime_ns, status.st_size))
    except (OSError, SyntaxError, ValueError):  # no file, or one that is no Python at the moment
        return True


@lru_cache(maxsize=16)
def _codes(file: str, _as_of: tuple[int, int]) -> frozenset[CodeType]:
    """All code in a file, as it is at a time."""
    with open(file, "rb") as source:  # noqa: PTH123 - as above
        waiting = [compile(source.read(), file, "exec", dont_inherit=True)]
    found = set()
    while waiting:
        code = waiting.pop()
        found.add(code)
        waiting += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    return frozenset(found)
