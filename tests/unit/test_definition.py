"""Workflows as data: what is written reads back the same, and what is wrong is refused by its path."""

# ruff: noqa: E501 - each sentence stands on one line, beside what is refused with it

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heliostat
from heliostat import Resources, Retry, Workflow
from heliostat.errors import BadInput, Conflict, NotFound

SURVEY: dict[str, Any] = {
    "name": "survey",
    "version": "1.0",
    "nodes": [
        {"name": "crop", "job": "crop {message.tile} out.tif", "outputs": "out.tif", "retry": 2, "timeout": 600.0},
        {"name": "approve", "review": ["keep", "discard"], "after": "crop", "deadline": 7200.0, "otherwise": "discard"},
        {"name": "archive", "job": ["archive", "{crop}"], "after": {"node": "approve", "choice": "keep"}},
    ],
}


def with_node(**fields: object) -> dict[str, Any]:
    """The survey, with one more node."""
    return SURVEY | {"nodes": [*SURVEY["nodes"], fields]}


def test_the_json_form_says_what_an_author_would() -> None:
    """The same as the calls of the builder, and written again the same."""
    flow = Workflow("survey", version="1.0")
    crop = flow.job("crop", "crop {message.tile} out.tif", outputs="out.tif", retry=2, timeout="10m")
    approve = flow.review("approve", choices=("keep", "discard"), after=crop, deadline="2h", otherwise="discard")
    flow.job("archive", ["archive", "{crop}"], after=approve["keep"])
    assert flow.to_json() == SURVEY
    assert Workflow.from_json(SURVEY).graph.nodes == flow.graph.nodes
    assert Workflow.from_json(SURVEY).graph.fingerprint == flow.graph.fingerprint


@st.composite
def flows(draw: st.DrawFn) -> Workflow:
    """A workflow of jobs and reviews, with edges and policies of every kind."""
    flow = Workflow("any", version=draw(st.none() | st.just("2")), stays_open=draw(st.booleans()))
    reviews: dict[str, tuple[str, ...]] = {}
    for number in range(draw(st.integers(1, 6))):
        name, before = f"n{number}", list(flow.graph)
        some = st.lists(st.sampled_from([node.name for node in before]), max_size=3, unique=True)
        named = draw(some) if before else []
        after: list[Any] = [flow_branch(draw, up, reviews) for up in (draw(some) if before else [])]
        lists = [node.name for node in before if node.review is None]
        mapped = {"item": draw(st.sampled_from(lists))} if lists and draw(st.integers(0, 3)) == 0 else {}
        options: dict[str, Any] = {"after": after} if after else {}
        options |= {"map": mapped} if mapped else {}
        options |= {"on": draw(st.sampled_from(["succeeded", "failed", "ended"]))} if after and not named else {}
        options |= draw(st.fixed_dictionaries({}, optional={"priority": st.integers(-9, 9), "queue": st.just("far")}))
        if draw(st.booleans()):
            reviews[name] = ("yes", "no")
            inputs = {f"as_{up}": up for up in named}
            flow.review(name, choices=reviews[name], **options, **({"inputs": inputs} if inputs else {}))
            continue
        words = [f"{{{up}}}" for up in named] + ["{item}"] * bool(mapped) + draw(st.just([]) | st.just(["{input}"]))
        extra: dict[str, Any] = draw(st.fixed_dictionaries({}, optional={
            "retry": st.builds(Retry, st.integers(0, 3), st.floats(0, 9)), "limit": st.integers(1, 5),
            "resources": st.builds(Resources, st.integers(1, 4)), "timeout": st.floats(1, 99), "rescues": st.integers(0, 5),
            "outputs": st.just("*.tif") | st.just({"a": "b"}), "env": st.just({"A": "é"}), "may_fail": st.booleans(),
        }))  # fmt: skip
        flow.job(name, " ".join(["do", *words]) if draw(st.booleans()) else ["do", *words], **options, **extra)
    return flow


def flow_branch(draw: st.DrawFn, up: str, reviews: dict[str, tuple[str, ...]]) -> object:
    """A node to wait for, or one choice of it."""
    from heliostat.workflow import Branch

    return Branch(up, "yes") if up in reviews and draw(st.booleans()) else up


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_round_trip_gives_the_same_graph(data: st.DataObject) -> None:
    """Structure, fingerprint and policies, over real JSON text."""
    try:
        flow = data.draw(flows())
    except heliostat.errors.DefinitionError:
        return  # what no author could define
    found = Workflow.from_json(json.loads(json.dumps(flow.to_json())))
    assert found.graph.nodes == flow.graph.nodes
    assert (found.graph.id, found.graph.fingerprint) == (flow.graph.id, flow.graph.fingerprint)
    assert found.graph.data


def test_functions_are_no_data() -> None:
    """Neither as nodes nor as what gives a job its command; the sentence names the node."""
    flow = Workflow("night")
    flow.node(lambda: 1, name="look")
    with pytest.raises(BadInput, match="workflow night: look is a function, and only jobs and reviews can be written"):
        flow.to_json()
    flow = Workflow("night")
    flow.job("look", lambda: ["true"])
    with pytest.raises(BadInput, match="look is a command that a function gives"):
        flow.to_json()


