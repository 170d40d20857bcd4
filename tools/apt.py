"""Install packages of Debian's where we may.

It asks for no password: a test run that stops and waits for one is worse than a sentence.
"""

from __future__ import annotations

import os
import shutil
import subprocess


def install(*packages: str) -> None:
    """Install packages, as root or with a `sudo` that asks nothing; else leave things as they are."""
    if shutil.which("apt-get") is None:
        return
    if os.getuid() == 0:
        become_root = []
    elif shutil.which("sudo") and succeeds(["sudo", "-n", "true"]):
        become_root = ["sudo", "-n"]
    else:
        return
    apt = [*become_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    apt += ["-o", "DPkg::Lock::Timeout=500"]  # another installation may be under way
    if succeeds([*apt, "update"], say=True):
        succeeds([*apt, "install", "-y", "--no-install-recommends", *packages], say=True)


def succeeds(command: list[str], *, say: bool = False) -> bool:
    """Run a command; show what it said only if it failed and somebody wants to know."""
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if say and ran.returncode != 0:
        print(ran.stdout + ran.stderr)
    return ran.returncode == 0
