"""The engine whose time a test moves: what happens when, what is said where nothing can, and stubs."""

# ruff: noqa: D103 - nodes are read together, and their names say what they do

from __future__ import annotations

import os
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from heliostat import Context, Fail, Retry, RunFailed, Secret, Snooze, Workflow, testing
from heliostat.errors import BadInput, NotEnded, NotEndedInTime
from heliostat.run import EPOCH, RunState
from heliostat.task import TaskState

patrol = Workflow("patrol", stays_open=True)
seen: list[tuple[str, float]] = []


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    seen.clear()


@patrol.handler(retry=Retry(1, delay="10m", jitter=0))
def look(ctx: Context, message: str) -> None:
    seen.append((f"{message} {ctx.attempt}", ctx._around.clock.now() - EPOCH))
    if message == "cloudy" and ctx.attempt == 1:
        raise OSError("no light")
    if message == "daily":
        ctx.send(look, "daily", delay="24h")
    if message == "last":
        ctx.complete("over")


night = Workflow("night")


@night.node(retry=Retry(3, delay="10m", factor=2, jitter=0))
def flaky(ctx: Context) -> int:
    if ctx.attempt < 4:
        raise OSError("no light")
    return ctx.attempt


@night.node
def patient(ctx: Context, flaky: int) -> Snooze | int:
    return Snooze("30m") if ctx.attempt < 3 else flaky


survey = Workflow("survey")


@survey.node
def plate(message: str) -> Path:
    raise AssertionError("it reaches outside")


scan = survey.job("scan", "scan {plate}", outputs="scan.txt")


@survey.node
def stars(scan: Path) -> int:
    return len(scan.read_text("utf-8"))


def scanned(ctx: Context, message: str, plate: str) -> Path:
    (ctx.dir / "scan.txt").write_text(f"{message} {plate}", "utf-8")
    return ctx.dir / "scan.txt"


def test_time_goes_by_only_as_it_is_told() -> None:
    """What becomes due on the way is done at its time, in that order, and nothing beyond."""
    with testing.engine() as engine:
        run = engine.start(patrol)
        run.send(look, "late", delay="2h")
        run.send(look, "cloudy", delay="1h")
        run.send(look, "soon")
        assert seen == []
        engine.advance("1h")
        assert seen == [("soon 1", 0.0), ("cloudy 1", 3600.0)]
        engine.advance(timedelta(minutes=9))
        assert len(seen) == 2
        engine.advance(51 * 60)
        assert seen[2:] == [("cloudy 2", 4200.0), ("late 1", 7200.0)]
        assert engine.around.clock.now() == EPOCH + 7200.0


def test_a_run_fails_at_its_deadline() -> None:
    """Though nothing else would ever happen in it; a duration that is none is refused before there is a run."""
    with testing.engine() as engine:
        run = engine.start(patrol, deadline="6h")
        engine.advance("5h59m")
        assert run.state == "active"
        engine.advance("1m")
        assert (run.state, run.info.reason) == ("failed", "it had not ended by its deadline")
        with pytest.raises(BadInput, match="deadline: 'tomorrow' is no duration"):
            engine.start(patrol, deadline="tomorrow")
        assert len(engine.runs()) == 1


def test_p11_a_month_of_messages_takes_a_moment() -> None:
    """Whatever is waited for on the way."""
    began = time.process_time()
    with testing.engine() as engine:
        engine.start(patrol, "daily", to=look)
        engine.advance("30d")
    assert [at for _, at in seen] == [day * 86400.0 for day in range(31)]
    assert time.process_time() - began < 5


def test_work_leaps_to_the_end() -> None:
    """Over retries and snoozes, until idle, until a run is over, or until a condition holds."""
    with testing.engine() as engine:
        run = engine.run(night)
        assert (run.result(), run.result(flaky)) == (4, 4)
        assert run.info.ended_at == EPOCH + (10 + 20 + 40 + 30 + 30) * 60
        another = engine.start(night)
        engine.work(until=lambda: another.tasks()[0].count == 2)
        assert another.state is RunState.active
        engine.work()
        assert another.state is RunState.succeeded


