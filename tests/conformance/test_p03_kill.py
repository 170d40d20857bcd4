"""P3 with real processes and a real kill: what `accept` has answered is there, whatever happens a moment later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heliostat.compose import open_store
from heliostat.graph import Arity, Graph, Node
from heliostat.testing.conformance import Hand

TALK = Graph("talk", (Node("hear", Arity.handler),), stays_open=True)
SRC = Path(__file__).parents[2]


def accept_until_killed(database: str) -> None:
    """Send, and say so when it has been accepted; for ever."""
    store, _ = open_store(database)
    hand = Hand(store)
    run = hand.start(TALK)
    number = 0
    while True:
        hand.send(run, "hear", number)
        os.write(1, f"{run} {number}\n".encode())
        number += 1


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_p03_what_was_accepted_survives_kill_9_of_who_accepted_it(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Every message that was answered is ready, and at most one more, whose answer nobody heard."""
    database = f"sqlite:///{tmp_path}/x.db" if kind == "sqlite" else request.getfixturevalue("emptied")
    program = f"from {__name__} import accept_until_killed; accept_until_killed({database!r})"
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(SRC / "src"), str(SRC), *sys.path])}
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    heard = [process.stdout.readline() for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    heard += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    store, _ = open_store(database)
    run, last = map(int, heard[-1].split())
    messages = [int(task.message or -1) for task in store.tasks(run, limit=100_000)]
    store.close()
    assert messages in (list(range(last + 1)), list(range(last + 2)))
