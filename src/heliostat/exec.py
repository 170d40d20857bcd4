"""``heliostat task exec``: perform the attempt that a directory holds, and leave its outcome there.

A job calls it, wherever the batch system has put that; ``heliostat.carrier`` has packed the directory, and takes in
what is left there. No database is opened, and nothing is written outside of the directory. TERM ends the function as in
a process of the executor, and then there is no outcome, unless it was there already.
"""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from heliostat import errors, form, parcel, whereabouts
from heliostat.around import surroundings
from heliostat.clock import SystemClock
from heliostat.effects import Keep
from heliostat.loading import module
from heliostat.outcome import Failed
from heliostat.perform import Performer
from heliostat.registry import Registry
from heliostat.secret import Secret
from heliostat.solo import Solo, Terminated
from heliostat.telling import Told, Truth
from heliostat.vault import Vault

if TYPE_CHECKING:
    from heliostat.outcome import Outcome
    from heliostat.store import Store
    from heliostat.workflow import Workflow


#: Behind what is said of a file that is missing.
NOT_LENT = (
    "; a job has the files of its message, of what it waits for and of its own records, so have it wait for the node "
    "that gives this one"
)


class Execution:
    """One attempt in a process of its own."""

    def __init__(self, directory: Path, packed: dict[str, Any]) -> None:
        self._directory, self._packed = directory, packed
        self._registry = Registry(_unknown, digest=lambda _: "")
        self._vault = Vault(self._secret)
        self._solo = Solo(self._registry, self._vault, module)
        self._solo.main = packed["main"]
        self._offers: list[dict[str, Any]] = []
        truth = cast("Store", Truth(Told(packed["notes"]).ask))  # the part of it that contexts read
        queues = None if packed["queues"] is None else frozenset(packed["queues"])
        chance = random.Random()  # noqa: S311 - of ids
        around = surroundings(truth, SystemClock(), directory, chance, self._offer, queues, self._vault)
        self._around = replace(around, hint=NOT_LENT)

    def live(self) -> None:
        """Perform, and leave the outcome."""
        signal.signal(signal.SIGTERM, self._solo.terminated)
        outcome = self._performed()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # what comes from here on comes too late
        if self._solo.work is not None and (self._solo.work.stop or signal.SIGTERM in signal.sigpending()):
            raise Terminated
        try:
            self._leave(outcome)
        except errors.BadInput as error:
            self._leave(Failed(str(error), final=True))

    def _leave(self, outcome: Outcome) -> None:
        for effect in getattr(outcome, "effects", ()):
            if isinstance(effect, Keep):  # beside those that came, so that nobody takes these back
                self._around.repository.lend(effect.artifact, self._directory / parcel.KEPT)
        left = {"of": self._packed["of"], "outcome": form.outcome_to_json(outcome), "offers": self._offers}
        parcel.write(self._directory / parcel.OUTCOME, left)

    def _performed(self) -> Outcome:
        work = self._solo.loaded(self._packed["work"], self._packed["definition"])
        if isinstance(work, Failed):
            return work
        return self._solo.performed(work, Performer(self._registry, self._around, within=self._solo.within))

    def _secret(self, name: str) -> str:
        """The value of a secret that came as a variable; the vault of who sent it knows it, too."""
        env = {} if self._solo.work is None else self._solo.work.node.env
        for variable, value in env.items():
            if isinstance(value, Secret) and value.name == name and variable in os.environ:
                return os.environ[variable]
        raise errors.OperatorError(
            f"secret {name!r} is not in this job, whose files hold none; give it to the node by env="
        )

    def _offer(self, workflow: Workflow) -> None:
        for part in workflow.parts.values():
            self._offer(part)
        self._registry.add(workflow)
        self._offers.append(whereabouts.written(workflow.graph, workflow.signatures))


def _unknown(graph: int) -> NoReturn:
    raise errors.NotFound(f"this job was told nothing of graph {graph}")


def _find_modules(python: dict[str, Any]) -> None:
    """Find modules where whoever packed this has found them; after its own places, where this interpreter is another.

    One of another version leaves out what was installed for that one.
    """
    if python["prefix"] == sys.prefix:
        sys.path[:] = python["path"]
        return
    foreign = python["tag"] != sys.implementation.cache_tag
    mine = [place for place in python["path"] if not (foreign and Path(place).is_relative_to(python["prefix"]))]
    sys.path += [place for place in mine if place not in sys.path]
    os.environ["VIRTUAL_ENV"] = sys.prefix
    os.environ["PATH"] = os.pathsep.join(filter(None, (str(Path(sys.executable).parent), os.environ.get("PATH"))))


def execute(directory: Path) -> None:
    """Perform what a directory holds; raises BadInput where that is nothing, or has been performed."""
    directory = directory.absolute()
    packed = parcel.read(directory / parcel.WORK)
    if (directory / parcel.OUTCOME).exists():
        raise errors.BadInput(f"the attempt in {directory} has been performed; its outcome is there")
    faulthandler.enable()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # lines are read as they come
    _find_modules(packed["python"])
    try:
        Execution(directory, packed).live()
    except Terminated:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Do so as a program; threads that the function has left behind end with it."""
    try:
        execute(Path(sys.argv[-1]))
    except errors.HeliostatError as error:
        print(f"heliostat: {error}", file=sys.stderr)  # noqa: T201 - the job's own words
        raise SystemExit(error.exit_code) from None
    sys.stdout.flush()
    os._exit(0)
