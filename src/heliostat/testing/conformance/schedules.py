"""What ticks start and send: the promises, where nobody asks."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from threading import Barrier, Thread

import pytest

from heliostat.effects import End, Start
from heliostat.errors import NotFound
from heliostat.graph import Arity, Graph, Node
from heliostat.loops.fire import Fire
from heliostat.outcome import Failed, Outcome, Skipped, Snoozed, Succeeded
from heliostat.queue import WorkerInfo
from heliostat.run import RunState
from heliostat.store import Command, FireTicks, Follow, Register, Resolve, SetSchedule, TryAgain
from heliostat.task import TaskState
from heliostat.testing.conformance.hand import BEGINNING, Hand, gives, sends
from heliostat.trigger import CatchUp, Cron, Every, Schedule, stamp, tick_key, tick_message

HOURLY = Graph("hourly", (Node("a", takes_message=True),), "1", trigger=Every("1h"))
NEXT = replace(HOURLY, nodes=(*HOURLY.nodes, Node("b")), version="2")
POLL = Graph("poll", (Node("look", Arity.handler, trigger=Every("5m"), may_fail=True),), stays_open=True)
STRICT = Graph("strict", (Node("look", Arity.handler, trigger=Every("5m"), serial=True),), stays_open=True)
HOUR, FIVE = 3600.0, 300.0

_numbers = count(1 << 52)


def firing(hand: Hand, *graphs: Graph) -> Fire:
    """The duty of a worker that offers these."""
    for graph in graphs:
        hand.add(graph)
    hand.store.beat(WorkerInfo(f"w {len(graphs)}", offers=", ".join(graph.label for graph in graphs)), hand.now)
    return Fire(hand.store, lambda: graphs, lambda: next(_numbers))


def pass_time(hand: Hand, fire: Fire, seconds: float) -> None:
    """Let time pass, and what is due be fired, as often as it wants to be called at once."""
    hand.now += seconds
    while fire.tick(hand.now) <= hand.now:
        pass


def ticks(hand: Hand, workflow: str = "hourly") -> list[str]:
    """For which times runs of a workflow have been started, oldest first."""
    runs = sorted(hand.store.runs(workflow, limit=10_000), key=lambda run: run.id)
    for run in runs:
        assert (run.message, run.idempotency_key) == (
            json.dumps({"scheduled_at": run.name}).replace(" ", ""),
            f"tick {run.name}",
        )
    return [run.name for run in runs]


def at(*hours: float) -> list[str]:
    """Ticks so many hours after the beginning."""
    return [stamp(BEGINNING + hour * HOUR) for hour in hours]


def schedule(hand: Hand, workflow: str = "hourly") -> Schedule:
    """How the trigger of a workflow stands."""
    (found,) = hand.store.schedules([workflow])
    return found


def lines(hand: Hand) -> list[dict[str, object]]:
    """What the journal tells of schedules."""
    return [event for entry in hand.store.journal() if "workflow" in (event := json.loads(entry.event))]


def test_p01_a_tick_starts_its_run_and_the_schedule_goes_on_in_one(hand: Hand) -> None:
    """What stands in the schedule and what was started are never apart."""
    fire = firing(hand, HOURLY)
    assert schedule(hand) == Schedule("hourly", HOURLY.id, BEGINNING + HOUR)
    pass_time(hand, fire, HOUR - 1)
    assert ticks(hand) == []
    pass_time(hand, fire, 1)
    assert ticks(hand) == at(1)
    assert schedule(hand) == Schedule("hourly", HOURLY.id, BEGINNING + 2 * HOUR, BEGINNING + HOUR)
    assert hand.work() == ["a"]


def test_p02_a_tick_that_was_read_by_several_is_started_by_one(hand: Hand, other: Hand) -> None:
    """Whoever comes with what he read before changes nothing."""
    firing(hand, HOURLY)
    hand.now += HOUR
    read = schedule(hand)

    def command(number: int) -> FireTicks:
        start = Start(number, HOURLY, tick_message(read.next_at), idempotency_key=tick_key(read.next_at))
        return FireTicks(read, (start,), read.next_at + HOUR, read.next_at)

    answers: list[bool] = []
    go = Barrier(4)

    def say(number: int) -> None:
        go.wait()
        answers.append((hand, other)[number % 2].do(command(number + 1)).done)

    threads = [Thread(target=say, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False, False, False, True]
    assert len(hand.store.runs("hourly")) == 1


def test_p02_a_clock_set_back_fires_nothing_twice(hand: Hand) -> None:
    """Neither does a run begin for a tick that has had one, nor is a handler sent it again."""
    fire = firing(hand, HOURLY)
    run = hand.start(POLL)
    pass_time(hand, fire, HOUR)
    hand.wait(0)
    (look,) = hand.lease()
    hand.now -= 2 * HOUR
    hand.settle(look)
    hand.work()
    for _ in range(5):
        pass_time(hand, fire, HOUR / 2)
        hand.wait(0)
        hand.work()
    assert ticks(hand) == at(1)
    messages = [task.message for task in hand.store.tasks(run)]
    assert len(messages) == len(set(messages))
    pass_time(hand, fire, HOUR / 2)
    assert ticks(hand) == at(1, 2)


def test_p02_a_key_that_somebody_has_used_stops_no_schedule(hand: Hand) -> None:
    """The tick counts as started, and the next one comes."""
    fire = firing(hand, HOURLY)
    hand.start(HOURLY, "mine", name=at(1)[0], idempotency_key=tick_key(BEGINNING + HOUR))
    pass_time(hand, fire, HOUR)
    assert len(hand.store.runs("hourly")) == 1
    pass_time(hand, fire, HOUR)
    assert len(hand.store.runs("hourly")) == 2


def test_p03_what_nobody_fired_is_caught_up(hand: Hand) -> None:
    """The latest alone, all, or none, as the trigger says."""
    wanted: dict[CatchUp, list[str]] = {"latest": at(50), "all": at(*range(1, 51)), "none": []}
    for policy, expected in wanted.items():
        graph = replace(HOURLY, name=policy, trigger=Every("1h", catch_up=policy))
        hand.now = BEGINNING
        fire = firing(hand, graph)
        pass_time(hand, fire, 50 * HOUR + 90)
        assert ticks(hand, policy) == expected
        pass_time(hand, fire, HOUR - 80)  # in time
        assert ticks(hand, policy) == expected + at(51)


def test_p10_catching_up_is_bounded(hand: Hand) -> None:
    """The newest thousand, a hundred in each transaction."""
    graph = replace(HOURLY, trigger=Every("1s", catch_up="all"))
    fire = firing(hand, graph)
    hand.now += 100_000
    fire.tick(hand.now)
    assert len(ticks(hand)) == 100
    pass_time(hand, fire, 0)
    assert ticks(hand) == at(*[second / HOUR for second in range(99_001, 100_001)])


def test_p03_a_changed_trigger_is_followed_from_its_registration_on(hand: Hand) -> None:
    """A definition of the same structure keeps its schedule, with the times that it says now; or has none any more."""
    firing(hand, HOURLY)
    hand.now += 60
    hand.do(Register(replace(HOURLY, trigger=Every("10m"))))
    assert schedule(hand).next_at == BEGINNING + 600
    hand.do(Register(replace(HOURLY, trigger=None)))
    assert hand.store.schedules() == []


def test_p09_of_several_versions_the_newest_that_is_offered_is_started(hand: Hand, other: Hand) -> None:
    """Through a rolling upgrade, and back where the new one is given up."""
    old = firing(hand, HOURLY)
    pass_time(hand, old, HOUR)
    other.now = hand.now
    new = firing(other, HOURLY, NEXT)
    new.tick(hand.now)
    assert schedule(hand).graph == NEXT.id
    hand.do(Register(HOURLY))  # a worker of the old version is started afresh
    pass_time(hand, old, HOUR)
    assert len(ticks(hand)) == 1  # it is for those to start who can run it
    new.tick(hand.now)
    assert [run.graph for run in hand.store.runs("hourly")] == [NEXT.id, HOURLY.id]
    hand.lose("w 2")
    pass_time(hand, old, HOUR)
    assert [run.graph for run in hand.store.runs("hourly")] == [HOURLY.id, NEXT.id, HOURLY.id]
    assert [event.get("follows") for event in lines(hand)] == ["hourly 2", "hourly 1"]


def test_p09_a_newer_version_without_a_trigger_ends_the_schedule(hand: Hand) -> None:
    """The old one's workers, if there are some left, start no more runs."""
    old = firing(hand, HOURLY)
    hand.now += 1
    firing(hand, HOURLY, replace(NEXT, trigger=None)).tick(hand.now)
    pass_time(hand, old, HOUR)
    assert (hand.store.schedules(), ticks(hand)) == ([], [])


