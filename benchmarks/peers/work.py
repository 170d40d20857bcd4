"""What is done in each step, on every peer alike; and how a step notes that it was done.

A note is eight bytes appended to a file: some microseconds, the same for all, and it counts what really ran, in
whichever process. All processes of a machine share the monotonic clock.
"""

from __future__ import annotations

import os
import struct
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from benchmarks.peers.place import Place

if TYPE_CHECKING:
    from collections.abc import Callable

Job: TypeAlias = Literal["step", "fib"]

NOTE = struct.Struct("d")
PATIENCE_SECONDS = 300.0
LOOK_SECONDS = 0.001


def step(value: int) -> int:
    """Do nothing, and hand on."""
    note()
    return value + 1


def fib(value: int) -> int:
    """Compute a Fibonacci number the slow way, and hand on which one."""
    fibonacci(value)
    note()
    return value


JOBS: dict[Job, Callable[[int], int]] = {"step": step, "fib": fib}


def fibonacci(number: int) -> int:
    """The processor's work of the two Fibonacci flows."""
    return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)


def note() -> None:
    """Say that something was done just now."""
    os.write(_file(), NOTE.pack(time.monotonic()))


@cache
def _file() -> int:
    return os.open(_path(), os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@cache
def _path() -> Path:
    return Path(Place.given().folder, "notes")


def clear() -> None:
    """Forget the notes so far."""
    os.truncate(_file(), 0)


def noted(count: int) -> list[float]:
    """Wait until so many things were done, and answer when each was; more than that is a mistake."""
    _file()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while _path().stat().st_size < count * NOTE.size:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{_path().stat().st_size // NOTE.size} of {count} steps were done in time")
        time.sleep(LOOK_SECONDS)
    times = sorted(time for (time,) in NOTE.iter_unpack(_path().read_bytes()))
    assert len(times) == count, f"{len(times)} steps were done, not {count}"
    return times
