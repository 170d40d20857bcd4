"""Where faults strike, and what one is: a name's worth of trouble that comes again and again while it is on."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import psycopg

from torture.crew import Crew
from torture.grounds import GROUNDS, Ground
from torture.worker import Manner


@dataclass
class Scene:
    """Where a fault strikes.

    ``over`` is set when it is to come to its end. What stays wrong until all is quiet is in ``frozen`` (workers) and in
    ``mends`` (how to put it right).
    """

    ground: Ground
    crew: Crew
    chance: random.Random
    lease: float
    clock: Path
    over: threading.Event = field(default_factory=threading.Event)
    frozen: list[int] = field(default_factory=list)
    mends: list[Callable[[], object]] = field(default_factory=list)

    def victim(self) -> int | None:
        """One of the workers that are not frozen."""
        alive = [pid for pid in self.crew.alive() if pid not in self.frozen]
        return self.chance.choice(alive) if alive else None


Strike: TypeAlias = Callable[[Scene], int]


@dataclass(frozen=True, slots=True)
class Fault:
    """``pause``: seconds between two strikes, at least and at most. ``grounds``: where it can be."""

    about: str
    strike: Strike | None = None
    pause: tuple[float, float] = (0.3, 1.5)
    grounds: tuple[str, ...] = tuple(GROUNDS)
    workers: int = 4
    armed: Callable[[Manner, random.Random], Manner] | None = None


def strike_until_over(fault: Fault, scene: Scene) -> tuple[int, float]:
    """Strike as the fault does; answers how often, and when the last one was over."""
    count, last = 0, time.monotonic()
    while fault.strike is not None and not scene.over.wait(scene.chance.uniform(*fault.pause)):
        with contextlib.suppress(psycopg.OperationalError):  # another fault has taken the server away just now
            count += fault.strike(scene)
        last = time.monotonic()
    return count, last