def test_p02_a_schedule_that_has_changed_is_not_followed(hand: Hand) -> None:
    """Neither taken over nor ended by who read it before."""
    fire = firing(hand, HOURLY)
    read = schedule(hand)
    pass_time(hand, fire, HOUR)
    hand.add(NEXT)
    assert not hand.do(Follow(read, NEXT)).done
    assert not hand.do(Follow(read, replace(NEXT, trigger=None))).done
    assert schedule(hand).graph == HOURLY.id


def test_p08_who_pauses_a_schedule_says_why(hand: Hand) -> None:
    """It starts nothing until it is resumed, and then goes on with the next tick."""
    fire = firing(hand, HOURLY)
    assert hand.do(SetSchedule("hourly", True), None, "anna", "the mirror is wet").done
    assert hand.do(SetSchedule("hourly", True)).note == "the workflow was paused already"
    pass_time(hand, fire, 5.5 * HOUR)
    assert (ticks(hand), schedule(hand).paused) == ([], True)
    assert hand.do(SetSchedule("hourly", False), None, "bert", "dry").done
    pass_time(hand, fire, HOUR)
    assert ticks(hand) == at(6)
    assert lines(hand) == [
        {"workflow": "hourly", "paused": True, "reason": "the mirror is wet"},
        {"workflow": "hourly", "paused": False, "reason": "dry"},
    ]
    with pytest.raises(NotFound, match="workflow 'hurly' has no schedule; did you mean 'hourly'"):
        hand.do(SetSchedule("hurly", True))


