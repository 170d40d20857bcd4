"""Workflows that the tests of the process executor run; children import them from here."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Self

from heliostat import Artifact, Context, Fail, Resources, Retry, Skip, Snooze, Workflow
from heliostat.outcome import Ended

LONG = 300.0  #: seconds that a function waits for what ends it

# all that a function may do

other = Workflow("other")


@other.node
def doubled(message: int) -> int:
    """Be another run, which only a child has started."""
    return 2 * message


tour = Workflow("tour")


@tour.node
def begin(ctx: Context, message: dict[str, int]) -> dict[str, Any]:
    """Read, put, and keep files."""
    (ctx.dir / "one.txt").write_text("one")
    ctx.put(message, key="first")
    ctx.put([1.5, None, "ü"])
    ctx.log("begun", who=ctx.run.name)
    ctx.progress(1, 2, "half")
    seen = ctx.get("first") == message and len(ctx.records()) == 2
    return {"file": ctx.dir / "one.txt", "seen": seen, "run": ctx.run.workflow, "attempt": ctx.attempt}


@tour.node
def two(ctx: Context) -> Artifact:
    """Keep an artifact."""
    (ctx.dir / "two.txt").write_text("two")
    return ctx.artifact(ctx.dir / "two.txt", tags=("kept",))


@tour.node
def read(begin: dict[str, Any], two: Path) -> list[str]:
    """Be given files."""
    return [two.read_text(), begin["file"].name]


@tour.node
def each(begin: dict[str, Any]) -> Iterator[int]:
    """Yield."""
    yield from range(4)


@tour.node(map={"item": each}, retry=Retry(2, delay=0))
async def square(ctx: Context, item: int) -> int:
    """Be awaited; the last one only at the second attempt."""
    await asyncio.sleep(0)
    if item == 3 and ctx.attempt == 1:
        raise OSError("not yet")
    return item * item


@tour.node
async def counted(square: list[int]) -> AsyncIterator[int]:
    """Yield, and be awaited."""
    for item in square:
        yield item + 1


@tour.node(may_fail=True)
def nan() -> float:
    """Return what is no JSON."""
    return float("nan")


@tour.node(may_fail=True)
def nul() -> str:
    """Return what no database keeps."""
    return "a\0b"


@tour.node(may_fail=True)
def huge() -> str:
    """Return too much."""
    return "x" * (2 << 20)


@tour.node
def large(message: dict[str, int]) -> str:
    """Return nearly too much."""
    return "ü" * (1 << 18)


@tour.node(may_fail=True)
def strange() -> object:
    """Return what has no JSON form."""
    return {1, 2}


@tour.node(may_fail=True)
def leaves() -> None:
    """Call exit."""
    sys.exit(3)


@tour.node(may_fail=True)
def abandons() -> None:
    """Raise what is no Exception."""
    raise KeyboardInterrupt("enough")


@tour.node
def fails(begin: dict[str, Any]) -> Fail:
    """Fail for good."""
    return Fail("no light")


@tour.node(after=fails, on="failed")
def caught(ctx: Context) -> str:
    """Take over."""
    assert ctx.failure is not None
    return f"{ctx.failure.node}: {ctx.failure.error}"


@tour.node
def skips() -> Skip:
    """Have nothing to do."""
    return Skip("no need")


@tour.node
def snoozes(ctx: Context) -> Snooze | int:
    """Ask again, twice."""
    return Snooze(0.01) if ctx.attempt < 3 else ctx.attempt


@tour.node(retry=1)
class Careful:
    """Be a class, and undo what an attempt before has left."""

    timeout = "1m"

    def __enter__(self) -> Self:
        self.told = ["enter"]
        return self

    def __exit__(self, *_: object) -> None:
        self.told.append("exit")

    def rollback(self) -> None:
        """Undo."""
        self.told.append("rollback")

    def run(self, ctx: Context) -> list[str]:
        """Do it at the second attempt."""
        if ctx.attempt == 1:
            raise ValueError("once more")
        return self.told


@tour.handler
def part(ctx: Context, message: int) -> str:
    """Be one of many."""
    return f"{message} from {ctx.sender}"


@tour.handler
def whole(ctx: Context, message: list[str]) -> None:
    """Join them."""
    ctx.put(message, key="whole")


@tour.handler
def told(ctx: Context, message: Ended) -> None:
    """Hear of another run's end."""
    ctx.put([message.state, message.result], key="told")


@tour.node
def asks(ctx: Context, begin: dict[str, Any]) -> None:
    """Send, map and start."""
    ctx.send(part, 7, idempotency_key="seven")
    ctx.map(part, [1, 2, 3], then=whole)
    ctx.start(other, 21, then=told, name="inner")


tour.node(lambda begin: len(begin) + 5, name="shifted")  # no name leads to it but the workflow's


# what goes wrong

fates = Workflow("fates")


@fates.node(may_fail=True)
def crashes() -> None:
    """Read where nothing is."""
    ctypes.string_at(0)


@fates.node(may_fail=True)
def goes() -> None:
    """Leave without a word."""
    os._exit(3)


