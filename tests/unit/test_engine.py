"""The engine's way of asking, where it does more than pass things on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heliostat import Context, Every, RunFailed, Tick, Workflow
from heliostat.clock import Ids, SystemClock
from heliostat.compose import engine_on
from heliostat.engine import Engine
from heliostat.errors import BadInput, NotEnded, NotFound
from heliostat.run import RunState
from heliostat.stores import commit, ledger
from heliostat.stores.memory import MemoryStore, Tables
from heliostat.task import TaskState

quiet = Workflow("quiet", stays_open=True)


@quiet.handler
def hear(message: object) -> None:
    """Listens."""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    """Give what opens an engine of a further process on the same tables."""
    tables, engines = Tables(), list[Engine]()

    def open_one() -> Engine:
        store = MemoryStore()
        store.tables = tables
        engines.append(engine_on(store, SystemClock(), tmp_path, seed=len(engines)))
        return engines[-1]

    yield open_one
    for engine in engines:
        engine.close()


def test_two_processes_that_draw_the_same_id_get_two_runs(
    opened: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second draws another; nobody's run is taken for somebody else's."""
    drawn = iter([5, 5, 6, 7, 8, 8, 9, 7, 10, 11, 12])
    monkeypatch.setattr(Ids, "run", lambda self: next(drawn))
    mine, yours = opened(), opened()
    assert mine.start(quiet, "mine").key == 5
    assert yours.start(quiet, "yours").key == 6
    assert [run.key for run in mine.start_many(quiet, ["a", "b"])] == [7, 8]
    assert [run.key for run in yours.start_many(quiet, ["c", "d"])] == [11, 12]
    assert [run.info.message for run in mine.runs()] == ['"d"', '"c"', '"b"', '"a"', '"yours"', '"mine"']


def test_every_send_is_one_message(opened: Callable[[], Engine]) -> None:
    """Though all say the same, and whoever sends them; only what has a key of its own is sent once."""
    mine, yours = opened(), opened()
    run = mine.start(quiet)
    yours.add(quiet)
    for engine in (mine, yours):
        for _ in range(3):
            engine.find(run.id).send(hear, None)
            engine.find(run.id).send(hear, None, idempotency_key="once")
    assert len(run.tasks()) == 7


