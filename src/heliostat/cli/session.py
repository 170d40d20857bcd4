"""What commands have in common: the engine, runs and tasks by shortened ids, workflows by what people type."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliostat.cli import output
from heliostat.errors import BadInput, DefinitionError, HeliostatError, NotFound, nearest
from heliostat.run import parse_id, split_task_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import typer

    from heliostat.config import Config
    from heliostat.engine import Engine
    from heliostat.graph import Graph
    from heliostat.handle import RunHandle
    from heliostat.workflow import Workflow

SHORTEST = 4  #: letters of an id that are enough, if no other run has them
LETTERS = 13
FEW = 5  #: tasks that are named where several may be meant
_ITEM = re.compile(r"(.+)\[(\d{1,18})\]")
LOOKED_AT = 10_000  #: runs among which the end of an id is looked for, newest first
PAGE = 500
TYPED = "the command line"


@dataclass(frozen=True, slots=True)
class Session:
    """One call of the command line; ``database`` and ``files`` are None where the configuration decides."""

    database: str | None = None
    files: Path | None = None

    def settings(self) -> Config:
        """The configuration, over which what was typed wins."""
        from dataclasses import replace

        from heliostat import config

        found = config.read()
        if self.database is not None:
            found = replace(found, database=self.database, whence={**found.whence, "database": TYPED})
        if self.files is not None:
            found = replace(found, files=self.files, whence={**found.whence, "files": TYPED})
        return found

    @contextmanager
    def engine(self, *, new: bool = False) -> Iterator[Engine]:
        """The engine; unless ``new``, a database that is not there yet is refused rather than made."""
        from heliostat import compose

        with compose.open(self.database, files=self.files, actor=whoever()) as engine:
            if not new and engine.store.status()[0] == 0:
                raise NotFound(_not_yet(self.database or _configured()))
            yield engine


def _not_yet(database: str) -> str:
    from heliostat.config import masked

    if database.startswith("postgres"):
        return f"{masked(database)} has no tables yet; make them with: heliostat db upgrade"
    made = "`heliostat run start` and `heliostat worker start` make it"
    return f"there is no database {database} yet; {made}, or name another one"


def session(context: typer.Context) -> Session:
    """The session of a command."""
    found = context.obj
    assert isinstance(found, Session)
    return found


def whoever() -> str:
    """Who calls, for the journal."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for this user, as in many containers
        return f"user {os.getuid()}"


def _configured() -> str:
    from heliostat import config

    return config.read().database


def duration(word: str, option: str) -> float:
    """What was typed as a duration, in seconds."""
    import typer

    from heliostat.codec import seconds

    try:
        return seconds(word)
    except BadInput:
        raise typer.BadParameter(f"{word!r} is no duration; write 90s, 10m or 1h30m", param_hint=option) from None


def time(word: str, option: str) -> float:
    """What was typed as a time, in seconds since 1970; without a zone it is a local one."""
    from datetime import datetime

    import typer

    try:
        return datetime.fromisoformat(word).timestamp()
    except (ValueError, OverflowError):
        said = f"{word!r} is no time; write 2026-01-31 or 2026-01-31T12:00+01:00"
        raise typer.BadParameter(said, param_hint=option) from None


# runs and tasks


def find_run(engine: Engine, text: str) -> RunHandle:
    """The run with an id, or the only one whose id begins or ends with ``text``; raises NotFound."""
    word = text.strip().lower()
    if len(word) >= LETTERS or not word.isalnum():
        key = parse_id(word)
        if engine.store.run(key) is None:
            raise NotFound(f"there is no run {word}{_meant(engine, word)}")
        return engine.find(word)
    if len(word) < SHORTEST:
        raise BadInput(f"{text!r} is too short for a run's id; give at least {SHORTEST} of its letters")
    found = sorted({*_beginning(engine, word), *_ending(engine, word)})
    if not found:
        raise NotFound(f"there is no run whose id begins or ends with {word}{_meant(engine, word)}")
    if len(found) > 1:
        raise BadInput(f"{word} is short for {', '.join(found[:5])}{' and more' if len(found) > 5 else ''}; which one?")
    return engine.find(found[0])


