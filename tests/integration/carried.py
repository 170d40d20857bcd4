"""Workflows that Celery's workers carry; their functions leave marks in a directory."""

from __future__ import annotations

import os
import time

from heliostat import Context, Retry, Workflow
from tests.acceptance.crew import mark, wait_for_marks

many = Workflow("many")


@many.node
def numbers(message: int) -> list[int]:
    """As many as asked for."""
    return list(range(message))


@many.node(map={"number": numbers})
def square(number: int) -> int:
    """One of them."""
    return number * number


@many.node
def total(square: list[int]) -> int:
    """All of them."""
    return sum(square)


two = Workflow("two")


@two.node
def here() -> int:
    """On the queue that is nobody's own."""
    return os.getpid()


@two.node(queue="telescope")
def there(here: int) -> list[int]:
    """On a queue of its own."""
    return [here, os.getpid()]


slow = Workflow("slow")


@slow.node
def hold(message: str) -> str:
    """Say that it is here, and wait to be let go."""
    mark(message, "held")
    wait_for_marks(message, "go")
    return "went on"


endless = Workflow("endless")


@endless.node
def spin(ctx: Context, message: str) -> None:
    """Go on until somebody asks it to stop."""
    mark(message, "begun")
    while not ctx.cancelled:
        time.sleep(0.01)


deaf = Workflow("deaf")


@deaf.node
def never(message: str) -> None:
    """Hear nothing, the first time."""
    mark(message, "begun")
    wait_for_marks(message, "begun", 2)


again = Workflow("again")


@again.node(retry=Retry(1, delay=0.1))
def twice(ctx: Context) -> int:
    """Fail once."""
    if ctx.attempt == 1:
        raise OSError("not yet")
    return ctx.attempt
