"""The SQLite store in the world: many processes, forks, bad places, full disks."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from heliostat.effects import End, Start
from heliostat.errors import BadInput, SchemaMismatch, StoreUnavailable
from heliostat.outcome import RUN_ENDED, Succeeded
from heliostat.queue import WorkerInfo
from heliostat.run import RunState
from heliostat.store import Ask, Batch, Command, Orders, SetNode, SetQueue
from heliostat.stores import pruning, sqlite
from heliostat.stores.filesystem import network_file_system
from heliostat.stores.rows import RunChange
from heliostat.stores.sqlite import SqliteStore
from heliostat.stores.sqliterows import STATEMENTS
from heliostat.task import TaskState
from tests.integration.stores import JOIN, RUN, TALK, begin, send, states, work

NEWEST = STATEMENTS.newest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is not there yet."""
    return tmp_path / "heliostat.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """A store on a new file."""
    store = SqliteStore(path)
    yield store
    store.close()


def test_a_new_file_gets_the_schema_by_itself(path: Path) -> None:
    """Nothing has to be done before the first use of a file that is not there."""
    store = SqliteStore(path)
    assert store.status() == (0, NEWEST)
    assert not path.exists()
    assert store.runs() == []
    assert store.status() == (NEWEST, NEWEST)
    assert store.upgrade() == []
    store.close()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("sqlite:///a/b.db", "a/b.db"),
        ("sqlite:////tmp/b.db", "/tmp/b.db"),
        ("b.db", "b.db"),
        (Path("/x/b.db"), "/x/b.db"),
    ],
)
def test_a_path_or_a_url_names_the_file(given: str | Path, meant: str) -> None:
    """Three slashes begin a relative path and four an absolute one."""
    assert SqliteStore(given).path == Path(meant).absolute()


@pytest.mark.parametrize("given", ["sqlite://", "sqlite:///", "sqlite://host/x.db", "", ":memory:"])
def test_what_names_no_file_is_refused(given: str) -> None:
    """The sentence says what to write instead."""
    with pytest.raises(BadInput, match="names no file; "):
        SqliteStore(given)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    """One sentence says which directory is missing and what to do."""
    with pytest.raises(StoreUnavailable, match=r"there is no directory .*/nowhere; create it"):
        SqliteStore(tmp_path / "nowhere" / "x.db").runs()
    with pytest.raises(StoreUnavailable, match="it is a directory"):
        SqliteStore(tmp_path).runs()


def test_a_file_that_was_removed_in_use_takes_nothing_more(store: SqliteStore, path: Path) -> None:
    """What would be accepted in it would be lost; once the file is back, everything goes on."""
    begin(store)
    aside = path.with_suffix(".aside")
    path.rename(aside)
    with pytest.raises(StoreUnavailable, match=r"was removed or replaced while it was in use; put the file back, or "):
        send(store)
    with pytest.raises(StoreUnavailable, match="was removed or replaced"):
        store.beat(WorkerInfo("w"), 3.0)
    path.write_bytes(aside.read_bytes())  # a copy is another file
    with pytest.raises(StoreUnavailable, match="was removed or replaced"):
        send(store)
    aside.rename(path)
    send(store)
    assert store.beat(WorkerInfo("w"), 4.0) == Orders()


@pytest.mark.parametrize("linked", [False, True])
def test_without_its_write_ahead_log_nothing_more_is_taken(tmp_path: Path, *, linked: bool) -> None:
    """What would be accepted is in no file that anybody finds; nor where another process has begun a new one."""
    file = tmp_path / "there" / "h.db"
    file.parent.mkdir()
    path = tmp_path / "link.db" if linked else file
    if linked:
        path.symlink_to(file)
    store = SqliteStore(path)
    begin(store)
    send(store)
    log, aside = file.with_name("h.db-wal"), file.with_name("aside")
    log.rename(aside)
    with pytest.raises(StoreUnavailable, match=r"/h\.db-wal was removed or replaced while it was in use; put the "):
        send(store)
    with pytest.raises(StoreUnavailable, match="was removed or replaced"):
        store.beat(WorkerInfo("w"), 3.0)
    log.touch()
    with pytest.raises(StoreUnavailable, match="was removed or replaced"):
        send(store)
    aside.rename(log)
    send(store)
    assert states(store)[TaskState.ready] == 3
    store.close()


def test_processes_that_come_and_go_take_no_file_away(path: Path) -> None:
    """The last of them that closes removes the write-ahead log, and the next one makes it anew: nobody is refused."""
    store = SqliteStore(path)
    begin(store)
    store.close()
    sent = 0
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        coming = pool.map_async(_come_and_go, [path] * 4, chunksize=1)
        while not coming.ready():
            send(store)
            store.close()
            sent += 1
        sent += sum(coming.get())
    assert states(store)[TaskState.ready] == 1 + sent
    store.close()


def test_who_opens_a_file_anew_takes_nothing_for_still_true(path: Path) -> None:
    """What SQLite says of changes counts for one connection, and the next one begins to count anew."""
    store, other = SqliteStore(path), SqliteStore(path)
    begin(store)
    store.close()
    for each in (store, other, store, other):
        send(each)
        each.close()
    assert states(store)[TaskState.ready] == 5
    store.close()


def _come_and_go(path: Path) -> int:
    """Send messages, every other one from a store that is closed at once; answers how many."""
    staying = SqliteStore(path)
    for _ in range(10):
        passing = SqliteStore(path)
        send(passing)
        passing.close()
        send(staying)
    staying.close()
    return 20


def test_a_file_of_another_kind_is_refused(path: Path) -> None:
    """A text file is no database, and stays what it is."""
    path.write_text("these are notes, and not a few of them\n" * 100)
    with pytest.raises(StoreUnavailable, match="is no SQLite database; name another file"):
        SqliteStore(path).runs()
    assert path.read_text().startswith("these are notes")


def test_a_database_of_another_program_is_refused(path: Path) -> None:
    """Tables of others are not taken for an old schema."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE birds (name TEXT)")
    connection.close()
    with closing(SqliteStore(path)) as other, pytest.raises(SchemaMismatch, match="run: heliostat db upgrade"):
        other.runs()


