"""Run works in child processes, one in each at a time, kept warm for the next; and in threads what needs no process.

The line, the box and the threads are those of the thread executor; a thread here only waits for the child that it has.
Children are fresh interpreters, started by ``subprocess`` as ``multiprocessing`` spawns its own: nothing is forked from
a process with threads, nothing is pickled, and a child may have children of its own.

A child leads a process group. A work that does not end in time is written off: its group gets TERM, after a grace KILL,
and only then is its place free for another child.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from heliostat.errors import OperatorError, Stopped
from heliostat.executors.thread import ThreadExecutor
from heliostat.outcome import Failed, Released

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliostat.clock import Clock
    from heliostat.executor import Answered, Parent, Perform, Work
    from heliostat.executors.spawned import Spawned

LAST_WORDS_SECONDS = 1.0  #: that those have whom a closing executor finds at their end
GRACE_SECONDS = 5.0  #: between asking a child to end and killing it


class ProcessExecutor(ThreadExecutor):
    """Up to ``slots`` works at once; implements ``executor.Executor``.

    Those that are to be ``alone`` in a process go to children, and ``parent`` is what these are told; ``perform`` is
    for all others, which the threads perform themselves.
    """

    def __init__(
        self,
        perform: Perform,
        clock: Clock,
        bell: threading.Event,
        slots: int,
        turn: Callable[[], None] | None = None,
        *,
        parent: Parent,
        alone: Callable[[Work], bool],
    ) -> None:
        super().__init__(self._perform_somewhere, clock, bell, slots, turn)
        self._perform_here, self._parent, self._alone = perform, parent, alone
        self._children: dict[int, Spawned] = {}  # by the thread that has started it, and ends after it
        self._ending: set[int] = set()  # threads whose child is being killed

    def _serve(self) -> None:
        me = threading.get_ident()
        try:
            super()._serve()
        finally:
            if (child := self._children.pop(me, None)) is not None:
                child.close()
            with self._work_there:
                if me in self._ending:
                    self._ending.discard(me)
                    self.slots += 1
                    if self._line and not self._closed:
                        self._start_thread()
            self._bell.set()

    def _perform_somewhere(self, work: Work) -> Answered:
        return self._perform_in_child(work) if self._alone(work) else self._perform_here(work)

    def _perform_in_child(self, work: Work) -> Answered:
        from heliostat.executors.spawned import Spawned  # only where there is a child

        work.begun_at = float("inf")  # not before its function is about to be called: starting is not its time
        me = threading.get_ident()
        child = self._children.get(me)
        try:
            if (outcome := self._parent.prepare(work)) is not None:
                return outcome
            python = self._parent.interpreter(work)
            if child is None or child.gone or child.python != python:
                if child is not None:
                    child.close()
                child = self._children[me] = Spawned(self._parent, self._clock, python)
            if work not in self._begun or self._closed:  # written off meanwhile
                return Released("its worker stops")
            return child.perform(work, self._begins)
        except Stopped as error:
            return Released(str(error))
        except OperatorError as error:  # its environment cannot be made; another try may find what was missing
            return Failed(str(error))
        except BaseException:
            if child is not None:
                child.close()
            raise

    def _begins(self, work: Work) -> None:
        work.begun_at = self._clock.now()
        if work.timeout is not None:
            self._bell.set()  # whoever waits is to know until when

    def write_off(self, work: Work) -> bool:
        """Have its child end, however long that takes; the place is free when it has ended; a thread goes on."""
        if not self._alone(work):
            return super().write_off(work)
        with self._work_there:
            if (thread := self._begun.pop(work, None)) is None:
                return False
            self._written_off.add(thread)
            self._ending.add(thread)
            self.slots -= 1
        if (child := self._children.get(thread)) is not None:
            child.end(GRACE_SECONDS)
        return True

    @property
    def written_off(self) -> int:
        """How many threads run on without anybody waiting for them; no child does."""
        return len(self._written_off - self._ending)

    def close(self, grace: float) -> None:
        """Wait a while for what has begun, then kill all children."""
        with self._work_there:
            others = [thread for thread in self._threads if thread is not threading.current_thread()]
            ending = [child for thread in self._ending if (child := self._children.get(thread)) is not None]
        super().close(grace)
        until = self._clock.now() + LAST_WORDS_SECONDS
        for child in ending:  # these were asked before, and may be telling where they were
            child.wait(until - self._clock.now())
        threads = [thread for thread in others if thread.ident in self._children or thread.ident in self._ending]
        for child in list(self._children.values()):
            child.kill()
        for thread in threads:
            thread.join(GRACE_SECONDS)
