"""One measure of one peer, in a process of its own, so that nothing of another one is left over."""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers import work
from benchmarks.peers.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.peers.catalogue import Entry
    from benchmarks.peers.peer import Peer
    from benchmarks.peers.servers import Servers
    from benchmarks.peers.workloads import Workload

WARM = {"runs": 4, "length": 4, "value": 0}  #: what each does first, so that all is loaded and connected
FEW = 10  #: accepted first, likewise

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 900


def measured(servers: Servers, entry: Entry, workload: Workload, sizes: Mapping[str, int]) -> float:
    """Start a process that takes a measure, and answer what it says.

    Raises:
        RuntimeError: it could not be taken; the message ends with the reason.
    """
    with servers.place(entry.name, entry.needs, leaves="count" in sizes) as place:
        ran = subprocess.run(
            [sys.executable, "-m", __name__, entry.module, workload.name, json.dumps(dict(sizes))],
            cwd=place.folder,
            env=place.environment() | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    if ran.returncode:
        raise RuntimeError((ran.stderr or ran.stdout).strip()[-2000:])
    return float(ran.stdout.splitlines()[-1])


def take(peer: Peer, workload: Workload, sizes: dict[str, int]) -> float:
    """Have a peer carry a workload, and read what is asked for."""
    if "count" in sizes:
        return accepted(peer, sizes["count"])
    with peer.working():
        peer.sequences("step", **WARM)
        work.noted(WARM["runs"] * WARM["length"])
        peer.settled()
        work.clear()
        begun_at = time.monotonic()
        if "width" in sizes:
            peer.fan(sizes["width"])
        else:
            peer.sequences(workload.job, **sizes)
        called_at = time.monotonic()
        times = work.noted(workload.steps(sizes))
        seconds = max(called_at, times[-1], peer.settled()) - begun_at
    if workload.unit == "ms/step":
        return statistics.median(after - before for before, after in pairwise(times)) * 1e3
    return seconds if workload.fewer_is_better else len(times) / seconds


def accepted(peer: Peer, count: int) -> float:
    """How many tasks are kept in a second."""
    with peer.accepting():
        peer.enqueue(FEW)
        begun_at = time.monotonic()
        peer.enqueue(count)
        return count / (time.monotonic() - begun_at)


def main(module: str, workload: str, sizes: str) -> None:
    """Take the measure, in the process that was started for it."""
    peer = importlib.import_module(f"benchmarks.peers.drivers.{module}").PEER()
    print(json.dumps(take(peer, WORKLOADS[workload], json.loads(sizes))))


if __name__ == "__main__":
    main(*sys.argv[1:])
