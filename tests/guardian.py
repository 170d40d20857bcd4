"""Keep a server for as long as somebody holds the other end of standard input, then stop it and tidy up.

    python tests/guardian.py --signal SIGQUIT --user postgres DIRECTORY COMMAND...

A test process can end in ways that run no `finally`: SIGTERM, a time-out's `os._exit`, kill -9.
A pipe is closed by the kernel in all of them, so the guardian reads one.
When it ends, the server gets the signal and is waited for (where no init runs, nobody else reaps it), and
DIRECTORY, with the server's `log` in it, is removed.
When the server ends by itself, the guardian closes its standard output, so that whoever waits learns at once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

GRACE_SECONDS = 20


def main() -> None:
    """Guard one server."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    # A shell starts its background jobs with these ignored, and the server would inherit that.
    for inherited in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(inherited, signal.SIG_DFL)
    try:
        with (asked.directory / "log").open("ab") as log:
            server = subprocess.Popen(
                asked.command,
                cwd="/",
                user=asked.user,
                group=asked.user,
                extra_groups=[] if asked.user else None,
                process_group=0,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            _wait(server)
        finally:
            _stop(server, signal.Signals[asked.signal])
    finally:
        shutil.rmtree(asked.directory, ignore_errors=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Keep a server until standard input ends.")
    parser.add_argument("--signal", default="SIGTERM", help="what stops the server")
    parser.add_argument("--user", help="whose process the server is; default: ours")
    parser.add_argument("directory", type=Path, help="the server's own; removed at the end")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser.parse_args()


def _wait(server: subprocess.Popen[bytes]) -> None:
    """Return when standard input has ended; tell when the server has."""
    told = False
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        if not told and server.poll() is not None:
            os.close(sys.stdout.fileno())
            told = True


def _stop(server: subprocess.Popen[bytes], with_signal: signal.Signals) -> None:
    """Stop the server and what it started, first kindly."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, with_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(GRACE_SECONDS)
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


if __name__ == "__main__":
    main()
