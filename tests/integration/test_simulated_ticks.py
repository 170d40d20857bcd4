"""Ticks under any interleaving and any fault: each is in effect once."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import pytest

from heliostat import Context, Cron, Every, Tick, Workflow, testing
from heliostat.handle import RunHandle
from heliostat.run import EPOCH
from heliostat.stores.memory import MemoryRows

SEEDS = 150


def scheduled(catch_up: str) -> Workflow:
    """A workflow that starts by itself."""
    flow = Workflow(f"scheduled-{catch_up}", on=Every("2s", catch_up=catch_up))  # type: ignore[arg-type]

    @flow.node
    def go(message: Tick) -> str:
        return message.scheduled_at.isoformat()

    return flow


@pytest.mark.parametrize("catch_up", ["latest", "all", "none"])
def test_p02_each_tick_starts_one_run_under_any_fault(catch_up: str) -> None:
    """Workers race, are lost before and after each transaction, and stand still; with ``all``, none is left out."""
    flow, names = scheduled(catch_up), list[str]()

    def over(seed: int) -> None:
        times = sorted(datetime.fromisoformat(name).timestamp() - EPOCH for name in names)
        assert len(times) >= 3
        assert [time for time, count in Counter(times).items() if count > 1] == []
        if catch_up == "all":
            assert times == [2.0 * (place + 1) for place in range(len(times))], seed
        names.clear()

    def check(run: RunHandle) -> bool:
        names.append(run.name)
        return datetime.fromisoformat(str(run.result())) == datetime.fromisoformat(run.name)

    testing.simulate(flow, seeds=SEEDS, check=check, on_seed=over)


def test_a_schedule_of_hours_leaps_from_tick_to_tick() -> None:
    """Three mornings, each once."""
    flow = Workflow("mornings", on=Cron("0 6 * * *", timezone="Europe/Rome"))
    flow.node(lambda message: message["scheduled_at"], name="go")
    told = testing.simulate(flow, seeds=30)
    assert told.seeds == 30


poll = Workflow("poll", stays_open=True)


@poll.handler(on=Every("2s"), retry=2)
def look(ctx: Context, message: Tick) -> None:
    """Four looks, and then it is over."""
    ctx.put(message.scheduled_at.isoformat())
    if len(ctx.records()) >= 4:
        ctx.complete(ctx.records())


def in_order(run: RunHandle) -> bool:
    """Each tick was looked at once, and nothing was born beside."""
    looks = [datetime.fromisoformat(look) for look in run.result()]
    return len(looks) == 4 == len(run.tasks()) and looks == sorted(set(looks))


def test_p02_a_handler_is_sent_each_tick_once_under_any_fault() -> None:
    """Whatever happens between two looks, there is one next."""
    testing.simulate(poll, seeds=SEEDS, check=in_order)


def test_a_fence_that_is_missing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation would notice: without keys and without a look at what was read, ticks come twice."""
    fire = MemoryRows.schedule_fire

    def careless(rows: MemoryRows, schedule, next_at, last_at):  # type: ignore[no-untyped-def]
        now = rows.t.schedules.get(schedule.workflow)
        return now is not None and fire(rows, now, next_at, last_at)

    monkeypatch.setattr(MemoryRows, "schedule_fire", careless)
    monkeypatch.setattr("heliostat.loops.fire.tick_key", lambda tick: f"tick {next(numbers)}")
    numbers = iter(range(1_000_000))
    with pytest.raises(AssertionError):
        test_p02_each_tick_starts_one_run_under_any_fault("all")
