"""Flows that wait for others: for runs that are part of them, for people who decide, for operators, for the time."""

from __future__ import annotations

import os
from pathlib import Path

from heliostat import Context, Every, Fail, Tick, Workflow
from torture.flows import NOTES, PATIENT, Fate, Node, acting, chain

# a workflow inside another, once for each item of a list

nested = Workflow("nested", rescues=PATIENT)
PARTS = 2


@nested.node
def wanted(ctx: Context, message: int) -> list[int]:
    """Give what the runs inside are to be started with."""
    with acting(ctx):
        return [message + part for part in range(PARTS)]


nested.subworkflow("inner", chain, map={"message": wanted})


@nested.node
def outer(ctx: Context, inner: list[int]) -> list[int]:
    """Join how they came out."""
    with acting(ctx):
        return inner


def nested_fate(n: int) -> Fate:
    """Each part is a chain, which adds three, and nobody else starts one."""
    came = [n + part + 3 for part in range(PARTS)]
    nodes = {"wanted": Node(results=[[n + part for part in range(PARTS)]]), "outer": Node(results=[came])}
    nodes["inner"] = Node(PARTS, results=came, stamps=0)
    return Fate(nodes, children=PARTS)


# decisions: one that somebody makes, and one that nobody makes in time

asked = Workflow("asked", rescues=PATIENT)
CHOICES = ("yes", "no")


@asked.node
def draft(ctx: Context, message: int) -> int:
    """Write what is to be judged."""
    with acting(ctx):
        return message


judged = asked.review("judged", after=draft, choices=CHOICES)
lapsed = asked.review("lapsed", after=draft, choices=CHOICES, deadline=0.3, otherwise="no")


@asked.node(after=judged["yes"])
def accepted(ctx: Context, draft: int) -> int:
    """Go on with it."""
    with acting(ctx):
        return draft


@asked.node(after=judged["no"])
def declined(ctx: Context, draft: int) -> int:
    """Go on without it."""
    with acting(ctx):
        return draft


@asked.node(after=lapsed["no"])
def expired(ctx: Context) -> str:
    """Go on when the time to decide is over."""
    with acting(ctx):
        return "nobody"


def decision_on(n: int) -> str:
    """What the campaign decides."""
    return CHOICES[n % 2]


def asked_fate(n: int) -> Fate:
    """One way is gone, as decided; and the deadline decides once, too."""
    went, skipped = ("accepted", "declined") if decision_on(n) == "yes" else ("declined", "accepted")
    return Fate(
        {
            "draft": Node(results=[n]),
            "judged": Node(stamps=0),
            "lapsed": Node(stamps=0),
            went: Node(results=[n]),
            skipped: Node(state="skipped", stamps=0),
            "expired": Node(results=["nobody"]),
        }
    )


# a run that fails until somebody has seen to it, and then goes on

barred = Workflow("barred", rescues=PATIENT)


def bar(folder: Path, run: str) -> Path:
    """The file without which a run's gate is shut: it stands for what an operator mends outside."""
    return folder / f"opened-{run}"


@barred.node
def way(ctx: Context, message: int) -> int:
    """Come to the gate."""
    with acting(ctx):
        return message


@barred.node
def gate(ctx: Context, way: int) -> int | Fail:
    """Fail the run while it is shut."""
    with acting(ctx):
        opened = bar(Path(os.environ[NOTES]).parent, ctx.run.id).exists()
        return way + 1 if opened else Fail("it is shut")


@barred.node
def beyond(ctx: Context, gate: int) -> int:
    """Go on."""
    with acting(ctx):
        return gate + 1


def barred_fate(n: int) -> Fate:
    """It has succeeded in the end, and nothing of it was done twice."""
    return Fate({"way": Node(results=[n]), "gate": Node(results=[n + 1]), "beyond": Node(results=[n + 2])})


# what the time sends

ticking = Workflow("ticking", stays_open=True, rescues=PATIENT)
TICKS = 2


@ticking.handler(on=Every("1s"), serial=True)
def tick(ctx: Context, message: Tick) -> None:
    """Count ticks, each of which comes once."""
    with acting(ctx):
        times = [*ctx.get("times", []), message.scheduled_at.isoformat()]
        ctx.put(times, key="times")
        if len(times) == TICKS:
            ctx.complete(len(set(times)))


def ticking_fate(n: int) -> Fate:
    """So many different ticks have come; how many are cancelled with the run is chance."""
    return Fate(result=TICKS)
