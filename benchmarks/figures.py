"""The figures: what each one measures, beside what, and where it should be."""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from benchmarks.databases import STORES, rest
from benchmarks.measure import MeasureError, measure, seconds
from benchmarks.startup import HELIOSTAT, write_bare_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.databases import Databases


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the loads are, and how often each measure is taken."""

    rounds: int = 5
    runs: int = 1000
    steps: int = 4
    chain: int = 1000
    wide: int = 10_000
    narrow: int = 1_000
    mesh: int = 300
    small_mesh: int = 100
    waiting: int = 1_000_000
    few_waiting: int = 10_000
    tasks: int = 10_000
    starts: int = 15
    workers: int = 4
    slots: int = 4
    waits: int = 400
    computations: int = 60
    jobs: int = 1_000
    job_rounds: int = 1


QUICK = Sizes(
    rounds=1,
    runs=200,
    chain=200,
    wide=2_000,
    narrow=200,
    mesh=60,
    small_mesh=20,
    waiting=50_000,
    few_waiting=1_000,
    tasks=1_000,
    starts=3,
    waits=60,
    computations=20,
    jobs=10,
)


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured. ``ratio`` is ``value`` to ``base``, which is what it is held against."""

    name: str
    value: float
    unit: str
    base: float | None = None
    ratio: float | None = None
    target: str | None = None
    ok: bool | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """Where figures are taken, and how large; whether what the docs tell is ``kept``, and who hears what goes on."""

    databases: Databases
    sizes: Sizes
    kept: bool = False
    say: Callable[[str], object] = print

    def take(self, store: str, module: str, load: str, **sizes: int) -> dict[str, float]:
        """Carry a load on a fresh database."""
        with self.databases.fresh(store) as url:
            return measure(module, load, url, self.databases.folder, **sizes)

    def alternate(self, *measures: Callable[[], float], rounds: int | None = None) -> list[float]:
        """Take measures in turn, round by round, so that a slow minute slows all; answers the median of each."""
        taken = [[one() for one in measures] for _ in range(rounds or self.sizes.rounds)]
        return [statistics.median(column) for column in zip(*taken, strict=True)]


def held(name: str, value: float, unit: str, base: float, target: str) -> Figure:
    """Hold a figure against another one; the target is ``≥ 0.35`` or ``≤ 2``."""
    ratio, (sign, bound) = value / base, target.split()
    ok = ratio >= float(bound) if sign == "≥" else ratio <= float(bound)
    return Figure(name, value, unit, base, ratio, target, ok)


def chain_runs(bench: Bench, store: str) -> list[Figure]:
    """Tasks in a second, many short runs."""
    size = bench.sizes

    def rate(module: str) -> float:
        measures = bench.take(store, module, "chain_runs", runs=size.runs, steps=size.steps)
        return measures["tasks"] / measures["seconds"]

    bare, engine = bench.alternate(partial(rate, "loads"), partial(rate, "engine"))
    return [held(f"chain-runs/{store}", engine, "tasks/s", bare, "≥ 0.35")]


def fan(bench: Bench, store: str) -> list[Figure]:
    """Tasks in a second, one wide run."""

    def rate(module: str) -> float:
        measures = bench.take(store, module, "fan", width=bench.sizes.wide)
        return measures["tasks"] / measures["seconds"]

    bare, engine = bench.alternate(partial(rate, "loads"), partial(rate, "engine"))
    return [held(f"fan/{store}", engine, "tasks/s", bare, "≥ 0.35")]


def chain_gap(bench: Bench, store: str) -> list[Figure]:
    """From a step's end to the next one's begin, the median of a long chain."""

    def gap(module: str) -> float:
        return bench.take(store, module, "chain", steps=bench.sizes.chain)["gap"] * 1e3

    bare, engine = bench.alternate(partial(gap, "loads"), partial(gap, "engine"))
    return [held(f"chain-gap/{store}", engine, "ms", bare, "≤ 2")]


def join_width(bench: Bench, store: str) -> list[Figure]:
    """What a task costs in a wide join, against a narrower one."""

    def cost(width: int) -> float:
        measures = bench.take(store, "engine", "fan", width=width)
        return measures["span"] / measures["tasks"] * 1e6

    narrow, wide = bench.alternate(partial(cost, bench.sizes.narrow), partial(cost, bench.sizes.wide))
    return [held(f"join-width/{store}", wide, "µs/task", narrow, "≤ 1.25")]


def mesh(bench: Bench, store: str) -> list[Figure]:
    """What an edge costs where many nodes wait for many, against fewer."""

    def cost(width: int) -> float:
        return bench.take(store, "engine", "mesh", width=width)["span"] / width**2 * 1e6

    small, large = bench.alternate(partial(cost, bench.sizes.small_mesh), partial(cost, bench.sizes.mesh))
    return [held(f"mesh/{store}", large, "µs/edge", small, "≤ 2")]


