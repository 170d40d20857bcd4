"""Random graphs under simulation: every node is as a few lines of plain Python say that it should be.

The evaluation here knows nothing of counting, arrivals or transactions: it goes through the nodes in the order in which
they were defined and asks each what became of what it waits for.
"""

from __future__ import annotations

import inspect
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from heliostat import Skip, Workflow
from heliostat.engine import Engine
from heliostat.errors import NotEnded
from heliostat.run import Run
from heliostat.stores.memory import Tables
from heliostat.testing.cast import Cast
from heliostat.testing.simulation import Play
from heliostat.workflow import Branch

pytestmark = pytest.mark.slow

GRAPHS, PART = 400, 2  #: one of so many graphs is tried; with which it begins is another one each time
NONE = "default"  #: the default of every parameter that has one


@dataclass
class Plan:
    """A node as it is drawn: what it reads, waits for and goes over, and what it does when it is called."""

    name: str
    reads: dict[str, bool] = field(default_factory=dict)  # the node, and whether the parameter has a default
    waits: dict[str, str | None] = field(default_factory=dict)  # the node, and perhaps its choice
    over: str | None = None
    on: str = "succeeded"
    does: str = "value"

    def call(self, item: int | None, given: dict[str, Any]) -> Any:
        """What its function does, the same each time."""
        what = self.does if item is None else ("value", self.does)[item % 2]
        if what == "fail":
            raise ValueError(self.name)
        if what == "skip":
            return Skip()
        if what == "list":
            return [f"{self.name}{number}" for number in range(len(self.name + repr(given)) % 4)]
        return (
            what
            if what in ("left", "right")
            else f"{self.name}({', '.join(f'{k}={v}' for k, v in sorted(given.items()))})"
        )


@dataclass
class Fate:
    """What became of a node: its state and value, or those of its items."""

    state: str = "skipped"
    value: Any = None
    items: list[Fate] | None = None

    @property
    def values(self) -> Any:
        """What another node reads of it."""
        return self.value if self.items is None else [item.value for item in self.items]


def draw(chance: random.Random) -> list[Plan]:
    """A graph in which every failure is caught."""
    plans: list[Plan] = []
    for number in range(chance.randint(3, 9)):
        plan, before = Plan(f"n{number}"), [plan.name for plan in plans]
        lists = [plan.name for plan in plans if plan.does == "list" or plan.over]
        if lists and chance.random() < 0.4:
            plan.over = chance.choice(lists)
        for name in chance.sample(before, min(len(before), chance.choice((0, 1, 1, 2, 3)))):
            if name == plan.over:
                continue
            if chance.random() < 0.6:
                plan.reads[name] = chance.random() < 0.4
            else:
                decides = next(p for p in plans if p.name == name).does in ("left", "right")
                plan.waits[name] = chance.choice(("left", "right", None)) if decides else None
        if plan.waits and chance.random() < 0.4:
            plan.on = chance.choice(("failed", "ended"))
            plan.waits = dict.fromkeys(plan.waits)
        plan.does = chance.choice(("value", "value", "value", "skip", "fail"))
        if plan.over is None and chance.random() < 0.5:
            plan.does = chance.choice(("list", "left", "right"))
        plans.append(plan)
    return plans


def build(plans: list[Plan]) -> Workflow:
    """The workflow that a graph stands for."""
    workflow = Workflow("drawn", rescues=1000, may_fail=True)
    for plan in plans:
        after = [Branch(name, choice) if choice else name for name, choice in plan.waits.items()]
        options: dict[str, Any] = {"after": after} if after else {}
        if plan.over:
            options["map"] = {"item": plan.over}
        workflow.node(_function(plan), name=plan.name, on=plan.on, **options)
    return workflow


def _function(plan: Plan) -> Callable[..., Any]:
    def function(**given: Any) -> Any:
        ctx = given.pop("ctx")
        return plan.call(ctx.task.item, given)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("ctx", keyword)]
    parameters += [
        inspect.Parameter(name, keyword, default=NONE if optional else inspect.Parameter.empty)
        for name, optional in plan.reads.items()
    ]
    if plan.over:
        parameters.append(inspect.Parameter("item", keyword))
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return function


