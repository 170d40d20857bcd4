"""Databases to measure on: each fresh, on the disk, and gone afterwards."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from tests.postgres_server import drop_database, fresh_database, postgres_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

STORES = ("sqlite", "postgresql")


class Databases:
    """A folder for SQLite's files, and a PostgreSQL that starts when it is first needed."""

    def __init__(self) -> None:
        self._closing = ExitStack()
        self.folder = Path(self._closing.enter_context(tempfile.TemporaryDirectory(prefix="heliostat-bench-")))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    @cached_property
    def _server(self) -> str:
        url = self._closing.enter_context(postgres_server(durable=True))
        with psycopg.connect(url) as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                row = connection.execute("select current_setting(%s)", [setting]).fetchone()
                assert row == ("on",), f"a PostgreSQL with {setting}=off is no yardstick"
        return url

    @contextmanager
    def fresh(self, store: str) -> Iterator[str]:
        """The URL of an empty database."""
        if store == "sqlite":
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                yield f"sqlite:///{folder}/bench.db"
        else:
            url = fresh_database(self._server)
            try:
                yield url
            finally:
                drop_database(url)

    def commit_seconds(self) -> float:
        """What the disk takes to keep a page."""
        with tempfile.TemporaryFile(dir=self.folder) as file:
            begun_at = time.perf_counter()
            for _ in range(100):
                os.pwrite(file.fileno(), bytes(4096), 0)
                os.fdatasync(file.fileno())
            return (time.perf_counter() - begun_at) / 100


def rest(url: str) -> None:
    """Have a database do now what it would do some time after a large load, so that it is not in the way later."""
    if url.startswith("sqlite:///"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        connection.execute("pragma wal_checkpoint(truncate)")
        connection.close()
    else:
        with psycopg.connect(url, autocommit=True) as server:
            server.execute("vacuum analyze")
            server.execute("checkpoint")
