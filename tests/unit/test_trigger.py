"""When ticks come: intervals, cron expressions, clocks that are moved; and what is refused."""

from __future__ import annotations

import json
import random
from bisect import bisect
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

import heliostat
from heliostat import Context, Cron, Every, Tick, Workflow, testing
from heliostat.errors import BadInput, DefinitionError, NotFound
from heliostat.graph import Graph
from heliostat.loops.fire import Fire
from heliostat.trigger import NEVER, Trigger, due, is_tick, tick_message, within

ROME = ZoneInfo("Europe/Rome")


def rome(*given: int, fold: int = 0) -> float:
    """A time of the clocks in Rome."""
    return datetime(*given, tzinfo=ROME, fold=fold).timestamp()  # type: ignore[arg-type,misc]


def following(trigger: Trigger, time: float, n: int) -> list[str]:
    """The next ticks, by the clocks in Rome."""
    return [datetime.fromtimestamp(tick, ROME).strftime("%d %H:%M%z") for tick in islice(_on(trigger, time), n)]


def _on(trigger: Trigger, time: float):  # type: ignore[no-untyped-def]
    while True:
        yield (time := trigger.after(time))


def test_an_interval_is_counted_from_1970() -> None:
    """So that whoever counts has the same ticks."""
    assert following(Every("20m"), rome(2026, 11, 30, 6, 1), 3) == ["30 06:20+0100", "30 06:40+0100", "30 07:00+0100"]
    assert Every("20m").after(1200.0) == 2400.0
    assert Every("20m").latest(1200.0) == Every("20m").latest(2399.9) == 1200.0
    assert Every(timedelta(hours=2)) == Every("2h") == Every(7200)


def test_a_fixed_hour_that_does_not_exist_comes_at_the_first_minute_after_it() -> None:
    """In March, the clocks in Rome go from 2:00 to 3:00."""
    at_half_past_two = Cron("30 2 * * *", timezone="Europe/Rome")
    assert following(at_half_past_two, rome(2026, 3, 28), 3) == ["28 02:30+0100", "29 03:00+0200", "30 02:30+0200"]
    assert following(Cron("0,30 2 * * *", timezone="Europe/Rome"), rome(2026, 3, 29), 2) == [
        "29 03:00+0200",
        "30 02:00+0200",
    ]


def test_a_fixed_hour_that_comes_twice_counts_once() -> None:
    """In October, they go from 3:00 back to 2:00: at the first 2:30, and not again."""
    at_half_past_two = Cron("30 2 * * *", timezone="Europe/Rome")
    assert following(at_half_past_two, rome(2026, 10, 24, 3), 2) == ["25 02:30+0200", "26 02:30+0100"]
    assert following(at_half_past_two, rome(2026, 10, 25, 2, 15, fold=1), 1) == ["26 02:30+0100"]
    assert at_half_past_two.latest(rome(2026, 10, 25, 2, 15, fold=1)) == rome(2026, 10, 25, 2, 30)


def test_what_goes_on_by_the_hour_goes_on_as_time_does() -> None:
    """A star for the minute or the hour: the hour that comes twice has its ticks twice, one left out has none."""
    half = Cron("*/30 * * * *", timezone="Europe/Rome")
    october = ["25 02:00+0200", "25 02:30+0200", "25 02:00+0100", "25 02:30+0100", "25 03:00+0100"]
    assert following(half, rome(2026, 10, 25, 1, 50), 5) == october
    assert following(half, rome(2026, 3, 29, 1, 10), 3) == ["29 01:30+0100", "29 03:00+0200", "29 03:30+0200"]


MOVED = [
    ("UTC", 3, 29), ("Europe/Rome", 3, 29), ("Europe/Rome", 10, 25), ("America/New_York", 3, 8),
    ("America/New_York", 11, 1), ("Australia/Lord_Howe", 4, 5), ("Australia/Lord_Howe", 10, 4),
]  # fmt: skip


