"""The world of the wildfire example: terrain, cover, weather, hotspots, and the files in which they are kept.

The relief is real.  Weather, hotspots and cover are made up, from a seed and from the relief.

Sources:
    McCune & Keon 2002, J. Veg. Sci. 13: heat load.
    Simard 1968, FF-X-14: moisture of fine fuel.
"""

from __future__ import annotations

import csv
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
        return write_npz(path, {"bounds": bounds, "elevation": self.elevation})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; raises BadInput."""
        arrays = read_npz(path, "terrain", "bounds", "elevation")
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


# -------------------------------------------------------------------------------------------------- cover


@dataclass(frozen=True, slots=True)
class Cover:
    """What burns where: grids of the terrain's shape."""

    model: NDArray[np.int8]  # Anderson's number; 0 does not burn
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
        times = [written(self.start + timedelta(hours=hour)) for hour in range(len(self.wind_speed))]
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
    return replace(
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
    rows = [(*spot[:4], written(spot.acq_time), spot.confidence) for spot in seen]
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


# ------------------------------------------------------------------------------------------------ files


def read_npz(path: Path, what: str, *names: str) -> dict[str, NDArray[Any]]:
    """Arrays from a file, by name; raises BadInput if they are not there."""
    try:
        with np.load(path) as file:
            return {name: file[name] for name in names}
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        raise BadInput(f"{path} is no {what}: it must be an .npz file with {', '.join(names)}.") from None


def write_npz(path: Path, values: Mapping[str, Any]) -> Path:
    """Write arrays by name into a file."""
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
        raise BadInput(f"{path} has {row[name]!r} for {name}: no time like {written(START)}.") from None
    if time.tzinfo is None:
        raise BadInput(f"{path} has {row[name]!r} for {name}: a time without its offset from UTC.")
    return time


def written(time: datetime) -> str:
    """A time as files have it, to the minute."""
    return time.isoformat(timespec="minutes")
