"""The rows of a ledger in SQLite: one connection under ``BEGIN IMMEDIATE``, where nobody else writes."""

from __future__ import annotations

from enum import Enum
from functools import cache, partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from heliostat.run import RunState
from heliostat.stores.rows import Arrival, Arrived
from heliostat.stores.sqlrows import Row, SqlRows, listed
from heliostat.stores.statements import Statements, fill
from heliostat.task import Attempt

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from heliostat.queue import Lane

STATEMENTS = Statements("sqlite", "?")


class SqliteRows(SqlRows):
    """A transaction in SQLite; implements ``rows.Rows``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self._executemany = connection.executemany

    def run(self, name: str, /, **values: object) -> int:
        statement = STATEMENTS[name]
        return self._execute(statement.text, [values[n] for n in statement.names]).rowcount

    def fetch(self, name: str, /, **values: object) -> list[Row]:
        statement = STATEMENTS[name]
        return self._execute(statement.text, [values[n] for n in statement.names]).fetchall()

    def many(self, name: str, fields: Sequence[str], rows: Sequence[Row]) -> int:
        done = 0
        for types, alike in groupby(rows, key=_types):
            words = _words(name, tuple(fields), types)
            for constants, same in groupby(alike, key=words.constants):
                text, values = words.spelled(constants)
                done += self._executemany(text, map(values, same)).rowcount
        return done

    def task_arrive(self, arrivals: Sequence[Arrival]) -> list[Arrived]:
        wanted = {(a.run, a.number): a for a in arrivals}
        found = [Arrived(*row) for row in self.fetch("task_awaiting", references=listed(wanted))]
        self.many("task_arrive", Arrival._fields, [wanted[row.run, row.number] for row in found])
        return [_counted(row, wanted[row.run, row.number]) for row in found]

    def task_gate(self, run: int, node: str, unmet: int) -> list[Arrived]:
        found = [Arrived(*row) for row in self.fetch("task_gated", run=run, node=node)]
        if found:
            self.run("task_gate", run=run, node=node, unmet=unmet)
        return [row._replace(missing=row.missing - 1, unmet=row.unmet + unmet) for row in found]

    def task_lease(self, worker: str, lanes: Sequence[tuple[Lane, int]], n: int, now: float) -> list[Attempt]:
        heads = self._heads(lanes, n)
        begun = [(lane, row) for lane, row in heads if row[2] == RunState.active or row[15]]
        if begun:
            self.run("task_take", ids=listed([row[1] for _, row in begun]), worker=worker, now=now)
        if len(begun) < len(heads):
            over = {row[1] for _, row in heads} - {row[1] for _, row in begun}
            self.run("task_drop", ids=listed(over), now=now)
        return [_leased(row, lane, now) for lane, row in begun]

    def _heads(self, lanes: Sequence[tuple[Lane, int]], n: int) -> list[tuple[Lane, Row]]:
        """The best tasks over all lanes: each lane's own best, merged. One UPDATE … RETURNING takes a fifth longer."""
        if len(lanes) > 1:
            offering = {row[0] for row in self.fetch("lane_offering", ids=listed([lane.id for lane, _ in lanes]))}
            lanes = [(lane, most) for lane, most in lanes if lane.id in offering]
        heads = [
            (lane, row) for lane, most in lanes for row in self.fetch("task_heads", lane=lane.id, most=min(most, n))
        ]
        if len(lanes) > 1:
            heads.sort(key=lambda head: (-head[1][0], head[1][1]))
        return heads[:n]


def _leased(row: Row, lane: Lane, now: float) -> Attempt:
    values = (*row[3:6], lane.graph, row[6], lane.queue, *row[7:14], now, row[14], bool(row[15]), row[16])
    return Attempt(*values)


def _counted(row: Arrived, arrival: Arrival) -> Arrived:
    width = arrival.width if arrival.width is not None else row.width
    return row._replace(missing=row.missing - arrival.by, unmet=row.unmet + arrival.unmet, width=width)


# Python's sqlite3 binds None, booleans and states through its adapters, at five times the cost of a number. Rows of
# one commit are alike in them, so they are written into the statement: one statement for each kind of row.


def _types(row: Row) -> tuple[type, ...]:
    return tuple(map(type, row))


class _Words:
    """A statement for rows whose values have certain types."""

    def __init__(self, name: str, fields: tuple[str, ...], types: tuple[type, ...]) -> None:
        self.name, self.fields = name, fields
        slow = [place for place, kind in enumerate(types) if kind is bool or issubclass(kind, Enum)]
        self._none = {fields[place]: "NULL" for place, kind in enumerate(types) if kind is type(None)}
        self._slow = [fields[place] for place in slow]
        self.constants = _getter(slow)
        self._spelled: dict[Row, tuple[str, Callable[[Row], Row]]] = {}

    def spelled(self, constants: Row) -> tuple[str, Callable[[Row], Row]]:
        """The statement with these values written into it, and what takes the others from a row."""
        if (known := self._spelled.get(constants)) is None:
            words = self._none | {name: _literal(v) for name, v in zip(self._slow, constants, strict=True)}
            statement = fill(STATEMENTS.source(self.name), "?", words)
            known = statement.text, _getter([self.fields.index(name) for name in statement.names])
            self._spelled[constants] = known
        return known


_words = cache(_Words)


def _literal(value: object) -> str:
    return f"'{value.value}'" if isinstance(value, Enum) else str(int(bool(value)))


def _getter(places: Sequence[int]) -> Callable[[Row], Row]:
    """What takes these places from a row, always as a tuple."""
    if len(places) > 1:
        return itemgetter(*places)
    return partial(_take, places[0] if places else None)


def _take(place: int | None, row: Row) -> Row:
    return () if place is None else (row[place],)
