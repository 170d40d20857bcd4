"""The rules that say whether, when and beside whom a task is tried again."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from heliostat.codec import seconds

if TYPE_CHECKING:
    from heliostat.graph import Node, Retry

SUSPECT = 2  #: a task that was lost with its worker so often may be what ended them


def delay(retry: Retry, failures: int, chance: float) -> float | None:
    """Seconds until the next try after ``failures`` failed ones before this, or None if that was the last.

    ``chance`` is a random number in [0, 1) and decides where within the jitter the time falls, so that tasks that
    failed together do not come back together.
    """
    if failures >= retry.limit:
        return None
    grown = prod([float(retry.factor)] * min(failures, 60), start=seconds(retry.delay))  # infinite rather than an error
    return min(grown, seconds(retry.max_delay)) * (1 + retry.jitter * (2 * chance - 1))


def alone(node: Node, rescues: int) -> bool:
    """Whether a task begins alone, since it may be what ends its workers.

    A power cut, which is no poison, costs one rescue. Where one more would be the last that the node has, it is alone
    from the first on: so nothing fails for what ran beside it.
    """
    return rescues >= SUSPECT or 0 < rescues == node.rescues - 1
