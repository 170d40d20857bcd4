"""The science of the wildfire example: terrain, fuel, weather, hotspots, and how the fire spreads.

The relief is real.  Weather, hotspots and fuel are made up, from a seed and from the relief.
The fire is computed as operational models do it: the rate of spread of a surface fire by Rothermel (1972), in
Anderson's fuel models; wind and slope added as vectors; around each point of the front an ellipse, after
Richards (1990); and the front as a level set, so that it may split and merge (Mallet et al. 2009).
Left out are crown fire, spotting, fire-fighting, and winds that bend around mountains.

    python examples/wildfire_model.py inputs --out data
    python examples/wildfire_model.py simulate --terrain data/terrain.npz --weather data/weather.csv \
        --hotspots data/hotspots.csv --hours 48 --out fire.npz

Sources:
    Albini 1976, INT-30, and Anderson 1982, INT-122: fuel models.
    Anderson 1969, INT-69: how long the flames stay.
    Andrews 2018, RMRS-GTR-371: Rothermel's model written out, and the shape of the ellipse.
    Byram 1959, in Davis, Forest Fire: intensity and flames.
    Mallet, Keyes & Fendell 2009, Comput. Math. Appl. 57: fire as a level set.
    McCune & Keon 2002, J. Veg. Sci. 13: heat load.
    Osher & Shu 1991, SIAM J. Numer. Anal. 28: the numerical scheme.
    Richards 1990, Int. J. Numer. Meth. Eng. 30: ellipses.
    Rothermel 1972, INT-115: rate of spread; 1983, INT-143: wind near the ground.
    Simard 1968, FF-X-14: moisture of fine fuel.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import math
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.floating]  # rows from north to south, columns from west to east
Series = NDArray[np.floating]  # one value an hour

REGION = (-84.36, -84.127, 36.185, 36.345)  # west, east, south, north: in the Cumberland Mountains, Tennessee
START = datetime.fromisoformat("2025-11-08T13:00-05:00")  # when the made-up weather begins
PLACES: Mapping[str, tuple[float, float]] = {  # longitude, latitude
    "Caryville": (-84.2160, 36.3199),
    "Jacksboro": (-84.1888, 36.3315),
    "Rocky Top": (-84.1558, 36.2242),
}


class BadInput(ValueError):
    """What was given cannot be simulated; the message is one sentence that says why."""


# ------------------------------------------------------------------------------------------------- terrain


@dataclass(frozen=True, slots=True)
class Terrain:
    """Elevation in metres on a grid of equal cells, shape (rows, columns); bounds in degrees, WGS 84."""

    west: float
    east: float
    south: float
    north: float
    elevation: Grid

    @property
    def cell(self) -> tuple[float, float]:
        """Width and height of a cell in metres: a sphere of 6371 km, at the latitude of the middle."""
        rows, columns = self.elevation.shape
        degree, middle = math.radians(6_371_000), math.radians((self.south + self.north) / 2)
        width, height = (self.east - self.west) * math.cos(middle), self.north - self.south
        return width / columns * degree, height / rows * degree

    def distance(self, longitude: float, latitude: float) -> Grid:
        """Metres from a point to the centre of each cell."""
        rows, columns = self.elevation.shape
        width, height = self.cell
        x = (longitude - self.west) / (self.east - self.west) * columns
        y = (self.north - latitude) / (self.north - self.south) * rows
        east, south = (np.arange(columns) + 0.5 - x) * width, (np.arange(rows) + 0.5 - y) * height
        return np.asarray(np.hypot(east[None, :], south[:, None]), np.float32)

    def gradient(self) -> tuple[Grid, Grid]:
        """Rise per metre towards the east and towards the north."""
        width, height = self.cell
        south, east = np.gradient(self.elevation, height, width)
        return np.asarray(east, np.float32), np.asarray(-south, np.float32)

    def save(self, path: Path) -> Path:
        """Write an .npz file."""
        bounds = np.array([self.west, self.east, self.south, self.north])
        return _write_npz(path, {"bounds": bounds, "elevation": self.elevation})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; raises BadInput."""
        arrays = _read_npz(path, "terrain", "bounds", "elevation")
        west, east, south, north = (float(bound) for bound in arrays["bounds"])
        return cls(west, east, south, north, arrays["elevation"].astype(np.float32))


