"""The map of the wildfire example: the relief, where the fire was when, and the wind that drove it.

The colours of time are a part of inferno, which is even to the eye and tells early from late without colour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, LightSource, LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from examples.wildfire_model import Fire, flame_length
from examples.wildfire_world import PLACES, Grid, Hotspot, Terrain, Weather

PAPER, INK, FAINT, WIND = "#fbfaf7", "#22252b", "#777b84", "#2f5d8a"
RELIEF = LinearSegmentedColormap.from_list("relief", ["#aec3a3", "#cbd3af", "#e2dcbe", "#dccaab", "#e6d9c4"])
STEP = 6  # hours between two isochrones
NIGHT = (17.5, 7)  # from and to which hour, in November
FINER = 4  # how many times finer than the model the relief and the fronts are drawn
TEXT: Any = {"color": INK, "path_effects": [patheffects.withStroke(linewidth=3, foreground="#ffffffd8")]}
BESIDE: Any = {"textcoords": "offset points", **TEXT}
HOTSPOT: Any = {"marker": "*", "ms": 14, "mfc": "white", "mec": INK, "mew": 0.9, "linestyle": "none"}
LEFT_OUT: Any = {"marker": "X", "ms": 8, "mew": 1, "mfc": "#4a4e57", "mec": "white", "linestyle": "none"}
SUMMIT = (-84.2306, 36.1983, "Cross Mountain 1077 m")


def draw(terrain: Terrain, weather: Weather, hotspots: Sequence[Hotspot], fire: Fire, path: Path) -> Path:
    """Draw the fire as a PNG of 1600 × 1100 pixels and return its path.

    The hotspots are all that were seen; those of low confidence are drawn as left out.
    """
    figure = Figure(figsize=(16, 11), dpi=100, facecolor=PAPER)
    levels = np.arange(0.0, math.ceil(fire.hours / STEP) * STEP + 1, STEP)
    ramp = ListedColormap(colormaps["inferno"](np.linspace(0.13, 0.93, len(levels) - 1)))
    _headline(figure, fire)
    rows, columns = terrain.elevation.shape
    room = 0.79 * 1100 * terrain.cell[0] * columns / (terrain.cell[1] * rows) / 1600
    _map(figure.add_axes((0.045, 0.088, room, 0.79)), terrain, hotspots, fire, levels, ramp)
    left = 0.045 + room + 0.05
    wide = 0.98 - left
    _key(figure.add_axes((left, 0.822, wide, 0.024)), levels, ramp)
    _area(figure.add_axes((left, 0.575, wide, 0.155)), fire, levels, ramp)
    _wind(figure.add_axes((left, 0.315, wide, 0.165)), weather, fire)
    _facts(figure, left, wide, fire)
    figure.savefig(path, facecolor=PAPER, metadata={"Software": None})
    return path


def _headline(figure: Figure, fire: Fire) -> None:
    end = fire.start + timedelta(hours=fire.hours)
    first = f"{fire.start.day}" if fire.start.month == end.month else f"{fire.start.day} {fire.start:%B} "
    days = f"{first}–{end.day} {end:%B %Y}"
    lasting = {24: "A day", 48: "Two days", 72: "Three days"}.get(fire.hours, f"{fire.hours} hours")
    title = f"{lasting} of fire in the Cumberland Mountains"
    figure.text(0.045, 0.942, title, size=26, weight="bold", color=INK)
    text = f"Simulated wildfire near Caryville, Tennessee, {days}: where the front was, every {STEP} hours"
    figure.text(0.045, 0.908, text, size=14, color="#4a4e57")
    text = (
        "Relief: SRTM, 3 arc seconds.  Fire: Rothermel's rate of spread, Richards' ellipses, a level set.  "
        "Weather, fuel and hotspots are made up: no such fire happened."
    )
    figure.text(0.045, 0.024, text, size=10, color=FAINT)


def _map(
    axes: Axes, terrain: Terrain, hotspots: Sequence[Hotspot], fire: Fire, levels: Grid, ramp: ListedColormap
) -> None:
    extent = (terrain.west, terrain.east, terrain.south, terrain.north)
    heights = _finer(terrain.elevation)
    shade = _shade(heights, terrain)[..., None]
    tint = RELIEF((heights - 250) / 800)[..., :3] * (0.52 + 0.62 * shade)
    axes.imshow(np.clip(tint, 0, 1), extent=extent, interpolation="bilinear", aspect="auto")

    inside = _finer(_smooth(np.isfinite(fire.arrival).astype(np.float32)))
    arrival = _finer(_smooth(_grown(fire.arrival, fire.hours)))
    colours = ramp(BoundaryNorm(levels, ramp.N)(np.clip(arrival, 0, fire.hours - 1e-3)))[..., :3]
    lit = np.clip(np.dstack([colours * (0.52 + 0.62 * shade), 0.93 * np.clip(8 * inside - 3.5, 0, 1)]), 0, 1)
    axes.imshow(lit, extent=extent, interpolation="bilinear", aspect="auto")
    rows, columns = heights.shape
    x = np.linspace(terrain.west, terrain.east, 2 * columns + 1)[1::2]
    y = np.linspace(terrain.north, terrain.south, 2 * rows + 1)[1::2]
    axes.contour(x, y, inside, [0.5], colors="white", linewidths=4, alpha=0.55)
    axes.contour(x, y, inside, [0.5], colors=[INK], linewidths=1.5)
    fronts = np.where(inside > 0.5, arrival, np.nan)
    axes.contour(x, y, fronts, levels[1:-1], colors="#fff4d6", linewidths=0.6, alpha=0.8)
    axes.set(xlim=extent[:2], ylim=extent[2:])
    _marks(axes, terrain, hotspots)


def _finer(grid: Grid) -> Grid:
    """The grid in cells FINER times as small, by cubic convolution (Catmull-Rom)."""
    for _ in range(2):
        at = (np.arange(len(grid) * FINER) + 0.5) / FINER - 0.5
        cell = np.floor(at).astype(int)
        t = (at - cell)[:, None]
        a, b, c, d = (grid[np.clip(cell + i, 0, len(grid) - 1)] for i in (-1, 0, 1, 2))
        grid = (b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))).T
    return grid


def _smooth(grid: Grid) -> Grid:
    """Each cell a little like its neighbours, which takes the corners off the fronts."""
    for _ in range(2):
        padded = np.pad(grid, ((1, 1), (0, 0)), mode="edge")
        grid = ((padded[:-2] + 2 * grid + padded[2:]) / 4).T
    return grid


def _shade(heights: Grid, terrain: Terrain) -> Grid:
    """Hillshade from 0 to 1, lit mostly from the north-west, a little from beside it."""
    width, height = (size / FINER for size in terrain.cell)
    lights = ((315, 0.6), (265, 0.2), (5, 0.2))
    shades = [
        weight * LightSource(azimuth, 40).hillshade(heights, vert_exag=2.6, dx=width, dy=height)
        for azimuth, weight in lights
    ]
    return np.asarray(np.sum(shades, axis=0))


def _grown(arrival: Grid, otherwise: float) -> Grid:
    """Give the cells just outside the fire the latest time of their neighbours, and others another."""
    rows, columns = arrival.shape
    for _ in range(2):
        padded = np.pad(arrival, 1, constant_values=np.nan)
        around = [padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
        arrival = np.where(np.isfinite(arrival), arrival, np.fmax.reduce(around))
    return np.where(np.isfinite(arrival), arrival, otherwise)


def _marks(axes: Axes, terrain: Terrain, hotspots: Sequence[Hotspot]) -> None:
    for spot in hotspots:
        axes.plot(spot.longitude, spot.latitude, **(LEFT_OUT if spot.confidence == "low" else HOTSPOT))
    for name, (longitude, latitude) in PLACES.items():
        axes.plot(longitude, latitude, "o", ms=6.5, mfc="white", mec=INK, mew=1.7)
        axes.annotate(name, (longitude, latitude), (8, 5), size=13, weight="bold", **BESIDE)
    longitude, latitude, name = SUMMIT
    axes.plot(longitude, latitude, "^", ms=7, color=INK)
    axes.annotate(name, (longitude, latitude), (9, -4), size=11, style="italic", **BESIDE)
    axes.xaxis.set_major_locator(MultipleLocator(0.05))
    axes.yaxis.set_major_locator(MultipleLocator(0.05))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{-value:.2f}° W"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2f}° N"))
    axes.tick_params(labelsize=10.5, labelcolor="#4a4e57", color=INK, length=4)
    for label in axes.get_yticklabels():
        label.set(rotation=90, va="center")
    axes.grid(color="white", linewidth=0.6, alpha=0.45)
    _scale(axes, terrain)


def _scale(axes: Axes, terrain: Terrain) -> None:
    """A scale bar of 4 km and an arrow to the north, in the south-western corner."""
    km = 1000 / (terrain.cell[0] * terrain.elevation.shape[1])
    frame = [patheffects.withStroke(linewidth=8, foreground=INK)]
    for k in range(4):
        ends, colour = (0.035 + k * km, 0.035 + (k + 1) * km), INK if k % 2 == 0 else "white"
        bar = Line2D(ends, (0.04, 0.04), linewidth=6, color=colour, solid_capstyle="butt", path_effects=frame)
        bar.set_transform(axes.transAxes)
        axes.add_artist(bar)
    for k, text in ((0, "0"), (2, "2"), (4, "4 km")):
        axes.text(0.035 + k * km, 0.056, text, size=11, ha="center", transform=axes.transAxes, **TEXT)
    arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.8, "mutation_scale": 18}
    axes.annotate("", (0.035, 0.155), (0.035, 0.095), xycoords="axes fraction", arrowprops=arrow)
    axes.text(0.035, 0.16, "N", size=13, weight="bold", ha="center", transform=axes.transAxes, **TEXT)


def _key(axes: Axes, levels: Grid, ramp: ListedColormap) -> None:
    """The colours of time."""
    axes.imshow(np.arange(ramp.N)[None, :], cmap=ramp, extent=(0, float(levels[-1]), 0, 1), aspect="auto")
    axes.set(yticks=[], xticks=levels)
    axes.set_xticklabels([f"{level:g}" for level in levels], size=11, color=INK)
    axes.tick_params(length=3, color=FAINT)
    axes.vlines(levels[1:-1], 0, 1, color="#fff4d6", linewidth=0.8)
    axes.set_title("Arrival of the fire, in hours", loc="left", size=13, weight="bold", color=INK, pad=9)


def _area(axes: Axes, fire: Fire, levels: Grid, ramp: ListedColormap) -> None:
    hectares, hours = fire.burnt(), np.arange(fire.hours + 1)
    _panel(axes, fire, "Burnt area, ha")
    for i, level in enumerate(levels[:-1]):
        part = slice(int(level), int(level) + STEP + 1)
        axes.fill_between(hours[part], hectares[part], color=ramp(i), linewidth=0)
    axes.plot(hours, hectares, color=INK, linewidth=1.5)
    axes.set_ylim(0, hectares[-1] * 1.1)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _thousands(value)))
    dusk = (NIGHT[0] - fire.start.hour) % 24
    axes.text(dusk + 0.5, hectares[-1], "night", size=10.5, style="italic", color=FAINT)


def _wind(axes: Axes, weather: Weather, fire: Fire) -> None:
    speed, direction = weather.wind_speed[: fire.hours], weather.wind_from[: fire.hours]
    hours, top = np.arange(len(speed)), float(speed.max()) * 1.45
    _panel(axes, fire, "Wind, m/s, and where it blows")
    to_the_end = np.append(hours, fire.hours), np.append(speed, speed[-1])
    axes.fill_between(*to_the_end, color=WIND, alpha=0.14, linewidth=0)
    axes.plot(*to_the_end, color=WIND, linewidth=2)
    axes.set(ylim=(0, top), yticks=range(0, int(speed.max()) + 1, 5))
    at = hours[2::3]
    east, north = np.sin(np.radians(direction[at] + 180)), np.cos(np.radians(direction[at] + 180))
    head: Any = {"width": 0.03, "headwidth": 4.5, "headlength": 4.5, "headaxislength": 4}
    size: Any = {"units": "inches", "scale": 3.2, "scale_units": "inches", "pivot": "middle"}
    axes.quiver(at, np.full(len(at), top * 0.87), east, north, color=WIND, **head, **size)
    turn = np.abs((direction[3:] - direction[:-3] + 180) % 360 - 180)
    if turn.size and turn.max() > 45:
        front = float(turn.argmax()) + 1.5
        axes.axvline(front, ymax=0.74, color=INK, linewidth=1.1, linestyle=(0, (4, 3)))
        axes.text(front - 0.8, top * 0.67, "cold front", size=11, style="italic", color=INK, ha="right")


def _panel(axes: Axes, fire: Fire, title: str) -> None:
    """What the panels over time share: hours, days and nights."""
    midnight = -fire.start.hour - fire.start.minute / 60
    for days in range(-1, fire.hours // 24 + 2):
        day = midnight + 24 * days
        dusk, dawn = max(day + NIGHT[0], 0), min(day + 24 + NIGHT[1], fire.hours)
        if dusk < dawn:
            axes.axvspan(dusk, dawn, color="#4b5a7a", alpha=0.11, linewidth=0, zorder=0)
        first, last = max(day, 0), min(day + 24, fire.hours)
        if last - first > 6:
            name = f"{fire.start + timedelta(days=days):%A}"
            where = axes.get_xaxis_transform()
            axes.text((first + last) / 2, -0.25, name, size=11, ha="center", color=INK, transform=where)
    ticks = [hour for hour in np.arange(midnight, fire.hours + 1, 6) if hour >= 0]
    axes.set_xticks(ticks, [f"{round(hour - midnight) % 24:02d}" for hour in ticks])
    axes.set_xlim(0, fire.hours)
    axes.tick_params(labelsize=11, labelcolor=INK, color=FAINT, length=3)
    axes.set_facecolor(PAPER)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(FAINT)
    axes.set_title(title, loc="left", size=13, weight="bold", color=INK, pad=9)


def _thousands(value: float) -> str:
    return f"{value:,.0f}".replace(",", "\u202f")


def _facts(figure: Figure, left: float, wide: float, fire: Fire) -> None:
    """The figures, large, and what the marks mean."""
    fastest, flames = np.nanmax(fire.rate), np.nanmax(flame_length(fire.intensity))
    facts = (
        (f"{_thousands(fire.burnt()[-1])} ha", "burnt"),
        (f"{fastest:.0f} m/min", "fastest spread"),
        (f"{flames:.1f} m", "longest flames"),
    )
    for (value, name), at in zip(facts, (0, 0.385, 0.735), strict=True):
        figure.text(left + wide * at, 0.216, value, size=16, weight="bold", color=INK)
        figure.text(left + wide * at, 0.195, name, size=11, color="#4a4e57")
    marks = [
        Line2D([], [], color=INK, linewidth=2, label=f"perimeter after {fire.hours} h"),
        Line2D([], [], label="hotspot seen by satellite", **HOTSPOT),
        Line2D([], [], label="hotspot of low confidence, left out", **LEFT_OUT),
    ]
    place: Any = {"loc": "lower left", "bbox_to_anchor": (left - 0.008, 0.082), "borderaxespad": 0}
    style: Any = {"fontsize": 11.5, "labelcolor": INK, "handlelength": 1.6, "labelspacing": 0.6}
    figure.legend(handles=marks, frameon=False, **place, **style)
