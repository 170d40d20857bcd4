"""The planner by value: an event in a run, and the changes that follow, without any store."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from heliostat import Workflow, planner
from heliostat.effects import Effect, End, Keep, Map, Put, Send, Start
from heliostat.errors import BadInput, NotFound
from heliostat.graph import Graph
from heliostat.outcome import Failed, Outcome, Released, Rescued, Skipped, Snoozed, Succeeded
from heliostat.planner import Arrive, Change, Create, Launch
from heliostat.run import RunState
from heliostat.task import Attempt, AttemptState, TaskState
from heliostat.workflow import NodeHandle

Build = Callable[[Workflow], object]


def nothing() -> None:
    """What a node without inputs does here: nobody calls it."""


def listens(message: object) -> None:
    """What a handler does here."""


def reads(a: object = None) -> None:
    """What a node does that can do without ``a``."""


def graph_of(*nodes: Build, **options: object) -> Graph:
    """A graph from what adds its nodes, one after the other."""
    workflow = Workflow("w", **options)
    for add in nodes:
        add(workflow)
    return workflow.graph


def node(name: str, *after: str, **options: object) -> Build:
    """A node that waits for others and reads none of them."""
    given = {"after": list(after)} if after else {}
    return lambda w: w.node(nothing, name=name, **given, **options)


def branch(name: str, source: str, choice: str) -> Build:
    """A node on one choice of another."""
    return lambda w: w.node(nothing, name=name, after=NodeHandle(w, source, None)[choice])


def optional(name: str, source: str) -> Build:
    """A node whose parameter for another has a default."""
    return lambda w: w.node(reads, name=name, inputs={"a": source})


def failed(source: str) -> Build:
    """A node that runs when another has failed."""
    return lambda w: w.node(nothing, name="oops", after=source, on="failed")


def each(name: str, source: str, **options: object) -> Build:
    """A node that goes over the list of another."""
    return lambda w: w.node(reads, name=name, map={"a": source}, **options)


def handler(name: str, *after: str, **options: object) -> Build:
    """A handler, perhaps with something to wait for besides its messages."""
    given = {"after": list(after)} if after else {}
    return lambda w: w.handler(listens, name=name, **given, **options)


def told(changes: Iterable[Change]) -> list[str]:
    """Changes as words, what is as usual left out."""
    return [_words(change) for change in changes]


def _words(change: Change) -> str:
    match change:
        case Create():
            parts = [
                f"create {change.node.name}",
                f"#{change.number}" if change.number is not None else "",
                str(change.state) if change.state is not TaskState.ready else "",
                f"due {change.due_at:g}" if change.due_at is not None else "",
                f"key {change.key!r}" if change.key else "",
                f"missing {change.missing}" if change.missing else "",
                f"for {change.join}[{change.place}]" if change.join is not None else "",
                f"says {change.message}" if change.message is not None else "",
            ]
        case Arrive():
            parts = [
                f"arrive {change.node.name}",
                f"by {change.by}" if change.by != 1 else "",
                "unmet" if change.unmet else "",
                f"width {change.width}" if change.width is not None else "",
                f"first {change.first}" if change.first else "",
            ]
        case Launch():
            told = f"and tell {change.told.node.name} missing {change.told.missing}" if change.told else ""
            parts = [f"launch {change.start.graph.name}", told]
        case End():
            parts = [f"end {change.state}", change.reason or ""]
    return " ".join(part for part in parts if part)


def attempt(name: str, **given: object) -> Attempt:
    """An attempt at a node, as a lease would give it."""
    return Attempt(run=1, number=7, count=1, graph=1, node=name, **given)


def settled(graph: Graph, name: str, outcome: Outcome, **given: object) -> list[str]:
    """What follows from an outcome, in words."""
    return told(planner.settled(graph, attempt(name, **given), outcome)[1])


def does(*effects: Effect) -> Succeeded:
    """A success that asks for something."""
    return Succeeded(effects=effects)


# birth


def test_a_run_begins_with_the_nodes_that_wait_for_nothing() -> None:
    """They get the number of their position, in every run the same."""
    graph = graph_of(node("a"), node("b", "a"), node("c"))
    assert told(planner.begun(graph, "{}")) == ["create a #1", "create c #3"]


def test_entry_handlers_get_the_message_of_the_start() -> None:
    """A handler without entry= gets nothing from the start."""
    graph = graph_of(handler("look", entry=True), handler("other"))
    assert told(planner.begun(graph, "5")) == ["create look says 5"]


def test_a_start_that_names_a_handler_passes_by_the_entries() -> None:
    """to= says who gets the message, and nodes that wait for nothing act all the same."""
    graph = graph_of(node("a"), handler("look", entry=True), handler("other"))
    assert told(planner.begun(graph, "5", to="other")) == ["create a #1", "create other says 5"]


def test_a_start_that_nobody_takes_is_refused_unless_the_run_stays_open() -> None:
    """A run that could never do anything is no run."""
    with pytest.raises(BadInput, match="nothing takes the message; give a handler entry=True or name one in to="):
        planner.begun(graph_of(handler("look")), "5")
    assert planner.begun(graph_of(handler("look"), stays_open=True), "5") == []


def test_nodes_that_run_after_the_end_do_not_begin_with_the_run() -> None:
    """They wait for nothing, and yet they are no start."""
    graph = graph_of(node("a"), node("z", on="ended"))
    assert told(planner.begun(graph, "{}")) == ["create a #1"]


def test_only_handlers_take_messages() -> None:
    """What acts once acts when its inputs are there, not when it is written to."""
    graph = graph_of(node("a"), handler("look"))
    with pytest.raises(BadInput, match="node a acts once, when its inputs are there; only handlers take messages"):
        planner.delivered(graph, Send("a", "1"))
    with pytest.raises(NotFound, match="workflow w has no node 'lok'; did you mean 'look'"):
        planner.delivered(graph, Send("lok", "1"))


def test_a_message_is_the_birth_of_a_task() -> None:
    """It is ready at once, later if it is delayed."""
    graph = graph_of(handler("look"))
    assert told([planner.delivered(graph, Send("look", "1"))]) == ["create look says 1"]
    assert told([planner.delivered(graph, Send("look", "1", due_at=9.0))]) == ["create look waiting due 9 says 1"]


# once


def test_a_settled_node_begins_those_that_waited_for_it_alone_and_arrives_at_the_others() -> None:
    """The planner says by how much; only the store knows what is still missing."""
    graph = graph_of(node("a"), node("b", "a"), node("c", "a"), node("d", "b", "c"))
    assert settled(graph, "a", Succeeded()) == ["create b #2", "create c #3"]
    assert settled(graph, "b", Succeeded()) == ["arrive d"]
    assert settled(graph, "d", Succeeded()) == []


def test_changes_of_one_event_commute() -> None:
    """A join counts the same whichever of its inputs came first."""
    graph = graph_of(node("a"), node("b"), node("c", "a", "b"))
    arrivals = [change for name in ("a", "b") for change in planner.settled(graph, attempt(name), Succeeded())[1]]
    assert sum(change.by for change in arrivals if isinstance(change, Arrive)) == graph["c"].waits


def test_the_state_follows_from_the_outcome() -> None:
    """Each way in which an attempt ends gives its task one state."""
    graph = graph_of(node("a"))
    states = {
        Succeeded(): TaskState.succeeded,
        Skipped("why"): TaskState.skipped,
        Snoozed(9.0): TaskState.waiting,
        Failed("no", retry_at=9.0): TaskState.waiting,
        Failed("no"): TaskState.failed,
        Released(): TaskState.ready,
        Released("full", 9.0): TaskState.waiting,
        Rescued(): TaskState.ready,
    }
    assert {outcome: planner.settled(graph, attempt("a"), outcome)[0] for outcome in states} == states


def test_handing_back_and_trying_again_lead_nowhere() -> None:
    """Nothing of an attempt that is not the last one is seen by the rest of the run."""
    graph = graph_of(node("a"), node("b", "a"))
    for outcome in (Released(), Released("full", 9.0), Rescued(), Failed("no", retry_at=9.0), Snoozed(9.0)):
        assert settled(graph, "a", outcome) == []


# skips


def test_a_skip_arrives_unmet() -> None:
    """What waits for something that was skipped will be skipped when all has arrived."""
    graph = graph_of(node("a"), node("b", "a"))
    assert settled(graph, "a", Skipped("nothing there")) == ["arrive b unmet"]


def test_a_parameter_with_a_default_can_do_without() -> None:
    """An optional edge is met by a skip too, and by a failure that may be."""
    graph = graph_of(node("a", may_fail=True), optional("b", "a"))
    assert settled(graph, "a", Skipped("nothing there")) == ["create b #2"]
    assert settled(graph, "a", Failed("no")) == ["create b #2"]


def test_a_branch_is_taken_when_the_choice_is_its_own() -> None:
    """The string that a node returns decides; any other string leaves the branch unmet."""
    graph = graph_of(node("a"), branch("east", "a", "east"), branch("west", "a", "west"), node("both", "a"))
    told_east = settled(graph, "a", Succeeded('"east"', choice="east"))
    assert told_east == ["create east #2", "arrive west unmet", "create both #4"]
    assert settled(graph, "a", Succeeded("1")) == ["arrive east unmet", "arrive west unmet", "create both #4"]


def test_a_skipped_node_passes_on_what_its_own_end_means() -> None:
    """Its except was not needed, its finally runs, and the others are skipped too."""
    graph = graph_of(node("a"), node("b", "a"), node("oops", "a", on="failed"), node("last", "a", on="ended"))
    assert told(planner.after(graph, graph["a"], TaskState.skipped)) == [
        "arrive b unmet",
        "arrive oops unmet",
        "create last #4",
    ]


# failures


def test_a_failure_ends_the_run_and_says_where_and_why() -> None:
    """Nothing catches it: the reason names the node, and the attempt if it was not the first."""
    graph = graph_of(node("a"), node("b", "a"))
    assert settled(graph, "a", Failed("ValueError: no light")) == ["end failed a: ValueError: no light"]
    third = planner.settled(graph, Attempt(1, 7, 3, 1, "a"), Failed("no light"))[1]
    assert told(third) == ["end failed a: no light (attempt 3)"]


def test_a_failed_item_is_named_by_its_place() -> None:
    """Of a thousand tiles, it matters which."""
    graph = graph_of(node("a"), each("tile", "a"))
    assert settled(graph, "tile", Failed("clouds"), item=12) == ["end failed tile[12]: clouds"]


def test_a_failure_that_is_caught_lets_the_run_go_on() -> None:
    """on="failed" runs, on="ended" runs, the ordinary edge is skipped."""
    graph = graph_of(node("a"), node("b", "a"), node("oops", "a", on="failed"), node("last", "a", on="ended"))
    assert settled(graph, "a", Failed("no")) == ["arrive b unmet", "create oops #3", "create last #4"]
    assert settled(graph, "a", Succeeded()) == ["create b #2", "arrive oops unmet", "create last #4"]


def test_a_finally_alone_catches_too() -> None:
    """on="ended" says that somebody looks after the end, whatever it was."""
    graph = graph_of(node("a"), node("last", "a", on="ended"))
    assert settled(graph, "a", Failed("no")) == ["create last #2"]


def test_a_node_that_may_fail_counts_as_skipped() -> None:
    """The run goes on without it."""
    graph = graph_of(node("a", may_fail=True), node("b", "a"))
    assert settled(graph, "a", Failed("no")) == ["arrive b unmet"]


def test_a_failure_drops_what_the_attempt_asked_for() -> None:
    """An outcome that failed has no effects at all, by its type."""
    assert not hasattr(Failed("no"), "effects")


# what runs after the end


def test_after_a_failure_run_those_that_wait_for_it_and_those_that_always_run() -> None:
    """They are born by the run's end, in the order in which they stand."""
    graph = graph_of(node("a"), node("alarm", on="failed"), node("tidy", on="ended"))
    assert told(planner.epilogue(graph, RunState.failed)) == ["create alarm #2", "create tidy #3"]
    assert told(planner.epilogue(graph, RunState.succeeded)) == ["create tidy #3"]
    assert told(planner.epilogue(graph, RunState.cancelled)) == ["create tidy #3"]


