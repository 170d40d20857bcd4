"""The wildfire example computes something true: its science, its files and its command."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from examples import wildfire_model as model
from examples import wildfire_world as world
from examples.wildfire_map import draw
from examples.wildfire_model import Fire
from examples.wildfire_world import BadInput, Cover, Hotspot, Terrain, Weather

CELL = 50.0  # metres


def plain(*, size: int = 81, rise_east: float = 0.0) -> Terrain:
    """A plane of square cells at the equator, that rises towards the east by so many metres per metre."""
    degrees = size * CELL / np.radians(6_371_000)
    heights = np.tile(np.arange(size, dtype=np.float32) * CELL * rise_east, (size, 1))
    return Terrain(-degrees / 2, degrees / 2, -degrees / 2, degrees / 2, heights)


def covered(terrain: Terrain, *, fuel: int = 9, damp: float = 0.0) -> Cover:
    """The same fuel everywhere, as open to the wind as a ridge."""
    shape = terrain.elevation.shape
    return Cover(np.full(shape, fuel, np.int8), np.full(shape, damp, np.float32), np.ones(shape, np.float32))


def steady(*, wind: float = 0.0, wind_from: float = 270.0, hours: int = 24) -> Weather:
    """The same dry weather every hour."""
    columns = (np.full(hours, value) for value in (wind, wind_from, 25.0, 20.0))
    return Weather(world.START, *columns)


def spot(longitude: float = 0.0, latitude: float = 0.0, *, hours: int = 0) -> Hotspot:
    """A hotspot in the middle of the plain."""
    return Hotspot(longitude, latitude, 340.0, 10.0, world.START + timedelta(hours=hours), "high")


def burn(terrain: Terrain, weather: Weather, *, ground: Cover | None = None) -> Fire:
    """A fire from the middle of the plain, for as long as there is weather."""
    hours = len(weather.wind_speed)
    return model.simulate(terrain, weather, [spot()], hours, ground=ground or covered(terrain))


def reach(fire: Fire, degrees: float) -> float:
    """How far the fire got from the middle towards a compass direction, in metres, to the cell."""
    along = np.arange(0, fire.arrival.shape[0] // 2 - 1, 0.1)
    middle = fire.arrival.shape[0] // 2
    rows, columns = middle - along * np.cos(np.radians(degrees)), middle + along * np.sin(np.radians(degrees))
    arrival = np.where(np.isfinite(fire.arrival), fire.arrival, fire.hours + 1)
    burnt = arrival[np.round(rows).astype(int), np.round(columns).astype(int)] <= fire.hours
    return float(along[burnt].max() * CELL)


def behaviour(fuel: int, dead: tuple[float, float, float], wind: float = 0, rise: float = 0) -> model.Spread:
    """A surface fire with a west wind (m/s, midflame) across a slope that rises to the north."""
    nothing, live = np.zeros(1), 1.5 if fuel == 10 else 1.0
    moisture = np.array([dead[0]]), dead[1], dead[2]
    driven = (np.array([wind]), nothing), (nothing, np.array([rise]))
    return model.rothermel(model.FUELS[fuel], moisture, *driven, live)


def test_rothermel_agrees_with_behaveplus() -> None:
    """BehavePlus 6 on fuel model 10, from the tests of cbevins/fire-behavior-simulator (fm010fm124)."""
    fire = behaviour(10, dead=(0.05, 0.07, 0.09), wind=880 * 0.3048 / 60, rise=0.25)
    intensity = fire.heat * fire.rate / 60

    assert fire.rate[0] / 0.3048 == pytest.approx(18.55168, rel=1e-4)  # ft/min
    assert fire.heat[0] / 11.3565 == pytest.approx(1261.193, rel=1e-4)  # Btu/ft²
    assert fire.ratio[0] == pytest.approx(3.501568, rel=1e-4)
    assert np.degrees(np.arctan2(fire.east, fire.north))[0] == pytest.approx(87.57337, rel=1e-4)
    assert model.flame_length(intensity)[0] / 0.3048 == pytest.approx(6.99969, rel=1e-3)  # ft
    assert behaviour(10, dead=(0.05, 0.07, 0.09)).rate[0] / 0.3048 == pytest.approx(0.6790086, rel=1e-4)


@pytest.mark.parametrize(("fuel", "chains"), [(2, 35), (6, 32), (8, 1.6), (9, 7.5)])
def test_rates_of_spread_are_those_of_anderson(fuel: int, chains: float) -> None:
    """Anderson 1982, INT-122: chains an hour with 5 mi/h at midflame, dead fuel of 8 % and live of 100 %."""
    rate = behaviour(fuel, dead=(0.08, 0.08, 0.08), wind=5 * 0.44704).rate[0]

    assert rate * 60 / 20.1168 == pytest.approx(chains, rel=0.10)


def test_a_fire_without_wind_on_flat_ground_is_a_circle_that_grows_at_rothermels_rate() -> None:
    """The grid's directions must not show, and the front must keep its speed."""
    terrain, weather = plain(), steady(hours=40)
    fire = burn(terrain, weather)
    radii = [reach(fire, degrees) for degrees in range(0, 360, 15)]
    fine, middle, coarse = weather.moisture()
    expected = 187.5 + 40 * 60 * behaviour(9, dead=(float(fine[-1]), float(middle[-1]), coarse)).rate[0]

    assert max(radii) - min(radii) <= CELL
    assert np.mean(radii) == pytest.approx(expected, abs=CELL)


