"""The caller of the campaign: keeps so many runs open, sends into them, pauses, resumes and cancels.

What a call has answered is remembered as accepted. A call that finds no database is made again, with the same key.
"""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import heliostat
from heliostat.engine import Engine
from heliostat.errors import Ended, NotFound, StoreUnavailable
from heliostat.handle import RunHandle
from heliostat.run import RunState
from heliostat.store import Command, SetQueue
from torture.flows import NARROW, OUTSIDE, QUEUE_LIMIT, Fate
from torture.load import FLOWS
from torture.others import bar, decision_on

T = TypeVar("T")
TRIES = 80  #: each a quarter of a second after the one before


@dataclass(frozen=True, slots=True)
class Accepted:
    """A run that was started, and what must become of it; ``sent`` are numbers of tasks that sends answered."""

    run: int
    flow: str
    fate: Fate
    sent: list[int] = field(default_factory=list)


class Feed:
    """Starts runs in a thread of its own, until it is stopped."""

    def __init__(
        self, database: str, broker: str, files: Path, seed: int, open_runs: int, flows: list[str] | None = None
    ) -> None:
        self._database, self._broker, self._files, self._open_runs = database, broker, files, open_runs
        self._chance = random.Random(f"feed {seed}")
        self._names = [name for name in flows or FLOWS for _ in range(FLOWS[name].share)]
        self.accepted: dict[int, Accepted] = {}
        self._acts: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = self._said = 0
        self.steady = False  #: whether it starts runs of that flow alone
        self.stopping, self.trouble = threading.Event(), ""
        self._thread = threading.Thread(target=self._feed, daemon=True)

    def begin(self) -> None:
        """Have the flows known, and begin."""
        with self._engine() as engine:
            engine.store.upgrade()
            for flow in FLOWS.values():
                engine.add(flow.workflow)
            limit = Command(SetQueue(NARROW, limit=QUEUE_LIMIT))
            engine.store.accept([limit], engine.around.clock.now())
        self._thread.start()

    def end(self) -> None:
        """Start nothing more; all that was begun to be said is said."""
        self.stopping.set()
        self._thread.join()

    @property
    def open(self) -> bool:
        """Whether there is still something to say."""
        return self._thread.is_alive()

    def _engine(self) -> Engine:
        return heliostat.open(self._database, files=self._files, broker=self._broker)

    def _feed(self) -> None:
        try:
            with self._engine() as engine:
                while not self.stopping.is_set() or self._acts:
                    self._turn(engine)
        except Exception as error:  # noqa: BLE001 - it is for whoever looks at the report
            self.trouble = f"{type(error).__name__}: {error}"

    def _turn(self, engine: Engine) -> None:
        while self._acts and self._acts[0][0] <= time.monotonic():
            insist(heapq.heappop(self._acts)[2])
        missing = 0
        if not self.stopping.is_set():
            active = insist(lambda: engine.store.runs(state=RunState.active, limit=self._open_runs))
            missing = self._open_runs - len(active)
        for _ in range(min(missing, 8)):
            self._start(engine, "steady" if self.steady else self._chance.choice(self._names))
        time.sleep(0.02 if missing <= 0 else 0.002)

    def _start(self, engine: Engine, name: str) -> None:
        self._numbers += 1
        flow, number = FLOWS[name], self._numbers
        run = insist(lambda: engine.start(flow.workflow, number, idempotency_key=f"feed {number}"))
        accepted = self.accepted[run.key] = Accepted(run.key, name, flow.fate(number))
        if name == "tally":
            for message in range(OUTSIDE):
                for _ in range(2):
                    self._later(lambda message=message: self._send(run, accepted, message))  # type: ignore[misc]
        elif name == "dropped":
            self._later(lambda: run.cancel("the campaign has seen enough"))
        elif name == "asked":
            self._until(lambda: self._decide(run, decision_on(number)))
        elif name == "barred":
            self._until(lambda: self._open_up(run))
        elif name == "pack" or (number % 5 == 0 and name != "steady"):
            insist(lambda: _if_open(run.pause))
            self._later(lambda: _if_open(run.resume))

    def _send(self, run: RunHandle, accepted: Accepted, message: int) -> None:
        answer = run.send("ear", message, idempotency_key=f"from outside {message}")
        accepted.sent.append(answer.number or 0)

    def _decide(self, run: RunHandle, choice: str) -> bool:
        try:
            run.decide("judged", choice)
        except NotFound:  # nobody is asked yet
            return False
        return True

    def _open_up(self, run: RunHandle) -> bool:
        if run.info.state is RunState.failed:
            bar(self._files.parent, run.id).touch()
            _if_open(run.retry)
        return run.info.state is RunState.succeeded

    def _until(self, act: Callable[[], bool], tries: int = TRIES) -> None:
        """Say something later, and again, until it has come about; after so many tries it is left to the checker."""

        def again() -> None:
            if tries and not act():
                self._until(act, tries - 1)

        self._later(again)

    def _later(self, act: Callable[[], object]) -> None:
        self._said += 1  # in this order where two come at once
        heapq.heappush(self._acts, (time.monotonic() + self._chance.uniform(0.0, 0.5), self._said, act))


def insist(call: Callable[[], T]) -> T:
    """Make a call until the database is there to answer it."""
    while True:
        try:
            return call()
        except StoreUnavailable:
            time.sleep(0.1)


def _if_open(act: Callable[[], object]) -> None:
    with suppress(Ended):
        act()
