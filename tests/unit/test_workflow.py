"""The author's builder: what becomes an edge, and every sentence that refuses a mistake at its own line."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar, Literal

import pytest

from heliostat import Context, Resources, Retry, Workflow
from heliostat.errors import DefinitionError
from heliostat.graph import Arity, Edge, Graph, Kind, On
from heliostat.review import ReviewSpec


def nothing() -> None:
    """A node that waits for nothing."""


def one(a: int) -> int:
    """A node that waits for ``a``."""
    return a


def two(a: int, b: int = 2) -> int:
    """A node that can do without ``b``."""
    return a + b


def gets(message: int) -> None:
    """A node that takes the message."""


def gathers(**results: Any) -> None:
    """A node that takes whatever it waits for."""


def chooses() -> Literal["east", "west"]:
    """A node that decides."""
    return "east"


def flow(*names: str) -> Workflow:
    """A workflow with nodes that wait for nothing."""
    workflow = Workflow("w")
    for name in names:
        workflow.node(nothing, name=name)
    return workflow


def edges(workflow: Workflow, name: str) -> tuple[Edge, ...]:
    """What leads to a node."""
    return workflow.graph[name].edges


# what becomes of what


def test_a_decorated_function_is_still_itself() -> None:
    """It can be called, tested and read as before."""
    workflow = Workflow("w")

    @workflow.node
    def a() -> int:
        """One."""
        return 1

    @workflow.node(retry=3, timeout="10m")
    def b(a: int) -> int:
        """More."""
        return a + 1

    assert b(a()) == 2
    assert b.__doc__ == "More."
    assert b.__name__ == "b"
    assert repr(b) == "<node w.b>"
    assert repr(workflow) == f"<workflow {workflow.graph.label}: a, b>"


def test_to_name_a_node_is_to_wait_for_it() -> None:
    """A default makes it optional; a name that is no node keeps its default and is no edge."""
    workflow = flow("a", "b")
    workflow.node(two)
    assert edges(workflow, "two") == (Edge("a", "a"), Edge("b", "b", optional=True))
    other = flow("a")
    other.node(two)
    assert edges(other, "two") == (Edge("a", "a"),)


def test_after_waits_without_reading() -> None:
    """By handle, by name, one or many."""
    workflow = flow("a", "b")
    handle = workflow.node(nothing, name="c", after="a")
    workflow.node(nothing, name="d", after=[handle, "b"])
    assert edges(workflow, "c") == (Edge("a"),)
    assert edges(workflow, "d") == (Edge("c"), Edge("b"))


def test_after_and_a_parameter_are_one_edge() -> None:
    """What is said in after= holds for the parameter."""
    workflow = flow("a")
    workflow.node(one, after="a", on="ended")
    assert edges(workflow, "one") == (Edge("a", "a", On.ended),)


def test_inputs_say_which_node_a_parameter_means() -> None:
    """So one function is many nodes."""
    workflow = flow("x", "y")
    workflow.node(one, name="p", inputs={"a": "x"})
    workflow.node(one, name="q", inputs={"a": "y"})
    assert (edges(workflow, "p"), edges(workflow, "q")) == ((Edge("x", "a"),), (Edge("y", "a"),))


def test_a_map_goes_over_a_list_and_may_read_it_whole_too() -> None:
    """One parameter gets an item at a time."""
    workflow = flow("a", "x")
    workflow.node(two, map={"a": "x"}, inputs={"b": "x"})
    node = workflow.graph["two"]
    assert node.arity is Arity.each
    assert node.edges == (Edge("x", "a", each=True), Edge("x", "b", optional=True))


def test_a_branch_is_the_edge_of_one_string() -> None:
    """Of a node, or of a parameter that names it."""
    workflow = Workflow("w")
    choice = workflow.node(chooses)
    workflow.node(nothing, name="e", after=choice["east"])
    assert edges(workflow, "e") == (Edge("chooses", choice="east"),)


def test_star_results_get_all_of_after_by_name() -> None:
    """Each as a parameter of its own."""
    workflow = flow("a", "b")
    workflow.node(gathers, after=["a", "b"])
    assert edges(workflow, "gathers") == (Edge("a", "a"), Edge("b", "b"))


def test_star_results_get_what_inputs_names() -> None:
    """Under the name that is given there, and beside what they wait for otherwise."""
    workflow = flow("a", "b")
    workflow.node(gathers, inputs={"first": "a"}, after="b")
    assert edges(workflow, "gathers") == (Edge("a", "first"), Edge("b", "b"))


def test_without_after_on_means_after_the_runs_end() -> None:
    """It waits for no node, and no run begins with it."""
    workflow = flow("a")
    workflow.node(nothing, name="z", on="ended")
    assert workflow.graph["z"].epilogue is On.ended
    assert [node.name for node in workflow.graph.starts] == ["a"]


def test_a_handler_is_told_from_a_node() -> None:
    """It acts on each message; serial and entry are its own."""
    workflow = flow("a")

    @workflow.handler(entry=True, serial="tile")
    def look(ctx: Context, message: dict[str, str], a: None) -> None:
        """Looks."""

    node = workflow.graph["look"]
    assert (node.arity, node.entry, node.serial, node.takes_message) == (Arity.handler, True, "tile", True)
    assert node.edges == (Edge("a", "a"),)


def test_a_class_carries_its_options() -> None:
    """Those given where it is added win."""
    workflow = flow("a")

    class Work:
        """Does it."""

        queue = "slow"
        retry = 2
        after = "a"

        def run(self) -> None:
            """Runs."""

    workflow.node(Work, name="x")
    workflow.node(Work, name="y", queue="fast")
    assert [workflow.graph[name].queue for name in "xy"] == ["slow", "fast"]
    assert workflow.graph["x"].retry.limit == 2
    assert workflow.graph["x"].edges == (Edge("a"),)


def test_a_function_may_be_in_two_workflows() -> None:
    """By its handle or by itself."""
    first, second = Workflow("first"), Workflow("second")
    handle = first.node(nothing)
    second.node(handle, name="again")
    assert second.graph["again"].name == "again"


def test_variables_are_an_option_of_every_function() -> None:
    """Of nodes, handlers and classes; they are policy and no structure, and part of the graph's JSON form."""

    class Runs:
        env: ClassVar = {"TZ": "UTC"}

        def run(self) -> None:
            """Do nothing."""

    workflow, plain = Workflow("w"), Workflow("w")
    for flow, options in ((workflow, {"env": {"A": "b"}}), (plain, {})):
        flow.node(nothing, **options)  # type: ignore[call-overload]
        flow.handler(gets, **options)  # type: ignore[call-overload]
    assert workflow.graph.id == plain.graph.id
    workflow.node(Runs)
    assert [node.env for node in workflow.graph] == [{"A": "b"}, {"A": "b"}, {"TZ": "UTC"}]
    assert Graph.from_json(workflow.graph.to_json()) == workflow.graph
    assert "env" not in str(plain.graph.to_json())


