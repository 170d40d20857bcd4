"""What an ended job left in its directory: outputs, a result, last words, or what is wrong with them."""

from __future__ import annotations

import re
import signal
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from heliostat.batch import SEEN, STDERR, STDOUT, UNBEGUN, Collected
from heliostat.codec import LIMIT_BYTES
from heliostat.files import opened, tail
from heliostat.job import FILES, INPUT, OUTPUT, many, patterns

if TYPE_CHECKING:
    from pathlib import Path

    from heliostat.batch import Observation, Output
    from heliostat.job import JobSpec

SMALL_BYTES = 1 << 14  #: of a result; to get room for all that it could be takes longer than to read it
_NO_OUTPUTS = frozenset({INPUT, OUTPUT, FILES, STDOUT, STDERR, SEEN, UNBEGUN})  # taken only when named in full


def collected(directory: Path, spec: JobSpec, seen: Observation, own: frozenset[str] = frozenset()) -> Collected:
    """``collect`` for a directory at hand; ``own`` are the batch system's files in it, never outputs."""
    outputs: dict[str, Output] = {}
    problems: list[str] = []
    for name, pattern in patterns(spec.outputs):
        found = _find(directory, pattern, own | _NO_OUTPUTS)
        if isinstance(found, str):
            problems.append(found)
        else:
            outputs[name] = found
    output, problem = _result(directory)
    problems += [problem] if problem else []
    reason = _unbegun(directory, seen) or _ending(seen) or "; ".join(problems) or None
    return Collected(
        exit_code=seen.exit_code,
        outputs=outputs if isinstance(spec.outputs, dict) else outputs.get(""),
        output=output,
        reason=reason,
        how=seen.how,
        stdout=tail(directory / STDOUT) if reason else "",
        stderr=tail(directory / STDERR) if reason else "",
    )


def _unbegun(directory: Path, seen: Observation) -> str | None:
    """Why its command was never begun, unless the job was ended for another reason."""
    return tail(directory / UNBEGUN) or None if seen.reason is None and seen.exit_code else None


def _ending(seen: Observation) -> str | None:
    """Why the way it ended is no success."""
    if not seen.state.final:
        return "the job has not ended"
    if seen.reason or seen.exit_code == 0:
        return seen.reason
    code = seen.exit_code or 0
    killed = {128 + number: f" ({number.name})" for number in signal.Signals}
    return f"exit code {code}{killed.get(code, '')}"


def _find(directory: Path, pattern: str, hidden: frozenset[str]) -> Output | str:
    """The file or files of a pattern, or a sentence about what is wrong with them."""
    if not many(pattern):
        path = directory / pattern
        return _problem(directory, path) or path
    found = []
    for path in directory.glob(pattern.replace("[", "[[]")):  # only * and ? are special
        first, *_ = steps = path.relative_to(directory).parts
        dotted = any(step.startswith(".") for step in steps) and not re.search(r"(^|/)\.", pattern)
        if first not in hidden and not dotted and not path.is_dir():
            found.append(path)
    problem = next(filter(None, (_problem(directory, path) for path in found)), None)
    return problem or tuple(sorted(found)) or f"no file matches the output {pattern}"


def _problem(directory: Path, path: Path) -> str | None:
    """Why a path is no output: it has to be an ordinary file within the directory, links followed."""
    with suppress(OSError):  # most are just there, and no links can have led astray
        if path.parent == directory and stat.S_ISREG(path.lstat().st_mode):
            return None
    name = path.relative_to(directory)
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):  # not there, or a link that leads nowhere or in a circle
        return f"the output {name} is missing"
    if not real.is_relative_to(directory.resolve()):
        return f"the output {name} leads out of the job's directory"
    return None if real.is_file() else f"the output {name} is no ordinary file"


def _data(path: Path, *, follow: bool) -> bytes:
    """What a file holds, up to one byte more than a result may have."""
    with opened(path, follow=follow) as file:
        data = file.read(SMALL_BYTES)
        return data if len(data) < SMALL_BYTES else data + file.read(LIMIT_BYTES + 1 - SMALL_BYTES)


def _result(directory: Path) -> tuple[str | None, str | None]:
    """The text of ``output.json``, or what is wrong with it; neither if the job wrote none."""
    path = directory / OUTPUT
    try:
        data = _data(path, follow=False)
    except FileNotFoundError:
        return None, None
    except OSError:
        if problem := _problem(directory, path):
            return None, problem
        try:
            data = _data(path, follow=True)  # the link stays within the directory
        except OSError as error:
            return None, f"{OUTPUT} cannot be read: {error.strerror}"
    if len(data) > LIMIT_BYTES:
        size = path.stat().st_size
        return None, f"{OUTPUT} has {size:,} bytes; the limit is {LIMIT_BYTES:,}, use outputs for more"
    try:
        return data.decode("utf-8"), None
    except UnicodeDecodeError as error:
        return None, f"{OUTPUT} is not UTF-8 text ({error})"
