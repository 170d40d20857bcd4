"""The public face as the design words it, clause by clause: each is run as an author or an operator would."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest

import heliostat
from heliostat import (
    Artifact,
    Context,
    Cron,
    Decision,
    Ended,
    Every,
    Fail,
    Resources,
    Retry,
    Secret,
    Skip,
    Snooze,
    Tick,
    Workflow,
    testing,
)
from heliostat.engine import Engine
from heliostat.errors import BadInput, Conflict, DefinitionError, NotEnded
from heliostat.errors import Ended as Over
from heliostat.run import RunState
from tests.acceptance.crew import wait_until


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine as one is opened without a word, on a file."""
    monkeypatch.chdir(tmp_path)
    with heliostat.open() as opened:
        yield opened


def states(run: Any) -> dict[str, str]:
    """How each node came out, by name."""
    return {task.node: str(task.state) for task in run.tasks()}


@dataclass
class Region:
    west: float
    days: int = 3


@dataclass
class Maps:
    title: str
    map: Path


def wildfire(seen: list[Any], *, fail: bool = False) -> tuple[Workflow, Any, Any, Any]:
    """The wildfire up to its end: a job, a picture, a decision, what follows each choice, and what tells of failure."""
    fire = Workflow("wildfire")

    @fire.node
    def terrain(ctx: Context, message: Region) -> Path:
        (ctx.dir / "dem.tif").write_text(f"{message.west} {message.days}")
        return ctx.dir / "dem.tif"

    spread = fire.job(
        "spread", "cp {terrain} fire.tif; exit 7" if fail else "cp {terrain} fire.tif", outputs="fire.tif"
    )

    @fire.node
    def picture(ctx: Context, spread: Path) -> Artifact:
        return ctx.artifact(spread, media_type="image/png", tags=("map",))

    approve = fire.review(
        "approve",
        after=picture,
        choices=("publish", "discard"),
        role="duty-officer",
        deadline="2h",
        otherwise="discard",
    )

    @fire.node(after=approve["publish"])
    def publish(picture: Path, approve: Decision) -> str:
        return f"{picture.read_text()} by {approve.choice}"

    @fire.node(after=spread, on="failed")
    def report(ctx: Context) -> None:
        seen.append(ctx.failure)

    @fire.node(on="ended")
    def tidy() -> None:
        seen.append("ended")

    return fire, approve, publish, spread


def test_the_failure_of_a_node_is_caught_by_the_edge_that_says_so(engine: Engine) -> None:
    """The run goes on; ``ctx.failure`` says node, attempt and cause."""
    seen: list[Any] = []
    fire, *_ = wildfire(seen, fail=True)
    run = engine.run(fire, Region(10.4))
    engine.work(until="idle")
    assert run.state is RunState.succeeded
    assert (seen[0].node, seen[0].attempt, "exit code 7" in seen[0].error, seen[1]) == ("spread", 1, True, "ended")
    assert states(run)["publish"] == "skipped"


def test_a_message_is_checked_before_the_run_exists(engine: Engine) -> None:
    """By the types of those that take it."""
    fire, *_ = wildfire([])
    with pytest.raises(BadInput, match=r"message\.west"):
        engine.start(fire, {"west": "far"})
    assert len(engine.runs()) == 0


def test_files_are_brought_where_an_annotation_says_path(engine: Engine) -> None:
    """In a list, in a field of a dataclass, in what is sent and put; elsewhere they stay artifacts."""
    flow = Workflow("files", stays_open=True)

    @flow.node
    def tiles(ctx: Context) -> list[Path]:
        for name in "ab":
            (ctx.dir / f"{name}.txt").write_text(name)
        return [ctx.dir / "a.txt", ctx.dir / "b.txt"]

    @flow.node
    def joined(ctx: Context, tiles: list[Path]) -> Maps:
        (ctx.dir / "ab.txt").write_text("".join(tile.read_text() for tile in tiles))
        return Maps("both", ctx.dir / "ab.txt")

    @flow.node
    def told(ctx: Context, joined: Maps, tiles: list[Artifact]) -> None:
        ctx.put(joined.map, key="map")
        ctx.send(end, {"map": joined.map, "sizes": [tile.size for tile in tiles]})

    @flow.handler
    def end(ctx: Context, message: Any) -> None:
        ctx.complete(
            [message["sizes"], ctx.bring(ctx.get("map", node=told)).read_text(), len(ctx.records("map", node="told"))]
        )

    assert engine.run(flow).result() == [[1, 1], "ab", 1]


