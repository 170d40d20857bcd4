"""The SQLite store: one file, any number of processes of one machine, nothing to start.

Each process has one connection that writes and lends others for reading; none is used across a fork. A
transaction begins with ``BEGIN IMMEDIATE``, so inside it nobody else writes. SQLite's own waiting starves some of
many processes, so it is switched off, and the store asks again after short random pauses. Commits are durable
against a power cut. SQLite 3.24 with its JSON functions is enough.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic_core import PydanticSerializationError

from heliostat.errors import BadInput, HeliostatError, SchemaMismatch, StoreUnavailable
from heliostat.store import About, Batch
from heliostat.stores.filesystem import network_file_system
from heliostat.stores.forks import PerProcess
from heliostat.stores.ledger import Ledger
from heliostat.stores.pruning import done_with, prune
from heliostat.stores.reading import Reading
from heliostat.stores.sqliterows import STATEMENTS, SqliteRows, Still

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from heliostat.outcome import Outcome
    from heliostat.queue import WorkerInfo
    from heliostat.store import Answer, Ask, Command, Orders
    from heliostat.stores.reading import Fetch
    from heliostat.stores.sqlrows import Row
    from heliostat.task import Attempt

T = TypeVar("T")

SCHEME = "sqlite:///"
_SMALL = frozenset({"child", "first", "graph_get", "messages", "results", "run", "task"})
IDLE_READERS = 8  #: connections for reading that are kept for the next reader
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})


class Unfit(BadInput):
    """A value that the database cannot take."""

    def __init__(self, why: object) -> None:
        super().__init__(f"the database cannot take a value: {why}")


_UNFIT = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError, UnicodeEncodeError, PydanticSerializationError)


class _Connections:
    """What one process has open."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.writer: sqlite3.Connection | None = None
        self.readers: list[sqlite3.Connection] = []
        self.checked = False
        self.still = Still()
        self.files: dict[Path, tuple[int, int]] = {}  # which the writer has open, whatever their paths name by now