def test_idle_is_when_nothing_of_ended_runs_is_left(
    opened: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a run with more tasks than one commit cancels, the rest is cancelled before that."""
    for module in (commit, ledger):
        monkeypatch.setattr(module, "CANCEL_AT_ONCE", 3)
    mine, yours = opened(), opened()
    run = yours.start(quiet)
    for _ in range(20):
        run.send(hear, None)
    run.cancel("enough")
    mine.work("idle")
    assert {task.state for task in run.tasks()} == {TaskState.cancelled}


tour = Workflow("tour")


@tour.node
def choose() -> str:
    """Says no."""
    return "no"


@tour.node(after=choose["yes"])
def gone() -> None:
    """Never runs."""


@tour.node
def after(gone: None) -> None:
    """Does not run either."""


@tour.node
def numbers() -> list[int]:
    """Three."""
    return [1, 2, 3]


@tour.node(map={"number": numbers})
def nap(ctx: Context, number: int) -> int:
    """Says what it does."""
    ctx.log("asleep", number=number)
    ctx.progress(number, 3)
    return number


@tour.handler
def wake() -> None:
    """Nobody sends."""


def test_a_run_that_goes_on_has_not_failed(opened: Callable[[], Engine]) -> None:
    """Its result is refused with what it waits for, under an error of its own."""
    run = opened().start(tour)
    with pytest.raises(NotEnded) as refused:
        run.result()
    waits = f"{run.id}/1 choose: no worker offers {tour.graph.label}, for there is none"
    assert str(refused.value).startswith(f"run {run.id} has not ended: {waits}; start one: ")
    assert not isinstance(refused.value, RunFailed)


def test_runs_are_found_as_handles(opened: Callable[[], Engine]) -> None:
    """With their verbs and their public ids; a state that does not exist is said, not nothing found."""
    engine = opened()
    first, second = engine.start(quiet, name="one"), engine.start(tour)
    assert [(run.id, run.name) for run in engine.runs()] == [(second.id, ""), (first.id, "one")]
    assert [run.id for run in engine.runs(quiet)] == [run.id for run in engine.runs("quiet")] == [first.id]
    engine.runs(quiet)[0].cancel("enough")
    assert [run.id for run in engine.runs(state=RunState.cancelled)] == [first.id]
    with pytest.raises(BadInput, match="there is no run state 'bogus'; a run is pending, active"):
        engine.runs(state="bogus")  # type: ignore[arg-type]


def test_a_name_that_is_no_node_of_the_run_is_said(opened: Callable[[], Engine]) -> None:
    """For records and tasks alike, with the nearest name."""
    run = opened().start(tour)
    for ask in (lambda: run.records("naps"), lambda: run.tasks(node="naps"), lambda: run.result("naps")):
        with pytest.raises(NotFound, match="workflow tour has no node 'naps'; did you mean 'nap'"):
            ask()


def test_the_log_of_a_run_is_what_the_command_line_tells(opened: Callable[[], Engine]) -> None:
    """Values with attributes, in order of time: the run's own lines, its tasks', and what functions logged."""
    run = opened().run(tour)
    lines = run.log()
    assert (lines[0].kind, lines[0].text) == ("run", f"started: {tour.graph.label}")
    assert [(line.node, line.fields["number"]) for line in lines if line.kind == "log"] == [
        ("nap", 1),
        ("nap", 2),
        ("nap", 3),
    ]
    assert sorted(line.fields["done"] for line in lines if line.kind == "progress") == [1, 2, 3]
    assert {(line.task, line.node, line.text) for line in lines if line.kind == "task"} >= {
        (f"{run.id}/1", "choose", "succeeded")
    }
    assert (lines[-1].kind, lines[-1].text) == ("run", "succeeded")


def test_results_are_those_of_nodes_that_act_once_or_per_item(opened: Callable[[], Engine]) -> None:
    """A handler acts on each message, so it has none to show."""
    run = opened().run(tour)
    assert run.results() == {"choose": "no", "gone": None, "after": None, "numbers": [1, 2, 3], "nap": [1, 2, 3]}


def test_a_skipped_task_says_which_input_did_not_come(opened: Callable[[], Engine]) -> None:
    """What was chosen instead, or that what it waits for was skipped itself."""
    run = opened().run(tour)
    assert run.explain(2) == "skipped: choose gave \"no\", not 'yes'"
    assert run.explain(3) == "skipped: gone was skipped"


def test_a_cancelled_task_says_why_its_run_was(opened: Callable[[], Engine]) -> None:
    """The reason is kept once, with the run."""
    run = opened().start(tour)
    run.cancel("sunrise")
    assert run.explain(1) == "cancelled: the run was cancelled: sunrise"
    assert run.explain() == f"run {run.id} was cancelled: sunrise"


def test_explaining_reads_no_more_tasks_than_it_tells_of(
    opened: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run may have twenty thousand that are not done; items are told apart."""
    engine = opened()
    run = engine.start(quiet)
    for number in range(20):
        run.send(hear, number)
    asked = []
    why = engine.store.why
    monkeypatch.setattr(engine.store, "why", lambda run, number: asked.append(number) or why(run, number))
    first, last = run.explain(limit=1).splitlines()
    assert first.startswith(f"{run.id}/{run.tasks()[0].number} hear: no worker offers {quiet.graph.label}, for there")
    assert last == "and more; explain(limit=10) tells of those too"
    assert len(asked) == 1


WRONG: list[dict[str, Any]] = [
    {"priority": "high"},
    {"priority": 1 << 63},
    {"idempotency_key": ["a"]},
    {"to": 5},
]


@pytest.mark.parametrize("options", WRONG, ids=str)
def test_what_is_none_of_the_options_is_refused_by_its_name(
    opened: Callable[[], Engine], options: dict[str, Any]
) -> None:
    """The same words at every door, and no run is there afterwards."""
    engine = opened()
    [name] = options
    with pytest.raises(BadInput, match=rf"^{name}: a "):
        engine.start(quiet, **options)
    assert engine.runs() == []
    run = engine.start(quiet)
    with pytest.raises(BadInput, match=rf"^{name}: a "):
        run.send(**{"to": hear, **options})
    assert run.tasks() == []


def test_a_run_that_nobody_can_have_is_not_found(opened: Callable[[], Engine]) -> None:
    """Whatever is given as its id."""
    for odd in (5, None, "5", "z" * 13):
        with pytest.raises(NotFound, match=" is no run id"):
            opened().find(odd)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [0, -1, 1 << 70, "5", True])
