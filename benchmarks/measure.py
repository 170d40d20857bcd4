"""One measure in a fresh process, so that neither memory nor warm caches of another one are measured too."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


class MeasureError(Exception):
    """A measure could not be taken; the message is what it said last."""


def measure(module: str, load: str, url: str, folder: Path, **sizes: int) -> dict[str, float]:
    """Carry a load on a fresh database: by the bare loop (`loads`) or by the engine (`engine`)."""
    command = [sys.executable, "-m", "benchmarks.measure", module, load, url, json.dumps(sizes)]
    answer = run(command, folder)
    found: dict[str, float] = json.loads(answer.splitlines()[-1])
    return found


def seconds(command: list[str], folder: Path) -> float:
    """Start a program, and wait for its end."""
    begun_at = time.perf_counter()
    run(command, folder)
    return time.perf_counter() - begun_at


def run(command: list[str], folder: Path) -> str:
    """Run a program that finds this checkout's modules and writes its files into a folder."""
    path = os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    answer = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    if answer.returncode:
        raise MeasureError((answer.stderr or answer.stdout).strip()[-2000:])
    return answer.stdout


def main(module: str, load: str, url: str, sizes: str) -> None:
    """Take the measure, in the process that was started for it."""
    measures = getattr(importlib.import_module(f"benchmarks.{module}"), load)(url, **json.loads(sizes))
    print(json.dumps(measures))


if __name__ == "__main__":
    main(*sys.argv[1:])