def test_data_has_a_limit_of_one_mebibyte(engine: Engine) -> None:
    """The sentence names the field, and what is right."""
    flow = Workflow("large")
    flow.node(lambda: "x" * (1 << 20), name="much")
    run = engine.run(flow)
    assert run.state is RunState.failed
    assert "much: result" in str(run.info.reason)


def test_the_defaults_of_a_workflow_are_those_of_its_nodes(engine: Engine) -> None:
    """Each option that nodes have; one of their own wins."""
    flow = Workflow(
        "defaults",
        queue="night",
        priority=7,
        retry=2,
        timeout="1m",
        may_fail=True,
        limit=3,
        resources=Resources(cores=2),
    )
    flow.node(lambda: 1, name="plain")
    flow.node(lambda: 1, name="own", priority=1, may_fail=False)
    flow.job("job", "true")
    plain, own, job = flow.graph
    for node in (plain, job):
        assert (node.queue, node.priority, node.retry.limit, node.timeout, node.may_fail, node.limit) == (
            "night", 7, 2, 60.0, True, 3,
        )  # fmt: skip
        assert node.resources == Resources(cores=2)
    assert (own.priority, own.may_fail, own.queue) == (1, False, "night")
    assert engine.run(flow).state is RunState.succeeded


def test_the_higher_priority_goes_first(tmp_path: Path) -> None:
    """Between nodes of a run, and between runs."""
    order: list[str] = []
    flow = Workflow("first")
    flow.node(lambda: order.append("later"), name="later")
    flow.node(lambda: order.append("sooner"), name="sooner", priority=9)
    other = Workflow("second")
    other.node(lambda: order.append("urgent"), name="urgent")
    with heliostat.open(tmp_path / "one.db", files=tmp_path / "files", slots=1) as engine:
        engine.start(flow)
        engine.start(other, priority=5)
        engine.work(until="idle")
    assert order.index("sooner") < order.index("later")
    assert order.index("urgent") < order.index("later")


def test_an_item_that_may_fail_is_none_in_the_list(engine: Engine) -> None:
    """And the items keep their places."""
    flow = Workflow("items")

    @flow.node
    def tiles() -> list[int]:
        return [1, 0, 2]

    @flow.node(map={"tile": tiles}, may_fail=True)
    def part(tile: int) -> float:
        return 2 / tile

    @flow.node
    def whole(part: list[float | None]) -> list[float | None]:
        return part

    assert engine.run(flow).result() == [2.0, None, 1.0]


def test_one_function_is_many_nodes_and_results_come_by_name(engine: Engine) -> None:
    """``inputs=`` where names differ, ``name=`` without a decorator, ``**results`` for all of ``after``."""
    flow = Workflow("many")

    def north() -> int:
        return 1

    def doubled(value: int) -> int:
        return 2 * value

    first = flow.node(north)
    second = flow.node(doubled, name="tile-7", inputs={"value": first})
    flow.node(doubled, name="tile-8", inputs={"value": second}, after="north")

    @flow.node(after=["tile-7", "tile-8"])
    def all_of_them(**results: int) -> dict[str, int]:
        return results

    assert engine.run(flow).result() == {"tile-7": 2, "tile-8": 4}
    assert first() == 1  # a decorated function is still itself


def test_what_waits_for_something_skipped_is_skipped_unless_it_can_do_without(engine: Engine) -> None:
    """A parameter with a default makes it optional."""
    flow = Workflow("skips")

    @flow.node
    def maybe() -> Skip:
        return Skip("nothing new")

    @flow.node
    def needs(maybe: int) -> int:
        return maybe

    @flow.node
    def can_do(maybe: int = 5) -> int:
        return maybe

    run = engine.run(flow)
    assert states(run) == {"maybe": "skipped", "needs": "skipped", "can_do": "succeeded"}
    assert run.result(can_do) == 5


