"""Workflows whose functions raise; children import them from here."""

from __future__ import annotations

import importlib
import json
import time

from heliostat import Context, Workflow

raising = Workflow("raising")


@raising.node
def rates() -> list[float]:
    """Give two."""
    return [1.0, 2.5]


@raising.node(map={"r": rates})
def fit(ctx: Context, r: float) -> float:
    """Fail for one of them, in a library."""
    ctx.log("fitting", r=r)
    return float(json.loads("{" if r > 2 else "1"))


packed = Workflow("packed")


@packed.node(requires=("birds==1.0",))
def count() -> None:
    """Fail in a package that only this node's environment has."""
    birds = importlib.import_module("birds")
    birds.count()


parted = Workflow("parted")
parted.subworkflow("inner", raising)

stuck = Workflow("stuck")


@stuck.node(timeout="3s")  # time enough to begin, however busy the machine is
def wait() -> None:
    """Go on for longer than it may."""
    time.sleep(20)
