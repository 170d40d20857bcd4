"""Celery carries the work: real workers of Celery, a real RabbitMQ, and what happens when either goes away."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

import heliostat
from heliostat.brokers.celery import TICKET, CeleryBroker, application
from heliostat.engine import Engine
from heliostat.run import RunState
from heliostat.task import TaskState
from tests.acceptance.crew import ended, mark, marks, wait_for_marks, wait_until
from tests.celery_crew import ROOT, Celery, CeleryCrew
from tests.integration import carried
from tests.rabbitmq_server import Rabbit

pytestmark = pytest.mark.slow

PATIENCE = 200.0  #: for an answer of Celery's


@pytest.fixture
def engine(postgres_database: str, vhost: str, tmp_path: Path) -> Iterator[Engine]:
    """An engine that does not work, on a database of its own and with a virtual host of its own."""
    with heliostat.open(postgres_database, files=tmp_path / "files", broker=vhost) as engine:
        engine.store.upgrade()
        yield engine


@pytest.fixture
def crew(engine: Engine, postgres_database: str, vhost: str, tmp_path: Path) -> Iterator[CeleryCrew]:
    """Celery's workers for it."""
    given = (postgres_database, tmp_path / "files", ("tests.integration.carried",), vhost, engine.store)
    with CeleryCrew(*given) as crew:
        yield crew


def silent(engine: Engine) -> None:
    """Have no ticket issued by what this process starts."""
    engine.store.woke = None


def tickets(vhost: str, queue: str) -> int:
    """How many tickets wait in a queue."""
    broker = CeleryBroker(vhost)
    try:
        return broker._waiting(broker._connect(), queue)
    finally:
        broker._let_go()


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_run_is_carried_to_its_end(engine: Engine, crew: CeleryCrew, pool: str) -> None:
    """Each step is rung for as soon as it is ready: the whole run takes far less than a sweep."""
    worker = crew.one("--pool", pool, concurrency=1 if pool == "solo" else 2)
    runs = [engine.start(carried.many, 100), engine.start(carried.again), engine.start(carried.two)]
    ended(*runs)
    assert runs[0].result("total") == sum(n * n for n in range(100))
    assert runs[1].result("twice") == 2
    assert "telescope" in worker.log.partition("[queues]")[2].partition("[tasks]")[0]  # told none, it consumes all
    assert f"Task {TICKET}" in worker.log


def test_a_ticket_that_is_none_changes_nothing(engine: Engine, crew: CeleryCrew, vhost: str) -> None:
    """Whoever shares the virtual host may send anything."""
    worker = crew.one("--pool", "solo", "-Q", "default,telescope", concurrency=1)
    app = application(vhost)
    hostile: list[list[Any]] = [[None], [[]], [3], ["x\0"], [""], ["default", "many"], ["default", -1], [{"a": 1}, 2]]
    for args in hostile:
        app.send_task(TICKET, args=args, queue="default")
    run = engine.start(carried.two)
    ended(run)
    wait_until(lambda: worker.log.count("names no queue and number") == len(hostile), "all of them refused")
    assert "begins again" not in worker.log


def test_queues_are_served_by_those_who_consume_them(engine: Engine, crew: CeleryCrew) -> None:
    """With -Q, each of two workers takes from its own queue alone."""
    here, there = crew.one("-Q", "default"), crew.one("-Q", "telescope")
    run = engine.start(carried.two)
    ended(run)
    assert run.result("there") == [*here.children, *there.children]