def test_a_class_with_run_is_a_node_with_its_own_options_and_ends(engine: Engine) -> None:
    """It is entered and left around each attempt, and rolls back before another."""
    seen: list[str] = []
    flow = Workflow("classes")

    @flow.node
    class Telescope:
        retry = Retry(1, delay=0)
        priority = 4
        tries: ClassVar[list[int]] = []

        def __enter__(self) -> Self:
            seen.append("open")
            return self

        def __exit__(self, *_: object) -> None:
            seen.append("close")

        def rollback(self) -> None:
            seen.append("rollback")

        def run(self, ctx: Context) -> int:
            seen.append("run")
            self.tries.append(1)
            if len(self.tries) < 2:
                raise OSError("clouds")
            return ctx.attempt

    assert flow.graph["Telescope"].priority == 4
    assert engine.run(flow).result() == 2
    assert seen == ["open", "run", "close", "open", "rollback", "run", "close"]


def test_coroutines_are_awaited_and_what_generators_yield_is_a_list(engine: Engine) -> None:
    """Asynchronous generators, too."""
    flow = Workflow("kinds")

    @flow.node
    async def awaited() -> int:
        return 1

    @flow.node
    def yielded(awaited: int) -> Iterator[int]:
        yield from (awaited, 2)

    @flow.node
    async def both(yielded: list[int]) -> Any:
        for value in yielded:
            yield value + 1

    assert engine.run(flow).result() == [2, 3]


def test_a_mistake_is_an_error_at_its_own_line() -> None:
    """Unknown and duplicate names, parameters that name nothing, choices that are none; the traceback ends there."""
    flow = Workflow("mistakes")
    flow.node(lambda: 1, name="one")
    mistakes = [
        lambda: flow.node(lambda two: 1, name="three"),
        lambda: flow.node(lambda: 1, name="one"),
        lambda: flow.node(lambda: 1, name="four", after="two"),
        lambda: flow.review("five", choices=("a", "b"))["c"],
        lambda: flow.job("six", "echo '{one}'"),
    ]
    for mistake in mistakes:
        with pytest.raises(DefinitionError) as caught:
            mistake()
        mine = [entry for entry in caught.traceback if Path(str(entry.path)) == Path(__file__)]
        assert mine[-1].lineno + 1 == mistake.__code__.co_firstlineno


