"""Workflows of many shapes under many seeds: each ends as plain Python says, with each task once in effect.

What is compared is read from the tables here, not through the engine's own queries.
"""

# ruff: noqa: D103 - the nodes of a shape are read together, and their names say what they do

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from heliostat import Context, Ended, Fail, Retry, Skip, Snooze, Workflow
from heliostat.engine import Engine
from heliostat.handle import RunHandle
from heliostat.outcome import COMMITTED
from heliostat.queue import WorkerInfo
from heliostat.store import Ask, Batch
from heliostat.stores.commit import Commit
from heliostat.stores.memory import MemoryRows, MemoryStore, Tables
from heliostat.stores.rows import Arrival, Arrived, Due, Fence, Success
from heliostat.task import Attempt, TaskState
from heliostat.testing import SimulationFailed, simulate
from heliostat.testing.cast import Cast
from heliostat.testing.simulation import Play

pytestmark = pytest.mark.slow

SEEDS, MANY_SEEDS = 70, 1000  #: for each shape; with fifteen shapes, more than a thousand


@dataclass(frozen=True)
class Expected:
    """How every run of a workflow ends: its state, its result, and how many tasks of each node succeed."""

    state: str
    result: object
    succeeded: dict[str, int] | None
    runs: int = 1


@dataclass(frozen=True)
class Shape:
    """Workflows, what is done with them, and how their runs end by plain evaluation."""

    name: str
    workflows: Sequence[Workflow]
    expected: dict[str, Expected]
    message: object = None
    script: Callable[[Engine], object] | None = None

    def begin(self, engine: Engine) -> None:
        """What a caller does."""
        if self.script is not None:
            self.script(engine)
        else:
            engine.start(self.workflows[0], self.message, idempotency_key="begun")

    def check(self, handle: RunHandle) -> None:
        """Compare the tables of a play with what is expected."""
        tables = handle._engine.store.tables
        for name, expected in self.expected.items():
            runs = [run for run in tables.runs.values() if tables.graphs[run.graph].name == name]
            assert len(runs) == expected.runs, f"{len(runs)} runs of {name}"
            for run in runs:
                tasks = tables.tasks[run.id].values()
                succeeded = [task for task in tasks if task.state is TaskState.succeeded]
                assert run.state == expected.state, run.reason
                assert _result(tables, run) == expected.result
                assert expected.succeeded in (None, Counter(task.node for task in succeeded))
                marks = Counter(record.number for record in tables.records[run.id].values() if record.key is None)
                assert marks == Counter(task.number for task in succeeded if task.count), (
                    "an effect is missing or double"
                )


def _result(tables: Tables, run: Any) -> object:
    """What the run was completed with, or what its last nodes gave: read row by row."""
    if run.result is not None or run.state != "succeeded":
        return json.loads(run.result or "null")
    graph, found = tables.graphs[run.graph], {}
    for node in graph.ends:
        rows = sorted(
            (task for task in tables.tasks[run.id].values() if task.node == node.name), key=lambda task: task.item or 0
        )
        values = [json.loads(row.result or "null") for row in rows if row.width != 0]
        found[node.name] = values if node.arity == "each" else values[0] if values else None
    return next(iter(found.values())) if len(found) == 1 else found or None


def mark(ctx: Context) -> None:
    """Leave a record: what counts how often an attempt took effect."""
    ctx.put(ctx.task.id)


# nodes that act once

chain = Workflow("chain")


@chain.node
def first(ctx: Context, message: int) -> int:
    mark(ctx)
    return message + 1


@chain.node
def second(ctx: Context, first: int) -> int:
    mark(ctx)
    return first * 2


@chain.node
def third(ctx: Context, first: int, second: int) -> int:
    mark(ctx)
    return first + second


diamond = Workflow("diamond", retry=Retry(5, delay="1s"))


@diamond.node
def top(ctx: Context, message: int) -> int:
    mark(ctx)
    return message


@diamond.node
def left(ctx: Context, top: int) -> int | Snooze:
    if ctx.attempt == 1:
        return Snooze("10m")
    mark(ctx)
    return top + 10


@diamond.node
def right(ctx: Context, top: int) -> int:
    mark(ctx)
    if ctx.attempt < 3:
        raise OSError("the telescope did not answer")
    return top + 20


@diamond.node
def bottom(ctx: Context, left: int, right: int) -> list[int]:
    mark(ctx)
    return [left, right]


# lists

tiles = Workflow("tiles")