def test_where_nothing_more_can_happen_it_is_said() -> None:
    """Instead of waiting for ever for a message."""
    with testing.engine() as engine:
        run = engine.start(patrol)
        for ask in (lambda: engine.work(until=run), run.wait, run.result):
            with pytest.raises(NotEnded, match="is active and stays open: it waits for a message"):
                ask()
        with pytest.raises(TimeoutError, match="nothing more happens"):
            engine.work(until=lambda: False)
        engine.work(until="idle")


def test_a_wait_takes_virtual_time() -> None:
    """The engine works meanwhile; after a time-out so much time has gone by."""
    with testing.engine() as engine:
        run = engine.start(night)
        with pytest.raises(NotEndedInTime, match=r"has not ended in 900 s: .*flaky: retried in 15 min after"):
            run.result(timeout="15m")
        assert engine.around.clock.now() == EPOCH + 900
        assert run.result(flaky, timeout="6h") == 4
        assert engine.around.clock.now() == EPOCH + 70 * 60
        assert run.result(timeout="6h") == 4
        assert run.wait().state is RunState.succeeded


def test_the_same_seed_is_the_same_history() -> None:
    """Ids and jitter; another seed draws others."""

    def told(seed: int) -> list[tuple[str, float | None]]:
        flow = Workflow("flow", retry=Retry(1, delay="1h"))
        flow.node(lambda ctx: None if ctx.attempt > 1 else Fail, name="odd")
        with testing.engine(seed) as engine:
            runs = [engine.start(flow), engine.start(night)]
            engine.work()
            return [(run.id, run.info.ended_at) for run in runs]

    assert told(1) == told(1)
    assert told(1) != told(2)


def test_functions_run_in_the_thread_of_the_test() -> None:
    """So a debugger stops in them, and what pytest raises comes through."""
    flow, threads = Workflow("flow"), []
    flow.node(lambda: threads.append(threading.current_thread().name), name="here")
    skipping = Workflow("skipping")
    skipping.node(lambda: pytest.skip("not today"), name="skip")
    with testing.engine() as engine:
        engine.run(flow)
        for _ in range(2):
            with pytest.raises(pytest.skip.Exception):
                engine.run(skipping)
    assert threads == [threading.current_thread().name]


def test_files_go_with_the_engine() -> None:
    """And are there until then."""
    with testing.engine(stubs={"plate": lambda: "p", "scan": scanned}) as engine:
        run = engine.run(survey, "m")
        (kept,) = run.artifacts()
        with engine.around.repository.open(kept) as file:
            assert file.read() == b"m p"
        directory = engine.around.directory
        assert directory.is_dir()
    assert not directory.exists()


def test_a_stub_takes_the_place_of_a_job_or_a_node() -> None:
    """By the name of the node, or of workflow and node; it may take the message, and be set at any time."""
    with testing.engine() as engine:
        engine.stubs["survey.plate"] = lambda message: f"plate of {message}"
        engine.stubs["scan"] = scanned
        run = engine.run(survey, "m")
        assert run.result() == len("m plate of m")
        assert run.graph.id == survey.graph.id

        def broken() -> None:
            raise RuntimeError("exit code 1")

        engine.stubs["scan"] = broken
        with pytest.raises(RunFailed, match="scan: RuntimeError: exit code 1"):
            engine.run(survey, "m").result()


def test_a_job_without_a_stub_is_refused() -> None:
    """By the call that would have run it, with what is to be done; the run does not fail of it, and can go on."""
    with testing.engine(stubs={"plate": lambda: "p", "survey.scann": scanned}) as engine:
        run = engine.start(survey, "m")
        with pytest.raises(BadInput, match=r"scan is a job .*: engine.stubs\['scan'\] = function; "):
            engine.work()
        assert run.state is RunState.active
        engine.stubs["scan"] = scanned
        engine.stubs.pop("survey.scann")
        engine.advance("1h")
        assert run.result() == len("m p")