def test_p02_a_schedule_that_is_ahead_goes_by_the_clock_when_it_is_resumed(hand: Hand) -> None:
    """A clock was set ahead for a while: no tick has had two runs, and those between need not be waited for."""
    fire = firing(hand, HOURLY)
    pass_time(hand, fire, 100 * HOUR)
    hand.now -= 99 * HOUR
    pass_time(hand, fire, HOUR)
    assert ticks(hand) == at(100)
    hand.do(SetSchedule("hourly", True))
    hand.do(SetSchedule("hourly", False))
    for _ in range(99):
        pass_time(hand, fire, HOUR)
    assert sorted(ticks(hand)) == at(*range(3, 102))


def test_p02_who_read_a_schedule_before_it_was_paused_starts_nothing(hand: Hand) -> None:
    """The pause is seen in the transaction that would start."""
    firing(hand, HOURLY)
    read = schedule(hand)
    hand.do(SetSchedule("hourly", True))
    start = Start(7, HOURLY, tick_message(read.next_at), idempotency_key=tick_key(read.next_at))
    assert not hand.do(FireTicks(read, (start,), read.next_at + HOUR, read.next_at)).done
    assert ticks(hand) == []


def test_p02_what_is_filled_back_is_not_started_twice(hand: Hand) -> None:
    """By itself or by somebody, a tick has one run."""
    fire = firing(hand, HOURLY)
    pass_time(hand, fire, 3 * HOUR)
    starts = [
        Start(next(_numbers), HOURLY, tick_message(BEGINNING + hour * HOUR), stamp(BEGINNING + hour * HOUR),
              idempotency_key=tick_key(BEGINNING + hour * HOUR))
        for hour in (1, 2, 3)
    ]  # fmt: skip
    assert [answer.done for answer in hand.store.accept([Command(start) for start in starts], hand.now)] == [
        True,
        True,
        False,
    ]
    assert sorted(ticks(hand)) == at(1, 2, 3)


def test_p05_a_schedule_in_a_time_zone_follows_its_clocks(hand: Hand) -> None:
    """As the trigger says; the store sees but seconds."""
    graph = replace(HOURLY, trigger=Cron("0 6 * * *", timezone="Europe/Rome"))
    fire = firing(hand, graph)
    pass_time(hand, fire, 24 * HOUR)
    assert ticks(hand) == ["2027-01-16T05:00:00Z"]


# what a handler is sent


def test_p01_a_handlers_next_tick_is_set_with_the_one_before(hand: Hand) -> None:
    """The first with the run, each other with the settling of the one before, whatever that came to."""
    run = hand.start(POLL)
    assert hand.tasks(run) == ["look waiting"]
    assert hand.task(run, 2).due_at == BEGINNING + FIVE
    outcomes: tuple[Outcome, ...] = (
        Succeeded("null"),
        Failed("no"),
        Failed("no", retry_at=BEGINNING + 1000),
        Succeeded("null"),
        Skipped("none"),
    )
    for place, outcome in enumerate(outcomes, 1):
        hand.wait(FIVE)
        (look,) = hand.lease()
        assert look.message is not None
        hand.settle(look, outcome)
        assert sum(not task.state.final for task in hand.store.tasks(run)) == 1, place
    states = [task.state for task in hand.store.tasks(run)]
    assert states == ["succeeded", "failed", "succeeded", "skipped", "waiting"]
    assert hand.run(run).state == "active"


