"""The checker: reads the tables with plain SQL and the functions' notes, and believes nothing that the engine says.

lost      what was accepted, or must have followed from it, is not there
repeated  a task, a record, a child run or a message is there more often than was asked for
stuck     a run or a task is not final at the end
result    a run, task or record came out otherwise than the load foretells
join      a join has not all its members, has one twice, or has them out of order
backwards a state left an end, an attempt was counted twice, something happened in a run after its end
left      a row is running, holds a key, or a count is off after the end
fence     what stands in a row was written by an attempt that is not the settled one
limit     more ran at once than a limit allows
serial    tasks of one key ran at once, or out of order
early     what was put off began before its time
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from heliostat.run import public_id
from torture.feed import Accepted
from torture.flows import NEVER, Fate, Node, chain_fate
from torture.grounds import Ground
from torture.load import LIMITED, SERIAL

FINAL = ("succeeded", "failed", "cancelled", "skipped")
LOST, REPEATED, STUCK = "lost", "repeated", "stuck"


@dataclass(frozen=True, slots=True)
class Violation:
    """What must not be, and where."""

    rule: str
    run: int
    number: int
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: run {public_id(self.run)} task {self.number or '-'}: {self.what}"


class Row(NamedTuple):
    """A task as its row has it."""

    run: int
    number: int
    node: str
    state: str
    attempt: int
    settled: int
    holds: bool
    join: int | None
    place: int | None
    item: int | None
    key: str | None
    idempotency_key: str | None
    missing: int
    ended_at: float | None
    result: str | None


class Begin(NamedTuple):
    """A function was called, by its notes."""

    run: int
    number: int
    node: str
    attempt: int
    at: float


class Act(NamedTuple):
    """A function's call from begin to end, by its notes."""

    run: int
    number: int
    node: str
    attempt: int
    begun: float
    ended: float


_TASKS = (
    "SELECT run_id, number, node, state, attempt, settled, holds, join_number, join_place, item, serial_key, "
    "idempotency_key, missing, ended_at, result FROM tasks ORDER BY run_id, number"
)
_RUNS = "SELECT id, state, open, result, parent, workflow, message FROM runs"


class Tables:
    """All that there is to see, read once at the end."""

    def __init__(self, ground: Ground, notes: Path) -> None:
        self.tasks: defaultdict[int, list[Row]] = defaultdict(list)
        for row in ground.ask(_TASKS):
            task = Row(*row)
            self.tasks[task.run].append(task)
        self.runs = {row[0]: row[1:] for row in ground.ask(_RUNS)}
        self.stamps: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        self.values: dict[tuple[int, str, str], Any] = {}
        for run, node, key, number, value in ground.ask(
            "SELECT run_id, node, key, number, value FROM records ORDER BY seq"
        ):
            if key is None:
                self.stamps[run, number].append(json.loads(value))
            else:
                self.values[run, node, key] = json.loads(value)
        past = ground.ask("SELECT run_id, number, attempt, state FROM attempts")
        self.past = [tuple(row) for row in past]
        self.journal = ground.ask("SELECT seq, run_id, event FROM journal ORDER BY seq")
        self.begins, self.acts = _calls(notes)


def check(ground: Ground, notes: Path, accepted: Mapping[int, Accepted]) -> list[Violation]:
    """All violations, in the order of runs."""
    tables = Tables(ground, notes)
    found: list[Violation] = []
    children = Counter(row[3] for row in tables.runs.values() if row[3] is not None)
    for one in accepted.values():
        if one.run not in tables.runs:
            found.append(Violation(LOST, one.run, 0, f"the accepted run of {one.flow} has no row"))
            continue
        found += _fate(tables, one.run, one.fate)
        if tables.runs[one.run][0] in FINAL:
            found += _children(one, children[one.run])
        found += _sent(tables, one)
    for run, row in tables.runs.items():
        if run not in accepted:
            found += _unknown(tables, run, row)
        found += _at_rest(tables, run, row)
        for task in tables.tasks[run]:
            found += _one_task(tables, task)
    found += _story(tables)
    found += _begins(tables)
    found += _limits(tables)
    found += _turns(tables)
    return sorted(set(found), key=lambda violation: (violation.run, violation.number, violation.rule))


# what must have become of each run


def _fate(tables: Tables, run: int, fate: Fate) -> Iterator[Violation]:
    state, _, result, *_ = tables.runs[run]
    if state not in ("succeeded", "failed", "cancelled"):
        yield Violation(STUCK, run, 0, f"the run is {state}")
        return
    if state != fate.state:
        yield Violation("result", run, 0, f"the run has {state}, not {fate.state}")
        return
    if fate.result is not None and json.loads(result or "null") != fate.result:
        yield Violation("result", run, 0, f"the run's result is {result}, not {fate.result}")
    by_node: defaultdict[str, list[Row]] = defaultdict(list)
    for task in tables.tasks[run]:
        by_node[task.node].append(task)
    for name, node in fate.nodes.items():
        yield from _node(tables, run, name, node, by_node[name])
    if fate.nodes and (others := set(by_node) - set(fate.nodes)):
        yield Violation(REPEATED, run, 0, f"nobody asked for {', '.join(sorted(others))}")
    for (name, key), value in fate.values.items():
        if (there := tables.values.get((run, name, key))) != value:
            rule = LOST if there is None else "result"
            yield Violation(rule, run, 0, f"the record {key} of {name} is {there}, not {value}")