@tiles.node
def rows(ctx: Context, message: list[int]) -> list[int]:
    mark(ctx)
    return message


@tiles.node(map={"row": "rows"}, limit=2)
def tile(ctx: Context, row: int) -> list[int]:
    mark(ctx)
    return [row, row * row]


@tiles.node(map={"one": "tile"}, may_fail=True)
def brightness(ctx: Context, one: list[int]) -> int:
    if one[0] == 3:
        raise ValueError("clouds")
    mark(ctx)
    return sum(one)


@tiles.node
def nothing(ctx: Context) -> list[int]:
    mark(ctx)
    return []


@tiles.node(map={"one": "nothing"})
def never(ctx: Context, one: int) -> int:
    mark(ctx)
    return one


@tiles.node
def mosaic(ctx: Context, rows: list[int], tile: list[list[int]], brightness: list[int | None], never: list[int]) -> Any:
    mark(ctx)
    return [len(rows), len(tile), brightness, never]


def _mosaic(values: list[int]) -> Any:
    return [len(values), len(values), [None if v == 3 else v + v * v for v in values], []]


# branches

branches = Workflow("branches", retry=Retry(1, delay=1))


@branches.node
def choose(ctx: Context, message: str) -> str:
    mark(ctx)
    return message


@branches.node(after=choose["east"])
def east(ctx: Context) -> str:
    mark(ctx)
    return "went east"


@branches.node(after=choose["west"])
def west(ctx: Context) -> str:
    mark(ctx)
    return "went west"


@branches.node
def beyond(ctx: Context, west: str) -> str:
    mark(ctx)
    return west + " and beyond"


@branches.node
def lazy(ctx: Context, message: str) -> Skip:
    return Skip("not today")


@branches.node
def broken(ctx: Context, message: str) -> Fail:
    return Fail("it is broken")


@branches.node(after=broken, on="failed")
def mend(ctx: Context) -> str:
    mark(ctx)
    assert ctx.failure is not None
    return f"mended: {ctx.failure.error}"


@branches.node(after=broken)
def unbroken(ctx: Context) -> str:
    mark(ctx)
    return "never"


@branches.node(after=[lazy, broken], on="ended")
def finally_(ctx: Context) -> str:
    mark(ctx)
    return "at last"


@branches.node
def meet(
    ctx: Context, east: str = "-", beyond: str = "-", lazy: str = "-", mend: str = "-", finally_: str = "-"
) -> Any:
    mark(ctx)
    return [east, beyond, lazy, mend, finally_]


# failures

doomed = Workflow("doomed")


@doomed.node
def well(ctx: Context) -> int:
    mark(ctx)
    return 1


@doomed.node(retry=Retry(2, delay="1h"))
def bad(ctx: Context, well: int) -> int:
    mark(ctx)
    raise ValueError("no light")


@doomed.node
def after_bad(ctx: Context, bad: int) -> int:
    mark(ctx)
    return bad


@doomed.node(on="failed")
def alarm(ctx: Context) -> None:
    mark(ctx)


@doomed.node(on="ended", retry=Retry(3, delay="1m"))
def tidy(ctx: Context) -> None:
    mark(ctx)
    if ctx.attempt < 2:
        raise OSError("not yet")


finishing = Workflow("finishing", on_failure="finish", stays_open=True)


@finishing.handler(entry=True)
def fan(ctx: Context, message: int) -> None:
    mark(ctx)
    ctx.map(piece, range(message), then=pieces)


@finishing.handler
def piece(ctx: Context, message: int) -> int:
    if message == 2:
        raise ValueError("a broken piece")
    mark(ctx)
    return message


@finishing.handler
def pieces(ctx: Context, message: list[int]) -> None:
    mark(ctx)


@finishing.node(on="failed")
def say(ctx: Context) -> None:
    mark(ctx)


# messages

counting = Workflow("counting", stays_open=True, retry=2)


@counting.handler(entry=True)
def deal(ctx: Context, message: int) -> None:
    mark(ctx)
    for number in range(message):
        ctx.send(count, {"number": number, "who": "ab"[number % 2]}, delay="3s" if number == 1 else None)


@counting.handler(serial="who")
def count(ctx: Context, message: dict[str, Any]) -> None:
    mark(ctx)
    ctx.put(ctx.get(message["who"], 0) + message["number"], key=message["who"])
    ctx.send(tally, message["number"])