@fates.node(may_fail=True, retry=Retry(1, delay=0))
def is_killed() -> None:
    """Be ended by somebody."""
    os.kill(os.getpid(), signal.SIGKILL)


@fates.node(may_fail=True)
def is_told_to_end() -> None:
    """Be asked to end by somebody."""
    os.kill(os.getpid(), signal.SIGTERM)


@fates.node(may_fail=True, resources=Resources(memory="64MiB"))
def wants_much() -> int:
    """Have more than it may."""
    return len(bytearray(256 << 20))


@fates.node(may_fail=True, resources=Resources(memory="64MiB"))
def dies_of_much() -> None:
    """Be killed while it may have so much."""
    os.abort()


@fates.node
def goes_on() -> int:
    """Be harmed by none of them."""
    return 1


late = Workflow("late")


@late.node(may_fail=True, timeout=0.3)
def deaf(message: str) -> None:
    """Hear nothing, and have a child that hears nothing either."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    inner = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({LONG})"])
    Path(message, "deaf").write_text(f"{os.getpid()} {inner.pid}")
    time.sleep(LONG)


@late.node(may_fail=True, timeout=0.3, retry=Retry(1, delay=0))
def tidy(ctx: Context, message: str) -> None:
    """Put things away when the time is over."""
    try:
        time.sleep(LONG)
    finally:
        Path(message, f"tidy-{ctx.attempt}").write_text(str(ctx.cancelled))


stubborn = Workflow("stubborn")


@stubborn.node
def hundred(message: int) -> list[int]:
    """Begin."""
    return list(range(message))


@stubborn.node(map={"item": hundred}, may_fail=True, timeout=0.2)
def ignores(item: int) -> None:
    """Ignore its time-out."""
    time.sleep(LONG)


@stubborn.node
def after(ignores: list[None], hundred: list[int]) -> int:
    """Come when all of them were given up."""
    return len(ignores)


waits = Workflow("waits")


@waits.node
def until_cancelled(ctx: Context, message: str) -> None:
    """Look now and then whether it should end."""
    Path(message, "waits").write_text(str(os.getpid()))
    while not ctx.cancelled:
        time.sleep(0.01)
    Path(message, "heard").touch()


@waits.node
def beside(message: str) -> int:
    """Wait for a file."""
    Path(message, "beside").write_text(str(os.getpid()))
    while not Path(message, "go").exists():
        time.sleep(0.01)
    return os.getpid()


lonely = Workflow("lonely")


@lonely.node
def stays(message: str) -> None:
    """Stay, with a child, and keep the interpreter from all other threads."""
    inner = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({LONG})"])
    Path(message, "stays").write_text(f"{os.getpid()} {inner.pid}")
    ctypes.PyDLL(None).sleep(int(LONG))


# surroundings

place = Workflow("place")


@place.node(env={"INSTRUMENT": "camera 2", "PATH": "/nowhere"}, resources=Resources(memory="1GiB"))
def inside(ctx: Context) -> list[Any]:
    """Tell where it is."""
    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    return [os.environ["INSTRUMENT"], os.environ["PATH"], Path.cwd() == ctx.dir, limit > 1 << 30, os.getpid()]


@place.node(after=inside)
def outside(ctx: Context) -> list[Any]:
    """Tell what is left of that for the next one."""
    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    rest = [os.environ["PATH"] == "/nowhere", limit == resource.RLIM_INFINITY]
    return [os.environ.get("INSTRUMENT"), *rest, Path.cwd() == ctx.dir, os.getpid()]


talk = Workflow("talk")


@talk.node(retry=Retry(1, delay=0))
def prints(ctx: Context) -> None:
    """Print, log, and print from below."""
    print("line", ctx.attempt)  # noqa: T201 - what it is for
    ctx.log("between", n=ctx.attempt)
    print("to stderr", file=sys.stderr)  # noqa: T201 - what it is for
    os.write(1, b"\xff raw\r\nhalf")
    if ctx.attempt == 1:
        raise ValueError("again")


def closure() -> Workflow:
    """Make a workflow whose function no other process can find."""
    made = Workflow("closure")

    @made.node
    def hidden() -> int:
        return 1

    return made


# resources that grow


def roomier(attempt: int, ended: str | None) -> Resources:
    """Give more memory after an attempt that ran out of it; say so by the cores."""
    return Resources(cores=attempt, memory="512MiB" if ended == "out_of_memory" else "64MiB")


growing = Workflow("growing", retry=Retry(2, delay=0))


@growing.node(resources=Resources(memory="64MiB", memory_factor=8))
def by_factor() -> int:
    """Take more than the first attempt has."""
    return len(bytearray(200 << 20))


@growing.node(resources=roomier)
def by_function() -> int:
    """Take more than the first attempt has."""
    return len(bytearray(200 << 20))


@growing.node(resources=lambda attempt, ended: roomier(attempt, str(ended)))
def by_lambda() -> int:
    """Take more than the first attempt has."""
    return len(bytearray(200 << 20))
