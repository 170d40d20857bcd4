"""The PostgreSQL store: any number of processes on any number of machines.

Each process has one connection that writes and a few for reading; none is used across a fork. When a connection is
lost, even while a commit is under way, the store reconnects, looks for the mark that every commit leaves, and repeats
the transaction only if that is not there.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import psycopg
from psycopg import conninfo, errors
from psycopg.types.numeric import Int8Dumper
from pydantic_core import PydanticSerializationError

from heliostat.errors import BadInput, HeliostatError, SchemaMismatch, StoreUnavailable
from heliostat.store import About, Entry
from heliostat.stores.forks import PerProcess
from heliostat.stores.ledger import Ledger
from heliostat.stores.postgresrows import STATEMENTS, TAG, PostgresRows
from heliostat.stores.pruning import done_with, prune
from heliostat.stores.reading import Reading
from heliostat.stores.rows import Stale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from heliostat.stores.reading import Fetch
    from heliostat.stores.sqlrows import Row

    Connection = psycopg.Connection[Row]

T = TypeVar("T")

READERS = 4  #: connections for reading that a process may have
FIRST_PATIENCE = 5.0  #: seconds to wait for a server that has never answered
LOCK_SECONDS = 5.0  #: how long a lock is waited for before it is asked who holds locks and says nothing
SILENT_SECONDS = 15.0  #: whose process says nothing for so long inside a transaction loses its session
_PAUSE = 0.005

# Every statement here is meant to walk by an index. A plan that is made while a table is still small must not read
# all of it once it has grown, so the planner is told so.
_SETTINGS = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_bitmapscan": "off",
    "seq_page_cost": "0.1",
    "random_page_cost": "0.1",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "idle_in_transaction_session_timeout": "60s",
}


class Unfit(BadInput):
    """A value that the database cannot take."""

    def __init__(self, why: object) -> None:
        super().__init__(f"the database cannot take a value: {why}")


class _Repeat(Exception):
    """The transaction did not happen and may be tried again; the message says why not."""


class _Connections:
    """What one process has open."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.writer: Connection | None = None
        self.readers: list[Connection] = []
        self.places = threading.BoundedSemaphore(READERS)
        self.process, self.number = secrets.token_hex(8), 0  # the mark of what is committed here
        self.met = False  # the server has answered this process
        self.checked = False