def _node(tables: Tables, run: int, name: str, node: Node, tasks: list[Row]) -> Iterator[Violation]:
    if len(tasks) != node.tasks:
        rule = LOST if len(tasks) < node.tasks else REPEATED
        yield Violation(rule, run, 0, f"{name} has {len(tasks)} tasks, not {node.tasks}")
    for task in tasks:
        if task.state in FINAL and task.state != node.state:
            yield Violation("result", run, task.number, f"{name} has {task.state}, not {node.state}")
        elif task.state in ("succeeded", "skipped") and len(stamps := tables.stamps[run, task.number]) != node.stamps:
            rule = LOST if len(stamps) < node.stamps else REPEATED
            yield Violation(rule, run, task.number, f"{name} left {len(stamps)} records, not {node.stamps}")
    if node.results is not None:
        inorder = sorted(tasks, key=lambda task: (task.item or 0, task.number))
        results = [json.loads(task.result or "null") for task in inorder]
        if results != node.results:
            rule = "join" if name in ("total", "whole", "add", "gather") else "result"
            yield Violation(rule, run, inorder[0].number if inorder else 0, f"{name}: {results}, not {node.results}")


def _children(one: Accepted, count: int) -> Iterator[Violation]:
    if count != one.fate.children:
        rule = LOST if count < one.fate.children else REPEATED
        yield Violation(rule, one.run, 0, f"it started {count} runs, not {one.fate.children}")


def _sent(tables: Tables, one: Accepted) -> Iterator[Violation]:
    there = {task.number for task in tables.tasks[one.run]}
    for number in set(one.sent) - there:
        yield Violation(LOST, one.run, number, "an accepted message has no row")


def _unknown(tables: Tables, run: int, row: tuple[Any, ...]) -> Iterator[Violation]:
    """A run that the campaign did not start is the child of one, or of nobody."""
    parent, workflow, message = row[3:6]
    if parent is None:
        yield Violation(REPEATED, run, 0, f"nobody started this run of {workflow}")
    elif workflow == "chain":
        yield from _fate(tables, run, chain_fate(json.loads(message)))


# what must hold of every row


def _at_rest(tables: Tables, run: int, row: tuple[Any, ...]) -> Iterator[Violation]:
    tasks = tables.tasks[run]
    unfinished = [task for task in tasks if task.state not in FINAL]
    for task in unfinished:
        yield Violation(STUCK, run, task.number, f"{task.node} is {task.state} (attempt {task.attempt})")
    if row[0] in ("succeeded", "failed", "cancelled") and row[1] != len(unfinished):
        yield Violation("left", run, 0, f"the run counts {row[1]} open tasks, and there are {len(unfinished)}")
    for task in tasks:
        if task.state in FINAL and task.holds:
            yield Violation("left", run, task.number, f"{task.node} still holds its key {task.key}")
        if task.state in FINAL and task.ended_at is None:
            yield Violation("left", run, task.number, f"{task.node} has no end")
    keys = Counter((task.node, task.idempotency_key) for task in tasks if task.idempotency_key is not None)
    for (node, key), count in keys.items():
        if count > 1:
            yield Violation(REPEATED, run, 0, f"{node} has {count} tasks with the key {key}")
    places = Counter((task.join, task.place) for task in tasks if task.join is not None and task.place is not None)
    for (join, place), count in places.items():
        passed = [task for task in tasks if (task.join, task.place) == (join, place)]
        if count > 1 and len({task.node for task in passed}) == 1:
            yield Violation("join", run, join or 0, f"place {place} is taken {count} times")
    for task in tasks:
        if task.state == "succeeded" and task.missing != 0:
            yield Violation("join", run, task.number, f"{task.node} ran with {task.missing} of its members missing")


def _one_task(tables: Tables, task: Row) -> Iterator[Violation]:
    stamps = tables.stamps[task.run, task.number]
    if len(stamps) != len(set(stamps)):
        yield Violation(REPEATED, task.run, task.number, f"{task.node}: an attempt counts twice: {stamps}")
    if stamps != sorted(stamps):
        yield Violation("backwards", task.run, task.number, f"{task.node}: attempts count in the order {stamps}")
    if task.settled > task.attempt:
        yield Violation("backwards", task.run, task.number, f"settled by {task.settled} of {task.attempt} attempts")
    if task.state == "succeeded":
        if task.settled != task.attempt:
            what = f"{task.node} was settled by attempt {task.settled}, and {task.attempt} was the newest"
            yield Violation("fence", task.run, task.number, what)
        if stamps and stamps[-1] != task.attempt:
            what = f"{task.node} was settled by attempt {task.attempt}, its records are of {stamps}"
            yield Violation("fence", task.run, task.number, what)
    if task.state in ("cancelled", "failed") and stamps:
        yield Violation("fence", task.run, task.number, f"{task.node} is {task.state}, and left records of {stamps}")


