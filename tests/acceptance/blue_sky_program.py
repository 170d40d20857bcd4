"""A program of a step: it does as its subject says, and leaves a line when it begins and when it ends."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


def note(given: dict[str, Any], word: str) -> None:
    """A line in the log of all programs; lines of several of them are whole."""
    line = f"{time.monotonic_ns()} {word} {given['state']} {given['name']} {os.getpid()}\n"
    with (Path(given["marks"]) / "log").open("a", encoding="utf-8") as log:
        log.write(line)


def main(source: str, target: str) -> int:
    """Act."""
    given = json.loads(Path(source).read_text("utf-8"))
    does = given.get("does", {}).get(given["state"], {})
    if does.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(given, "begin")
    while "until" in does and not (Path(given["marks"]) / does["until"]).exists():
        time.sleep(0.02)
    taken = bytearray(does.get("megabytes", 0) << 20)
    taken[::4096] = b"x" * len(taken[::4096])
    while does.get("hold") and not (Path(given["marks"]) / "go").exists():  # the end of the test, at the latest
        time.sleep(0.05)
    lines = (Path(given["marks"]) / "log").read_text("utf-8").splitlines()
    tries = sum(f" begin {given['state']} {given['name']} " in f"{line} " for line in lines)
    note(given, "end")
    if tries <= does.get("fails", 0) or (Path(given["marks"]) / f"broken-{given['name']}").exists():
        sys.stderr.write(f"no luck in try {tries}\n")
        return 1
    Path(target).write_text(json.dumps({"name": given["name"], "n": given.get("n", 0) + 1}), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[2], sys.argv[4]))