def test_a_job_has_words_files_input_output_and_variables(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list is words; ``{files}``, ``{input}``, ``{output}``; ``env=`` with a secret; outputs by name and pattern."""
    monkeypatch.setenv("HELIOSTAT_SECRET_TOKEN", "open sesame")
    flow = Workflow("job")

    @flow.node
    def words() -> list[str]:
        return ["a b", "it's"]

    @flow.node
    def map_(ctx: Context) -> Path:
        (ctx.dir / "map.txt").write_text("map")
        return ctx.dir / "map.txt"

    flow.job("says", "printf '%s|' {words} > said.txt", outputs="said.txt")
    flow.job("listed", ["sh", "-c", 'printf "%s|" "$@" > said.txt', "-", "{words}"], outputs="said.txt")
    flow.job("given", "cp {input} {output}; ls {files}", after=["map_", "words"], outputs=None)
    flow.job(
        "named", 'printf %s "$TOKEN" | wc -c > n.log; echo > m.log; echo > one.png',
        outputs={"one": "one.png", "logs": "*.log"}, env={"TOKEN": Secret("token")},
    )  # fmt: skip
    run = engine.run(flow, {"days": 3})
    assert run.state is RunState.succeeded, run.explain()
    for node in ("says", "listed"):
        with engine.around.repository.open(run.result(node)) as file:
            assert file.read() == b"a b|it's|"
    given = run.result("given")
    assert (given["message"], given["words"]) == ({"days": 3}, ["a b", "it's"])
    named = run.result("named")
    assert (named["one"].name, [file.name for file in named["logs"]]) == ("one.png", ["m.log", "n.log"])
    (said,) = Path(".heliostat/jobs").glob("*/*/n.log")
    assert said.read_text().strip() == "11"


def test_a_job_without_its_outputs_has_failed(engine: Engine) -> None:
    """Exit code 0 is not enough."""
    flow = Workflow("missing")
    flow.job("spread", "true", outputs="fire.tif")
    assert engine.run(flow).info.reason == "spread: the output fire.tif is missing"


def test_an_unknown_queue_is_refused_at_the_start_where_any_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where none is, every queue runs here."""
    monkeypatch.chdir(tmp_path)
    flow = Workflow("queues")
    flow.node(lambda: 1, name="one", queue="custer")
    with heliostat.open() as engine:
        assert engine.run(flow).result() == 1
    Path("heliostat.toml").write_text("queues.cluster = { limit = 200 }\n")
    with heliostat.open() as engine, pytest.raises(BadInput, match="did you mean 'cluster'"):
        engine.start(flow)


def test_a_subworkflow_is_a_node_that_is_another_run(engine: Engine) -> None:
    """Its result is that run's; with an open end of its own it would be ended with this one."""
    part = Workflow("mesonh")
    part.node(lambda message: message + 1, name="more")
    flow = Workflow("whole")
    flow.node(lambda: 4, name="four")
    flow.subworkflow("weather", part, inputs={"message": "four"})
    run = engine.run(flow)
    assert run.result() == 5
    assert [inner.state for inner in run.parts()] == [RunState.succeeded]


def test_a_review_waits_for_a_person_or_for_its_deadline(engine: Engine) -> None:
    """Whoever is asked sees for how long; a decision after the deadline comes too late, and says what was decided."""
    flow = Workflow("asked")

    @flow.node
    def picture(message: str) -> str:
        return message

    def asked(name: str, deadline: str) -> Any:
        approve = flow.review(
            name, after=picture, choices=("publish", "discard"), role="duty", deadline=deadline, otherwise="discard"
        )
        flow.node(lambda picture, **given: [picture, *given.values()], name=f"{name}-publish", after=approve["publish"])
        return approve

    soon, late = asked("soon", "0.05s"), asked("late", "2h")
    run = engine.start(flow, "map", name="Monte Pisano", priority=5, deadline="6h", idempotency_key="k")
    assert engine.start(flow, "map", name="Monte Pisano", priority=5, deadline="6h", idempotency_key="k").id == run.id
    stopped = threading.Event()
    worker = threading.Thread(target=lambda: engine.work(until=stopped.is_set))
    worker.start()
    try:
        wait_until(lambda: "in 120 min it is 'discard'" in run.explain() and states(run)["soon"] == "succeeded")
        with pytest.raises(Over, match="its deadline decided 'discard'"):
            run.decide(soon, "publish")
        assert run.claim(late).done
        assert run.decide(late, "publish", "for the mayor").done
        run.wait(timeout="30s")
    finally:
        stopped.set()
        worker.join()
    published = run.result("late-publish")
    assert (published[0], published[1]["choice"], published[1]["reason"]) == ("map", "publish", "for the mayor")
    assert states(run)["soon-publish"] == "skipped"
    assert (run.info.name, run.state) == ("Monte Pisano", RunState.succeeded)


def test_outcomes_are_returned_and_only_errors_are_tried_again(engine: Engine) -> None:
    """``Snooze`` uses up no try, ``Fail`` has none, and of errors those that ``on=`` names have some."""
    called: list[str] = []
    flow = Workflow("outcomes")

    @flow.node(retry=Retry(1, delay="0s", jitter=0, on=(OSError,)))
    def patient(ctx: Context) -> int | Snooze:
        called.append("patient")
        if ctx.attempt < 3:
            return Snooze(0.01)
        if ctx.attempt == 3:
            raise OSError("once")
        return ctx.attempt

    @flow.node(retry=Retry(3, delay="0s", on=(OSError,)), may_fail=True)
    def wrong() -> None:
        called.append("wrong")
        raise ValueError("never better")

    @flow.node(retry=3, may_fail=True)
    def refused() -> Fail:
        called.append("refused")
        return Fail("the sky is closed")

    run = engine.start(flow)
    engine.work(until=run)
    assert run.result(patient) == 4
    assert (called.count("patient"), called.count("wrong"), called.count("refused")) == (4, 1, 1)
    reasons = {task.node: task.reason or "" for task in run.tasks()}
    assert "the sky is closed" in reasons["refused"]
    assert "never better" in reasons["wrong"]


def test_functions_nodes_and_workflows_are_tested_without_a_server() -> None:
    """A function is itself; ``call`` gives one node a context; ``engine`` is the real one, with months in no time."""
    watch = Workflow("watch", stays_open=True)

    @watch.handler(entry=True)
    def look(ctx: Context, message: int) -> None:
        ctx.put(message, key="last")
        if message == 3:
            ctx.complete(message)
        else:
            ctx.send(look, message + 1, delay=timedelta(days=30))

    @watch.node
    def double(value: int = 2) -> int:
        return 2 * value

    assert double(4) == 8
    called = testing.call(look, 1, records={"last": 0})
    assert called.records == [testing.Record(1, "last")]
    assert called.sent == [testing.Sent("look", 2, delay=30 * 86400)]
    with testing.engine(seed=1) as virtual:
        run = virtual.start(watch, 1)
        virtual.advance("59d")
        assert run.state is RunState.active
        virtual.advance("2d")
        assert run.result() == 3


def test_a_workflow_starts_at_each_tick_and_a_handler_polls(engine: Engine) -> None:
    """``Cron`` in its zone, ``Every`` for a handler until its run has ended; however long it was, each tick once."""
    del engine  # here it is the current directory that counts
    nightly = Workflow("nightly", on=Cron("0 6 * * *", timezone="Europe/Rome"))
    nightly.node(lambda message: message["scheduled_at"], name="when")
    poll = Workflow("poll", stays_open=True)

    @poll.handler(on=Every("5m"))
    def look(ctx: Context, message: Tick) -> None:
        ctx.put(message.scheduled_at.isoformat())
        if len(ctx.records()) == 3:
            ctx.complete()

    with testing.engine(seed=1) as virtual:
        virtual.add(nightly)
        run = virtual.start(poll)
        virtual.advance("3d")
        assert len(run.records(look)) == 3
        hours = {str(each.result("when"))[11:] for each in virtual.runs(workflow="nightly")}
        assert len(virtual.runs(workflow="nightly")) == 3
        assert hours <= {"05:00:00Z", "04:00:00Z"}


def test_workflows_and_runs_draw_themselves(engine: Engine) -> None:
    """In a notebook: as a picture, and as a page beside it."""
    flow = Workflow("drawn")
    flow.node(lambda: 1, name="one")
    assert "<svg" in flow._repr_svg_()
    assert "one" in flow._repr_html_()
    run = engine.run(flow)
    assert "<svg" in run._repr_svg_()
    assert run.id in run._repr_html_()


def test_handlers_send_start_map_and_keep_records(engine: Engine) -> None:
    """Entry, ``serial`` by field, fan-out with a join, another run whose end comes as a message, and the end."""
    order: list[str] = []
    other = Workflow("other")
    other.node(lambda message: message * 10, name="tenfold")
    flow = Workflow("incident", stays_open=True)

    @flow.node
    def terrain() -> str:
        return "hills"

    @flow.handler(entry=True)
    def begin(ctx: Context, message: list[int], terrain: str) -> None:
        ctx.put(terrain, key="ground")
        ctx.map(square, message, then=joined)

    @flow.handler
    def square(message: int) -> int:
        return message**2

    @flow.handler
    def joined(ctx: Context, message: list[int]) -> None:
        for number, value in enumerate(message):
            ctx.send(kept, {"tile": f"t{number % 2}", "value": value}, idempotency_key=f"k{number}")
            ctx.send(kept, {"tile": f"t{number % 2}", "value": value}, idempotency_key=f"k{number}")
        ctx.start(other, sum(message), then=ended)

    @flow.handler(serial="tile")
    def kept(ctx: Context, message: dict[str, Any]) -> None:
        order.append(f"{message['tile']}={message['value']}")
        ctx.put(message)

    @flow.handler
    def ended(ctx: Context, message: Ended) -> Snooze | None:
        if len(ctx.records(node=kept)) < 4:
            return Snooze(0.01)
        ctx.complete([message.state, message.result, ctx.get("ground", node=begin)])
        return None

    run = engine.start(flow, [1, 2, 3, 4])
    engine.work(until=run)
    assert run.result() == ["succeeded", 300, "hills"]
    assert [name for name in order if name.startswith("t0")] == ["t0=1", "t0=9"]
    assert [one["value"] for one in run.records(kept) if one["tile"] == "t1"] == [4, 16]


def test_only_handlers_take_messages(engine: Engine) -> None:
    """And ``to=`` starts one that is no entry."""
    flow = Workflow("messages", stays_open=True)

    @flow.node
    def once() -> None: ...

    @flow.handler
    def each(ctx: Context, message: int) -> None:
        ctx.complete(message)

    run = engine.start(flow, 3, to=each)
    with pytest.raises(BadInput, match="once"):
        run.send("once", 1)
    engine.work(until=run)
    assert run.result() == 3


def test_a_context_tells_who_and_where(engine: Engine) -> None:
    """Run, task, attempt, sender, directory; a task's id is the same in every attempt."""
    seen: list[tuple[str, int]] = []
    flow = Workflow("context", stays_open=True)

    @flow.handler(entry=True, retry=Retry(1, delay=0))
    def begin(ctx: Context, message: str) -> None:
        seen.append((ctx.task.id, ctx.attempt))
        ctx.log("begun", place=message)
        ctx.progress(1, 2, "half")
        assert ctx.dir.is_dir()
        assert not any(ctx.dir.iterdir())
        (ctx.dir / "mine").touch()
        assert not ctx.cancelled
        if ctx.attempt == 1:
            raise OSError("again")
        ctx.send(end, ctx.run.id)

    @flow.handler
    def end(ctx: Context, message: str) -> None:
        assert ctx.sender is not None
        ctx.cancel(f"{message == ctx.run.id}")

    run = engine.start(flow, "here")
    engine.work(until=run)
    assert (run.state, run.info.reason) == (RunState.cancelled, "True")
    assert [attempt for _, attempt in seen] == [1, 2]
    assert len({task for task, _ in seen}) == 1
    assert [line.text for line in run.log() if line.kind == "log"] == ["begun", "begun"]


def test_a_run_is_paused_resumed_retried_rerun_and_cancelled(engine: Engine) -> None:
    """A rerun takes over what lies before the node, with the code of today."""
    ready: list[bool] = []
    called: list[str] = []
    flow = Workflow("mended")

    @flow.node
    def before() -> int:
        called.append("before")
        return 2

    @flow.node
    def at(before: int) -> int:
        if not ready:
            raise ValueError("not yet")
        return before + 1

    run = engine.start(flow)
    run.pause("wait a little")
    engine.work(until="idle")
    assert "is paused, by python" in run.explain()
    run.resume()
    engine.work(until=run)
    assert run.state is RunState.failed
    ready.append(True)
    run.retry(at)
    engine.work(until=run)
    assert run.result() == 3
    again = run.rerun(at=at)
    engine.work(until=again)
    assert (again.result(), called) == (3, ["before"])
    cancelled = engine.start(flow)
    cancelled.cancel(reason="enough")
    assert cancelled.wait().state is RunState.cancelled
    done = engine.start(flow)
    done.complete({"by": "hand"})
    assert done.result() == {"by": "hand"}


def test_without_a_worker_a_result_says_so(engine: Engine) -> None:
    """It does not hang in silence."""
    flow = Workflow("alone")
    flow.node(lambda: 1, name="one")
    run = engine.start(flow)
    with pytest.raises(NotEnded, match="worker"):
        run.result(timeout="20s")


def test_versions_hold_a_structure_and_development_holds_none(engine: Engine) -> None:
    """The same version with another graph is refused with the difference; a body is not the graph."""

    def flow(version: str | None, *names: str) -> Workflow:
        made = Workflow("versions", version=version)
        for name in names:
            made.node(lambda: 1, name=name)
        return made

    engine.start(flow("1.0", "one"))
    engine.start(flow("1.0", "one"))
    with pytest.raises(Conflict, match="added two"):
        engine.start(flow("1.0", "one", "two"))
    engine.start(flow(None, "one"))
    engine.start(flow(None, "one", "two"))


def test_a_workflow_of_jobs_is_data(engine: Engine) -> None:
    """It goes to JSON and back, and needs no worker with its code."""
    flow = Workflow("data")
    flow.job("one", "echo {message.n} > n.txt", outputs="n.txt", image=None, retry=1, timeout="1m")
    again = Workflow.from_json(flow.to_json())
    assert again.to_json() == flow.to_json()
    engine.register(again)
    assert engine.run("data", {"n": 3}).state is RunState.succeeded


@pytest.mark.parametrize("duration", ["90s", "1m30s", "0.025h", timedelta(seconds=90), 90, 90.0])
def test_durations_are_words_or_values(duration: Any) -> None:
    """Everywhere the same."""
    flow = Workflow("durations")
    flow.node(lambda: 1, name="one", timeout=duration)
    assert flow.graph["one"].timeout == 90.0


def test_a_request_with_a_reply_waits_for_whoever_works(engine: Engine) -> None:
    """``start`` and ``result`` with a time-out; ``run`` is ``start`` and ``work``."""
    flow = Workflow("reply")
    flow.node(lambda message: message + 1, name="more")
    assert engine.run(flow, 1).result(timeout="10s") == 2
    begun = time.monotonic()
    with pytest.raises((NotEnded, TimeoutError)):
        engine.start(flow, 1).result(timeout=timedelta(seconds=0.2))
    assert time.monotonic() - begun < 60