# what the journal tells


def _story(tables: Tables) -> Iterator[Violation]:
    """No task reaches an end twice, no run ends twice, and after its end nothing in it succeeds.

    A run that was tried again has undone its end, and those of its tasks that had not succeeded.
    """
    ended: set[int] = set()
    ends: defaultdict[int, dict[int, str]] = defaultdict(dict)
    for _, run, text in tables.journal:
        event = json.loads(text)
        several = event.get("succeeded")
        routine = several if run == 0 and isinstance(several, dict) else {}
        lines = [(int(one), {"succeeded": numbers}) for one, numbers in routine.items()] if run == 0 else [(run, event)]
        for one, facts in lines:
            if "reopened" in facts:
                ended.discard(one)
                ends[one] = {number: state for number, state in ends[one].items() if state == "succeeded"}
            over = one in ended
            for state in FINAL:
                for number in facts.get(state, ()):
                    if number in ends[one]:
                        yield Violation("backwards", one, number, f"it reached an end again: {state}")
                    ends[one][number] = state
                    if over and state != "cancelled":
                        yield Violation("backwards", one, number, f"it has {state} after its run's end")
            if "ended" in facts:
                if over:
                    yield Violation("backwards", one, 0, "the run ended twice")
                ended.add(one)


# what the functions noted


def _calls(notes: Path) -> tuple[list[Begin], list[Act]]:
    """All calls that began, and those of them that ended."""
    begins: list[Begin] = []
    acts: list[Act] = []
    begun: dict[tuple[int, int, int], float] = {}
    ids: dict[str, tuple[int, int]] = {}
    with notes.open(encoding="utf-8") as lines:
        for text in lines:
            line = json.loads(text)
            run, number = ids.setdefault(line["task"], _reference(line["task"]))
            call = (run, number, line["attempt"])
            if line["what"] == "begun":
                begins.append(Begin(run, number, line["node"], line["attempt"], line["at"]))
                begun[call] = line["at"]
            elif call in begun:
                acts.append(Act(run, number, line["node"], line["attempt"], begun[call], line["at"]))
    return begins, acts


def _begins(tables: Tables) -> Iterator[Violation]:
    """Each attempt is begun once, by whoever has leased it."""
    for (run, number, attempt), times in Counter((b.run, b.number, b.attempt) for b in tables.begins).items():
        if times > 1:
            yield Violation(REPEATED, run, number, f"its attempt {attempt} began {times} times")
    for begin in tables.begins:
        if begin.node == NEVER:
            yield Violation("early", begin.run, begin.number, "it was put off by half an hour, and began")


def _reference(task: str) -> tuple[int, int]:
    from heliostat.run import parse_id

    run, _, number = task.partition("/")
    return parse_id(run), int(number)


def _effective(tables: Tables) -> list[Act]:
    """Calls whose attempt kept its lease to the end: a function that lost it may go on, and changes nothing."""
    lost = {
        (run, number, attempt)
        for run, number, attempt, how in tables.past
        if how in ("rescued", "timed_out", "stopped")
    }
    return [act for act in tables.acts if (act.run, act.number, act.attempt) not in lost]


def _most(acts: Iterable[Act]) -> tuple[int, Act | None]:
    """How many ran at once at most, and the one that made it so."""
    steps = [(act.begun, 1, act) for act in acts] + [(act.ended, -1, act) for act in acts]
    most, now, who = 0, 0, None
    for _, by, act in sorted(steps, key=lambda step: (step[0], step[1])):
        now += by
        if now > most:
            most, who = now, act
    return most, who


def _limits(tables: Tables) -> Iterator[Violation]:
    acts = _effective(tables)
    for node, limit in LIMITED.items():
        most, who = _most([act for act in acts if act.node == node])
        if who is not None and most > limit:
            yield Violation("limit", who.run, who.number, f"{most} of {node} ran at once, and {limit} may")


def _turns(tables: Tables) -> Iterator[Violation]:
    """One at a time per key, in the order sent."""
    keys = {(task.run, task.number): task.key for run in tables.tasks.values() for task in run if task.key is not None}
    settled = {(task.run, task.number): task.settled for run in tables.tasks.values() for task in run}
    lanes: defaultdict[tuple[int, str], list[Act]] = defaultdict(list)
    for act in _effective(tables):
        if act.node in SERIAL and (key := keys.get((act.run, act.number))) is not None:
            lanes[act.run, key].append(act)
    for (run, key), acts in lanes.items():
        most, who = _most(acts)
        if who is not None and most > 1:
            yield Violation("serial", run, who.number, f"{most} of the key {key} ran at once")
        done = [act for act in acts if settled.get((act.run, act.number)) == act.attempt and act.node == "count"]
        order = [act.number for act in sorted(done, key=lambda act: act.begun)]
        if order != sorted(order):
            yield Violation("serial", run, order[0], f"the key {key} was taken in the order {order}")
