"""Workflows of the cases about messages, records, ends and joins; their functions leave marks in a directory."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Event
from typing import Any

from heliostat import Context, Workflow
from tests.acceptance.crew import mark, wait_for_marks

# A → B → complete

a_to_b = Workflow("a-to-b")


@a_to_b.handler(entry=True)
def a(ctx: Context, message: str) -> None:
    """Pass the message on."""
    ctx.send(b, f"{message}, seen by A")


@a_to_b.handler
def b(ctx: Context, message: str) -> None:
    """End the run with it."""
    ctx.complete(f"{message}, seen by B")


# a handler that asks for much and then raises

unlucky = Workflow("unlucky")


@unlucky.handler(entry=True)
def tell(ctx: Context, message: dict[str, str]) -> None:
    """Send three messages, put a record, start another run, and raise."""
    for number in range(3):
        ctx.send(listen, number)
    ctx.put("never kept")
    ctx.start(a_to_b, "never started", idempotency_key=message["key"])
    raise ValueError("the satellite is below the horizon")


@unlucky.handler
def listen(ctx: Context, message: int) -> None:
    """Never called."""


# a handler that asks for what cannot be

mistaken = Workflow("mistaken", stays_open=True)


@mistaken.node
def once() -> None:
    """Take no messages."""


@mistaken.handler
def ask(ctx: Context, message: str) -> None:
    """Put a record, then send what cannot be sent."""
    ctx.put(message)
    match message:
        case "unknown":
            ctx.send("aks", 1)
        case "no handler":
            ctx.send(once, 1)
        case "NaN":
            ctx.send(ask, {"wind": float("nan")})
        case _:
            ctx.send(ask, "x" * (2 << 20))


# a run that waits for a mark to go on

patient = Workflow("patient", stays_open=True)


@patient.handler(entry=True)
def hold(ctx: Context, message: str) -> str:
    """Say that it is here, and wait to be let go."""
    mark(message, "held")
    wait_for_marks(message, "go")
    return "went on"


@patient.handler
def note(ctx: Context, message: str) -> None:
    """Put a record."""
    ctx.put(message)


@patient.handler
def finish(ctx: Context, message: str) -> None:
    """End the run."""
    ctx.complete(message)


# handlers that end their run and ask for more inside it

greedy = Workflow("greedy", stays_open=True)


@greedy.handler
def end_and_send(ctx: Context, message: str) -> None:
    """Complete, then send."""
    ctx.put(message)
    ctx.complete("done")
    ctx.send(after_the_end)


@greedy.handler
def send_and_end(ctx: Context, message: str) -> None:
    """Send, then complete."""
    ctx.put(message)
    ctx.send(after_the_end)
    ctx.complete("done")


@greedy.handler
def map_and_cancel(ctx: Context, message: str) -> None:
    """Map, then cancel."""
    ctx.map(after_the_end, [1, 2], then=after_the_end)
    ctx.cancel("enough")


@greedy.handler
def await_and_end(ctx: Context, message: str) -> None:
    """Wait for the end of another run, and complete."""
    ctx.start(a_to_b, message, then=after_the_end)
    ctx.complete("done")


@greedy.handler
def end_twice(ctx: Context, message: str) -> None:
    """Complete, and complete again."""
    ctx.complete("once")
    ctx.complete("twice")


@greedy.handler
def start_and_end(ctx: Context, message: str) -> None:
    """Start another run, which nobody here waits for, and complete: what leaves the run is allowed."""
    ctx.complete(ctx.start(a_to_b, message))


@greedy.handler
def after_the_end(ctx: Context, message: Any) -> None:
    """Never called."""


# a serial counter that would lose counts if two of its attempts overlapped

counter = Workflow("counter", stays_open=True)
PAUSE = Event()  # never set


@counter.handler(serial=True)
def count(ctx: Context, message: dict[str, str]) -> tuple[float, float]:
    """Read, wait, write; answer when it began and when it was over, by the clock that all processes here share.

    The first of a run waits until the other run counts too, so they must overlap in time.
    """
    began = time.monotonic()
    inside = Path(message["marks"]) / f"inside-{message['me']}"
    inside.touch(exist_ok=False)
    counted = ctx.get("count", 0)
    if counted == 0:
        mark(message["marks"], message["me"])
        wait_for_marks(message["marks"], message["other"])
    PAUSE.wait(0.001)
    ctx.put(counted + 1, key="count")
    inside.unlink()
    return began, time.monotonic()


# Fibonacci: a node that sends to itself

fibonacci = Workflow("fibonacci")


@fibonacci.handler(entry=True)
def add(ctx: Context) -> None:
    """Put the next number and ask for another one, until ten are there."""
    numbers = ctx.records()
    if len(numbers) == 10:
        ctx.complete(sum(numbers))
    else:
        ctx.put(sum(numbers[-2:]) or 1)
        ctx.send(add)


# the same poll result twice

poll = Workflow("poll", stays_open=True)


@poll.handler
def look(ctx: Context, message: str) -> None:
    """Pass on what was found; its date makes it one message."""
    ctx.send(update, message, idempotency_key=message)


@poll.handler
def update(ctx: Context, message: str) -> None:
    """Keep it."""
    ctx.put(message)
