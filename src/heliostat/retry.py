"""The rule that says whether and when a failed task is tried again."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from heliostat.codec import seconds

if TYPE_CHECKING:
    from heliostat.graph import Retry


def delay(retry: Retry, failures: int, chance: float) -> float | None:
    """Seconds until the next try after ``failures`` failed ones before this, or None if that was the last.

    ``chance`` is a random number in [0, 1) and decides where within the jitter the time falls, so that tasks that
    failed together do not come back together.
    """
    if failures >= retry.limit:
        return None
    grown = prod([float(retry.factor)] * min(failures, 60), start=seconds(retry.delay))  # infinite rather than an error
    return min(grown, seconds(retry.max_delay)) * (1 + retry.jitter * (2 * chance - 1))
