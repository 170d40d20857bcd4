"""What contexts read of the database where there is none: asked of who has one, or written down beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heliostat import form
from heliostat.errors import TaskError
from heliostat.run import Run
from heliostat.store import Kept, Record
from heliostat.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heliostat.store import Store
    from heliostat.task import TaskState

READS = ("run", "task", "tasks", "records", "artifacts")  #: what contexts read of the store


class Truth:
    """What contexts read of a store, asked of whoever knows: by verb and arguments, for the JSON of an answer."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask

    def run(self, run: int) -> Any:
        """One run."""
        return form.from_json(Run, self._ask("run", run=run))

    def task(self, run: int, number: int) -> Any:
        """One task."""
        return form.from_json(Task, self._ask("task", run=run, number=number))

    def tasks(
        self, run: int, state: TaskState | None = None, node: str | None = None, after: int = 0, limit: int = 1000
    ) -> Any:
        """Tasks of a run, by number."""
        return form.from_json(Task, self._ask("tasks", run=run, state=state, node=node, after=after, limit=limit))

    def records(self, run: int, node: str | None = None, key: str | None = None) -> Any:
        """Records of a run, in the order put."""
        return form.from_json(Record, self._ask("records", run=run, node=node, key=key))

    def artifacts(self, run: int) -> Any:
        """What a run keeps, in the order kept."""
        return form.from_json(Kept, self._ask("artifacts", run=run))


class Notes:
    """What was asked of a store and what it answered, written down for where there is none."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.rows: list[list[Any]] = []  #: verb, arguments and answer of each question, as JSON

    def ask(self, verb: str, **given: Any) -> Any:
        """Ask the store, and note it."""
        answer = form.to_json(getattr(self._store, verb)(**given))
        self.rows.append([verb, given, answer])
        return answer


class Told:
    """The answers in notes that others have taken."""

    def __init__(self, rows: Sequence[Sequence[Any]]) -> None:
        self._rows = rows

    def ask(self, verb: str, **given: Any) -> Any:
        """Say again what was answered; of all records those of a node or key.

        Raises TaskError for what nobody has asked.
        """
        for asked, of, answer in self._rows:
            if asked == verb and of == given:
                return answer
            if asked == verb == "records" and of == {"run": given["run"], "node": None, "key": None}:
                return [record for record in answer if _meant(record, **given)]
        raise TaskError(
            f"{verb} of the run cannot be read in a job, which has no database; what a context tells was written down "
            "when it was submitted"
        )


def _meant(record: dict[str, Any], run: int, node: str | None, key: str | None) -> bool:
    del run
    return node in (None, record["node"]) and key in (None, record["key"])
