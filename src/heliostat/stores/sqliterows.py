"""The rows of a ledger in SQLite: one connection under ``BEGIN IMMEDIATE``, where nobody else writes."""

from __future__ import annotations

from enum import Enum
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from heliostat.run import RunState
from heliostat.stores.rows import Arrival, Arrived, RunRow, Strays
from heliostat.stores.sqlrows import Row, SqlRows, listed
from heliostat.stores.statements import Statements, fill
from heliostat.task import Attempt, lean

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

    from heliostat.queue import Lane, Queue
    from heliostat.stores.rows import RunChange

STATEMENTS = Statements("sqlite", "?")
Head: TypeAlias = tuple[int, int, int, int, Attempt]  # priority, place in the order, whether it may begin, lane

REMEMBERED = 10_000  #: runs
AT_ONCE = 250  #: rows that are turned into columns together: as many as stay near the processor


class Still:
    """What a process has read or written itself, and what is still true while nobody else has written.

    SQLite tells: its ``data_version`` changes with the commits of other connections. Many processes on one file gain
    nothing by it; the one process of a laptop reads neither its runs nor its lanes again at each commit.
    """

    def __init__(self) -> None:
        self.version = -1
        self.runs: dict[int, RunRow] = {}
        self.lanes: dict[frozenset[int] | None, list[tuple[Lane, Queue]]] = {}
        self.looked: object = None  # the look that found nothing, and how much was written until then

    def see(self, version: int) -> None:
        """A transaction begins: forget all if others have written."""
        if version != self.version or len(self.runs) > REMEMBERED:
            self.forget()
            self.version = version

    def forget(self) -> None:
        """Nothing is sure any more."""
        self.version = -1
        self.runs.clear()
        self.lanes.clear()
        self.looked = None

    def changed(self, change: RunChange) -> None:
        """A run was written; those that are over are not remembered, for they may be pruned."""
        if (row := self.runs.get(change.id)) is None:
            return
        if change.state is RunState.active:
            self.runs[row.id] = RunRow._make(row[:6] + change[:-1])
        else:
            del self.runs[row.id]