def test_a_newer_schema_is_refused(store: SqliteStore, path: Path) -> None:
    """A database of a newer Heliostat is left alone."""
    store.check()
    with store.transaction() as rows:
        rows.run("schema_mark", version=99, name="0099_future")
    sentence = rf"has schema 99, and this Heliostat knows {NEWEST}: .* upgrade Heliostat"
    with closing(SqliteStore(path)) as other, pytest.raises(SchemaMismatch, match=sentence):
        other.runs()


def test_a_network_file_system_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the kind and the ways out."""
    monkeypatch.setattr(sqlite, "network_file_system", lambda _: "nfs4")
    with pytest.raises(StoreUnavailable, match=r"\(nfs4\); put the file on a local disk or use Post"):
        SqliteStore(path).runs()


def test_the_deepest_mount_counts(tmp_path: Path) -> None:
    """A local disk inside a network mount is local, and blanks in names are understood."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/a / ext4 rw 0 0\nhost:/home /home nfs4 rw 0 0\n/dev/b /home/me/local\\040disk xfs rw 0 0\n"
        "x /s fuse.sshfs rw 0 0\n"
    )
    assert network_file_system(Path("/home/me/x.db"), mounts) == "nfs4"
    assert network_file_system(Path("/home/me/local disk/x.db"), mounts) is None
    assert network_file_system(Path("/s/x.db"), mounts) == "fuse.sshfs"
    assert network_file_system(Path("/homes/x.db"), mounts) is None
    assert network_file_system(Path("/x.db"), tmp_path / "none") is None


def test_a_full_disk_is_a_sentence_and_changes_nothing(store: SqliteStore) -> None:
    """What did not fit did not happen, and the store can be used again when there is room."""
    begin(store)
    writer = store._mine().writer
    assert writer is not None
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable, match="the disk is full; make room"):
        send(store, n=10_000)
    writer.execute("PRAGMA max_page_count = 1000000")
    assert states(store) == {TaskState.ready: 1}
    send(store)
    assert states(store) == {TaskState.ready: 2}


def test_another_process_that_writes_is_waited_for(store: SqliteStore, path: Path) -> None:
    """A locked database is no error while there is patience, and one sentence after."""
    begin(store)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.2, other.execute, ["COMMIT"])
    timer.start()
    send(store)
    timer.join()
    other.execute("BEGIN IMMEDIATE")
    store.patience = 0.1
    with pytest.raises(StoreUnavailable, match=r"was kept busy by other processes for 0\.1 seconds; try again"):
        send(store)
    assert states(store)[TaskState.ready] == 2  # reading needs nobody's leave
    other.execute("COMMIT")
    other.close()


