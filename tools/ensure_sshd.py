"""See to it that the tests find an sshd: with apt where we may."""

from __future__ import annotations

import sys
import time

from tests.ssh_server import PROGRAM, installed
from tools.apt import install


def main() -> None:
    """Install what is missing, or say in a sentence what to do."""
    if installed():
        return
    began = time.monotonic()
    print("sshd is missing; installing it for the tests ...", flush=True)
    install("openssh-server")
    if not installed():
        sys.exit(f"The tests need {PROGRAM}, and it could not be installed: install openssh-server.")
    print(f"Installed sshd ({PROGRAM}) in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
