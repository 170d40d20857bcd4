"""One campaign: a ground, a load, faults; then what the checker found and how fast it went on."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from tests.wall_clock import library
from torture.celery_crew import CeleryCrew
from torture.checker import LOST, REPEATED, STUCK, Violation, check
from torture.crew import Crew
from torture.faults import FAULTS
from torture.feed import Feed
from torture.grounds import CeleryGround, Ground, SqliteGround, opened, small_disk
from torture.mutants import MUTANTS
from torture.scene import Fault, Scene, strike_until_over
from torture.worker import ZERO, Manner

DISK_MEGABYTES = 192


@dataclass(frozen=True, slots=True)
class Plan:
    """What a campaign does; times are in seconds.

    ``calm`` is how long the rate is measured before and after the faults: that of tasks which take every slot and
    hardly a processor, so that it tells of lost workers, slots and bells, and little of what else the machine does.
    ``patience`` is how long it waits for quiet before it says stuck, ``warm`` how many tasks are over before anything
    is measured.
    """

    ground: str
    faults: tuple[str, ...]
    seed: int = 1
    calm: float = 4.0
    trouble: float = 15.0
    workers: int = 0
    open_runs: int = 24
    lease: float = 2.0
    patience: float = 60.0
    warm: int = 500
    mutant: str = ""
    flows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. ``quiet_seconds``: from the end of the last fault until all that was open then had ended.

    ``submissions`` are those that a scheduler has counted.
    """

    ground: str
    fault: str
    seed: int
    workers: int
    runs: int = 0
    tasks: int = 0
    faults: int = 0
    deaths: int = 0
    rescues: int = 0
    lost: int = 0
    repeated: int = 0
    stuck: int = 0
    wrong: int = 0
    quiet_seconds: float | None = None
    before: float = 0.0
    during: float = 0.0
    after: float = 0.0
    ratio: float | None = None
    trouble: str = ""
    violations: tuple[Violation, ...] = ()
    submissions: int = 0

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not (self.violations or self.trouble)

    def line(self) -> dict[str, object]:
        """As JSON: the violations as the sentences they are."""
        return asdict(self) | {"violations": [str(violation) for violation in self.violations], "sound": self.sound}


def carry_out(plan: Plan) -> Outcome:
    """Carry a campaign out on a fresh ground."""
    with contextlib.ExitStack() as stack:
        steps = "clock" in plan.faults
        if steps and plan.ground != SqliteGround.name and library() is None:
            return Outcome(plan.ground, "+".join(plan.faults), plan.seed, 0, trouble="no libfaketime is installed here")
        ground = stack.enter_context(opened(plan.ground, steps=steps))
        if "full" in plan.faults and not stack.enter_context(small_disk(ground, DISK_MEGABYTES)):
            return Outcome(plan.ground, "+".join(plan.faults), plan.seed, 0, trouble="nobody may mount a disk here")
        return _Campaign(plan, ground).run()


def hire(ground: Ground, size: int, manner: Callable[[], Manner]) -> Crew:
    """Workers for a ground: Celery's where it has a broker."""
    given = (ground.url, ground.folder / "files", ground.folder / "notes", size, manner)
    return CeleryCrew(*given, broker=ground.broker) if ground.broker else Crew(*given)


def with_mutant(name: str, ground: str, seed: int) -> Plan:
    """A short campaign under the fault at which a defect shows."""
    mutant = MUTANTS[name]
    trouble, patience = (15.0, 30.0) if ground == CeleryGround.name else (5.0, 6.0)  # its workers take a while to begin
    plan = Plan(ground, (mutant.fault,), seed, calm=0, trouble=trouble, lease=1.0, patience=patience, warm=0)
    return replace(plan, mutant=name, flows=mutant.flows, open_runs=mutant.open_runs)


