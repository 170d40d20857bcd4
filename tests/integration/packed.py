"""Workflows whose functions require packages; children import them from here."""

from __future__ import annotations

import importlib
import shutil
import sys
import threading

from heliostat import Context, Workflow

packed = Workflow("packed")


def seen() -> list[str]:
    """The version of the package that is found here, what its program is, and whose interpreter this is."""
    birds = importlib.import_module("birds")
    return [birds.VERSION, shutil.which("birds") or "", sys.prefix]


@packed.node(requires=("birds==1.0",))
def old() -> list[str]:
    """Find the first."""
    return seen()


@packed.node(requires=("birds==2.0",))
def new() -> list[str]:
    """Find the second."""
    return seen()


@packed.node
def none() -> bool:
    """Find none."""
    try:
        seen()
    except ImportError:
        return True
    return False


@packed.node(requires=["birds==1.0"])
def again(ctx: Context, old: list[str], new: list[str]) -> list[str]:
    """Find the first again, and ask what the database has."""
    assert ctx.run.workflow == "packed"
    return seen()


lacking = Workflow("lacking")


@lacking.node(requires=("birds==9.9",))
def nowhere() -> None:
    """Require what is not there."""


broken = Workflow("broken", requires=("pydantic==0.0.1",))


@broken.node
def bad() -> None:
    """Require what Heliostat itself cannot run with."""


broken.job("job", "true", after=bad)

waiting = Workflow("waiting")


@waiting.node(requires=("birds==1.0",), timeout="5s")
def first() -> str:
    """Find it."""
    return seen()[0]


@waiting.node
def beside() -> str:
    """Run in a thread."""
    return threading.current_thread().name
