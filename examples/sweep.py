"""A parameter sweep: the same computation for 200 values, a table of what came out, and a plot.

    heliostat run start examples/sweep.py --wait                  # or: first=2.8 values=400
    python examples/sweep.py

What is swept is the growth rate r of the logistic map x → r x (1 - x), from steady through doubling to chaos.

Sources:
    May 1976, Nature 261: the map, and what becomes of it.
    Strogatz 2015, Nonlinear Dynamics and Chaos, 10.5: the Lyapunov exponent.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import heliostat
from heliostat import Artifact, Context, Workflow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SETTLING, STEPS = 2000, 20_000  # steps that are let go by, and steps that are looked at
LONGEST = 24  # the longest cycle that is told from chaos
BINS = 480  # of the values of x


@dataclass
class Sweep:
    """From where to where r goes, and in how many values."""

    first: float = 3.4
    last: float = 4.0
    values: int = 200

    def __post_init__(self) -> None:
        if not 0 <= self.first < self.last <= 4:
            raise ValueError("first and last must be in 0..4, where x stays within 0..1, and first the smaller one")
        if not 2 <= self.values <= 5000:
            raise ValueError(f"values must be 2 to 5000, not {self.values}")


@dataclass
class Behaviour:
    """What the map does for one r: how fast neighbours part, what it repeats, how often it is where."""

    r: float
    lyapunov: float  # below 0 neighbours come together, above 0 they part: chaos
    cycle: list[float]  # empty where it does not repeat
    visits: list[int]  # by bins of x, from 0 to 1


sweep = Workflow("sweep")


@sweep.node
def rates(message: Sweep) -> list[float]:
    """The values of r, evenly spaced."""
    step = (message.last - message.first) / (message.values - 1)
    return [round(message.first + step * number, 9) for number in range(message.values)]


@sweep.node(map={"r": rates}, timeout="1m")
def behaviour(r: float) -> Behaviour:
    """Follow the map for one r: a task for each value, as many at once as there is room."""
    x, parting, visits = 0.4, 0.0, [0] * BINS
    for _ in range(SETTLING):
        x = r * x * (1 - x)
    for _ in range(STEPS):
        x = r * x * (1 - x)
        visits[min(int(x * BINS), BINS - 1)] += 1
        parting += math.log(max(abs(r * (1 - 2 * x)), 1e-12))
    return Behaviour(r, round(parting / STEPS, 6), cycle(r, x), visits)


def cycle(r: float, x: float) -> list[float]:
    """The values that the map repeats from x on, or none."""
    seen = [x]
    while len(seen) <= LONGEST:
        x = r * x * (1 - x)
        if abs(x - seen[0]) < 1e-6:
            return seen
        seen.append(x)
    return []


@sweep.node
def table(ctx: Context, behaviour: list[Behaviour]) -> Artifact:
    """One row per value, in the order of the values."""
    path = ctx.dir / "sweep.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("r", "lyapunov", "cycle"))
        rows.writerows((b.r, b.lyapunov, len(b.cycle) or None) for b in behaviour)
    return ctx.artifact(path, media_type="text/csv", tags=("table",))


@sweep.node
def plot(ctx: Context, behaviour: list[Behaviour]) -> Artifact:
    """The bifurcation diagram above, the Lyapunov exponent below."""
    return ctx.artifact(draw(behaviour, ctx.dir / "sweep.png"), media_type="image/png", tags=("plot",))


@sweep.node
def onset(behaviour: list[Behaviour]) -> dict[str, float | None]:
    """Where chaos begins, and the share of the values that are chaotic."""
    chaotic = [b.r for b in behaviour if b.lyapunov > 0]
    return {"chaos from r": min(chaotic, default=None), "chaotic (%)": round(100 * len(chaotic) / len(behaviour), 1)}


# the drawing

PAPER, INK, FAINT, CALM, CHAOS = "#fbfaf7", "#22252b", "#777b84", "#2f5d8a", "#c4513d"
SELDOM_TO_OFTEN = (PAPER, "#fae3bd", "#f6b25e", CHAOS, "#86284d", "#3f1a55")


def draw(found: list[Behaviour], path: Path) -> Path:
    """Draw what was found as a PNG of 1600 × 1000 pixels and return its path."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 10), dpi=100, facecolor=PAPER)
    figure.text(0.055, 0.934, "The road to chaos", size=26, weight="bold", color=INK)
    text = f"The logistic map x → r x (1 − x) for {len(found)} values of r, each computed by a task of its own"
    figure.text(0.055, 0.896, text, size=14, color="#4a4e57")
    orbits, exponents = figure.add_axes((0.055, 0.335, 0.92, 0.49)), figure.add_axes((0.055, 0.085, 0.92, 0.165))
    half = (found[-1].r - found[0].r) / (len(found) - 1) / 2
    for axes, title in ((orbits, "Where x goes: the darker, the more often"), (exponents, "How fast neighbours part")):
        axes.set_title(title, loc="left", size=13, weight="bold", color=INK, pad=9)
        axes.set_facecolor(PAPER)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["bottom", "left"]].set_color(FAINT)
        axes.tick_params(labelsize=11, labelcolor=INK, color=FAINT, length=3)
        axes.set_xlim(found[0].r - half, found[-1].r + half)
    _orbits(orbits, found, half)
    _exponents(exponents, [b.r for b in found], [b.lyapunov for b in found])
    figure.savefig(path, facecolor=PAPER, metadata={"Software": None})
    return path


def _orbits(axes: Axes, found: list[Behaviour], half: float) -> None:
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    ramp = LinearSegmentedColormap.from_list("often", SELDOM_TO_OFTEN)
    columns = [[0 if b.cycle else count for count in b.visits] for b in found]
    extent = (found[0].r - half, found[-1].r + half, 0.0, 1.0)
    density = list(zip(*columns, strict=True))
    often = LogNorm(STEPS / BINS / 6, STEPS / BINS * 6, clip=True)
    axes.imshow(density, cmap=ramp, norm=often, extent=extent, origin="lower", aspect="auto", interpolation="nearest")
    for behaviour in found:
        axes.hlines(behaviour.cycle, behaviour.r - half, behaviour.r + half, color=CALM, linewidth=2.4)
    axes.set_ylim(0, 1)


def _exponents(axes: Axes, rates: list[float], exponents: list[float]) -> None:
    for colour, chaotic in ((CHAOS, True), (CALM, False)):
        where = [(exponent > 0) is chaotic for exponent in exponents]
        axes.fill_between(rates, exponents, 0, where=where, interpolate=True, color=colour, alpha=0.3, linewidth=0)
    axes.plot(rates, exponents, color=INK, linewidth=1.3)
    axes.axhline(0, color=FAINT, linewidth=0.8)
    axes.set_ylim(-1, 0.8)
    axes.set_yticks([-1, -0.5, 0, 0.5])
    axes.set_xlabel("growth rate r", size=12, color=INK)
    for word, at, colour in (("chaos", 0.55, CHAOS), ("order", -0.72, CALM)):
        axes.text(rates[0], at, f" {word}", size=12, style="italic", color=colour)


if __name__ == "__main__":
    with heliostat.open() as engine:
        run = engine.run(sweep, Sweep())
        for what, figure in run.result(onset).items():
            print(f"{what:14} {figure}")
        print("run", run.id, "kept", *(artifact.name for artifact in run.artifacts()))
