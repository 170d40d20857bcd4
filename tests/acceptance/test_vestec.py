"""Urgent computing, cases V1 to V9 and V13 to V16: messages, records, joins, ends, recursion, tiles."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from examples.julia import View, julia, mosaic, tile
from examples.quicksort import begin, merge, quicksort, sort
from examples.quicksort import finish as last
from heliostat import RunFailed
from heliostat.errors import BadInput, NotFound, Refused
from heliostat.handle import RunHandle
from heliostat.run import RunState, public_id
from heliostat.task import TaskState
from tests.acceptance import fires, messages
from tests.acceptance.crew import Hall, ended, mark, marks, reached, wait_for_marks, wait_until


def lines(hall: Hall, run: RunHandle) -> list[str]:
    """What the functions of a run logged, in the order of the file."""
    text = hall.engine.around.log_file(run.key).read_text("utf-8")
    return [json.loads(line)["message"] for line in text.splitlines()]


def test_v01_a_sends_to_b_which_completes_the_run(staff: Hall) -> None:
    """Both run, the run succeeds, and the log has two messages with sender and receiver."""
    run = staff.engine.start(messages.a_to_b, "smoke")
    ended(run)
    assert run.state is RunState.succeeded
    assert run.result() == "smoke, seen by A, seen by B"
    assert [(task.node, task.state, task.message) for task in run.tasks()] == [
        ("a", TaskState.succeeded, '"smoke"'),
        ("b", TaskState.succeeded, '"smoke, seen by A"'),
    ]
    assert {(sender, receiver, n) for sender, receiver, n, _ in staff.engine.store.traffic(run.key)} == {
        (None, "a", 1),
        ("a", "b", 1),
    }
    assert all(task.worker for task in run.tasks())


def test_v02_the_fire_waits_twice_for_data_and_is_then_simulated(staff: Hall) -> None:
    """The transcript: weather, hotspots and terrain arrive as they come; the third finds all that is needed."""
    run = staff.engine.start(fires.by_messages)
    ended(run)
    assert run.result() == "lots of fire"
    said = lines(staff, run)
    assert Counter(said)["Will do nothing - waiting for data"] == 2
    assert said[-4:] == [
        "   Hotspot data available",
        "   Terrain data available",
        "   Weather data available",
        "Will execute fire simulation",
    ]
    weather = [line for line in said if line.startswith("In weather")]
    assert weather == [f"In weather {step} handler" for step in ("data", "simulation", "results")]
    assert {"In fire hotspot handler", "In fire terrain handler"} < set(said)
    assert [said[i + 1] for i, line in enumerate(said) if line == "In fire simulation handler"] != []
    assert [task.state for task in run.tasks(node="fire_simulation")] == [TaskState.succeeded] * 3


@pytest.fixture
def join_of(tmp_path: Path) -> str:
    """The directory in which joins leave their marks."""
    return str(tmp_path)


def test_v03_a_join_fires_once_in_every_order_of_arrival(staff: Hall, join_of: str) -> None:
    """All six orders, one run each: what comes next is sent when what came before has settled."""
    sources = (fires.hotspots, fires.terrain, fires.weather)
    runs = {order: staff.engine.start(fires.as_join, join_of) for order in itertools.permutations(sources)}
    for place in range(3):
        for order, run in runs.items():
            run.send(order[place], "here")
        for order, run in runs.items():
            reached(run, 1, order[place].name)
    for run in runs.values():
        reached(run, 1, "fire")
        assert run.result(fires.fire) == "fire from hotspots here, terrain here, weather here"
        assert len(marks(join_of, run.id)) == 1
        assert run.complete().done


def test_v03_a_join_fires_once_when_all_arrive_together(staff: Hall, join_of: str) -> None:
    """Twenty runs whose three inputs race each other, and come twice."""
    runs = staff.engine.start_many(fires.as_join, [join_of] * 20)
    for run in runs:
        for source in (fires.weather, fires.hotspots, fires.terrain) * 2:
            run.send(source, "here")
    for run in runs:
        reached(run, 7)
        assert len(marks(join_of, run.id)) == 1
        assert run.complete().done


def test_v04_a_message_for_a_run_that_does_not_exist_is_refused(hall: Hall) -> None:
    """The sentence names the run, or says what a run's id looks like."""
    unknown = public_id(1 << 50)
    with pytest.raises(NotFound, match=f"^there is no run {unknown}$"):
        hall.engine.find(unknown)
    with pytest.raises(NotFound, match=r"^'incident 12' is no run id; an id has 13 letters and digits, such as "):
        hall.engine.find("incident 12")


