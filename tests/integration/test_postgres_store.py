"""The PostgreSQL store in the world: lost connections, forks, many processes, wrong addresses."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from heliostat.effects import End, Map, Send, Start
from heliostat.errors import BadInput, Conflict, Ended, SchemaMismatch, StoreUnavailable
from heliostat.graph import Arity, Edge, Graph, Node
from heliostat.outcome import Failed, Succeeded
from heliostat.queue import own_lane
from heliostat.run import RunState
from heliostat.store import Ask, Command, Pause, Register, SetNode, SetQueue, TryAgain
from heliostat.stores import postgres
from heliostat.stores.commit import CANCEL_AT_ONCE
from heliostat.stores.postgres import PostgresStore
from heliostat.stores.postgresrows import STATEMENTS, PostgresRows
from heliostat.stores.rows import Due
from heliostat.task import TaskState
from tests.integration.stores import JOIN, RUN, TALK, begin, send, states, work
from tests.wall_clock import library
from torture.campaign import until
from torture.grounds import PostgresGround, opened

MIGRATIONS = [name for _, name, _ in STATEMENTS.migrations()]
NEWEST = STATEMENTS.newest


@pytest.fixture
def store(postgres_database: str) -> Iterator[PostgresStore]:
    """A store on a fresh database with the schema."""
    store = PostgresStore(postgres_database)
    store.upgrade()
    yield store
    store.close()


def terminate(url: str, *, but: psycopg.Connection[Any] | None = None) -> None:
    """End all connections of the stores to this database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND pid <> %s",
            [but.info.backend_pid if but else 0],
        )


# the schema and the address


def test_a_database_without_schema_says_what_to_run(postgres_database: str) -> None:
    """Nothing is created unasked in a database that others may use."""
    store = PostgresStore(postgres_database)
    assert store.status() == (0, NEWEST)
    with pytest.raises(
        SchemaMismatch, match=f"has schema 0, and this Heliostat needs {NEWEST}; run: heliostat db upgrade"
    ):
        store.check()
    assert store.upgrade() == MIGRATIONS
    assert store.upgrade() == []
    assert store.status() == (NEWEST, NEWEST)
    assert store.runs() == []
    store.close()


def test_a_newer_schema_is_refused(store: PostgresStore, postgres_database: str) -> None:
    """A database of a newer Heliostat is left alone."""
    with store.transaction() as rows:
        rows.run("schema_mark", version=99, name="0099_future")
    with pytest.raises(
        SchemaMismatch, match=rf"has schema 99, and this Heliostat knows {NEWEST}: .* upgrade Heliostat"
    ):
        PostgresStore(postgres_database).check()


def test_processes_that_upgrade_at_once_do_it_once(postgres_database: str) -> None:
    """Of many first users one creates the tables, and none fails."""
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        done = pool.map(_upgrade, [postgres_database] * 8)
    assert sorted(done) == [[]] * 7 + [MIGRATIONS]


def _upgrade(url: str) -> list[str]:
    return PostgresStore(url).upgrade()


@pytest.mark.parametrize("url", ["postgresql://u:secret@[h/x", "postgres", "postgresql://u:secret@h:port/x", ""])
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    """The sentence shows the form of an address and nothing of what was typed."""
    with pytest.raises(BadInput, match="write postgresql://user@host:5432/name") as caught:
        PostgresStore(url).check()
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name, host and port are said, the password never."""
    monkeypatch.setattr(postgres, "FIRST_PATIENCE", 0.1)
    with pytest.raises(StoreUnavailable, match=r"'x' at 127\.0\.0\.1:1 cannot be reached: .*refused") as caught:
        PostgresStore("postgresql://u:secret@127.0.0.1:1/x").runs()
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_database_that_does_not_exist_is_not_waited_for(postgres_url: str) -> None:
    """Trying again would not help."""
    url = postgres_url.rsplit("/", 1)[0] + "/nowhere"
    with pytest.raises(StoreUnavailable, match='database "nowhere" does not exist'):
        PostgresStore(url, patience=1000.0).runs()


def test_the_clock_is_the_servers(store: PostgresStore) -> None:
    """A clock can begin with the time of the database's machine."""
    import time

    assert abs(store.time() - time.time()) < 5.0


