"""What has gone wrong in other engines, tried here: each was a bug that somebody reported somewhere."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from amqp.exceptions import PreconditionFailed  # type: ignore[import-untyped]

import heliostat
from heliostat import Context, Workflow
from heliostat.brokers.celery import TICKET, application
from heliostat.errors import StoreUnavailable
from heliostat.graph import Arity, Graph, Node
from heliostat.loops.rescue import Rescue
from heliostat.queue import WorkerInfo
from heliostat.store import SetQueue, Store
from heliostat.stores.postgres import PostgresStore
from heliostat.stores.sqlite import SqliteStore
from heliostat.task import TaskState
from heliostat.testing.conformance import Hand
from tests.acceptance.crew import ended, mark, marks, wait_for_marks, wait_until
from tests.acceptance.worker import Manner
from tests.celery_crew import CeleryCrew
from tests.integration import carried
from tests.rabbitmq_server import Rabbit
from torture.wire import wire

READY, RUNNING, CANCELLED = TaskState.ready, TaskState.running, TaskState.cancelled

TALK = Graph("talk", (Node("hear", Arity.handler),), stays_open=True)
FULL = Graph("full", (Node("many", Arity.handler, queue="full"),), stays_open=True)
SMALL = Graph("small", (Node("few", Arity.handler, queue="small"),), stays_open=True)

Opener = Callable[[], Store]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/x.db"
    return str(request.getfixturevalue("postgres_database"))


@pytest.fixture
def open_one(url: str) -> Iterator[Opener]:
    """Stores on one database, as so many processes have them."""
    opened: list[Any] = []

    def another() -> Store:
        store: Any = SqliteStore(url) if url.startswith("sqlite") else PostgresStore(url)
        store.upgrade()
        opened.append(store)
        return store  # type: ignore[no-any-return]

    yield another
    for store in opened:
        store.close()


def hands(open_one: Opener, *names: str, graphs: tuple[Graph, ...] = (TALK,)) -> list[Hand]:
    """Processes that all offer the same workflows."""
    made = [Hand(open_one(), name, (1 << 50) + (position << 20)) for position, name in enumerate(names)]
    for hand in made:
        for graph in graphs:
            hand.add(graph)
        hand.beat()
    return made


def some(hand: Hand, n: int, graph: Graph = TALK, node: str = "hear") -> int:
    """A run with so many messages."""
    run = hand.start(graph)
    for number in range(n):
        hand.send(run, node, number)
    return run


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_rescue_that_the_database_interrupts_is_done_once(
    open_one: Opener, url: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its transaction is cut right before or right after it commits; asked again, nothing is rescued twice."""
    lost, other = hands(open_one, "lost", "other")
    run = some(lost, 3)
    assert len(lost.lease(3)) == 3
    store: Any = other.store
    transaction, cuts = store.transaction, 0

    @contextmanager
    def cut() -> Iterator[Any]:
        nonlocal cuts
        cuts += 1
        first = cuts == 1
        with transaction() as rows:
            yield rows
            if first and when == "before":
                interrupt()
        if first and when == "after":
            raise StoreUnavailable("the database restarts")

    def interrupt() -> None:
        if url.startswith("sqlite"):
            raise StoreUnavailable("the database restarts")
        with psycopg.connect(url, application_name="restart") as server:
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'heliostat'"
            )

    monkeypatch.setattr(store, "transaction", cut)
    beat = next(worker.beat for worker in store.workers() if worker.id == "lost")
    for _ in range(2):
        try:
            store.rescue([("lost", beat)], other.now)
            break
        except StoreUnavailable:
            continue
    store.rescue([("lost", beat)], other.now)
    tasks = other.store.tasks(run)
    assert [(task.state, task.rescues) for task in tasks] == [(READY, 1)] * 3
    assert len(other.lease(9)) == 3


