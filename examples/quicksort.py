"""Quicksort by messages: recursion by fanning out, merging in pairs, and nobody counts anything by hand.

heliostat run start examples/quicksort.py "[3, 1, 2]" --wait
"""

import random

import heliostat
from heliostat import Context, Workflow

quicksort = Workflow("quicksort")


@quicksort.handler(entry=True)
def begin(ctx: Context, message: list[float]) -> None:
    """Have the whole list sorted; ``finish`` gets what came of it, wherever in the recursion that was found."""
    ctx.map(sort, [message], then=finish)


@quicksort.handler
def sort(ctx: Context, message: list[float]) -> list[float] | None:
    """Answer a list that is sorted already, or send both sides of a pivot on and leave the answer to their merge."""
    least = min(message, default=0.0)
    larger = [number for number in message if number > least]
    if not larger:
        return message
    pivot = larger[0]  # above the least, so that neither side is empty
    sides = [number for number in message if number < pivot], [number for number in message if number >= pivot]
    ctx.map(sort, sides, then=merge)
    return None


@quicksort.handler
def merge(message: tuple[list[float], list[float]]) -> list[float]:
    """Put two sorted sides together: in order of the messages, whichever was there first."""
    lower, upper = message
    return lower + upper


@quicksort.handler
def finish(ctx: Context, message: list[list[float]]) -> None:
    """End the run with the sorted list."""
    ctx.complete(message[0])


if __name__ == "__main__":
    numbers = [float(random.randrange(100)) for _ in range(40)]
    with heliostat.open("memory://") as engine:
        found = engine.run(quicksort, numbers).result()
    assert found == sorted(numbers)
    print(*(f"{number:g}" for number in found))