@pytest.mark.parametrize(
    ("memory", "number"),
    [("512", 512), ("2KB", 2000), ("2 kiB", 2048), ("1.5GiB", 3 << 29), ("2M", 2_000_000), ("1Pi", 1 << 50)],
)
def test_memory_in_bytes(memory: str, number: int) -> None:
    """With an i it is binary."""
    assert Resources(memory=memory).memory_bytes == number
    assert Resources().memory_bytes is None


def test_options_of_the_workflow_are_defaults_of_its_nodes() -> None:
    """A node's own win."""
    workflow = Workflow("w", queue="slow", retry=2, timeout=timedelta(minutes=1), resources=Resources(cores=4))
    workflow.node(nothing, name="a")
    workflow.node(nothing, name="b", queue="fast", retry=Retry(5, on=(OSError,)), timeout="2s", limit=3, priority=-1)
    a, b = workflow.graph["a"], workflow.graph["b"]
    assert (a.queue, a.retry.limit, a.timeout, a.resources) == ("slow", 2, 60, Resources(cores=4))
    assert (b.queue, b.retry.limit, b.timeout, b.limit, b.priority) == ("fast", 5, 2, 3, -1)


def test_a_job_waits_for_what_its_command_names() -> None:
    """And takes the message if it names a part of it."""
    workflow = flow("terrain")
    workflow.job("spread", "simulate {terrain} --days {message.days}", outputs="fire.tif")
    node = workflow.graph["spread"]
    assert (node.kind, node.edges, node.takes_message) == (Kind.job, (Edge("terrain", "terrain"),), True)