class SqliteRows(SqlRows):
    """A transaction in SQLite; implements ``rows.Rows``."""

    def __init__(self, connection: sqlite3.Connection, still: Still | None = None) -> None:
        self._execute = connection.execute
        self._executemany = connection.executemany
        self._still = still or Still()

    def run(self, name: str, /, **values: object) -> int:
        statement = STATEMENTS[name]
        if name.startswith(("lane_", "queue_")):
            self._still.lanes.clear()
        return self._execute(statement.text, [values[n] for n in statement.names]).rowcount

    def fetch(self, name: str, /, **values: object) -> list[Row]:
        statement = STATEMENTS[name]
        return self._execute(statement.text, [values[n] for n in statement.names]).fetchall()

    def many(self, name: str, fields: Sequence[str], rows: Sequence[Row]) -> int:
        if name.startswith(("lane_", "queue_")):
            self._still.lanes.clear()
        if len(rows) == 1:
            text, pick = _spelled(name, tuple(fields), ())
            return self._execute(text, pick(rows[0])).rowcount
        return sum(self._many(name, fields, rows[place : place + AT_ONCE]) for place in range(0, len(rows), AT_ONCE))

    def _many(self, name: str, fields: Sequence[str], rows: Sequence[Row]) -> int:
        columns = list(zip(*rows, strict=True))
        words, varied = [], []
        for place, column in enumerate(columns):
            first = column[0]
            if column.count(first) == len(column):
                if type(first) not in _FAST:
                    words.append((place, _literal(first)))
            elif not _FAST.issuperset(map(type, column)):
                varied.append(place)
        if varied:  # rows that differ in what is slow to bind: those that are alike go together
            alike = groupby(rows, key=lambda row: [(type(row[place]), _slow(row[place])) for place in varied])
            return sum(self._many(name, fields, list(same)) for _, same in alike)
        text, pick = _spelled(name, tuple(fields), tuple(words))
        return self._executemany(text, zip(*pick(columns), strict=True)).rowcount

    # what is still true

    def run_lock(self, ids: Sequence[int]) -> list[RunRow]:
        known = self._still.runs
        if asked := [run for run in ids if run not in known]:
            found = super().run_lock(asked)
            known.update((row.id, row) for row in found if row.state is RunState.active)
            if len(found) == len(ids):
                return found
            known = known | {row.id: row for row in found}
        return [known[run] for run in ids if run in known]

    def run_change(self, changes: Sequence[RunChange]) -> None:
        super().run_change(changes)
        for change in changes:
            self._still.changed(change)

    def lane_list(self, graphs: Iterable[int] | None = None) -> list[tuple[Lane, Queue]]:
        key = None if graphs is None else frozenset(graphs)
        if (known := self._still.lanes.get(key)) is None:
            known = self._still.lanes[key] = super().lane_list(key)
        return known

    # tasks

    def task_arrive(self, arrivals: Sequence[Arrival]) -> list[Arrived]:
        wanted = {(a.run, a.number): a for a in arrivals}
        found = [Arrived(*row) for row in self.fetch("task_awaiting", references=listed(wanted))]
        self.many("task_arrive", Arrival._fields, [wanted[row.run, row.number] for row in found])
        return [_counted(row, wanted[row.run, row.number]) for row in found]

    def task_gate(self, run: int, node: str, unmet: int, *, failing: bool) -> list[Arrived]:
        del failing  # no other run has any that are cancelled and miss something
        found = [Arrived(*row) for row in self.fetch("task_gated", run=run, node=node)]
        if found:
            self.run("task_gate", run=run, node=node, unmet=unmet)
        return [row._replace(missing=row.missing - 1, unmet=row.unmet + unmet) for row in found]

    def task_lease(
        self, worker: str, lanes: Sequence[tuple[Lane, int]], n: int, now: float, strays: Strays
    ) -> tuple[list[Attempt], int]:
        heads = self._heads(lanes, n, now)
        found = len(heads)
        if strays:
            homes = [(head, strays.get((head[3], head[4].node))) for head in heads]
            self.many("task_home", ("seq", "lane"), [(head[1], home) for head, home in homes if home is not None])
            heads = [head for head, home in homes if home is None]
        moved = found - len(heads)
        begun = [head for head in heads if head[2]]
        if len(begun) == 1:  # a list of one costs twice as much as the one
            self.run("task_take_one", seq=begun[0][1], worker=worker, now=now)
        elif begun:
            self.run("task_take", ids=listed([head[1] for head in begun]), worker=worker, now=now)
        if len(begun) < len(heads):
            self.run("task_drop", ids=listed([head[1] for head in heads if not head[2]]), now=now)
        return [head[4] for head in begun], moved

    def _heads(self, lanes: Sequence[tuple[Lane, int]], n: int, now: float) -> list[Head]:
        """The best tasks over all lanes: each lane's own best, merged. One UPDATE … RETURNING takes a fifth longer."""
        if len(lanes) > 1:
            offering = {row[0] for row in self.fetch("lane_offering", ids=listed([lane.id for lane, _ in lanes]))}
            lanes = [(lane, most) for lane, most in lanes if lane.id in offering]
        heads: list[Head] = []
        for lane, most in lanes:
            id_, graph, queue = lane.id, lane.graph, lane.queue
            rows = self.fetch("task_heads", lane=id_, most=min(most, n))
            # fmt: off
            heads += [
                (rank, seq, begins, id_, lean(Attempt, (
                    run, number, count, graph, node, queue, item, message, key,
                    join, place, failures, rescues, now, due_at, epilogue, parent,
                )))
                for rank, seq, begins, run, number, count, node, item, message, key,
                    join, place, failures, rescues, due_at, epilogue, parent in rows
            ]
            # fmt: on
        if len(lanes) > 1:
            heads.sort(key=lambda head: (-head[0], head[1]))
        return heads[:n]


def _counted(row: Arrived, arrival: Arrival) -> Arrived:
    width = arrival.width if arrival.width is not None else row.width
    return row._replace(missing=row.missing - arrival.by, unmet=row.unmet + arrival.unmet, width=width)


# Python's sqlite3 binds None, booleans and states through its adapters, at five times the cost of a number. Rows of
# one commit are alike in them, so they are written into the statement: one statement for each kind of row. For a row
# alone that costs more than it saves.

_FAST = frozenset({int, float, str})


def _slow(value: object) -> object:
    return None if type(value) in _FAST else value


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    return f"'{value.value}'" if isinstance(value, Enum) else str(int(bool(value)))


@cache
def _spelled(
    name: str, fields: tuple[str, ...], words: tuple[tuple[int, str], ...]
) -> tuple[str, Callable[[Sequence[Any]], Sequence[Any]]]:
    """A statement with these words written into it, and what picks its parameters from a row."""
    statement = fill(STATEMENTS.source(name), "?", {fields[place]: word for place, word in words})
    places = [fields.index(name) for name in statement.names]
    return statement.text, itemgetter(*places) if len(places) > 1 else lambda row: [row[place] for place in places]
