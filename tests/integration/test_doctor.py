"""The doctor: each part of an installation as it should be, and each of them away."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

import heliostat
from heliostat import Workflow, doctor
from heliostat.brokers.celery import CeleryBroker, application
from heliostat.cli import app
from heliostat.code import release
from heliostat.config import Config
from heliostat.finding import Finding, Verdict
from heliostat.queue import WorkerInfo
from heliostat.store import Ask, Command, SetQueue
from heliostat.stores.memory import MemoryStore
from tests.integration.test_schema import RELEASED
from tests.slurm_server import Slurm

SECRET = "oPen-5esame"
Look = Callable[..., dict[str, Any]]

sky = Workflow("sky", version="1.0")


@sky.node(queue="telescope")
def expose() -> None:
    """Never called."""


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Call it in an empty directory: what it finds by what it is about, of several the worst."""
    for name in ("DATABASE", "FILES", "BROKER"):
        monkeypatch.delenv(f"HELIOSTAT_{name}", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*options: str, code: int = 0) -> dict[str, Any]:
        done = CliRunner().invoke(app, [*options, "doctor", "--json"], catch_exceptions=False)
        assert done.exit_code == code, done.output
        assert SECRET not in done.output
        found = sorted(json.loads(done.stdout), key=lambda entry: list(Verdict).index(entry["verdict"]))
        assert all(entry["advice"] for entry in found if entry["verdict"] != "good")
        return {entry["about"]: (entry["verdict"], entry["text"]) for entry in found}

    return call