def test_a_worker_is_of_its_site(engine: Engine, crew: CeleryCrew, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, and without -Q takes from the queues of its site alone."""
    monkeypatch.setenv("HELIOSTAT_SITE", "JAO")
    crew.settings = 'site = "EU"\nsites.EU = {}\nsites.JAO = { queues = ["telescope"] }\n'
    worker = crew.one()
    [known] = [known for known in engine.store.workers() if known.pid in worker.children]
    assert (known.site, known.queues) == ("JAO", "telescope")
    assert {"two dev+", "many dev+"} <= {label[: label.index("+") + 1] for label in known.offers.split(", ")}


def test_a_queue_may_be_added_and_cancelled_while_it_works(engine: Engine, crew: CeleryCrew, vhost: str) -> None:
    """With Celery's remote control; who asks why, and the list of workers, hear of the queue that was added."""
    worker = crew.one("-Q", "default")
    control = application(vhost).control
    run = engine.start(carried.two)
    wait_until(lambda: "takes from queue telescope" in run.explain(), "the first task to be done")
    assert "no worker that offers" in run.explain()
    [told] = control.add_consumer("telescope", reply=True, timeout=PATIENCE, limit=1)
    assert [*told.values()] == [{"ok": "add consumer telescope"}]
    ended(run)
    wait_until(lambda: served(engine, worker) == {"default,telescope"}, "the worker to say so")
    [told] = control.cancel_consumer("telescope", reply=True, timeout=PATIENCE, limit=1)
    assert [*told.values()] == [{"ok": "no longer consuming from telescope"}]
    later = engine.start(carried.two)
    wait_until(lambda: len(later.tasks(state=TaskState.succeeded)) == 1, "the first task")
    engine.broker.close()  # type: ignore[union-attr]
    assert tickets(vhost, "telescope") > 0
    assert later.tasks(node="there")[0].state is TaskState.ready


def test_the_pool_grows_and_shrinks_while_it_works(
    engine: Engine, crew: CeleryCrew, vhost: str, tmp_path: Path
) -> None:
    """A process that was added takes tickets at once; one that is taken away loses nothing."""
    worker = crew.one()
    control = application(vhost).control
    runs = engine.start_many(carried.slow, [str(tmp_path)] * 2)
    wait_for_marks(tmp_path, "held")
    control.pool_grow(1, reply=True, timeout=PATIENCE, limit=1)
    wait_for_marks(tmp_path, "held", 2)
    assert len(set(marks(tmp_path, "held"))) == 2
    mark(str(tmp_path), "go")
    ended(*runs)

    def shrinks() -> bool:
        [told] = control.pool_shrink(1, reply=True, timeout=PATIENCE, limit=1)
        return "ok" in next(iter(told.values()))

    wait_until(shrinks, "a process to be idle")  # Celery takes none that is busy
    wait_until(lambda: len(worker.children) == 1, "the pool to shrink")
    ended(engine.start(carried.many, 5))
    assert engine.store.attempts(runs[0].key) == []


def test_the_pool_scales_by_itself(engine: Engine, crew: CeleryCrew, tmp_path: Path) -> None:
    """A ticket that waits for a process is what --autoscale counts."""
    worker = crew.one("--autoscale", "2,1")
    assert len(worker.children) == 1
    runs = engine.start_many(carried.slow, [str(tmp_path)] * 2)
    wait_for_marks(tmp_path, "held", 2)
    assert len(worker.children) == 2
    mark(str(tmp_path), "go")
    ended(*runs)


def test_celery_tells_what_it_does(engine: Engine, crew: CeleryCrew, vhost: str, tmp_path: Path) -> None:
    """Inspection and events, which Flower shows: tickets with their queue, how long each took, how much it did."""
    worker = crew.one("-E")
    app = application(vhost)
    with Listener(app) as heard:
        run = engine.start(carried.slow, str(tmp_path))
        wait_for_marks(tmp_path, "held")
        inspect = app.control.inspect(timeout=PATIENCE, limit=1)
        assert [*inspect.ping().values()] == [{"ok": "pong"}]
        [stats] = inspect.stats().values()
        assert stats["pool"]["processes"] == worker.children
        [active] = inspect.active().values()
        assert {(ticket["name"], ticket["worker_pid"]) for ticket in active} == {(TICKET, worker.children[0])}
        [consumed] = inspect.active_queues().values()
        assert {"default", "telescope"} <= {queue["name"] for queue in consumed}
        mark(str(tmp_path), "go")
        ended(run)
        wait_until(lambda: any("1 done" in event.get("result", "") for event in heard.events), "the end of a ticket")
    kinds = {event["type"] for event in heard.events}
    assert {"task-received", "task-started", "task-succeeded"} <= kinds
    received = [event for event in heard.events if event["type"] == "task-received"]
    assert {event["name"] for event in received} == {TICKET}
    assert "'default'" in received[0]["args"]


class Listener:
    """Hears Celery's events, as Flower does."""

    def __init__(self, app: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self._app, self._over, self._ready = app, threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def _listen(self) -> None:
        with self._app.connection_for_read() as connection:
            receiver = self._app.events.Receiver(connection, handlers={"*": self.events.append})
            with receiver.consumer_context() as (line, *_):
                self._ready.set()
                while not self._over.is_set():
                    with contextlib.suppress(TimeoutError):
                        line.drain_events(timeout=0.1)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.mark.parametrize(
    ("settings", "options", "said"),
    [
        ("apps = []", (), "there is nothing to offer; list apps in heliostat.toml"),
        ('apps = ["nowhere.at_all"]', (), "there is no module 'nowhere.at_all'"),
        ('apps = ["broken.py"]', (), "broken.py cannot be loaded: ZeroDivisionError: division by zero"),
        (
            'apps = ["tests.integration.carried"]',
            ("--pool", "custom"),
            "the pool celery_manner is not supported; use prefork, threads or solo",
        ),
    ],
    ids=["no app", "no module", "broken", "pool"],
)
def test_what_cannot_work_does_not_begin(tmp_path: Path, settings: str, options: tuple[str, ...], said: str) -> None:
    """It ends with one sentence, before it has asked for a database or a broker."""
    (tmp_path / "heliostat.toml").write_text(settings)
    (tmp_path / "broken.py").write_text("1 / 0\n")
    words = ["celery", "-A", "tests.celery_manner", "worker", "--concurrency", "1", *options]
    chosen = {
        "CELERY_CUSTOM_WORKER_POOL": "tests.celery_manner:OtherPool",
        "HELIOSTAT_BROKER": "amqp://127.0.0.1:1",
        "HELIOSTAT_TEST_MANNER": "{}",
        "PYTHONPATH": str(ROOT),
    }
    ended = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=tmp_path,
        env=os.environ | chosen,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == f"heliostat: {said}"


def served(engine: Engine, worker: Celery) -> set[str]:
    """The queues that the processes of a worker say they take from."""
    return {known.queues for known in engine.store.workers() if known.pid in worker.children}


def test_a_killed_process_loses_nothing(engine: Engine, crew: CeleryCrew, tmp_path: Path) -> None:
    """Killed are a process of the pool, which Celery replaces, and then a whole worker, which another replaces."""
    worker = crew.one()
    run = engine.start(carried.slow, str(tmp_path))
    wait_for_marks(tmp_path, "held")
    os.kill(worker.children[0], signal.SIGKILL)
    wait_for_marks(tmp_path, "held", 2)
    for pid in [worker.pid, *worker.children]:
        os.kill(pid, signal.SIGKILL)
    crew.one()
    wait_for_marks(tmp_path, "held", 3)
    mark(str(tmp_path), "go")
    ended(run)
    assert run.result("hold") == "went on"
    assert [record.state for record in engine.store.attempts(run.key)] == ["rescued", "rescued"]


def test_without_rabbitmq_everything_goes_on(engine: Engine, crew: CeleryCrew, rabbit: Rabbit) -> None:
    """The processes look for work themselves while it is away, say so once, and go back to tickets."""
    worker = crew.one(concurrency=2)
    rabbit.stop()
    assert engine.broker is not None
    try:
        bell = engine.broker.about(["default"])
        assert (bell.trouble, bell.queues) == ("does not answer", ())
        run = engine.start(carried.many, 20)
        ended(run)
        assert run.state is RunState.succeeded
        assert worker.log.count("no tickets come from the broker;") in (1, 2)  # each process may say so
        wait_until(lambda: worker.log.count("Trying again in 2.00 seconds") == 3, "Celery to try at a steady pace")
    finally:
        rabbit.start()
    wait_until(lambda: worker.log.count("working by them") == 2, "the processes to notice")
    wait_until(lambda: worker.log.count("Connected to amqp") == 2, "Celery to be back")
    wait_until(lambda: engine.broker.remind([]), "this process to notice")  # type: ignore[union-attr]
    before = worker.log.count("done'")
    ended(engine.start(carried.many, 20))
    wait_until(lambda: worker.log.count("done'") > before, "a ticket")


def test_tickets_that_were_lost_are_issued_anew(engine: Engine, crew: CeleryCrew, vhost: str) -> None:
    """Nobody rings for a run, as if its tickets had been purged: the sweep finds that it is ready."""
    crew.one()
    silent(engine)
    run = engine.start(carried.many, 5)
    ended(run)
    assert run.state is RunState.succeeded


def test_a_repeated_ticket_changes_nothing(engine: Engine, crew: CeleryCrew, vhost: str) -> None:
    """A hundred tickets for a queue that has nothing are taken and are gone."""
    crew.one(concurrency=2)
    run = engine.start(carried.many, 10)
    app = application(vhost)
    with app.connection_for_write() as connection:
        producer = app.amqp.Producer(connection)
        for _ in range(100):
            app.send_task(TICKET, ("default", 1), queue="default", producer=producer)
    ended(run)
    wait_until(lambda: tickets(vhost, "default") == 0, "the tickets to be taken")
    assert len(run.tasks()) == 12
    assert engine.store.attempts(run.key) == []


def test_a_ticket_for_nothing_is_gone_whatever_else_runs_there(
    engine: Engine, crew: CeleryCrew, vhost: str, tmp_path: Path
) -> None:
    """Where something of another queue runs, it does not pass for a queue that has more to do."""
    crew.one("--pool", "threads", concurrency=3)
    run = engine.start(carried.endless, str(tmp_path))
    wait_for_marks(tmp_path, "begun")
    app = application(vhost)
    with app.connection_for_write() as connection:
        producer = app.amqp.Producer(connection)
        for _ in range(30):
            app.send_task(TICKET, ("telescope", 5), queue="telescope", producer=producer)
    wait_until(lambda: tickets(vhost, "telescope") == 0, "the tickets to be taken")
    assert run.state is RunState.active
    ended(engine.start(carried.two))
    run.cancel()
    ended(run)


def test_no_flood_builds_up_while_nobody_consumes(engine: Engine, vhost: str) -> None:
    """Commits are added up before tickets are issued, and reminding adds none to those that wait."""
    engine.start_many(carried.many, range(1000))
    assert engine.broker is not None
    engine.broker.close()
    before = tickets(vhost, "default")
    assert 0 < before < 100
    for _ in range(5):
        reminder = CeleryBroker(vhost)
        reminder.remind(["default"])
        reminder.close()
    assert tickets(vhost, "default") == before


def test_a_soft_time_limit_times_the_attempt_out(engine: Engine, crew: CeleryCrew, tmp_path: Path) -> None:
    """The function is asked to stop, and its attempt has failed as one that timed out."""
    crew.one("--soft-time-limit", "2")
    run = engine.start(carried.endless, str(tmp_path))
    ended(run)
    assert run.state is RunState.failed
    assert [record.state for record in engine.store.attempts(run.key)] == ["timed_out"]
    assert "soft time limit" in run.info.reason


def test_a_hard_time_limit_ends_the_process(engine: Engine, crew: CeleryCrew, tmp_path: Path) -> None:
    """The task goes to the process that takes the killed one's place."""
    crew.one("--time-limit", "2")
    run = engine.start(carried.deaf, str(tmp_path))
    ended(run)
    assert run.state is RunState.succeeded
    assert len(set(marks(tmp_path, "begun"))) == 2
    assert [record.state for record in engine.store.attempts(run.key)] == ["rescued"]


def test_a_warm_shutdown_finishes_what_has_begun(engine: Engine, crew: CeleryCrew, tmp_path: Path) -> None:
    """What runs ends well and is recorded; what has not begun then is left to others."""
    worker = crew.one()
    run = engine.start(carried.slow, str(tmp_path))
    wait_for_marks(tmp_path, "held")
    worker.ask(signal.SIGTERM)
    wait_until(lambda: "Warm shutdown" in worker.log, "the shutdown to begin")
    other = engine.start(carried.many, 3)
    mark(str(tmp_path), "go")
    wait_until(lambda: not worker.alive, "the worker to end")
    assert run.result("hold") == "went on"
    assert [w.state for w in engine.store.workers() if w.state == "active"] == []
    crew.one()
    ended(other)
