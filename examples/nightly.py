"""A schedule: ``heliostat worker start examples/nightly.py``; ``python examples/nightly.py`` lets a week go by."""

from heliostat import Cron, Tick, Workflow, testing

nightly = Workflow("nightly", on=Cron("0 6 * * *", timezone="Europe/Rome"))


@nightly.node
def frames(message: Tick) -> list[str]:
    """The tick says for which morning the run is, whenever it begins."""
    morning = message.scheduled_at.date()
    return [f"{morning:%Y%m%d}-{number}.fits" for number in range(3)]


@nightly.node
def summary(frames: list[str]) -> str:
    """What came of the night."""
    return f"{len(frames)} frames, the first is {frames[0]}"


if __name__ == "__main__":
    with testing.engine() as engine:  # a clock of its own, so that a week takes no time
        engine.add(nightly)
        engine.advance("7d")
        for run in reversed(engine.runs(nightly)):
            print(run.name, run.result())
