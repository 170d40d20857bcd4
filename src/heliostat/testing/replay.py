"""A seed that failed: its shortest history, and the one line that replays it."""

from __future__ import annotations

import inspect
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

from heliostat import codec
from heliostat.testing.stage import Cut

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from heliostat.testing.stage import Stage
    from heliostat.workflow import Workflow

    Run = Callable[[int, Cut | None], Stage]

PLAYS = 120  #: spent on a shorter history of a failure
OTHERWISE = (
    "(played again, the seed went otherwise: functions keep something beside the engine, or draw lots of their own; "
    "make it anew in before=)"
)
LINES = 60  #: of it that are shown


class SimulationFailed(AssertionError):
    """A seed under which something went wrong; the message says what, how it came about, and how to see it again."""

    def __init__(self, seed: int, what: str, history: Sequence[str], replay: str) -> None:
        left_out = len(history) - LINES
        lines = [f"({left_out} earlier lines)", *history[left_out:]] if left_out > 0 else history
        super().__init__("\n".join([f"seed {seed}: {what}", "", *lines, "", f"see it again: {replay}"]))
        self.seed, self.what, self.history, self.replay = seed, what, tuple(history), replay


@dataclass(frozen=True)
class Asked:
    """What ``simulate`` was called with."""

    workflow: Workflow
    message: object
    script: object
    check: object
    stubs: Mapping[str, object]
    others: Sequence[Workflow]
    workers: int
    faults: str | Iterable[str]
    before: object


def failed(seed: int, stage: Stage, run: Run, asked: Asked) -> SimulationFailed:
    """The failure of a seed, told as shortly as can be."""
    again, note = run(seed, None), [OTHERWISE]
    if again.history == stage.history:
        stage, note = shortest(seed, again, run), []
    assert stage.failure is not None
    replay = command(asked, seed) or call(asked, seed)
    return SimulationFailed(seed, _what(stage.failure), [*stage.history, *note], replay)


