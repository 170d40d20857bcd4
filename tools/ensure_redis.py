"""See to it that the benchmark beside peers finds Redis, which some of them join with: with apt where we may."""

from __future__ import annotations

import shutil
import sys
import time

from tools.apt import install


def main() -> None:
    """Install what is missing, or say in a sentence what to do."""
    if shutil.which("redis-server"):
        return
    began = time.monotonic()
    print("Redis is missing; installing it for the benchmark ...", flush=True)
    install("redis-server")
    if not shutil.which("redis-server"):
        sys.exit("Celery, Dramatiq and Taskiq need Redis here, and it could not be installed: install redis-server.")
    print(f"Installed Redis in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
