"""``python -m benchmarks.peers``: a line of JSON per measure on stdout, a table for people on stderr.

Measures are taken in turn: in each round every workload, and under each workload every peer, each in a process and on
a database of its own. So a slow minute of the machine falls on all alike. SIGINT (Ctrl-C) or SIGTERM
ends it early, with what there is.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmarks.peers import machine
from benchmarks.peers.catalogue import ENTRIES
from benchmarks.peers.goals import reached
from benchmarks.peers.measure import measured
from benchmarks.peers.page import number
from benchmarks.peers.results import Results, Taken
from benchmarks.peers.servers import Servers
from benchmarks.peers.workloads import QUICK, WORKLOADS
from benchmarks.peers.write import write

if TYPE_CHECKING:
    from benchmarks.peers.catalogue import Entry
    from benchmarks.peers.workloads import Workload

PEOPLE = Console(stderr=True)
TRIES = 2  #: a peer that fails so often under a workload is not asked again


def main() -> int:
    """Measure; 1 if one of Heliostat's own measures could not be taken."""
    asked, began = arguments(), time.monotonic()
    if asked.redraw:
        write(Results.load())
        return 0
    entries = [
        entry for name, entry in ENTRIES.items() if not asked.peers or {name, name.split("/")[0]} & set(asked.peers)
    ]
    workloads = [WORKLOADS[name] for name in asked.only or WORKLOADS]
    with Servers() as servers:
        place = machine.place(servers.databases)
        versions = machine.versions(entries, servers.databases)
        PEOPLE.print(", ".join([*place.values(), *(f"{name} {value}" for name, value in versions.items())]))
        taken = take(servers, entries, workloads, rounds=asked.rounds, quick=asked.quick)
    minutes = (time.monotonic() - began) / 60
    loads = "small (--quick)" if asked.quick else "whole"
    place |= {"loads": loads, "rounds": str(asked.rounds), "minutes": f"{minutes:.0f}"}
    results = Results(place, versions, taken)
    for one in taken:
        print(json.dumps(one.line(), ensure_ascii=False), flush=True)
    show(results)
    if asked.write:
        write(results)
    return int(any(one.missing and ENTRIES[one.peer].ours for one in taken))


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    names = sorted({name for entry in ENTRIES for name in (entry, entry.split("/")[0])})
    parser.add_argument("--peers", nargs="+", choices=names, metavar="PEER", help=", ".join(names))
    parser.add_argument("--only", nargs="+", choices=list(WORKLOADS), metavar="NAME", help=", ".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=5, help="how often each measure is taken (5)")
    parser.add_argument("--quick", action="store_true", help="small loads: whether it runs, not how fast")
    parser.add_argument("--write", action="store_true", help="keep the results, and renew page and picture")
    parser.add_argument(
        "--redraw", action="store_true", help="renew page and picture from what was kept; measure nothing"
    )
    return parser.parse_args()


def take(servers: Servers, entries: list[Entry], workloads: list[Workload], *, rounds: int, quick: bool) -> list[Taken]:
    """All measures, in turn."""
    taken = {
        (entry.name, workload.name): Taken(entry.name, workload.name, sizes(entry, workload, quick=quick))
        for entry in entries
        for workload in workloads
        if not entry.only or workload.name in entry.only
    }
    failures: dict[tuple[str, str], list[str]] = {key: [] for key in taken}
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    turns = [(turn, load, entry) for turn in range(rounds) for load in workloads for entry in entries]
    with suppress(KeyboardInterrupt):  # what was taken until then is shown, and kept
        for turn, load, entry in turns:
            key = (entry.name, load.name)
            if key not in taken or len(failures[key]) >= TRIES:
                continue
            with PEOPLE.status(f"round {turn + 1} of {rounds}: {load.name} on {entry.title}"):
                try:
                    taken[key].values.append(measured(servers, entry, load, taken[key].sizes))
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    failures[key].append(str(error).splitlines()[-1])
                    PEOPLE.print(f"{entry.name}, {load.name}: {error}", style="red", markup=False)
    return [
        replace(one, missing="" if one.values else failures[key][-1])
        for key, one in taken.items()
        if one.values or failures[key]
    ]


def sizes(entry: Entry, workload: Workload, *, quick: bool) -> dict[str, int]:
    """How large a workload is for a peer."""
    whole = {**workload.sizes, **entry.sizes.get(workload.name, {})}
    small = QUICK.get(workload.name, {}) if quick else {}
    return {name: min(size, small.get(name, size)) for name, size in whole.items()}


def show(results: Results) -> None:
    """The table for people, and the ratios."""
    loads = [load for load in WORKLOADS if any(one.workload == load for one in results.taken)]
    table = Table("", box=None, title="medians")
    for load in loads:
        table.add_column(f"{load}\n{WORKLOADS[load].unit}", justify="right")
    for name, entry in ENTRIES.items():
        found = [results.of(name, load) for load in loads]
        if any(found):
            table.add_row(entry.title, *(cell(one) for one in found))
    PEOPLE.print(table)
    for one in reached(results):
        mark = "[green]✓[/]" if one.met else "[red]✗[/]"
        PEOPLE.print(f"{mark} {one.goal.said}: {one.ratio:.2f} × ({ENTRIES[one.rival].title})")
        print(json.dumps({"goal": one.goal.said, "against": one.rival, "ratio": round(one.ratio, 3), "ok": one.met}))


def cell(one: Taken | None) -> str:
    """A median as people read it, with the size where it is smaller."""
    return "" if one is None else f"{number(one.median)} {f'({one.scaled})' if one.scaled else ''}".strip()


if __name__ == "__main__":
    sys.exit(main())