@counting.handler(serial=True)
def tally(ctx: Context, message: int) -> int | None:
    if ctx.attempt == 1 and message == 2:
        raise OSError("a hiccup")
    mark(ctx)
    done = ctx.get("done", 0) + 1
    if done == 5:
        ctx.complete({who: ctx.get(who, node=count) for who in "ab"})
    else:
        ctx.put(done, key="done")
    return done


fibonacci = Workflow("fibonacci")


@fibonacci.handler(entry=True, serial=True)
def step(ctx: Context, message: int) -> None:
    mark(ctx)
    if message < 6:
        known = ctx.records("numbers")
        pair = known[-1] if known else [0, 1]
        ctx.put([pair[1], sum(pair)], key="numbers")
        ctx.send(step, message + 1, idempotency_key=f"step {message + 1}")


quicksort = Workflow("quicksort")


@quicksort.handler(entry=True)
def sort(ctx: Context, message: list[int]) -> list[int] | None:
    mark(ctx)
    if len(message) < 2:
        return message
    pivot, *rest = message
    halves = [[n for n in rest if n < pivot], [pivot], [n for n in rest if n >= pivot]]
    ctx.map(sort, halves, then=merge)
    return None


@quicksort.handler
def merge(ctx: Context, message: list[list[int]]) -> list[int]:
    mark(ctx)
    return [number for part in message for number in part]


@quicksort.node
def sorted_(ctx: Context, sort: Any = None) -> Any:
    mark(ctx)
    return None


def _sorts(numbers: list[int]) -> tuple[int, int]:
    """How many tasks of sort and merge a list takes."""
    if len(numbers) < 2:
        return 1, 0
    pivot, *rest = numbers
    parts = [_sorts(part) for part in ([n for n in rest if n < pivot], [pivot], [n for n in rest if n >= pivot])]
    return 1 + sum(a for a, _ in parts), 1 + sum(b for _, b in parts)


# runs of runs

parent = Workflow("parent", stays_open=True)
child = Workflow("child")


@child.node
def work(ctx: Context, message: int) -> int:
    mark(ctx)
    if message == 2:
        raise ValueError("a bad child")
    return message * 10


@child.node
def rest(ctx: Context, work: int) -> int:
    mark(ctx)
    return work + 1


@parent.node
def ground(ctx: Context, message: int) -> int:
    mark(ctx)
    return 7


@parent.handler(entry=True)
def launch(ctx: Context, message: int, ground: int) -> None:
    mark(ctx)
    for number in range(message):
        ctx.start(child, number, then=collect)
    ctx.start(child, 100, idempotency_key="the one without an answer")


@parent.handler(serial=True)
def collect(ctx: Context, message: Ended, ground: int) -> None:
    mark(ctx)
    known = [*ctx.get("known", []), message.result if message.state == "succeeded" else message.state]
    if len(known) == 3:
        ctx.complete(sorted(map(str, known)))
    else:
        ctx.put(known, key="known")


# gates that stay shut, and runs that are asked for twice

gated = Workflow("gated")


@gated.node
def gate(ctx: Context, message: int) -> Skip | Snooze:
    return Snooze("2s") if ctx.attempt == 1 else Skip("it stays shut")


@gated.handler(entry=True)
def ask(ctx: Context, message: int) -> None:
    mark(ctx)
    ctx.map(knock, range(message), then=knocked)
    for number in range(message):
        ctx.send(knock, number, delay="10s")
        ctx.start(child, 1, then=told, idempotency_key="one child")
    ctx.send(ask_again, 0, delay="5s")


@gated.handler
def ask_again(ctx: Context, message: int) -> None:
    mark(ctx)
    ctx.map(knock, [1, 2], then=knocked)
    ctx.start(child, 1, then=told, idempotency_key="one child")


@gated.handler
def knock(ctx: Context, message: int, gate: object) -> None:
    mark(ctx)


@gated.handler
def knocked(ctx: Context, message: list[None]) -> str:
    mark(ctx)
    return f"nobody of {'some' if message else 'none'} was let in"


@gated.handler(serial=True)
def told(ctx: Context, message: Ended, gate: object) -> None:
    mark(ctx)


@gated.node
def outside(ctx: Context, knock: object = None, knocked: str = "") -> str:
    mark(ctx)
    return knocked


# runs that somebody steers from outside

steered = Workflow("steered", stays_open=True)


@steered.handler(serial=True)
def hear(ctx: Context, message: int) -> None:
    mark(ctx)
    ctx.put(sorted([*ctx.get("heard", []), message]), key="heard")
    if len(ctx.get("heard")) == 4:
        ctx.send(over, None)


