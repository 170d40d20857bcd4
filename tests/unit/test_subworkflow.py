"""Workflows as nodes of others: what is said at their definition, and how their runs come out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

import heliostat
from heliostat import Context, Decision, Fail, Retry, Workflow, testing
from heliostat.effects import Start
from heliostat.errors import BadInput, DefinitionError, RunFailed
from heliostat.graph import Graph, Kind, Part
from heliostat.inside import past_runs, traffic
from heliostat.run import RunState
from heliostat.store import Command


@dataclass(frozen=True)
class Place:
    """What a forecast is asked for."""

    west: float
    days: int = 1


weather = Workflow("weather")


@weather.node
def fetch(message: Place) -> float:
    """Fails where there is no data."""
    if message.west < 0:
        raise ValueError("no data there")
    return message.west


@weather.node
def wind(fetch: float, message: Place) -> float:
    """Grows by the days."""
    return fetch * 2 + message.days


def flow() -> Workflow:
    """A workflow with a node that gives a number."""
    made = Workflow("fire")

    @made.node
    def west(message: Any) -> float:
        return 2.0

    @made.node
    def tiles(message: Any) -> list[float]:
        return [1.0, 2.0, 3.0]

    return made


def test_inputs_are_fields_of_the_message() -> None:
    """Named as the workflow's own functions name them."""
    fire = flow()
    fire.subworkflow("forecast", weather, inputs={"west": "west"})
    with heliostat.open("memory://") as engine:
        run = engine.run(fire)
        assert run.result("forecast") == 5.0
        [inside] = run.parts()
        assert (inside.info.message, inside.name, inside.graph) == ('{"west":2.0}', "forecast", weather.graph)


def test_an_input_may_be_the_whole_message() -> None:
    """It is called message, as the parameter of the functions is."""
    double = Workflow("double")

    @double.node
    def twice(message: float) -> float:
        return message * 2

    fire = flow()
    fire.subworkflow("one", double, inputs={"message": "west"})
    fire.subworkflow("many", double, map={"message": "tiles"})
    fire.subworkflow("again", double, map={"message": "many"})
    with heliostat.open("memory://") as engine:
        run = engine.run(fire)
        assert run.results() == {"west": 2.0, "tiles": [1, 2, 3], "one": 4.0, "many": [2, 4, 6], "again": [4, 8, 12]}
        assert [part.name for part in run.parts()][1:4] == ["many[0]", "many[1]", "many[2]"]


def test_a_list_is_given_as_a_whole_and_by_its_items() -> None:
    """The same node may be several fields, and what ran per item is a list."""
    share = Workflow("share")

    @share.node
    def part(message: dict[str, Any]) -> float:
        return float(message["one"] / sum(message["all"]))

    fire = flow()
    fire.subworkflow("shares", share, map={"one": "tiles"}, inputs={"all": "tiles"})
    fire.subworkflow("whole", share, inputs={"one": "west", "all": "shares"})
    with heliostat.open("memory://") as engine:
        run = engine.run(fire)
        assert run.result("shares") == [1 / 6, 2 / 6, 3 / 6]
        assert run.result("whole") == 2.0


def test_without_inputs_it_is_started_with_the_message_of_the_run() -> None:
    """Of which it takes what it knows; ``after`` is only waited for."""
    fire = flow()
    fire.subworkflow("forecast", weather, after="tiles")
    with heliostat.open("memory://") as engine:
        run = engine.run(fire, {"west": 4.0, "wood": "pine"})
        assert run.result("forecast") == 9.0
        with pytest.raises(BadInput, match=r"forecast: message\.west: field required"):
            engine.start(fire, {"wood": "pine"})


def test_a_run_inside_that_fails_fails_its_node_with_its_name_and_cause() -> None:
    """Which run, of what, and which node of it."""
    fire = flow()
    fire.subworkflow("forecast", weather)
    with heliostat.open("memory://") as engine:
        run = engine.run(fire, {"west": -1.0})
        [inside] = run.parts()
        said = f"forecast: run {inside.id} of {weather.graph.label} failed: fetch: ValueError: no data there"
        assert (run.info.reason or "").startswith(said)
        assert inside.state is RunState.failed
        with pytest.raises(RunFailed):
            run.result()