def test_a_workflow_from_json_that_gets_a_function_needs_its_code_again() -> None:
    """It is no data any more."""
    flow = Workflow.from_json(SURVEY)
    flow.node(lambda: 1, name="look")
    assert not flow.graph.data


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (None, "workflow: an object is wanted, not None"),
        ([], "workflow: an object is wanted, not []"),
        ({"name": "a"}, "workflow.nodes: a list of one or more nodes is wanted, not None"),
        ({"name": "a", "nodes": {}}, "workflow.nodes: a list of one or more nodes is wanted, not {}"),
        (SURVEY | {"name": 3}, "workflow.name: a name is wanted, not 3"),
        (SURVEY | {"name": "a b"}, "workflow: 'a b' is no name for a workflow; use letters, digits, _ . -"),
        (SURVEY | {"verson": "1"}, "workflow: there is no field 'verson'; did you mean 'version'?"),
        (SURVEY | {"version": 1}, "workflow: workflow survey: a version is a string such as \"1.0\", not 1"),
        (SURVEY | {"on_failure": []}, "workflow: workflow survey: on_failure is \"stop\" or \"finish\", not []"),
        (SURVEY | {"stays_open": 1}, "workflow: workflow survey: stays_open is True or False, not 1"),
        (with_node(name="x"), 'workflow.nodes[3]: a node has "job": its command, or "review": its choices, not {\'name\': \'x\'}'),
        (with_node(name="x", job="a", review=["b"]), 'workflow.nodes[3]: a node has "job": its command, or "review": its choices; not both'),
        (with_node(job="a"), "workflow.nodes[3].name: a name is wanted, not None"),
        (with_node(name="crop", job="a"), "workflow.nodes[3]: node 'crop' is defined twice in one workflow; give one of them another name="),
        (with_node(name="x", job="a", limt=3), "workflow.nodes[3]: there is no field 'limt'; did you mean 'limit'?"),
        (with_node(name="x", review=["b"], retry=3), "workflow.nodes[3]: there is no field 'retry'"),
        (with_node(name="x", job={"a": 1}), "workflow.nodes[3].job: a command, or a list of its words, is wanted, not {'a': 1}"),
        (with_node(name="x", job=["a", 1]), "workflow.nodes[3].job: a command, or a list of its words, is wanted, not ['a', 1]"),
        (with_node(name="x", job="echo '{crop}'"), "workflow.nodes[3]: job x: command, column 7: {crop} stands inside quotes; remove them, each placeholder is quoted by itself"),
        (with_node(name="x", job="a", outputs="/etc/passwd"), "workflow.nodes[3]: job x: outputs: '/etc/passwd' leads out of the job's directory; write a path relative to it"),
        (with_node(name="x", job="a", outputs=[1]), "workflow.nodes[3].outputs: an object of strings is wanted, not [1]"),
        (with_node(name="x", job="a", env={"A": 1}), "workflow.nodes[3].env: an object of strings is wanted, not {'A': 1}"),
        (with_node(name="x", job="a", after="x"), "workflow.nodes[3]: job x: waits for 'x', which is no node before it; there is crop, approve, archive"),
        (with_node(name="x", job="a", after=[["y"]]), "workflow.nodes[3].after[0]: an object is wanted, not ['y']"),
        (with_node(name="x", job="a", after={"node": "approve", "choice": "kept"}), "workflow.nodes[3].after[0].choice: review approve has no choice 'kept'; did you mean 'keep'?"),
        (with_node(name="x", job="a", inputs=["crop"]), "workflow.nodes[3].inputs: an object of names and nodes is wanted, not ['crop']"),
        (with_node(name="x", job="a", queue=5), "workflow.nodes[3].queue: a string is wanted, not 5"),
        (with_node(name="x", job="a", on="later"), "workflow.nodes[3]: job x: on= is \"failed\" or \"ended\", not 'later'"),
        (with_node(name="x", job="a", limit=0), "workflow.nodes[3]: node x: limit=0 would never let it run; pause the node instead"),
        (with_node(name="x", job="a", priority=True), "workflow.nodes[3]: job x: priority= is a whole number, not True"),
        (with_node(name="x", job="a", retry={"limits": 1}), "workflow.nodes[3].retry: there is no field 'limits'; did you mean 'limit'?"),
        (with_node(name="x", job="a", retry={"on": "OSError"}), "workflow.nodes[3].retry.on: a list of strings is wanted, not 'OSError'"),
        (with_node(name="x", job="a", retry="often"), "workflow.nodes[3].retry: an object is wanted, not 'often'"),
        (with_node(name="x", job="a", resources={"cores": "4"}), "workflow.nodes[3]: resources: cores is a whole number from 1, not '4'"),
        (with_node(name="x", job="a", timeout="soon"), "workflow.nodes[3]: job x: timeout: 'soon' is no duration; write \"90s\", \"10m\", \"1h30m\" or a timedelta"),
        (with_node(name="x", review="yes"), "workflow.nodes[3].review: a list of strings is wanted, not 'yes'"),
        (with_node(name="x", review=["a"], otherwise=["a"]), "workflow.nodes[3].otherwise: a string is wanted, not ['a']"),
        (with_node(name="x", job="a\0"), "workflow.nodes[3].job: a NUL character cannot be stored; remove it or encode the bytes"),
        (with_node(name="x", job="a", priority=1 << 70), "workflow.nodes[3].priority: the integer needs more than 64 bits; send it as a string"),
        (with_node(name="x", job="a", timeout=float("nan")), "workflow.nodes[3].timeout: nan is not JSON; use None or a string"),
        (with_node(name="x", job="a" * (1 << 20)), "workflow: 1,048,930 bytes of JSON; the limit is 1,048,576, return a Path for more"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_by_its_path(data: object, sentence: str) -> None:
    """One sentence, and never anything else than BadInput."""
    with pytest.raises(BadInput) as refused:
        Workflow.from_json(data)
    assert str(refused.value) == sentence


def test_what_goes_round_or_too_deep_is_refused() -> None:
    """Python can hold lists that hold themselves."""
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(BadInput, match="nested more than 100 deep"):
        Workflow.from_json(SURVEY | {"nodes": loop})


def test_the_largest_definition_is_read_in_a_moment() -> None:
    """Each node once, and none of them looks at all the others."""
    nodes: list[dict[str, object]] = [{"name": "n0", "job": "a"}]
    nodes += [{"name": f"n{number}", "job": "a", "after": f"n{number - 1}"} for number in range(1, 3_000)]
    began = time.monotonic()
    assert len(Workflow.from_json({"name": "long", "nodes": nodes}).graph.nodes) == 3_000
    assert time.monotonic() - began < 3


def test_any_value_in_any_field_is_read_or_refused() -> None:
    """Whatever stands anywhere, it is BadInput or a workflow."""
    odd: list[object] = [None, True, 0, -1, 1.5, "", "x", "a b", [], ["x"], [None], {}, {"x": 1}, [[]], 1 << 40]
    for field in ("name", "job", "review", "outputs", "env", "after", "inputs", "map", "on", "queue", "resources"):
        for value in odd:
            refused_or_read(with_node(**({"name": "x", "job": "a"} | {field: value})))
    for field in ("limit", "priority", "retry", "timeout", "may_fail", "rescues", "role", "deadline", "otherwise"):
        for value in odd:
            refused_or_read(with_node(**{"name": "x", "job": "a", field: value}))
            refused_or_read(with_node(**{"name": "x", "review": ["a"], field: value}))
    for option in ("limit", "delay", "factor", "max_delay", "jitter", "on", "cores", "memory", "walltime", "gpus"):
        for value in odd:
            refused_or_read(with_node(name="x", job="a", retry={option: value}))
            refused_or_read(with_node(name="x", job="a", resources={option: value}))


def refused_or_read(data: object) -> None:
    """Nothing else may come of it."""
    try:
        flow = Workflow.from_json(data)
    except BadInput:
        return
    assert Workflow.from_json(flow.to_json()).graph == flow.graph


# the engine


def test_what_is_registered_is_started_by_its_name() -> None:
    """By the version, too; of several the last one registered counts, and a name that is none is told."""
    first = {"name": "talk", "nodes": [{"name": "ask", "review": ["yes"]}]}
    second = {"name": "talk", "nodes": [{"name": "ask", "review": ["no"]}]}
    with heliostat.open("memory://") as engine:
        one, two = engine.register(first), engine.register(second)
        assert engine.start("talk").graph.fingerprint == two.graph.fingerprint
        assert engine.start(one.graph.label).graph.fingerprint == one.graph.fingerprint
        engine.register(first)
        assert engine.start("talk").graph.fingerprint == one.graph.fingerprint
        with pytest.raises(NotFound, match="no workflow 'tolk' is kept as data; did you mean 'talk'"):
            engine.start("tolk")
        engine.register(SURVEY)
        with pytest.raises(Conflict, match="give it a new version"):
            engine.register(SURVEY | {"nodes": SURVEY["nodes"][:1]})


def test_a_workflow_with_its_code_is_not_started_by_its_name() -> None:
    """Its functions are not in the database; the sentence says what to name."""
    flow = Workflow("night")
    flow.node(lambda: 1, name="look")
    with heliostat.open("memory://") as engine:
        engine.add(flow)
        with pytest.raises(NotFound, match=r"night dev\+.... is not kept as data, so a name is not enough"):
            engine.start("night")
        with pytest.raises(BadInput, match="look is a function"):
            engine.register(flow)


def test_a_mended_command_runs_in_runs_that_are_there() -> None:
    """The structure is the same, so a retry takes the command of today."""

    def form(command: str) -> dict[str, Any]:
        return {"name": "say", "nodes": [{"name": "word", "job": command, "outputs": "word"}]}

    with heliostat.open("memory://") as engine:
        engine.register(form("false"))
        run = engine.run("say")
        assert run.state == "failed"
        engine.register(form("echo mended > word"))
        run.retry()
        engine.work(until=run)
        assert run.state == "succeeded"