class _Campaign:
    def __init__(self, plan: Plan, ground: Ground) -> None:
        self.plan, self.ground = plan, ground
        self.faults = [FAULTS[name] for name in plan.faults]
        files = ground.folder / "files"
        files.mkdir()
        self.notes, self.clock = ground.folder / "notes", ground.folder / "clock"
        self.notes.touch()
        self.clock.touch()
        os.utime(self.clock, (ZERO, ZERO))
        self.strikes = ground.folder / "strikes"
        self.strikes.touch()
        self.armed_until = 0.0
        self.chance = random.Random(f"crew {plan.seed}")
        size = plan.workers or max(fault.workers for fault in self.faults)
        self.crew = hire(ground, size, self._manner)
        self.feed = Feed(ground.url, ground.broker, files, plan.seed, plan.open_runs, list(plan.flows))
        self.frozen: list[int] = []
        self.mends: list[Callable[[], object]] = []
        self.struck = 0
        self.troubles: list[str] = []  # why this campaign says less than it seems to

    def _manner(self) -> Manner:
        manner = Manner(self.plan.lease, clock=self.clock, mutant=self.plan.mutant)
        if time.monotonic() < self.armed_until:
            manner = replace(manner, until=self.armed_until, strikes=self.strikes)
            for fault in self.faults:
                manner = fault.armed(manner, self.chance) if fault.armed is not None else manner
        return manner

    def run(self) -> Outcome:
        plan, crew = self.plan, self.crew
        self.feed.begin()
        with crew, _supervised(crew):
            until(lambda: self._final() > plan.warm, 30.0)
            before = self._calm()
            begun, tasks = time.monotonic(), self._final()
            last = self._trouble()
            during = (self._final() - tasks) / (time.monotonic() - begun)
            open_then = set(self.feed.accepted)
            until(lambda: not self._open(open_then), plan.patience)
            quiet = time.monotonic() - last
            late = self._open(open_then)
            for mend in self.mends:
                mend()
            self._thaw()
            after = 0.0 if late else self._calm()
            self.feed.end()
            self._over()
        return self._outcome(before, during, after, None if late else quiet, late)

    def _trouble(self) -> float:
        """All faults at once, each in a thread; answers when the last one was over."""
        scenes = []
        ends: list[tuple[int, float]] = []
        failed: list[BaseException] = []

        def strike(fault: Fault, scene: Scene) -> None:
            try:
                struck, last = strike_until_over(fault, scene)
                ends.append((struck, last))
                if not struck and fault.strike is not None:
                    self.troubles.append("it never struck")
            except BaseException as error:  # noqa: BLE001 - it is raised where all are waited for
                failed.append(error)

        over = threading.Event()
        for name, fault in zip(self.plan.faults, self.faults, strict=True):
            chance = random.Random(f"{name} {self.plan.seed}")
            left = (self.frozen, self.mends)
            scene = Scene(self.ground, self.crew, chance, self.plan.lease, self.clock, over, *left)
            scenes.append(threading.Thread(target=strike, args=(fault, scene), daemon=True))
        seconds = self.plan.trouble
        if any(fault.armed for fault in self.faults):
            seconds += 4 * self.ground.birth
            self.armed_until = time.monotonic() + seconds
            for pid in self.crew.alive():  # for others that are made in another way
                self.crew.signal(pid, signal.SIGKILL)
        for thread in scenes:
            thread.start()
        over.wait(seconds)
        over.set()
        for thread in scenes:
            thread.join()
        if failed:
            raise failed[0]
        os.utime(self.clock, (ZERO, ZERO))
        self.struck = sum(count for count, _ in ends) + self.strikes.stat().st_size
        lasts = [self.armed_until, *(end for count, end in ends if count)]
        return max(lasts) or time.monotonic()

    def _thaw(self) -> None:
        """Let frozen workers go on now that all is over, and wait until they have shown it."""
        for pid in self.frozen:
            carriers = self.crew.carriers(pid)
            shown = self._beats(carriers)
            self.crew.signal(pid, signal.SIGCONT)
            if not until(lambda carriers=carriers, shown=shown: self._beats(carriers) > shown, 10.0):  # type: ignore[misc]
                self.troubles.append("a worker that went on showed no life")

    # looking

    def _beats(self, pids: list[int]) -> int:
        statement = "SELECT coalesce(sum(beat), 0) FROM workers WHERE pid = ?"
        return sum(int(self.ground.ask(statement, pid)[0][0]) for pid in pids)

    def _final(self) -> int:
        statement = "SELECT count(*) FROM tasks WHERE state IN ('succeeded', 'failed', 'cancelled', 'skipped')"
        return int(self.ground.ask(statement)[0][0])

    def _open(self, runs: set[int]) -> set[int]:
        return runs & {row[0] for row in self.ground.ask("SELECT id FROM runs WHERE state = 'active' OR open > 0")}

    def _over(self) -> bool:
        """Wait until all that was accepted so far has ended."""
        accepted = set(self.feed.accepted)
        return until(lambda: not self._open(accepted), self.plan.patience)

    def _calm(self) -> float:
        """Have nothing but steady work done for a while; answers how much of it a second."""
        if not self.plan.calm:
            return 0.0
        self.feed.steady = True
        self._over()
        time.sleep(self.plan.lease + 3 * self.ground.birth)  # who was born last has begun by then
        begun, tasks = time.monotonic(), self._final()
        time.sleep(self.plan.calm)
        rate = (self._final() - tasks) / (time.monotonic() - begun)
        self.feed.steady = False
        return rate

    def _outcome(self, before: float, during: float, after: float, quiet: float | None, late: Iterable[int]) -> Outcome:
        waited = f"it was open {self.plan.patience:g} s after the last fault"
        violations = [Violation(STUCK, run, 0, waited) for run in sorted(late)]
        violations += check(self.ground, self.notes, self.feed.accepted)
        kinds = Counter(violation.rule for violation in violations)
        tasks, rescues = self.ground.ask("SELECT count(*), sum(rescues) FROM tasks")[0]
        if any(fault.armed for fault in self.faults) and not self.strikes.stat().st_size:
            self.troubles.append("it never struck")
        if self.crew.strays:
            self.troubles.append(f"{self.crew.strays} workers ended by themselves")
        if not self.feed.accepted:
            self.troubles.append("nothing was done")
        return Outcome(
            self.plan.ground,
            "+".join(self.plan.faults),
            self.plan.seed,
            self.crew.size,
            len(self.feed.accepted),
            int(tasks),
            self.struck,
            self.crew.deaths,
            int(rescues or 0),
            kinds.pop(LOST, 0),
            kinds.pop(REPEATED, 0),
            kinds.pop(STUCK, 0),
            sum(kinds.values()),
            None if quiet is None else round(quiet, 2),
            round(before, 1),
            round(during, 1),
            round(after, 1),
            round(after / before, 3) if before and after else None,
            "; ".join(filter(None, [self.feed.trouble, *self.troubles])),
            tuple(violations),
        )


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until something holds; answers whether it did in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@contextmanager
def _supervised(crew: Crew) -> Iterator[None]:
    """Keep a crew at its size while the block lasts."""
    over = threading.Event()

    def keep() -> None:
        while not over.is_set():
            crew.keep()
            over.wait(0.05)

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
