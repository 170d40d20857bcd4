"""The parts of the docs' page about peers that come from what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.peers.catalogue import ENTRIES
from benchmarks.peers.goals import reached
from benchmarks.peers.results import Results
from benchmarks.peers.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.peers.results import Taken
    from benchmarks.peers.workloads import Workload


def table() -> str:
    """The medians, the best of each column in bold; below it what was smaller, and what is missing."""
    results = Results.load()
    heads = ["", *(f"{workload.title}<br>{workload.unit}" for workload in WORKLOADS.values())]
    rows = [
        [entry.title, *(_cell(results, entry.name, workload) for workload in WORKLOADS.values())]
        for entry in ENTRIES.values()
        if any(taken.peer == entry.name for taken in results.taken)
    ]
    return "\n\n".join(filter(None, [_table(heads, rows, right=True), _missing(results)]))


def _cell(results: Results, peer: str, workload: Workload) -> str:
    taken = results.of(peer, workload.name)
    if taken is None:
        return ""
    text = number(taken.median)
    if taken is _best(results, workload):
        text = f"**{text}**"
    return f"{text}<br>({taken.scaled})" if taken.scaled else text


def _best(results: Results, workload: Workload) -> Taken | None:
    engines = [entry.name for entry in ENTRIES.values() if not entry.only]
    found = [taken for name in engines if (taken := results.of(name, workload.name))]
    best = min if workload.fewer_is_better else max
    return best(found, key=lambda taken: taken.median, default=None)


def _missing(results: Results) -> str:
    return "\n".join(
        f"- {ENTRIES[taken.peer].title} did not do “{WORKLOADS[taken.workload].title}”: {taken.missing}"
        for taken in results.taken
        if taken.missing
    )


def spread() -> str:
    """Everything between its slowest and its fastest round."""
    results = Results.load()
    rows = []
    for entry in ENTRIES.values():
        for workload in WORKLOADS.values():
            if taken := results.of(entry.name, workload.name):
                low, middle, high = map(number, (min(taken.values), taken.median, max(taken.values)))
                rows.append([entry.title, workload.title, low, middle, high, workload.unit, str(len(taken.values))])
    return _table(["", "", "lowest", "median", "highest", "", "rounds"], rows)


def goals() -> str:
    """What the project wants, and what came of it."""
    rows = [
        [found.goal.said, ENTRIES[found.rival].title, f"{found.ratio:.2f} ×", "met" if found.met else "**missed**"]
        for found in reached(Results.load())
    ]
    return _table(["what is wanted", "held against", "ratio", ""], rows)


def settings() -> str:
    """How each was set up."""
    results = Results.load()
    measured = {taken.peer for taken in results.taken}
    rows = [[entry.title, entry.settings] for entry in ENTRIES.values() if entry.name in measured]
    return _table(["", "settings"], rows)


def machine() -> str:
    """On what it was measured, and with which versions."""
    results = Results.load()
    said = "; ".join(f"{name}: {value}" for name, value in results.place.items())
    used = ", ".join(f"{name} {value}" for name, value in results.versions.items())
    return f"{said}.\n\n{used}."


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _table(heads: list[str], rows: Iterable[list[str]], *, right: bool = False) -> str:
    rule = ["---", *(("---:" if right else "---") for _ in heads[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, rule, *rows])