def test_how_many_runs_is_a_whole_number(opened: Callable[[], Engine], limit: Any) -> None:
    """The same on every store."""
    with pytest.raises(BadInput, match=r"^limit: a whole number from 1 to 1,000,000 is wanted, not "):
        opened().runs(limit=limit)


@pytest.mark.parametrize("reason", [5, object(), "r" * 501, "a\0b"])
def test_a_reason_is_a_string(opened: Callable[[], Engine], reason: Any) -> None:
    """It goes into the journal."""
    run = opened().start(quiet)
    for act in (run.pause, run.resume, run.cancel):
        with pytest.raises(BadInput, match=r"^reason: a "):
            act(reason)
    assert run.state == "active"


POISON: list[Callable[[Context], object]] = [
    lambda ctx: ctx.start(quiet, priority="high"),  # type: ignore[arg-type]
    lambda ctx: ctx.start(quiet, priority=None),  # type: ignore[arg-type]
    lambda ctx: ctx.start(quiet, idempotency_key=["a"]),  # type: ignore[arg-type]
    lambda ctx: ctx.start(quiet, name=object()),  # type: ignore[arg-type]
    lambda ctx: ctx.start(quiet, name="\ud800"),
    lambda ctx: ctx.send("hear", 1, priority="high"),  # type: ignore[arg-type]
    lambda ctx: ctx.send(5, 1),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("poison", POISON)
def test_what_a_function_asks_for_in_a_wrong_way_fails_its_run_and_no_worker(
    opened: Callable[[], Engine], poison: Callable[[Context], object]
) -> None:
    """The sentence says what was wrong; whatever else there is to do is done."""
    flow = Workflow("poisonous", stays_open=True)

    @flow.node
    def bad(ctx: Context) -> object:
        return poison(ctx)

    flow.handler(hear)
    good = Workflow("good")
    good.node(lambda: 7, name="seven")
    engine = opened()
    failing, going = engine.start(flow), engine.start(good)
    engine.work("idle")
    assert going.result() == 7
    assert failing.state == "failed"
    assert " is wanted, not " in str(failing.info.reason) or "surrogate" in str(failing.info.reason)


class Mute(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise Mute


def test_an_error_that_cannot_say_what_it_is_is_known_by_its_class(opened: Callable[[], Engine]) -> None:
    """And by the line where it happened."""
    flow = Workflow("mute")

    @flow.node
    def bad() -> None:
        raise Mute

    engine = opened()
    run = engine.start(flow)
    limit = engine.around.clock.now() + 10
    engine.work(lambda: run.over or engine.around.clock.now() > limit)
    assert str(run.info.reason).startswith("bad: Mute (test_engine.py:")


def test_a_node_goes_over_the_list_that_a_handler_gave_first(opened: Callable[[], Engine]) -> None:
    """Item by item, like over any other node's."""
    flow = Workflow("over")
    give = flow.handler(lambda message: message, name="give", entry=True)
    double = flow.node(lambda x: 2 * x, name="double", map={"x": give})
    engine = opened()
    run = engine.start(flow, [1, 2, 3])
    run.send(give, [7])
    engine.work(run)
    assert run.result(double) == [2, 4, 6]


def test_an_item_and_the_list_that_it_is_of_may_both_be_named(opened: Callable[[], Engine]) -> None:
    """Each parameter has its own value, though both come from one node; of a plain list, and of an each node's."""
    flow = Workflow("share")

    @flow.node
    def parts() -> list[int]:
        return [1, 2, 5]

    @flow.node(map={"part": parts})
    def share(part: int, parts: list[int]) -> float:
        return part / sum(parts)

    @flow.node(map={"one": share})
    def rank(one: float, share: list[float]) -> int:
        return sorted(share).index(one)

    run = opened().run(flow)
    assert run.result(share) == [0.125, 0.25, 0.625]
    assert run.result(rank) == [0, 1, 2]


def test_a_field_of_a_log_line_does_not_stand_in_the_place_of_the_lines_own(opened: Callable[[], Engine]) -> None:
    """It is told under its name with an underscore, and the line keeps its time and place."""
    flow = Workflow("looks")

    @flow.node
    def look(ctx: Context) -> None:
        ctx.log("seen", at="dusk", node="mirror", task=7, attempt=9, progress=1, angle=3)

    [line] = [line for line in opened().run(flow).log() if line.kind == "log"]
    assert (line.text, line.node, line.fields.pop("angle")) == ("seen", "look", 3)
    assert line.fields == {"at_": "dusk", "node_": "mirror", "task_": 7, "attempt_": 9, "progress_": 1}


def test_a_run_is_not_worked_on_without_its_code_in_silence(opened: Callable[[], Engine]) -> None:
    """An engine that found it, and was not given its workflow, says what it lacks; given it, it goes on."""
    one = Workflow("one")
    one.node(lambda: 1, name="only")
    run = opened().start(one)
    mine = opened()
    found = mine.find(run.id)
    with pytest.raises(NotEnded, match=r"no worker offers one dev\+.*, and .*engine\.add\(workflow\)"):
        mine.work(until=found)
    mine.add(one)
    mine.work(until=found)
    assert found.result() == 1
    opened().work(until=found)  # it is over, so nothing is lacking


def test_what_is_offered_instead_is_named(opened: Callable[[], Engine]) -> None:
    """After an edit between the start of a run and that of its worker."""
    engine, flow = opened(), Workflow("fire")
    flow.node(lambda: 1, name="spread")
    run = engine.start(flow)
    flow.node(lambda: 2, name="report")
    other = opened()
    other.add(flow)
    other.worker().tick(other.around.clock.now())
    assert (
        run.explain(1)
        == f"no worker offers {run.graph.label}; workers offer {flow.graph.version or flow.graph.label[5:]}"
    )


def test_a_scheduled_workflow_that_is_started_by_hand_has_the_tick_of_now(opened: Callable[[], Engine]) -> None:
    """Without a message of its own; with one, it has that."""
    nightly = Workflow("nightly", on=Every("1h"))

    @nightly.node
    def go(message: Tick) -> str:
        return f"{message.scheduled_at:%Y}"

    engine = opened()
    assert int(engine.run(nightly).result()) >= 2026
    assert engine.run(nightly, {"scheduled_at": "2025-01-01T00:00:00Z"}).result() == "2025"


def test_a_run_keeps_a_file_that_somebody_brings(opened: Callable[[], Engine], tmp_path: Path) -> None:
    """Also after its end; who did it and why is in its story."""
    engine, one = opened(), Workflow("one")
    one.node(lambda: 1, name="only")
    run = engine.run(one)
    (tmp_path / "seeing.txt").write_text("0.8")
    kept = run.artifact(tmp_path / "seeing.txt", tags=["weather"], reason="measured by hand")
    assert run.artifacts("weather") == [kept]
    told = next(line for line in run.log() if line.text == "file kept: seeing.txt")
    assert (told.by, told.fields["reason"]) == ("python", "measured by hand")
    with pytest.raises(BadInput, match="nowhere"):
        run.artifact(tmp_path / "nowhere.txt")


def test_a_rerun_may_have_a_deadline(opened: Callable[[], Engine]) -> None:
    """Counted from when it begins."""
    engine, one = opened(), Workflow("one")
    one.node(lambda: 1, name="only")
    info = engine.run(one).rerun(deadline="6h").info
    assert info.deadline_at == pytest.approx(info.created_at + 6 * 3600, abs=5)
