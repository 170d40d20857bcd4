"""The script by which a job's command runs in a container: what is known of the job, and then ``container.sh``."""

from __future__ import annotations

import re
import shlex
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

from heliostat.batch import CONTAINER_TOOLS
from heliostat.batches.shared import BEGUN, COMMAND, CONTAINER, ENVIRONMENT
from heliostat.errors import BadInput

if TYPE_CHECKING:
    from heliostat.batch import Container, JobRequest

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HARD = re.compile(r'[,:"\\\x00-\x1f]')  # in a path, for what is said of what is mounted
_ANYWHERE = "docker://"  #: of an image's address that all tools can take, engines without it


def written(request: JobRequest, there: str) -> dict[str, str]:
    """The files by which the command of a job in a container runs; ``there`` is its directory where it runs.

    Raises BadInput for what no container can have.
    """
    container = request.container
    assert container is not None
    if _HARD.search(there):
        raise BadInput(f"a job in a container cannot have a comma, a colon or a quote in its directory's path: {there}")
    for name in request.env:
        if not VARIABLE.fullmatch(name):
            raise BadInput(f"env: {name!r} is no name for a variable in a container; use letters, digits, _")
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in _facts(container, request, there).items()]
    command = shlex.join(_words(request.command)).replace(f"{request.directory}/", f"{there}/")
    found = {CONTAINER: f"#!/bin/sh\n{''.join(lines)}set -- {command}\n{_text()}"}
    if request.env:
        found[ENVIRONMENT] = "".join(
            f"heliostat_env_{name}={shlex.quote(value)}\n" for name, value in request.env.items()
        )
    return found


def _facts(container: Container, request: JobRequest, there: str) -> dict[str, str]:
    """What the script is told; its head has a line for each."""
    image = container.image.removeprefix(_ANYWHERE)
    alone = image.startswith("/") or "://" in image  # it is for apptainer alone
    program, *options = container.tool or ("",)
    digest = sha256(there.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return {
        "image": "" if alone else image,
        "address": image if alone else f"{_ANYWHERE}{image}",
        "tool": program,
        "options": shlex.join(options),
        "known": " ".join(CONTAINER_TOOLS[:2] if alone else CONTAINER_TOOLS),
        "job": container.node,
        "queue": request.queue,
        "here": there,
        "name": f"heliostat-{re.sub(r'[^A-Za-z0-9_.-]', '.', request.key)}-{digest}",
        "given": " ".join(request.env),
        "marked": "1" if isinstance(request.command, str) else "",
    }


def _words(command: str | tuple[str, ...]) -> tuple[str, ...]:
    """A command as words; text is for the shell of the image, which says first that it has begun."""
    if isinstance(command, str):
        return ("/bin/sh", "-c", f": > {BEGUN}; exec /bin/sh ./{COMMAND}")
    return command


@cache
def _text() -> str:
    return files("heliostat.batches").joinpath("container.sh").read_text("utf-8")