def test_a_commit_that_meets_a_lock_is_repeated(store: SqliteStore) -> None:
    """COMMIT too can find the database busy."""
    begin(store)
    mine = store._mine()
    mine.writer = _BusyOnce(mine.writer)  # type: ignore[assignment]
    send(store)
    assert mine.writer.met == 1  # type: ignore[attr-defined]
    mine.writer = mine.writer.connection  # type: ignore[attr-defined]
    assert states(store)[TaskState.ready] == 2


class _BusyOnce:
    """A connection whose first COMMIT finds the database locked."""

    def __init__(self, connection: Any) -> None:
        self.connection, self.met = connection, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def execute(self, text: str, *given: Any) -> Any:
        if text == "COMMIT" and not self.met:
            self.met += 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        return self.connection.execute(text, *given)


def test_a_forked_child_opens_its_own_connections(store: SqliteStore) -> None:
    """A connection is never used across a fork, not even if a thread holds the lock while it forks."""
    begin(store)
    states(store)
    store._mine().lock.acquire()
    if (child := os.fork()) == 0:
        try:
            send(store)
            os._exit(0 if states(store)[TaskState.ready] == 2 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store._mine().lock.release()
    send(store)
    assert states(store)[TaskState.ready] == 3


def test_threads_of_a_process_take_turns(store: SqliteStore) -> None:
    """One writer connection serves all threads, and readers do not disturb them."""
    begin(store)
    threads = [threading.Thread(target=send, args=(store,), kwargs={"n": 5}) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert states(store)[TaskState.ready] % 5 == 1
    for thread in threads:
        thread.join()
    assert states(store)[TaskState.ready] == 41


def test_processes_that_open_a_new_file_at_once_make_one_schema(path: Path) -> None:
    """Of many first users one creates the tables, and none fails."""
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert pool.map(_first_use, [path] * 8) == [(NEWEST, NEWEST)] * 8


def _first_use(path: Path) -> tuple[int, int]:
    store = SqliteStore(path)
    store.check()
    status = store.status()
    store.close()
    return status


def test_processes_that_share_runs_do_each_task_once(path: Path) -> None:
    """Four workers on the same runs with joins: every task is settled once, and every run ends."""
    store = SqliteStore(path)
    runs = begin(store, JOIN, 20)
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        done = pool.starmap(_work, [(path, f"w{number}") for number in range(4)])
    assert sum(done) == 20 * 7
    assert {store.run(run).state for run in runs} == {"succeeded"}  # type: ignore[union-attr]
    store.close()


def _work(path: Path, worker: str) -> int:
    store = SqliteStore(path)
    done = work(store, JOIN, worker, idle=200)
    store.close()
    return done


def test_an_unstorable_value_is_refused_alone(store: SqliteStore) -> None:
    """A lone surrogate in a result's text harms no other attempt of the batch."""
    from heliostat.outcome import Succeeded
    from heliostat.store import Ask

    begin(store)
    send(store, n=2)
    leased = store.lease(Ask("w", frozenset({TALK.id}), 10), 3.0)
    outcomes = [(leased[0], Succeeded("1")), (leased[1], Succeeded("\ud800")), (leased[2], Succeeded("2"))]
    words = [verdict.word for verdict in store.settle("w", outcomes, 4.0).verdicts]
    assert words == ["committed", "refused", "committed"]
    assert store.run(RUN).state == "active"  # type: ignore[union-attr]


def test_what_another_process_changes_is_seen_at_once(store: SqliteStore, path: Path) -> None:
    """A process remembers its runs and lanes only while nobody else writes."""
    other = SqliteStore(path)
    [run] = begin(store)
    send(store, run, n=4)
    ask = Ask("w", frozenset({TALK.id}), 1)
    [first] = store.lease(ask, 3.0)
    other.accept([Command(SetQueue("default", paused=True))], 3.0)
    batch = store.settle("w", [(first, Succeeded())], 4.0, ask)
    assert batch.leased == ()
    other.accept([Command(SetQueue("default", paused=False))], 4.0)
    [second] = store.lease(ask, 5.0)
    other.accept([Command(End(RunState.cancelled), run)], 5.0)
    batch = store.settle("w", [(second, Succeeded())], 6.0, ask)
    assert (batch.verdicts, batch.leased) == ((RUN_ENDED,), ())
    other.close()


def test_a_look_that_found_nothing_and_would_again_waits_for_nobody(store: SqliteStore, path: Path) -> None:
    """A process without work takes no turn at the file; what it or another writes makes it look again."""
    other = SqliteStore(path)
    [run] = begin(store)
    ask = Ask("w", frozenset({TALK.id}), 1)
    assert work(store, TALK, "w") == 1
    assert store.settle("w", [], 3.0, ask) == Batch()
    store.patience = 0.05
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert store.settle("w", [], 4.0, ask) == Batch()
        for another in (ask._replace(queues=frozenset({"heavy"})), ask._replace(again=True)):
            with pytest.raises(StoreUnavailable, match="kept busy"):
                store.settle("w", [], 4.0, another)
        connection.execute("ROLLBACK")
    assert store.settle("w", [], 5.0, ask) == Batch()
    send(other, run)
    [theirs] = store.settle("w", [], 6.0, ask).leased
    assert store.settle("w", [(theirs, Succeeded())], 7.0, ask).leased == ()
    assert store.settle("w", [], 8.0, ask) == store.settle("w", [], 8.0, ask) == Batch()
    send(store, run)
    assert len(store.settle("w", [], 9.0, ask).leased) == 1
    other.close()


def test_what_waits_for_the_rate_of_its_queue_is_looked_for_each_time(store: SqliteStore) -> None:
    """Nobody writes that its time has come."""
    [run] = begin(store)
    send(store, run, n=2)
    store.accept([Command(SetQueue("default", rate="1/s"))], 2.0)
    ask = Ask("w", frozenset({TALK.id}), 2)
    assert len(store.settle("w", [], 3.0, ask).leased) == 1
    assert store.settle("w", [], 3.5, ask) == store.settle("w", [], 3.5, ask) == Batch()
    assert len(store.settle("w", [], 4.5, ask).leased) == 1


def test_a_lease_hears_where_the_tasks_of_a_node_belong(store: SqliteStore, path: Path) -> None:
    """What is sent after it is born in the lane that another process gave the node, and need not be moved."""
    begin(store)
    ask = Ask("w", frozenset({TALK.id}), 1)
    store.lease(ask, 3.0)
    with closing(SqliteStore(path)) as other:
        other.accept([Command(SetNode(TALK.id, "hear", limit=5))], 3.0)
    store.lease(ask, 4.0)
    send(store)
    with closing(sqlite3.connect(path)) as connection:
        lanes = connection.execute("SELECT l.node FROM tasks t JOIN lanes l ON l.id = t.lane_id ORDER BY t.seq DESC")
        assert lanes.fetchone() == ("hear",)


def test_a_process_alone_reads_its_runs_and_lanes_once(store: SqliteStore) -> None:
    """What it wrote itself it knows."""
    [run] = begin(store)
    send(store, run, n=5)
    read: list[str] = []
    assert work(store, TALK, "w", n=1, idle=1) == 6
    writer = store._mine().writer
    assert writer is not None
    send(store, run, n=5)
    writer.set_trace_callback(read.append)
    assert work(store, TALK, "w", n=1, idle=1) == 5
    assert [line for line in read if line.startswith(("SELECT id, graph_id", "SELECT l.id"))] == []


def test_a_transaction_that_fails_leaves_nothing_to_remember(store: SqliteStore) -> None:
    """The rows are read again, as they are."""
    [run] = begin(store)
    send(store, run)
    with store.transaction() as rows:
        [before] = rows.run_lock([run])

    def fail() -> None:
        with store.transaction() as rows:
            rows.run_change([RunChange(*before[6:-1], 9.0, run)])
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    with store.transaction() as rows:
        assert rows.run_lock([run]) == [before]


def test_old_lines_of_the_journal_are_looked_through_once_in_a_pruning(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not again with each page of the runs that are forgotten."""
    begin(store)
    for number in range(20):
        store.accept([Command(Start(RUN + 100 + number, JOIN, "1")), Command(SetQueue("default", 5))], 2.0)
        store.accept([Command(End(RunState.cancelled), RUN + 100 + number)], 3.0)
    monkeypatch.setattr(pruning, "LINES_AT_ONCE", 1)
    looks: list[str] = []
    lines = pruning._lines
    monkeypatch.setattr(pruning, "_lines", lambda *given: looks.append("") or lines(*given))
    lines_before = len(store.journal(limit=1000))
    while store.prune(10.0, 2):
        pass
    assert len(looks) <= lines_before + 1
