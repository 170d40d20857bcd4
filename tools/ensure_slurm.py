"""See to it that the tests find Slurm's daemons and commands: with apt where we may."""

from __future__ import annotations

import sys
import time

from tests.slurm_server import PROGRAMS, installed
from tools.apt import install


def main() -> None:
    """Install what is missing, or say in a sentence what to do."""
    if installed():
        return
    began = time.monotonic()
    print("Slurm is missing; installing it for the tests ...", flush=True)
    install("slurm-wlm", "slurm-wlm-basic-plugins")
    if not installed():
        wanted = ", ".join(PROGRAMS)
        sys.exit(f"The tests need Slurm ({wanted}), and it could not be installed: install slurm-wlm.")
    print(f"Installed Slurm in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