def test_a_failure_inside_can_be_caught_or_allowed() -> None:
    """As that of any node."""
    fire = flow()
    fire.subworkflow("forecast", weather)
    fire.subworkflow("allowed", weather, may_fail=True)

    @fire.node(after="forecast", on="failed")
    def instead(ctx: Context) -> str:
        assert ctx.failure is not None
        return ctx.failure.node

    with heliostat.open("memory://") as engine:
        run = engine.run(fire, {"west": -1.0})
        assert (run.state, run.result("instead"), run.result("allowed")) == (RunState.succeeded, "forecast", None)


def test_a_retry_is_another_run() -> None:
    """And no more of them than were asked for."""
    tried: list[str] = []
    shaky = Workflow("shaky")

    @shaky.node
    def once(ctx: Context) -> int | Fail:
        tried.append(ctx.run.id)
        return 7 if len(tried) > 2 else Fail("shaken")

    fire = flow()
    fire.subworkflow("steady", shaky, retry=heliostat.Retry(2, delay=0))
    with heliostat.open("memory://") as engine:
        run = engine.run(fire)
        assert run.result("steady") == 7
        assert [part.id for part in run.parts()] == tried
        assert [part.state for part in run.parts()] == [RunState.failed, RunState.failed, RunState.succeeded]


def test_an_operators_retry_goes_on_inside() -> None:
    """What was done there is not done again."""
    done: list[str] = []
    steps = Workflow("steps")

    @steps.node
    def first() -> int:
        done.append("first")
        return 1

    @steps.node
    def second(first: int) -> int:
        done.append("second")
        if done.count("second") == 1:
            raise OSError("no disk")
        return first + 1

    fire = flow()
    fire.subworkflow("part", steps)
    with heliostat.open("memory://") as engine:
        run = engine.run(fire)
        assert run.state is RunState.failed
        run.retry()
        engine.work(until=run)
        assert (run.state, run.result("part")) == (RunState.succeeded, 2)
        assert (done, len(run.parts())) == (["first", "second", "second"], 1)


def test_runs_stand_within_runs_to_any_depth() -> None:
    """And one workflow may be in several places: each is a run of its own."""
    inner = weather
    for depth in range(8):
        outer = Workflow(f"depth{depth}")
        left = outer.subworkflow("left", inner)

        @outer.node
        def last(left: float) -> float:
            return left + 1

        assert left.name in outer.graph
        inner = outer
    twice = Workflow("twice")
    twice.subworkflow("one", inner)
    twice.subworkflow("two", inner)
    with heliostat.open("memory://") as engine:
        run = engine.run(twice, {"west": 1.0})
        assert run.result() == {"one": 11.0, "two": 11.0}
        assert len(run.parts()) == 2


def test_a_cancelled_run_ends_all_that_is_within_to_any_depth() -> None:
    """However deep what they wait for is."""
    inner = Workflow("asks")
    inner.review("approve", choices=("yes", "no"))
    for depth in range(8):
        outer = Workflow(f"around{depth}")
        outer.subworkflow("within", inner)
        inner = outer
    with heliostat.open("memory://") as engine:
        run = engine.start(inner)
        engine.work()
        assert len(engine.runs(state=RunState.active)) == 9
        run.cancel("enough")
        assert engine.runs(state=RunState.active) == []
        assert engine.reviews() == []


def test_explain_says_what_the_run_inside_waits_for() -> None:
    """As deep as it goes."""
    asks = Workflow("asks")
    asks.review("approve", choices=("yes", "no"))
    middle = Workflow("middle")
    middle.subworkflow("within", asks)
    fire = flow()
    fire.subworkflow("part", middle)
    with heliostat.open("memory://") as engine:
        run = engine.start(fire)
        engine.work()
        [one] = run.parts()
        [two] = one.parts()
        assert run.explain() == (
            f"{run.id}/3 part: waits for run {one.id} of middle; {one.id}/1 within: waits for run {two.id} of asks; "
            f"{two.id}/1 approve: waits for a decision, yes or no; claimed by nobody"
        )
        two.decide("approve", "yes")
        engine.work(until=run)
        assert run.result("part").choice == "yes"


def test_files_of_a_run_inside_are_kept_by_the_run_around() -> None:
    """They outlive what made them."""
    draws = Workflow("draws")

    @draws.node
    def picture(ctx: Context) -> Path:
        file = ctx.dir / "fire.png"
        file.write_text("flames")
        return file

    fire = flow()
    fire.subworkflow("drawn", draws)

    @fire.node
    def read(drawn: Path) -> str:
        return drawn.read_text()

    with heliostat.open("memory://") as engine:
        run = engine.run(fire)
        assert run.result("read") == "flames"
        assert [artifact.name for artifact in run.artifacts()] == ["fire.png"]