def evaluate(plans: list[Plan]) -> dict[str, Fate]:
    """What becomes of every node, in plain Python."""
    fates: dict[str, Fate] = {}
    for plan in plans:
        fate = fates[plan.name] = Fate()
        reads = [_met(fates[name], "succeeded", None, optional=optional) for name, optional in plan.reads.items()]
        waits = [_met(fates[name], plan.on, choice, optional=False) for name, choice in plan.waits.items()]
        over = [] if plan.over is None else [_met(fates[plan.over], "succeeded", None, optional=False)]
        if not all(reads + waits + over):
            continue
        given = {name: _given(fates[name], optional=optional) for name, optional in plan.reads.items()}
        if plan.over is None:
            fates[plan.name] = _called(plan, None, given)
        else:
            fate.state = "succeeded"
            fate.items = [
                _called(plan, place, given | {"item": value}) for place, value in enumerate(fates[plan.over].values)
            ]
    return fates


def _met(fate: Fate, on: str, choice: str | None, *, optional: bool) -> bool:
    failed = fate.state == "failed" if fate.items is None else any(item.state == "failed" for item in fate.items)
    if on != "succeeded":
        return on == "ended" or failed
    return optional or (fate.state == "succeeded" and choice in (None, fate.value))


def _given(fate: Fate, *, optional: bool) -> Any:
    return fate.values if fate.state == "succeeded" or not optional else NONE


def _called(plan: Plan, item: int | None, given: dict[str, Any]) -> Fate:
    try:
        answer = plan.call(item, given)
    except ValueError:
        return Fate("failed")
    return Fate() if isinstance(answer, Skip) else Fate("succeeded", answer)


def found(tables: Tables, plans: list[Plan]) -> dict[str, Any]:
    """What the rows say of every node: states and results, of a list in the order of its items."""
    [run] = tables.runs.values()
    return came(tables, run, plans)


def came(tables: Tables, run: Run, plans: list[Plan]) -> dict[str, Any]:
    """What they say of the nodes of one run."""
    import json

    assert run.state == "succeeded", run.reason
    seen: dict[str, Any] = {}
    for plan in plans:
        rows = sorted((t for t in tables.tasks[run.id].values() if t.node == plan.name), key=lambda t: t.item or 0)
        states = [(str(row.state), json.loads(row.result or "null")) for row in rows if row.width != 0]
        whole = plan.over is None or (rows and rows[0].state == "skipped" and rows[0].item is None)
        seen[plan.name] = states[0] if whole and states else states
    return seen


def wanted(fates: dict[str, Fate]) -> dict[str, Any]:
    """The same, of the evaluation."""
    return {
        name: (fate.state, fate.value) if fate.items is None else [(item.state, item.value) for item in fate.items]
        for name, fate in fates.items()
    }


def some(first: int, *, every_point: bool) -> range:
    """Seeds of fifty: each, or one of a few."""
    part = 1 if every_point else PART
    return range(first + random.randrange(part), first + 50, part)


@pytest.mark.parametrize("first", range(0, GRAPHS, 50))
def test_random_workflows_end_as_plain_python_says(first: int, tmp_path: Path, *, every_point: bool) -> None:
    """Each graph under its own seed, with all that goes wrong there."""
    for seed in some(first, every_point=every_point):
        plans = draw(random.Random(seed))
        workflow, expected = build(plans), wanted(evaluate(plans))

        def begin(engine: Any, workflow: Workflow = workflow) -> None:
            engine.start(workflow, idempotency_key="drawn")

        stage = Play(Cast((workflow,)), begin, tmp_path).run(seed)
        story = f"seed {seed}: {stage.failure}\n{plans}\n" + "\n".join(stage.history[-60:])
        assert stage.failure is None, story
        assert found(stage.tables, plans) == expected, story


@pytest.mark.parametrize("first", range(0, GRAPHS, 50))
def test_a_rerun_of_a_random_workflow_ends_as_plain_python_says(
    first: int, tmp_path: Path, *, every_point: bool
) -> None:
    """Wherever it begins, with all that goes wrong there: what was taken over and what ran anew fit together."""
    for seed in some(first, every_point=every_point):
        chance = random.Random(seed)
        plans = draw(chance)
        workflow, expected, at = build(plans), wanted(evaluate(plans)), chance.choice(plans).name

        def begin(engine: Engine, workflow: Workflow = workflow, at: str = at) -> None:
            run = engine.start(workflow, idempotency_key="drawn")
            while not run.over:
                with suppress(NotEnded):  # its workers are lost, and others come
                    run.wait()
                engine.around.clock.wait(threading.Event(), 1.0)
            run.rerun(at, idempotency_key="again")

        stage = Play(Cast((workflow,)), begin, tmp_path).run(seed)
        story = f"seed {seed} at {at}: {stage.failure}\n{plans}\n" + "\n".join(stage.history[-60:])
        assert stage.failure is None, story
        runs = sorted(stage.tables.runs.values(), key=lambda run: run.id)
        assert len(runs) == 2, story
        for run in runs:
            assert came(stage.tables, run, plans) == expected, story
