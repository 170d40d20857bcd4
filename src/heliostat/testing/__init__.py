"""Testing: the same engine under a clock and a chance that a test holds in its hand."""

from heliostat.testing.faults import FAULTS
from heliostat.testing.replay import SimulationFailed
from heliostat.testing.simulation import Simulated, simulate

__all__ = ["FAULTS", "Simulated", "SimulationFailed", "simulate"]