@pytest.mark.parametrize("wind_from", [270, 225, 20])
def test_wind_draws_the_fire_out_to_the_ellipse_it_should_be(wind_from: float) -> None:
    """Head, back and flanks are where Rothermel and Richards put them, whatever the direction on the grid."""
    terrain, weather = plain(size=121), steady(wind=7, wind_from=wind_from, hours=7)
    fire = burn(terrain, weather)
    fine, middle, coarse = weather.moisture()
    spread = behaviour(9, dead=(float(fine[-1]), float(middle[-1]), coarse), wind=7 / 1.15 * 0.4)
    head, ratio = spread.rate[0] * 7 * 60, spread.ratio[0]
    flatness = np.sqrt(1 - 1 / ratio**2)
    back = head * (1 - flatness) / (1 + flatness)

    assert ratio > 1.8
    assert reach(fire, wind_from + 180) == pytest.approx(187.5 + head, rel=0.04)
    assert reach(fire, wind_from) == pytest.approx(187.5 + back, abs=CELL)
    area = np.pi * ((head + back) ** 2 / 4 / ratio + 187.5 * (head + back) / 2 * (1 + 1 / ratio) + 187.5**2)
    assert fire.burnt()[-1] * 10_000 == pytest.approx(area, rel=0.06)


def test_the_wind_of_each_hour_drives_that_hour() -> None:
    """A wind that turns from west to north sends the fire east and then south."""
    terrain, weather = plain(), steady(wind=7, hours=10)
    turned = replace(weather, wind_from=np.repeat([270.0, 0.0], 5))
    straight, bent = burn(terrain, weather), burn(terrain, turned)

    assert np.allclose(straight.burnt()[:6], bent.burnt()[:6])
    assert reach(bent, 180) > reach(straight, 180) + 4 * CELL
    assert reach(bent, 90) < reach(straight, 90) - 4 * CELL


def test_fire_climbs_faster_than_it_descends() -> None:
    """Slope drives as wind does."""
    fire = burn(plain(rise_east=0.5), steady(hours=12))

    assert reach(fire, 90) > 2 * reach(fire, 270)


def test_wet_fuel_does_not_burn() -> None:
    """Beyond the moisture of extinction nothing spreads from where the fire was seen."""
    terrain = plain()
    fire = burn(terrain, steady(wind=10), ground=covered(terrain, damp=0.25))

    assert fire.burnt()[-1] == fire.burnt()[0]


def test_fire_goes_around_what_does_not_burn() -> None:
    """A wall without fuel is passed only through its gap."""
    terrain = plain()
    ground = covered(terrain)
    ground.model[:42, 46] = 0
    fire = burn(terrain, steady(wind=7, hours=14), ground=ground)

    assert not np.isfinite(fire.arrival[:42, 46]).any()
    assert fire.arrival[40, 45] < fire.arrival[43, 48] < fire.arrival[39, 48]


