"""Scripts on another machine, by OpenSSH's own client.

So all that the user's ``~/.ssh/config`` says is true here as well: names, jump hosts, agents, Kerberos. One connection
carries the scripts of all processes of a user. The first that needs it logs in, and OpenSSH keeps it up in the
background (``ControlMaster``); all others go through its socket and could not log in if they wanted to. Where the
user's configuration has a ``ControlPath`` for the machine, that socket is used: a person may have logged in there with
a second factor.

Nobody can answer a question here (``BatchMode``). After a log-in that failed the next is tried after a pause, which
grows, and which all processes keep: a cluster that is down, or that takes a key no longer, is not to be stormed.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import tempfile
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from heliostat.errors import OperatorError
from heliostat.secret import public
from heliostat.transport import Ran
from heliostat.transports.connection import LOGIN_SECONDS, Connection
from heliostat.transports.words import line, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import IO

    from heliostat.transport import Address

AT_ONCE = 4  #: scripts of one process; a server's MaxSessions, for all of a connection, is 10 where nothing is said
LOST = 255  #: ssh's exit code where ssh itself failed

_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "20",
    "ServerAliveInterval": "15",  # a link that is dead is noticed within a minute
    "ServerAliveCountMax": "3",
    "ControlPersist": "600",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "LogLevel": "ERROR",
}
#: Of a client that goes through a connection: where that is gone, it makes none of its own.
_FOLLOWING = {"ControlMaster": "no", "ProxyCommand": "exit 1"}
_MAKING = {"ControlMaster": "auto"}
_READ = f"exec /bin/sh -c '{read()}' sh"
_GREETING = b"heliostat\n"


class SshTransport:
    """``heliostat.transport.Transport`` is the contract.

    ``timeout`` is the script's alone, and begins when the machine is reached. ``command`` is OpenSSH's client, should
    it need options of its own.
    """

    here = False

    def __init__(self, address: Address, *, command: tuple[str, ...] = ("ssh",)) -> None:
        self._address, self._command = address, command
        self._sessions = threading.BoundedSemaphore(AT_ONCE)
        self._known: Connection | None = None
        self._greeted = False  # the shell there has shown that it understands, and says nothing of its own

    @property
    def place(self) -> str:
        """The address as it was given."""
        return str(self._address)

    def run(
        self,
        script: str,
        *arguments: str,
        stdin: bytes | IO[bytes] = b"",
        stdout: IO[bytes] | None = None,
        timeout: float,
    ) -> Ran:
        """Run it through the connection, which is made where it is not up."""
        mark = f"heliostat:{secrets.token_hex(8)}"
        text = line(_marked(script, mark), arguments)
        with self._sessions:
            connection = self._reached()
            ran = _ran(self._line(connection, _FOLLOWING, _READ), _Feed(text, stdin), stdout, timeout)
            if ran is None:
                connection.doubt(self._check(connection))
                raise OperatorError(f"a command on {self.place} has not ended within {timeout:g} s")
        if ran.exit_code == LOST and mark.encode() not in ran.stderr:
            raise OperatorError(f"the connection to {self.place} was lost: {ran.said or 'nobody said why'}")
        return Ran(ran.exit_code, ran.stdout, ran.stderr.replace(mark.encode(), b""))

    def _reached(self) -> Connection:
        """The connection, which is up; raises OperatorError where it is not, and cannot or may not be made now."""
        connection = self._connection()
        if self._greeted and connection.up():
            return connection
        with connection.login():
            if not self._greeted or not connection.up():
                self._greet(connection)
        return connection

    def _greet(self, connection: Connection) -> None:
        """Log in where nobody has, and see that scripts run there and that what they print is all that comes."""
        if connection.up():  # somebody has logged in; should that hang, it is known in a moment
            connection.doubt(self._check(connection))
        greeting = _Feed(line("echo heliostat", ()), b"")
        ran = _ran(self._line(connection, _MAKING, _READ), greeting, None, LOGIN_SECONDS)
        if ran is None:
            raise OperatorError(f"{self.place} has not let us in within {LOGIN_SECONDS:g} s")
        if ran.exit_code:
            raise OperatorError(f"{self.place} is not reached: {ran.said or f'exit code {ran.exit_code}'}")
        if ran.stdout != _GREETING:
            raise OperatorError(
                f"on {self.place}, the shell says {ran.stdout.removesuffix(_GREETING)[:200]!r} before any command; "
                "have its start-up files (~/.bashrc) print nothing where nobody sits before them"
            )
        self._greeted = True

    def _connection(self) -> Connection:
        if self._known is None:
            ran = _ran([*self._command, "-G", *self._destination], _Feed(b"", b""), None, LOGIN_SECONDS)
            if ran is None or ran.exit_code:
                raise OperatorError(f"ssh cannot reach {self.place}: {ran.said if ran else 'it hangs'}")
            self._known = Connection.of(self.place, ran.stdout.decode(errors="replace"), self._command)
        return self._known

    def _check(self, connection: Connection) -> list[str]:
        return self._line(connection, {"ControlMaster": "no"}, "", "-Ocheck")

    def _line(self, connection: Connection, options: Mapping[str, str], command: str, *words: str) -> list[str]:
        given = {**options, **_OPTIONS, "ControlPath": str(connection.path).replace("%", "%%")}
        options_ = [f"-o{name}={value}" for name, value in given.items()]
        return [*self._command, *options_, *words, *self._destination, *([command] if command else [])]

    @property
    def _destination(self) -> list[str]:
        port = ["-p", str(self._address.port)] if self._address.port else []
        user = f"{self._address.user}@" if self._address.user else ""
        return [*port, "--", f"{user}{self._address.host}"]


def _marked(script: str, mark: str) -> str:
    """A script that says when 255 is its own exit code."""
    return f"(\n{script}\n)\nset -- $?\n[ $1 -ne {LOST} ] || printf %s {mark} >&2\nexit $1"


def _ran(command: list[str], feed: _Feed, stdout: IO[bytes] | None, timeout: float) -> Ran | None:
    """Run the client; None where it has not ended in time."""
    with tempfile.TemporaryFile() as complained:
        with feed.source() as source:
            try:
                client = subprocess.Popen(
                    command,
                    env=public(os.environ),
                    stdin=source,
                    stdout=stdout or subprocess.PIPE,
                    stderr=complained,  # a file, since the connection that stays may hold it open
                    start_new_session=True,
                )
            except OSError as error:
                raise OperatorError(f"{command[0]} cannot be started: {error.strerror}") from error
        try:
            said, _ = client.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(client)
        feed.check()
        complained.seek(0)
        return Ran(client.returncode, said or b"", complained.read())


def _end(client: subprocess.Popen[bytes]) -> None:
    """Kill a client that has not ended, with what it has started to reach the machine."""
    if client.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(client.pid, signal.SIGKILL)
        client.wait()
    if client.stdout is not None:
        client.stdout.close()


class _Feed:
    """What the client reads: a line, and behind it what the script is given. A thread of its own writes it."""

    def __init__(self, text: bytes, given: bytes | IO[bytes]) -> None:
        self._text, self._given = text, given
        self._problem: OSError | ValueError | None = None

    @contextmanager
    def source(self) -> Iterator[int]:
        """Where it is read, which is closed here once the client has it."""
        source, self._sink = os.pipe()
        self._thread = threading.Thread(target=self._write, name="ssh-stdin", daemon=True)
        self._thread.start()
        try:
            yield source
        finally:
            os.close(source)

    def check(self) -> None:
        """Raise what hindered the reading of what is given; that the script did not want all of it is no problem."""
        self._thread.join()
        if self._problem:
            raise self._problem

    def _write(self) -> None:
        with suppress(BrokenPipeError), os.fdopen(self._sink, "wb", buffering=0) as sink:
            for block in self._blocks():
                _write_all(sink, block)

    def _blocks(self) -> Iterator[bytes]:
        yield self._text
        if isinstance(self._given, bytes):
            yield self._given
            return
        try:
            while block := self._given.read(1 << 18):
                yield block
        except (OSError, ValueError) as problem:  # a disk that fails, or a file that was closed
            self._problem = problem


def _write_all(sink: IO[bytes], block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[sink.write(rest) :]
