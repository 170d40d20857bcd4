"""``celery worker`` as a process of its own, for tests that need some of them, or want to kill one.

The process is forked by one that has imported Celery, and then does what the command does.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path


def work(line: Connection, directory: Path, environment: Mapping[str, str], options: Sequence[str]) -> None:
    """Be a worker of Celery's in a directory, where it also logs, until it is told to end, or the line is cut.

    The line is cut when the tests end, however they do: so nothing of it outlives them.
    """
    os.setpgid(0, 0)
    threading.Thread(target=_end_with, args=(line, directory), daemon=True).start()
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    log = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["celery", "-A", "tests.celery_manner", "worker", "--pidfile", str(directory / "pid"), *options]
    from celery.__main__ import main

    main()


def _end_with(line: Connection, directory: Path) -> None:
    with suppress(EOFError, OSError):
        line.recv()
    shutil.rmtree(directory, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)
