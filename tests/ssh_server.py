"""A private sshd for tests: on loopback, under /tmp, gone when its user is gone.

    with ssh_server() as server:
        server.command  # an ssh that knows the host `cluster`, with a key that is let in

Where no sshd is installed (and `make test` could not install it) there is nothing to test against.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GUARDIAN = Path(__file__).with_name("guardian.py")
PROGRAM = Path("/usr/sbin/sshd")  # it starts itself again for each connection, so it wants its full path
START_SECONDS = 240  # on a machine that does much else
HOST = "cluster"


class NoSshdError(Exception):
    """No sshd can be started here, and the message says what to do about it."""


def installed() -> bool:
    """Whether the server's program is where Debian's package puts it."""
    return PROGRAM.exists()


@dataclass
class Sshd:
    """A server that is there, or was, and can be started again."""

    directory: Path
    port: int
    guardian: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> tuple[str, ...]:
        """The client, with a configuration of its own in which the server is a host."""
        return ("ssh", "-F", str(self.directory / "ssh_config"))

    def start(self) -> None:
        """Start it and wait until it serves."""
        (self.directory / "run").mkdir(exist_ok=True)
        server = [str(PROGRAM), "-D", "-e", "-f", str(self.directory / "sshd_config")]
        self.guardian = subprocess.Popen(
            [sys.executable, str(GUARDIAN), str(self.directory / "run"), *server],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._serves():
            if time.monotonic() > deadline:
                log = (self.directory / "run" / "log").read_text("utf-8", "replace")
                self.stop()
                raise NoSshdError(f"sshd did not start. It said: {log.strip()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it and cut all connections; what stays are its keys."""
        if self.guardian is not None:
            connections = self._connections()
            with self.guardian:
                pass
            _kill(connections)
            self.guardian = None

    def cut(self) -> None:
        """End all connections that there are, as a network does: nobody is asked."""
        _kill(self._connections())

    def logins(self) -> int:
        """How often somebody was let in since the server began."""
        return (self.directory / "run" / "log").read_text("utf-8", "replace").count("Accepted publickey")

    def configure(self, *lines: str) -> None:
        """Have the server as usual, with some lines first, which win; it is started anew if it runs."""
        (self.directory / "sshd_config").write_text("\n".join([*lines, *self._usual()]) + "\n")
        if self.guardian is not None:
            self.stop()
            self.start()

    def _usual(self) -> list[str]:
        home = self.directory
        return [
            "ListenAddress 127.0.0.1",
            f"Port {self.port}",
            f"HostKey {home}/host",
            f"PidFile {home}/sshd.pid",
            f"AuthorizedKeysFile {home}/key.pub",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "UsePAM no",
            "StrictModes no",
            "PermitRootLogin prohibit-password",
            "MaxStartups 100",
            "PrintMotd no",
            f"SetEnv HOME={home}",  # whatever start-up files the one who tests has, they are not what is tested
        ]

    def _pid(self) -> int:
        return int((self.directory / "sshd.pid").read_text())

    def _connections(self) -> list[int]:
        """The processes that the server has for connections, with their children."""
        try:
            server = self._pid()
        except (OSError, ValueError):
            return []
        parents = dict(_parents())
        children = [pid for pid, parent in parents.items() if parent == server]
        return children + [pid for pid, parent in parents.items() if parent in children]

    def _serves(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as line:
            line.settimeout(5)
            return line.recv(4) == b"SSH-"
        return False


@contextlib.contextmanager
def ssh_server() -> Iterator[Sshd]:
    """Start a server, and stop it at the end.

    Raises:
        NoSshdError: sshd is not installed, or did not start.
    """
    if not installed():
        raise NoSshdError("The tests need sshd: install openssh-server (make test does if it may).")
    with tempfile.TemporaryDirectory(prefix="heliostat-sshd-", dir="/tmp") as name:
        server = Sshd(Path(name), _free_port())
        _make_keys(server)
        server.configure()
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _make_keys(server: Sshd) -> None:
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where a server of root's has its unprivileged half
    home = server.directory
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name)], check=True)
    key = " ".join((home / "host.pub").read_text().split()[:2])
    (home / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {key}\n")
    (home / "ssh_config").write_text(
        f"Host {HOST}\n"
        "  HostName 127.0.0.1\n"
        f"  Port {server.port}\n"
        f"  User {pwd.getpwuid(os.getuid()).pw_name}\n"
        f"  IdentityFile {home}/key\n"
        "  IdentitiesOnly yes\n"
        "Host *\n"
        f"  UserKnownHostsFile {home}/known_hosts\n"
    )


def _parents() -> Iterator[tuple[int, int]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            yield int(path.parent.name), int(path.read_text("utf-8", "replace").rpartition(")")[2].split()[1])


def _kill(processes: list[int]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        port: int = candidate.getsockname()[1]
        return port


def ssh_on_path(server: Sshd, directory: Path) -> str:
    """A PATH whose ``ssh`` has the server's configuration, for programs that are told of nothing else."""
    directory.mkdir(parents=True, exist_ok=True)
    script = directory / "ssh"
    script.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {server.directory}/ssh_config "$@"\n')
    script.chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"