# versions


def test_the_graph_has_a_json_form() -> None:
    """It comes back as it went, and needs no functions."""
    workflow = flow("a", "x")
    workflow.node(two, map={"a": "x"}, inputs={"b": "a"}, retry=Retry(2, "30s"), limit=2)
    workflow.handler(gets, serial=True, entry=True)
    workflow.job("spread", ["simulate", "{a}"], outputs={"map": "*.png"}, resources=Resources(2, "1GiB", "1h"))
    graph = workflow.graph
    again = Graph.from_json(graph.to_json())
    assert again == graph
    assert (again.fingerprint, again.id) == (graph.fingerprint, graph.id)


def test_the_fingerprint_is_of_the_structure_and_not_of_policies() -> None:
    """A queue may change under a version, an edge may not."""
    prints = {
        "same": flow("a", "b"),
        "queue": Workflow("w", queue="slow", retry=3),
        "other": flow("a"),
    }
    for name in "ab":
        prints["queue"].node(nothing, name=name)
    prints["other"].node(nothing, name="b", after="a")
    found = {name: workflow.graph.fingerprint for name, workflow in prints.items()}
    assert found["same"] == found["queue"] != found["other"]
    assert prints["other"].graph.difference(prints["same"].graph) == "changed b"
    assert flow("a", "c").graph.difference(flow("a", "b").graph) == "added c; removed b"
    assert flow("b", "a").graph.difference(flow("a", "b").graph) == "the nodes stand in another order"


def test_without_a_version_each_structure_is_its_own() -> None:
    """Named by the beginning of its fingerprint."""
    graph = flow("a").graph
    assert graph.label == f"w dev+{graph.fingerprint[:4]}"
    assert Workflow("w", version="1.0").graph.label == "w 1.0"


# every sentence


def _retry(value: object) -> Callable[[], object]:
    return lambda: flow().node(nothing, retry=value)


def _branches() -> object:
    workflow = Workflow("w")
    choice = workflow.node(chooses)
    return workflow.node(nothing, name="either", after=[choice["east"], choice["west"]])


def _after_the_end() -> object:
    workflow = flow("a")
    workflow.node(nothing, name="tidy", on="ended")
    return workflow.node(nothing, name="late", after="tidy")


def _choice_of_many() -> object:
    workflow = flow("a")
    ask = workflow.review("ask", map={"a": "a"}, choices=("yes", "no"))
    return workflow.node(nothing, name="go", after=ask["yes"])


def _over_a_decision() -> object:
    workflow = flow("a")
    workflow.review("ask", after="a", choices=("yes", "no"))
    return workflow.node(one, name="go", map={"a": "ask"})