def elevation(west: float, east: float, south: float, north: float) -> Terrain:
    """Cut a region (degrees) from the SRTM tile of 3 arc seconds that matplotlib ships; raises BadInput.

    The tile reaches from 84.414° to 84.078° W and from 36.160° to 36.446° N.  Its own `ymin`, 36.733°, is the
    northern edge plus the height instead of minus: so corrected, the highest cell is where Cross Mountain is
    (36.1983° N, 84.2306° W, 1077 m).
    """
    from matplotlib.cbook import get_sample_data

    tile = np.load(get_sample_data("jacksboro_fault_dem.npz", asfileobj=False))
    left, top, step, heights = float(tile["xmin"]), float(tile["ymax"]), float(tile["dx"]), tile["elevation"]
    first_row, last_row, first, last = (
        max(0, round(offset / step)) for offset in (top - north, top - south, west - left, east - left)
    )
    part = heights[first_row:last_row, first:last].astype(np.float32)
    rows, columns = part.shape
    if min(rows, columns) < 20:
        raise BadInput("the region must be 0.02° wide and high within 84.41..84.08° W and 36.16..36.44° N.")
    west, north = left + first * step, top - first_row * step
    return Terrain(west, west + columns * step, north - rows * step, north, part)


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


@dataclass(frozen=True, slots=True)
class Cover:
    """What burns where: grids of the terrain's shape."""

    model: NDArray[np.int8]  # a key of FUELS; 0 does not burn
    damp: Grid  # added to the moisture of fine dead fuel, as a fraction
    exposure: Grid  # 0 in a hollow, 1 on a ridge


def cover(terrain: Terrain) -> Cover:
    """A plausible cover of late autumn, from the relief alone; no map of the land went into it.

    Heat load (after McCune & Keon 2002) is 1 on slopes that face south-west, 0 on those that face north-east;
    exposure compares a cell with the 2 km around it.
    Hardwood litter (9) covers the slopes, compact litter (8) the cool hollows, dormant brush (6) the warm
    slopes, grass under open wood (2) the warm ridges.
    Valley floors, taken to be fields, roads and houses, do not burn.
    Shaded, sheltered and high ground is damper, by up to 4 %.
    """
    east, north = terrain.gradient()
    slope = np.hypot(east, north)
    heat = 0.5 + 0.5 * np.clip(slope / 0.3, 0, 1) * (east + north) / math.sqrt(2) / np.maximum(slope, 1e-6)
    height = terrain.elevation
    around = _mean_around(height, max(1, round(1000 / terrain.cell[0])))
    exposure = np.clip(0.5 + (height - around) / 300, 0, 1)
    floor = (height < 400) & (exposure < 0.55) & (_mean_around(slope, 2) < 0.09)
    model = np.full(slope.shape, 9, np.int8)
    model[(heat < 0.30) & (exposure < 0.35)] = 8
    model[(heat > 0.70) & (exposure > 0.35)] = 6
    model[(heat > 0.55) & (exposure > 0.70)] = 2
    model[floor] = 0
    damp = 0.02 * (1 - heat) + 0.01 * (1 - exposure) + 0.01 * np.clip((height - 300) / 700, 0, 1)
    return Cover(model, np.asarray(damp, np.float32), np.asarray(exposure, np.float32))