def backlog(bench: Bench, store: str) -> list[Figure]:
    """Tasks in a second while very many wait, against few, and what that takes of a worker's memory.

    The databases are filled once: what comes first in each round leaves those that wait where they are.
    """
    sizes, folder, growths = bench.sizes, bench.databases.folder, []
    with bench.databases.fresh(store) as few, bench.databases.fresh(store) as many:
        for url, waiting in ((few, sizes.few_waiting), (many, sizes.waiting)):
            ready = measure("engine", "fill", url, folder, waiting=waiting)["ready"]
            if ready != waiting:
                raise MeasureError(f"{ready} tasks are ready, not {waiting}")

        def rate(url: str) -> float:
            rest(url)
            measures = measure("engine", "backlog", url, folder, tasks=sizes.tasks)
            if url == many:
                growths.append(measures["growth"])
            return measures["tasks"] / measures["span"]

        base, value = bench.alternate(partial(rate, few), partial(rate, many))
    growth = max(growths)
    return [
        held(f"backlog/{store}", value, "tasks/s", base, "≥ 0.8"),
        Figure(f"backlog-memory/{store}", growth, "MiB", target="< 50 MiB", ok=growth < 50),
    ]


def bare_backlog(bench: Bench, store: str) -> list[Figure]:
    """The same on the bare loop: what the database itself makes of it."""
    sizes = bench.sizes

    def rate(waiting: int) -> float:
        measures = bench.take(store, "loads", "backlog", waiting=waiting, tasks=sizes.tasks)
        return measures["tasks"] / measures["seconds"]

    base, value = bench.alternate(partial(rate, sizes.few_waiting), partial(rate, sizes.waiting), rounds=1)
    return [Figure(f"backlog-bare/{store}", value, "tasks/s", base, value / base)]


def crowd(bench: Bench) -> list[Figure]:
    """Tasks in a second with several worker processes, against one, where each task waits for 50 ms."""
    sizes = bench.sizes

    def rate(workers: int) -> float:
        measures = bench.take("postgresql", "crowd", "crowd", workers=workers, slots=sizes.slots, tasks=sizes.waits)
        return measures["tasks"] / measures["seconds"]

    one, several = bench.alternate(partial(rate, 1), partial(rate, sizes.workers))
    return [held(f"crowd/postgresql/{sizes.workers}", several, "tasks/s", one, "≥ 3.6")]


def cpu(bench: Bench, load: str, parts: str) -> list[Figure]:
    """Tasks in a second that compute in Python, on two cores against one."""

    def rate(number: int) -> float:
        measures = bench.take("sqlite", "cpu", load, **{parts: number}, tasks=bench.sizes.computations)
        return measures["tasks"] / measures["seconds"]

    one, two = bench.alternate(partial(rate, 1), partial(rate, 2))
    return [held(f"cpu/sqlite/{load}", two, "tasks/s", one, "≥ 1.7")]


def help_time(bench: Bench) -> list[Figure]:
    """``heliostat --help``, against a Typer app that has as many commands and does nothing."""
    folder = bench.databases.folder
    bare_app = write_bare_app(folder)
    bare, own = bench.alternate(
        partial(seconds, [*bare_app, "--help"], folder),
        partial(seconds, [*HELIOSTAT, "--help"], folder),
        rounds=bench.sizes.starts,
    )
    return [held("help", own * 1e3, "ms", bare * 1e3, "≤ 1.5")]


def import_time(bench: Bench) -> list[Figure]:
    """``import heliostat``, beside the part of Pydantic on which it stands."""
    python = partial(seconds, folder=bench.databases.folder)
    nothing, pydantic, own = bench.alternate(
        *(
            partial(python, [sys.executable, "-c", code])
            for code in ("pass", "from pydantic import TypeAdapter", "import heliostat")
        ),
        rounds=bench.sizes.starts,
    )
    value, base = (own - nothing) * 1e3, (pydantic - nothing) * 1e3
    return [Figure("import", value, "ms", base, value / base)]


def jobs(bench: Bench) -> list[Figure]:
    """Short jobs on Slurm: the processor time of each and how soon the next step begins, beside PSI/J's."""
    from benchmarks.jobs import page, rounds

    sizes = bench.sizes
    results = rounds.take(sizes.jobs, sizes.job_rounds, say=bench.say)
    if bench.kept:
        page.renew(results)
    if missing := [f"{one.entry}: {one.missing}" for one in results.taken if one.missing]:
        raise MeasureError("; ".join(missing))
    figures = []
    for form in ("single", "array"):
        if (ours := results.of(f"heliostat/{form}")) and (theirs := results.of("psij/single")):
            costs = [statistics.median(results.cpu(one.entry)) for one in (ours, theirs)]
            figures.append(held(f"jobs-cpu/slurm/{form}", costs[0], "ms/job", costs[1], "≤ 1"))
        if ours and (theirs := results.of("psij/eager")):
            gaps = [results.gap(one.entry) for one in (ours, theirs)]
            figures.append(held(f"jobs-gap/slurm/{form}", gaps[0], "s", gaps[1], "≤ 1"))
    return figures


Taking: TypeAlias = "Callable[[Bench], list[Figure]]"

_ON_STORES = {
    "chain-runs": chain_runs,
    "fan": fan,
    "chain-gap": chain_gap,
    "join-width": join_width,
    "mesh": mesh,
    "backlog": backlog,
    "backlog-bare": bare_backlog,
}
FIGURES: dict[str, Taking] = {
    f"{name}/{store}": partial(take, store=store) for name, take in _ON_STORES.items() for store in STORES
} | {
    "crowd/postgresql/4": crowd,
    "cpu/sqlite/processes": partial(cpu, load="processes", parts="slots"),
    "cpu/sqlite/workers": partial(cpu, load="workers", parts="workers"),
    "jobs/slurm": jobs,
    "help": help_time,
    "import": import_time,
}