SENTENCES: list[tuple[Callable[[], object], str]] = [
    (lambda: Workflow("a b"), "'a b' is no name for a workflow; use letters, digits, _ . -"),
    (lambda: Workflow("w", on_failure="go"), 'workflow w: on_failure is "stop" or "finish", not \'go\''),
    (lambda: Workflow("w", retyr=3), "workflow w: there is no option 'retyr'; did you mean 'retry'?"),
    (lambda: flow("a", "a"), "node 'a' is defined twice in one workflow; give one of them another name="),
    (lambda: flow("1a"), "'1a' is no name for a node; use letters, digits, _ . -"),
    (lambda: flow().node(lambda: None), "'<lambda>' is no name for a node; use letters, digits, _ . -; say name="),
    (lambda: flow().node(5), "workflow w: 5 is no function or class to make a node of"),
    (lambda: flow("a").node(nothing, nam="b"), "node nothing: there is no option 'nam'; did you mean 'name'?"),
    (lambda: flow("b").node(one), "node one: the parameter 'a' names no node before it and has no default; there is b"),
    (
        lambda: flow("aa").node(one),
        "node one: the parameter 'a' names no node before it and has no default; did you mean 'aa'?",
    ),
    (
        lambda: flow("terrain").node(nothing, after="terain"),
        "node nothing: waits for 'terain', which is no node before it; did you mean 'terrain'?",
    ),
    (
        lambda: flow("a").node(nothing, after=flow("x").node(nothing, name="y")),
        "node nothing: <node w.y> belongs to another workflow; add its function to this one",
    ),
    (lambda: flow("a").node(one, inputs={"aa": "a"}), "node one: it has no parameter 'aa'; did you mean 'a'?"),
    (lambda: flow("a").node(nothing, map={"x": "a"}), "node nothing: it has no parameter 'x'; it has none"),
    (
        lambda: flow("a", "b").node(two, map={"a": "a", "b": "b"}),
        "node two: map= takes one parameter and the node whose list it goes over",
    ),
    (
        lambda: flow("a").node(nothing, after="a", on="failing"),
        'node nothing: on= is "failed" or "ended", not \'failing\'',
    ),
    (
        lambda: flow("a").node(one, on="ended"),
        (
            "node one: with on= and without after= it runs after the run's end and takes ctx and message only; "
            "say after= to wait for nodes"
        ),
    ),
    (_branches, "node either: after= names chooses twice; let a node of its own wait for each choice"),
    (_after_the_end, "node late: waits for 'tidy', which runs after the run's end"),
    (
        lambda: flow().node(nothing, queue="a queue"),
        "node nothing: 'a queue' is no name for a queue; use letters, digits, _ . -",
    ),
    (lambda: flow().node(nothing, limit=0), "node nothing: limit=0 would never let it run; pause the node instead"),
    (lambda: flow().node(nothing, limit="3"), "node nothing: limit= is a whole number, not '3'"),
    (lambda: flow().node(nothing, priority=True), "node nothing: priority= is a whole number, not True"),
    (_retry("3"), "node nothing: retry= is a number of further tries or a Retry, not '3'"),
    (_retry(True), "node nothing: retry= is a number of further tries or a Retry, not True"),
    (
        lambda: flow().node(nothing, timeout=0),
        "node nothing: timeout=0 would never let it end; leave it out for no time-out",
    ),
    (
        lambda: flow().node(nothing, timeout="soon"),
        'node nothing: timeout: \'soon\' is no duration; write "90s", "10m", "1h30m" or a timedelta',
    ),
    (
        lambda: Workflow("w").node(chooses)["north"],
        "node chooses never returns 'north'; there is east, west",
    ),
    (
        lambda: flow().review("ask", choices=("yes", "no"))["yess"],
        "node ask never returns 'yess'; did you mean 'yes'?",
    ),
    (
        lambda: flow().review("ask", choices="yes"),
        'review ask: choices= takes words, such as ("publish", "discard"), not \'yes\'',
    ),
    (
        lambda: flow().review("ask", choices=()),
        'review ask: choices= takes one or more words, such as ("publish", "discard")',
    ),
    (
        lambda: flow().review("ask", choices=("yes", 1)),
        "review ask: choices and role are words of up to 100 letters, not 1",
    ),
    (lambda: flow().review("ask", choices=("yes", "yes")), "review ask: choices= names 'yes' twice"),
    (
        lambda: flow().review("ask", choices=("yes", "no"), deadline="2h", otherwise="non"),
        "review ask: otherwise='non' is none of its choices; did you mean 'no'?",
    ),
    (
        lambda: flow().review("ask", choices=("yes",), otherwise="yes"),
        "review ask: otherwise= is what a deadline decides; say deadline=, too",
    ),
    (
        lambda: flow().review("ask", choices=("yes",), deadline=0),
        "review ask: deadline=0 would leave nobody time to decide",
    ),
    (
        lambda: flow().review("ask", choices=("yes",), deadline="soon"),
        'review ask: deadline: \'soon\' is no duration; write "90s", "10m", "1h30m" or a timedelta',
    ),
    (
        lambda: flow().review("ask", choices=("yes",), on="ended"),
        "node ask: a review decides how a run goes on, so it cannot come after its end",
    ),
    (
        lambda: flow().review("ask", choices=("yes", "n\no")),
        "review ask: choices and role are words of up to 100 letters, not 'n\\no'",
    ),
    (
        _choice_of_many,
        (
            "node go: ask goes over a list, so no choice of it decides where the run goes on; "
            "take its results, and choose in a node of your own"
        ),
    ),
    (_over_a_decision, "node go: 'ask' is decided once, so there is no list to go over"),
    (
        lambda: flow().review("ask", choices=("yes",), retry=3),
        "review ask: there is no option 'retry'; there is name, after, inputs, map, on, queue, priority, may_fail",
    ),
]


