"""The tables of legal moves, against the moves that are really made under many interleavings."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from heliostat import Context, Retry, Skip, Snooze, Workflow
from heliostat.engine import Engine
from heliostat.errors import Conflict, Ended
from heliostat.graph import Arity, Edge, Graph, Node
from heliostat.handle import RunHandle
from heliostat.outcome import Failed, Outcome, Skipped
from heliostat.run import RUN_MOVES, RunState
from heliostat.stores.memory import MemoryStore
from heliostat.task import FINAL, TASK_MOVES, TaskState
from heliostat.testing.cast import Cast
from heliostat.testing.conformance.hand import Hand, gives
from heliostat.testing.conformance.reviews import asked, decide
from heliostat.testing.simulation import Play, simulate

S, R = TaskState, RunState


def move(before: TaskState | RunState, after: TaskState | RunState) -> str:
    """A move in words: tasks and runs share some of them."""
    return f"{'task' if isinstance(before, TaskState) else 'run'}: {before} -> {after}"


LEGAL = {move(before, after) for before in TaskState for after in TASK_MOVES[before]}
LEGAL |= {move(before, after) for before in RunState for after in RUN_MOVES[before]}

#: Moves that are legal and that no verb makes yet: a start that waits for its time.
NOT_YET = {
    move(R.pending, R.active),
    move(R.pending, R.cancelled),
}

#: Moves for which somebody must decide between the deadline and the lease, or that a failing run makes when the last
#: that a join waits for is let finish; they are made by hand below.
BY_HAND = {move(before, after) for before in (S.ready, S.cancelled) for after in (S.succeeded, S.skipped)}

busy = Workflow("busy", stays_open=True, retry=Retry(2, delay=1))


@busy.node
def opening(ctx: Context) -> Skip | Snooze:
    """Stays shut, and says so late."""
    return Snooze("10s") if ctx.attempt == 1 else Skip("closed")


@busy.node
def numbers(ctx: Context) -> list[int]:
    """Two of them."""
    return [1, 2]


@busy.node
def empty(ctx: Context) -> list[int]:
    """None of them."""
    return []


@busy.node(map={"one": "numbers"}, may_fail=True)
def each(ctx: Context, one: int) -> int:
    """One of them fails."""
    if one == 2:
        raise ValueError("two")
    return one


busy.review("approve", after=numbers, choices=("yes", "no"))


@busy.node(map={"one": "empty"}, after="numbers")
def none(one: int) -> int:
    """There is nothing to call it for."""
    return one


@busy.node(after=opening)
def beyond(numbers: list[int]) -> None:
    """What it waits for is skipped."""


@busy.handler(entry=True, serial=True)
def hear(ctx: Context, message: int) -> None:
    """Sends to itself, and to what will not be handled."""
    ctx.send(shut, message, delay="1m" if message == 1 else None)
    if message < 2:
        ctx.send(hear, message + 1, delay="2s" if message else None)


@busy.handler
def shut(ctx: Context, message: int, opening: object) -> None:
    """Its gate does not open."""


@busy.node(on="ended")
def tidy(ctx: Context) -> None:
    """After the end."""


doomed = Workflow("doomed")


@doomed.node
def bad(ctx: Context) -> None:
    """Fails for good."""
    raise ValueError("no light")


def script(engine: Engine) -> None:
    """One run ends well and one fails, the others are ended at any moment."""
    runs = [engine.start(busy, number, idempotency_key=f"run {number}") for number in range(3)]
    engine.start(doomed, idempotency_key="doomed")
    runs[1].cancel("enough")
    runs[2].send(hear, 9, delay="1m", idempotency_key="late")
    runs[2].complete()
    runs[0].send(hear, 9, delay="5m", idempotency_key="late")
    engine.around.clock.wait(threading.Event(), 100.0)
    runs[0].complete()


mended = Workflow("mended", stays_open=True)


@mended.handler(entry=True)
def begin(ctx: Context, message: int) -> None:
    """Sends what fails, what waits for its turn and what is delayed."""
    for number in range(3):
        ctx.send(fragile, number)
    ctx.send(end, 1, delay="40s")


@mended.handler(serial=True)
def fragile(ctx: Context, message: int) -> int:
    """Fails until somebody has it tried again."""
    if message < 2 and ctx.attempt == 1:
        raise OSError("no light")
    ctx.put(message)
    return message


@mended.node
def first(ctx: Context, fragile: int) -> int:
    """Waits for the first of them, and fails too."""
    if ctx.attempt == 1:
        raise OSError("no wind")
    return fragile


@mended.handler
def end(ctx: Context, message: int) -> None:
    """Ends the run."""
    ctx.complete(message)


def mend(engine: Engine) -> None:
    """Whatever fails is tried again, skipped or given its result, until every run has come to its end."""
    runs = [engine.start(mended, number, idempotency_key=f"mended {number}") for number in range(3)]
    while any(run.state is not R.succeeded for run in runs):
        engine.around.clock.wait(threading.Event(), 1.0)
        for number, run in enumerate(runs):
            for task in run.tasks(S.failed) if run.state is R.failed else ():
                with suppress(Ended):
                    if number == 0:
                        run.retry(task)
                    elif number == 1:
                        run.skip(task)
                    else:
                        run.resolve(task, 7)


def kept(run: RunHandle) -> bool:
    """Each message is handled once, in order; in the first run all of them, for none was skipped or resolved."""
    found = run.records(fragile)
    return found == [0, 1, 2] if run.info.message == "0" else found == sorted(set(found)) and found[-1] == 2


def test_a_run_that_failed_goes_on_under_any_fault() -> None:
    """Whoever has it tried again, and whatever is late, lost or repeated."""
    simulate(mended, script=mend, check=kept, seeds=60)


inside = Workflow("inside", retry=Retry(1, delay=1))


@inside.node
def dawn(ctx: Context) -> int | Snooze:
    """Comes late."""
    return Snooze("5s") if ctx.attempt == 1 else 1


@inside.node
def noon(ctx: Context, dawn: int) -> int:
    """Fails for good, and once more when it is tried again."""
    if ctx.attempt < 3:
        raise OSError("no sun")
    return dawn + 1


outside = Workflow("outside")
outside.subworkflow("day", inside)
outside.subworkflow("days", inside, retry=1)


@outside.node
def night(ctx: Context) -> int:
    """Fails before either has come to its end."""
    if ctx.attempt == 1:
        raise OSError("no stars")
    return 3


def mend_both(engine: Engine) -> None:
    """Whatever fails is tried again until it has all come to its end, and one run is held for a while."""
    runs = [engine.start(outside, number, idempotency_key=f"outside {number}") for number in range(2)]
    while any(run.state is not R.succeeded for run in runs):
        engine.around.clock.wait(threading.Event(), 3.0)
        for run in runs:
            with suppress(Ended, Conflict):
                if run.state is R.failed:
                    run.retry()
                elif engine.around.clock.now() % 10 < 2:
                    run.pause()
                else:
                    run.resume()


def test_runs_inside_of_runs_go_on_under_any_fault() -> None:
    """Whoever has them tried again, and whatever is late, lost or repeated."""
    simulate(outside, script=mend_both, check=come_out, seeds=12)


def come_out(run: RunHandle) -> bool:
    """Each node has its result, and nothing that was done inside was lost or done for another."""
    ends = [part.state for part in run.parts() if part.name == "days"]
    assert ends in ([R.succeeded], [R.failed, R.succeeded])
    return run.results() == {"day": 2, "days": 2, "night": 3}


wobbly = Workflow("wobbly")


@wobbly.node(may_fail=True, retry=Retry(3, delay="5s"))
def shaken(ctx: Context) -> None:
    """Fails whenever it is called."""
    raise OSError("wind")


@wobbly.node(may_fail=True)
def calm(ctx: Context) -> int:
    """Gives something."""
    return 1


@wobbly.node
def both(shaken: None = None, calm: int | None = None) -> int:
    """Does without either."""
    return calm or 0


def call_off(engine: Engine) -> None:
    """Tasks are cancelled at any moment: before they begin, while they run, while they wait for another try."""
    for number in range(3):
        run = engine.start(wobbly, idempotency_key=f"wobbly {number}")
        for node in ("shaken", "calm"):
            with suppress(Ended):
                run.cancel_task(node, "enough")
            engine.around.clock.wait(threading.Event(), 1.0)


def test_tasks_are_called_off_under_any_fault() -> None:
    """Whatever is late, lost or repeated, each comes to one end and the run goes on without it."""
    simulate(wobbly, script=call_off, check=lambda run: run.state is R.succeeded, seeds=12)


lenient = Workflow("lenient", on_failure="finish", retry=Retry(1, delay=1))


@lenient.node(retry=0)
def cold(ctx: Context) -> int:
    """Fails while others run."""
    if ctx.attempt < 3:
        raise OSError("no sun")
    return 1


@lenient.node
def stars() -> list[int]:
    """Those that are seen."""
    return [1, 2]


@lenient.node
def comets() -> list[int]:
    """None of them."""
    return []


@lenient.node
def cloud() -> Skip:
    """There are too many of them."""
    return Skip("overcast")


@lenient.node(map={"star": "stars"}, after=cold)
def measure(star: int) -> int:
    """How bright one is."""
    return star * 10


@lenient.node(map={"star": "stars"})
def called(ctx: Context, star: int) -> str:
    """What one is called; not found at once."""
    if ctx.attempt == 1:
        raise OSError("the catalogue is away")
    return f"star {star}"


@lenient.node(map={"comet": "comets"}, after=stars)
def tail(comet: int) -> int:
    """How long one's tail is."""
    return comet