def test_p02_a_tick_that_is_asked_for_again_sets_no_other(hand: Hand) -> None:
    """While it snoozes, is retried or has been rescued, it is the one that counts."""
    run = hand.start(POLL)
    hand.wait(FIVE)
    hand.settle(hand.lease()[0], Snoozed(hand.now + 1))
    hand.wait(1)
    (first,) = hand.lease(worker="frozen")
    hand.lose("frozen")
    assert len(hand.tasks(run)) == 1
    hand.work()
    assert hand.settle(first, None, "frozen").word != "lost" or hand.tasks(run) == ["look succeeded", "look waiting"]


def test_p05_ticks_that_were_missed_collapse_to_one(hand: Hand) -> None:
    """Nobody worked for a day: the handler is sent one, and the next at its time."""
    run = hand.start(STRICT)
    hand.wait(24 * HOUR + 10)
    assert hand.work() == ["look"]
    assert hand.tasks(run) == ["look succeeded", "look waiting"]
    assert hand.task(run, 3).due_at == BEGINNING + 24 * HOUR + FIVE


def test_p07_polling_ends_with_the_run(hand: Hand) -> None:
    """Also where the handler itself completes it: nothing is left waiting, and nothing more is born."""
    run = hand.start(POLL)
    hand.wait(FIVE)
    hand.settle(hand.lease()[0], gives(None, End(RunState.succeeded, '"done"')))
    assert hand.tasks(run) == ["look succeeded"]
    assert (hand.run(run).state, hand.run(run).open) == ("succeeded", 0)
    other = hand.start(POLL)
    hand.complete(other)
    assert hand.tasks(other) == ["look cancelled"]
    assert hand.wait(HOUR) is None


def test_p07_a_paused_run_is_sent_no_ticks(hand: Hand) -> None:
    """When it goes on, it gets the one that is overdue."""
    run = hand.start(POLL)
    hand.pause(run)
    hand.wait(HOUR)
    assert hand.work() == []
    hand.pause(run, on=False)
    hand.wait(0)
    assert hand.work() == ["look"]
    assert hand.tasks(run) == ["look succeeded", "look waiting"]


def test_p08_a_run_that_goes_on_after_a_failure_is_polled_again(hand: Hand) -> None:
    """By another attempt, by a word about the one that failed, or because the tick was waiting."""
    for how in (TryAgain(2), Resolve(2, TaskState.skipped)):
        run = hand.start(STRICT)
        hand.wait(FIVE)
        hand.settle(hand.lease()[0], Failed("no"))
        assert hand.run(run).state == "failed"
        assert hand.tasks(run) == ["look failed"]
        hand.do(how, run)
        hand.work()
        assert hand.tasks(run)[1:] == ["look waiting"]
        hand.cancel(run)


def test_p08_who_skips_the_next_tick_gets_the_one_after(hand: Hand) -> None:
    """As if it had been settled."""
    run = hand.start(POLL)
    hand.do(Resolve(2, TaskState.skipped), run)
    assert hand.tasks(run) == ["look skipped", "look waiting"]
    assert hand.task(run, 3).due_at == BEGINNING + 2 * FIVE


def test_p12_a_message_that_says_what_a_tick_says_polls_once_more_at_most(hand: Hand) -> None:
    """Whoever sends one himself does not have the handler polled twice as often for ever."""
    run = hand.start(POLL)
    for forged in (stamp(BEGINNING), "9999-12-31T23:59:59Z", "soon", 7):
        hand.send(run, "look", {"scheduled_at": forged})
    hand.send(run, "look", "squat", idempotency_key=tick_key(BEGINNING + 2 * FIVE), due_at=BEGINNING + 9 * HOUR)
    hand.work()
    for _ in range(12):
        hand.wait(FIVE)
        hand.work()
    times = [task.due_at for task in hand.store.tasks(run) if task.idempotency_key and task.message != '"squat"']
    assert len(times) == 12
    assert hand.tasks(run).count("look waiting") == 2  # the one that somebody delayed, and the next tick


def test_p04_a_waiting_tick_says_when_it_comes(hand: Hand) -> None:
    """And what a delayed message is, is not said of it."""
    run = hand.start(POLL)
    assert hand.explain(run, 2) == f"the next tick, every 5m, comes in 5 min, at {stamp(BEGINNING + FIVE)}"
    number = hand.do(sends("look", "x", due_at=hand.now + 60), run).number
    assert number is not None
    assert hand.explain(run, number) == "a delayed message, due in 60.0 s"
