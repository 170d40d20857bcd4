"""Everything that must hold: style, types, the direction of imports, and then every test.

    python -m tools.check [arguments for pytest]

All stages run, so that one look shows all that is wrong.
Pytest comes last, so that its closing line is the last one printed.
The exit status is zero only if every stage passed.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
MOST = 4  #: processes that run tests; each has a database server of its own


def main(arguments: list[str]) -> int:
    """Run the stages and answer the exit status."""
    stages = {
        "ruff check": ["ruff", "check", "--quiet", "."],
        "ruff format": ["ruff", "format", "--quiet", "--diff", "."],
        "mypy": ["mypy", "--no-error-summary", *_typed()],
        "pyright": ["basedpyright", "--pythonpath", sys.executable],
        "lint-imports": ["lint-imports", "--no-logo"],
        "changelog": ["towncrier", "build", "--draft", "--version", "next"],
    }
    failed = [name for name, command in stages.items() if not _passes(name, command)]
    # The seed is chosen here, so that the line above the tests says how to repeat their order.
    seed = random.SystemRandom().randrange(1 << 16)
    options = ["-q", f"--randomly-seed={seed}", "--durations=5", "--durations-min=1"]
    if not arguments:  # some of all tests wait for others, so several at once are done sooner
        options += ["--numprocesses", str(min(os.cpu_count() or 1, MOST)), "--dist", "worksteal"]
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
    _head(name)
    began = time.monotonic()
    ran = _run(command, capture_output=True)
    passed = ran.returncode == 0
    if not passed:
        print(ran.stdout + ran.stderr, end="")
    print(f"{name} {'passed' if passed else 'FAILED'} in {time.monotonic() - began:.1f} s", flush=True)
    return passed


def _head(title: str) -> None:
    print(f"\n== {title}", flush=True)


def _run(command: list[str], *, capture_output: bool = False) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=capture_output, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
