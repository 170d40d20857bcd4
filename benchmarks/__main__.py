"""``python -m benchmarks``: a line of JSON per figure on stdout, a table for people on stderr."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
from dataclasses import asdict, replace

from rich.console import Console
from rich.table import Table

from benchmarks.databases import Databases
from benchmarks.figures import FIGURES, QUICK, Bench, Figure, Sizes
from benchmarks.measure import MeasureError
from tests.postgres_server import NoPostgresError
from tests.slurm_server import NoSlurmError


def main() -> int:
    """Take the figures that are asked for; 1 if one could not be taken, whatever the others came to."""
    asked = arguments()
    names = [name for name in FIGURES if not asked.only or {name, *name.split("/")} & set(asked.only)]
    sizes = QUICK if asked.quick else Sizes()
    sizes = replace(sizes, rounds=asked.rounds, job_rounds=asked.rounds) if asked.rounds else sizes
    sizes = replace(sizes, jobs=asked.jobs) if asked.jobs else sizes
    people, table, failed = Console(stderr=True), heading(), []
    with Databases() as databases:
        people.print(place(databases))
        for name in names:
            try:
                with people.status(name) as status:
                    figures = FIGURES[name](Bench(databases, sizes, asked.write, status.update))
            except (MeasureError, NoPostgresError, NoSlurmError) as error:
                failed.append(name)
                print(
                    json.dumps({"name": name, "value": None, "ok": False, "error": str(error).splitlines()[-1]}),
                    flush=True,
                )
                people.print(f"{name}: {error}", style="red", markup=False)
                continue
            for figure in figures:
                print(json.dumps(asdict(figure), ensure_ascii=False), flush=True)
                table.add_row(*row(figure))
    people.print(table)
    return 1 if failed else 0


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"figures or stores: {', '.join(FIGURES)}")
    parser.add_argument("--quick", action="store_true", help="small loads, once: whether it runs, not how fast")
    parser.add_argument("--rounds", type=int, help="how often each measure is taken")
    parser.add_argument("--jobs", type=int, help="how many jobs are given to Slurm at a time (1,000)")
    parser.add_argument("--write", action="store_true", help="keep what is told of jobs, and renew its page")
    asked = parser.parse_args()
    words = {word for name in FIGURES for word in (name, *name.split("/"))}
    if unknown := set(asked.only or ()) - words:
        parser.error(f"there is no figure {', '.join(sorted(unknown))}")
    return asked


def place(databases: Databases) -> str:
    """On what it was measured."""
    python, sqlite = platform.python_version(), sqlite3.sqlite_version
    busy, commit = os.getloadavg()[0], databases.commit_seconds() * 1e6
    return f"Python {python}, SQLite {sqlite}, {os.cpu_count()} cores (load {busy:.1f}), a page kept in {commit:.0f} µs"


def heading() -> Table:
    """The table without its rows."""
    table = Table("figure", box=None)
    for title in ("value", "", "against", "ratio", "target"):
        table.add_column(title, justify="left" if title in ("", "target") else "right")
    return table


def row(figure: Figure) -> list[str]:
    """A figure as people read it."""
    mark = {True: "[green]✓[/] ", False: "[red]✗[/] ", None: ""}[figure.ok]
    base = "" if figure.base is None else number(figure.base)
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return [figure.name, number(figure.value), figure.unit, base, ratio, mark + (figure.target or "")]


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