def test_a_string_that_a_run_inside_gives_decides_where_the_run_goes_on() -> None:
    """And one that it never gives is refused."""
    choosing = Workflow("choosing")

    @choosing.node
    def way(message: Any) -> Literal["left", "right"]:
        return "left"

    fire = flow()
    way_of = fire.subworkflow("way", choosing)
    with pytest.raises(DefinitionError, match="node way never returns 'lfet'; did you mean 'left'"):
        way_of["lfet"]

    @fire.node(after=way_of["right"])
    def right() -> int:
        return 1

    @fire.node(after=way_of["left"])
    def left() -> int:
        return 2

    with heliostat.open("memory://") as engine:
        run = engine.run(fire)
        assert (run.result("left"), run.result("right")) == (2, None)


def test_a_list_is_wanted_where_a_node_goes_over_it() -> None:
    """Else the node fails and says so."""
    fire = flow()
    fire.subworkflow("forecast", weather, inputs={"west": "west"})
    fire.subworkflow("each", weather, map={"west": "forecast"})
    with heliostat.open("memory://") as engine:
        assert "gave float, but each goes over its list" in (engine.run(fire).info.reason or "")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"inputs": {"wets": "west"}}, "fetch of weather needs 'west' in its message; name it in inputs="),
        ({"inputs": {"west": "west", "dyas": "west"}}, "message: there is no field 'dyas'; did you mean 'days'"),
        ({"inputs": {"message": "west", "days": "west"}}, "so 'days' has no place in it"),
        ({"inputs": {"west": "wets"}}, "waits for 'wets', which is no node before it; did you mean 'west'"),
        ({"timeout": "1s"}, "there is no option 'timeout'"),
        ({"on": "ended"}, "a workflow that is part of a run ends with it, and cannot come after"),
    ],
)
def test_what_cannot_be_is_refused_at_its_definition(options: dict[str, Any], words: str) -> None:
    """In one sentence that says what would be right."""
    with pytest.raises(DefinitionError, match=words):
        flow().subworkflow("forecast", weather, **options)


def test_a_message_without_fields_takes_none() -> None:
    """It is given as a whole."""
    plain = Workflow("plain")
    plain.node(lambda message: message, name="any")

    @plain.node
    def number(message: int) -> int:
        return message

    with pytest.raises(DefinitionError, match="number of plain takes no fields, but int"):
        flow().subworkflow("part", plain, inputs={"west": "west"})


def test_a_workflow_cannot_contain_itself() -> None:
    """Neither at once nor through another one, and what it contains is defined before."""
    fire, other = flow(), Workflow("other")
    with pytest.raises(DefinitionError, match="workflow fire would contain itself, and never end"):
        fire.subworkflow("fire", fire)
    other.subworkflow("fire", fire)
    with pytest.raises(DefinitionError, match="would contain itself"):
        fire.subworkflow("other", other)
    with pytest.raises(DefinitionError, match="a Workflow is wanted, not 'weather'"):
        fire.subworkflow("other", "weather")  # type: ignore[arg-type]
    fire.node(lambda: 1, name="late")
    with heliostat.open("memory://") as engine, pytest.raises(DefinitionError, match="fire was changed after"):
        engine.start(other)


def test_what_is_inside_is_part_of_the_structure() -> None:
    """Another version inside is another workflow around, and the JSON form says which it is."""
    one, two = flow(), flow()
    one.subworkflow("forecast", weather)
    newer = Workflow("weather", version="2")
    newer.node(fetch)
    two.subworkflow("forecast", newer)
    assert one.graph.fingerprint != two.graph.fingerprint
    data = two.graph.to_json()
    assert data["nodes"][-1]["workflow"] == {"name": "weather", "fingerprint": newer.graph.fingerprint, "version": "2"}
    read = Graph.from_json(data)
    assert read == two.graph
    assert read.parts["forecast"] == Part("weather", newer.graph.fingerprint, "2")
    assert read.parts["forecast"].graph == newer.graph.id
    assert read["forecast"].kind is Kind.workflow


def test_there_is_no_function_to_call() -> None:
    """A test starts a run of it, or has a stub in its place."""
    fire = flow()
    forecast = fire.subworkflow("forecast", weather)
    with pytest.raises(DefinitionError, match="node forecast is no function"):
        forecast()
    with pytest.raises(BadInput, match="call: forecast is a workflow, so there is no function to call"):
        testing.call(forecast)
    with testing.engine() as engine:
        engine.stubs["fire.forecast"] = lambda: 3.0
        assert engine.run(fire, {"west": 1.0}).result("forecast") == 3.0


