"""``celery worker`` as a process of its own, and what can be wrong with it; the counterpart of ``torture.worker``.

The process is forked by one that has imported Celery, and then does what the command does: so a worker begins in two
seconds instead of five. What is wrong with it is put in before Celery is started, and its pool inherits it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from heliostat import compose
from heliostat.brokers.celery import CeleryBroker
from heliostat.engine import Engine
from torture import mutants
from torture.flows import NOTES
from torture.worker import Manner, die_at, lose_answers, step_clock, strikes


def work(
    line: Connection, database: str, broker: str, files: Path, notes: Path, manner: Manner, options: tuple[str, ...]
) -> None:
    """Be a worker of Celery's until the line is cut, or until it is told to end."""
    os.setpgid(0, 0)
    threading.Thread(target=_end_with, args=(line,), daemon=True).start()
    settings = {"HELIOSTAT_DATABASE": database, "HELIOSTAT_BROKER": broker, "HELIOSTAT_FILES": str(files)}
    os.environ.update({NOTES: str(notes), **settings})
    log = os.open(files / "workers.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(files)
    if manner.clock is not None:
        step_clock(manner.clock)
    if manner.mutant:
        mutants.MUTANTS[manner.mutant].apply()
    if manner.unanswered:
        lose_answers(manner)
    if manner.mute:
        lose_tickets(manner)
    _open_in(manner)
    command = "celery -A heliostat.celery worker --loglevel WARNING --without-mingle --without-gossip"
    sys.argv = [*command.split(), "--hostname", f"{os.getpid()}@%h", *options]
    from celery.__main__ import main

    main()


def lose_tickets(manner: Manner) -> None:
    """Have tickets vanish on their way to the broker, which is there and says nothing."""
    send = CeleryBroker._send

    def lost(self: CeleryBroker, producer: Any, queue: str, n: int) -> None:
        if not strikes(manner):
            send(self, producer, queue, n)

    CeleryBroker._send = lost  # type: ignore[method-assign]


def _end_with(line: Connection) -> None:
    with suppress(EOFError, OSError):
        line.recv()
    os.killpg(0, signal.SIGKILL)


def _open_in(manner: Manner) -> None:
    """Have every process of this worker open its engine in this manner."""
    open_engine = compose.open

    def opened(**options: Any) -> Engine:
        engine = open_engine(**options, lease_seconds=manner.lease)
        if manner.crash is not None:
            die_at(engine.store, *manner.crash, manner)
        return engine

    compose.open = opened  # type: ignore[assignment]
