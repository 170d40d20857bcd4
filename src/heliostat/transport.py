"""The seam to the machine where a batch system's commands run. The docstring of ``Transport`` is the contract.

It has one verb, for files travel as what a script reads or prints: ``tar -xf -`` there puts some, ``tar -cf -`` gets
some. So whatever can run a script can carry a batch system.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Protocol

from heliostat.errors import BadInput

if TYPE_CHECKING:
    from typing import IO

_ADDRESS = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][^\s:/'\"\\]*)@)?"  # nothing that a shell or an option could be made of
    r"(?:(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]*)|\[(?P<number>[0-9A-Fa-f:.]+(?:%\w+)?)\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a machine is: ``user@host:port``, of which only ``host`` has to be said.

    A host is a name that ``~/.ssh/config`` or the network knows, or a number (of IPv6 in brackets).
    """

    host: str
    user: str = ""
    port: int | None = None

    @classmethod
    def of(cls, text: object, where: str) -> Address:
        """Read one; raises BadInput, which names ``where`` it stands."""
        found = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
        if found is None or not 0 < int(found["port"] or 1) < 1 << 16:
            raise BadInput(
                f"{where}: {shortened(text)} is no address; "
                "write a name from ~/.ssh/config, user@host, or user@host:port"
            )
        return cls(found["host"] or found["number"], found["user"] or "", int(found["port"]) if found["port"] else None)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (f"{self.user}@" if self.user else "") + host + (f":{self.port}" if self.port else "")


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