class SqliteStore(Reading, Ledger):
    """``store.Store`` in a SQLite file; ``patience`` is how many seconds a busy database is waited for."""

    data_error = Unfit

    def __init__(self, path: str | Path, *, patience: float = 30.0) -> None:
        super().__init__()
        self.path = _path(path)
        self.patience = patience
        self._mine = PerProcess(_Connections)

    # transactions

    def accept(self, commands: Sequence[Command], now: float) -> list[Answer]:
        self._see_file()
        return super().accept(commands, now)

    def settle(
        self, worker: str, outcomes: Sequence[tuple[Attempt, Outcome]], now: float, ask: Ask | None = None
    ) -> Batch:
        """Nothing is begun, and nobody kept from writing, where the same look found nothing and no more was written."""
        if outcomes or ask is None or ask.again or ask.n <= 0:
            return super().settle(worker, outcomes, now, ask)
        still, written = self._mine().still, self._written()
        look = (written, ask.offers, ask.queues)
        if written is not None and look == still.looked:
            return Batch()
        batch = super().settle(worker, outcomes, now, ask)
        lanes = still.lanes.get(ask.offers)
        paced = lanes is None or any(queue.rate is not None for _, queue in lanes)  # these give more as time passes
        if not batch.leased and not paced:
            still.looked = look
        return batch

    def _written(self) -> tuple[sqlite3.Connection, int, int] | None:
        """How much others have written so far, and we; None if that cannot be told without waiting."""
        mine = self._mine()
        if not mine.lock.acquire(blocking=False):
            return None
        try:
            if mine.writer is None:
                return None
            return mine.writer, mine.writer.execute("PRAGMA data_version").fetchone()[0], mine.writer.total_changes
        except sqlite3.Error:  # whatever it is, a transaction meets it too, and says it better
            return None
        finally:
            mine.lock.release()

    def beat(self, worker: WorkerInfo, now: float) -> Orders | None:
        self._see_file()
        return super().beat(worker, now)

    def _see_file(self) -> None:
        """Refuse to go on in a file that nobody else will find. Seen per command and heartbeat, not per commit."""
        mine = self._mine()
        for path, known in mine.files.items() if mine.writer is not None else ():
            if known != _identity(path):
                raise StoreUnavailable(
                    f"the database's file {path} was removed or replaced while it was in use; "
                    "put the file back, or start again what uses it"
                )

    @contextmanager
    def transaction(self) -> Iterator[SqliteRows]:
        """One transaction, alone in the database; waits its turn."""
        mine, deadline = self._mine(), time.monotonic() + self.patience
        if not mine.lock.acquire(timeout=self.patience):
            raise StoreUnavailable(self._busy())
        try:
            self._check(mine, deadline)
            writer = self._writer(mine, deadline)
            self._patiently(lambda: writer.execute("BEGIN IMMEDIATE"), deadline)
            try:
                mine.still.see(writer.execute("PRAGMA data_version").fetchone()[0])
                yield SqliteRows(writer, mine.still)
                self._patiently(lambda: writer.execute("COMMIT"), deadline)
            except BaseException as error:
                self._undo(mine, writer)
                if (named := self._named(error)) is error:
                    raise
                raise named from error
        finally:
            mine.lock.release()

    def _undo(self, mine: _Connections, writer: sqlite3.Connection) -> None:
        """Roll back; a connection that cannot is given up."""
        mine.still.forget()
        try:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
        except sqlite3.Error:
            mine.writer = None
            with suppress(sqlite3.Error):
                writer.close()

    def _patiently(self, work: Callable[[], T], deadline: float) -> T:
        """Do what another process may keep us from, again after short random pauses until the deadline."""
        begun = time.monotonic()
        while True:
            try:
                return work()
            except sqlite3.Error as error:
                if _code(error) not in _BUSY:
                    raise self._named(error) from error
                if (now := time.monotonic()) >= deadline:
                    raise StoreUnavailable(self._busy()) from error
            time.sleep(_pause(now - begun))

    # reading

    def fetch(self, name: str, /, **values: object) -> list[Row]:
        """What one statement answers; small ones from the writer if it is idle, for what it wrote it has at hand."""
        mine = self._mine()
        if name in _SMALL and mine.checked and mine.lock.acquire(blocking=False):
            try:
                if mine.writer is not None:
                    rows = SqliteRows(mine.writer)
                    return self._patiently(lambda: rows.fetch(name, **values), time.monotonic() + self.patience)
            except (OverflowError, UnicodeEncodeError) as error:
                raise self._named(error) from error
            finally:
                mine.lock.release()
        return super().fetch(name, **values)

    def look(self, work: Callable[[Fetch], T], *, together: bool = False) -> T:
        mine, deadline = self._mine(), time.monotonic() + self.patience
        if not mine.checked:
            with mine.lock:
                self._check(mine, deadline)
        try:
            reader = mine.readers.pop()
        except IndexError:
            reader = self._connect(deadline, "PRAGMA query_only = 1")
        try:
            return self._patiently(lambda: self._read(reader, work, together=together), deadline)
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
            raise self._named(error) from error
        finally:
            if mine.checked and len(mine.readers) < IDLE_READERS:
                mine.readers.append(reader)
            else:
                reader.close()

    def _read(self, reader: sqlite3.Connection, work: Callable[[Fetch], T], *, together: bool) -> T:
        fetch = SqliteRows(reader).fetch
        if not together:
            return work(fetch)
        reader.execute("BEGIN")
        try:
            return work(fetch)
        finally:
            if reader.in_transaction:
                reader.execute("ROLLBACK")

    # connections

    def _writer(self, mine: _Connections, deadline: float) -> sqlite3.Connection:
        if mine.writer is None:
            mine.writer = self._connect(deadline)
            mine.still.forget()  # it was true by what another connection said of changes
            log = Path(f"{self.path.resolve()}-wal")  # where commits go first: beside the file that a link leads to
            found = {path: _identity(path) for path in (self.path, log)}
            mine.files = {path: known for path, known in found.items() if known is not None}
        return mine.writer

    def _connect(self, deadline: float, *pragmas: str) -> sqlite3.Connection:
        self._refuse_bad_place()
        try:
            connection = sqlite3.connect(
                self.path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=512
            )
        except sqlite3.Error as error:
            raise self._named(error) from error
        try:
            mode = self._patiently(lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone()[0], deadline)
            if mode != "wal":
                raise StoreUnavailable(f"{self._named_place()} cannot keep a write-ahead log; {_ELSEWHERE}")
            for pragma in (*_PRAGMAS, *pragmas):
                connection.execute(pragma)
            # Reading opens the write-ahead log: nobody removes that by right as long as this is open.
            self._patiently(lambda: connection.execute("PRAGMA schema_version").fetchone(), deadline)
        except BaseException:
            connection.close()
            raise
        return connection

    def _refuse_bad_place(self) -> None:
        folder = self.path.parent
        if not folder.is_dir():
            raise StoreUnavailable(
                f"{self._named_place()} cannot be opened: there is no directory {folder}; "
                "create it or name another file"
            )
        if self.path.is_dir():
            raise StoreUnavailable(f"{self._named_place()} cannot be opened: it is a directory; name a file in it")
        if kind := network_file_system(self.path):
            raise StoreUnavailable(f"{self._named_place()} lies on a network file system ({kind}); {_ELSEWHERE}")

    def close(self) -> None:
        """Give the connections of this process back; a later call opens new ones."""
        mine = self._mine()
        with mine.lock:
            mine.checked = False
            for connection in (mine.writer, *mine.readers):
                if connection is not None:
                    connection.close()
            mine.writer, mine.readers = None, []

    # the schema

    def check(self) -> None:
        """Open the database, a new one with its schema; raises SchemaMismatch if it has another one."""
        mine = self._mine()
        with mine.lock:
            self._check(mine, time.monotonic() + self.patience)

    def _check(self, mine: _Connections, deadline: float) -> None:
        if mine.checked:
            return
        writer = self._writer(mine, deadline)
        if self._patiently(lambda: writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0], deadline) == 0:
            self._migrate(writer, deadline)
        found, needed = self._version(writer, deadline), STATEMENTS.newest
        if found > needed:
            raise SchemaMismatch(
                f"{self._named_place()} has schema {found}, and this Heliostat knows {needed}: "
                "it was written by a newer version; upgrade Heliostat"
            )
        if found < needed:
            raise SchemaMismatch(
                f"{self._named_place()} has schema {found}, and this Heliostat needs {needed}; "
                "run: heliostat db upgrade"
            )
        mine.checked = True

    def _version(self, connection: sqlite3.Connection, deadline: float) -> int:
        def work() -> int:
            rows = SqliteRows(connection)
            return int(rows.fetch("schema_read")[0][0]) if rows.fetch("schema_exists") else 0

        return self._patiently(work, deadline)

    def upgrade(self) -> list[str]:
        mine, deadline = self._mine(), time.monotonic() + self.patience
        with mine.lock:
            return self._migrate(self._writer(mine, deadline), deadline)

    def _migrate(self, writer: sqlite3.Connection, deadline: float) -> list[str]:
        """Carry out what is missing, all of it or nothing; of many processes at once, the first does it."""
        self._patiently(lambda: writer.execute("BEGIN IMMEDIATE"), deadline)
        try:
            rows = SqliteRows(writer)
            rows.run("schema_create")
            found = rows.fetch("schema_read")[0][0]
            missing = [step for step in STATEMENTS.migrations() if step[0] > found]
            for version, name, statements in missing:
                for statement in statements:
                    writer.execute(statement)
                rows.run("schema_mark", version=version, name=name)
            self._patiently(lambda: writer.execute("COMMIT"), deadline)
        except BaseException as error:
            self._undo(self._mine(), writer)
            if (named := self._named(error)) is error:
                raise
            raise named from error
        return [name for _, name, _ in missing]

    def status(self) -> tuple[int, int]:
        if not self.path.exists():
            return (0, STATEMENTS.newest)
        with self._glance() as connection:
            return (self._version(connection, time.monotonic() + self.patience), STATEMENTS.newest)

    def about(self) -> About:
        if self.path.exists():
            with self._glance() as connection:
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return About("SQLite", sqlite3.sqlite_version, str(self.path))

    @contextmanager
    def _glance(self) -> Iterator[sqlite3.Connection]:
        """A connection that changes nothing, not even the journal mode of a file that is none of ours."""
        self._refuse_bad_place()
        try:
            with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=rw", uri=True, timeout=self.patience)) as glance:
                glance.execute("PRAGMA query_only = 1")
                yield glance
        except sqlite3.Error as error:
            raise self._named(error) from error

    def prune(self, before: float, limit: int = 1000) -> int:
        return prune(self.transaction, self.again, before, limit)

    def done_with(self, discarded: Sequence[int]) -> None:
        done_with(self.transaction, self.again, discarded)

    # sentences

    def _named_place(self) -> str:
        return f"the database {self.path}"

    def _busy(self) -> str:
        return f"{self._named_place()} was kept busy by other processes for {self.patience:g} seconds; try again"

    def _named(self, error: BaseException) -> BaseException:
        """What a driver's error means, in a sentence; other errors stay what they are."""
        if isinstance(error, HeliostatError | sqlite3.ProgrammingError):
            return error
        if isinstance(error, _UNFIT):
            return Unfit(error)
        if isinstance(error, sqlite3.Error):
            reason, remedy = _REASONS.get(_code(error), (str(error), "see that the file is whole and can be written"))
            return StoreUnavailable(f"{self._named_place()} cannot be used: {reason}; {remedy}")
        return error


