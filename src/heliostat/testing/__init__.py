"""Testing: the same engine under a clock and a chance that a test holds in its hand."""

from heliostat.testing.simulation import SimulationFailed, simulate

__all__ = ["SimulationFailed", "simulate"]
