"""What the campaign runs: small workflows that between them need every promise, each with what must come of it.

A function notes its begin and its end in a file outside the engine, and puts one record, the number of its attempt:
what is there more than once, or by an attempt that is not the settled one, was done by somebody who had no right to.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from heliostat import Context, Ended, Fail, Retry, Skip, Snooze, Workflow

NOTES = "HELIOSTAT_TORTURE_NOTES"  #: names the file of notes
PATIENT = 100_000  #: rescues; a task whose workers die as fast as here is no poison
TILE_LIMIT, QUEUE_LIMIT = 3, 2
NARROW = "narrow"  #: the queue whose limit is QUEUE_LIMIT


@contextmanager
def acting(ctx: Context, seconds: float = 0.002) -> Iterator[None]:
    """Note the begin, leave the record, take a while, note the end."""
    note(ctx, "begun")
    ctx.put(ctx.attempt)
    try:
        yield
        Event().wait(seconds)
    finally:
        note(ctx, "ended")


def note(ctx: Context, what: str) -> None:
    """Append a line in one write, which no death of this process can tear."""
    line = {"task": ctx.task.id, "node": ctx.task.node, "attempt": ctx.attempt, "what": what, "at": time.monotonic()}
    file = os.open(os.environ[NOTES], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, f"{json.dumps(line)}\n".encode())
    finally:
        os.close(file)


@dataclass(frozen=True, slots=True)
class Node:
    """What must come of the tasks of a node: how many, in which state, and their results by item or number."""

    tasks: int = 1
    state: str = "succeeded"
    results: list[Any] | None = None
    stamps: int = 1  #: records without a key that each task leaves


@dataclass(frozen=True, slots=True)
class Fate:
    """What must come of a run; ``values`` are records with a key, by node and key."""

    nodes: dict[str, Node] = field(default_factory=dict)
    state: str = "succeeded"
    result: Any = None
    values: dict[tuple[str, str], Any] = field(default_factory=dict)
    children: int = 0


@dataclass(frozen=True, slots=True)
class Flow:
    """A workflow, what must become of it, and how often it comes among the others."""

    workflow: Workflow
    fate: Callable[[int], Fate]
    share: int = 1


# a chain

chain = Workflow("chain", rescues=PATIENT)


@chain.node
def first(ctx: Context, message: int) -> int:
    """Begin."""
    with acting(ctx):
        return message + 1


@chain.node
def second(ctx: Context, first: int) -> int:
    """Go on."""
    with acting(ctx):
        return first + 1


@chain.node
def third(ctx: Context, second: int) -> int:
    """End."""
    with acting(ctx):
        return second + 1


def chain_fate(n: int) -> Fate:
    """Each adds one."""
    return Fate({"first": Node(results=[n + 1]), "second": Node(results=[n + 2]), "third": Node(results=[n + 3])})


# what takes every slot and hardly a processor: how many of these a second tells whether all that works is there

steady = Workflow("steady", rescues=PATIENT)
STEADY_WIDE, STEADY_SECONDS = 16, 0.1


@steady.node
def spread(ctx: Context, message: int) -> list[int]:
    """Give a list to go over."""
    with acting(ctx):
        return [message + item for item in range(STEADY_WIDE)]


@steady.node(map={"part": spread})
def hold(ctx: Context, part: int) -> int:
    """Hold a slot."""
    with acting(ctx, STEADY_SECONDS):
        return part


def steady_fate(n: int) -> Fate:
    """All are held once."""
    parts = [n + item for item in range(STEADY_WIDE)]
    return Fate({"spread": Node(results=[parts]), "hold": Node(STEADY_WIDE, results=parts)})


# fan-out, a limited node, a limited queue, a branch, a join of three

mosaic = Workflow("mosaic", rescues=PATIENT)
WIDE = 4


@mosaic.node
def split(ctx: Context, message: int) -> list[int]:
    """Give a list to go over."""
    with acting(ctx):
        return [message + item for item in range(WIDE)]


@mosaic.node(map={"part": split}, limit=TILE_LIMIT)
def tile(ctx: Context, part: int) -> int:
    """Do one part, of which few are done at once."""
    with acting(ctx, 0.01):
        return part * 2


@mosaic.node
def side(ctx: Context, message: int) -> str:
    """Choose."""
    with acting(ctx):
        return "left" if message % 2 else "right"


@mosaic.node(after=side["left"])
def left(ctx: Context) -> str:
    """Do the one."""
    with acting(ctx):
        return "went left"


@mosaic.node(after=side["right"])
def right(ctx: Context) -> str:
    """Do the other."""
    with acting(ctx):
        return "went right"


@mosaic.node(queue=NARROW)
def total(ctx: Context, tile: list[int]) -> list[int]:
    """Join the parts, in order, in a queue that takes few."""
    with acting(ctx, 0.01):
        return tile


@mosaic.node
def whole(ctx: Context, total: list[int], left: str = "", right: str = "") -> dict[str, Any]:
    """Join three, of which one was skipped."""
    with acting(ctx):
        return {"total": total, "way": [left, right]}


def mosaic_fate(n: int) -> Fate:
    """One way is taken, the other is skipped, and the parts come in order."""
    parts, odd = [n + item for item in range(WIDE)], n % 2
    doubled = [part * 2 for part in parts]
    way = ["went left", ""] if odd else ["", "went right"]
    return Fate(
        {
            "split": Node(results=[parts]),
            "tile": Node(WIDE, results=doubled),
            "side": Node(results=["left" if odd else "right"]),
            "left": Node(results=["went left"]) if odd else Node(state="skipped", stamps=0),
            "right": Node(state="skipped", stamps=0) if odd else Node(results=["went right"]),
            "total": Node(results=[doubled]),
            "whole": Node(results=[{"total": doubled, "way": way}]),
        }
    )


# messages: serial keys, delays, idempotency keys, sends from outside, retries

tally = Workflow("tally", stays_open=True, rescues=PATIENT)
INSIDE, LATER, OUTSIDE = 6, 2, 2
BOOKED = INSIDE + LATER + OUTSIDE


@tally.handler(entry=True)
def open_books(ctx: Context, message: int) -> None:
    """Send all messages, and those with a key twice."""
    with acting(ctx):
        for number in range(INSIDE):
            for _ in range(2):
                ctx.send("count", {"tile": f"tile {number % 2}", "number": number}, idempotency_key=str(number))
        for number in range(LATER):
            ctx.send("later", number, delay=0.2)


@tally.handler(serial="tile", retry=Retry(100, delay=0.02))
def count(ctx: Context, message: dict[str, Any]) -> int:
    """Count per tile; some fail at first."""
    with acting(ctx):
        if message["number"] % 3 == 2 and ctx.attempt == 1:
            raise OSError("the first try fails")
        counted = int(ctx.get(message["tile"], 0)) + 1
        ctx.put(counted, key=message["tile"])
        ctx.send("book", 1)
        return counted


@tally.handler
def later(ctx: Context, message: int) -> None:
    """Come late."""
    with acting(ctx):
        ctx.send("book", 1)


@tally.handler
def ear(ctx: Context, message: int) -> None:
    """Hear from outside."""
    with acting(ctx):
        ctx.send("book", 1)


@tally.handler(serial=True)
def book(ctx: Context, message: int) -> None:
    """Count all; the last one ends the run."""
    with acting(ctx):
        booked = int(ctx.get("all", 0)) + message
        ctx.put(booked, key="all")
        if booked == BOOKED:
            ctx.complete(booked)


def tally_fate(n: int) -> Fate:
    """Every message is counted once."""
    each = INSIDE // 2
    nodes = {"open_books": Node(), "later": Node(LATER), "ear": Node(OUTSIDE), "book": Node(BOOKED)}
    nodes["count"] = Node(INSIDE, results=[1 + number // 2 for number in range(INSIDE)])
    values = {("count", "tile 0"): each, ("count", "tile 1"): each, ("book", "all"): BOOKED}
    return Fate(nodes, result=BOOKED, values=values)


# ctx.map, once more inside a mapped task

pack = Workflow("pack", rescues=PATIENT)


@pack.handler(entry=True)
def plan(ctx: Context, message: int) -> None:
    """Fan out."""
    with acting(ctx):
        ctx.map("piece", [{"n": message + item, "deep": item == 1} for item in range(3)], then="gather")


@pack.handler
def piece(ctx: Context, message: dict[str, Any]) -> int:
    """Do a piece, or fan out again and pass the place in the join on."""
    with acting(ctx):
        if message["deep"]:
            ctx.map("piece", [{"n": message["n"] * 10 + item, "deep": False} for item in range(2)], then="add")
        return int(message["n"])


@pack.handler
def add(ctx: Context, message: list[int]) -> int:
    """Join what is deep."""
    with acting(ctx):
        return sum(message)


@pack.handler
def gather(ctx: Context, message: list[int]) -> None:
    """Join all, and end."""
    with acting(ctx):
        ctx.complete(message)


def pack_fate(n: int) -> Fate:
    """The join has the deep sum in its place."""
    deep = (n + 1) * 10
    nodes = {"plan": Node(), "piece": Node(5), "add": Node(results=[deep * 2 + 1]), "gather": Node()}
    return Fate(nodes, result=[n, deep * 2 + 1, n + 2])


# runs that start runs

family = Workflow("family", rescues=PATIENT)
CHILDREN = 2


@family.handler(entry=True)
def parent(ctx: Context, message: int) -> None:
    """Start two others, and hear of their ends."""
    with acting(ctx):
        for child in range(CHILDREN):
            ctx.start(chain, message + child, then="told")


@family.handler(serial=True)
def told(ctx: Context, message: Ended) -> None:
    """Count the ends."""
    with acting(ctx):
        ends = [*ctx.get("ends", []), message.state]
        ctx.put(ends, key="ends")
        if len(ends) == CHILDREN:
            ctx.complete(ends)


def family_fate(n: int) -> Fate:
    """Both are heard of."""
    ends = ["succeeded"] * CHILDREN
    nodes = {"parent": Node(), "told": Node(CHILDREN)}
    return Fate(nodes, result=ends, values={("told", "ends"): ends}, children=CHILDREN)


# outcomes other than a result

moods = Workflow("moods", rescues=PATIENT)
SNOOZES = 2


@moods.node
def drowsy(ctx: Context, message: int) -> int | Snooze:
    """Ask to be asked again, twice; what it put then is kept."""
    with acting(ctx):
        asked = int(ctx.get("asked", 0))
        ctx.put(asked + 1, key="asked")
        return message if asked == SNOOZES else Snooze(0.05)


@moods.node(retry=Retry(100, delay=0.02))
def shaky(ctx: Context, message: int) -> int:
    """Fail twice, unless it is rescued meanwhile."""
    with acting(ctx):
        if ctx.attempt < 3:
            raise OSError("not yet")
        return message


@moods.node
def lazy(ctx: Context, message: int) -> Skip:
    """See nothing to do."""
    with acting(ctx):
        return Skip("nothing to do")


@moods.node
def hopeless(ctx: Context, message: int) -> Fail:
    """Fail for good."""
    with acting(ctx):
        return Fail("it cannot be")


@moods.node(after=hopeless, on="failed")
def caught(ctx: Context) -> str:
    """Go on after the failure."""
    with acting(ctx):
        return "caught"


@moods.node
def end(ctx: Context, drowsy: int, shaky: int, caught: str, lazy: None = None) -> list[Any]:
    """Join them all."""
    with acting(ctx):
        return [drowsy, shaky, caught]


def moods_fate(n: int) -> Fate:
    """All come to the end that each of them has."""
    return Fate(
        {
            "drowsy": Node(results=[n], stamps=SNOOZES + 1),
            "shaky": Node(results=[n]),
            "lazy": Node(state="skipped"),
            "hopeless": Node(state="failed", stamps=0),
            "caught": Node(results=["caught"]),
            "end": Node(results=[[n, n, "caught"]]),
        },
        values={("drowsy", "asked"): SNOOZES + 1},
    )


# what takes so long that whoever was taken for dead may come back before another has done it

slow = Workflow("slow", rescues=PATIENT)
SLOW_SECONDS = 1.2


@slow.node
def long(ctx: Context, message: int) -> int:
    """Take a while."""
    with acting(ctx, SLOW_SECONDS):
        return message


@slow.node
def after_long(ctx: Context, long: int) -> int:
    """Go on."""
    with acting(ctx):
        return long + 1


def slow_fate(n: int) -> Fate:
    """One after the other."""
    return Fate({"long": Node(results=[n]), "after_long": Node(results=[n + 1])})


# a run that fails, and one that is cancelled while something runs in it

doomed = Workflow("doomed", rescues=PATIENT)


@doomed.node
def before(ctx: Context, message: int) -> Fail:
    """Fail the run."""
    with acting(ctx):
        return Fail("it was to fail")


def doomed_fate(n: int) -> Fate:
    """It failed, once."""
    return Fate({"before": Node(state="failed", stamps=0)}, state="failed")


NEVER = "never"
dropped = Workflow("dropped", stays_open=True, rescues=PATIENT)


@dropped.handler(entry=True)
def begin(ctx: Context, message: int) -> None:
    """Send what will be cancelled."""
    with acting(ctx):
        ctx.send(NEVER, 1, delay="30m")  # less than by what clocks step
        ctx.send("linger", 1)


@dropped.handler
def linger(ctx: Context, message: int) -> None:
    """Be running when the run is cancelled."""
    with acting(ctx, 0.4):
        pass


@dropped.handler
def never(ctx: Context, message: int) -> None:
    """Never begin."""
    with acting(ctx):
        pass


def dropped_fate(n: int) -> Fate:
    """It was cancelled; how far it came is chance."""
    return Fate(state="cancelled")
