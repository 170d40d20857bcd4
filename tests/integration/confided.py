"""Workflows whose functions and jobs have a secret, and do with it what they should not."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

from heliostat import Context, Fail, Retry, Secret, Skip, Workflow

tell = Workflow("tell")
TOKEN = Secret("token")


@tell.node
def good(ctx: Context) -> list[Any]:
    """Have it, print and log it in many ways, and give nothing of it away."""
    token = ctx.secret("token")
    print("here is", token, repr(token), [str(token)])  # noqa: T201 - what it is for
    print(f"and {token!s}", file=sys.stderr)  # noqa: T201 - what it is for
    ctx.log(f"token={token}", token=token, nested={"a": [token, (token, 1)], token: 1}, path=Path(token))
    ctx.progress(1, 2, f"with {token}")
    (ctx.dir / "note.txt").write_text(token)
    return [len(token), repr(token), isinstance(token, str), f"{token:>1}" == str(token)]


@tell.node(env={"TOKEN": TOKEN, "PLAIN": "p"})
def in_env() -> list[Any]:
    """Have it as a variable, and see no other of its kind."""
    print("my variables:", dict(os.environ))  # noqa: T201 - what it is for
    return [len(os.environ["TOKEN"]), [name for name in os.environ if name.startswith("HELIOSTAT_SECRET_")]]


@tell.node(may_fail=True)
def returned(ctx: Context) -> Any:
    """Return it."""
    return {"deep": [ctx.secret("token")]}


@tell.node(may_fail=True, retry=Retry(2, delay=0))
def raised(ctx: Context) -> None:
    """Fail with it, again and again."""
    raise ValueError(f"{'x' * 1980} {ctx.secret('token')} was not taken, try {ctx.secret('token')}")


@tell.node(may_fail=True)
def raised_badly(ctx: Context) -> None:
    """Fail with it in what no handler expects."""
    raise asyncio.CancelledError(ctx.secret("token"))


@tell.node(may_fail=True)
def left(ctx: Context) -> None:
    """Exit with it."""
    sys.exit(ctx.secret("token"))


@tell.node(may_fail=True)
def put(ctx: Context) -> None:
    """Keep it."""
    ctx.put({"k": ctx.secret("token")})


@tell.node(may_fail=True)
def put_key(ctx: Context) -> None:
    """Keep something under it."""
    ctx.put(1, key=ctx.secret("token"))


@tell.node(may_fail=True)
def sent(ctx: Context) -> None:
    """Send it where a number is wanted."""
    ctx.send(heard, ctx.secret("token"))


@tell.node(may_fail=True)
def tagged(ctx: Context) -> None:
    """Have it in the name of a file."""
    (ctx.dir / "x").write_text("x")
    ctx.artifact(ctx.dir / "x", tags=(ctx.secret("token"),))


@tell.node(may_fail=True)
def failed(ctx: Context) -> Any:
    """Say it as the reason."""
    return Fail(f"because of {ctx.secret('token')}")


@tell.node(may_fail=True)
def skipped(ctx: Context) -> Any:
    """Say it as the reason."""
    return Skip(f"because of {ctx.secret('token')}")


@tell.node(may_fail=True, timeout="0.5s", env={"TOKEN": TOKEN})
def slow() -> None:
    """Print it, and never end."""
    print(os.environ["TOKEN"], flush=True)  # noqa: T201 - what it is for
    time.sleep(60)


@tell.node(may_fail=True, env={"TOKEN": TOKEN})
def killed() -> None:
    """Print it, and die."""
    print(os.environ["TOKEN"], end="", flush=True)  # noqa: T201 - what it is for
    os.kill(os.getpid(), 9)


@tell.handler
def heard(message: int) -> int:
    """Take a number."""
    return message


SHOW = 'echo "$TOKEN"; env; echo "$TOKEN" >&2; '
tell.job("job", SHOW + "echo '{{\"n\": 1}}' > output.json", env={"TOKEN": TOKEN})
tell.job("job_fails", SHOW + "exit 3", env={"TOKEN": TOKEN}, retry=Retry(1, delay=0), may_fail=True)
tell.job("job_late", SHOW + "sleep 60", env={"TOKEN": TOKEN}, timeout=0.5, may_fail=True)
tell.job("job_keeps", """printf '["%s"]' "$TOKEN" > output.json""", env={"TOKEN": TOKEN}, may_fail=True)


def command(ctx: Context) -> list[str]:
    """Have it where everybody sees it."""
    return ["echo", ctx.secret("token")]


tell.job("job_shows", command, may_fail=True)

stops = Workflow("stops")
stops.job("long", SHOW + "touch ready; sleep 60", env={"TOKEN": TOKEN})

wants = Workflow("wants")


@wants.node
def names(message: list[str]) -> list[str]:
    """Give the names of what is wanted."""
    return message


@wants.node(may_fail=True, map={"name": names})
def function(ctx: Context, name: str) -> str:
    """Want one."""
    return ctx.secret(name)


@wants.node(may_fail=True, env={"X": Secret("nowhere")})
def variable() -> None:
    """Want one as a variable."""


wants.job("job", "true", env={"X": Secret("nowhere")}, may_fail=True)
