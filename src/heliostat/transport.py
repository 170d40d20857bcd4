"""The seam to the machine where a batch system's commands run. The docstring of ``Transport`` is the contract.

It has one verb, for files travel as what a script reads or prints: ``tar -xf -`` there puts some, ``tar -cf -`` gets
some. So whatever can run a script can carry a batch system.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing import IO


@dataclass(frozen=True, slots=True)
class Ran:
    """How a script ended. ``stdout`` is empty where it went to a file."""

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""

    @property
    def said(self) -> str:
        """What it complained of, or else what it printed, as text for people."""
        return (self.stderr.strip() or self.stdout.strip()).decode(errors="replace")[-2000:]


class Transport(Protocol):
    """A machine where scripts can be run: this one, or one that is reached by ssh."""

    @property
    def place(self) -> str:
        """Which machine it is, for people; two transports of the same place lead to the same files."""
        ...

    @property
    def here(self) -> bool:
        """Whether files have the same paths there as here, so that none has to be carried."""
        ...

    def run(
        self,
        script: str,
        *arguments: str,
        stdin: bytes | IO[bytes] = b"",
        stdout: IO[bytes] | None = None,
        timeout: float,
    ) -> Ran:
        """Run a script of ``/bin/sh`` there, with arguments as ``$1`` and on, and wait for its end.

        What it reads and prints are bytes, or files that are open here. Any thread may call it, and several may at
        the same time. An exit code other than 0 is an answer, not an error.

        Raises OperatorError when the machine cannot be reached, or when the script has not ended within ``timeout``
        seconds. Then nothing is known of what became of it: it may not have begun, and it may still run.
        """
        ...
