"""Run works on threads of this process.

The threads share one line of works and put outcomes into one box: no future and no lock per work. The thread that
empties the line has a turn at the worker's cycle; the bell rings when outcomes have waited for a while.

Short works are left to one thread, and nobody settles meanwhile: threads that take turns at the interpreter only
hinder each other, and a work that writes a line to a file, which gives its turn away, would take ten times as long.
Where the line is not empty again after a while, as when one work of many waits for something, all threads come.
What jobs need before they are submitted and have left is such a work, too: a handful of files, each opened, read and
closed.

A thread cannot be stopped, so one that does not end in time is written off: another takes its place, and its outcome is
dropped.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from typing import TYPE_CHECKING

from heliostat.errors import said
from heliostat.outcome import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from heliostat.clock import Clock
    from heliostat.executor import Answered, Perform, Work


SHORT = 0.0005  #: seconds: works that take less share a thread
PATIENCE = 0.02  #: seconds after which a line of short works that is not empty yet needs more threads
SILENCE = 0.005  #: seconds that outcomes of longer works wait in the box, at most, while the line is not empty


class ThreadExecutor:
    """Works on up to ``slots`` threads at once, begun in order; implements ``executor.Executor``.

    ``bell`` rings when outcomes are to be collected; ``turn`` is called where there is nothing else to do, and sees to
    that itself. Threads are started when there is work for them. ``stuck`` is told where the thread of a work is whose
    time is over.
    """

    stuck: Callable[[Work, FrameType], None] | None = None

    def __init__(
        self,
        perform: Perform,
        clock: Clock,
        bell: threading.Event,
        slots: int,
        turn: Callable[[], None] | None = None,
    ) -> None:
        self._perform, self._clock, self._bell, self.slots = perform, clock, bell, slots
        self._turn = turn or bell.set
        self._line: deque[Work] = deque()
        self._box: deque[tuple[Work, Answered]] = deque()
        self._begun: dict[Work, int] = {}  # and the thread that has it
        self._written_off: set[int] = set()
        self._work_there = threading.Condition()
        self._idle = 0
        self._mean: float | None = None  # seconds a function takes, lately
        self._few = False  # whether what is in line is left to one thread
        self._rang_at = 0.0
        self._since = 0.0  # when somebody last came to an empty line
        self._threads: set[threading.Thread] = set()
        self._closed = False

    def submit(self, works: Sequence[Work]) -> None:
        """Put works in line, and see that threads come for them."""
        if not works:
            return
        with self._work_there:
            if not self._line:
                self._since = self._clock.now()
            self._line.extend(works)
            self._few = self._short or all(work.node.job is not None for work in works)
            self._call(1 if self._few else len(works))

    @property
    def _short(self) -> bool:
        """Whether works have been short lately."""
        return self._mean is not None and self._mean < SHORT

    def _call(self, wanted: int) -> None:
        """Wake or start so many threads, as far as there are slots; the lock is held."""
        wanted -= threading.current_thread() in self._threads  # it has a turn, and will come for work itself
        if wanted <= 0:
            return
        self._work_there.notify(min(wanted, self._idle))
        free = self.slots - (len(self._threads) - len(self._written_off))
        for _ in range(min(wanted - self._idle, free)):
            self._start_thread()

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._serve, name="heliostat-slot", daemon=True)
        thread.start()
        self._threads.add(thread)

    def _serve(self) -> None:
        me = threading.current_thread()
        mine, now, perform = threading.get_ident(), self._clock.now, self._perform
        while (work := self._next()) is not None:
            work.begun_at = begun_at = now()
            self._begun[work] = mine
            try:
                outcome = perform(work)
            except BaseException as error:  # noqa: BLE001 - no thread dies of its work, and takes a slot with it
                outcome = Failed(f"{type(error).__name__}: {said(error)}".removesuffix(": "), final=True)
            ended_at = now()
            if self._begun.pop(work, None) is None:
                break  # written off meanwhile; another thread has this one's place
            self._box.append((work, outcome))
            if work.node.job is None:
                took, mean = ended_at - begun_at, self._mean
                self._mean = took if mean is None else mean + 0.1 * (took - mean)
            if not self._line:
                self._turn()
                self._rang_at = now()
            elif ended_at - self._rang_at > SILENCE and not self._few:
                self._rang_at = ended_at
                self._bell.set()
        with self._work_there:
            self._threads.discard(me)
            self._written_off.discard(mine)

    def _next(self) -> Work | None:
        try:
            return self._line.popleft()
        except IndexError:
            pass
        with self._work_there:
            self._idle += 1
            try:
                while not self._line:
                    if self._closed:
                        return None
                    self._work_there.wait()
                return self._line.popleft()
            finally:
                self._idle -= 1

    def collect(self) -> list[tuple[Work, Answered]]:
        """Empty the box; and if the line has not become empty by now, more threads are to come."""
        if self._line and not (self._few and self._clock.now() - self._since < PATIENCE):
            with self._work_there:
                self._call(len(self._line))
        return [self._box.popleft() for _ in range(len(self._box))]

    def take_back(self) -> list[Work]:
        """Empty the line."""
        works = []
        while True:
            try:
                works.append(self._line.popleft())
            except IndexError:
                return works

    def begun(self) -> list[Work]:
        """What the threads hold now."""
        return list(self._begun)

    def waiting(self) -> int:
        """How long the line is."""
        return len(self._line)

    def write_off(self, work: Work) -> bool:
        """Leave a thread to itself: another may take its place."""
        with self._work_there:
            if (thread := self._begun.pop(work, None)) is None:
                return False
            self._written_off.add(thread)
            if self._line:
                self._start_thread()
        frame = sys._current_frames().get(thread)  # noqa: SLF001 - documented, for just this
        if work.overdue is not None and self.stuck is not None and frame is not None:
            self.stuck(work, frame)
        return True

    @property
    def written_off(self) -> int:
        """How many threads run on without anybody waiting for them."""
        return len(self._written_off)

    def close(self, grace: float) -> None:
        """Send idle threads home and wait a while for the busy ones."""
        with self._work_there:
            self._closed = True
            self._line.clear()
            self._work_there.notify_all()
            threads = [thread for thread in self._threads if thread.ident not in self._written_off]
        until = self._clock.now() + grace
        for thread in threads:
            thread.join(max(0.0, until - self._clock.now()))
