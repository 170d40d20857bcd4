"""The science of the wildfire example: what burns, how fast, and where the fire goes.

The fire is computed as operational models do it: the rate of spread of a surface fire by Rothermel (1972), in
Anderson's fuel models; wind and slope added as vectors; around each point of the front an ellipse, after
Richards (1990); and the front as a level set, so that it may split and merge (Mallet et al. 2009).
Left out are crown fire, spotting, fire-fighting, and winds that bend around mountains.

    python -m examples.wildfire_model inputs --out data
    python -m examples.wildfire_model simulate --terrain data/terrain.npz --weather data/weather.csv \
        --hotspots data/hotspots.csv --hours 48 --out fire.npz

Sources:
    Albini 1976, INT-30, and Anderson 1982, INT-122: fuel models.
    Anderson 1969, INT-69: how long the flames stay.
    Andrews 2018, RMRS-GTR-371: Rothermel's model written out, and the shape of the ellipse.
    Byram 1959, in Davis, Forest Fire: intensity and flames.
    Mallet, Keyes & Fendell 2009, Comput. Math. Appl. 57: fire as a level set.
    Osher & Shu 1991, SIAM J. Numer. Anal. 28: the numerical scheme.
    Richards 1990, Int. J. Numer. Meth. Eng. 30: ellipses.
    Rothermel 1972, INT-115: rate of spread; 1983, INT-143: wind near the ground.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from examples.wildfire_world import (
    PLACES,
    REGION,
    BadInput,
    Cover,
    Grid,
    Hotspot,
    Series,
    Terrain,
    Weather,
    cover,
    elevation,
    hotspots,
    load_hotspots,
    perturbed,
    read_npz,
    save_hotspots,
    weather,
    write_npz,
    written,
)

# ---------------------------------------------------------------------------------------------------- fuel


class FuelModel(NamedTuple):
    """A bed of fuel: loads in lb/ft², surface per volume in 1/ft, depth in ft, moisture as a fraction."""

    name: str
    dead: tuple[float, float, float]  # load of 1-hour, 10-hour and 100-hour fuel
    live: float  # load of living fuel, of 1500/ft
    depth: float
    extinction: float  # moisture of dead fuel at which the fire goes out
    fineness: float  # of 1-hour fuel; 10-hour fuel has 109/ft, 100-hour fuel 30/ft


FUELS: Mapping[int, FuelModel] = {  # Anderson's numbers
    2: FuelModel("grass under open wood", (0.092, 0.046, 0.023), 0.023, 1.0, 0.15, 3000),
    6: FuelModel("dormant brush", (0.069, 0.115, 0.092), 0, 2.5, 0.25, 1750),
    8: FuelModel("compact litter", (0.069, 0.046, 0.115), 0, 0.2, 0.30, 2000),
    9: FuelModel("hardwood litter", (0.134, 0.019, 0.007), 0, 0.2, 0.25, 2500),
    10: FuelModel("litter and understory", (0.138, 0.092, 0.230), 0.092, 1.0, 0.25, 2000),
}


# -------------------------------------------------------------------------------------------- surface fire


class Spread(NamedTuple):
    """How a surface fire spreads."""

    rate: Grid  # m/min, in the direction of fastest spread
    east: Grid  # that direction, a unit vector
    north: Grid
    ratio: Grid  # length to width of the ellipse
    heat: Grid  # released by the passing front, kJ/m²


def rothermel(
    fuel: FuelModel,
    moisture: tuple[Grid, float, float],
    wind: tuple[Grid, Grid],
    slope: tuple[Grid, Grid],
    moisture_live: float = 1.0,
) -> Spread:
    """Rothermel's surface fire (1972) with Albini's changes (1976), as Andrews (2018) writes it out.

    Wind and slope are added as vectors; the wind is not limited.

    Args:
        fuel: the bed.
        moisture: of 1-hour, 10-hour and 100-hour dead fuel, as fractions.
        wind: at midflame height, m/s towards the east and towards the north.
        slope: rise per metre towards the east and towards the north.
        moisture_live: of living fuel, as a fraction.
    """
    # In feet, pounds, minutes and Btu, as published.  Three classes of dead fuel and one of living fuel.
    load, fineness = np.array([*fuel.dead, fuel.live]), np.array([fuel.fineness, 109, 30, 1500])
    area = load * fineness
    dead = area[:3].sum() / area.sum()
    share = np.append(area[:3] / area[:3].sum(), 1)
    sigma = float(dead * (share[:3] @ fineness[:3]) + (1 - dead) * 1500)
    packing = float(load.sum() / 32 / fuel.depth)
    relative = packing / (3.348 * sigma**-0.8189)

    damp = (*moisture, moisture_live)
    weight = load * np.exp(-np.array([138, 138, 138, 500]) / fineness)
    fine, mean = (sum(float(w[i]) * damp[i] for i in range(3)) for w in (weight / weight[:3].sum(), share))
    fresh = 2.9 * float(weight[:3].sum() / max(weight[3], 1e-9)) * (1 - fine / fuel.extinction) - 0.226
    burning = float(share[:3] @ load[:3]) * _damping(mean / fuel.extinction)
    burning += fuel.live * _damping(moisture_live / np.maximum(fresh, fuel.extinction))
    bulge = 133 * sigma**-0.7913
    velocity = sigma**1.5 / (495 + 0.0594 * sigma**1.5) * relative**bulge * math.exp(bulge * (1 - relative))
    intensity = velocity * 8000 * (1 - 0.0555) * 0.174 * 0.01**-0.19 * burning
    ignition = np.array([dead, dead, dead, 1 - dead]) * share * np.exp(-138 / fineness)
    sink = float(load.sum() / fuel.depth) * sum(float(ignition[i]) * (250 + 1116 * damp[i]) for i in range(4))
    flux = math.exp((0.792 + 0.681 * math.sqrt(sigma)) * (packing + 0.1)) / (192 + 0.2595 * sigma)

    power = 0.02526 * sigma**0.54
    factor = 7.47 * math.exp(-0.133 * sigma**0.55) * relative ** (-0.715 * math.exp(-3.59e-4 * sigma))
    speed, rise = np.hypot(*wind), np.hypot(*slope)
    by_wind = factor * (speed * 196.85) ** power / np.maximum(speed, 1e-6)
    by_slope = 5.275 * packing**-0.3 * rise
    east, north = by_wind * wind[0] + by_slope * slope[0], by_wind * wind[1] + by_slope * slope[1]
    total = np.maximum(np.hypot(east, north), 1e-9)
    effective = (total / factor) ** (1 / power) / 88  # the wind, in mi/h, that would do as much by itself
    rate = intensity * flux / sink * (1 + total) * 0.3048
    ratio, heat = np.minimum(1 + 0.25 * effective, 8), intensity * 384 / sigma * 11.3565
    return Spread(rate, east / total, north / total, ratio, heat)


def _damping(part: Grid | float) -> Grid:
    """What moisture, as a part of the moisture of extinction, leaves of the burning."""
    part = np.minimum(part, 1)
    return np.asarray(np.maximum(1 - 2.59 * part + 5.11 * part**2 - 3.52 * part**3, 0))


def flame_length(intensity: Grid) -> Grid:
    """Length of the flames, in m, of a front of so many kW/m (Byram 1959)."""
    return 0.0775 * intensity**0.46


# -------------------------------------------------------------------------------------------------- spread


@dataclass(frozen=True, slots=True)
class Fire:
    """A simulated fire: grids of the terrain's shape, NaN where it did not burn."""

    start: datetime
    hours: int
    cell: tuple[float, float]  # width and height, m
    arrival: Grid  # hours after the start
    rate: Grid  # of the front as it passed, m/min
    intensity: Grid  # of the front as it passed, kW/m

    def burnt(self) -> Series:
        """Hectares burnt after 0, 1, ... hours, shape (hours + 1,)."""
        arrived = np.sort(self.arrival[np.isfinite(self.arrival)])
        cells = np.searchsorted(arrived, np.arange(self.hours + 1), side="right")
        return cells * (math.prod(self.cell) / 10_000)

    def save(self, path: Path) -> Path:
        """Write an .npz file."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return write_npz(path, {**values, "start": written(self.start)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; raises BadInput."""
        values = read_npz(path, "fire", *(field.name for field in dataclasses.fields(cls)))
        start, (width, height) = datetime.fromisoformat(str(values["start"])), values["cell"]
        grids = values["arrival"], values["rate"], values["intensity"]
        return cls(start, int(values["hours"]), (float(width), float(height)), *grids)


