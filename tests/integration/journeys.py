"""Workflows whose functions go to a batch queue; jobs import them from here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from heliostat import Context, Retry, Secret, Snooze, Workflow

LONG = 300.0  #: seconds that a function waits for what ends it

looks = Workflow("looks")


@looks.node
def modules() -> list[str]:
    """Tell what is loaded."""
    return sorted(sys.modules)


counted = Workflow("counted", stays_open=True)


@counted.handler(serial=True)
def count(ctx: Context) -> None:
    """Count the messages."""
    ctx.put(ctx.get("count", 0) + 1, key="count")


puts = Workflow("puts")


@puts.node
def begins(ctx: Context) -> list[int]:
    """Put a file, and say who goes on."""
    (ctx.dir / "one.txt").write_text("one")
    ctx.put(ctx.dir / "one.txt", key="one")
    return [0, 1]


@puts.node(map={"item": begins})
def put(ctx: Context, item: int) -> Snooze | list[Any]:
    """Put a file, and tell what it says and how many came when it is asked again."""
    if ctx.attempt == 1:
        (ctx.dir / "item.txt").write_text(f"{item}")
        ctx.put(ctx.dir / "item.txt", key=f"{item}")
        return Snooze(0.01)
    came = list(Path(os.environ["HELIOSTAT_JOB"], "artifacts").glob("??/*"))
    return [ctx.bring(ctx.get(f"{item}")).read_text(), len(came)]


@puts.node(after=put, may_fail=True)
def elsewhere(ctx: Context) -> str:
    """Ask for what another node has put."""
    return ctx.bring(ctx.get("one", node="begins")).read_text()


keeps = Workflow("keeps", stays_open=True)


@keeps.handler(serial=True)
def keep(ctx: Context, message: str) -> str | None:
    """Put a file, and tell what the one before has put."""
    before = ctx.get("kept")
    (ctx.dir / "kept.txt").write_text(message)
    ctx.put(ctx.dir / "kept.txt", key="kept")
    return None if before is None else ctx.bring(before).read_text()


# what goes wrong

leaves = Workflow("leaves")


@leaves.node(may_fail=True)
def quietly() -> None:
    """End the process, as if all were well."""
    os._exit(0)


@leaves.node(may_fail=True, retry=Retry(2, delay=0, on=("timed_out",)))
def loudly() -> None:
    """End it with a word, which is not worth another try."""
    print("no light", file=sys.stderr)  # noqa: T201 - what it is for
    os._exit(3)


@leaves.node(may_fail=True, retry=Retry(1, delay=0))
def once(ctx: Context) -> int:
    """Be killed, the first time."""
    if ctx.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return ctx.attempt


@leaves.node(may_fail=True, retry=Retry(1, delay=0))
def with_all(ctx: Context) -> int:
    """Be killed with all that belongs to the job, the first time."""
    if ctx.attempt == 1:
        os.killpg(0, signal.SIGKILL)
    return ctx.attempt


late = Workflow("late")


@late.node(may_fail=True, timeout="1h")
def deaf(message: str) -> None:
    """Hear nothing, and have a child that hears nothing either."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    inner = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({LONG})"])
    Path(message, "deaf").write_text(f"{os.getpid()} {inner.pid}")
    time.sleep(LONG)


@late.node(may_fail=True, timeout="1h")
def tidy(ctx: Context, message: str) -> None:
    """Put things away when the time is over."""
    Path(message, "tidy").write_text("begun")
    try:
        time.sleep(LONG)
    finally:
        Path(message, "tidy").write_text(f"begun, cancelled: {ctx.cancelled}")


# being long

steps = Workflow("steps")


@steps.node
def begin(message: str) -> Path:
    """Give a file."""
    Path("begun.txt").write_text("begun")
    return Path("begun.txt")


@steps.node(retry=Retry(1, delay=0))
def waits(ctx: Context, message: str, begin: Path) -> dict[str, Any]:
    """Say that it is here, and wait to be let go."""
    with Path(message, "here").open("a") as marks:
        marks.write(f"{os.getpid()}\n")
    ctx.log("waiting", attempt_=ctx.attempt)
    print("printed")  # noqa: T201 - to be read
    while not Path(message, "go").exists():
        time.sleep(0.01)
    made = ctx.dir / "made.txt"
    made.write_text(begin.read_text() + ", made")
    ctx.put("put", key="state")
    ctx.progress(1, 1)
    return {"file": made, "attempt": ctx.attempt}


@steps.node
def ends(ctx: Context, waits: dict[str, Any]) -> list[Any]:
    """See what came of it."""
    return [ctx.get("state", node="waits"), waits["attempt"], ctx.bring(waits["file"]).read_text()]


# asking again

asks = Workflow("asks")


@asks.node(retry=Retry(1, delay=0))
def again(ctx: Context) -> Snooze | int:
    """Put off, fail, put off, and answer."""
    print(f"try {ctx.attempt}")  # noqa: T201 - to be told
    if ctx.attempt in (1, 3):
        return Snooze(0.01)
    if ctx.attempt == 2:
        raise OSError("not yet")
    return ctx.attempt


# secrets

confided = Workflow("confided")


@confided.node(env={"TOKEN": Secret("token")}, may_fail=True)
def given(ctx: Context) -> list[Any]:
    """Use it, and say it aloud."""
    token = ctx.secret("token")
    print(f"token={token}")  # noqa: T201 - to be masked
    ctx.log(f"token={token}")
    return [len(token), os.environ["TOKEN"] == token]


@confided.node(may_fail=True)
def lacks(ctx: Context) -> str:
    """Ask for what it was not given."""
    return ctx.secret("token")


@confided.node(env={"TOKEN": Secret("token")}, may_fail=True)
def tells() -> str:
    """Give it away."""
    return os.environ["TOKEN"]


# a run that fails beside a job

failing = Workflow("failing")


@failing.node
def lasts(message: str) -> str:
    """Last until it is let go."""
    with Path(message, "here").open("a") as marks:
        marks.write(f"{os.getpid()}\n")
    while not Path(message, "go").exists():
        time.sleep(0.01)
    return "lasted"


@failing.node
def fails(message: str) -> str:
    """Fail when it is told so."""
    while not (Path(message, "fail").exists() or Path(message, "go").exists()):
        time.sleep(0.01)
    if Path(message, "fail").exists():
        raise OSError("told so")
    return "well"


# what is done once

marked = Workflow("marked")


@marked.node
def mark(ctx: Context, message: str) -> dict[str, Any]:
    """Leave a mark, a record and a file."""
    with Path(message, "here").open("a") as marks:
        marks.write(f"{os.getpid()}\n")
    ctx.put("put")
    (ctx.dir / "made.txt").write_text(message)
    return {"marks": message, "file": ctx.dir / "made.txt"}


# on a queue that is elsewhere

far = Workflow("far")


@far.node(queue="cluster")
def speaks(ctx: Context, message: str) -> str:
    """Say that it waits, and wait to be let go."""
    ctx.log("waiting")
    while not Path(message, "go").exists():
        time.sleep(0.01)
    return "spoken"