def test_every_cell_catches_fire_from_a_neighbour_that_burns_already() -> None:
    """The front never jumps, on ground as broken as can be and in weather that changes."""
    terrain, chance = plain(size=41, rise_east=0.2), np.random.default_rng(1)
    shape = terrain.elevation.shape
    models = chance.choice(np.array([0, 2, 6, 8, 9], np.int8), shape)
    ground = Cover(models, chance.uniform(0, 0.1, shape), chance.uniform(0, 1, shape))
    weather = replace(steady(wind=9, hours=10), wind_from=chance.uniform(0, 360, 10))
    fire = burn(terrain, weather, ground=ground)
    arrival = np.pad(np.where(np.isfinite(fire.arrival), fire.arrival, np.inf), 1, constant_values=np.inf)
    around = [arrival[i : i + shape[0], j : j + shape[1]] for i, j in ((0, 1), (1, 0), (1, 2), (2, 1))]
    caught = np.isfinite(fire.arrival) & (fire.rate > 0)

    assert caught.sum() > 300
    assert np.all(np.min(around, axis=0)[caught] <= fire.arrival[caught])
    assert not np.isfinite(fire.arrival[models == 0]).any()


def test_a_hotspot_seen_later_burns_from_then() -> None:
    """Detections come in over time."""
    terrain = plain()
    fire = model.simulate(terrain, steady(), [spot(), spot(0.012, 0, hours=6)], 8, ground=covered(terrain))

    assert fire.arrival[terrain.distance(0.012, 0) < 150] == pytest.approx(6)


def test_the_highest_cell_is_cross_mountain() -> None:
    """The elevations lie where they are on Earth, whatever their file says of its southern edge."""
    terrain = world.elevation(-84.3, -84.2, 36.17, 36.25)
    row, column = np.unravel_index(terrain.elevation.argmax(), terrain.elevation.shape)

    assert terrain.elevation.max() == pytest.approx(1077, abs=2)
    assert terrain.distance(-84.2306, 36.1983)[row, column] < 100
    assert terrain.cell == pytest.approx((74.8, 92.7), abs=0.1)


def test_weather_has_days_nights_and_a_front_that_turns_the_wind() -> None:
    """Made up, but as weather is."""
    weather = world.weather(48, 3)
    before, behind = weather.wind_from[20:24].mean(), weather.wind_from[30:36].mean()

    assert behind - before == pytest.approx(98, abs=25)
    assert weather.temperature[2] > weather.temperature[15] + 8
    assert weather.temperature[:24].mean() > weather.temperature[24:].mean()
    assert 8 <= weather.humidity.min() < weather.humidity.max() <= 100
    fine, middle, coarse = weather.moisture()
    assert 0.02 < fine.min() < middle.min() < coarse < 0.2


def test_member_zero_of_an_ensemble_is_the_forecast_and_the_others_differ() -> None:
    """An ensemble contains what it varies, and gives each cell its share of members."""
    weather, terrain = steady(wind=4, hours=3), plain(size=41)
    members = [world.perturbed(weather, k) for k in range(4)]
    fires = [burn(terrain, member) for member in members]
    share = model.burn_probability(fires)

    assert np.allclose(members[0].wind_speed, weather.wind_speed)
    assert len({fire.burnt()[-1] for fire in fires}) > 1
    assert set(np.unique(share)) <= {0, 0.25, 0.5, 0.75, 1}


def test_files_give_back_what_was_written(tmp_path: Path) -> None:
    """Terrain, weather, hotspots and fire survive their files; hotspots of low confidence stay behind."""
    terrain, weather = world.elevation(*world.REGION), world.weather(6, 1)
    seen = world.hotspots(terrain, 1)
    world.save_hotspots(seen, tmp_path / "hotspots.csv")
    fire = burn(plain(), steady(wind=3, hours=3))

    again = Terrain.load(terrain.save(tmp_path / "terrain.npz"))
    assert (again.west, again.north, again.cell) == (terrain.west, terrain.north, terrain.cell)
    assert np.array_equal(again.elevation, terrain.elevation)
    assert np.array_equal(Weather.load(weather.save(tmp_path / "weather.csv")).wind_from, weather.wind_from)
    assert world.load_hotspots(tmp_path / "hotspots.csv", "low") == seen
    assert world.load_hotspots(tmp_path / "hotspots.csv") == [s for s in seen if s.confidence != "low"]
    assert np.array_equal(Fire.load(fire.save(tmp_path / "fire.npz")).burnt(), fire.burnt())


