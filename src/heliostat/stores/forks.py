"""What a process has open, and what a forked child must leave alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_INHERITED: list[object] = []  # a parent's connections: its child must not even close them


class PerProcess(Generic[T]):
    """A value of which each process has its own; a forked child begins with a new one."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[int, T] = {}

    def __call__(self) -> T:
        """This process's value."""
        pid = os.getpid()
        if (mine := self._made.get(pid)) is None:
            _INHERITED.extend(self._made.values())
            mine = self._made.setdefault(pid, self._make())
        return mine
