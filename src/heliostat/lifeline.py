"""The lifeline: a pipe on which nothing is written, by which a process and its group end with whoever began it."""

from __future__ import annotations

import fcntl
import os
import signal
import sys


def die_with(parent: int, lifeline: int) -> None:
    """Have the kernel, where it can, kill this process group when nobody holds the other end of a pipe any more.

    No thread is needed for it: some functions keep the interpreter to themselves for hours.
    """
    os.set_inheritable(lifeline, False)
    if sys.platform == "linux":
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if os.getppid() != parent:
        sys.exit(1)


def main() -> None:
    """Become another program that ends with its parent: the parent's number, the pipe and the command are given."""
    parent, lifeline = map(int, sys.argv[1:3])
    die_with(parent, lifeline)
    os.set_inheritable(lifeline, True)  # what was asked of the kernel holds for the pipe, whoever has it
    os.execv(sys.argv[3], sys.argv[3:])  # noqa: S606 - a program, without a shell