# lost connections


def test_a_connection_that_was_lost_is_opened_again(store: PostgresStore, postgres_database: str) -> None:
    """Between two calls nobody notices a restart of the server."""
    begin(store)
    for _ in range(3):
        terminate(postgres_database)
        send(store)
        terminate(postgres_database)
        assert states(store)[TaskState.ready] > 1
    assert states(store) == {TaskState.ready: 4}


FIRST_CALLS: dict[str, Callable[[PostgresStore], object]] = {
    "check": PostgresStore.check,
    "read": PostgresStore.runs,
    "write": lambda store: store.promote(1.0),
    "time": PostgresStore.time,
    "status": PostgresStore.status,
    "upgrade": PostgresStore.upgrade,
}


@pytest.mark.parametrize("call", FIRST_CALLS)
def test_a_connection_that_is_lost_before_it_has_served_is_opened_again(
    store: PostgresStore, postgres_database: str, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A server that restarts while a process begins is waited for, whatever the process asks first."""
    opened = PostgresStore._open
    doomed = [True]

    def open_one(fresh: PostgresStore) -> psycopg.Connection[Any]:
        connection = opened(fresh)
        if doomed:
            doomed.clear()
            with psycopg.connect(postgres_database, autocommit=True) as killer:
                killer.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
        return connection

    monkeypatch.setattr(PostgresStore, "_open", open_one)
    fresh = PostgresStore(postgres_database)
    FIRST_CALLS[call](fresh)
    assert not doomed
    fresh.close()


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_whose_answer_is_lost_happens_once(
    store: PostgresStore, postgres_database: str, monkeypatch: pytest.MonkeyPatch, *, committed: bool
) -> None:
    """The server is asked how the transaction came out; only what did not happen is repeated."""
    begin(store)
    losing = _Losing(postgres_database, committed=committed)
    monkeypatch.setattr(PostgresRows, "commit", losing.commit)
    losing.armed = 1
    send(store)
    assert losing.armed == 0
    assert states(store) == {TaskState.ready: 2}
    losing.armed = 1
    first = store.lease(Ask("w", frozenset({TALK.id}), 1), 3.0)
    assert len(first) == 1
    losing.armed = 1
    batch = store.settle("w", [(first[0], Succeeded("1", (Send("one", "2"),)))], 4.0, Ask("w", frozenset({TALK.id}), 9))
    assert [verdict.word for verdict in batch.verdicts] == ["committed"]
    assert sorted(attempt.node for attempt in batch.leased) == ["hear", "one"]
    assert states(store) == {TaskState.succeeded: 1, TaskState.running: 2}


class _Losing:
    """A commit that loses its connection, after or before the server has carried it out."""

    def __init__(self, url: str, *, committed: bool) -> None:
        self.url, self.committed, self.armed = url, committed, 0
        self.real = PostgresRows.commit

    @property
    def commit(self) -> Any:
        def commit(rows: PostgresRows) -> None:
            if self.armed:
                self.armed -= 1
                if self.committed:
                    self.real(rows)
                rows._connection.close()
                raise psycopg.OperationalError("server closed the connection unexpectedly")
            self.real(rows)

        return commit


def test_a_commit_that_a_crash_swallowed_is_not_taken_for_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that crashed gives numbers of transactions again of which nothing had reached its disk."""
    with opened("postgresql") as ground:
        assert isinstance(ground, PostgresGround)
        ground.ask("SELECT 1")
        with psycopg.connect(ground.url, autocommit=True) as server:
            server.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
            server.execute("SELECT pg_reload_conf()")
        store = PostgresStore(ground.url)
        store.upgrade()
        begin(store)
        commit, given = PostgresRows.commit, list[str]()

        def swallowed(rows: PostgresRows) -> None:
            if given:
                return commit(rows)
            given.append(_number(rows._connection))
            ground.restart(signal.SIGQUIT)
            while int(given[-1]) < int(given[0]) or len(given) == 1:
                with psycopg.connect(ground.url) as other:
                    given.append(_number(other))
            rows._connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

        monkeypatch.setattr(PostgresRows, "commit", swallowed)
        send(store)
        assert given[0] in given[1:], "the server has not given the number again"
        assert states(store) == {TaskState.ready: 2}
        store.close()


def test_a_commit_that_is_under_way_is_waited_for(store: PostgresStore, postgres_database: str) -> None:
    """Who asked for it has lost the connection, but the server has not: it may still commit, so nobody may say no."""
    found: list[bool] = []
    other = PostgresStore(postgres_database)
    with store.transaction() as rows:
        rows.later("queue_insert", name="late")
        rows.later("commit_mark", process=rows.process, number=rows.number)
        rows.fetch("clock")  # an answer, so that they have been carried out
        asking = threading.Thread(target=lambda: found.append(other._committed(other._mine(), rows)))
        asking.start()
        blocked(postgres_database)
        rows.writes = False  # its mark is there
    asking.join()
    assert found == [True]
    other.close()


def test_a_commit_that_was_given_up_cannot_come_late(store: PostgresStore, postgres_database: str) -> None:
    """A server that was cut off may have the last statements of a transaction still unread."""
    other = PostgresStore(postgres_database)

    def late() -> None:
        with store.transaction() as rows:
            rows.later("queue_insert", name="late")
            rows.fetch("clock")
            assert not other._committed(other._mine(), rows)

    with pytest.raises(BadInput, match="null value"):
        late()
    assert "late" not in [name for name, _, _ in store.queues()]
    other.close()


def test_marks_of_processes_that_are_long_silent_are_forgotten(store: PostgresStore, postgres_database: str) -> None:
    """And a process that comes back after all begins anew."""
    begin(store)
    with psycopg.connect(postgres_database) as connection:
        connection.execute("UPDATE commits SET at = at - interval '31 days'")
        connection.execute("INSERT INTO commits VALUES ('young', 2)")
    store.prune(0.0)
    with psycopg.connect(postgres_database) as connection:
        assert {row[0] for row in connection.execute("SELECT process FROM commits")} == {"young", store._mine().process}
    send(store)
    assert states(store) == {TaskState.ready: 2}


def blocked(url: str) -> None:
    """Wait until a session waits for a lock."""
    with psycopg.connect(url, autocommit=True) as connection:
        while not connection.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchall():
            pass


def _number(connection: psycopg.Connection[Any]) -> str:
    """The number of the transaction that a connection is in."""
    found: str = connection.execute("SELECT pg_current_xact_id()::text").fetchall()[0][0]
    return found


def test_connections_lost_at_any_moment_lose_and_repeat_nothing(store: PostgresStore, postgres_database: str) -> None:
    """While connections are cut at random, every message is accepted once and every task settled once."""
    begin(store)
    stop = threading.Event()

    def cut() -> None:
        chance = random.Random(1)
        while not stop.wait(chance.uniform(0.005, 0.05)):
            terminate(postgres_database)

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        for _ in range(40):
            send(store, n=2)
        done = work(store, TALK, "w", n=3)
    finally:
        stop.set()
        cutter.join()
    assert done == 81
    assert states(store) == {TaskState.succeeded: 81}
    assert store.journal(after=0)


def test_a_process_that_froze_inside_a_transaction_is_not_waited_for(
    store: PostgresStore, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits in vain for its locks ends its session; when it goes on it finds so, and does its transaction again."""
    freeze_and_overtake(store, postgres_database, monkeypatch)


def test_a_frozen_process_is_not_waited_for_though_the_servers_clock_is_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whose last word lies in the future has been silent too long."""
    if library() is None:
        pytest.skip("no libfaketime is installed here")
    with opened("postgresql", steps=True) as ground:
        store = PostgresStore(ground.url)
        store.upgrade()

        def set_back() -> None:
            until(lambda: bool(ground.ask(SILENT)), 10.0)  # the statements before it have been carried out
            ground.step_clock(-3600)

        freeze_and_overtake(store, ground.url, monkeypatch, set_back)
        store.close()


SILENT = "SELECT 1 FROM pg_stat_activity WHERE starts_with(query, 'UPDATE runs') AND wait_event = 'ClientRead'"


def freeze_and_overtake(
    store: PostgresStore, url: str, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], None] = lambda: None
) -> None:
    """Stop inside a transaction that locks a run, until another has written to it."""
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.2, raising=False)
    monkeypatch.setattr(postgres, "SILENT_SECONDS", 0.3, raising=False)
    begin(store)
    frozen, other = PostgresStore(url), PostgresStore(url, patience=10.0)
    tries = 0

    def pause(store: PostgresStore, *, on: bool) -> None:
        store.accept([Command(Pause(on), RUN)], 3.0)

    prepare = PostgresRows.prepare

    def freeze(rows: PostgresRows) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:  # the run's row is locked, and nothing more is said until others are through
            meanwhile()
            pause(other, on=True)
        prepare(rows)

    monkeypatch.setattr(PostgresRows, "prepare", freeze)
    send(frozen)
    assert tries == 3
    found = store.run(RUN)
    assert found is not None
    assert found.paused
    assert len(store.tasks(RUN, node="hear")) == 2
    frozen.close()
    other.close()


