"""Workflows whose workers are killed; their functions leave marks in a directory and wait for some."""

from __future__ import annotations

import os
import signal
import time
from threading import Event
from typing import Any

from heliostat import Context, Workflow
from tests.acceptance.crew import mark, marks, wait_for_marks

# a serial counter, at one of whose messages the first attempt gets stuck

tally = Workflow("tally", stays_open=True)


@tally.handler(serial=True)
def count(ctx: Context, message: dict[str, Any]) -> float:
    """Count, and answer when it began; the first attempt at the message with ``sticks`` says so and waits."""
    began = time.monotonic()
    counted = ctx.get("count", 0)
    if message.get("sticks") and not marks(message["marks"], "stuck"):
        mark(message["marks"], "stuck")
        wait_for_marks(message["marks"], "go")
        mark(message["marks"], "came-back")
    ctx.put(counted + 1, key="count")
    return began


# a handler with every kind of effect

effects = Workflow("effects", stays_open=True)
other = Workflow("other")


@other.node
def begin(message: str) -> str:
    """Do nothing."""
    return message


@effects.handler
def act(ctx: Context, message: dict[str, Any]) -> str:
    """Ask for everything that can be asked for; the first attempt may get stuck after that."""
    ctx.send(receive, "a message")
    ctx.map(receive, ["one", "two"], then=gather)
    ctx.start(other, ctx.run.id, name=ctx.run.id)
    ctx.put("a record")
    file = ctx.dir / "product.txt"
    file.write_text(f"attempt {ctx.attempt}", "utf-8")
    ctx.artifact(file, tags=("product",))
    mark(message["marks"], "acted")
    if message.get("sticks") and len(marks(message["marks"], "acted")) == 1:
        wait_for_marks(message["marks"], "never")
    return "acted"


@effects.handler
def receive(ctx: Context, message: str) -> str:
    """Keep what comes."""
    ctx.put(message)
    return message


@effects.handler
def gather(ctx: Context, message: list[str]) -> None:
    """Keep what was joined."""
    ctx.put(message)


# poison

poison = Workflow("poison", stays_open=True)


@poison.handler
def kill(ctx: Context, message: str) -> None:
    """Take the whole process along."""
    mark(message, "killed")
    os.kill(os.getpid(), signal.SIGKILL)


@poison.handler
def read(ctx: Context, message: dict[str, str]) -> None:
    """Read what came."""
    ctx.put(message)


bystander = Workflow("bystander")


@bystander.node
def watch(ctx: Context, message: str) -> str:
    """Be there when the poison first kills; after that it takes a third of a second, if it is left alone."""
    mark(message, "watching")
    wait_for_marks(message, "killed")
    Event().wait(0.3)
    return "unharmed"


tiles = Workflow("tiles", stays_open=True)


@tiles.node
def split(message: Any) -> list[int]:
    """Give a list to go over."""
    return [1, 2, 3]


@tiles.node
def scale() -> int:
    """Give a number that every part needs."""
    return 10


@tiles.node(map={"part": split})
def tile(part: int, scale: int) -> int:
    """Do one part."""
    return part * scale


# messages in flight

flight = Workflow("flight", stays_open=True)


@flight.handler
def fly(ctx: Context, message: dict[str, Any]) -> None:
    """Take off, stay in the air until told to land, and land."""
    mark(message["marks"], "took-off")
    wait_for_marks(message["marks"], "land")
    ctx.put(message["number"])
    ctx.send(landed, message["number"], idempotency_key=f"flight {message['number']}")


@flight.handler(serial=True)
def landed(ctx: Context, message: int) -> None:
    """Write the log book."""
    ctx.put(message)
