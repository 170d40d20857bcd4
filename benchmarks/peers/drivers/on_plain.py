"""No engine: the functions, called one after the other."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from benchmarks.peers.peer import Peer
from benchmarks.peers.work import JOBS, Job


class OnPlain(Peer):
    """A loop."""

    def working(self) -> AbstractContextManager[None]:
        return nullcontext()

    def sequences(self, job: Job, *, runs: int, length: int, value: int) -> None:
        for _ in range(runs):
            passed = value
            for _ in range(length):
                passed = JOBS[job](passed)

    def fan(self, width: int) -> None:
        raise NotImplementedError

    def enqueue(self, count: int) -> None:
        raise NotImplementedError


PEER = OnPlain