def test_a_failure_after_the_end_changes_nothing() -> None:
    """The run has ended as it has ended."""
    graph = graph_of(node("a"), node("tidy", on="ended"))
    assert settled(graph, "tidy", Failed("no"), epilogue=True) == []


# lists


def test_a_list_arrives_with_its_length() -> None:
    """Only where it is gone over; who reads the whole list need not know."""
    graph = graph_of(node("a"), each("tile", "a"), node("b", "a"))
    assert settled(graph, "a", Succeeded("[1,2,3]", width=3)) == ["arrive tile width 3", "create b #3"]


def test_a_fan_out_of_n_adds_n_minus_one_to_what_waits_for_it() -> None:
    """So counting does not depend on whether the items or the other inputs come first."""
    graph = graph_of(node("a"), each("tile", "a"), node("mosaic", "tile"))
    assert told(planner.expanded(graph, graph["tile"], 25)) == ["arrive mosaic by -24"]
    assert settled(graph, "tile", Succeeded(), item=3) == ["arrive mosaic"]


def test_an_empty_list_settles_at_once() -> None:
    """Nothing has to run, and what waits for it gets an empty list."""
    graph = graph_of(node("a"), each("tile", "a"), node("mosaic", "tile"))
    assert told(planner.expanded(graph, graph["tile"], 0)) == ["arrive mosaic"]