EXPRESSIONS = ("30 2 * * *", "*/20 * * * *", "15 */2 * * *", "59 1,2,3 * * *")
#: By half an hour the library may step over a tick that goes on by the hour; ADR 0023 says so.
CASES = [(text, *day) for text in EXPRESSIONS for day in MOVED if ("Lord_Howe" in day[0]) <= ("*/2 " not in text)]


@pytest.mark.parametrize(("expression", "zone", "month", "day"), CASES)
def test_ticks_are_in_order_and_the_latest_is_the_one_before_the_next(
    expression: str, zone: str, month: int, day: int
) -> None:
    """Wherever one looks, around a day on which clocks are moved; by half an hour in one place."""
    cron, chance = Cron(expression, timezone=zone), random.Random(1)
    noon = datetime(2026, month, day, 12, tzinfo=UTC).timestamp()
    ticks = list(within(cron, noon - 129_600, noon + 129_600))
    assert ticks == sorted(set(ticks))
    assert len(ticks) >= 2
    for _ in range(20):
        time = chance.uniform(ticks[0], ticks[-1])
        place = bisect(ticks, time)
        assert (cron.latest(time), cron.after(time)) == (ticks[place - 1], ticks[place])


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 6 * *", "is no cron expression; write five fields"),
        ("0 0 6 * * *", "is no cron expression; write five fields"),
        ("@daily", "is no cron expression; write five fields"),
        ("61 * * * *", "'61 . . . .' is no cron expression: bad minute"),
        ("0 0 * * MON#1/2", "is no cron expression: "),
        ("0 0 * 2 1#5/0", "is no cron expression: "),
        ("0 0 31 2 *", "is no cron expression: bad day-of-month"),
        ("0 0 " + "1," * 60 + "1 * *", "is no cron expression; write five fields"),
        (6, "6 is no cron expression"),
        (None, "None is no cron expression"),
    ],
)
def test_what_is_no_cron_expression_is_refused(expression: str, words: str) -> None:
    """At the line that says it."""
    with pytest.raises(DefinitionError, match=words):
        Cron(expression)


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("Europe/Roma", "there is no time zone 'Europe/Roma'; did you mean 'Europe/Rome'"),
        ("Europe", "there is no time zone 'Europe'"),
        ("../../etc/passwd", "there is no time zone"),
        ("\0", "there is no time zone"),
        ("", "there is no time zone ''"),
        (1, "a time zone is a name such as"),
    ],
)
def test_what_is_no_time_zone_is_refused(zone: str, words: str) -> None:
    """A name that is a directory, or leads elsewhere, is none either."""
    with pytest.raises(DefinitionError, match=words):
        Cron("0 6 * * *", timezone=zone)


@pytest.mark.parametrize("interval", ["soon", "0s", "1.5s", 0.2, -1, "200000d", None, True])
def test_what_is_no_interval_is_refused(interval: str) -> None:
    """It has a whole number of seconds."""
    with pytest.raises(DefinitionError, match="Every: "):
        Every(interval)


def test_what_is_no_policy_is_refused() -> None:
    """With those there are."""
    with pytest.raises(DefinitionError, match='Cron: catch_up is "latest", "all" or "none", not \'some\''):
        Cron("0 6 * * *", catch_up="some")  # type: ignore[arg-type]


def test_what_never_comes_is_never() -> None:
    """Beyond the end of all calendars."""
    assert Cron("0 0 29 2 *").after(rome(9998, 1, 1)) == NEVER


def test_a_catch_up_is_bounded_by_its_newest() -> None:
    """Of very many, a thousand; of none, the next."""
    ticks, next_at = due(Every("1s", catch_up="all"), 10.0, 1_000_000.0)
    assert (ticks[0], len(ticks), next_at) == (999_001.0, 100, 999_101.0)
    assert due(Every("1h"), 7200.0, 3600.0) == ([], 7200.0)