@steered.handler
def over(ctx: Context, message: None) -> None:
    mark(ctx)
    ctx.complete(ctx.get("heard", node=hear))


@steered.node(on="ended")
def farewell(ctx: Context) -> None:
    mark(ctx)


def steer(engine: Engine) -> None:
    """Start, send, pause and resume, each of it again if it was not answered."""
    run = engine.start(steered, None, idempotency_key="steered")
    for number in range(4):
        run.send(hear, number, idempotency_key=f"number {number}", delay="5s" if number == 3 else None)
    if not run.state.final:
        run.pause("to look at it")
        run.resume()


cancelled = Workflow("cancelled", stays_open=True)


@cancelled.handler(entry=True, serial=True)
def again(ctx: Context, message: int) -> None:
    mark(ctx)
    ctx.send(again, message + 1, delay="1h")


@cancelled.node(on="failed")
def not_failed(ctx: Context) -> None:
    mark(ctx)


def cancel(engine: Engine) -> None:
    """Start a run that would never end, and cancel it while it is paused."""
    run = engine.start(cancelled, 0, idempotency_key="cancelled")
    if not run.state.final:
        run.pause()
        run.cancel("enough")
        run.send(again, 5, idempotency_key="late")


# a run that ends while much of it waits

leaving = Workflow("leaving", stays_open=True)


@leaving.handler(entry=True)
def plan_ahead(ctx: Context, message: int) -> None:
    mark(ctx)
    for number in range(message):
        ctx.send(much_later, number, delay="1h")
    ctx.send(leave, None)


@leaving.handler
def much_later(ctx: Context, message: int) -> None:
    mark(ctx)


@leaving.handler
def leave(ctx: Context, message: None) -> None:
    mark(ctx)
    ctx.complete("gone")


NUMBERS = [5, 3, 8, 1, 3, 9]
SORTS, MERGES = _sorts(NUMBERS)

