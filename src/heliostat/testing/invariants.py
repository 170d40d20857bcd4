"""What must hold of a run's rows whatever happens: at every commit, and when all is over.

They look at the tables themselves, with questions of their own, so that a mistake of the engine's cannot hide.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from heliostat.effects import Keep, Map, Put, Send, Start
from heliostat.outcome import Succeeded
from heliostat.run import RUN_MOVES, RunState
from heliostat.task import TASK_MOVES, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heliostat.outcome import Outcome
    from heliostat.store import Answer, Batch
    from heliostat.stores.memory import Tables
    from heliostat.task import Attempt


def possible(tables: Tables, moves: Iterable[tuple[str, Any, Any]]) -> None:
    """Raise AssertionError if a commit moved a state backwards or left rows that contradict one another."""
    for what, before, after in moves:
        table: Any = TASK_MOVES if isinstance(before, TaskState) else RUN_MOVES
        assert after in table[before], f"{what} went from {before} to {after}"
    for run in tables.runs.values():
        tasks = tables.tasks[run.id].values()
        holders = Counter(task.key for task in tasks if task.holds)
        assert all(count == 1 for count in holders.values()), f"a serial key is held twice: {holders}"
        turns = Counter(task.key for task in tasks if task.key and task.state in (TaskState.ready, TaskState.running))
        assert all(count == 1 for count in turns.values()), f"two of a serial key have their turn: {turns}"
        stays = tables.graphs[run.graph].stays_open and not run.closing
        expected = sum(not task.state.final for task in tasks) + int(stays and run.state is RunState.active)
        counted = run.open == expected or (run.state.final and run.open > expected)  # until the sweep has looked
        assert counted, f"run {run.public} counts {run.open} open tasks, and there are {expected}"
        for task in tasks:
            assert task.missing >= 0, f"{task.node} {task.number} misses {task.missing}"
    running = Counter(tables.lanes[lane].queue for lane, rows in tables.running.items() for _ in rows)
    for queue in tables.queues.values():
        assert queue.limit is None or running[queue.name] <= queue.limit, f"queue {queue.name} is above its limit"
    for lane in tables.lanes.values():
        assert lane.limit is None or len(tables.running[lane.id]) <= lane.limit, f"node {lane.node} is above its limit"


def at_rest(tables: Tables) -> None:
    """Raise AssertionError if runs that are over have left anything behind."""
    for run in tables.runs.values():
        assert run.state.final, f"run {run.public} is {run.state}"
        assert run.open == 0, f"run {run.public} counts {run.open} open tasks after its end"
        for task in tables.tasks[run.id].values():
            where = f"{task.node} {task.number} of run {run.public}"
            assert task.state.final, f"{where} is {task.state}"
            assert not task.holds or task.state is TaskState.cancelled, f"{where} holds its serial key"
            assert task.ended_at is not None, f"{where} has no end"
    named = [(tables.graphs[run.graph].name, run.idempotency_key) for run in tables.runs.values()]
    for (workflow, key), count in Counter(name for name in named if name[1] is not None).items():
        assert count == 1, f"the key {key!r} has started {count} runs of {workflow}"
    assert not any(tables.running.values()), "a slot is taken for good"
    assert not any(tables.ready.values()), "something is still ready"


class Account:
    """What was promised: outcomes that were called committed, and requests that were accepted.

    It hears every answer of the store, those too that nobody else hears.
    """

    def __init__(self) -> None:
        self.committed: dict[tuple[int, int, int], Outcome] = {}
        self.accepted: set[tuple[int, int | None]] = set()

    def accept(self, answers: Iterable[Answer]) -> None:
        """Write down what was answered to a caller."""
        self.accepted |= {(one.run, one.number) for one in answers if one.run is not None}

    def settle(self, outcomes: Sequence[tuple[Attempt, Outcome]], batch: Batch, over: frozenset[int]) -> None:
        """Write down what was answered to a worker; ``over`` are the runs that had ended before.

        Raises AssertionError for an outcome that the store could not record, or should not have.
        """
        for (attempt, outcome), verdict in zip(outcomes, batch.verdicts, strict=True):
            assert verdict.word != "refused", f"the store refused an outcome: {verdict.reason}"
            if verdict.word == "committed" and attempt[:3] not in self.committed:
                late = attempt.run in over and not attempt.epilogue
                assert not late, f"{attempt.node} {attempt.number} was committed after the end of its run"
                self.committed[attempt[:3]] = outcome

    def balance(self, tables: Tables) -> None:
        """Raise AssertionError unless all that was promised is in effect, and once."""
        for run, number in self.accepted:
            there = run in tables.runs and (number is None or number in tables.tasks[run])
            assert there, f"run {run} or its task {number} was accepted and is not there"
        puts, kept, sent = Counter[Any](), Counter[Any](), Counter[Any]()
        unsure = set[Any]()
        for (run, number, _), outcome in self.committed.items():
            task = tables.tasks[run][number]
            if isinstance(outcome, Succeeded):
                assert (task.state, task.result) == (TaskState.succeeded, outcome.result), (
                    f"{task.node} {number} was committed with {outcome.result} and is {task.state} with {task.result}"
                )
            for effect in getattr(outcome, "effects", ()):
                match effect:
                    case Put(key=None):
                        puts[run, number] += 1
                    case Keep() if task.message is None:  # a message may bring files of its own
                        kept[run, number] += 1
                    case Send(node, idempotency_key=None):
                        sent[run, number, node] += 1
                    case Send(node):
                        unsure.add((run, number, node))
                    case Map(node, messages, then):
                        sent[run, number, node] += len(messages)
                        unsure.add((run, number, then))
                    case Start(run=other, idempotency_key=key, then=then):
                        unsure.add((run, number, then))
                        there = key is not None or other in tables.runs
                        assert there, f"{task.node} {number} started a run that is not there"
                    case _:
                        pass
        rows = [(run, record) for run, records in tables.records.items() for record in records.values()]
        _once("record", puts, Counter((run, record.number) for run, record in rows if record.key is None))
        found = [(run, one.number) for run, artifacts in tables.artifacts.items() for one in artifacts]
        _once("artifact", kept, Counter(place for place in found if place in kept))
        born = [(run, t.cause, t.node) for run, rows_ in tables.tasks.items() for t in rows_.values() if t.message]
        _once("message", sent, Counter(place for place in born if place[:2] in {key[:2] for key in sent}), unsure)


def _once(what: str, promised: Counter[Any], found: Counter[Any], unsure: Iterable[Any] = ()) -> None:
    for place in (promised.keys() | found.keys()) - set(unsure):
        assert promised[place] == found[place], (
            f"task {place[1]} asked for {promised[place]} {what}s and {found[place]} took effect"
        )