@lenient.node(after=cloud)
def through(stars: list[int]) -> None:
    """Nobody sees through it."""


@lenient.node
def table(measure: list[int], called: list[str], tail: list[int]) -> list[object]:
    """All of it."""
    return [*measure, *called, *tail]


def mend_lenient(engine: Engine) -> None:
    """Whatever fails is tried again until it has all come to its end."""
    runs = [engine.start(lenient, idempotency_key=f"lenient {number}") for number in range(3)]
    for _ in range(100):
        engine.around.clock.wait(threading.Event(), 2.0)
        for run in runs:
            with suppress(Ended, Conflict):
                if run.state is R.failed:
                    run.retry()


def complete(run: RunHandle) -> bool:
    """Nothing that a failing run let finish is missing or done for another."""
    assert {task.node for task in run.tasks(S.skipped)} == {"cloud", "through"}
    return run.result("table") == [10, 20, "star 1", "star 2"]


def test_a_run_that_lets_others_finish_goes_on_under_any_fault() -> None:
    """Whoever has it tried again, and whatever is late, lost or repeated."""
    simulate(lenient, script=mend_lenient, check=complete, seeds=60)


@pytest.fixture(scope="module")
def moves(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Give every move that tasks and runs make under some seeds."""
    play = Play(Cast((busy, doomed)), script, tmp_path_factory.mktemp("files"), 2)
    other = Play(Cast((mended,)), mend, tmp_path_factory.mktemp("files"), 2)
    third = Play(Cast((outside,)), mend_both, tmp_path_factory.mktemp("files"), 2)
    fourth = Play(Cast((wobbly,)), call_off, tmp_path_factory.mktemp("files"), 2)
    fifth = Play(Cast((lenient,)), mend_lenient, tmp_path_factory.mktemp("files"), 2)
    found: set[str] = set()
    for seed in range(125):
        stage = (play, other, third, fourth, fifth)[seed % 5].run(seed)
        assert stage.failure is None, (seed, stage.failure)
        found |= {move(before, after) for _, before, after in stage.moves}
    return found


def test_no_task_and_no_run_makes_a_move_that_is_not_in_its_table(moves: set[str]) -> None:
    """Whatever is late, lost or repeated: no state moves backwards."""
    assert moves - LEGAL == set()


def test_every_move_of_the_tables_is_made_by_something(moves: set[str]) -> None:
    """A move that nothing makes would be a table that tells stories."""
    assert LEGAL - moves - BY_HAND == NOT_YET


@pytest.mark.parametrize(("choice", "state"), [("yes", S.succeeded), (None, S.skipped)])
def test_people_may_decide_what_is_about_to_be_leased(choice: str | None, state: TaskState) -> None:
    """Its deadline has passed, and no worker has taken notice."""
    hand = Hand(MemoryStore())
    run = asked(hand)
    hand.wait(60)
    assert hand.task(run, 2).state is S.ready
    decide(hand, run, choice)
    assert hand.task(run, 2).state is state


@pytest.mark.parametrize(("items", "outcome", "state"), [([], gives(), S.succeeded), ([1], Skipped(""), S.skipped)])
def test_a_failing_run_settles_what_needs_no_attempt(items: list[int], outcome: Outcome, state: TaskState) -> None:
    """Its end has cancelled that; all it waits for is settled now."""
    each = Node("each", Arity.each, edges=(Edge("list", "x", each=True), Edge("slow")))
    hand = Hand(MemoryStore())
    run = hand.start(Graph("failing", (Node("bad"), Node("list"), Node("slow"), each), on_failure="finish"))
    found = {attempt.node: attempt for attempt in hand.lease(3)}
    hand.settle(found["list"], gives(items))
    hand.settle(found["bad"], Failed("no light"))
    assert hand.task(run, 4).state is S.cancelled
    hand.settle(found["slow"], outcome)
    assert hand.task(run, 4).state is state


def test_only_an_operator_leads_out_of_a_final_state() -> None:
    """And only where a run has failed and goes on: what failed, and what its end has cancelled.

    Of the latter, a failing run that lets others finish settles what needs no attempt.
    """
    assert {state for state in TaskState if state.final} == FINAL
    assert {state for state in FINAL if TASK_MOVES[state]} == {S.failed, S.cancelled}
    assert {(state, after) for state in RunState if state.final for after in RUN_MOVES[state]} == {
        (R.failed, R.active),
        (R.cancelled, R.active),
    }


def test_every_state_has_its_row_and_can_be_reached() -> None:
    """Each state is where something begins or where something leads."""
    assert set(TASK_MOVES) == set(TaskState)
    assert set(RUN_MOVES) == set(RunState)
    assert {S.pending, S.ready, S.waiting}.union(*TASK_MOVES.values()) == set(TaskState)
    assert {R.pending, R.active}.union(*RUN_MOVES.values()) == set(RunState)
