"""The child of a process executor: performs attempts, one at a time, and asks its parent for what the database has.

What goes over the pipe is JSON, a line for each message. From the parent come ``hello`` at first, then each ``work``
with the ``definition`` of its graph when that is new, ``stop``, and answers. The parent hears ``begun``, ``outcome``
and what contexts ask. A thread listens; the main one performs, so that signals and event loops find what they expect.

A child ends with its parent, and so does what it has started: when nobody is at the other end any more, it kills its
group. On Linux the kernel does so at once.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import signal
import socket
import sys
import threading
from contextlib import contextmanager, suppress
from itertools import count
from multiprocessing import spawn
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

from heliostat import compose, errors, form, origin, whereabouts
from heliostat.clock import SystemClock
from heliostat.errors import said
from heliostat.lifeline import die_with
from heliostat.outcome import Failed
from heliostat.perform import Performer
from heliostat.registry import Registry
from heliostat.run import Run
from heliostat.store import Kept, Record
from heliostat.task import Task
from heliostat.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from heliostat.context import Context
    from heliostat.executor import Work
    from heliostat.graph import Resources
    from heliostat.outcome import Outcome
    from heliostat.store import Store
    from heliostat.task import TaskState
    from heliostat.workflow import Workflow


class Terminated(BaseException):
    """TERM came: what is open is closed on the way out."""


class Child:
    """One child, at its end of the pipe."""

    def __init__(self, pipe: socket.socket) -> None:
        self._pipe, self._sending, self._numbers = pipe, threading.Lock(), count(1)
        self._works: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._answers: dict[int, SimpleQueue[dict[str, Any]]] = {}
        self._newest: dict[str, Any] = {}
        self._work: Work | None = None
        self._home = Path.cwd()
        self._registry = Registry(self._unknown, digest=lambda _: "")
        self._main: dict[str, Any] = {}
        self._vault = Vault(lambda name: cast("str", self.ask("secret", name=name)))

    def live(self) -> None:
        """Perform what comes, until killed."""
        threading.Thread(target=self._listen, daemon=True).start()
        hello = self._works.get()["hello"]
        self._main = hello["main"]
        clock = SystemClock(lambda: cast("float", self.ask("now")))
        truth = cast("Store", Truth(self))  # the part of it that contexts read
        queues = None if hello["queues"] is None else frozenset(hello["queues"])
        chance, files = random.Random(), Path(hello["files"])  # noqa: S311 - of ids
        around = compose.surroundings(truth, clock, files, chance, self._offer, queues, self._vault)
        perform = Performer(self._registry, around, within=self._within)
        while True:
            message = self._works.get()
            outcome = self._performed(message, perform)
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):  # whatever a function has put there
                    stream.flush()
            self._say({"outcome": form.outcome_to_json(outcome)})

    def terminated(self, *_: object) -> None:
        """TERM has come: what is performed is to stop, and all that is open is closed."""
        if self._work is not None:
            self._work.stop = self._work.stop or "its process is told to end"
        raise Terminated

    def _performed(self, message: dict[str, Any], perform: Performer) -> Outcome:
        try:
            if (definition := message.get("definition")) is not None:
                self._registry.keep(*whereabouts.read(definition, self._importing))
            graph = self._registry.graph(message["work"]["attempt"][3])
        except Terminated:
            raise
        except BaseException as error:  # noqa: BLE001 - other people's modules may raise anything
            words = f"{type(error).__name__}: {said(error)}".removesuffix(": ") + origin.place(error)
            return Failed(f"its workflow cannot be loaded in a process of its own: {words}", final=True)
        self._work = work = form.work_from_json(message["work"], graph)
        if "stop" in message:
            work.stop = message["stop"]
        self._say({"begun": True})
        try:
            return cast("Outcome", perform(work))  # jobs do not come here, so nothing is only submitted
        except Terminated:
            raise
        except BaseException as error:  # noqa: BLE001 - no child ends because of what it performs
            return Failed(f"{type(error).__name__}: {said(error)}".removesuffix(": "), final=True)

    def _importing(self, name: str, file: str | None) -> ModuleType:
        """A module; the program's own is run again, as ``multiprocessing`` does, under a name that starts nothing."""
        if name == whereabouts.MAIN and self._main:
            main, self._main = self._main, {}
            spawn.prepare(main)
        return compose.module(name, file)

    @contextmanager
    def _within(self, work: Work, context: Context) -> Iterator[None]:
        """The surroundings of one attempt: its variables, its directory, its memory."""
        before = dict(os.environ)
        os.environ.update(self._vault.filled(work.node.env))
        os.chdir(context.dir)
        signal.signal(signal.SIGTERM, self.terminated)  # whatever the one before has made of it
        try:
            with limited(work.node.resources):
                yield
        finally:
            os.chdir(self._home if self._home.is_dir() else "/")
            for name in os.environ.keys() - before.keys():
                del os.environ[name]
            os.environ.update(before)

    # the pipe

    def _say(self, message: dict[str, Any]) -> None:
        with self._sending:
            self._pipe.sendall(json.dumps(message).encode() + b"\n")

    def ask(self, verb: str, **given: object) -> Any:
        """Have the parent answer; raises what answering raised there."""
        number, box = next(self._numbers), SimpleQueue[dict[str, Any]]()
        self._answers[number] = box
        self._say({"ask": number, "verb": verb, "given": given})
        answer = box.get()
        if "error" in answer:
            kind = getattr(errors, answer["kind"], None) or RuntimeError
            raise kind(answer["error"])
        return answer["value"]

    def _listen(self) -> None:
        with suppress(OSError):
            for line in self._pipe.makefile("rb"):
                self._heard(json.loads(line))
        os.killpg(0, signal.SIGKILL)

    def _heard(self, message: dict[str, Any]) -> None:
        if "answer" in message:
            self._answers.pop(message["answer"]).put(message)
        elif "why" in message:  # kept with the message, too: perhaps its work is not there yet
            self._newest["stop"] = message["why"]
            if self._work is not None:
                self._work.stop = message["why"]
        else:
            self._newest = message
            self._works.put(message)

    def _offer(self, workflow: Workflow) -> None:
        for part in workflow.parts.values():
            self._offer(part)
        self._registry.add(workflow)
        self.ask("offer", definition=whereabouts.written(workflow.graph, workflow.signatures))

    @staticmethod
    def _unknown(graph: int) -> Any:
        raise errors.NotFound(f"nobody has told this process of graph {graph}")


