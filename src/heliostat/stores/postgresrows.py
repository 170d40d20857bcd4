"""The rows of a ledger in PostgreSQL: set-based statements in pipeline mode.

A statement that answers nothing costs no round trip: it is sent, and what it has to say comes with the next answer.
Sets travel as JSON text, which the server takes apart; many new tasks are copied in.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg
from pydantic_core import to_json

from heliostat.stores.rows import Arrival, Arrived, NewTask, Stale, Strays
from heliostat.stores.sqlrows import Row, SqlRows, listed
from heliostat.stores.statements import Statements
from heliostat.task import Attempt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from heliostat.queue import Lane

STATEMENTS = Statements("postgres", "$")
TAG = 26740  #: marks this schema's advisory locks: 16 bits above 48
MUCH = 50_000  #: characters that a connection surely takes while nobody reads at its other end
COPIED = 50  #: from so many new tasks on, leaving the pipeline for COPY is worth it

_WRITING = frozenset(
    {"task_arrive", "task_gate", "task_gate_failing", "task_lease", "task_lease_among"}
)  #: what answers the rows it changed


class PostgresRows(SqlRows):
    """A transaction in PostgreSQL; implements ``rows.Rows``. ``begin`` it, then ``commit`` it or ``abandon`` it.

    ``process`` and ``number`` are the mark under which it commits, by which its outcome can be asked for.
    """

    def __init__(self, connection: psycopg.Connection[Row], process: str = "", number: int = 0) -> None:
        self._connection = connection
        self.process, self.number = process, number
        self._pipelining: AbstractContextManager[psycopg.Pipeline] | None = None
        self._pipeline: psycopg.Pipeline | None = None
        self.writes = False
        self._journals = False
        self._expected: list[tuple[int, psycopg.Cursor[Row]]] = []
        self._foreseen: dict[tuple[str, str], psycopg.Cursor[Row]] = {}
        self._unsent = 0  # characters given to statements since the last answer, at most

    # the transaction

    def begin(self) -> None:
        """Begin; the server hears of it with the first statement."""
        self._enter()
        self._connection.execute("BEGIN")

    def prepare(self) -> None:
        """All that can fail before COMMIT: what was expected has come about, and if it wrote, it leaves its mark."""
        if self.writes:
            self.later("commit_mark", process=self.process, number=self.number)
        if self._unsent > MUCH or any(cursor.rowcount < 0 for _, cursor in self._expected):
            self._wait()
        if self.stale:
            raise Stale

    @property
    def stale(self) -> bool:
        """Whether a statement is known to have changed another number of rows than was expected."""
        return any(cursor.rowcount not in (n, -1) for n, cursor in self._expected)

    def commit(self) -> None:
        """Commit; after a lost connection only the mark can tell whether it did."""
        self._connection.execute("COMMIT")
        self._leave()

    def abandon(self) -> None:
        """Leave nothing behind."""
        if self._unsent > MUCH:
            self._connection.close()  # to send it all only to have it undone could take for ever
        with suppress(psycopg.Error):  # what went wrong is known already
            self._leave()
        if not self._connection.closed:
            self._connection.execute("ROLLBACK")

    def _enter(self) -> None:
        self._pipelining = self._connection.pipeline()
        self._pipeline = self._pipelining.__enter__()

    def _leave(self) -> None:
        if self._pipelining is not None:
            pipelining, self._pipelining = self._pipelining, None
            pipelining.__exit__(None, None, None)

    # statements

    def _execute(self, name: str, values: Mapping[str, object]) -> psycopg.Cursor[Row]:
        statement = STATEMENTS[name]
        cursor, given = self._connection.cursor(binary=True), [values[n] for n in statement.names]
        self._unsent += sum([len(value) for value in given if type(value) is str])
        return cursor.execute(statement.text, given)

    def _wait(self) -> None:
        """Have all that was sent carried out.

        A pipeline's own ``sync`` waits for answers also to what it has not sent, where that is more than the connection
        takes at once: for ever. Asking something sends and reads by turns.
        """
        if self._pipeline is not None and self._unsent <= MUCH:
            self._pipeline.sync()
        elif self._pipeline is not None:
            self._connection.cursor(binary=True).execute("SELECT 1").fetchall()
        self._unsent = 0

    def run(self, name: str, /, **values: object) -> int:
        self.writes = True
        cursor = self._execute(name, values)
        self._wait()
        return cursor.rowcount

    def fetch(self, name: str, /, **values: object) -> list[Row]:
        known = self._foreseen.pop((name, str(values.get("ids"))), None) if self._foreseen else None
        cursor = known or self._execute(name, values)
        found = cursor.fetchall()
        self.writes |= bool(found) and name in _WRITING
        if known is None:  # else it was answered before what was asked since was sent
            self._unsent = 0
        return found

    def expect(self, n: int, name: str, fields: Sequence[str], rows: Sequence[Row]) -> None:
        self.writes = True
        self._expected.append((n, self._execute(name, {"rows": _records(fields, rows)})))

    def later(self, name: str, /, **values: object) -> None:
        self.writes = True
        self._execute(name, values)

    def many(self, name: str, fields: Sequence[str], rows: Sequence[Row]) -> int:
        return self.run(name, rows=_records(fields, rows))

    def many_later(self, name: str, fields: Sequence[str], rows: Sequence[Row]) -> None:
        if STATEMENTS[name].names == ("rows",):
            self.later(name, rows=_records(fields, rows))
        else:
            for row in rows:
                self.later(name, **dict(zip(fields, row, strict=True)))

    # verbs that PostgreSQL does in its own way

    def task_insert(self, tasks: Sequence[NewTask]) -> None:
        if len(tasks) < COPIED:
            super().task_insert(tasks)
            return
        self.writes = True
        if self._unsent > MUCH:
            self._wait()
        self._leave()
        with self._connection.cursor().copy(STATEMENTS["task_copy"].text) as copy:
            for task in tasks:
                copy.write_row(task)
        self._enter()

    def task_arrive(self, arrivals: Sequence[Arrival]) -> list[Arrived]:
        found = self.fetch("task_arrive", rows=_records(Arrival._fields, arrivals))
        known = {(row[0], row[1]): Arrived(*row) for row in found}
        targets = ((arrival.run, arrival.number) for arrival in arrivals)
        return [known[target] for target in targets if target in known]

    def task_gate(self, run: int, node: str, unmet: int, *, failing: bool) -> list[Arrived]:
        statement = "task_gate_failing" if failing else "task_gate"
        found = [Arrived(*row) for row in self.fetch(statement, run=run, node=node, unmet=unmet)]
        return sorted(found, key=lambda row: row.number)

    def lane_soon(self, graphs: Iterable[int]) -> None:
        self._foreseen["lane_list", listed(sorted(graphs))] = self._execute(
            "lane_list", {"ids": listed(sorted(graphs))}
        )

    def lane_running(self, queues: Sequence[str], lanes: Sequence[int]) -> tuple[dict[str, int], dict[int, int]]:
        if queues:
            self.later("queue_lock", names=listed(queues))
        if lanes:
            self.later("lane_lock", ids=listed(lanes))
        return super().lane_running(queues, lanes)

    def task_lease(
        self, worker: str, lanes: Sequence[tuple[Lane, int]], n: int, now: float, strays: Strays
    ) -> tuple[list[Attempt], int]:
        known = {lane.id: lane for lane, _ in lanes}
        moves = _records(("lane", "node", "own"), [(*place, own) for place, own in strays.items() if place[0] in known])
        common = {"worker": worker, "now": now, "strays": moves}
        if len(lanes) == 1:
            lane, most = lanes[0]
            found = self.fetch("task_lease", lane=lane.id, most=min(most, n), **common)
        else:
            wanted = to_json([{"lane": lane.id, "most": min(most, n)} for lane, most in lanes]).decode()
            found = self.fetch("task_lease_among", lanes=wanted, most=n, **common)
        begun = sorted((row for row in found if row[2] == "running"), key=lambda row: (-row[0], row[1]))
        moved = sum(row[2] == "ready" for row in found)
        return [_leased(row, known[row[17]], now) for row in begun], moved

    def journal_insert(self, entries: Sequence[tuple[int, float, str, str]]) -> None:
        if not self._journals:
            self._journals = True
            self.later("journal_lock", tag=TAG)
        super().journal_insert(entries)


def _leased(row: Row, lane: Lane, now: float) -> Attempt:
    values = (*row[3:6], lane.graph, row[6], lane.queue, *row[7:14], now, *row[14:17])
    return Attempt(*values)


def _records(fields: Sequence[str], rows: Sequence[Any]) -> str:
    """Rows as a JSON list of objects."""
    return to_json([dict(zip(fields, row, strict=True)) for row in rows]).decode()
