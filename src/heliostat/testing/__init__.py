"""Testing: one node, the same engine, or a whole simulation, with time and chance in a test's hand."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliostat.testing.called import Called, Mapped, Sent, Started
    from heliostat.testing.calling import call
    from heliostat.testing.faults import FAULTS
    from heliostat.testing.given import Record
    from heliostat.testing.replay import SimulationFailed
    from heliostat.testing.simulation import Simulated, simulate
    from heliostat.testing.virtual import VirtualEngine, engine

__all__ = [
    "FAULTS",
    "Called",
    "Mapped",
    "Record",
    "Sent",
    "Simulated",
    "SimulationFailed",
    "Started",
    "VirtualEngine",
    "call",
    "engine",
    "simulate",
]

# Where each name lives. It is imported when it is first asked for, so that the fixtures cost nothing where nobody uses
# them.
_HOMES = {
    "FAULTS": "faults",
    "Called": "called",
    "Mapped": "called",
    "Record": "given",
    "Sent": "called",
    "Simulated": "simulation",
    "SimulationFailed": "replay",
    "Started": "called",
    "VirtualEngine": "virtual",
    "call": "calling",
    "engine": "virtual",
    "simulate": "simulation",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'heliostat.testing' has no attribute {name!r}")
    value: object = getattr(import_module(f"heliostat.testing.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
