"""The report for people: a table on stderr, and each violation as it is found."""

from __future__ import annotations

import os
import platform
import sqlite3
from contextlib import AbstractContextManager

from rich.console import Console
from rich.table import Table

from torture.campaign import Outcome

SHOWN = 8  #: violations of a campaign that people are shown


class People:
    """Whoever reads along."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._table = Table("ground", "fault", box=None)
        for title in ("workers", "runs", "tasks", "faults", "rescues", "lost", "repeated", "stuck", "other", "quiet s"):
            self._table.add_column(title, justify="right")
        for title in ("before /s", "during /s", "after /s", "after:before"):
            self._table.add_column(title, justify="right")

        self._mutants = Table("mutant", "ground", "fault", "caught by", box=None)

    def place(self) -> None:
        """On what it is carried out."""
        load = os.getloadavg()[0]
        python, sqlite = platform.python_version(), sqlite3.sqlite_version
        self._console.print(f"Python {python}, SQLite {sqlite}, {os.cpu_count()} cores (load {load:.1f})")

    def busy(self, what: str) -> AbstractContextManager[object]:
        """Say what is being done."""
        return self._console.status(what)

    def tell(self, outcome: Outcome) -> None:
        """One row, and what was found."""
        for violation in outcome.violations[:SHOWN]:
            self._console.print(f"{outcome.ground} {outcome.fault}: {violation}", style="red", markup=False)
        if len(outcome.violations) > SHOWN:
            self._console.print(f"… and {len(outcome.violations) - SHOWN} more", style="red")
        if outcome.trouble:
            self._console.print(f"{outcome.ground} {outcome.fault}: {outcome.trouble}", style="red", markup=False)
        if outcome.submissions:
            counted = f"{outcome.runs:,} points, {outcome.deaths:,} deaths, {outcome.submissions:,} submissions"
            self._console.print(f"{outcome.ground} {outcome.fault}: {counted}", markup=False)
        numbers = (outcome.workers, outcome.runs, outcome.tasks, outcome.faults, outcome.rescues)
        found = (outcome.lost, outcome.repeated, outcome.stuck, outcome.wrong)
        quiet = "never" if outcome.quiet_seconds is None else f"{outcome.quiet_seconds:.1f}"
        rates = (f"{rate:,.0f}" for rate in (outcome.before, outcome.during, outcome.after))
        ratio = "" if outcome.ratio is None else f"{outcome.ratio:.2f}"
        counts = [f"{number:,}" for number in (*numbers, *found)]
        self._table.add_row(outcome.ground, outcome.fault, *counts, quiet, *rates, ratio)

    def tell_mutant(self, name: str, ground: str, fault: str, by: str) -> None:
        """One row of the table of defects."""
        self._mutants.add_row(name, ground, fault, by or "[red]escaped[/]")

    def close(self) -> None:
        """The tables."""
        for table in (self._table, self._mutants):
            if table.row_count:
                self._console.print(table)
