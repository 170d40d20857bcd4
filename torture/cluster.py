"""Every point of a job's life on a real Slurm: an engine dies there of ``kill -9``, and another one goes on.

A point is the call or the return of a function that takes part, by who called it: from where the life begins (see
``torture.jobs``) to where its end is recorded. A first engine, which nobody kills, tells which there are. How often a
job was submitted is what Slurm's controller has written down, not what any engine says.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import heliostat
from tests.slurm_server import NoSlurmError, Slurm, slurm_server
from torture.campaign import Outcome, until
from torture.checker import REPEATED, STUCK, Violation
from torture.jobs import CONFIGURATION, LIVES, RUNS, Life, told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

GROUND = "slurm"
PATIENCE = 120.0  #: seconds for a life
AT_ONCE = 8  #: lives
PARTS = (
    *(f"heliostat/{name}.py" for name in ("carrier", "jobs", "look", "parcel", "stores/sqlite", "watch")),
    *(f"batches/{name}.py" for name in ("cluster", "script", "shared", "slurm", "submission", "verdict")),
    "transports/local.py",
)
OF_THE_WORKER = frozenset({"_ended", "_looked", "_settle", "_take", "adopt"})


class Points:
    """The points that a process passes; at one of them it kills itself."""

    def __init__(self, begins: str, fatal: str = "") -> None:
        self.begins, self.fatal, self.begun, self.passed = begins, fatal, False, dict[str, None]()

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """See a call or a return."""
        code = frame.f_code
        if event not in ("call", "return"):
            return
        self.begun = self.begun or code.co_qualname == self.begins
        worker = code.co_name in OF_THE_WORKER and code.co_filename.endswith("heliostat/worker.py")
        if not self.begun or not (worker or code.co_filename.endswith(PARTS)):
            return
        caller = frame.f_back.f_code.co_qualname if frame.f_back is not None else ""
        point = f"{event} {code.co_qualname} by {caller}"
        if point == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed[point] = None


@dataclass(slots=True)
class Death:
    """A point with what came after it: how many engines died there, what the last one told, how long that took."""

    folder: Path
    point: str
    died: int = 0
    came: str = "nothing: the engine that went on did not come to an end"

    @property
    def said(self) -> Path:
        """Where the engine that goes on tells what came of it."""
        return self.folder.with_suffix(".said")


def enumerate_deaths(name: str, every: int = 1, first: int = 0, deaths: int = 1) -> Outcome:
    """Die at each ``every``-th point from the first on, ``deaths`` engines one after the other."""
    try:
        with tempfile.TemporaryDirectory(prefix="heliostat-torture-", dir="/tmp") as folder, slurm_server() as slurm:
            return _Enumeration(LIVES[name], slurm, Path(folder), deaths).run(name, every, first)
    except NoSlurmError as error:
        return Outcome(GROUND, name, 0, 0, trouble=str(error))


class _Enumeration:
    def __init__(self, life: Life, slurm: Slurm, folder: Path, deaths: int) -> None:
        self.life, self.slurm, self.folder, self.deaths = life, slurm, folder, deaths

    def run(self, name: str, every: int, first: int) -> Outcome:
        begun = time.monotonic()
        points = self._met()
        chosen = [Death(self.folder / str(at), point) for at, point in enumerate(points)][first::every]
        for start in range(0, len(chosen), AT_ONCE):
            self._die(chosen[start : start + AT_ONCE])
        quiet = until(lambda: not self._active(), PATIENCE)
        places = self._submitted()
        found = [violation for death in chosen for violation in self._judged(death, places)]
        died = sum(death.died for death in chosen)
        kinds = Counter(violation.rule for violation in found)
        trouble = [] if quiet else [f"jobs are left on the cluster: {', '.join(self._active())}"]
        trouble += [] if points else ["the first engine passed no point"]
        trouble += [] if died >= len(chosen) / 2 else [f"of {len(chosen)} points only {died} were met"]
        return Outcome(
            *(GROUND, name, 0, 1),
            runs=len(chosen),
            tasks=len(chosen) * len(tuple(self.life.flow.graph)),
            faults=died,
            deaths=died,
            repeated=kinds.pop(REPEATED, 0),
            stuck=kinds.pop(STUCK, 0),
            wrong=sum(kinds.values()),
            during=round(len(chosen) / (time.monotonic() - begun), 1),
            trouble="; ".join(trouble),
            violations=tuple(found),
            submissions=places.total() - 1,  # but for the first engine's
        )

    # engines

    def _met(self) -> list[str]:
        """The points that there are: those of an engine that nobody kills."""
        listed = self.folder / "points"
        self._ends([self._begin(self.folder / "first", Points(self.life.begins), listed)])
        return listed.read_text().splitlines() if listed.exists() else []

    def _die(self, some: list[Death]) -> None:
        """Have engines die, each at its point, and others go on."""
        for _ in range(self.deaths):
            pids = [self._begin(death.folder, Points(self.life.begins, death.point)) for death in some]
            for death, status in zip(some, self._ends(pids), strict=True):
                death.died += status is not None and os.WIFSIGNALED(status)
        self._ends([self._begin(death.folder, None, death.said) for death in some])
        for death in some:
            if death.said.exists():
                death.came = death.said.read_text()

    def _ends(self, pids: list[int]) -> list[int | None]:
        """The statuses of processes that have ended; None for those that were given up."""
        ends: dict[int, int] = {}

        def over() -> bool:
            for pid in pids:
                if pid not in ends and (found := os.waitpid(pid, os.WNOHANG))[0]:
                    ends[pid] = found[1]
            return len(ends) == len(pids)

        until(over, PATIENCE)
        for pid in pids:
            if pid not in ends:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        return [ends.get(pid) for pid in pids]

    def _begin(self, folder: Path, points: Points | None, said: Path | None = None) -> int:
        """Live in a process of its own, and tell what came of it, or which points there were."""
        if pid := os.fork():
            return pid
        try:
            os.environ.update(self.slurm.environment)
            came = self._live(folder, points)
            if said is not None:
                said.write_text("\n".join(points.passed) if points else came)
        finally:
            os._exit(0)

    def _live(self, folder: Path, points: Points | None) -> str:
        folder.mkdir(exist_ok=True)
        os.chdir(folder)
        Path("heliostat.toml").write_text(CONFIGURATION)
        with heliostat.open("sqlite:///x.db", files=folder / "files") as engine:
            engine.add(self.life.flow)
            run = engine.start(self.life.flow, 20, idempotency_key="once")
            threading.setprofile(points)
            sys.setprofile(points)
            self.life.act(engine, run)
            sys.setprofile(None)
            threading.setprofile(None)
            return told(run)

    # what came of it

    def _active(self) -> list[str]:
        """What waits or runs on the cluster."""
        return self.slurm.command("squeue", "--noheader", "--format=%i:%j:%T").split()

    def _submitted(self) -> Counter[Path]:
        """From which directories jobs were submitted, and how often: each is a line of the controller's records."""
        return Counter(Path(job["WorkDir"]) for job in self.slurm.completed())

    def _judged(self, death: Death, places: Counter[Path]) -> Iterator[Violation]:
        """What is wrong with what came of a death."""
        if not death.said.exists():
            yield self._violation(STUCK, death, f"after {PATIENCE:g} s not all is over")
        elif death.came != self.life.fate:
            yield self._violation("result", death, f"{death.came} instead of {self.life.fate}")
        mine = {place: count for place, count in places.items() if place.is_relative_to(death.folder)}
        if list(mine.values()) != [1]:
            yield self._violation(REPEATED, death, f"its submissions are {mine or 'none'}")
        ran = sum(path.read_text().count("run") for path in death.folder.glob(f"files/jobs/*/*/{RUNS}"))
        if ran != self.life.ran:
            yield self._violation(REPEATED, death, f"its command began {ran} times")

    def _violation(self, rule: str, death: Death, what: str) -> Violation:
        return Violation(rule, 0, int(death.folder.name), f"{death.died} died at {death.point}: {what}")
