"""Scripts on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from heliostat.errors import OperatorError
from heliostat.secret import public
from heliostat.transport import Ran
from heliostat.transports.words import check, line, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

LONGEST_BYTES, ALL_BYTES = 100_000, 500_000  #: of the arguments of a program; Linux takes 131,072 for each


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
        with _command(script, arguments) as (command, descriptors):
            child = subprocess.Popen(
                command,
                env=public(os.environ),
                pass_fds=descriptors,
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


@contextmanager
def _command(script: str, arguments: tuple[str, ...]) -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """The program that runs a script, and the open files it needs: what is too long for arguments lies in one."""
    words = [os.fsencode(word) for word in (script, *arguments)]
    check(script, *arguments)
    if max(map(len, words)) < LONGEST_BYTES and sum(map(len, words)) < ALL_BYTES:
        yield ["/bin/sh", "-c", script, "sh", *arguments], ()
        return
    with tempfile.TemporaryFile() as file:
        file.write(line(script, arguments))
        file.seek(0)
        yield ["/bin/sh", "-c", read(f"/dev/fd/{file.fileno()}"), "sh"], (file.fileno(),)


def _kill(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    for pipe in filter(None, (child.stdin, child.stdout, child.stderr)):
        with suppress(BrokenPipeError):  # what was not sent is not wanted any more
            pipe.close()
    child.wait()
