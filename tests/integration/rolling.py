"""Workflows in two versions, and a worker for them that any Heliostat can be: this one, or the one before.

    python tests/integration/rolling.py DATABASE FILES PLACE...

It says ``ready`` or why not, works until it is drained or nobody listens, and uses nothing that the one before has not.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import heliostat
from heliostat import Context, Workflow
from heliostat.errors import HeliostatError
from heliostat.stores.sqliterows import STATEMENTS

try:
    from heliostat.loading import load
except ImportError:  # where the one before has it
    from heliostat.compose import load  # type: ignore[attr-defined,no-redef]

PAUSE = threading.Event()  # never set

# a chain of messages that goes on until somebody says that it is enough

chain = Workflow("chain", version="1.0", stays_open=True)


@chain.handler(serial=True, entry=True)
def step(ctx: Context, message: str) -> None:
    """Put the next number and by which Heliostat, and go on; a step that is lost or done twice would be seen."""
    count = len(ctx.records())
    ctx.put([count, STATEMENTS.newest])
    PAUSE.wait(0.02)
    if Path(message, "enough").exists():
        ctx.complete(count)
    else:
        ctx.send(step, message)


# one name, two structures

survey_1 = Workflow("survey", version="1.0")
survey_2 = Workflow("survey", version="2.0")


@survey_1.node
def plan(message: int) -> list[int]:
    """Some fields."""
    return list(range(message))


@survey_1.node(map={"field": plan})
def expose(field: int) -> str:
    """By the old code."""
    return "1.0"


@survey_2.node
def fields(message: int) -> list[int]:
    """Some fields."""
    return list(range(message))


@survey_2.node(map={"field": fields})
def expose_twice(field: int) -> str:
    """By the new code."""
    return "2.0"


@survey_2.node
def merge(expose_twice: list[str]) -> list[str]:
    """What only the new version has."""
    return expose_twice


def say(what: object) -> None:
    """A line for whoever has started it."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def main(database: str, files: str, *places: str) -> None:
    """Work."""
    over = threading.Event()
    with heliostat.open(database, files=files, slots=1) as engine:
        for place in places:
            for flow in load(place):
                engine.add(flow)
        worker = engine.worker()

        def listen() -> None:
            sys.stdin.read()
            over.set()
            worker.bell.set()

        threading.Thread(target=listen, daemon=True).start()
        worker.tick(engine.around.clock.now())
        say("ready")
        worker.serve(lambda: over.is_set() or worker.drained)
        worker.stop(5.0)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except HeliostatError as error:
        say(error)
        sys.exit(6)