class Truth:
    """What contexts read of a store, read by the parent."""

    def __init__(self, child: Child) -> None:
        self._ask = child.ask

    def run(self, run: int) -> Any:
        """One run."""
        return form.from_json(Run, self._ask("run", run=run))

    def task(self, run: int, number: int) -> Any:
        """One task."""
        return form.from_json(Task, self._ask("task", run=run, number=number))

    def tasks(self, run: int, state: TaskState | None = None, node: str | None = None, limit: int = 1000) -> Any:
        """Tasks of a run, by number."""
        return form.from_json(Task, self._ask("tasks", run=run, state=state, node=node, limit=limit))

    def records(self, run: int, node: str | None = None, key: str | None = None) -> Any:
        """Records of a run, in the order put."""
        return form.from_json(Record, self._ask("records", run=run, node=node, key=key))

    def artifacts(self, run: int) -> Any:
        """What a run keeps, in the order kept."""
        return form.from_json(Kept, self._ask("artifacts", run=run))


@contextmanager
def limited(resources: Resources | None) -> Iterator[None]:
    """Let this process have so much more memory than it has now; a MemoryError names the limit."""
    if resources is None or resources.memory_bytes is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = held() + resources.memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    try:
        yield
    except MemoryError as error:
        words = "; ".join(filter(None, (said(error), f"its memory is limited to {resources.memory}")))
        raise MemoryError(words).with_traceback(error.__traceback__) from None
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def held() -> int:
    """Bytes of data that this process has; 0 where that cannot be seen."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def main() -> None:
    """Live as a child: its parent's number and this end of two pipes are the arguments."""
    parent, lifeline, number = map(int, sys.argv[1:])
    die_with(parent, lifeline)
    pipe = socket.socket(fileno=number)
    pipe.set_inheritable(False)
    del sys.argv[1:]
    faulthandler.enable()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # lines are read as they come
    try:
        Child(pipe).live()
    except Terminated:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