def test_a_list_over_a_list_is_as_long_as_the_first() -> None:
    """The length is known when the first one fans out, and no item changes it, even one that is a list itself."""
    graph = graph_of(node("a"), each("tile", "a"), each("mean", "tile"))
    assert told(planner.expanded(graph, graph["tile"], 4)) == ["arrive mean by -3 width 4"]
    assert told(planner.expanded(graph, graph["tile"], 0)) == ["arrive mean width 0"]
    assert settled(graph, "tile", Succeeded("[1,2]", width=2), item=0) == ["arrive mean"]


def test_an_item_that_was_skipped_is_missing_in_the_list_only() -> None:
    """The list is there, with None in that place; but a whole that was skipped is no list."""
    graph = graph_of(node("a"), each("tile", "a", may_fail=True), node("mosaic", "tile"))
    assert settled(graph, "tile", Skipped("dark"), item=1) == ["arrive mosaic"]
    assert settled(graph, "tile", Failed("clouds"), item=1) == ["arrive mosaic"]
    assert told(planner.after(graph, graph["tile"], TaskState.skipped)) == ["arrive mosaic unmet"]


def test_an_item_that_failed_and_is_caught_is_no_item_of_a_list() -> None:
    """What waits for the list is skipped like what waits for any node that failed, unless it can do without."""
    graph = graph_of(node("a"), each("tile", "a"), node("mosaic", "tile"), optional("some", "tile"), failed("tile"))
    changes = ["arrive mosaic unmet", "arrive some", "arrive oops"]
    assert settled(graph, "tile", Failed("clouds"), item=1) == changes
    assert settled(graph, "tile", Skipped("dark"), item=1) == ["arrive mosaic", "arrive some", "arrive oops"]


