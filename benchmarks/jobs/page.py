"""The parts of the docs' page about jobs that come from what was measured."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.jobs.catalogue import ENTRIES
from benchmarks.jobs.results import Results
from tools import docs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.jobs.results import Taken

PAGE = Path(__file__).resolve().parents[2] / "docs" / "a-thousand-jobs.md"


def table() -> str:
    """The medians of the rounds."""
    results = Results.load()
    heads = [
        "",
        "processor time<br>ms/job",
        "without `sbatch`, `squeue`<br>ms/job",
        "end → next step<br>median, s",
        "longest<br>s",
        "submissions",
        "questions",
        "in all<br>s",
    ]
    rows = [_row(results, taken) for entry in ENTRIES if (taken := results.of(entry))]
    failed = [one for one in results.taken if one.missing]
    missing = [f"- {ENTRIES[one.entry].title} could not be measured: {one.missing}" for one in failed]
    return "\n\n".join(filter(None, [_table(heads, rows), "\n".join(missing)]))


def _row(results: Results, taken: Taken) -> list[str]:
    found, without = taken.measures, results.without(taken.entry)
    return [
        ENTRIES[taken.entry].title,
        number(statistics.median(results.cpu(taken.entry))),
        "" if without is None else number(without),
        number(results.gap(taken.entry)),
        number(max(each.longest_gap for each in found)),
        number(statistics.median(each.submissions for each in found)),
        number(statistics.median(each.questions for each in found)),
        number(statistics.median(each.whole for each in found)),
    ]


def spread() -> str:
    """Processor time and gaps, from the lowest round to the highest."""
    results = Results.load()
    rows = []
    for entry in ENTRIES:
        if taken := results.of(entry):
            gaps = [each.gap for each in taken.measures]
            for what, values in (("processor time, ms/job", results.cpu(entry)), ("end → next step, s", gaps)):
                low, middle, high = map(number, (min(values), statistics.median(values), max(values)))
                rows.append([ENTRIES[entry].title, what, low, middle, high])
    return _table(["", "", "lowest", "median", "highest"], rows)


def settings() -> str:
    """How each was set up."""
    results = Results.load()
    return _table(["", "settings"], [[one.title, one.settings] for one in ENTRIES.values() if results.of(one.name)])


def machine() -> str:
    """On what it was measured, and with which versions."""
    results = Results.load()
    said = "; ".join(f"{name}: {value}" for name, value in {"jobs": f"{results.count:,}", **results.place}.items())
    used = ", ".join(f"{name} {value}" for name, value in results.versions.items())
    return f"{said}.\n\n{used}."


def renew(results: Results) -> None:
    """Keep results, and write them into the page."""
    results.save()
    PAGE.write_text(docs.filled(PAGE.read_text("utf-8")), "utf-8")


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _table(heads: list[str], rows: Iterable[list[str]]) -> str:
    rule = ["---", *("---:" for _ in heads[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, rule, *rows])
