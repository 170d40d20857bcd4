"""A spawned child, at its parent's end of the pipe.

Messages are JSON, a line each; ``heliostat.child`` is at the other end. What the child prints is read beside them, line
by line, and belongs to the work that it has.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from heliostat.errors import BadInput, DefinitionError
from heliostat.form import outcome_from_json, work_to_json
from heliostat.outcome import Failed, Outcome
from heliostat.run import task_id
from heliostat.secret import public
from heliostat.task import AttemptState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from heliostat.clock import Clock
    from heliostat.executor import Parent, Work
    from heliostat.graph import Graph

LOG = logging.getLogger("heliostat.executor")
LOAD_SECONDS = 120.0  #: in which a child must have started and loaded its workflow
LOOK_SECONDS = 0.1  #: the pause between looks whether an attempt should stop, and whether its child is there
LINE_BYTES = 1 << 16  #: what is printed without a line's end is cut there
CHUNK = 1 << 16
READS = 64  #: chunks of what was printed that are read before an attempt is over
BEGIN_BESIDE = (
    "import json, sys; sys.path += [p for p in json.loads(sys.argv.pop()) if p not in sys.path]; "
    "from heliostat.child import main; main()"
)
BEGIN = "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from heliostat.child import main; main()"


class Spawned:
    """A child, of which one thread takes care; ``end`` and ``kill`` are for any."""

    def __init__(self, parent: Parent, clock: Clock, python: str = "") -> None:
        self._parent, self._clock, self.python = parent, clock, python
        self._known: dict[int, Graph] = {}
        self._last: Work | None = None
        self._timer: threading.Timer | None = None
        self._closed = False
        self._pipe, theirs = socket.socketpair()
        path = json.dumps([os.path.abspath(place) for place in sys.path])  # noqa: PTH100 - "" is where we are
        lifeline, self._lifeline = os.pipe()  # nothing is written: only its end says something
        try:
            self._process = subprocess.Popen(
                [*_interpreter(python), *map(str, (os.getpid(), lifeline, theirs.fileno())), path],
                env=_environment(python),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[lifeline, theirs.fileno()],
                start_new_session=True,
            )
        finally:
            os.close(lifeline)
            theirs.close()
        self._parts: dict[str, list[bytes]] = {"pipe": [], "stdout": [], "stderr": []}  # of lines not yet whole
        self._sources = selectors.DefaultSelector()
        self._sources.register(self._pipe, selectors.EVENT_READ, "pipe")
        for stream in ("stdout", "stderr"):
            file = getattr(self._process, stream)
            os.set_blocking(file.fileno(), False)
            self._sources.register(file, selectors.EVENT_READ, stream)
        self._say({"hello": parent.hello})

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def perform(self, work: Work, begins: Callable[[Work], None]) -> Outcome:
        """Have it perform a work; its death is a failure of that work."""
        self._read_all()
        self._last = work
        message: dict[str, Any] = {"work": work_to_json(work)}
        if self._known.get(work.graph.id) is not work.graph:
            try:
                message["definition"] = self._parent.definition(work.graph.id)
            except DefinitionError as error:
                return Failed(str(error), final=True)
        self._say(message)
        begun, told, until = False, False, self._clock.now() + LOAD_SECONDS
        while True:
            gone = self.gone  # asked before its last words are read
            for heard in self._heard(LOOK_SECONDS):
                if "begun" in heard:
                    begun = True
                    self._known[work.graph.id] = work.graph
                    begins(work)
                elif "ask" in heard:
                    self._say({"answer": heard["ask"], **self._parent.answer(heard["verb"], heard["given"])})
                else:
                    self._finish_output()
                    return outcome_from_json(heard.get("outcome"))
            if gone:
                return self._died(work)
            if work.stop is not None and not told:
                told = True
                self._say({"why": work.stop})
            if not begun and self._clock.now() > until:
                self.close()
                return Failed(f"its process was not ready within {LOAD_SECONDS:g} s")

    def _died(self, work: Work) -> Failed:
        """What the end of a child says of the work that it had."""
        self.close()
        self._parent.clear(work)
        code, memory = self._process.returncode, work.resources and work.resources.memory
        words, how = f"its process ended with exit code {code}", AttemptState.failed
        if code < 0:
            words = f"its process was killed by {_signal(-code)}"
            if code == -signal.SIGKILL:
                words, how = f"{words}, as when a machine has no memory left", AttemptState.killed
        words += f"; its memory is limited to {memory}" if memory else ""
        return Failed(words, how=how, final=not work.node.retry.covers(how))

    # the pipe and what is printed

    def _say(self, message: dict[str, Any]) -> None:
        with suppress(OSError):  # that it is gone is seen elsewhere
            self._pipe.sendall(json.dumps(message).encode() + b"\n")

    def _heard(self, seconds: float) -> Iterator[dict[str, Any]]:
        """Messages that are there within some seconds; what is printed meanwhile is kept."""
        for key, _ in self._sources.select(seconds):
            lines = self._lines(key.fileobj, key.data)
            if key.data == "pipe":
                yield from (_read(line) for line in lines)
            elif lines:
                self._note(key.data, lines)

    def _lines(self, file: Any, source: str) -> list[bytes]:
        """The lines that have become whole."""
        try:
            data = os.read(file.fileno(), CHUNK)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        parts = self._parts[source]
        if not data:
            self._sources.unregister(file)
            return []
        parts.append(data)
        long = source != "pipe" and sum(map(len, parts)) > LINE_BYTES
        if b"\n" not in data and not long:
            return []
        *lines, rest = b"".join(parts).split(b"\n")
        if source != "pipe" and len(rest) > LINE_BYTES:
            lines, rest = [*lines, rest], b""
        self._parts[source] = [rest] if rest else []
        return lines

    def _read_all(self) -> None:
        """Read what has been printed, though not for ever."""
        for _ in range(READS):
            if not any(key.data != "pipe" for key, _ in self._sources.select(0)):
                return
            for _ in self._heard(0):
                pass

    def _finish_output(self) -> None:
        self._read_all()
        for stream in ("stdout", "stderr"):
            if parts := self._parts[stream]:
                self._parts[stream] = []
                self._note(stream, [b"".join(parts)])

    def _note(self, stream: str, lines: list[bytes]) -> None:
        if self._last is None:
            return
        told = [line.decode(errors="replace").removesuffix("\r") for line in lines]
        try:
            self._parent.note(self._last, stream, told)
        except OSError as error:
            LOG.warning("what task %s printed is lost: %s", task_id(*self._last.task), error)

    # its end

    def end(self, grace: float) -> None:
        """TERM to its group, and KILL after a grace."""
        self._signal(signal.SIGTERM)
        self._timer = threading.Timer(grace, self.kill)
        self._timer.daemon = True
        self._timer.start()

    def wait(self, seconds: float) -> None:
        """Wait for its end, for so long."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, seconds))

    def kill(self) -> None:
        """KILL to its group."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """See it gone, with all that it has started; and keep what it has printed."""
        if self._closed:
            return
        self._closed = True
        self.kill()
        self._process.wait()
        with suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)  # what it left behind, while its number stands for them
        if self._timer is not None:
            self._timer.cancel()
        self._finish_output()
        self._sources.close()
        for file in (self._pipe, self._process.stdout, self._process.stderr):
            assert file is not None
            file.close()
        os.close(self._lifeline)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            with suppress(OSError):
                os.killpg(self._process.pid, number)


def _interpreter(python: str) -> tuple[str, ...]:
    """This interpreter, or one that finds what is installed beside it first, and then what this one finds."""
    return (python, "-E", "-P", "-c", BEGIN_BESIDE) if python else (sys.executable, "-c", BEGIN)


def _environment(python: str) -> dict[str, str]:
    environment = public(os.environ)
    if python:
        programs = os.path.dirname(python)  # noqa: PTH120 - a text is wanted
        environment |= {"VIRTUAL_ENV": os.path.dirname(programs)}  # noqa: PTH120
        environment["PATH"] = os.pathsep.join(filter(None, (programs, environment.get("PATH"))))
    return environment


def _read(line: bytes) -> dict[str, Any]:
    heard = json.loads(line)
    if not isinstance(heard, dict):
        raise BadInput("a child says what is no message")
    return heard


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
