"""What a process that has the database tells its children, and hears from them."""

from __future__ import annotations

import shutil
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from heliostat import form, whereabouts
from heliostat.errors import BadInput, HeliostatError, said
from heliostat.task import TaskState
from heliostat.telling import READS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heliostat.context import Surroundings
    from heliostat.environments import Environments
    from heliostat.executor import Work
    from heliostat.outcome import Outcome
    from heliostat.registry import Registry
    from heliostat.whereabouts import Importing


class ChildrensParent:
    """Implements ``executor.Parent``. ``importing`` finds a module by name and file; ``prepare`` is a performer's."""

    def __init__(
        self,
        registry: Registry,
        around: Surroundings,
        importing: Importing,
        environments: Environments,
        prepare: Callable[[Work], Outcome | None],
    ) -> None:
        self._registry, self._around, self._importing = registry, around, importing
        self._environments, self.prepare = environments, prepare

    @property
    def hello(self) -> dict[str, object]:
        """The directory of files, the queues, and how a child finds this program's own module."""
        around = self._around
        queues = None if around.queues is None else sorted(around.queues)
        main = whereabouts.main() | {"sys_argv": sys.argv}
        return {"files": str(around.directory), "queues": queues, "main": main}

    def definition(self, graph: int) -> object:
        """The graph as it is, with where its functions are."""
        return whereabouts.written(self._registry.graph(graph), self._registry.signatures(graph))

    def interpreter(self, work: Work) -> str:
        """That of the environment with what its node requires; what is installed is told in the run's log."""
        if not work.node.requires:
            return ""
        told = partial(self._told, work)
        return str(self._environments.python(work.node.requires, lambda: work.stop is None, told))

    def _told(self, work: Work, words: str) -> None:
        self._around.log(work.attempt, [{"message": words}])

    def answer(self, verb: str, given: dict[str, Any]) -> dict[str, object]:
        """Ask the store, or whoever knows."""
        try:
            return {"value": self._answered(verb, given)}
        except Exception as error:  # noqa: BLE001 - it is raised again in the child, where the question came from
            kind = type(error).__name__ if isinstance(error, HeliostatError) else ""
            return {"kind": kind, "error": said(error) or type(error).__name__}

    def _answered(self, verb: str, given: dict[str, Any]) -> object:
        if verb == "now":
            return self._around.clock.now()
        if verb == "secret":
            return str(self._around.vault.read(given["name"]))  # from here on it is masked in what the child prints
        if verb == "offer":
            self._registry.keep(*whereabouts.read(given["definition"], self._importing))
            return None
        if verb not in READS:
            raise BadInput(f"a child asks {verb!r}, which nobody can answer")
        if given.get("state") is not None:
            given["state"] = TaskState(given["state"])
        return form.to_json(getattr(self._around.store, verb)(**given))

    def note(self, work: Work, stream: str, lines: Sequence[str]) -> None:
        """Put what was printed into the run's log."""
        self._around.log(work.attempt, [{"message": line, "stream": stream} for line in lines])

    def clear(self, work: Work) -> None:
        """Remove what a child that was killed could not remove."""
        shutil.rmtree(self._around.attempt_directory(work), ignore_errors=True)