NOT_DATA = {
    "no JSON": (object(), "message: object is not JSON; use numbers, strings, lists, dicts, dataclasses"),
    "bytes": (b"smoke", "message: bytes is not JSON"),
    "NaN": ({"wind": [1.0, float("nan")]}, "message.wind[1]: nan is not JSON; use None or a string"),
    "a key that is no string": ({"sites": {7: "south"}}, "message.sites: the key 7 is no string"),
    "NUL": ({"name": "a\0b"}, "message.name: a NUL character cannot be stored"),
    "half a character": ("\ud800", "message: a lone surrogate is not Unicode text"),
    "an integer of 70 bits": ({"id": 1 << 70}, "message.id: the integer needs more than 64 bits"),
    "2 MiB": ("x" * (2 << 20), "message: 2,097,154 bytes of JSON; the limit is 1,048,576, return a Path for more"),
}


@pytest.mark.parametrize("what", NOT_DATA)
def test_v04_what_is_no_data_is_refused_and_nothing_is_queued(hall: Hall, what: str) -> None:
    """A message to a run and the start of one are refused alike, in one sentence that names the field."""
    value, sentence = NOT_DATA[what]
    run = hall.engine.start(messages.patient, "first", to=messages.note)
    before = (run.tasks(), run.log(), [each.info for each in hall.engine.runs()])
    for attempt in (
        lambda: run.send(messages.note, value),
        lambda: hall.engine.start(messages.patient, value, to=messages.note),
    ):
        with pytest.raises(BadInput) as refused:
            attempt()
        assert str(refused.value).startswith(sentence)
        assert "\n" not in str(refused.value)
    assert (run.tasks(), run.log(), [each.info for each in hall.engine.runs()]) == before


def test_v04_a_message_to_an_unknown_node_is_refused(hall: Hall) -> None:
    """The sentence offers the nearest name, or says that the node takes no messages."""
    run = hall.engine.start(messages.patient, "first", to=messages.note)
    joined = hall.engine.start(fires.as_join, "/nowhere", to=fires.weather)
    before = (run.tasks(), joined.tasks(), [each.info for each in hall.engine.runs()])
    for attempt, sentence in (
        (lambda: run.send("finsh", "now"), "workflow patient has no node 'finsh'; did you mean 'finish'?"),
        (lambda: hall.engine.start(messages.patient, "first", to="finsh"), "workflow patient has no node 'finsh'"),
        (lambda: joined.send("fire", "now"), "node fire acts once, when its inputs are there; only handlers take"),
        (lambda: run.send(messages.note, 7), "message: input should be a valid string (got 7)"),
    ):
        with pytest.raises(Refused) as refused:
            attempt()
        assert str(refused.value).startswith(sentence)
    assert (run.tasks(), joined.tasks(), [each.info for each in hall.engine.runs()]) == before