_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = 1",
    "PRAGMA cache_size = -16000",
)
_ELSEWHERE = "put the file on a local disk or use PostgreSQL"
_REASONS = {
    sqlite3.SQLITE_FULL: ("the disk is full", "make room and try again"),
    sqlite3.SQLITE_READONLY: ("it cannot be written", "check the permissions of the file and its directory"),
    sqlite3.SQLITE_CANTOPEN: ("the file cannot be opened", "check the permissions of the file and its directory"),
    sqlite3.SQLITE_PERM: ("access was denied", "check the permissions of the file and its directory"),
    sqlite3.SQLITE_NOTADB: ("the file is no SQLite database", "name another file"),
    sqlite3.SQLITE_CORRUPT: ("the file is damaged", "restore it from a backup"),
    sqlite3.SQLITE_IOERR: ("reading or writing it failed", "check the disk"),
}


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file a path names; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _pause(waited: float) -> float:
    """Seconds until the next try: who has waited for a while asks more often, who has for long asks seldom."""
    longest = 0.003 if waited < 0.02 else 0.0008 if waited < 1.0 else 0.01
    return random.uniform(0.1, 1.0) * longest  # noqa: S311 - nothing secret hangs on it


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 where Python does not tell."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _path(given: str | Path) -> Path:
    """The file that a path or a URL names: ``sqlite:///relative.db``, ``sqlite:////absolute.db``."""
    text = str(given)
    if text.startswith("sqlite:"):
        if not text.startswith(SCHEME) or text == SCHEME:
            raise BadInput(f"database: {text!r} names no file; write sqlite:///file.db or sqlite:////full/path/file.db")
        text = text.removeprefix(SCHEME)
    if text in ("", ":memory:"):
        raise BadInput(f"database: {str(given)!r} names no file; without one, use memory://")
    return Path(text).expanduser().absolute()