SHAPES = [
    Shape("a chain", [chain], {"chain": Expected("succeeded", 12, {"first": 1, "second": 1, "third": 1})}, 3),
    Shape(
        "a diamond with a retry and a snooze",
        [diamond],
        {"diamond": Expected("succeeded", [13, 23], {"top": 1, "left": 1, "right": 1, "bottom": 1})},
        3,
    ),
    Shape(
        "a map over a map, an empty one, and their join",
        [tiles],
        {
            "tiles": Expected(
                "succeeded",
                _mosaic([2, 3, 4]),
                {"rows": 1, "tile": 3, "brightness": 2, "nothing": 1, "never": 1, "mosaic": 1},
            )
        },
        [2, 3, 4],
    ),
    *[
        Shape(
            f"branches to the {way}",
            [branches],
            {
                "branches": Expected(
                    "succeeded",
                    {
                        "unbroken": None,
                        "meet": [
                            "went east" if way == "east" else "-",
                            "went west and beyond" if way == "west" else "-",
                            "-",
                            "mended: it is broken",
                            "at last",
                        ],
                    },
                    {"choose": 1, "mend": 1, "finally_": 1, "meet": 1}
                    | ({"east": 1} if way == "east" else {"west": 1, "beyond": 1}),
                )
            },
            way,
        )
        for way in ("east", "west")
    ],
    Shape(
        "a failure after retries, and what runs after the end",
        [doomed],
        {"doomed": Expected("failed", None, {"well": 1, "alarm": 1, "tidy": 1})},
    ),
    Shape(
        "messages to a handler that is serial by a field, and to one that is serial",
        [counting],
        {"counting": Expected("succeeded", {"a": 6, "b": 4}, {"deal": 1, "count": 5, "tally": 5})},
        5,
    ),
    Shape(
        "a handler that sends to itself",
        [fibonacci],
        {"fibonacci": Expected("succeeded", None, {"step": 7})},
        0,
    ),
    Shape(
        "joins inside joins",
        [quicksort],
        {"quicksort": Expected("succeeded", None, {"sort": SORTS, "merge": MERGES, "sorted_": 1})},
        NUMBERS,
    ),
    Shape(
        "runs that start runs and hear of their end",
        [parent, child],
        {"parent": Expected("succeeded", ["1", "11", "failed"], {"ground": 1, "launch": 1, "collect": 3})},
        3,
    ),
    Shape(
        "a failure that lets others finish",
        [finishing],
        {"finishing": Expected("failed", None, None)},
        6,
    ),
    Shape(
        "a gate that stays shut, and a child that is asked for twice",
        [gated, child],
        {
            "gated": Expected(
                "succeeded", "nobody of some was let in", {"ask": 1, "ask_again": 1, "knocked": 2, "outside": 1}
            ),
            "child": Expected("succeeded", 11, {"work": 1, "rest": 1}),
        },
        3,
    ),
    Shape(
        "a run that is fed, paused and resumed from outside",
        [steered],
        {"steered": Expected("succeeded", [0, 1, 2, 3], {"hear": 4, "over": 1, "farewell": 1})},
        script=steer,
    ),
    Shape(
        "a run that ends while much of it waits",
        [leaving],
        {"leaving": Expected("succeeded", "gone", {"plan_ahead": 1, "leave": 1})},
        6,
    ),
    Shape(
        "a run that is cancelled while it is paused",
        [cancelled],
        {"cancelled": Expected("cancelled", None, None)},
        script=cancel,
    ),
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_every_seed_ends_with_each_task_once_in_effect(
    shape: Shape, monkeypatch: pytest.MonkeyPatch, *, every_point: bool
) -> None:
    """Whatever the order of transactions, and whoever is lost, a run ends as plain Python says."""
    for module in ("commit", "ledger"):  # so that ends leave something to the sweep
        monkeypatch.setattr(f"heliostat.stores.{module}.CANCEL_AT_ONCE", 2)
    simulate(
        shape.workflows[0],
        seeds=MANY_SEEDS if every_point else SEEDS,
        script=shape.begin,
        others=shape.workflows[1:],
        check=shape.check,
    )


def test_the_same_seed_gives_the_same_history(tmp_path: Path) -> None:
    """Line by line, in this process and in another, whatever the order of its hashes."""
    here = histories(tmp_path / "here")
    assert here == histories(tmp_path / "again")
    program = f"from {__name__} import histories; import sys; sys.stdout.write(histories({str(tmp_path)!r}))"
    places = os.pathsep.join([*sys.path, str(Path(__file__).parents[2])])
    environment = os.environ | {"PYTHONPATH": places, "PYTHONHASHSEED": "7"}
    there = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert there.stdout == here


def histories(files: Path | str) -> str:
    """What happens under some seeds."""
    shapes = [shape for shape in SHAPES if shape.workflows[0] in (tiles, counting)]
    plays = [Play(Cast(shape.workflows), shape.begin, Path(files)) for shape in shapes]
    return "\n".join(line for play in plays for seed in range(8) for line in play.run(seed).history)


# deliberate mistakes of the engine


def _unfenced(rows: MemoryRows, fence: Success | Fence, **changes: object) -> None:
    rows.change(rows.t.tasks[fence.run][fence.number], **changes)


def _forgetful(store: MemoryStore) -> list[WorkerInfo]:
    return [worker for worker in store.tables.workers.values() if worker.state != "lost"]


def _stale() -> Any:
    """A join that goes by what this process saw of it when it last looked."""
    seen: dict[tuple[str, int, int], int] = {}
    arrive = MemoryRows.task_arrive

    def stale(rows: MemoryRows, arrivals: Sequence[Arrival]) -> list[Arrived]:
        for arrival in arrivals:
            task = rows.t.tasks[arrival.run].get(arrival.number)
            if task is not None and task.missing:
                key = (threading.current_thread().name, arrival.run, arrival.number)
                rows.change(task, missing=seen.get(key, task.missing))
                seen[key] = task.missing - arrival.by
        return arrive(rows, arrivals)

    return stale


def _out_of_turn(rows: MemoryRows, due: Sequence[Due], now: float) -> None:
    for run, number, _ in due:
        rows.change(rows.t.tasks[run][number], state=TaskState.ready)


def _loses_arrivals(arrive: Any = MemoryRows.task_arrive) -> Any:
    """Of several in one commit, the first counts."""
    return lambda rows, arrivals: arrive(rows, [*arrivals[:1], *(later._replace(by=0) for later in arrivals[1:])])


def _counts_nothing(rows: MemoryRows, queues: Sequence[str], lanes: Sequence[int]) -> Any:
    return dict.fromkeys(queues, 0), dict.fromkeys(lanes, 0)


def _anybodys_turn(rows: MemoryRows, keys: Iterable[tuple[int, str]]) -> None:
    for run, key in keys:
        for task in rows.t.tasks[run].values():
            if task.key == key and task.state is TaskState.pending and not task.missing and not task.unmet:
                rows.change(task, state=TaskState.ready, holds=True)


def _settles_late(ledger: Any, worker: str, outcomes: Any, now: float, ask: Any, also: frozenset[int]) -> Batch:
    """A settle that does not look whether the run is over."""
    with ledger.transaction() as rows:
        commit = Commit(rows, ledger.known, now, worker)
        commit.lock({attempt.run for attempt, _ in outcomes} | also)
        if outcomes:
            ledger._carry_out(commit, worker, outcomes)
        leased = ledger._lease(rows, ask, now)
    return Batch((COMMITTED,) * len(outcomes), leased)


def _keeps_twice(keep: Any = Commit.keep) -> Any:
    return lambda commit, *args: [keep(commit, *args) for _ in range(2)]


def _rescues_anybody(rows: MemoryRows, worker: str, beat: int) -> bool:
    return True


def _takes_back(rows: MemoryRows, worker: str) -> list[Attempt]:
    """What a worker held at any time."""
    tasks = [task for run in rows.t.tasks.values() for task in run.values() if task.worker == worker]
    return [rows._attempt(task) for task in tasks]


ROWS = "heliostat.stores.memory.MemoryRows"
#: What is broken, where it is tried, and what notices it.
MISTAKES: dict[str, tuple[dict[str, Any], Workflow, str]] = {
    "a settle without a fence": ({f"{ROWS}._settle": _unfenced}, counting, "went from|took effect|open tasks"),
    "what an unheard answer leased is not asked for again": (
        {"heliostat.worker.Ask": lambda *ask, **more: Ask(*ask[:6], **more)},
        chain,
        "is active",
    ),
    "a name that was declared lost is forgotten": (
        {"heliostat.stores.memory.MemoryStore.workers": _forgetful},
        chain,
        "is active",
    ),
    "a late answer is called committed": (
        {"heliostat.stores.ledger.LOST": COMMITTED},
        counting,
        "was committed|took effect",
    ),
    "a settle that does not look at the run's end": (
        {"heliostat.stores.ledger.Ledger._settle": _settles_late},
        cancelled,
        "after the end of its run",
    ),
    "a sweep that never runs": (
        {"heliostat.loops.sweep.Sweep.tick": lambda sweep, now: now + 2},
        leaving,
        "open tasks after its end",
    ),
    "a join that reads before it locks": ({f"{ROWS}.task_arrive": _stale()}, tiles, "born twice|is active"),
    "an arrival that is lost": ({f"{ROWS}.task_arrive": _loses_arrivals()}, branches, "is active"),
    "a rescue without a fence": (
        {f"{ROWS}.task_of_worker": _takes_back, f"{ROWS}._settle": _unfenced, f"{ROWS}.worker_lose": _rescues_anybody},
        chain,
        "went from succeeded to",
    ),
    "a timer that wakes what has not its turn": ({f"{ROWS}.task_promote": _out_of_turn}, counting, "have their turn"),
    "a turn of a key that somebody holds": ({f"{ROWS}.task_turn": _anybodys_turn}, counting, "key is held twice"),
    "a limit that nobody counts": ({f"{ROWS}.lane_running": _counts_nothing}, tiles, "above its limit"),
    "a key under which a run is started again": ({f"{ROWS}.run_by_key": lambda rows, *key: None}, chain, "2 runs"),
    "a record that is kept twice": ({"heliostat.stores.commit.Commit.keep": _keeps_twice()}, chain, "took effect"),
    "a task that arrives with its own join": (
        {"heliostat.planner.keeps_place": lambda state, changes: False},
        quicksort,
        "input should be a valid list",
    ),
    "a join that does not know how wide a list is": (
        {"heliostat.planner.expanded": lambda graph, node, width: []},
        tiles,
        "born twice|is active",
    ),
}


@pytest.mark.timeout(600)  # how many seeds it takes is a matter of chance, and what they take one of the machine
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_and_told(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seed by its number, what caught it, and how it came about with as few faults as it takes."""
    patches, which, caught = MISTAKES[mistake]
    for name in ("commit", "ledger"):  # so that ends leave something to the sweep
        monkeypatch.setattr(f"heliostat.stores.{name}.CANCEL_AT_ONCE", 2)
    for what, instead in patches.items():
        monkeypatch.setattr(what, instead, raising=False)
    shape = next(shape for shape in SHAPES if shape.workflows[0] is which)
    with pytest.raises(SimulationFailed, match=rf"^seed \d+: .*{caught}") as failed:
        simulate(which, seeds=1000, script=shape.begin, check=shape.check, others=shape.workflows[1:])
    assert len(failed.value.history) < 50