def test_only_a_message_that_says_nothing_else_is_a_tick() -> None:
    """A sender's own field makes it the sender's own message."""
    assert is_tick(tick_message(0.0))
    assert json.loads(tick_message(0.0)) == {"scheduled_at": "1970-01-01T00:00:00Z"}
    assert not any(map(is_tick, (None, "null", '"scheduled_at"', '{"scheduled_at":1,"x":2}', '{"x":2}')))


# in a workflow


def look(ctx: Context, message: Tick) -> None:
    """A handler."""


def test_a_trigger_is_a_policy_of_the_graph() -> None:
    """In its JSON, and not in its fingerprint."""
    flow = Workflow("flow", on=Cron("0 6 * * *", timezone="Europe/Rome", catch_up="all"), stays_open=True)
    flow.handler(look, on=Every("5m"))
    plain = Workflow("flow", stays_open=True)
    plain.handler(look)
    assert flow.graph.to_json()["trigger"] == {"expression": "0 6 * * *", "timezone": "Europe/Rome", "catch_up": "all"}
    assert flow.graph.to_json()["nodes"][0]["trigger"] == {"interval": 300, "catch_up": "latest"}
    assert "trigger" not in plain.graph.to_json()
    assert Graph.from_json(json.loads(json.dumps(flow.graph.to_json()))) == flow.graph
    assert flow.graph.fingerprint == plain.graph.fingerprint


def test_triggers_stand_where_they_have_a_meaning() -> None:
    """Each mistake is refused at its line, with what would be right."""
    flow, closed = Workflow("flow", stays_open=True), Workflow("closed")
    with pytest.raises(DefinitionError, match="handler look: on= sends to it until somebody completes the run, so its"):
        closed.handler(look, on=Every("5m"))
    with pytest.raises(
        DefinitionError, match="node look: it acts once in a run, so it has no trigger; a handler has one"
    ):
        flow.node(look, on=Every("5m"))  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match=r'handler look: on= is a trigger, such as Every\("5m"\) or Cron'):
        flow.handler(look, on="5m")  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match=r"workflow flow: on= is a trigger, such as .*, not '5m'"):
        Workflow("flow", on="5m")  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="it is serial by 'tile', which no tick has; have it serial=True"):
        flow.handler(look, on=Every("5m"), serial="tile")
    with pytest.raises(DefinitionError, match="so its workflow is to be one that stays_open=True"):
        Graph.from_json({"name": "x", "nodes": [{"name": "h", "arity": "handler", "trigger": {"interval": 5}}]})


def test_a_message_that_no_tick_fits_is_refused_before_there_is_one() -> None:
    """When the workflow is offered, for its annotations are resolved then."""

    def wants(message: dict[str, int]) -> None: ...

    def asks(ctx: Context, message: int) -> None: ...

    flow, poll = Workflow("flow", on=Every("5m")), Workflow("poll", stays_open=True)
    flow.node(wants)
    poll.handler(asks, on=Every("5m"))
    nobody = Workflow("nobody", on=Every("5m"))
    nobody.handler(asks)
    with testing.engine() as engine:
        for wrong in (flow, poll, nobody):
            with pytest.raises(DefinitionError, match=r"that is what its trigger sends: annotate .* heliostat.Tick"):
                engine.add(wrong)


# with the virtual engine


def nightly(trigger: Trigger) -> Workflow:
    """A workflow that starts by itself."""
    flow = Workflow("nightly", on=trigger)

    @flow.node
    def night(message: Tick) -> str:
        return message.scheduled_at.astimezone(ROME).isoformat()

    return flow


