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
import signal
import socket
import sys
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

from heliostat import errors, form, whereabouts
from heliostat.around import surroundings
from heliostat.clock import SystemClock
from heliostat.lifeline import die_with
from heliostat.loading import module
from heliostat.outcome import Failed
from heliostat.perform import Performer
from heliostat.registry import Registry
from heliostat.solo import Solo, Terminated
from heliostat.telling import Truth
from heliostat.vault import Vault

if TYPE_CHECKING:
    from heliostat.outcome import Outcome
    from heliostat.store import Store
    from heliostat.workflow import Workflow


class Child:
    """One child, at its end of the pipe."""

    def __init__(self, pipe: socket.socket) -> None:
        self._pipe, self._sending, self._numbers = pipe, threading.Lock(), count(1)
        self._works: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._answers: dict[int, SimpleQueue[dict[str, Any]]] = {}
        self._newest: dict[str, Any] = {}
        self._registry = Registry(self._unknown, digest=lambda _: "")
        self._vault = Vault(lambda name: cast("str", self.ask("secret", name=name)))
        self._solo = Solo(self._registry, self._vault, module)

    def live(self) -> None:
        """Perform what comes, until killed."""
        threading.Thread(target=self._listen, daemon=True).start()
        hello = self._works.get()["hello"]
        self._solo.main = hello["main"]
        clock = SystemClock(lambda: cast("float", self.ask("now")))
        truth = cast("Store", Truth(self.ask))  # the part of it that contexts read
        queues = None if hello["queues"] is None else frozenset(hello["queues"])
        chance, files = random.Random(), Path(hello["files"])  # noqa: S311 - of ids
        around = surroundings(truth, clock, files, chance, self._offer, queues, self._vault)
        perform = Performer(self._registry, around, within=self._solo.within)
        while True:
            message = self._works.get()
            self._say({"outcome": form.outcome_to_json(self._performed(message, perform))})

    def _performed(self, message: dict[str, Any], perform: Performer) -> Outcome:
        work = self._solo.loaded(message["work"], message.get("definition"))
        if isinstance(work, Failed):
            return work
        if "stop" in message:
            work.stop = message["stop"]
        self._say({"begun": True})
        return self._solo.performed(work, perform)

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
            if self._solo.work is not None:
                self._solo.work.stop = message["why"]
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
