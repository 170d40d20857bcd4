"""The forest fire of the urgent-computing people: by messages with a handler that looks, and as a declared join."""

from __future__ import annotations

from heliostat import Context, Workflow
from tests.acceptance.crew import mark

# by messages: whoever has data sends a message to the fire, which looks whether all is there

by_messages = Workflow("fire-by-messages")
NEEDED = ("hotspot", "terrain", "weather")


@by_messages.handler(entry=True)
def weather_data(ctx: Context) -> None:
    """A forecast has come."""
    ctx.log("In weather data handler")
    ctx.send(weather_simulation, {"forecast": "GFS"})


@by_messages.handler
def weather_simulation(ctx: Context, message: dict[str, str]) -> None:
    """Refine it."""
    ctx.log("In weather simulation handler")
    ctx.send(weather_results, message | {"model": "MesoNH"})


@by_messages.handler
def weather_results(ctx: Context, message: dict[str, str]) -> None:
    """Reduce it."""
    ctx.log("In weather results handler")
    ctx.send(fire_simulation, {"weather": message})


@by_messages.handler(entry=True)
def fire_hotspots(ctx: Context) -> None:
    """A satellite has seen something."""
    ctx.log("In fire hotspot handler")
    ctx.send(fire_simulation, {"hotspot": {"west": 10.4}})


@by_messages.handler(entry=True)
def fire_terrain(ctx: Context) -> None:
    """Somebody has a map."""
    ctx.log("In fire terrain handler")
    ctx.send(fire_simulation, {"terrain": {"resolution": 30}})


@by_messages.handler(serial=True)
def fire_simulation(ctx: Context, message: dict[str, object]) -> None:
    """Look what is there; simulate when all is."""
    ctx.log("In fire simulation handler")
    for kind, data in message.items():
        ctx.put(data, key=kind)
    there = [kind for kind in NEEDED if ctx.get(kind)]
    for kind in there:
        ctx.log(f"   {kind.capitalize()} data available")
    if len(there) < len(NEEDED):
        ctx.log("Will do nothing - waiting for data")
        return
    ctx.log("Will execute fire simulation")
    ctx.complete("lots of fire")


# as a join: naming the three is waiting for them

as_join = Workflow("fire-as-join", stays_open=True)


@as_join.handler
def hotspots(ctx: Context, message: str) -> str:
    """Come when they are sent."""
    return f"hotspots {message}"


@as_join.handler
def terrain(ctx: Context, message: str) -> str:
    """Come when it is sent."""
    return f"terrain {message}"


@as_join.handler
def weather(ctx: Context, message: str) -> str:
    """Come when it is sent."""
    return f"weather {message}"


@as_join.node
def fire(ctx: Context, message: str, hotspots: str, terrain: str, weather: str) -> str:
    """Simulate, and leave a mark for each time that this happens."""
    mark(message, ctx.run.id)
    return f"fire from {hotspots}, {terrain}, {weather}"