def _beginning(engine: Engine, word: str) -> Iterable[str]:
    """At most two ids that begin so; ids are in order of time, so nothing is searched."""
    try:
        last = parse_id(word.ljust(LETTERS, "z"))
    except NotFound:
        return []
    runs = engine.store.runs(before=min(last + 1, (1 << 63) - 1), limit=2)
    return [run.public for run in runs if run.public.startswith(word)]


def _ending(engine: Engine, word: str) -> Iterator[str]:
    before: int | None = None
    for _ in range(LOOKED_AT // PAGE):
        page = engine.store.runs(before=before, limit=PAGE)
        yield from (run.public for run in page if run.public.endswith(word))
        if len(page) < PAGE:
            return
        before = page[-1].id


def _meant(engine: Engine, word: str) -> str:
    """A clause that offers the id of which this may be a misspelling, if there is one."""
    ids = [run.public for run in engine.store.runs(limit=PAGE)]
    ends = {part: whole for whole in ids for part in (whole, whole[: len(word)], whole[-len(word) :])}
    close = get_close_matches(word, ends, n=1, cutoff=0.7)
    return f"; did you mean {ends[close[0]]}?" if close else "; `heliostat run list` shows those there are"


def find_task(engine: Engine, text: str) -> tuple[RunHandle, int]:
    """The run and number of a task by its id, of which the run's part may be shortened; raises NotFound.

    In place of the number may stand a node that has one task, or an item of a node: ``spread``, ``nap[3]``.
    """
    word, slash, which = text.partition("/")
    if not slash or not which or which.isdecimal():
        word, number = split_task_id(text)
        run = find_run(engine, word)
    else:
        run = find_run(engine, word)
        number = _of_node(engine, run, which)
    if engine.store.task(run.key, number) is None:
        raise NotFound(f"run {run.id} has no task {number}; `heliostat task list {run.id}` shows what it has")
    return run, number


def _of_node(engine: Engine, run: RunHandle, which: str) -> int:
    """The number of a node's only task, or of that for an item of its list."""
    name, item = found.groups() if (found := _ITEM.fullmatch(which)) else (which, None)
    node = run.graph[name].name
    tasks = engine.store.tasks(run.key, node=node, limit=FEW + 1)
    if item is not None and tasks and (block := tasks[0].block) is not None:
        number = block + int(item) - 1 if int(item) else tasks[0].number
        task = engine.store.task(run.key, number)
        tasks = [task] if task is not None and (task.node, task.item) == (node, int(item)) else []
    elif item is not None:
        tasks = [task for task in tasks if task.item == int(item)]
    if not tasks:
        raise NotFound(f"run {run.id} has no task of {which}; `heliostat task list {run.id}` shows what it has")
    if len(tasks) > 1:
        ids = ", ".join(f"{task.number} ({task.title})" for task in tasks[:FEW])
        raise BadInput(f"{which} has tasks {ids}{' and more' if len(tasks) > FEW else ''}; which one?")
    return tasks[0].number


# workflows


def workflow(where: str) -> Workflow:
    """The one workflow that ``file.py:flow``, ``module:flow`` or a name from the configured apps stands for."""
    found = _found(where)
    if len(found) > 1:  # what another one contains is there for that one's sake
        inside = [part for flow in found.values() for part in flow.parts.values()]
        found = {name: flow for name, flow in found.items() if flow not in inside} or found
    if len(found) > 1:
        raise BadInput(f"{where} stands for several workflows; say which: {', '.join(found)}")
    return next(iter(found.values()))


def startable(engine: Engine, where: str) -> Workflow | str:
    """What a run can be started of: a workflow with its code, or the name of one that is kept as data.

    A name means a workflow of the configured apps or an installed package, else what is data, else a module.
    """
    if not _is_name(where) or where in _configured_names():
        return workflow(where)
    try:
        engine.registered(where)
    except NotFound as none:
        try:
            return workflow(where)
        except NotFound as error:
            raise NotFound(f"{error}; {none}") from None
    return where


def _configured_names() -> set[str]:
    """The names of the workflows that are found unasked."""
    return {flow.name for flow in _offered(lambda _: None).values()}


def offered(engine: Engine, run: RunHandle) -> bool:
    """Whether a configured app has the workflow that a run is one of, just as it was; the engine knows it then."""
    with suppress(HeliostatError):  # what is wrong with the others is not what was asked
        for flow in workflows(()):
            if flow.graph.id == run.graph.id:
                engine.registry.add(flow)
                return True
    return False


def workflows(places: Sequence[str]) -> list[Workflow]:
    """All workflows of some places, or those that are found unasked where none is given."""
    if not places:
        return list(_offered().values())
    return [flow for where in places for flow in _found(where).values()]


def graph(context: typer.Context, where: str) -> Graph:
    """A workflow's graph: from where it is defined, or else the newest of that name in the database.

    A name means what it means where a run is started.
    """
    try:
        if _is_name(where) and where not in _configured_names():
            with suppress(HeliostatError), session(context).engine() as engine:
                return engine.registered(where).graph
        return workflow(where).graph
    except NotFound as error:
        if not _is_name(where):
            raise
        try:
            with session(context).engine() as engine:
                known = {graph.name: graph for graph in engine.store.graphs()}
        except HeliostatError:
            raise error from None
        if where in known:
            return known[where]
        raise NotFound(f"{error}{nearest(where, known)}") from None


def load(where: str) -> dict[str, Workflow]:
    """The workflows of a file or module, by what can be typed for each.

    What goes wrong while it is imported is said in one sentence.
    """
    from heliostat import loading

    with _loading(where):
        place = where.partition(":")[0]
        return {f"{place}:{variable}": flow for variable, flow in loading.variables(where).items()}


def value(where: str) -> Any:
    """What a file or module holds under a name: ``file.py:name``."""
    from heliostat import loading

    if ":" not in where:
        raise BadInput(f"{where!r} names nothing in a file; write file.py:name")
    with _loading(where):
        return loading.value(where)


@contextmanager
def _loading(where: str) -> Iterator[None]:
    import sys

    if "" not in sys.path:
        sys.path.insert(0, "")  # what lies in the current directory can be imported, as with python -m
    try:
        yield
    except DefinitionError as error:
        raise DefinitionError(f"{error}{_line(error)}") from None
    except HeliostatError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - other people's code may raise anything
        raise DefinitionError(f"{where} cannot be loaded: {_cause(error)}") from None


def _cause(error: BaseException) -> str:
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return said if isinstance(error, SyntaxError) else said + _line(error)


def _line(error: BaseException) -> str:
    """The author's line at which it happened."""
    from heliostat.origin import frame

    found = frame(error)
    return "" if found is None else f" ({found.filename}:{found.lineno})"


def _is_name(where: str) -> bool:
    return not (":" in where or "/" in where or where.endswith(".py"))


def _offered(complain: Callable[[str], object] = output.say) -> dict[str, Workflow]:
    """The workflows of the configured apps and of installed packages, by what can be typed for each."""
    from heliostat import config, loading

    found = {typed: flow for app in config.read().apps for typed, flow in load(app).items()}
    return found | loading.besides(found.values(), complain)


def _found(where: str) -> dict[str, Workflow]:
    """The workflow that is found unasked under a name, else what a file or module defines."""
    if not _is_name(where):
        return load(where)
    offered = _offered()
    if named := {typed: flow for typed, flow in offered.items() if flow.name == where}:
        return named
    try:
        return load(where)
    except NotFound as error:
        if Path(f"{where}.py").is_file():
            raise NotFound(f"{error}; did you mean {where}.py?") from None
        near = nearest(where, {flow.name for flow in offered.values()})
        raise NotFound(f"{error}, and no workflow {where!r} in the configured apps{near}") from None
