"""A private RabbitMQ for tests: on loopback, under /tmp, gone when its user is gone.

    with rabbitmq_server() as server:
        address = server.fresh_vhost()

A broker costs seconds to start, and each call of ``rabbitmqctl`` one, for it starts an Erlang of its own; a virtual
host itself costs hundredths. So a session has one server, each test a virtual host, and several are made at a time.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

GUARDIAN = Path(__file__).with_name("guardian.py")
PROGRAMS = Path("/usr/lib/rabbitmq/bin")  # the wrapper in /usr/sbin changes to a user of its own
START_SECONDS = 240  # on a machine that does much else
AT_ONCE = 8  #: virtual hosts that one call makes
RENEW = """
[rabbit_vhost:delete(Old, <<"tests">>) || Old <- [{old}]],
[begin
    rabbit_vhost:add(New, <<"tests">>),
    rabbit_auth_backend_internal:set_permissions(<<"guest">>, New, <<".*">>, <<".*">>, <<".*">>, <<"tests">>)
end || New <- [{new}]].
"""


class NoRabbitError(Exception):
    """No RabbitMQ can be started here, and the message says what to do about it."""


def installed() -> bool:
    """Whether the server's program is where Debian's package puts it."""
    return (PROGRAMS / "rabbitmq-server").exists()


@dataclass
class Rabbit:
    """A server that is there, or was, and can be started again with what it kept."""

    directory: Path
    port: int
    guardian: subprocess.Popen[bytes] | None = None
    spare: list[str] = field(default_factory=list)  # virtual hosts that nobody has had yet
    dropped: list[str] = field(default_factory=list)  # those that are to go with the next call

    def start(self) -> None:
        """Start it and wait until it serves."""
        (self.directory / "run").mkdir(exist_ok=True)
        command = [sys.executable, str(GUARDIAN), str(self.directory / "run"), "env", *self._environment()]
        self.guardian = subprocess.Popen(
            [*command, str(PROGRAMS / "rabbitmq-server")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._serves():
            if time.monotonic() > deadline:
                log = (self.directory / "run" / "log").read_text("utf-8", "replace")
                self.stop()
                raise NoRabbitError(f"RabbitMQ did not start. It said: {log.strip()[-2000:]}")

    def stop(self) -> None:
        """Stop it; what it kept stays in its directory."""
        if self.guardian is not None:
            with self.guardian:
                pass
            self.guardian = None

    def signal(self, number: signal.Signals) -> None:
        """Send the server a signal; one that was killed is still to be stopped before it starts again."""
        leader = os.getpgid(int((self.directory / "rabbit.pid").read_text()))
        os.killpg(leader, number)

    def fresh_vhost(self) -> str:
        """The address of a new virtual host."""
        if not self.spare:
            new = [f"heliostat_{secrets.token_hex(6)}" for _ in range(AT_ONCE)]
            self.control("eval", RENEW.format(old=_binaries(self.dropped), new=_binaries(new)))
            self.spare, self.dropped = new, []
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{self.spare.pop()}"

    def drop_vhost(self, address: str) -> None:
        """Have a virtual host removed with all that is in it, when the next ones are made."""
        self.dropped.append(address.rpartition("/")[2])

    def control(self, *words: str) -> None:
        """Have ``rabbitmqctl`` do something."""
        command = ["env", *self._environment(), str(PROGRAMS / "rabbitmqctl"), "-q", *words]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise NoRabbitError(f"rabbitmqctl {shlex.join(words)}: {ran.stdout}{ran.stderr}")

    def _environment(self) -> list[str]:
        """What keeps the server to its directory and to loopback."""
        home = self.directory
        erlang = "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
        values = {
            "HOME": home,
            "RABBITMQ_NODENAME": f"heliostat{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": home / "mnesia",
            "RABBITMQ_LOG_BASE": home / "logs",
            "RABBITMQ_CONFIG_FILE": home / "rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": home / "enabled_plugins",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_DIST_PORT": self.port + 1,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": self.port + 2,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": erlang,
            "RABBITMQ_PID_FILE": home / "rabbit.pid",
        }
        return [f"{name}={value}" for name, value in values.items()]

    def _serves(self) -> bool:
        """Whether it answers the protocol's greeting, which it does only when all of it is up."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as line:
                line.settimeout(5)
                line.sendall(b"AMQP\x00\x00\x09\x01")
                return bool(line.recv(1))
        except OSError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                if self.guardian is not None:
                    self.guardian.wait(0.1)
            return False


def _binaries(names: list[str]) -> str:
    """Names as Erlang writes them."""
    return ", ".join(f'<<"{name}">>' for name in names)


@contextlib.contextmanager
def rabbitmq_server() -> Iterator[Rabbit]:
    """Start a server, and stop it at the end.

    Raises:
        NoRabbitError: RabbitMQ is not installed, or did not start.
    """
    if not installed():
        raise NoRabbitError("The tests need RabbitMQ: install rabbitmq-server (make test does if it may).")
    with tempfile.TemporaryDirectory(prefix="heliostat-rabbit-", dir="/tmp") as name:
        server = Rabbit(Path(name), _free_ports())
        (server.directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = 127.0.0.1:{server.port}\n"
            "vm_memory_high_watermark.absolute = 512MB\n"
            "disk_free_limit.absolute = 50MB\n"
            "log.console = false\n"
            "log.file.level = warning\n"
        )
        (server.directory / "enabled_plugins").write_text("[].\n")
        server.start()
        try:
            yield server
        finally:
            server.stop()
            _stop_names(server)


def _free_ports() -> int:
    """The first of three ports in a row that nobody uses."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
        if port < 65000 and all(map(_free, (port, port + 1, port + 2))):
            return port


def _free(port: int) -> bool:
    with socket.socket() as candidate:
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _stop_names(server: Rabbit) -> None:
    """Erlang's name server outlives the node that started it."""
    environment = {**os.environ, "ERL_EPMD_PORT": str(server.port + 2), "ERL_EPMD_ADDRESS": "127.0.0.1"}
    with contextlib.suppress(OSError):
        subprocess.run(["epmd", "-kill"], env=environment, capture_output=True, check=False)