def simulate(
    terrain: Terrain,
    conditions: Weather,
    seen: Sequence[Hotspot],
    hours: int,
    *,
    ground: Cover | None = None,
    report: Callable[[int, float], None] | None = None,
) -> Fire:
    """Let the fire spread from the hotspots for so many hours; raises BadInput.

    A hotspot is a disc as wide as a pixel of the satellite, 375 m, which burns from the hour it was seen.
    The weather of an hour holds through that hour.  `ground` is `cover(terrain)` if not given.
    `report` is told of each hour done and the hectares burnt by then.
    """
    if not 1 <= hours <= len(conditions.wind_speed):
        covered = len(conditions.wind_speed)
        raise BadInput(f"{hours} hours cannot be simulated with weather of {covered} hours.")
    front = _Front(terrain, conditions, ground or cover(terrain))
    for hour in range(hours):
        for spot in seen:
            if max(0, (spot.acq_time - conditions.start) // timedelta(hours=1)) == hour:
                front.ignite(terrain.distance(spot.longitude, spot.latitude) - 187.5, hour)
        if np.isfinite(front.arrival).any():
            front.spread(hour)
        if report:
            report(hour + 1, float(np.isfinite(front.arrival).sum()) * math.prod(terrain.cell) / 10_000)
    burnt = np.isfinite(front.arrival)
    if not burnt.any():
        raise BadInput("none of the hotspots was seen, in time, on ground of the region that burns.")
    grids = (np.where(burnt, grid, np.nan) for grid in (front.arrival, front.rate, front.intensity))
    return Fire(conditions.start, hours, terrain.cell, *grids)


class _Front:
    """The fire is where `field`, in m, is below 0; the front is where it is 0."""

    MARGIN = 24  # cells around the fire that are computed

    def __init__(self, terrain: Terrain, conditions: Weather, ground: Cover) -> None:
        self.cell, self.weather, self.cover = terrain.cell, conditions, ground
        self.slope, self.moisture = terrain.gradient(), conditions.moisture()
        shape = terrain.elevation.shape
        self.field = np.full(shape, 1e5, np.float32)
        self.arrival = np.full(shape, np.inf, np.float32)
        self.rate, self.intensity = np.zeros(shape, np.float32), np.zeros(shape, np.float32)

    def ignite(self, distance: Grid, hour: int) -> None:
        """Let what can burn within a distance below 0 m burn from this hour on."""
        distance = np.where(self.cover.model > 0, distance, np.maximum(distance, 1))
        self.arrival[(distance <= 0) & (self.field > 0)] = hour
        self.field = np.minimum(self.field, distance)

    def spread(self, hour: int) -> None:
        """Move the front through one hour."""
        clock = float(hour)
        while clock < hour + 1:
            burnt = np.isfinite(self.arrival)
            lines = [np.flatnonzero(burnt.any(axis)) for axis in (1, 0)]
            rows, columns = (slice(max(0, k[0] - self.MARGIN), k[-1] + 1 + self.MARGIN) for k in lines)
            clock = self._spread_within((rows, columns), hour, clock)

    def _spread_within(self, window: tuple[slice, slice], hour: int, clock: float) -> float:
        """Move the front until the hour ends or it may near the window's edge; return the time."""
        field, arrival = self.field[window], self.arrival[window]
        ellipse, heat = self._ellipses(window, hour)
        ends = _ends(ellipse)
        (x, y, xx, xy, yy), (width, height) = ellipse, self.cell
        long = np.sqrt(xx / width**2 + 2 * np.abs(xy) / width / height + yy / height**2)
        fastest = float((np.abs(x) / width + np.abs(y) / height + long).max())  # cells a minute
        minutes = min((hour + 1 - clock) * 60, (self.MARGIN - 4) / max(fastest, 1e-9))
        steps = max(1, math.ceil(minutes * fastest / 0.65))
        for done in range(steps):
            fall, dx, dy = _fall(field, self.cell, ellipse, ends)
            new = field - minutes / steps * fall
            crossed = (field > 0) & (new <= 0)
            part = field[crossed] / (field[crossed] - new[crossed])
            arrival[crossed] = clock + (done + part) * minutes / steps / 60
            rate = fall[crossed] / np.maximum(np.hypot(dx[crossed], dy[crossed]), 1e-3)
            self.rate[window][crossed], self.intensity[window][crossed] = rate, heat[crossed] * rate / 60
            field[:] = new
        return clock + minutes / 60

    def _ellipses(self, window: tuple[slice, slice], hour: int) -> tuple[Grid, Grid]:
        """What a point of fire becomes in a minute (Richards 1990), and the heat it releases in kJ/m².

        The ellipse is five grids: its centre (x, y) in m towards the east and north of the point, and the
        entries (xx, xy, yy) of the matrix whose quadratic form is the square of its extent in a direction.
        """
        model, exposure = self.cover.model[window], self.cover.exposure[window]
        (fine, middle), coarse = (float(series[hour]) for series in self.moisture[:2]), self.moisture[2]
        moisture = fine + self.cover.damp[window]
        # From 10 m down to 6 m, then to the flames: 0.15 in a hollow to 0.4 on a ridge (Rothermel 1983).
        speed = float(self.weather.wind_speed[hour]) / 1.15 * (0.15 + 0.25 * exposure)
        to = math.radians(float(self.weather.wind_from[hour]) + 180)
        ellipse, heat = np.zeros((5, *model.shape), np.float32), np.zeros(model.shape, np.float32)
        for number in np.unique(model[model > 0]):
            here = model == number
            wind = speed[here] * math.sin(to), speed[here] * math.cos(to)
            slope = self.slope[0][window][here], self.slope[1][window][here]
            fire = rothermel(FUELS[int(number)], (moisture[here], middle, coarse), wind, slope)
            rate, east, north, ratio, heat[here] = fire
            flatness = np.sqrt(1 - 1 / ratio**2)
            back = rate * (1 - flatness) / (1 + flatness)
            long, ahead = (rate + back) / 2, (rate - back) / 2
            wide = long / ratio
            # A circle, drawn out along the direction if there is one.
            base, drawn = wide**2, long**2 - wide**2
            xx, xy, yy = base + drawn * east**2, drawn * east * north, base + drawn * north**2
            ellipse[:, here] = ahead * east, ahead * north, xx, xy, yy
        return ellipse, heat


def _ends(ellipse: Grid) -> tuple[Grid, Grid, Grid, Grid]:
    """How far the ellipse reaches from its point due east, west (below 0), north and south (below 0)."""
    x, y, xx, xy, yy = ellipse
    determinant = np.maximum(xx * yy - xy * xy, 0)
    across, along = np.maximum(yy, 1e-12), np.maximum(xx, 1e-12)
    wide = np.sqrt(np.maximum(determinant * (yy - y * y), 0)) / across
    high = np.sqrt(np.maximum(determinant * (xx - x * x), 0)) / along
    middle_x, middle_y = x - xy * y / across, y - xy * x / along
    return middle_x + wide, middle_x - wide, middle_y + high, middle_y - high


def _fall(field: Grid, cell: tuple[float, float], ellipse: Grid, ends: tuple[Grid, ...]) -> tuple[Grid, ...]:
    """How fast the field falls, in m/min, and its slope towards the east and north from where the fire comes.

    The field obeys a Hamilton-Jacobi equation: it falls by the largest product of its slope with a point of
    the ellipse.  Of the slope's two sides, that one counts from which the point brings the fire (Godunov's
    flux; Osher & Shu 1991).  So fire comes only from fire, and spreads across the grid as well as along it.
    """
    west, east = (side.T for side in _sides(field.T, cell[0]))
    north, south = (-side for side in _sides(field, cell[1]))
    x, y, xx, xy, yy = ellipse
    dx, dy = (west + east) / 2, (south + north) / 2
    push_x, push_y = xx * dx + xy * dy, xy * dx + yy * dy
    root = np.sqrt(np.maximum(push_x * dx + push_y * dy, np.float32(1e-12)))
    to_east, to_north = x * root + push_x > 0, y * root + push_y > 0
    dx, dy = np.where(to_east, west, east), np.where(to_north, south, north)
    push_x, push_y = xx * dx + xy * dy, xy * dx + yy * dy
    root = np.sqrt(np.maximum(push_x * dx + push_y * dy, np.float32(1e-12)))
    agrees = ((x * root + push_x > 0) == to_east) & ((y * root + push_y > 0) == to_north)
    fall = agrees * (x * dx + y * dy + root)
    for end, side in zip(ends, (west, east, south, north), strict=True):
        np.maximum(fall, end * side, out=fall)
    return fall, dx, dy


def _sides(field: Grid, size: float) -> tuple[Grid, Grid]:
    """The slope along the first axis as seen from before and from behind each cell, to second order.

    The curvature that makes it so is the smaller of its two values (ENO), and changes a slope by no more than
    half, so that with steps of 0.65 cells no cell gets below its neighbours.
    """
    n = len(field)
    step: Grid = np.zeros((n + 3, field.shape[1]), np.float32)
    np.subtract(field[1:], field[:-1], out=step[2 : n + 1])
    step /= np.float32(size)
    bend = (step[1:] - step[:-1]) / 2
    bend = np.maximum(np.minimum(bend[:-1], bend[1:]), 0) + np.minimum(np.maximum(bend[:-1], bend[1:]), 0)
    before, behind = step[1 : n + 1], step[2 : n + 2]
    before = before + np.clip(bend[:-1], -np.abs(before) / 2, np.abs(before) / 2)
    return before, behind - np.clip(bend[1:], -np.abs(behind) / 2, np.abs(behind) / 2)


# ------------------------------------------------------------------------------------------------- results


def burn_probability(fires: Sequence[Fire]) -> Grid:
    """The share of the fires of an ensemble that burn each cell."""
    return np.asarray(np.mean([np.isfinite(fire.arrival) for fire in fires], axis=0), np.float32)


def summary(terrain: Terrain, fire: Fire, within: float = 3000.0) -> dict[str, float | None]:
    """The figures of a fire, for a table; of places, the hours until fire is within so many metres."""
    hectares, burnt = fire.burnt(), np.isfinite(fire.arrival)
    figures: dict[str, float | None] = {
        "burnt (ha)": round(float(hectares[-1])),
        "burnt (% of the region)": round(float(burnt.mean()) * 100, 1),
        "most in an hour (ha)": round(float(np.diff(hectares).max())),
        "fastest spread (m/min)": round(float(np.nanmax(fire.rate)), 1),
        "highest intensity (kW/m)": round(float(np.nanmax(fire.intensity))),
        "longest flames (m)": round(float(np.nanmax(flame_length(fire.intensity))), 1),
    }
    for name, (longitude, latitude) in PLACES.items():
        hours = fire.arrival[burnt & (terrain.distance(longitude, latitude) <= within)]
        nearest = round(float(hours.min()), 1) if hours.size else None
        figures[f"within {within / 1000:g} km of {name} (h)"] = nearest
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns 0, or 2 after one sentence on standard error if the input is bad."""
    parser = argparse.ArgumentParser(prog="wildfire_model", description="Simulate a wildfire.")
    commands = parser.add_subparsers(dest="command", required=True)
    inputs = commands.add_parser("inputs", help="write terrain.npz, weather.csv and hotspots.csv")
    inputs.add_argument("--seed", type=int, default=3, help="of the made-up weather and hotspots")
    run = commands.add_parser("simulate", help="compute how the fire spreads")
    for name in ("terrain", "weather", "hotspots"):
        run.add_argument(f"--{name}", type=Path, required=True)
    run.add_argument("--member", type=int, default=0, help="above 0: the weather is perturbed")
    inputs.add_argument("--hours", type=int, default=48)
    run.add_argument("--hours", type=int, help="as far as the weather goes, unless given")
    for command in (inputs, run):
        command.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        if given.command == "inputs":
            terrain = elevation(*REGION)
            terrain.save(given.out / "terrain.npz")
            weather(given.hours, given.seed).save(given.out / "weather.csv")
            save_hotspots(hotspots(terrain, given.seed), given.out / "hotspots.csv")
            return 0

        terrain, seen = Terrain.load(given.terrain), load_hotspots(given.hotspots)
        conditions = perturbed(Weather.load(given.weather), given.member)
        hours = len(conditions.wind_speed) if given.hours is None else given.hours

        def report(hour: int, hectares: float) -> None:
            if hour % 6 == 0 or hour == hours:
                print(f"hour {hour} of {hours}: {hectares:.0f} ha burnt", file=sys.stderr, flush=True)

        simulate(terrain, conditions, seen, hours, report=report).save(given.out)
    except (BadInput, OSError) as problem:
        print(f"wildfire_model: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