class PostgresStore(Reading, Ledger):
    """``store.Store`` in PostgreSQL; ``patience`` is how many seconds a lost or busy server is waited for."""

    data_error = Unfit

    def __init__(self, url: str, *, patience: float = 30.0) -> None:
        super().__init__()
        self._dsn = _dsn(url, patience)
        self.patience = patience
        self._mine = PerProcess(_Connections)

    # transactions

    @contextmanager
    def transaction(self) -> Iterator[PostgresRows]:
        """One transaction; raises what ``again`` understands if it may be repeated."""
        mine = self._mine()
        if not mine.lock.acquire(timeout=self.patience):
            raise StoreUnavailable(f"{self._place()} was kept busy by this process for {self.patience:g} seconds")
        try:
            mine.number += 2  # the one between says that it was given up
            rows = PostgresRows(self._writer(mine), mine.process, mine.number)
            try:
                rows.begin()
                yield rows
                rows.prepare()
            except BaseException as error:
                stale = rows.stale  # what went wrong after that may be its consequence
                self._abandon(mine, rows)
                named = Stale() if stale else self._named(error)
                if named is error:
                    raise
                raise named from error
            self._commit(mine, rows)
        finally:
            mine.lock.release()

    def _commit(self, mine: _Connections, rows: PostgresRows) -> None:
        try:
            rows.commit()
        except BaseException as error:
            self._abandon(mine, rows)
            if isinstance(named := self._named(error), _Repeat) and self._committed(mine, rows):
                return
            if named is error:
                raise
            raise named from error

    def _abandon(self, mine: _Connections, rows: PostgresRows) -> None:
        """Undo what a transaction began; a connection that is lost is given up."""
        with suppress(psycopg.Error):
            rows.abandon()
            if not mine.writer or not mine.writer.closed:
                return
        if mine.writer is not None:
            mine.writer.close()
            mine.writer = None

    def _committed(self, mine: _Connections, lost: PostgresRows) -> bool:
        """Whether a transaction whose COMMIT was not answered happened; if not, it never will."""
        if not lost.writes:
            return False

        def ask() -> bool:
            try:
                rows = PostgresRows(self._writer(mine))
                rows.run("commit_give_up", process=lost.process, number=lost.number)
                return bool(rows.fetch("commit_last", process=lost.process)[0][0] == lost.number)
            except psycopg.Error as error:
                if mine.writer is not None:
                    mine.writer.close()
                raise self._named(error) from error

        return self.again(ask)

    def again(self, work: Callable[[], T]) -> T:
        deadline, pause, clashes = time.monotonic() + self.patience, _PAUSE, 0
        while True:
            try:
                return work()
            except _Repeat as repeat:
                if isinstance(repeat.__cause__, errors.LockNotAvailable):
                    self._end_silent()
                if isinstance(repeat.__cause__, errors.UniqueViolation):
                    clashes += 1  # somebody else was first; the next try sees what they wrote
                    if clashes > 3:
                        raise Unfit(repeat.__cause__) from repeat
                if time.monotonic() >= deadline:
                    sentence = f"{self._place()} could not be used for {self.patience:g} seconds: {repeat}"
                    raise StoreUnavailable(sentence) from repeat
            time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - nothing secret hangs on it
            pause = min(pause * 2, 0.5)

    def _end_silent(self) -> None:
        """End sessions whose process is frozen, or cut off, inside a transaction; should it come back, it repeats it.

        The server's own time-outs do not count while it waits in the middle of a pipeline.
        """
        with suppress(psycopg.Error), self._open() as connection:
            PostgresRows(connection).fetch("session_end", seconds=SILENT_SECONDS)

    # reading

    def look(self, work: Callable[[Fetch], T], *, together: bool = False) -> T:
        mine = self._mine()
        with mine.places:
            return self.again(lambda: self._look(mine, work, together=together))

    def _look(self, mine: _Connections, work: Callable[[Fetch], T], *, together: bool) -> T:
        try:
            reader = mine.readers.pop()
        except IndexError:
            reader = self._connect(mine)
        fetch = PostgresRows(reader).fetch
        try:
            if not together:
                return work(fetch)
            reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                return work(fetch)
            finally:
                with suppress(psycopg.Error):
                    reader.execute("ROLLBACK")
        except (psycopg.Error, UnicodeEncodeError) as error:
            raise self._named(error) from error
        finally:
            if mine.checked and not reader.closed:
                mine.readers.append(reader)
            else:
                reader.close()

    def _stream(self, after: int, limit: int) -> list[Entry]:
        """Entries below the first that a transaction may still be writing."""

        def work(fetch: Fetch) -> list[Entry]:
            last = fetch("journal_last")[0][0]
            unsure = fetch("journal_open", tag=TAG)[0][0]
            last = last if unsure is None else min(last, unsure)
            return [Entry(*row) for row in fetch("journal", after=after, last=last, most=limit)]

        return self.look(work)

    def time(self) -> float:
        """The time of the database's machine, for a clock to begin with: seconds since 1970."""

        def read(connection: Connection) -> float:
            before = time.monotonic()
            found: float = PostgresRows(connection).fetch("clock")[0][0]
            return found + (time.monotonic() - before) / 2

        return self._alone(read)

    # connections

    def _writer(self, mine: _Connections) -> Connection:
        if mine.writer is None or mine.writer.closed:
            mine.writer = self._connect(mine)
        return mine.writer

    def _connect(self, mine: _Connections, *, checked: bool = True) -> Connection:
        patience = self.patience if mine.met else min(self.patience, FIRST_PATIENCE)
        connection = self._reach(time.monotonic() + patience)
        mine.met = True
        if checked and not mine.checked:
            try:
                self._check(connection)
            except BaseException as error:
                connection.close()
                if (named := self._named(error)) is error:
                    raise
                raise named from error
            mine.checked = True
        return connection

    def _alone(self, work: Callable[[Connection], T]) -> T:
        """Do something with a connection of its own, again if that is lost; any schema will do."""

        def once() -> T:
            try:
                with self._connect(self._mine(), checked=False) as connection:
                    return work(connection)
            except psycopg.Error as error:
                raise self._named(error) from error

        return self.again(once)

    def _reach(self, deadline: float) -> Connection:
        """A new connection, tried again until the deadline where that may help."""
        pause = _PAUSE
        while True:
            try:
                return self._open()
            except psycopg.OperationalError as error:
                sentence = f"{self._place()} cannot be reached: {self._safely(error)}"
                if time.monotonic() >= deadline or _hopeless(error):
                    raise StoreUnavailable(sentence) from None
            time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - nothing secret hangs on it
            pause = min(pause * 2, 0.5)

    def _open(self) -> Connection:
        connection: Connection = psycopg.connect(
            self._dsn, autocommit=True, prepare_threshold=0, cursor_factory=psycopg.RawCursor
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: Connection) -> None:
        """Set a new connection up as the statements want it."""
        connection.prepared_max = 400
        connection.adapters.register_dumper(int, Int8Dumper)
        settings = _SETTINGS | {"lock_timeout": f"{max(1, int(min(self.patience, LOCK_SECONDS) * 1000))}ms"}
        chosen = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
        connection.execute(f"SELECT {chosen}", prepare=False)
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
            prepare=False,
        )

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
        """Open the database; raises SchemaMismatch if its schema is not this version's."""
        self.look(lambda _: None)

    def _check(self, connection: Connection) -> None:
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise SchemaMismatch(f"{self._place()} is encoded in {encoding}; create one with ENCODING 'UTF8'")
        found, needed = _version(connection), STATEMENTS.newest
        if found > needed:
            raise SchemaMismatch(
                f"{self._place()} has schema {found}, and this Heliostat knows {needed}: "
                "it was written by a newer version; upgrade Heliostat"
            )
        if found < needed:
            raise SchemaMismatch(
                f"{self._place()} has schema {found}, and this Heliostat needs {needed}; run: heliostat db upgrade"
            )

    def upgrade(self) -> list[str]:
        return self._alone(_migrate)

    def status(self) -> tuple[int, int]:
        return (self._alone(_version), STATEMENTS.newest)

    def about(self) -> About:
        def work(connection: Connection) -> About:
            rows, before = PostgresRows(connection), time.time()
            clock = rows.fetch("clock")[0][0]
            ahead = clock - (before + time.time()) / 2
            version, fsync, pages = rows.fetch("about")[0]
            doubts = [
                f"{name} is off: a power cut may take away what was accepted; set {name} = on in postgresql.conf"
                for name, value in (("fsync", fsync), ("full_page_writes", pages))
                if value == "off"
            ]
            return About("PostgreSQL", version.split()[0], self._place(), tuple(doubts), ahead)

        return self._alone(work)

    def prune(self, before: float, limit: int = 1000) -> int:
        def forget_commits() -> int:
            with self.transaction() as rows:
                return rows.run("prune_commits")

        self.again(forget_commits)
        return prune(self.transaction, self.again, before, limit)

    def done_with(self, discarded: Sequence[int]) -> None:
        done_with(self.transaction, self.again, discarded)

    # sentences

    def _place(self) -> str:
        parts = conninfo.conninfo_to_dict(self._dsn)
        host, port = parts.get("host", "localhost"), parts.get("port", 5432)
        return f"the PostgreSQL database {parts.get('dbname', parts.get('user', 'postgres'))!r} at {host}:{port}"

    def _safely(self, error: BaseException) -> str:
        """The first line of an error, without the password."""
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        secret = conninfo.conninfo_to_dict(self._dsn).get("password")
        return text.replace(str(secret), "…") if secret else text

    def _named(self, error: BaseException) -> BaseException:
        """What a driver's error means for the caller; other errors stay what they are."""
        if isinstance(error, HeliostatError | _Repeat) or not isinstance(error, psycopg.Error):
            return Unfit(error) if isinstance(error, UnicodeEncodeError | PydanticSerializationError) else error
        sentence = self._safely(error)
        if isinstance(error, errors.UniqueViolation) or _passing(error):
            return _Repeat(sentence)
        if isinstance(error, psycopg.DataError | psycopg.IntegrityError | errors.ProgramLimitExceeded):
            return Unfit(sentence)
        if isinstance(error, errors.UndefinedTable):
            return SchemaMismatch(f"{self._place()} has another schema ({sentence}); run: heliostat db upgrade")
        if isinstance(error, psycopg.OperationalError | errors.InsufficientPrivilege):
            return StoreUnavailable(f"{self._place()} cannot be used: {sentence}")
        return error