def test_an_except_of_a_list_is_decided_when_all_items_have_settled() -> None:
    """No single item says whether any failed; the store counts, and the planner says of whom."""
    graph = graph_of(node("a"), each("tile", "a"), node("oops", "tile", on="failed"), node("last", "tile", on="ended"))
    assert settled(graph, "tile", Succeeded(), item=0) == ["arrive oops", "arrive last"]
    assert settled(graph, "tile", Failed("clouds"), item=1) == ["arrive oops", "arrive last"]
    assert planner.counts_failures(graph, graph["oops"]) == ("tile",)
    assert planner.counts_failures(graph, graph["last"]) == ()


# handlers


def test_what_waits_for_a_handler_counts_with_its_first_result() -> None:
    """The arrival names the handler, so that the store lets only the first one count."""
    graph = graph_of(handler("look"), node("b", "look"))
    assert settled(graph, "look", Succeeded()) == ["arrive b first look"]


def test_a_handler_waits_for_nodes_besides_its_messages() -> None:
    """The arrival is the node's, not a message's: a gate for all of them."""
    graph = graph_of(node("a"), handler("look", "a"))
    assert settled(graph, "a", Succeeded()) == ["arrive look"]


def test_a_serial_handler_waits_for_its_turn() -> None:
    """The key is the node, or the node and the value of a field; of a key only the head is made ready."""
    graph = graph_of(handler("count", serial=True), handler("tile", serial="name"))
    assert told([planner.delivered(graph, Send("count", "1"))]) == ["create count pending key 'count' says 1"]
    first = planner.delivered(graph, Send("tile", '{"name":"a","n":1}'))
    same = planner.delivered(graph, Send("tile", '{"n":2,"name":"a"}'))
    other = planner.delivered(graph, Send("tile", '{"name":{"deep":1}}'))
    assert first.key == same.key == 'tile\n"a"'
    assert other.key == 'tile\n{"deep":1}'