def test_patience_ends_in_a_sentence(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that stays away is waited for so long, and no longer."""
    begin(store)
    store.patience = 0.2
    mine = store._mine()
    assert mine.writer is not None
    mine.writer.close()

    def refuse() -> Any:
        raise psycopg.OperationalError("connection refused")

    monkeypatch.setattr(store, "_open", refuse)
    with pytest.raises(StoreUnavailable, match="cannot be reached: connection refused"):
        send(store)


def test_a_lock_that_is_never_given_back_ends_in_a_sentence(postgres_database: str) -> None:
    """Somebody else's forgotten transaction does not hang a worker for ever."""
    store = PostgresStore(postgres_database, patience=0.3)
    store.upgrade()
    begin(store)
    with psycopg.connect(postgres_database) as other:
        other.execute("SELECT * FROM runs FOR UPDATE")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            send(store)
        other.rollback()
    send(store)
    store.close()


# values


def test_an_unstorable_value_is_refused_alone(store: PostgresStore) -> None:
    """A NUL in a result's text harms no other attempt of the batch."""
    begin(store)
    send(store, n=2)
    leased = store.lease(Ask("w", frozenset({TALK.id}), 10), 3.0)
    outcomes = [(leased[0], Succeeded("1")), (leased[1], Succeeded("\0")), (leased[2], Succeeded("2"))]
    words = [verdict.word for verdict in store.settle("w", outcomes, 4.0).verdicts]
    assert words == ["committed", "refused", "committed"]
    assert store.run(RUN).state == "active"  # type: ignore[union-attr]


# processes


def test_a_forked_child_opens_its_own_connections(store: PostgresStore) -> None:
    """A connection is never used across a fork, and the child's end does not close the parent's."""
    begin(store)
    states(store)
    if (child := os.fork()) == 0:
        try:
            send(store)
            os._exit(0 if states(store)[TaskState.ready] == 2 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    send(store)
    assert states(store)[TaskState.ready] == 3


def test_processes_that_share_runs_do_each_task_once_and_never_deadlock(
    store: PostgresStore, postgres_database: str
) -> None:
    """Four workers on the same runs, with joins, limits, pauses and an operator: no deadlock, nothing twice."""
    runs = begin(store, JOIN, 20)
    store.accept([Command(SetQueue("default", limit=40))], 1.0)
    store.accept([Command(SetNode(JOIN.id, "item", limit=20))], 1.0)
    with multiprocessing.get_context("spawn").Pool(5) as pool:
        operator = pool.apply_async(_operate, (postgres_database, runs))
        done = pool.starmap(_work, [(postgres_database, f"w{number}") for number in range(4)])
        operator.get()
        done += pool.starmap(_work, [(postgres_database, "w9")])
    assert sum(done) == 20 * 7
    assert {store.run(run).state for run in runs} == {RunState.succeeded}  # type: ignore[union-attr]
    with psycopg.connect(postgres_database) as connection:
        counted = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        assert counted.fetchone() == (0,)


def _work(url: str, worker: str) -> int:
    store = PostgresStore(url)
    done = work(store, JOIN, worker, idle=150)
    store.close()
    return done


def _operate(url: str, runs: list[int]) -> None:
    """Pause and resume every run, and look after what is due and left over, while others work."""
    store = PostgresStore(url)
    for run in runs:
        for on in (True, False):
            with suppress(Ended):
                store.accept([Command(Pause(on), run)], 2.0)
            store.promote(3.0)
            store.sweep(3.0)
    store.close()


def test_two_who_start_with_one_key_start_one_run(store: PostgresStore, postgres_database: str) -> None:
    """The second of two at once gets the first's answer."""
    begin(store, JOIN)
    others = [PostgresStore(postgres_database) for _ in range(4)]
    meeting, answers = threading.Barrier(4), []

    def start(number: int) -> None:
        meeting.wait()
        verb = Start(RUN + 100 + number, JOIN, "1", idempotency_key="same")
        answers.append(others[number].accept([Command(verb)], 2.0)[0])

    threads = [threading.Thread(target=start, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.run for answer in answers}) == 1
    assert sorted(answer.done for answer in answers) == [False, False, False, True]
    assert len(store.runs()) == 2
    for other in others:
        other.close()


def beside(url: str, statements: Callable[[PostgresRows], object], work: Callable[[], object]) -> None:
    """Do ``work`` in a thread while another process has carried out statements, and then have it commit."""
    other = PostgresStore(url)
    thread = threading.Thread(target=work)
    with other.transaction() as rows:
        statements(rows)
        rows.fetch("clock")  # an answer, so that they have been carried out
        thread.start()
        thread.join(0.5)  # done, or waiting for a lock
    thread.join()
    other.close()


def test_an_arrival_beside_an_operator_is_not_lost(store: PostgresStore, postgres_database: str) -> None:
    """Setting a node writes no task that waits for arrivals."""
    begin(store)
    ask = Ask("w", frozenset({TALK.id}), 2)
    [first] = store.lease(ask, 2.0)
    fan = Map("hear", ("1", "2"), then="one")
    members = store.settle("w", [(first, Succeeded("1", (fan,)))], 2.0, ask).leased
    store.settle("w", [(members[0], Succeeded("1"))], 2.0)
    beside(
        postgres_database,
        lambda rows: rows.lane_set(own_lane(TALK, TALK["one"])),
        lambda: store.settle("w", [(members[1], Succeeded("1"))], 2.0),
    )
    assert work(store, TALK, "w") == 1


def test_a_version_that_two_processes_register_at_once_stands_for_one_structure(
    store: PostgresStore, postgres_database: str
) -> None:
    """The second hears the difference, though the first was not there yet when it looked."""
    first, second = (Graph("fire", (Node(name),), version="1.0") for name in ("a", "b"))
    refused: list[str] = []

    def register() -> None:
        with pytest.raises(Conflict) as error:
            store.accept([Command(Register(second))], 2.0)
        refused.append(str(error.value))

    beside(postgres_database, lambda rows: rows.graph_insert(first, 1.0), register)
    assert refused == [
        "workflow fire 1.0 is registered with another structure (added b; removed a); give it a new version"
    ]
    assert store.graphs() == [first]


def test_what_is_promoted_beside_an_end_is_cancelled_with_it(store: PostgresStore, postgres_database: str) -> None:
    """A task that changes between two states of waiting is still one that has not begun."""
    [run] = begin(store)
    store.accept([Command(Send("hear", "1", due_at=5.0), run)], 2.0)
    [due] = [task for task in store.tasks(run) if task.state is TaskState.waiting]
    beside(
        postgres_database,
        lambda rows: rows.task_promote([Due(run, due.number, None)], 5.0),
        lambda: store.accept([Command(End(RunState.cancelled), run)], 5.0),
    )
    assert (states(store), store.run(run).open) == ({TaskState.cancelled: 2}, 0)  # type: ignore[union-attr]


def test_what_a_lease_drops_beside_a_retry_goes_on(store: PostgresStore, postgres_database: str) -> None:
    """The end of a large run leaves some of it to the sweep, and a lease that meets it to nobody."""
    tiles = Node("tile", Arity.each, edges=(Edge("list", "x", each=True),))
    large = Graph("large", (Node("list"), Node("bad"), tiles))
    [run] = begin(store, large)
    numbers, bad = store.lease(Ask("w", frozenset({large.id}), 2), 2.0)
    width = CANCEL_AT_ONCE + 3
    store.settle("w", [(numbers, Succeeded("[]", width=width))], 2.0)
    store.settle("w", [(bad, Failed("no light", final=True))], 2.0)
    assert store.run(run).open == 3  # type: ignore[union-attr]
    left = []

    def drops(rows: PostgresRows) -> None:
        [lane] = {lane for lane, _ in rows.lane_list([large.id])}
        left.extend(rows.task_lease("w", [(lane, 2)], 2, 3.0, {})[0])

    beside(postgres_database, drops, lambda: store.accept([Command(TryAgain(bad.number), run)], 3.0))
    assert left == []
    assert work(store, large, "w") == width + 1
    assert store.run(run).state is RunState.succeeded  # type: ignore[union-attr]


def test_the_stream_of_all_runs_never_passes_what_is_still_being_written(
    store: PostgresStore, postgres_database: str
) -> None:
    """A line that commits late is not behind a reader's place."""
    begin(store, TALK, 2)
    place = store.journal(limit=100)[-1].seq
    slow = PostgresStore(postgres_database)
    with slow.transaction() as rows:
        rows.journal_insert([(RUN, 5.0, "slow", "{}")])
        rows.run_lock([RUN])  # an answer, so that the line has been written
        store.accept([Command(Pause(), RUN + 1)], 6.0)
        assert store.journal(after=place) == []
        assert [entry.actor for entry in store.journal(RUN + 1)][-1] == "caller"
    assert [entry.actor for entry in store.journal(after=place)] == ["slow", "caller"]
    slow.close()


# much at once

LARGE = 60_000_000  #: characters: more than a connection takes before somebody reads at its other end


def within_a_minute(act: Callable[[], object]) -> object:
    """What ``act`` answers; fails if it does not come back."""
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(act()), daemon=True)
    thread.start()
    thread.join(60)
    assert answers, "it waits for an answer to what it has not sent"
    return answers[0]


def test_a_commit_that_is_large_is_sent_whole_before_its_answer_is_waited_for(store: PostgresStore) -> None:
    """As many messages as one call may bring, each as long as a message may be."""
    [run] = begin(store)
    many = [Command(Send("hear", f'"{"x" * (LARGE // 40)}"'), run) for _ in range(40)]
    within_a_minute(lambda: store.accept(many, 2.0))
    assert states(store)[TaskState.ready] == 41


def test_a_statement_that_is_large_is_sent_whole_before_its_answer_is_waited_for(store: PostgresStore) -> None:
    """Such as the definition of a workflow of very many edges."""

    def insert() -> int:
        with store.transaction() as rows:
            return rows.run("graph_insert", id=7, name="wide", version=None, definition="x" * LARGE, now=1.0)

    assert within_a_minute(insert) == 1


def test_a_large_transaction_that_fails_is_given_up_at_once(store: PostgresStore) -> None:
    """What was not sent yet need not be; the next transaction finds nothing of it."""
    [run] = begin(store)

    def fail() -> str:
        try:
            with store.transaction() as rows:
                rows.later("record_put", rows=f'[{{"run":{run},"node":"hear","number":1,"value":"{"x" * LARGE}"}}]')
                raise RuntimeError("on purpose")
        except RuntimeError as error:
            return str(error)

    assert within_a_minute(fail) == "on purpose"
    assert store.records(run) == []
