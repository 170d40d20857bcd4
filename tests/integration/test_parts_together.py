"""Where parts of the engine meet that were each tried alone: triggers, runs within runs, reruns, data, stubs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from heliostat import Context, Every, Secret, Tick, Workflow, testing
from heliostat.errors import BadInput, DefinitionError
from heliostat.footprint import footprints


@dataclass
class Region:
    """A message that no tick fits."""

    west: float


def within(part: Workflow, **options: object) -> Workflow:
    """A workflow that has another one as its only node."""
    flow = Workflow("outer", **options)  # type: ignore[arg-type]
    flow.subworkflow("part", part)
    return flow


def inner(function: Callable[..., object], **options: object) -> Workflow:
    """A workflow of one node."""
    flow = Workflow("inner")
    flow.node(function, name="only", **options)  # type: ignore[call-overload]
    return flow


def west(message: Region) -> float:
    """Needs a region."""
    return message.west


def one() -> int:
    """Gives a number."""
    return 1


def two() -> int:
    """Gives another one."""
    return 2


def test_a_node_that_is_a_workflow_stands_on_the_code_of_its_parts() -> None:
    """So a run that is watched begins there again when they are saved."""
    before, after = (footprints(within(inner(function))) for function in (one, two))
    assert before["part"] != after["part"]
    assert before == footprints(within(inner(one)))


def test_a_run_that_polled_may_be_run_anew() -> None:
    """Nobody has sent its ticks, and the new run has its own."""
    flow = Workflow("polled", stays_open=True)
    flow.node(one, name="a")
    flow.node(lambda a: a + 1, name="b")

    @flow.handler(on=Every("5m"))
    def look(ctx: Context, message: Tick) -> None:
        """Is called every five minutes."""

    with testing.engine() as engine:
        run = engine.start(flow)
        engine.advance("12m")
        run.complete(3)
        again = run.rerun(at="b")
        engine.advance("12m")
        assert [task.state for task in again.tasks(node="look")] == ["succeeded", "succeeded", "waiting"]
        assert again.result("b") == 2


def test_an_unknown_queue_of_a_part_is_refused_as_any_other() -> None:
    """At the start, and where a run is run anew; nothing is left behind."""
    flow = within(inner(one, queue="elsewhere"))
    with testing.engine() as engine:
        run = engine.run(flow)
        engine.around = replace(engine.around, queues=frozenset({"default"}))
        for begin in (lambda: engine.start(flow), lambda: run.rerun(workflow=flow)):
            with pytest.raises(BadInput, match="node only: there is no queue 'elsewhere'"):
                begin()
        assert len(engine.runs(flow)) == 1


def test_a_part_that_no_tick_fits_is_refused_with_its_workflow() -> None:
    """And not when the first tick has come."""
    with testing.engine() as engine, pytest.raises(DefinitionError, match=r"part: message\.west: field required"):
        engine.add(within(inner(west), on=Every("1h")))


def test_a_message_that_no_longer_fits_a_part_is_refused_before_the_rerun() -> None:
    """As at the start of a run."""
    with testing.engine() as engine:
        run = engine.run(within(inner(one)), {"east": 1})
        with pytest.raises(BadInput, match="part: message"):
            run.rerun(workflow=within(inner(west)))
        assert len(engine.runs("outer")) == 1


def test_what_the_json_form_cannot_say_is_named() -> None:
    """A secret among the variables of a job, and what starts a workflow."""
    flow = Workflow("w")
    flow.job("j", "echo $T", env={"T": Secret("token")})
    with pytest.raises(BadInput, match="workflow w: the env= of j names a secret"):
        flow.to_json()
    timed = Workflow("t", on=Every("1h"))
    timed.job("j", "echo")
    with pytest.raises(BadInput, match="workflow t: every 1h starts it"):
        timed.to_json()


def test_a_stub_for_a_review_is_refused_with_what_is_right() -> None:
    """A person decides, also in a test."""
    flow = Workflow("asks")
    flow.review("ask", choices=("yes", "no"))
    with testing.engine() as engine:
        engine.stubs["ask"] = lambda: "yes"
        with pytest.raises(BadInput, match=r"ask is a review; decide it as a person would: run\.decide"):
            engine.run(flow)
        del engine.stubs["ask"]


def test_a_branch_that_was_not_chosen_says_what_was() -> None:
    """And not all that the decision has to say."""
    flow = Workflow("asks")
    ask = flow.review("ask", choices=("yes", "no"))
    flow.node(one, name="on", after=ask["no"])
    with testing.engine() as engine:
        run = engine.start(flow)
        engine.work()
        run.decide(ask, "yes")
        engine.work()
        [task] = run.tasks(node="on")
        assert run.explain(task.number).endswith("skipped: ask gave \"yes\", not 'no'")