@pytest.mark.parametrize("message", ["1", "[]", '{"nam":1}', "null"])
def test_a_message_without_the_field_it_is_serial_by_is_refused(message: str) -> None:
    """The sentence names the handler and the field."""
    graph = graph_of(handler("tile", serial="name"))
    with pytest.raises(BadInput, match="message to tile: the field 'name' is missing, by which it is serial"):
        planner.delivered(graph, Send("tile", message))


# effects


def test_messages_leave_in_the_order_sent() -> None:
    """Effects come before what the node's own end brings."""
    graph = graph_of(handler("a"), handler("b"), node("c", "a"))
    outcome = does(Send("b", "1"), Put("2"), Send("a", "3", due_at=5.0))
    assert settled(graph, "a", outcome) == ["create b says 1", "create a waiting due 5 says 3", "arrive c first a"]


@pytest.mark.parametrize("outcome", [Snoozed(9.0, (Send("b", "1"),)), Skipped("no more", (Send("b", "1"),))])
def test_a_snooze_and_a_skip_keep_their_effects(outcome: Outcome) -> None:
    """Only a failure drops them."""
    graph = graph_of(handler("a"), handler("b"))
    assert settled(graph, "a", outcome) == ["create b says 1"]


def test_records_and_artifacts_lead_nowhere() -> None:
    """They are kept beside, and wake nobody."""
    graph = graph_of(handler("a"))
    assert settled(graph, "a", does(Put("1"), Keep(None))) == []


def test_an_end_from_inside_is_passed_on() -> None:
    """``complete`` and ``cancel`` are the run's end, with result and reason."""
    graph = graph_of(handler("a"))
    assert settled(graph, "a", does(End(RunState.succeeded, "1"))) == ["end succeeded"]
    assert settled(graph, "a", does(End(RunState.cancelled, reason="rain"))) == ["end cancelled rain"]