def test_a_cluster_says_whether_its_scheduler_answers(
    look: Look, slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that does not is no reason to stop: its jobs go on."""
    (tmp_path / "heliostat.toml").write_text(
        'queues.fast = { executor = "slurm" }\nqueues.long = { executor = "slurm", partition = "closed" }\n'
    )
    verdict, text = look()["clusters"]
    assert (verdict, text.partition(" 2")[0]) == ("good", "slurm of fast, long: slurm-wlm")
    assert "; main (default): up, 1 of 1 nodes idle; " in text
    (tmp_path / "sinfo").write_text(
        "#!/bin/sh\necho 'slurm_load_partitions: Unable to contact controller' >&2; exit 1\n"
    )
    (tmp_path / "sinfo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    verdict, text = look()["clusters"]
    assert verdict == "doubtful"
    assert text.startswith("slurm of fast, long: slurm on ")
    assert text.endswith(" does not answer: slurm_load_partitions: Unable to contact controller")


def test_a_partition_that_the_cluster_does_not_have_is_bad(look: Look, slurm: Slurm, tmp_path: Path) -> None:
    """Of several that a queue names, each is looked for."""
    (tmp_path / "heliostat.toml").write_text(
        'queues.fast = { executor = "slurm", partition = "compute" }\n'
        'queues.long = { executor = "slurm", partition = "main,closed" }\n'
    )
    verdict, text = look(code=6)["clusters"]
    assert verdict == "bad"
    assert text.startswith("queue fast: slurm has no partition 'compute'; there is ")
    assert "main" in text


def started(database: str) -> None:
    """A run that waits for a worker."""
    with heliostat.open(database) as engine:
        engine.store.upgrade()
        engine.start(sky)


def test_before_there_is_anything_nothing_is_made(look: Look, tmp_path: Path) -> None:
    """Neither a database nor a directory of files comes into being."""
    found = look()
    assert found["schema"] == ("doubtful", "there are no tables yet")
    assert found["files"][1].startswith(f"{tmp_path}/.heliostat is made when it is needed, on ")
    assert "queues" not in found
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("made", ["", "CREATE TABLE birds (name TEXT)"], ids=["empty", "of others"])
def test_a_file_that_is_none_of_ours_stays_as_it_is(look: Look, tmp_path: Path, made: str) -> None:
    """Not even its journal mode changes."""
    with sqlite3.connect(tmp_path / "birds.db") as connection:
        connection.executescript(made)
    connection.close()
    (tmp_path / "birds.db").touch()
    before = (tmp_path / "birds.db").read_bytes()
    assert look("--database", "sqlite:///birds.db")["schema"] == ("doubtful", "there are no tables yet")
    assert (tmp_path / "birds.db").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["birds.db"]


def test_work_that_nobody_can_do_is_bad(look: Look) -> None:
    """Which queue, which workflow in which version; and the status says so to programs."""
    started("sqlite:///heliostat.db")
    found = look(code=6)
    assert found["schema"][0] == found["durability"][0] == "good"
    assert found["workers"] == ("doubtful", "no worker is there, so nothing runs")
    assert found["queues"] == ("bad", "1 task is ready in queue telescope, and no worker takes from it")
    assert found["workflows"] == ("bad", "no worker offers sky 1.0, and something of it is ready")
    with heliostat.open() as engine:
        engine.store.accept([Command(SetQueue("telescope", paused=True))], time.time())
    assert look(code=6)["queues"] == ("doubtful", "1 task is ready in queue telescope, which is paused")


def test_with_a_worker_all_is_well(look: Look) -> None:
    """It offers the workflow and takes from its queue, though it has not begun yet."""
    started("sqlite:///heliostat.db")
    with heliostat.open() as engine:
        engine.add(sky)
        worker = engine.worker()
        worker.draining = True  # it shows life and takes nothing
        worker.tick(engine.around.clock.now())
        found = look()
        assert {verdict for verdict, _ in found.values()} == {"good"}
        assert found["workers"][1] == "1 worker on 1 machine"
        worker.stop(0.0)


def test_people_read_one_line_for_each(look: Look) -> None:
    """With a mark, and what to do below it."""
    told = CliRunner().invoke(app, ["doctor"], catch_exceptions=False).stdout.splitlines()
    assert told[0].startswith("✓ configuration  database sqlite:///heliostat.db (default);")
    schema = told.index("! schema         there are no tables yet")
    assert told[schema + 1].strip() == "→ make them: heliostat db upgrade"


def test_a_configuration_that_means_nothing_is_a_finding(look: Look, tmp_path: Path) -> None:
    """One line, since nothing else can be looked at."""
    (tmp_path / "heliostat.toml").write_text('databse = "x"\n')
    assert look(code=6) == {
        "configuration": ("bad", "heliostat.toml: there is no setting 'databse'; did you mean 'database'?")
    }


def test_a_database_that_is_no_database_is_a_finding(look: Look, tmp_path: Path) -> None:
    """The other parts are looked at all the same."""
    (tmp_path / "x.db").write_text("a letter\n" * 100)
    found = look("--database", "sqlite:///x.db", code=6)
    assert found["database"][0] == "bad"
    assert "is no SQLite database" in found["database"][1]
    assert found["files"][0] == "good"


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_an_older_schema_is_said_and_stays(look: Look, tmp_path: Path, dialect: str, request: Any) -> None:
    """The doctor upgrades nothing."""
    dump = (RELEASED / f"{dialect}-0003.sql").read_text("utf-8")
    if dialect == "sqlite":
        with sqlite3.connect(tmp_path / "heliostat.db") as connection:
            connection.executescript(dump)
        connection.close()
        url = "sqlite:///heliostat.db"
    else:
        url = request.getfixturevalue("postgres_database")
        with psycopg.connect(url) as postgres:
            postgres.execute(dump)
    for _ in range(2):
        verdict, words = look("--database", url, code=6)["schema"]
        assert verdict == "bad"
        assert words.startswith("the tables are of schema 3, and this version needs")


def test_on_postgresql_the_server_is_asked(look: Look, postgres_database: str) -> None:
    """Its version, its clock, and what of its settings would lose what was accepted: this one forgets for speed."""
    started(postgres_database)
    found = look("--database", postgres_database, code=6)
    assert found["database"][1].startswith("PostgreSQL 1")
    assert found["durability"][0] == "bad"
    assert "is off: a power cut may take away what was accepted" in found["durability"][1]
    assert found["clock"][0] == "good"
    assert found["workflows"][1] == "no worker offers sky 1.0, and something of it is ready"


def test_a_clock_that_differs_is_said() -> None:
    """It harms no run, but people compare times."""
    about = heliostat.store.About("PostgreSQL", "15", "there", ahead=-62.0)

    class Late(MemoryStore):
        def about(self) -> heliostat.store.About:
            return about

    patient = doctor.Patient(Config(), Late, lambda: None, lambda path: "")
    found = {finding.about: finding for finding in doctor.examine(patient)}
    assert found["clock"].verdict is Verdict.doubtful
    assert found["clock"].text == "the database's clock is 62.0 s behind this one"


def test_a_server_that_is_away_is_one_sentence(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused or silent, without its password, and soon enough for somebody who looks."""
    monkeypatch.setenv("HELIOSTAT_BROKER", f"amqp://me:{SECRET}@127.0.0.1:1/sky")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        for port in (1, silent.getsockname()[1]):
            found = look("--database", f"postgresql://me:{SECRET}@127.0.0.1:{port}/sky", code=6)
            verdict, words = found["database"]
            assert verdict == "bad"
            assert words.startswith(f"the PostgreSQL database 'sky' at 127.0.0.1:{port} cannot be reached")
            assert found["files"][0] == "good"
            assert found["broker"] == (
                "doubtful",
                "RabbitMQ at 127.0.0.1:1/sky does not answer: workers look for work every 0.25 s, and nothing is lost",
            )


def test_a_slip_in_the_brokers_address_is_a_sentence(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no defect, and nothing of the password is shown."""
    monkeypatch.setenv("HELIOSTAT_BROKER", "amqp://me:se/cret@127.0.0.1/sky")
    verdict, words = look(code=6)["broker"]
    assert verdict == "bad"
    assert words.startswith("broker: the address cannot be read; write amqp://")
    assert "cret" not in words


def test_what_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system whose server is gone answers nobody, and the other checks go on."""
    over = threading.Event()

    def hang(path: Path) -> str:
        over.wait()
        return ""

    monkeypatch.setattr(doctor, "LIMIT_SECONDS", 0.05)
    patient = doctor.Patient(Config(), MemoryStore, lambda: None, hang)
    found = {finding.about: finding for finding in doctor.examine(patient)}
    over.set()
    assert found["files"] == Finding("files", Verdict.bad, "no answer within 0.05 s", "see whether it hangs")
    assert found["workers"].verdict is Verdict.doubtful


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_files_that_cannot_be_written_are_bad(look: Look, tmp_path: Path) -> None:
    """Whose directory it is does not matter."""
    (tmp_path / "files").mkdir(mode=0o500)
    assert look("--files", "files", code=6)["files"] == ("bad", f"{tmp_path}/files cannot be written")


def test_a_place_for_files_that_is_a_file_is_bad(look: Look, tmp_path: Path) -> None:
    """As after a slip of the keyboard."""
    (tmp_path / "files").touch()
    assert look("--files", "files/there", code=6)["files"] == ("bad", f"{tmp_path}/files cannot be written")


@pytest.mark.slow
def test_the_broker_is_asked_for_its_queues(look: Look, vhost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tickets that wait, who consumes, which are no quorum queues; and none is made by asking."""
    started("sqlite:///heliostat.db")
    monkeypatch.setenv("HELIOSTAT_BROKER", vhost)
    found = look(code=6)
    assert found["broker"][0] == "good"
    assert found["broker"][1].startswith("RabbitMQ at 127.0.0.1:")
    assert "tickets" not in found
    broker = CeleryBroker(vhost)
    broker.ring({"telescope": 3})
    broker.close()
    assert look(code=6)["tickets"] == ("good", "waiting by queue: telescope 3 (0 consuming)")
    with application(vhost).connection_for_write() as connection:
        connection.channel().queue_delete("telescope")
        connection.channel().queue_declare("telescope", durable=True)
    assert look(code=6)["tickets"] == ("doubtful", "the broker's queue telescope is no quorum queue")
    monkeypatch.setenv("HELIOSTAT_BROKER", vhost.replace("guest:guest", f"guest:{SECRET}"))
    assert "refuses this user or password" in look(code=6)["broker"][1]
    monkeypatch.setenv("HELIOSTAT_BROKER", f"{vhost}x")
    assert "has no such virtual host" in look(code=6)["broker"][1]


def test_workers_of_another_version_are_named(look: Look) -> None:
    """Which is which, and what to do; one from before they told it is one, too."""
    started("sqlite:///heliostat.db")
    with heliostat.open() as engine:
        engine.add(sky)
        worker = engine.worker(name="mine")
        worker.draining = True
        worker.tick(engine.around.clock.now())
        assert look()["versions"] == ("good", f"1 worker is of Heliostat {release()}, as this is")
        now = engine.around.clock.now()
        engine.store.beat(WorkerInfo("old", "h1", code='[[0, "0.0.1", 5.0], [7, "sha256:a", 5.0]]'), now)
        assert look()["versions"] == ("doubtful", f"worker old on h1 is Heliostat 0.0.1, and this is {release()}")
        engine.store.beat(WorkerInfo("old", "h1", code='[[7, "sha256:a", 5.0]]'), now)
        assert "a Heliostat that does not tell its version" in look()["versions"][1]


def test_what_a_lost_worker_holds_is_told(look: Look) -> None:
    """How much, since when, and who takes it back."""
    started("sqlite:///heliostat.db")
    with heliostat.open() as engine:
        graph, now = engine.add(sky), engine.around.clock.now()
        engine.store.beat(WorkerInfo("gone", "h1"), now - 300)
        assert len(engine.store.lease(Ask("gone", frozenset({graph.id}), 9), now - 300)) == 1
        words = "1 attempt is held by worker gone on h1, which is not there; the first has begun 5 min ago"
        assert look(code=6)["leases"] == ("bad", words)
        engine.store.beat(WorkerInfo("mine", offers=graph.label), now)
        assert look()["leases"] == ("doubtful", words)
        engine.store.rescue([("gone", 1)], now)
        assert look()["leases"] == ("good", "whatever is held, is held by a worker that is there")


def test_a_queue_without_a_worker_is_told_though_nothing_is_ready_in_it(look: Look) -> None:
    """It may be wanted; where no worker is there at all, that is said alone."""
    started("sqlite:///heliostat.db")
    with heliostat.open() as engine:
        graph, now = engine.add(sky), engine.around.clock.now()
        engine.runs()[0].cancel()
        assert look()["queues"] == ("good", "wherever something is ready, somebody takes it")
        engine.store.beat(WorkerInfo("mine", offers=graph.label, queues="default"), now)
        assert look()["queues"] == ("doubtful", "no worker takes from telescope, where nothing is ready now")


def test_a_disk_that_is_nearly_full_is_told_of_the_database_too(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may lie elsewhere than the files do."""
    started("sqlite:///heliostat.db")
    assert look(code=6)["room"][0] == "good"
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1 << 20))
    found = look(code=6)
    assert found["room"][0] == found["files"][0] == "doubtful"
    assert found["room"][1].startswith("0.0 GiB of room for ")