def test_a_month_of_ticks_goes_by_at_once() -> None:
    """Each at its time, and once."""
    flow = nightly(Cron("0 6 * * *", timezone="Europe/Rome"))
    with testing.engine() as engine:
        engine.add(flow)
        engine.advance("90d")
        runs = engine.runs(flow)[::-1]
        assert [run.result() for run in runs[:2]] == ["2025-01-01T06:00:00+01:00", "2025-01-02T06:00:00+01:00"]
        assert runs[-1].result() == "2025-03-31T06:00:00+02:00"
        assert len(runs) == 90
        assert all(run.info.created_at == datetime.fromisoformat(run.name).timestamp() for run in runs)


def test_waiting_for_a_run_waits_for_no_tick() -> None:
    """What is idle but for schedules is idle; but a poller never is, and says so."""
    flow = nightly(Every("1h"))
    with testing.engine() as engine:
        run = engine.run(flow, Tick(datetime(2025, 1, 1, tzinfo=UTC)))
        engine.work("idle")
        assert [found.id for found in engine.runs(flow)] == [run.id]
        assert run.result(timeout="1d") == "2025-01-01T01:00:00+01:00"
        poll = Workflow("poll", stays_open=True)
        poll.handler(look, on=Every("5m"))
        polled = engine.start(poll)
        with pytest.raises(BadInput, match="work: poll sends to look for ever, so it is never idle; advance the time"):
            engine.work("idle")
        engine.advance("1h")
        assert len(polled.tasks()) == 13


def test_a_backfill_is_of_a_period_that_is_over() -> None:
    """And of one that is not too long; the same ticks again are the same runs."""
    flow = nightly(Every("1h"))
    with testing.engine() as engine:
        engine.add(flow)
        engine.advance("5h")
        now = engine.around.clock.now()
        since = datetime.fromtimestamp(now - 10 * 3600, UTC)
        runs = engine.backfill(flow, since, now)
        assert [run.name[11:16] for run in runs] == [f"{hour % 24:02}:00" for hour in range(19, 29)]
        assert [run.id for run in engine.backfill("nightly", since, now)] == [run.id for run in runs]
        assert len(engine.runs(flow)) == 11  # five by themselves, one of which is not in the period
        assert engine.backfill(flow, now, now) == []
        with pytest.raises(BadInput, match="the period ends at 2025-01-01T05:00:01Z, which is still to come"):
            engine.backfill(flow, now, now + 1)
        with pytest.raises(BadInput, match="the period has more than 10,000 ticks; do it in shorter ones"):
            engine.backfill(flow, 0, now)
        with pytest.raises(NotFound, match="workflow 'nightlu' has no schedule; did you mean 'nightly'"):
            engine.backfill("nightlu", 0, 1)
        for wrong in (float("nan"), float("inf"), -1, "yesterday", None, True):
            with pytest.raises(BadInput, match="backfill: since is a datetime, or seconds since 1970, not "):
                engine.backfill(flow, wrong, now)  # type: ignore[arg-type]
        with pytest.raises(BadInput, match="workflow plain has no trigger"):
            engine.backfill(Workflow("plain"), 0, 1)


def test_a_paused_workflow_starts_nothing() -> None:
    """Its schedule says so, and goes on with the next tick."""
    flow = nightly(Every("1h"))
    with testing.engine() as engine:
        assert engine.pause(flow, "maintenance").done
        engine.advance("3h30m")
        assert (engine.runs(flow), engine.schedules()[0].paused) == ([], True)
        assert engine.resume("nightly").done
        engine.advance("1h")
        assert [run.name for run in engine.runs(flow)] == ["2025-01-01T04:00:00Z"]


def test_a_worker_that_is_to_end_fires_nothing() -> None:
    """Else it and the workers of another version would take the schedule from one another."""
    flow = nightly(Every("1h"))
    with heliostat.open("memory://") as engine:
        engine.add(flow)
        worker = engine.worker()
        (fire,) = (loop for loop in worker.loops if isinstance(loop, Fire))
        later = engine.around.clock.now() + 7200
        worker.draining = True
        fire.tick(later)
        assert engine.runs(flow) == []
        worker.draining = False
        fire.tick(later)
        assert len(engine.runs(flow)) == 1