def test_a_message_to_nobody_is_refused() -> None:
    """An effect that cannot be carried out is the attempt's failure, not half a plan."""
    graph = graph_of(handler("a"), node("once"))
    with pytest.raises(BadInput):
        planner.settled(graph, attempt("a"), does(Send("once", "1")))
    with pytest.raises(NotFound):
        planner.settled(graph, attempt("a"), does(Send("nobody", "1")))


# joins


def test_a_map_is_a_join_and_its_members() -> None:
    """The join is born first; each member names it and its place."""
    graph = graph_of(handler("split"), handler("work"), handler("gather"))
    assert settled(graph, "split", does(Map("work", ("1", "2"), "gather"))) == [
        "create gather pending missing 2",
        "create work for -1[0] says 1",
        "create work for -1[1] says 2",
    ]


def test_a_map_over_nothing_joins_at_once() -> None:
    """Nobody will ever arrive, so it is ready."""
    graph = graph_of(handler("split"), handler("work"), handler("gather"))
    assert settled(graph, "split", does(Map("work", (), "gather"))) == ["create gather"]


def test_a_mapped_task_that_maps_in_turn_passes_its_place_on() -> None:
    """Recursion needs no counting: who waited for the task now waits for its join."""
    graph = graph_of(handler("sort"), handler("merge"))
    state, changes = planner.settled(graph, attempt("sort", join=3, place=1), does(Map("sort", ("1",), "merge")))
    assert told(changes) == ["create merge pending missing 1 for 3[1]", "create sort for -1[0] says 1"]
    assert planner.keeps_place(state, changes)
    assert not planner.keeps_place(*planner.settled(graph, attempt("sort", join=3), does(Send("sort", "1"))))


def test_what_stops_its_run_keeps_its_place_in_a_join() -> None:
    """It is tried again there, if the run goes on; a failure that is allowed is an answer like others."""
    graph = graph_of(handler("sort"), handler("tries", may_fail=True), handler("merge"))
    assert planner.keeps_place(*planner.settled(graph, attempt("sort", join=3), Failed("no")))
    assert not planner.keeps_place(*planner.settled(graph, attempt("tries", join=3), Failed("no")))


def test_a_snooze_keeps_its_place_even_if_it_maps() -> None:
    """The task will answer once more, and that answer is the one that is waited for."""
    graph = graph_of(handler("sort"), handler("merge"))
    snoozed = Snoozed(9.0, (Map("sort", ("1",), "merge"),))
    changes = planner.settled(graph, attempt("sort", join=3, place=1), snoozed)[1]
    assert told(changes) == ["create merge pending missing 1", "create sort for -1[0] says 1"]


def test_a_join_that_is_serial_takes_its_turn() -> None:
    """Even one that nobody has to arrive at; but one that is serial by a field has no message to look into."""
    graph = graph_of(handler("split"), handler("gather", serial=True), handler("by", serial="name"))
    assert settled(graph, "split", does(Map("split", (), "gather"))) == ["create gather pending key 'gather'"]
    with pytest.raises(BadInput, match="handler by is serial by 'name'; what joins or awaits a run has no such field"):
        planner.settled(graph, attempt("split"), does(Map("split", (), "by")))


# runs of runs


def test_a_run_that_is_started_may_tell_of_its_end() -> None:
    """The task that waits for the end is born with the run."""
    graph, other = graph_of(handler("a"), handler("b")), graph_of(node("x"))
    assert settled(graph, "a", does(Start(5, other, "1"))) == ["launch w"]
    assert settled(graph, "a", does(Start(5, other, "1", then="b"))) == ["launch w and tell b missing 1"]


def test_a_time_out_is_a_failure_of_its_own_kind() -> None:
    """It fails the run like any other."""
    graph = graph_of(node("a"))
    outcome = Failed("timed out after 5 s", how=AttemptState.timed_out)
    assert settled(graph, "a", outcome) == ["end failed a: timed out after 5 s"]