def test_a_definition_that_came_without_what_it_contains_says_what_is_missing() -> None:
    """It is data, and the other one is not there."""
    fire = flow()
    fire.subworkflow("forecast", weather)
    with heliostat.open("memory://") as engine:
        engine.registry.keep(fire.graph, fire.signatures)
        start = Start(engine.around.ids.run(), fire.graph, '{"west": 1}')
        engine.store.accept([Command(start)], engine.around.clock.now())
        engine.work()
        [run] = engine.runs()
        assert run.info.reason == (
            f"forecast: {weather.graph.label} is not known here; register it, or offer it with a worker"
        )


def test_a_policy_about_exceptions_is_none_for_a_run() -> None:
    """It is refused where it is the node's own, and not taken where it is a default of the workflow's functions."""
    made = Workflow("fire", retry=Retry(3, on=(OSError,)))
    with pytest.raises(DefinitionError, match="subworkflow forecast: on= of its Retry names exceptions, and a run"):
        made.subworkflow("forecast", weather, retry=Retry(2, on=(OSError,)))
    made.subworkflow("forecast", weather)
    assert made.graph["forecast"].retry == Retry()
    made.subworkflow("again", weather, retry=Retry(2, delay="1m"))
    assert made.graph["again"].retry.limit == 2


def test_a_run_inside_is_one_attempt_for_as_long_as_it_took() -> None:
    """Though its task is leased twice; tried again it is two, and the first is told as the first."""
    made, tries = Workflow("fire"), []
    inner = Workflow("inner")

    @inner.node
    def only() -> int:
        tries.append(1)
        if len(tries) < 2:
            raise ValueError("not yet")
        return 1

    made.subworkflow("forecast", inner, retry=Retry(1, delay=0))
    with heliostat.open("memory://") as engine:
        run = engine.run(made)
        [task] = run.tasks()
        runs = run.parts()[::1]
        assert (task.count, task.started_at) == (2, runs[0].info.created_at)
        [past] = past_runs(engine.store, run.graph, task, engine.store.attempts(run.key))
        assert past.count == 1
        again = run.rerun()
        engine.work(until=again)
        forecast = next(node for node in run.compare(again).nodes if node.node == "forecast")
        assert forecast.before is not None
        assert forecast.after is not None
        assert (forecast.before.attempts, forecast.after.attempts) == (2, 1)
        [(_, _, _, seconds)] = traffic(engine.store, again.graph, again.key)
        [inside] = again.parts()
        assert seconds == (inside.info.ended_at or 0.0) - inside.info.created_at


def test_a_decision_that_ends_a_run_inside_is_one_to_the_run_around() -> None:
    """To the node that waits for it, to who asks for its result, and as the choice that an edge waits for."""
    inner, made = Workflow("inner"), Workflow("made")
    inner.review("approve", choices=("publish", "discard"))
    ask = made.subworkflow("ask", inner)

    @made.node
    def told(ask: Decision) -> str:
        return f"{type(ask).__name__} {ask.choice}"

    @made.node(after=ask["publish"])
    def publish() -> str:
        return "out"

    @made.node(after=ask["discard"])
    def discard() -> str:
        return "gone"

    with heliostat.open("memory://", actor="anna") as engine:
        run = engine.start(made)
        engine.work(until="idle")
        run.parts()[0].decide("approve", "publish", "it is good")
        engine.work(until=run)
        assert run.result(told) == "Decision publish"
        found = run.result(ask)
        assert isinstance(found, Decision)
        assert (found.choice, found.by, found.reason) == ("publish", "anna", "it is good")
        assert (run.result(publish), run.result(discard)) == ("out", None)


def test_what_was_of_no_use_is_begun_anew_once_it_is_mended() -> None:
    """Its run has succeeded, and would give the same again and again."""
    gives: list[object] = [7, [1, 2]]
    inner = Workflow("inner")
    inner.node(lambda message: gives.pop(0), name="x")
    outer = Workflow("outer")
    outer.subworkflow("part", inner)
    outer.node(lambda part: part, name="each", map={"part": "part"})
    with heliostat.open("memory://") as engine:
        run = engine.run(outer, 3)
        assert "gave int, but each goes over its list" in (run.info.reason or "")
        run.retry()
        engine.work(until=run)
        assert run.result("each") == [1, 2]