@pytest.mark.parametrize(
    ("stubs", "sentence"),
    [
        ({"flakey": len}, r"stubs: no workflow here has a node 'flakey'; did you mean 'flaky'\?"),
        ({"night.flakey": len}, "no workflow here has a node 'night.flakey'; did you mean 'night.flaky'"),
        ({"flaky": 3}, "stubs: flaky wants a function in its place, not 3"),
        ({"patient": lambda flakey: 1}, "stubs: patient waits for nothing called 'flakey'; did you mean 'flaky'"),
    ],
)
def test_a_wrong_stub_is_said(stubs: dict[str, Any], sentence: str) -> None:
    """At the latest when the engine is closed: what it was meant for was really called."""

    def use() -> None:
        with testing.engine(stubs=stubs) as engine:
            engine.run(night)

    with pytest.raises(BadInput, match=sentence):
        use()
    with testing.engine(stubs={"elsewhere.node": len}) as engine:
        engine.run(night)


def test_what_a_test_raises_is_not_covered_up() -> None:
    """By what is wrong with its stubs."""

    def use() -> None:
        with testing.engine(stubs={"nobody": len}):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()


def test_messages_without_delay_are_handled_in_one_go() -> None:
    """Also those with a delay of nothing."""
    flow = Workflow("flow", stays_open=True)

    @flow.handler(entry=True)
    def count(ctx: Context, message: int) -> None:
        if message:
            ctx.send(count, message - 1, delay=0 if message % 2 else None)
        else:
            ctx.complete("landed")

    with testing.engine() as engine:
        run = engine.start(flow, 5)
        engine.advance(0)
        assert run.result() == "landed"


def test_the_end_of_a_large_run_leaves_nothing_open() -> None:
    """What the commit that ended it did not cancel is swept at once."""
    with testing.engine() as engine:
        run = engine.start(patrol)
        for number in range(1500):
            run.send(look, f"{number}", delay="1h")
        run.send(look, "last")
        engine.advance(0)
        assert run.result() == "over"
        assert {task.state for task in run.tasks()} == {TaskState.cancelled, TaskState.succeeded}


confided = Workflow("confided")


@confided.node(env={"TOKEN": Secret("token")})
def fetch(ctx: Context) -> int:
    return len(os.environ["TOKEN"]) + len(ctx.secret("token"))


@confided.node(requires=("no-such-package==1",))
def burn(fetch: int) -> int:
    import no_such_package  # type: ignore[import-not-found]

    return int(no_such_package.burn(fetch))


@confided.node(requires=("pytest",))
def last(burn: int) -> str:
    return f"{pytest.__name__} {burn}"


def test_a_function_with_variables_secrets_and_packages_is_called_with_what_the_test_has() -> None:
    """Variables are set for it, secrets are given, and what is not installed can be stubbed."""
    with testing.engine(stubs={"burn": lambda fetch: fetch + 1}, secrets={"token": "abc"}) as engine:
        assert engine.run(confided).result() == "pytest 7"
        assert "TOKEN" not in os.environ
        engine.secrets["token"] = "abcd"
        assert engine.run(confided).result() == "pytest 9"


def test_a_package_that_the_test_does_not_have_says_what_to_do() -> None:
    """Install it, or give a function in its place."""
    with testing.engine(secrets={"token": "abc"}) as engine:
        reason = engine.run(confided).info.reason
    assert reason == (
        "burn: it requires no-such-package==1, and a test has its own packages: No module named 'no_such_package'; "
        "install it where the tests run, or give a function in its place: engine.stubs['burn'] = function"
    )


def test_a_secret_that_a_test_does_not_give_says_so() -> None:
    """And a stub in the place of a node needs none."""
    with testing.engine() as engine:
        reason = engine.run(confided).info.reason or ""
        assert reason.startswith("fetch: secret 'token' is not there; give it with secrets={'token': …}")
        engine.stubs |= {"fetch": lambda: 1, "burn": lambda: 2}
        assert engine.run(confided).result() == "pytest 2"
