"""Extract, transform, load: a day of river gauges, with a branch, something optional, and an answer if it fails.

    extract ── validate ─┬─ "clean" ───────────────┐
       │                 └─ "mendable" ── mend ────┤ (where it was needed)
       ├───────────────────────────────────────────┼─ load ── peaks
       └── places (may fail) ──────────────────────┘             report, if the run failed

    heliostat run start examples/etl.py --wait                    # or: broken=0 gauges=@gauges.db
    python examples/etl.py

The levels are made up, a flood wave that runs down the Rhine; the gauges and their kilometres are real.
"""

from __future__ import annotations

import csv
import math
import random
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Literal

import heliostat
from heliostat import Artifact, Context, Fail, Workflow

STEP = timedelta(minutes=15)
GAUGES = {"MAXAU": 362, "SPEYER": 401, "WORMS": 443, "MAINZ": 498, "KAUB": 546, "KOBLENZ": 592, "KOELN": 688}
HIGHEST = 1200  # cm: no gauge has ever shown more


@dataclass
class Delivery:
    """Which day, and how much of it is to arrive broken; ``gauges`` is an SQLite file with their places, if any."""

    day: str = "2026-01-31"
    broken: float = 0.04
    seed: int = 1
    gauges: Path | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", self.day):
            raise ValueError(f"day must be like 2026-01-31, not {self.day!r}")
        date.fromisoformat(self.day)
        if not 0 <= self.broken <= 1:
            raise ValueError(f"broken is a share, 0 to 1, not {self.broken:g}")


etl = Workflow("etl")


@etl.node
def extract(ctx: Context, message: Delivery) -> Path:
    """What the gauges have sent, as they sent it: here it is made up."""
    return write(ctx.dir / "delivered.csv", deliver(message))


@etl.node
def validate(extract: Path) -> Literal["clean", "mendable"] | Fail:
    """Decide by what is there where the run goes on; the string that it returns is the branch that is taken."""
    rows = read(extract)
    wrong = sum(level(row) is None for row in rows) / len(rows)
    if wrong > 0.25:
        return Fail(f"{wrong:.0%} of {len(rows)} readings are no levels; is this the right file?")
    return "mendable" if wrong else "clean"


@etl.node(after=validate["mendable"])
def mend(ctx: Context, extract: Path) -> Path:
    """Put what lies between its neighbours where a reading is missing; skipped where all is well."""
    rows = read(extract)
    mended = 0
    for gauge in GAUGES:
        of_gauge = [row for row in rows if row["gauge"] == gauge]
        good = [(place, found) for place, row in enumerate(of_gauge) if (found := level(row)) is not None]
        for place, row in enumerate(of_gauge):
            if level(row) is None:
                row["cm"] = str(round(between(place, good)))
                mended += 1
    ctx.log("mended", readings=mended)
    return write(ctx.dir / "mended.csv", rows)


@etl.node(may_fail=True)
def places(message: Delivery) -> dict[str, int]:
    """Kilometres by gauge, from another database: good to have, and no reason to stop if it is not there."""
    if message.gauges is None:
        return GAUGES
    with closing(sqlite3.connect(message.gauges)) as catalogue:
        return dict(catalogue.execute("select name, km from gauge"))


@etl.node(after=validate)
def load(ctx: Context, extract: Path, mend: Path | None = None, places: dict[str, int] | None = None) -> Artifact:
    """Put all into a database; what has a default may be missing, and is None where its node was skipped or failed."""
    path = ctx.dir / "levels.db"
    known = places or {}
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("create table level (gauge text, km integer, at text, cm integer, primary key (gauge, at))")
        rows = [(row["gauge"], known.get(row["gauge"]), row["at"], level(row)) for row in read(mend or extract)]
        database.executemany("insert into level values (?, ?, ?, ?)", rows)
    return ctx.artifact(path, media_type="application/vnd.sqlite3", tags=("database",))


@etl.node
def peaks(load: Path) -> list[dict[str, str | int | None]]:
    """When the wave passed each gauge: a query, by way of an example."""
    with closing(sqlite3.connect(load)) as database:
        found = database.execute("select gauge, km, at, max(cm) from level group by gauge order by at").fetchall()
    return [{"gauge": gauge, "km": km, "at": at, "cm": cm} for gauge, km, at, cm in found]


@etl.node(on="failed")
def report(ctx: Context, message: Delivery) -> str:
    """Tell somebody: it runs when the run has failed, and cannot change that."""
    assert ctx.failure is not None
    return f"nothing loaded for {message.day}: {ctx.failure.error}"


# the data


def deliver(order: Delivery) -> list[dict[str, str]]:
    """A flood wave of two metres that travels at six kilometres an hour, every quarter of an hour, partly broken."""
    chance, start = random.Random(order.seed), datetime.fromisoformat(order.day)
    rows = []
    for gauge, km in GAUGES.items():
        passes = timedelta(hours=4 + (km - 362) / 20)
        for step in range(96):
            at = start + step * STEP
            wave = 210 * math.exp(-(((at - start - passes) / timedelta(hours=5)) ** 2))
            cm = str(round(420 + wave + chance.gauss(0, 1.5)))
            if chance.random() < order.broken:
                cm = chance.choice(("", "-999", "n/a", "31276"))
            rows.append({"gauge": gauge, "at": at.isoformat(timespec="minutes"), "cm": cm})
    return rows


def level(row: dict[str, str]) -> int | None:
    """The level of a reading in cm, or None if it is none."""
    cm = row["cm"]
    return int(cm) if cm.isdecimal() and int(cm) <= HIGHEST else None


def between(place: int, good: list[tuple[int, int]]) -> float:
    """The level at a place, on the line between the good readings on both sides of it."""
    before = max((pair for pair in good if pair[0] < place), default=good[0])
    after = min((pair for pair in good if pair[0] > place), default=good[-1])
    if before[0] == after[0]:
        return before[1]
    return before[1] + (after[1] - before[1]) * (place - before[0]) / (after[0] - before[0])


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write rows as CSV, and return the path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


if __name__ == "__main__":
    with heliostat.open() as engine:
        run = engine.run(etl, Delivery())
        for peak in run.result(peaks):
            print(f"{peak['gauge']:8} km {peak['km']}  {peak['at']}  {peak['cm']} cm")
        print("run", run.id, "kept", *(artifact.name for artifact in run.artifacts("database")))
