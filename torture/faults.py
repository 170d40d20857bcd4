"""What is done to workers and databases. Each fault has a name, strikes again and again while it is on, and is seeded.

``strike`` does it once and returns when it is over. Two are in the workers from their birth instead: ``armed`` says how
such workers are made.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace

import psycopg

from torture.bell import BELL_FAULTS
from torture.grounds import CeleryGround, PostgresGround, SqliteGround
from torture.scene import Fault, Scene
from torture.worker import ZERO, Manner

HOUR = 3600.0


def kill(scene: Scene) -> int:
    """Kill a worker, with all its processes."""
    if (pid := scene.victim()) is None:
        return 0
    scene.crew.signal(pid, signal.SIGKILL)
    scene.over.wait(scene.ground.birth)
    return 1


def kill_carrier(scene: Scene) -> int:
    """Kill the process that carries tasks: the only one of a worker, or one of its pool, which it replaces."""
    if (pid := scene.victim()) is None or not (carriers := scene.crew.carriers(pid)):
        return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(scene.chance.choice(carriers), signal.SIGKILL)
    scene.over.wait(scene.ground.birth)
    return 1


def freeze(scene: Scene) -> int:
    """Stop a worker for longer than its lease, then let it go on; the last one stays so until all is quiet."""
    if (pid := scene.victim()) is None:
        return 0
    scene.crew.signal(pid, signal.SIGSTOP)
    if isinstance(scene.ground, SqliteGround) and not _writable(scene.ground):
        scene.crew.signal(pid, signal.SIGCONT)  # inside a transaction: nobody can take the lock of a file from it
        return 0
    scene.frozen.append(pid)
    if not scene.over.wait(scene.lease * 1.6):
        scene.frozen.remove(pid)
        scene.crew.signal(pid, signal.SIGCONT)
    return 1


def _writable(ground: SqliteGround) -> bool:
    with closing(sqlite3.connect(ground.file, timeout=2, isolation_level=None)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        other.execute("ROLLBACK")
        return True


def restart(scene: Scene) -> int:
    """Restart PostgreSQL, by turns at once (as after a crash) and fast."""
    assert isinstance(scene.ground, PostgresGround)
    scene.ground.restart(scene.chance.choice((signal.SIGQUIT, signal.SIGQUIT, signal.SIGINT)))
    return 1


def terminate(scene: Scene) -> int:
    """End one of the engine's sessions."""
    ended = scene.ground.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'heliostat' AND datname = current_database() ORDER BY random() LIMIT 1"
    )
    return len(ended)


def crowd(scene: Scene) -> int:
    """Take every connection that the server gives, and again those that come free when the engine's are ended."""
    with contextlib.ExitStack() as held:

        def take() -> list[psycopg.Connection]:
            taken = []
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    one = psycopg.connect(
                        scene.ground.url, application_name="torture", connect_timeout=5, autocommit=True
                    )
                    taken.append(held.enter_context(one))
            return taken

        if not (taken := take()):
            return 0
        for _ in range(3):
            taken[0].execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'heliostat'"
            )
            take()
            scene.over.wait(0.7)
    return 1


def idle(scene: Scene) -> int:
    """Sit in a transaction that holds the rows of open runs and of a queue, and in one with an old snapshot."""
    url = scene.ground.url
    with (
        psycopg.connect(url, application_name="torture") as old,
        psycopg.connect(url, application_name="torture") as one,
    ):
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT count(*) FROM tasks")
        one.execute("SELECT id FROM runs WHERE state = 'active' ORDER BY id LIMIT 3 FOR UPDATE")
        if scene.chance.random() < 0.5:
            one.execute("SELECT name FROM queues FOR UPDATE")
        scene.over.wait(scene.chance.uniform(1.0, 3.0))
    return 1


def lock(scene: Scene) -> int:
    """Hold the write lock of the file for a second."""
    assert isinstance(scene.ground, SqliteGround)
    with closing(sqlite3.connect(scene.ground.file, timeout=30, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        scene.over.wait(scene.chance.uniform(0.5, 1.2))
        other.execute("ROLLBACK")
    return 1


def fill(scene: Scene) -> int:
    """Fill the disk to the last byte for a while."""
    ballast = scene.ground.disk / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        pass
        scene.over.wait(scene.chance.uniform(0.5, 2.0))
    finally:
        ballast.unlink()
    return 1


def step(scene: Scene) -> int:
    """Step every wall clock an hour ahead, back, or to where it was.

    Whoever begins under a wrong clock takes it for the time, so that with ``kill`` beside it tasks may begin early.
    """
    off = scene.chance.choice((HOUR, -HOUR, 0.0))
    os.utime(scene.clock, (ZERO + off, ZERO + off))
    scene.ground.step_clock(off)
    return 1


def doomed(manner: Manner, chance: random.Random) -> Manner:
    """A worker that dies at one of its first commits."""
    return replace(manner, crash=(chance.choice(("before", "after")), chance.randint(3, 60)))


def deaf(manner: Manner, chance: random.Random) -> Manner:
    """A worker that does not hear the answer of one COMMIT in fifteen."""
    return replace(manner, unanswered=15)


_SQLITE, _POSTGRES, _CELERY = (SqliteGround.name,), (PostgresGround.name, CeleryGround.name), (CeleryGround.name,)

FAULTS: dict[str, Fault] = {
    "none": Fault("nothing at all: what the campaign itself costs"),
    "kill": Fault("kill -9 of a worker", kill),
    "carrier": Fault("kill -9 of a process of a pool", kill_carrier, grounds=_CELERY),
    "freeze": Fault("SIGSTOP past the lease, then SIGCONT", freeze, (0.1, 0.5)),
    "crash": Fault("workers die at a commit, right before or right after it", armed=doomed),
    "clock": Fault("the workers' wall clock steps by an hour", step, (0.2, 0.6)),
    "lock": Fault("another process holds the write lock, with eight workers", lock, (0.2, 1.0), _SQLITE, 8),
    "full": Fault("the disk is full, and there is room again", fill, (0.5, 1.5)),
    "restart": Fault("PostgreSQL restarts, mostly with -m immediate", restart, (3.0, 8.0), _POSTGRES),
    "terminate": Fault("pg_terminate_backend of the engine's sessions", terminate, (0.05, 0.3), _POSTGRES),
    "crowd": Fault("no connection is left to be had", crowd, (0.5, 1.5), _POSTGRES),
    "idle": Fault("others idle in transactions, with locks and old snapshots", idle, (0.2, 1.0), _POSTGRES),
    "unanswered": Fault("COMMITs whose answer is lost", None, grounds=_POSTGRES, armed=deaf),
    **BELL_FAULTS,
}