def shortest(seed: int, best: Stage, run: Run) -> Stage:
    """The same seed with as many faults and changes of turns left out as the same failure can do without.

    Of each, first all at once, then fewer, in the end one by one; and faults once more when turns are left out.
    """
    turns: frozenset[int] | None = None
    left = PLAYS
    for what in ("faults", "turns", "faults"):
        whole: list[Any] = list(getattr(best, what))
        size = len(whole)
        while size and left > 0:
            for first in range(0, len(whole), size):
                left -= 1
                fewer = [one for one in whole if one not in whole[first : first + size]]
                kept = {call: kind for call, kind in best.faults.items() if what == "turns" or call in fewer}
                other = run(seed, Cut(kept, frozenset(fewer) if what == "turns" else turns))
                if _alike(other, best) and _length(other) < _length(best):
                    best, turns = other, other.cut.turns
            whole = [one for one in whole if one in getattr(best, what)]
            size = min(size // 2, len(whole))
    return best


def _length(stage: Stage) -> tuple[int, int, int]:
    return len(stage.faults), len(stage.history), len(stage.turns)


def _alike(one: Stage, other: Stage) -> bool:
    """Whether the same went wrong in both, but for numbers and names that have some."""
    return _kind(one.failure) == _kind(other.failure)


def _kind(failure: BaseException | None) -> tuple[str, str]:
    return type(failure).__name__, re.sub(r"\w*\d\w*", "…", str(failure))


def _what(failure: BaseException) -> str:
    """What went wrong in words; a bare ``assert`` says nothing, so its line does."""
    kind = "" if isinstance(failure, AssertionError) else f"{type(failure).__name__}: "
    if text := str(failure).partition("\n")[0]:
        return kind + text
    frame = traceback.extract_tb(failure.__traceback__)[-1]
    return f"{kind}{frame.line} ({Path(frame.filename).name}:{frame.lineno})"


# how to see it again


def command(asked: Asked, seed: int) -> str | None:
    """The command that replays a seed, if a command can find all that is needed."""
    flow = where(asked.workflow, *(one.function for one in asked.workflow.signatures.values()))
    check = None if asked.check is None else where(asked.check, asked.check)
    stubs = {name: where(stub, getattr(stub, "function", stub)) for name, stub in asked.stubs.items()}
    others = [where(one, *(s.function for s in one.signatures.values())) for one in asked.others]
    before = None if asked.before is None else where(asked.before, asked.before)
    missing = None in (flow, *others, *stubs.values())
    missing |= (check, before).count(None) > (asked.check, asked.before).count(None)
    if missing or asked.script is not None:
        return None
    try:
        text = codec.encode(asked.message, "message")
    except Exception:  # noqa: BLE001 - a file, or what only Python can say
        return None
    words = ["heliostat", "workflow", "simulate", str(flow)]
    words += ["--message", text] if asked.message is not None else []
    words += [word for name, stub in stubs.items() for word in ("--stub", f"{name}={stub}")]
    words += [word for other in others for word in ("--other", str(other))]
    words += ["--check", check] if check else []
    words += ["--before", before] if before else []
    words += ["--workers", str(asked.workers)] if asked.workers != 3 else []
    words += [] if _listed(asked.faults) == ["all"] else ["--faults", ",".join(_listed(asked.faults)) or "none"]
    return shlex.join([*words, "--seed", str(seed)])


def call(asked: Asked, seed: int) -> str:
    """The call that replays a seed, as it stands where it was made."""
    frame = _caller()
    names = {} if frame is None else {id(value): name for name, value in (frame.f_globals | frame.f_locals).items()}

    def told(value: object) -> str:
        name = names.get(id(value)) or getattr(value, "__name__", None)
        return str(name) if name and str(name).isidentifier() else repr(value)

    words = [told(asked.workflow)] + ([] if asked.message is None else [repr(asked.message)])
    words += [] if asked.script is None else [f"script={told(asked.script)}"]
    words += [] if asked.before is None else [f"before={told(asked.before)}"]
    words += [f"stubs={{{', '.join(f'{name!r}: {told(stub)}' for name, stub in asked.stubs.items())}}}"] * bool(
        asked.stubs
    )
    words += [f"others=[{', '.join(map(told, asked.others))}]"] * bool(asked.others)
    words += [] if asked.check is None else [f"check={told(asked.check)}"]
    words += [] if asked.workers == 3 else [f"workers={asked.workers}"]
    words += [] if _listed(asked.faults) == ["all"] else [f"faults={_listed(asked.faults)!r}"]
    place = "" if frame is None else f"  # at {_near(Path(frame.f_code.co_filename))}:{frame.f_lineno}"
    return f"testing.simulate({', '.join(words)}, seeds=[{seed}]){place}"


def where(wanted: object, *functions: object) -> str | None:
    """``file.py:name``, if the file of one of these functions holds what is wanted under a name."""
    plain = [inspect.unwrap(function) for function in functions if callable(function)]
    spaces = [function.__globals__ for function in plain if isinstance(function, FunctionType)]
    if (frame := _caller()) is not None:
        spaces.append(frame.f_globals)
    for names in spaces:
        file = names.get("__file__")
        if isinstance(file, str) and file.endswith(".py") and Path(file).is_file():
            for name, value in names.items():
                if value is wanted and name.isidentifier():
                    return f"{_near(Path(file))}:{name}"
    return None


def _caller() -> FrameType | None:
    """The first frame that is not of this package."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - as logging does
    here = str(Path(__file__).parent)
    while frame is not None and frame.f_code.co_filename.startswith(here):
        frame = frame.f_back
    return frame


def _near(file: Path) -> Path:
    """A path as somebody here would type it."""
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file


def _listed(faults: str | Iterable[str]) -> list[str]:
    return [faults] if isinstance(faults, str) else list(faults)
