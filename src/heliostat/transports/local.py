"""Scripts on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from heliostat.errors import OperatorError
from heliostat.secret import public
from heliostat.transport import Ran

if TYPE_CHECKING:
    from typing import IO


class LocalTransport:
    """``heliostat.transport.Transport`` is the contract.

    A script is in a session of its own: it lives through the end of this process, and what was begun is carried to its
    end. One that takes too long is killed with all that it has started.
    """

    here = True

    @property
    def place(self) -> str:
        """This machine."""
        return socket.gethostname()

    def run(
        self,
        script: str,
        *arguments: str,
        stdin: bytes | IO[bytes] = b"",
        stdout: IO[bytes] | None = None,
        timeout: float,
    ) -> Ran:
        """Run it as a child of this process."""
        child = subprocess.Popen(
            ["/bin/sh", "-c", script, "sh", *arguments],
            env=public(os.environ),
            stdin=subprocess.PIPE if isinstance(stdin, bytes) else stdin,
            stdout=stdout or subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            said, complained = child.communicate(stdin if isinstance(stdin, bytes) else None, timeout)
        except subprocess.TimeoutExpired:
            _kill(child)
            raise OperatorError(f"a command on {self.place} has not ended within {timeout:g} s") from None
        except BaseException:
            _kill(child)
            raise
        return Ran(child.returncode, said or b"", complained)


def _kill(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