def command(folder: Path) -> int:
    """Run the command on the files of a folder, for 6 hours and a small region; missing files are made."""
    terrain, weather, hotspots = (folder / name for name in ("terrain.npz", "weather.csv", "hotspots.csv"))
    world.elevation(-84.30, -84.27, 36.25, 36.275).save(terrain)
    if not weather.exists():
        world.weather(6, 1).save(weather)
    if not hotspots.exists():
        world.save_hotspots([spot(-84.285, 36.262)], hotspots)
    files = [f"--terrain={terrain}", f"--weather={weather}", f"--hotspots={hotspots}"]
    return model.main(["simulate", *files, f"--out={folder / 'fire.npz'}", "--hours=6"])


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is kept as an artifact is known by its digest."""
    written = []
    for folder in (tmp_path / "once", tmp_path / "again"):
        folder.mkdir()
        assert command(folder) == 0
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})

    assert written[0] == written[1]
    assert "hour 6 of 6: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("weather.csv", "time,wind_speed\n2025-11-08T13:00-05:00,3\n", "is no weather"),
        ("weather.csv", "{header}2025-11-08T13:00-05:00,calm,270,20,30\n", "'calm' for wind_speed"),
        ("weather.csv", "{header}2025-11-08T13:00,3,270,20,30\n", "without its offset"),
        ("weather.csv", "{header}yesterday,3,270,20,30\n", "no time like"),
        ("weather.csv", "{header}2025-11-08T13:00-05:00,3,270,20,130\n", "humidity outside"),
        ("weather.csv", "{header}2025-11-08T13:00-05:00,3,270,20,30\n", "6 hours cannot be simulated"),
        ("hotspots.csv", "", "is no hotspots"),
        ("hotspots.csv", "{spots}10,45,340,9,2025-11-08T13:00-05:00,high\n", "none of the hotspots was seen"),
        ("hotspots.csv", "{spots}10,45,340,9,2025-11-08T13:00-05:00,sure\n", "not low, nominal or high"),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, text: str, complaint: str
) -> None:
    """Who gave a wrong file reads what is wrong with it, not where the program noticed."""
    header = "time,wind_speed,wind_from,temperature,humidity\n"
    spots = "longitude,latitude,brightness,frp,acq_time,confidence\n"
    (tmp_path / file).write_text(text.format(header=header, spots=spots), encoding="utf-8")

    assert command(tmp_path) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert complaint in error
    assert error.startswith("wildfire_model: ")
    assert error.endswith(".")


def test_a_file_that_is_no_terrain_and_a_region_off_the_tile_are_refused(tmp_path: Path) -> None:
    """The same in Python: BadInput with a sentence."""
    (tmp_path / "terrain.npz").write_bytes(b"GeoTIFF")
    with pytest.raises(BadInput, match=r"is no terrain: it must be an \.npz file"):
        Terrain.load(tmp_path / "terrain.npz")
    with pytest.raises(BadInput, match="the region must be"):
        world.elevation(10.3, 10.6, 43.6, 43.9)


def test_the_summary_is_plain_figures() -> None:
    """It can be a node's result: JSON, with the hour at which a place is in danger."""
    terrain = world.elevation(-84.26, -84.21, 36.285, 36.325)
    fire = model.simulate(terrain, steady(wind=8, wind_from=225, hours=8), [spot(-84.245, 36.295)], 8)
    figures = model.summary(terrain, fire)

    assert json.loads(json.dumps(figures)) == figures
    assert figures["burnt (ha)"] == pytest.approx(fire.burnt()[-1], abs=1)
    assert np.all(np.diff(fire.burnt()) >= 0)
    nearest = figures["within 3 km of Caryville (h)"]
    assert nearest is not None
    assert 0 < nearest < 8
    assert figures["within 3 km of Rocky Top (h)"] is None


def test_the_map_is_a_picture_for_a_page(tmp_path: Path) -> None:
    """1600 × 1100 pixels, below 1.5 MB, also of a fire that leaves the region within hours."""
    terrain = world.elevation(-84.27, -84.25, 36.28, 36.30)
    seen = [spot(-84.26, 36.29), spot(-84.265, 36.285)._replace(confidence="low")]
    weather = steady(wind=8, hours=5)
    fire = model.simulate(terrain, weather, seen[:1], 5)
    picture = draw(terrain, weather, seen, fire, tmp_path / "fire.png").read_bytes()

    assert picture.startswith(b"\x89PNG")
    assert struct.unpack(">II", picture[16:24]) == (1600, 1100)
    assert len(picture) < 1_500_000
