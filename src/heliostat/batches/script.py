"""The scripts of a job on a cluster: what is submitted, what runs on a node, and what submits and cancels it."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from uuid import uuid4

from heliostat.batches import container, shared
from heliostat.batches.dialect import Wanted
from heliostat.errors import BadInput
from heliostat.files import make
from heliostat.resources import Resources

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from heliostat.batch import BatchQueue, JobRequest
    from heliostat.batches.dialect import Dialect

#: Files that are the batch system's own, never outputs.
_NAMES = [value for value in vars(shared).values() if isinstance(value, str) and value.startswith("job.")]
OWN = frozenset([*_NAMES, *(f"{name}.tmp" for name in _NAMES), "job.name"])  # the last was made by versions before
SPARE_SECONDS = 30.0  #: of walltime beyond a time-out and its grace, so that it is the wrapper that keeps the time
NOTHING = Resources()
_DIGITS = 12
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


Kind: TypeAlias = "tuple[BatchQueue, Wanted, tuple[str, str]]"  # the queue, the resources, time-out and grace


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is to be written: by what it can be found in its scheduler, and its files by name.

    ``kind`` is alike in all jobs that can be one array.
    """

    name: str
    files: Mapping[str, str]
    kind: Kind

    @property
    def array(self) -> int:
        """How many of its kind may be one submission, or 0."""
        queue, *_ = self.kind
        return queue.array if queue.array > 1 else 0


def job(dialect: Dialect, queue: BatchQueue, request: JobRequest, there: str, grace: float) -> Job:
    """All files of a job whose directory is ``there`` for the batch system; raises BadInput for what cannot be."""
    if "\n" in there:
        raise BadInput(f"a job's directory cannot have a line break in its path: {there!r}")
    for name in request.env:
        if not container.VARIABLE.fullmatch(name):
            raise BadInput(f"env: {name!r} is no name for a variable in a job on a cluster; use letters, digits, _")
    wanted = _wanted(queue, request, grace)
    options = (_seconds(request.timeout), _seconds(grace))
    name = job_name(dialect, request.key, there)
    found = {
        shared.SCRIPT: _script(dialect, queue, _named(wanted, name), options, shlex.quote(there), array=False),
        shared.WRAPPER: text("cluster.sh"),
        shared.COMMAND: shared.shell(request.command).replace(f"{request.directory}/", f"{there}/"),  # files are there
    }
    if request.env:
        lines = (f"export {name}={shlex.quote(value)}\n" for name, value in request.env.items())
        found[shared.ENVIRONMENT] = "".join(lines)
    if request.container is not None:
        found |= container.written(request, there)
    return Job(name, found, (queue, wanted, options))


def array(dialect: Dialect, one: Job, there: str, members: Sequence[str]) -> Job:
    """An array of jobs that are like one of them; ``there`` is its own directory."""
    queue, wanted, options = one.kind
    name = array_name(dialect, there)
    listed = shlex.quote(f"{there}/{shared.MEMBERS}")
    place = f'"$(sed -n "$(({dialect.index} + 1))p" {listed})"'
    found = {
        shared.SCRIPT: _script(dialect, queue, _named(wanted, name, len(members)), options, place, array=True),
        shared.MEMBERS: "".join(f"{member}\n" for member in members),
    }
    return Job(name, found, one.kind)


def array_directory(members: Sequence[Path]) -> Path:
    """A fresh directory for an array, beside those of its jobs."""
    return members[0].parent / f"array.{uuid4().hex[:_DIGITS]}"


def array_name(dialect: Dialect, there: str) -> str:
    """By what an array can be found in its scheduler."""
    return job_name(dialect, f"array.{Path(there).parent.name}", there)


def job_name(dialect: Dialect, key: str, there: str) -> str:
    """By what a job can be found in its scheduler: what people know it by, and a digest of its directory."""
    digest = sha256(there.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]
    known = re.sub(r"[^A-Za-z0-9_.]", ".", key)[: dialect.name_length - _DIGITS - 1]
    return f"{known}-{digest}"


def write(directory: Path, texts: Mapping[str, str]) -> None:
    """Make or replace files that no job reads before it is submitted; what holds secrets is ours alone."""
    if not os.path.isdir(place := str(directory)):  # it mostly is  # noqa: PTH112 - and this is done for every job
        directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        make(f"{place}/{name}", text, mode=0o600 if name == shared.ENVIRONMENT else 0o666)


def submitting(dialect: Dialect) -> str:
    """The script that submits."""
    return text("submit.sh").replace("SUBMIT", dialect.submit)


def blocks(said: str, mark: str) -> Iterator[tuple[int, tuple[str, str]]]:
    """What a script said of each directory by its number: a word, and more of it; ``mark`` is before each number."""
    for block in re.split(rf"(?m)^{re.escape(mark)} ", said)[1:]:
        number, _, rest = block.partition("\n")
        word, _, more = rest.partition("\n")
        if number.isdecimal() and word:
            yield int(number), (word, more)


@cache
def text(name: str) -> str:
    """A script beside this module."""
    return files("heliostat.batches").joinpath(name).read_text("utf-8")


def _wanted(queue: BatchQueue, request: JobRequest, grace: float) -> Wanted:
    needs = request.resources or NOTHING
    walltime = needs.walltime_seconds
    if walltime is None and request.timeout is not None:
        walltime = request.timeout + grace + SPARE_SECONDS
    return Wanted(
        name="",
        cores=needs.cores,
        nodes=needs.nodes,
        memory_bytes=needs.memory_bytes,
        gpus=needs.gpus,
        walltime=walltime,
        partition=needs.partition or queue.partition,
        account=needs.account or queue.account,
        directives=(*queue.directives, *needs.directives),
    )


def _named(wanted: Wanted, name: str, members: int = 0) -> Wanted:
    return replace(wanted, name=name, array=members)


def _script(
    dialect: Dialect, queue: BatchQueue, wanted: Wanted, options: tuple[str, str], place: str, *, array: bool
) -> str:
    enter = f"cd -- {place} || exit 1"
    words = [f'"{dialect.own(array=array)}"', *map(shlex.quote, options)]
    setup = "\n".join(("set -e", *queue.setup, "set +e")) if queue.setup else ""
    parts = {
        "header": dialect.header(wanted),
        "enter": f"{enter}\nexec >> {shared.OUT} 2>&1",
        "setup": setup,
        "run": f"{enter}\nexec /bin/bash ./{shared.WRAPPER} {' '.join(words)}",
        "name": wanted.name,
    }
    template = queue.template or text("template.sh")
    return _PLACEHOLDER.sub(lambda match: parts.get(match[1], match[0]), template)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")