MISTAKES = {
    "unknown": "workflow mistaken has no node 'aks'; did you mean 'ask'?",
    "no handler": "cannot send to once, which acts once, when its inputs are there; only handlers take messages",
    "NaN": "message to ask.wind: nan is not JSON; use None or a string",
    "2 MiB": "message to ask: 2,097,154 bytes of JSON; the limit is 1,048,576, return a Path for more",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_v04_what_a_handler_cannot_send_fails_its_run(staff: Hall, mistake: str) -> None:
    """The same sentences as at the door; nothing else that the handler asked for is done."""
    run = staff.engine.start(messages.mistaken, mistake, to=messages.ask)
    ended(run)
    assert run.info.reason is not None
    assert run.info.reason.startswith("ask: ")
    assert MISTAKES[mistake] in run.info.reason
    assert run.records() == []
    assert len(run.tasks(node="ask")) == 1


def test_v05_a_handler_that_raises_sends_nothing_and_fails_its_run(staff: Hall, tmp_path: Path) -> None:
    """None of its three messages, its record and its run exist; the error says node and cause; other runs go on."""
    other = staff.engine.start(messages.patient, str(tmp_path))
    wait_for_marks(tmp_path, "held")
    run = staff.engine.start(messages.unlucky, {"key": str(tmp_path)})
    ended(run)
    assert run.state is RunState.failed
    assert run.info.reason is not None
    assert run.info.reason.startswith("tell: ValueError: the satellite is below the horizon (messages.py:")
    assert [task.node for task in run.tasks()] == ["tell"]
    assert run.records() == []
    assert not [r for r in staff.engine.runs("a-to-b") if r.info.idempotency_key == str(tmp_path)]
    with pytest.raises(RunFailed, match="failed: tell: ValueError"):
        run.result()
    mark(str(tmp_path), "go")
    reached(other, 1, "hold")
    other.send(messages.finish, "fine")
    ended(other)
    assert other.result() == "fine"


def test_v06_a_message_for_a_run_that_ended_is_kept_with_the_reason(staff: Hall, tmp_path: Path) -> None:
    """It is not handled; nor is what had waited when the run ended, nor what came of an attempt that was running."""
    run = staff.engine.start(messages.patient, str(tmp_path))
    wait_for_marks(tmp_path, "held")
    run.send(messages.note, "in a year", delay="365d")
    run.complete("over")
    answer = run.send(messages.note, "too late")
    mark(str(tmp_path), "go")
    assert not answer.done
    assert answer.note == "not handled: the run had succeeded before this message arrived"
    wait_until(lambda: all(task.state.final for task in run.tasks()))
    kept = {task.message: (task.state, task.reason) for task in run.tasks()}
    assert kept == {
        json.dumps(str(tmp_path)): (TaskState.cancelled, "the run had succeeded"),
        '"in a year"': (TaskState.cancelled, "the run was completed"),
        '"too late"': (TaskState.cancelled, answer.note),
    }
    assert run.records() == []
    assert run.explain(answer.number) == f"cancelled: {answer.note}"


def test_v07_a_second_end_is_a_no_op_that_says_so(hall: Hall) -> None:
    """Complete twice, cancel after complete, complete after cancel."""
    run = hall.engine.start(messages.patient, "first", to=messages.note)
    assert run.complete("first").done
    log = run.log()
    for again in (run.complete("second"), run.cancel("third")):
        assert not again.done
        assert again.note == "nothing to do: the run had succeeded already"
    assert (run.state, run.result(), run.log()) == (RunState.succeeded, "first", log)
    stopped = hall.engine.start(messages.patient, "first", to=messages.note)
    assert stopped.cancel("the fire is out").done
    again = stopped.complete("no")
    assert (again.done, again.note) == (False, "nothing to do: the run was cancelled already")
    assert (stopped.state, stopped.info.reason) == (RunState.cancelled, "the fire is out")


HAS_ENDED = "it has ended the run and asks for more inside it; do one of the two"
SENDS_TOO = "it sends or maps and also ends the run, so nobody would handle the messages; do one of the two"
GREEDY = {
    "end_and_send": HAS_ENDED,
    "send_and_end": SENDS_TOO,
    "map_and_cancel": SENDS_TOO,
    "await_and_end": SENDS_TOO,
    "end_twice": HAS_ENDED,
}


@pytest.mark.parametrize("node", GREEDY)
def test_v08_a_handler_that_ends_its_run_and_asks_for_more_is_refused(staff: Hall, node: str) -> None:
    """The run fails with a clear error, and nothing of what was asked for is done."""
    run = staff.engine.start(messages.greedy, "smoke", to=node)
    ended(run)
    assert run.state is RunState.failed
    assert run.info.reason == f"{node}: {GREEDY[node]}"
    assert [task.node for task in run.tasks()] == [node]
    assert run.records() == []


def test_v08_a_handler_may_end_its_run_and_start_another(staff: Hall) -> None:
    """What leaves the run is allowed."""
    run = staff.engine.start(messages.greedy, "smoke", to=messages.start_and_end)
    ended(run)
    other = staff.engine.find(run.result())
    ended(other)
    assert other.result() == "smoke, seen by A, seen by B"


def test_v09_a_serial_counter_counts_every_message_of_its_run(staff: Hall, tmp_path: Path) -> None:
    """Fifty messages to each of two runs: each counts 50, one at a time and in order; the runs overlap in time."""
    names = ("north", "south")
    runs = [staff.engine.start(messages.counter, to=None) for _ in names]
    for _ in range(50):
        for run, me, other in zip(runs, names, reversed(names), strict=True):
            run.send(messages.count, {"marks": str(tmp_path), "me": me, "other": other})
    for run in runs:
        reached(run, 50)
    spans = []
    for run in runs:
        assert run.records(messages.count, "count") == [50]
        tasks = sorted(run.tasks(), key=lambda task: task.number)
        times = [json.loads(task.result or "") for task in tasks]
        assert all(over <= next_began for (_, over), (next_began, _) in itertools.pairwise(times))
        assert run.complete().done
        spans.append((times[0][0], times[-1][1]))
    assert max(began for began, _ in spans) < min(over for _, over in spans)


@pytest.mark.parametrize("length", [1, 3, 8, 128])
def test_v13_quicksort_by_messages_sorts_with_one_final_merge(staff: Hall, length: int) -> None:
    """Recursion and pairwise merge of random numbers with duplicates; nobody counts what is still out."""
    numbers = [float(random.randrange(max(2, length // 2))) for _ in range(length)]
    run = staff.engine.start(quicksort, numbers)
    ended(run)
    assert run.result() == sorted(numbers)
    counts = Counter(task.node for task in run.tasks())
    distinct = len(set(numbers))
    assert counts[last.name] == 1
    assert counts[merge.name] == distinct - 1, "each split is merged once"
    assert counts[sort.name] == 2 * distinct - 1
    assert counts[begin.name] == 1
    assert {task.state for task in run.tasks()} == {TaskState.succeeded}


def test_v14_a_node_that_sends_to_itself_puts_ten_fibonacci_numbers(staff: Hall) -> None:
    """Ten records, eleven deliveries, sum 143."""
    run = staff.engine.start(messages.fibonacci)
    ended(run)
    assert run.records(messages.add) == [1, 1, 2, 3, 5, 8, 13, 21, 34, 55]
    assert len(run.tasks(node="add")) == 11
    assert run.result() == 143


def test_v15_tiles_of_a_julia_set_are_joined_to_one_mosaic(staff: Hall) -> None:
    """A fan-out of 25 and its join: 25 tiles, one mosaic, and every pixel of it is a tile's."""
    view = View(across=32, down=20)
    run = staff.engine.start(julia, view)
    ended(run)
    assert run.state is RunState.succeeded
    assert Counter(task.node for task in run.tasks()) == {"corners": 1, "tile": 25, "mosaic": 1}
    assert {task.state for task in run.tasks()} == {TaskState.succeeded}
    tiles, whole = run.result(tile), run.result(mosaic)
    assert len({kept.name for kept in tiles}) == 25
    assert {kept.media_type for kept in run.artifacts()} == {"image/png"}
    assert len(run.artifacts()) == 26
    repository = staff.engine.around.repository
    with repository.open(whole) as file, Image.open(file) as picture:
        assert picture.size == (160, 100)
        assert len(picture.getcolors(160 * 100) or ()) > 1000, "it is a picture"
        for number, kept in enumerate(tiles):
            row, column = divmod(number, view.tiles)
            place = (column * 32, row * 20, column * 32 + 32, row * 20 + 20)
            with repository.open(kept) as part, Image.open(part) as expected:
                assert picture.crop(place).tobytes() == expected.convert("RGB").tobytes()


def test_v16_the_same_poll_result_twice_is_one_message(staff: Hall) -> None:
    """The key is what the caller says it is: the same key and payload is sent once."""
    run = staff.engine.start(messages.poll)
    for date in ("Monday", "Monday", "Tuesday", "Monday"):
        run.send(messages.look, date)
    reached(run, 4, "look")
    wait_until(lambda: len(run.records(messages.update)) == 2)
    assert run.complete().done
    assert sorted(run.records(messages.update)) == ["Monday", "Tuesday"]
    assert len(run.tasks(node="update")) == 2