@pytest.mark.parametrize(("define", "sentence"), SENTENCES, ids=lambda v: v if isinstance(v, str) else "")
def test_a_mistake_is_refused_where_it_is_made(define: Callable[[], object], sentence: str) -> None:
    """With one sentence that says what is wrong and what would be right."""
    with pytest.raises(DefinitionError) as refused:
        define()
    assert str(refused.value) == sentence


def test_a_refused_node_leaves_the_workflow_as_it_was() -> None:
    """So that a notebook's cell can be mended and run again."""
    workflow = flow("a")
    before = workflow.graph
    with pytest.raises(DefinitionError):
        workflow.node(nothing, name="b", after="x")
    assert workflow.graph is before


def test_entry_and_serial_are_refused_for_what_acts_once() -> None:
    """They are options of handlers."""
    for option in ("entry", "serial"):
        with pytest.raises(DefinitionError, match=f"node nothing: there is no option '{option}'"):
            flow().node(nothing, **{option: True})
    data = flow("a").graph.to_json()
    data["nodes"][0]["serial"] = True
    with pytest.raises(DefinitionError, match="node a: entry= and serial= are for handlers, which act on each message"):
        Graph.from_json(data)


def test_a_job_is_not_called_as_a_function() -> None:
    """Only a batch system can run it."""
    job = flow("a").job("j", "run {a}")
    with pytest.raises(DefinitionError, match="node j is no function, so it cannot be called"):
        job()


def test_a_review_is_a_node_like_any_other() -> None:
    """It waits for what after= and map= name, and each of its choices is an edge."""
    workflow = Workflow("w", retry=3, queue="desk")
    pictures = workflow.node(nothing, name="pictures")
    each = workflow.review("each", map={"picture": pictures}, choices=["good", "bad"])
    ask = workflow.review("ask", after=each, choices=["yes", "no"], role="chief", deadline="2h")
    publish = workflow.node(gathers, name="publish", after=ask["yes"])
    node = workflow.graph["ask"]
    assert (node.kind, node.arity, node.queue, node.retry.limit) == (Kind.review, Arity.once, "desk", 0)
    assert node.edges == (Edge("each", "each"),)
    assert workflow.graph["each"].edges == (Edge("pictures", "picture", each=True),)
    assert node.review == ReviewSpec(("yes", "no"), "chief", 7200.0)
    assert workflow.graph[publish.name].edges == (Edge("ask", "ask", choice="yes"),)
    assert Graph.from_json(json.loads(json.dumps(workflow.graph.to_json()))) == workflow.graph


def test_the_choices_of_a_review_are_structure_and_the_rest_is_policy() -> None:
    """A run goes on by its choices; how long people have may change meanwhile."""

    def asking(**options: Any) -> str:
        workflow = Workflow("w")
        workflow.review("ask", **{"choices": ("yes", "no"), **options})
        return workflow.graph.fingerprint

    assert asking() == asking(role="chief", deadline="1h", otherwise="no")
    assert asking() == asking(choices=("no", "yes"))
    assert asking() != asking(choices=("yes", "no", "later"))
