"""The grounds of the campaign: a database that workers share, and how it is looked at with plain SQL.

A ground for another carrier is one more class here and one more name in GROUNDS: what it adds (a broker, say) it
starts in ``opened``, and what can be done to it is one more fault in ``torture.faults`` that names it. Where its
workers are others, ``torture.campaign`` hires another crew.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Protocol
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tests.postgres_server import fresh_database, postgres_server
from tests.rabbitmq_server import Rabbit, rabbitmq_server
from tests.wall_clock import WallClock
from torture.wire import Wire, wire


class Ground(Protocol):
    """A database in a folder of the campaign's own.

    ``broker`` is the address of what wakes workers, where anything does; ``birth``: how many seconds a worker takes to
    begin, which whoever kills them leaves to them; ``disk``: a directory of its own, for what a small disk is to hold.
    """

    name: ClassVar[str]
    birth: ClassVar[float]
    broker: str
    url: str
    folder: Path
    disk: Path

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What a statement answers, by a connection of its own; ``?`` stands for a value. Waits for a lost server."""

    def settle_on_disk(self) -> None:
        """Have the data, before there is any, on the disk."""

    def step_clock(self, seconds: float) -> None:
        """Have the database's own clock off by so much."""


class SqliteGround:
    """One file."""

    name: ClassVar[str] = "sqlite"
    birth: ClassVar[float] = 0.0
    broker = ""

    def __init__(self, folder: Path) -> None:
        self.folder, self.disk = folder, folder / "data"
        self.disk.mkdir()
        self.file = self.disk / "torture.db"
        self.url = f"sqlite:///{self.file}"

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.file, timeout=60)) as connection:
            connection.execute("PRAGMA query_only = 1")
            return connection.execute(statement, values).fetchall()

    def settle_on_disk(self) -> None:
        """It is there."""

    def step_clock(self, seconds: float) -> None:
        """It has none but its users'."""


class PostgresGround:
    """One server, which begins again whenever it ends."""

    name: ClassVar[str] = "postgresql"
    birth: ClassVar[float] = 0.0
    broker = ""

    def __init__(self, folder: Path, server: str, clock: WallClock | None) -> None:
        self.folder, self.server, self.disk, self._clock = folder, server, folder / "data", clock
        self.disk.mkdir()
        self.url = fresh_database(server)
        self.data = Path(str(self.ask("SELECT current_setting('data_directory')")[0][0]))

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        deadline = time.monotonic() + 60
        while True:
            try:
                with psycopg.connect(self.url, connect_timeout=5, application_name="torture") as connection:
                    return connection.execute(statement.replace("?", "%s"), values).fetchall()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def settle_on_disk(self) -> None:
        """Move the database to a tablespace there; the write-ahead log stays where the server has it."""
        owner = self.data.stat()
        os.chown(self.disk, owner.st_uid, owner.st_gid)
        database = sql.Identifier(urlsplit(self.url).path.removeprefix("/"))
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(str(self.disk)))
            connection.execute(sql.SQL("ALTER DATABASE {} SET TABLESPACE small").format(database))

    def step_clock(self, seconds: float) -> None:
        assert self._clock is not None
        self._clock.step(seconds)

    def restart(self, how: signal.Signals) -> None:
        """Stop the server (SIGINT: fast, SIGQUIT: immediate, as pg_ctl does it); it is back when this returns."""
        before = self._postmaster()
        if before is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(before, how)
        deadline = time.monotonic() + 60
        while self._postmaster() in (before, None) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.ask("SELECT 1")

    def _postmaster(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None


class CeleryGround(PostgresGround):
    """PostgreSQL, and RabbitMQ behind a wire that can be cut."""

    name: ClassVar[str] = "celery"
    birth: ClassVar[float] = 2.0

    def __init__(self, folder: Path, server: str, clock: WallClock | None, rabbit: Rabbit, line: Wire) -> None:
        super().__init__(folder, server, clock)
        self.rabbit, self.wire = rabbit, line
        self.care = threading.Lock()  #: held by whoever has taken the broker away
        self.direct = rabbit.fresh_vhost()
        self.broker = self.direct.replace(f":{rabbit.port}/", f":{line.port}/")


@contextmanager
def opened(name: str, *, steps: bool = False) -> Iterator[Ground]:
    """A ground, with a folder that goes when it is left. ``steps``: its clock can be stepped, which costs time."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliostat-torture-", dir="/tmp")))
        if name == SqliteGround.name:
            yield SqliteGround(folder)
            return
        folder.chmod(0o711)  # the server, whose account is another, reads in it
        clock = WallClock(folder / "server-clock") if steps else None
        server = stack.enter_context(
            postgres_server(durable=True, returns=True, environment=clock.environment if clock else {})
        )
        if name == PostgresGround.name:
            yield PostgresGround(folder, server, clock)
        else:
            rabbit = stack.enter_context(rabbitmq_server())
            yield CeleryGround(folder, server, clock, rabbit, stack.enter_context(wire(rabbit.port)))


GROUNDS: Sequence[str] = (SqliteGround.name, PostgresGround.name, CeleryGround.name)


@contextmanager
def small_disk(ground: Ground, megabytes: int) -> Iterator[bool]:
    """Put the ground's data on a small file system in memory; answers False where nobody may mount one."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "torture", str(ground.disk)]
    mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        if mounted:
            ground.settle_on_disk()
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(ground.disk)], check=False)
