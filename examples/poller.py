"""Poll something until there is enough of it: ``python examples/poller.py`` lets an hour go by.

A satellite's list of hotspots is looked at every five minutes, and changes less often than that.
What has not changed is not handled again: its date is the message's idempotency key.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from heliostat import Context, Every, Tick, Workflow, testing

ENOUGH = 3

incident = Workflow("incident", stays_open=True)


def published(now: datetime) -> dict[str, str]:
    """Stands for a request to the satellite's archive, which has something new every quarter of an hour."""
    newest = now - timedelta(minutes=now.minute % 15)
    return {"modified": newest.isoformat(), "hotspots": f"{newest:%H%M}.csv"}


@incident.handler(on=Every("5m"))
def look(ctx: Context, message: Tick) -> None:
    """Called every five minutes while the run is active; never while the look before it still goes on."""
    found = published(message.scheduled_at)
    ctx.send(update, found, idempotency_key=found["modified"])


@incident.handler(serial=True)
def update(ctx: Context, message: dict[str, str]) -> None:
    """Called once per list, however often it was found; when there is enough, the run is over and so is the polling."""
    ctx.put(message["hotspots"])
    if len(lists := ctx.records()) >= ENOUGH:
        ctx.complete(lists)


def told() -> Iterator[str]:
    """What became of an hour."""
    with testing.engine() as engine:
        run = engine.start(incident)
        engine.advance("1h")
        yield f"{len(run.tasks(node='look'))} looks, {len(run.tasks(node='update'))} lists: {', '.join(run.result())}"


if __name__ == "__main__":
    print(*told())