def _mean_around(grid: Grid, reach: int) -> Grid:
    """The mean over the square that goes `reach` cells out in each direction; edges are repeated."""
    size = 2 * reach + 1
    total = np.pad(np.pad(grid.astype(np.float64), reach, mode="edge").cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    rows = total[size:] - total[:-size]
    return np.asarray((rows[:, size:] - rows[:, :-size]) / size**2, np.float32)


# ------------------------------------------------------------------------------------------------- weather


@dataclass(frozen=True, slots=True)
class Weather:
    """Hourly weather: wind at 10 m in m/s and the degrees it comes from, °C, and relative humidity in %."""

    start: datetime
    wind_speed: Series
    wind_from: Series
    temperature: Series
    humidity: Series

    def moisture(self) -> tuple[Series, Series, float]:
        """Moisture, as fractions, of 1-hour and 10-hour dead fuel by the hour, and of 100-hour fuel.

        Each follows Simard's (1968) balance with the air, with the lag that names it.
        """
        warm, damp = self.temperature * 1.8 + 32, self.humidity
        dry = 0.03229 + 0.281073 * damp - 0.000578 * damp * warm
        middle = 2.22749 + 0.160107 * damp - 0.014784 * warm
        wet = 21.0606 + 0.005565 * damp**2 - 0.00035 * damp * warm - 0.483199 * damp
        balance = np.where(damp < 10, dry, np.where(damp < 50, middle, wet)) / 100
        return _lagged(balance, 1), _lagged(balance, 10), float(balance.mean()) + 0.02

    def save(self, path: Path) -> Path:
        """Write a CSV file, one row an hour."""
        times = [_text(self.start + timedelta(hours=hour)) for hour in range(len(self.wind_speed))]
        values = (getattr(self, name).tolist() for name in _WEATHER)
        return _write_csv(path, ("time", *_WEATHER), list(zip(times, *values, strict=True)))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; raises BadInput."""
        rows = _read_csv(path, "weather", "time", *_WEATHER)
        times = [_time(row, "time", path) for row in rows]
        if any(time != times[0] + timedelta(hours=hour) for hour, time in enumerate(times)):
            raise BadInput(f"{path} must have one row an hour, in order.")
        columns = [np.array([_number(row, name, path) for row in rows]) for name in _WEATHER]
        if columns[0].min() < 0 or columns[3].min() < 0 or columns[3].max() > 100:
            raise BadInput(f"{path} has a wind speed below 0 m/s or a humidity outside 0..100 %.")
        return cls(times[0], *columns)


_WEATHER = ("wind_speed", "wind_from", "temperature", "humidity")


def weather(hours: int, seed: int, start: datetime = START) -> Weather:
    """Made-up weather of a dry autumn: days and nights, and a cold front that turns the wind.

    The front comes 26 hours after the start, give or take one.  Before it, the wind is from the south-west
    and rises; behind it, from the north-west and falls, and the air is colder and drier.
    Humidity comes from the dew point (Magnus formula).
    """
    rng = np.random.default_rng(seed)
    hour = np.arange(hours, dtype=np.float64)
    day = np.clip(np.cos((start.hour + hour - 15) / 24 * 2 * np.pi), -0.6, 1)
    since = hour - (26 + rng.uniform(-1, 1))
    behind = 1 / (1 + np.exp(-since / 0.9))
    warm = 15.5 + 7.5 * day - 7 * behind * (1 - np.exp(-np.maximum(since, 0) / 8)) + _wobble(rng, hours, 0.4)
    dew_point = 0.5 - 7 * behind + _wobble(rng, hours, 0.4)
    surge = 5.5 * np.exp(-(((since - 1) / np.where(since < 1, 5, 7)) ** 2))
    speed = np.maximum(0.5, 5.5 + 2.8 * day + surge + _wobble(rng, hours, 0.5))
    direction = (222 + 98 * behind + _wobble(rng, hours, 6)) % 360
    humidity = 100 * np.exp(17.62 * dew_point / (243.12 + dew_point) - 17.62 * warm / (243.12 + warm))
    columns = (speed, direction, warm, np.clip(humidity, 8, 100))
    return Weather(start, *(column.round(1) for column in columns))


def perturbed(given: Weather, member: int) -> Weather:
    """Weather that might have come instead, as a member of an ensemble; member 0 is as given.

    Standard deviations are what a forecast may be off by: 20 % of the wind's speed, 12° of its direction,
    15 % of the humidity.
    """
    strength, turn, damp = np.random.default_rng(member).normal(0, (0.2, 12, 0.15)) * bool(member)
    return dataclasses.replace(
        given,
        wind_speed=given.wind_speed * math.exp(strength),
        wind_from=(given.wind_from + turn) % 360,
        humidity=np.clip(given.humidity * math.exp(damp), 5, 100),
    )


def _wobble(rng: np.random.Generator, hours: int, size: float) -> Series:
    """Noise that remembers the hour before."""
    noise = rng.normal(0, size, hours)
    for hour in range(1, hours):
        noise[hour] += 0.75 * noise[hour - 1]
    return noise


def _lagged(values: Series, hours: float) -> Series:
    """The values as followed by something that closes 63 % of a gap in so many hours."""
    seen = values.copy()
    for hour in range(1, len(values)):
        seen[hour] += (seen[hour - 1] - values[hour]) * math.exp(-1 / hours)
    return seen


# ------------------------------------------------------------------------------------------------ hotspots


class Hotspot(NamedTuple):
    """A fire as a satellite sees it, in the terms of NASA's VIIRS 375 m product: K, MW, and how sure."""

    longitude: float
    latitude: float
    brightness: float
    frp: float
    acq_time: datetime
    confidence: str  # one of CONFIDENCE


CONFIDENCE = ("low", "nominal", "high")


def hotspots(terrain: Terrain, seed: int, start: datetime = START) -> list[Hotspot]:
    """Made-up detections: two fires on burnable slopes in the west of the region, and a few false alarms."""
    rng = np.random.default_rng(seed)
    rows, columns = terrain.elevation.shape
    burnable = np.argwhere(np.isin(cover(terrain).model, (2, 6, 9)))
    if not len(burnable):
        raise BadInput("nothing in the region burns well enough to be seen by a satellite.")
    seen = []
    clusters = (0.54, 0.19, 5, 0.011), (0.40, 0.415, 3, 0.009), (0.5, 0.5, 6, 0.25)
    for down, across, number, spread in clusters:
        real = spread < 0.1
        for _ in range(number):
            meant = rng.normal((down, across), spread) * (rows, columns)
            row, column = burnable[np.abs(burnable - meant).sum(axis=1).argmin()] + 0.5
            longitude = terrain.west + column / columns * (terrain.east - terrain.west)
            latitude = terrain.north - row / rows * (terrain.north - terrain.south)
            place = round(float(longitude), 5), round(float(latitude), 5)
            brightness = round(rng.uniform(330, 365) if real else rng.uniform(301, 318), 1)
            frp = round(rng.gamma(4, 4 if real else 0.3), 1)
            seen.append(Hotspot(*place, brightness, frp, start, CONFIDENCE[int(rng.integers(1, 3)) * real]))
    return seen


def save_hotspots(seen: Sequence[Hotspot], path: Path) -> Path:
    """Write a CSV file."""
    rows = [(*spot[:4], _text(spot.acq_time), spot.confidence) for spot in seen]
    return _write_csv(path, Hotspot._fields, rows)


def load_hotspots(path: Path, confidence: str = "nominal") -> list[Hotspot]:
    """Read the detections of at least this confidence; raises BadInput."""
    seen = []
    for row in _read_csv(path, "hotspots", *Hotspot._fields):
        longitude, latitude, brightness, frp = (_number(row, name, path) for name in Hotspot._fields[:4])
        if row["confidence"] not in CONFIDENCE:
            raise BadInput(f"{path} has {row['confidence']!r} for confidence: not low, nominal or high.")
        when = _time(row, "acq_time", path)
        seen.append(Hotspot(longitude, latitude, brightness, frp, when, row["confidence"]))
    return [spot for spot in seen if CONFIDENCE.index(spot.confidence) >= CONFIDENCE.index(confidence)]


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
        return _write_npz(path, {**values, "start": _text(self.start)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; raises BadInput."""
        values = _read_npz(path, "fire", *(field.name for field in dataclasses.fields(cls)))
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


# ------------------------------------------------------------------------------------------------ files


def _read_npz(path: Path, what: str, *names: str) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path) as file:
            return {name: file[name] for name in names}
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        raise BadInput(f"{path} is no {what}: it must be an .npz file with {', '.join(names)}.") from None


def _write_npz(path: Path, values: Mapping[str, Any]) -> Path:
    with path.open("wb") as file:
        np.savez_compressed(file, **values)
    return path


def _write_csv(path: Path, names: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([names, *rows])
    return path


def _read_csv(path: Path, what: str, *names: str) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        rows = []
    if not rows or any(row.get(name) is None for row in rows for name in names):
        raise BadInput(f"{path} is no {what}: it must be a .csv file with {', '.join(names)}.")
    return rows


def _number(row: Mapping[str, str], name: str, path: Path) -> float:
    try:
        number = float(row[name])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadInput(f"{path} has {row[name]!r} for {name}: no number.")
    return number


def _time(row: Mapping[str, str], name: str, path: Path) -> datetime:
    try:
        time = datetime.fromisoformat(row[name])
    except ValueError:
        raise BadInput(f"{path} has {row[name]!r} for {name}: no time like {_text(START)}.") from None
    if time.tzinfo is None:
        raise BadInput(f"{path} has {row[name]!r} for {name}: a time without its offset from UTC.")
    return time


def _text(time: datetime) -> str:
    return time.isoformat(timespec="minutes")


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