def _passing(error: psycopg.Error) -> bool:
    """Whether the same transaction may go through later: a lost connection, a deadlock, a server that restarts."""
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError)  # the client's side: the connection is gone
    if state == errors.DiskFull.sqlstate:
        return False
    return state[:2] in ("08", "40", "57") or state in ("25006", "25P03", "53300", "55P03")


def _hopeless(error: psycopg.Error) -> bool:
    """Whether trying again to connect has no point: who asks is not let in, or the database does not exist."""
    text = str(error)
    words = ("authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied", "not translate")
    return any(word in text for word in words)


def _dsn(url: str, patience: float) -> str:
    """The connection string of a URL, with what a lost network needs; never names the password."""
    try:
        given = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        given = {}
    if not given or not all(port.isdecimal() for port in str(given.get("port") or 5432).split(",")):
        raise BadInput("database: this is no PostgreSQL URL; write postgresql://user@host:5432/name")
    defaults: dict[str, str | int | None] = {
        "connect_timeout": max(2, min(10, int(patience))),
        "application_name": "heliostat",
        "client_encoding": "UTF8",
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }
    return conninfo.make_conninfo("", **(defaults | given))


def _version(connection: Connection) -> int:
    rows = PostgresRows(connection)
    return int(rows.fetch("schema_read")[0][0]) if rows.fetch("schema_exists") else 0


def _migrate(connection: Connection) -> list[str]:
    """Carry out what is missing, all of it or nothing; of many processes at once, the first does it."""
    rows = PostgresRows(connection)
    with connection.transaction():
        rows.fetch("schema_lock", tag=TAG)
        rows.run("schema_create")
        found = rows.fetch("schema_read")[0][0]
        missing = [step for step in STATEMENTS.migrations() if step[0] > found]
        for version, name, statements in missing:
            for statement in statements:
                connection.execute(statement, prepare=False)
            rows.run("schema_mark", version=version, name=name)
    return [name for _, name, _ in missing]
