"""Everything that must hold: style, types, the direction of imports, and then every test.

    python -m tools.check [arguments for pytest]

All stages run, so that one look shows all that is wrong; what only reads the code does so side by side.
Pytest comes last and alone, so that nothing slows its tests down and its closing line is the last one printed.
The exit status is zero only if every stage passed.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
MOST = 4  #: processes that run tests; each has servers of its own


def main(arguments: list[str]) -> int:
    """Run the stages and answer the exit status."""
    stages = {  # the longest first
        "pyright": ["basedpyright", "--pythonpath", sys.executable],
        "mypy": ["mypy", "--no-error-summary", *_typed()],
        "lint-imports": ["lint-imports", "--no-logo"],
        "ruff check": ["ruff", "check", "--quiet", "."],
        "ruff format": ["ruff", "format", "--quiet", "--diff", "."],
        "changelog": ["towncrier", "build", "--draft", "--version", "next"],
    }
    _head(", ".join(stages))
    with ThreadPoolExecutor(os.cpu_count()) as beside:
        passed = list(beside.map(_passes, stages, stages.values()))
    failed = [name for name, well in zip(stages, passed, strict=True) if not well]
    # The seed is chosen here, so that the line above the tests says how to repeat their order.
    seed = random.SystemRandom().randrange(1 << 16)
    options = ["-q", f"--randomly-seed={seed}", "--durations=5", "--durations-min=1"]
    if not arguments:  # many tests wait for others, so several at once are done sooner, and one more than processors
        options += ["--numprocesses", str(min((os.cpu_count() or 1) + 1, MOST)), "--dist", "worksteal"]
    _head(f"pytest {' '.join([*options, *arguments])}")
    if failed:
        print(f"Failed so far: {', '.join(failed)} (see above)", flush=True)
    tests = _run(["pytest", *options, *arguments]).returncode
    return tests or bool(failed)


def _typed() -> list[str]:
    """List what pyproject.toml says mypy reads, as far as it is there."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [path for path in settings["tool"]["mypy"]["files"] if (ROOT / path).exists()]


def _passes(name: str, command: list[str]) -> bool:
    """Run one stage; show what it said only if it failed."""
    began = time.monotonic()
    ran = _run(command, capture_output=True)
    passed = ran.returncode == 0
    said = f"{name} {'passed' if passed else 'FAILED'} in {time.monotonic() - began:.1f} s\n"
    print(said if passed else f"{ran.stdout}{ran.stderr}{said}", end="", flush=True)
    return passed


def _head(title: str) -> None:
    print(f"\n== {title}", flush=True)


def _run(command: list[str], *, capture_output: bool = False) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=capture_output, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