def test_a_claim_that_was_lost_leaves_no_stale_list(open_one: Opener) -> None:
    """Who looked and found all taken gets what comes next; of many that look at once, one gets each."""
    one, two = hands(open_one, "one", "two")
    run = some(one, 3)
    assert [len(hand.lease(9)) for hand in (one, two, one, two)] == [3, 0, 0, 0]
    one.send(run, "hear", "late")
    assert [attempt.message for attempt in two.lease(9)] == ['"late"']
    some(one, 60)
    taken: list[tuple[int, int]] = []

    def claim(hand: Hand) -> None:
        while got := hand.lease(1):
            taken.extend(attempt.task for attempt in got)

    threads = [threading.Thread(target=claim, args=(hand,)) for hand in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 60
    assert max(Counter(taken).values()) == 1


@pytest.mark.parametrize("state", ["stopped", "lost"])
def test_a_process_that_claims_again_after_its_end_keeps_nothing(open_one: Opener, state: str) -> None:
    """It drained, or was taken for dead, and leases once more under the same name: others take that back."""
    old, other = hands(open_one, "old", "other")
    run = some(old, 1)
    if state == "lost":
        old.lose("old")
    else:
        old.store.beat(WorkerInfo("old", state="stopped"), old.now)
    assert len(old.lease(1)) == 1
    rescue = Rescue(other.store, 15.0, other.ask, lambda adopted: None, lambda worker: False)
    rescue.tick(other.now)
    assert [task.state for task in other.store.tasks(run)] == [READY]
    assert len(other.lease(1)) == 1


def test_a_queue_of_one_is_not_blocked_by_what_was_rescued(open_one: Opener) -> None:
    """The place of the lost attempt is free, for that task as for the next."""
    lost, other = hands(open_one, "lost", "other")
    some(lost, 2)
    lost.do(SetQueue("default", limit=1))
    assert len(lost.lease(2)) == 1
    assert other.lease(2) == []
    other.lose("lost")
    first = other.lease(2)
    assert [(attempt.message, attempt.count) for attempt in first] == [("0", 2)]
    assert other.lease(2) == []
    other.settle(first[0])
    assert [attempt.message for attempt in other.lease(2)] == ["1"]


def test_a_cancelled_run_keeps_no_place(open_one: Opener) -> None:
    """What waited in it takes none, and what ran in it gives it back: with its answer, or with its worker."""
    one, other = hands(open_one, "one", "other")
    one.do(SetQueue("default", limit=1))
    for way in ("answer", "worker"):
        cancelled = some(one, 3)
        next_run = some(one, 1)
        (attempt,) = one.lease(1)
        assert attempt.run == cancelled
        one.cancel(cancelled)
        if way == "answer":
            assert one.settle(attempt).word == "ended"
        else:
            other.lose("one")
        (following,) = other.lease(3)
        assert following.run == next_run
        other.settle(following)
        assert {task.state for task in other.store.tasks(cancelled)} == {CANCELLED}


def test_a_queue_with_little_is_not_starved_by_one_with_much(open_one: Opener) -> None:
    """A worker with one slot comes by each queue in turn, and one with two takes from both."""
    (hand,) = hands(open_one, "one", graphs=(FULL, SMALL))
    some(hand, 100, FULL, "many")
    some(hand, 2, SMALL, "few")
    turns = [hand.lease(1, turn=turn)[0].queue for turn in range(4)]
    assert turns.count("small") == 2
    some(hand, 1, SMALL, "few")
    assert {attempt.queue for attempt in hand.lease(2)} == {"full", "small"}


twice = Workflow("twice")
CALLS: list[str] = []


@twice.node
def call(ctx: Context, message: int) -> int:
    """Be called."""
    CALLS.append(ctx.task.id)
    return message


@twice.node
def after(ctx: Context, call: int) -> int:
    """Be called after that."""
    CALLS.append(ctx.task.id)
    return call


def test_two_runners_on_one_database_share_the_work(url: str, tmp_path: Path) -> None:
    """Neither fails because of the other, and nothing is done twice."""
    CALLS.clear()
    runners = [heliostat.open(url, files=tmp_path / "files") for _ in range(2)]
    runners[0].store.upgrade()
    runs = [run for runner in runners for run in runner.start_many(twice, range(40))]
    failures: list[BaseException] = []

    def work(runner: heliostat.engine.Engine) -> None:
        try:
            runner.work(until="idle")
        except BaseException as error:  # noqa: BLE001 - it is looked at below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(runner,)) for runner in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert [run.result() for run in runs] == [*range(40), *range(40)]
    assert max(Counter(CALLS).values()) == 1
    assert len(CALLS) == 160
    for runner in runners:
        runner.close()


@contextmanager
def by_ticket(
    database: str, files: Path, broker: str, *, polls: bool = False, **manner: bool
) -> Iterator[tuple[heliostat.engine.Engine, CeleryCrew]]:
    """An engine that does not work, and workers of Celery's that do so by ticket, alone unless they poll."""
    with heliostat.open(database, files=files, broker=broker) as engine:
        engine.store.upgrade()
        given = (database, files, ("tests.integration.carried",), broker, engine.store, Manner(polls=polls, **manner))
        with CeleryCrew(*given) as crew:
            yield engine, crew


@pytest.mark.slow
@pytest.mark.parametrize("how", ["reset", "closed", "cancelled"])
def test_a_worker_that_reconnects_to_the_broker_goes_on_by_ticket(
    postgres_database: str, rabbit: Rabbit, vhost: str, how: str, tmp_path: Path
) -> None:
    """Its connection is reset, closed by the broker, or its queue is removed under it; then it consumes as before."""
    with wire(rabbit.port) as line:
        address = vhost.replace(f":{rabbit.port}/", f":{line.port}/")
        with by_ticket(postgres_database, tmp_path / "files", address) as (engine, crew):
            worker = crew.one()
            ended(engine.start(carried.many, 3))
            match how:
                case "reset":
                    line.reset()
                case "closed":
                    rabbit.control("close_all_connections", "-p", vhost.rpartition("/")[2], "the test has it so")
                case "cancelled":
                    with application(vhost).connection_for_write() as connection:
                        connection.channel().queue_delete("default")
            wait_until(lambda: worker.log.count("Connected to amqp") == 2, "Celery to be back")
            run = engine.start(carried.many, 20)
            ended(run)
            assert run.result("total") == sum(n * n for n in range(20))
            assert engine.store.attempts(run.key) == []


@pytest.mark.slow
def test_a_worker_that_nobody_tells_of_its_queues_end_consumes_anew(
    postgres_database: str, vhost: str, tmp_path: Path
) -> None:
    """As where a queue is removed and made anew at once: its connection is well, and no ticket would ever come."""
    with by_ticket(postgres_database, tmp_path / "files", vhost, untold=True) as (engine, crew):
        worker = crew.one()
        ended(engine.start(carried.many, 3))
        with application(vhost).connection_for_write() as connection:
            connection.channel().queue_delete("default")
        run = engine.start(carried.many, 20)
        ended(run)
        assert run.result("total") == sum(n * n for n in range(20))
        assert worker.log.count("Connected to amqp") == 1


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_worker_that_may_not_consume_looks_for_itself(
    postgres_database: str, vhost: str, tmp_path: Path, rabbit: Rabbit, pool: str
) -> None:
    """The broker takes every ticket, so whoever issues them sees that all is well; and gives none."""
    name = vhost.rpartition("/")[2]
    with by_ticket(postgres_database, tmp_path / "files", vhost, polls=True) as (engine, crew):
        worker = crew.one("--pool", pool)
        ended(engine.start(carried.many, 3))
        rabbit.control("set_permissions", "-p", name, "guest", ".*", ".*", "^$")
        rabbit.control("close_all_connections", "-p", name, "tried")
        wait_until(lambda: "looking into the database for work" in worker.log)
        run = engine.start(carried.many, 20)
        ended(run)
        assert run.result("total") == sum(n * n for n in range(20))
        rabbit.control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        wait_until(lambda: "working by them" in worker.log)
        ended(engine.start(carried.many, 3))


@pytest.fixture
def impatient(rabbit: Rabbit) -> Iterator[None]:
    """Have RabbitMQ close channels on which a delivery is unacknowledged for half a second."""
    rabbit.control("eval", "[application:set_env(rabbit, K, V) || {K, V} <- [" + IMPATIENT + "]].")
    yield
    rabbit.control("eval", "[application:set_env(rabbit, K, V) || {K, V} <- [" + PATIENT + "]].")


IMPATIENT = "{consumer_timeout, 500}, {channel_tick_interval, 100}"
PATIENT = "{consumer_timeout, 1800000}, {channel_tick_interval, 60000}"  # as it comes


def outlive_a_delivery(vhost: str) -> None:
    """Hold a delivery on a quorum queue until RabbitMQ closes the channel for it."""
    app = application(vhost)
    with app.connection_for_write() as connection:
        channel = connection.channel()
        app.amqp.queues["held"].bind(channel).declare()
        app.send_task(TICKET, ("held", 1), queue="held", producer=app.amqp.Producer(connection))
        channel.basic_consume("held", callback=lambda message: None)
        with pytest.raises(PreconditionFailed, match="delivery acknowledgement"):
            drain(connection)


def drain(connection: Any) -> None:
    """Hear what the broker says until it says that something is wrong."""
    while True:
        connection.drain_events(timeout=200)


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("waiting", [0, 3])
def test_what_runs_longer_than_the_brokers_consumers_may_is_done_once(
    postgres_database: str, vhost: str, waiting: int, tmp_path: Path
) -> None:
    """Its ticket was acknowledged when it began. Those that wait behind it are not: for them Celery connects anew."""
    with by_ticket(postgres_database, tmp_path / "files", vhost) as (engine, crew):
        worker = crew.one()
        run = engine.start(carried.slow, str(tmp_path))
        wait_for_marks(tmp_path, "held")
        app = application(vhost)
        with app.connection_for_write() as connection:
            producer = app.amqp.Producer(connection)
            for _ in range(waiting):
                app.send_task(TICKET, ("default", 1), queue="default", producer=producer)
        for _ in range(2):
            outlive_a_delivery(vhost)
        mark(str(tmp_path), "go")
        ended(run, engine.start(carried.many, 3))
        assert len(marks(tmp_path, "held")) == 1
        assert engine.store.attempts(run.key) == []
        if waiting:  # another bell may have rung where nothing else waits, on a machine with much to do
            assert worker.log.count("Connected to amqp") > 1
        assert "Traceback" not in worker.log
