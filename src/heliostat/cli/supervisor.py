"""Several worker processes under one: started, started afresh when they die, stopped together."""

from __future__ import annotations

import queue
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from heliostat.cli import output
from heliostat.cli.codes import EXHAUSTED
from heliostat.cli.signals import Stops
from heliostat.errors import DefinitionError, OperatorError, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

HOPELESS = (2, DefinitionError.exit_code, Refused.exit_code)  #: a new start would not help
YOUNG = 10.0  #: seconds; who dies younger than that is started again with growing pauses
PAUSES = (0.5, 30.0)
LATE = 15.0  #: seconds beyond its grace after which a worker that does not end is killed


@dataclass(eq=False)
class _Child:
    """One worker process, and those that took its place."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    born_at: float = 0.0
    pause: float = PAUSES[0]
    settled: bool = False  # it has worked for a while, so a database that is away will come back


_Event: TypeAlias = "tuple[str, _Child | None]"  # ended, due (both of a child), stop


class _Supervisor:
    def __init__(self, command: Sequence[str], grace: float) -> None:
        self._command, self._grace = list(command), grace
        self._events: queue.Queue[_Event] = queue.Queue()
        self._stopping = False
        self._worst = 0

    def run(self, count: int) -> int:
        children = [_Child(number) for number in range(1, count + 1)]
        with Stops(lambda: self._events.put(("stop", None))):
            for child in children:
                self._start(child)
            alive = set(children)
            while alive:
                event, about = self._events.get()
                if about is None:
                    self._stop(alive)
                elif event == "due" and not self._stopping:
                    self._start(about)
                elif event == "due" or not self._goes_on(about, alive):
                    alive.discard(about)
        return self._worst

    def _start(self, child: _Child) -> None:
        # A group of its own: the terminal's Ctrl-C reaches the supervisor alone, which passes it on once.
        process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, process_group=0)
        child.process, child.born_at = process, time.monotonic()

        def watch() -> None:
            process.wait()
            self._events.put(("ended", child))

        threading.Thread(target=watch, daemon=True).start()

    def _goes_on(self, child: _Child, alive: set[_Child]) -> bool:
        """What an end means: answers whether the child is, or will be, started again."""
        process, child.process = child.process, None
        assert process is not None
        code = process.returncode
        if self._stopping and code == -signal.SIGTERM:
            return False  # it was asked to stop before it had begun to listen
        if code == 0 or self._stopping:
            self._worst = max(self._worst, code if code >= 0 else 128 - code)
            return False
        lived = time.monotonic() - child.born_at
        child.settled = child.settled or lived > YOUNG
        if code in HOPELESS or (code == OperatorError.exit_code and not child.settled):
            self._worst = code
            if not self._stopping:
                self._stop(alive)
            return False
        works = lived > YOUNG or code == EXHAUSTED  # its threads were taken from it, and nothing is wrong with itself
        child.pause = PAUSES[0] if works else min(child.pause * 2, PAUSES[1])
        how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
        output.say(f"worker process {process.pid} {how}; it is started afresh in {child.pause:g} s")
        timer = threading.Timer(child.pause, lambda: self._events.put(("due", child)))
        timer.daemon = True
        timer.start()
        return True

    def _stop(self, alive: set[_Child]) -> None:
        """Ask all to stop; those that wait to be started again are done."""
        first, self._stopping = not self._stopping, True
        for child in alive:
            if child.process is None:
                self._events.put(("due", child))
                continue
            child.process.terminate()
            if first:
                timer = threading.Timer(self._grace + LATE, child.process.kill)
                timer.daemon = True
                timer.start()


def supervise(command: Sequence[str], count: int, grace: float) -> int:
    """Run ``count`` processes of a command until all have ended by themselves or were asked to; the worst status."""
    return _Supervisor(command, grace).run(count)
