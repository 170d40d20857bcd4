"""What a test gives to a call, in the form in which a worker and a context find it."""

from __future__ import annotations

import atexit
import itertools
import os
import random
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from heliostat import codec, planner
from heliostat import store as stores
from heliostat.artifact import Artifact
from heliostat.clock import Ids
from heliostat.context import Surroundings
from heliostat.effects import Put
from heliostat.errors import BadInput, OperatorError, nearest
from heliostat.executor import Work
from heliostat.graph import Arity, On
from heliostat.repositories.directory import DirectoryRepository
from heliostat.run import Run, RunState
from heliostat.secret import Secret
from heliostat.signature import check_sent, local
from heliostat.store import Settled
from heliostat.task import Attempt, Task, TaskState
from heliostat.vault import Vault, find

if TYPE_CHECKING:
    import threading

    from heliostat.codec import Json
    from heliostat.context import Context
    from heliostat.graph import Graph, Input, Node
    from heliostat.outcome import Failure
    from heliostat.signature import Signature
    from heliostat.store import Store

RUN, CAUSE, NUMBER = 1, 1, 2  #: the run, the task before, and the one that is called


@dataclass(frozen=True, slots=True)
class Record:
    """A record, as ``ctx.put`` keeps it; ``node`` is whose it is, None for that of the node that is called."""

    value: Any
    key: str | None = None
    node: str | None = None


class Still:
    """A clock that stands at 0, so that a time that was asked for is a delay; ``clock.Clock`` is the contract."""

    def now(self) -> float:
        """No time goes by while a function is called."""
        return 0.0

    def wait(self, bell: threading.Event, seconds: float) -> bool:
        """Nothing comes."""
        return False


class Desk:
    """What a context reads of its run, as a test says it; the part of ``store.Store`` that a context knows."""

    def __init__(
        self,
        graph: Graph,
        node: Node,
        records: Iterable[object] | Mapping[str, object],
        artifacts: Iterable[Artifact],
        sender: str | None,
        failure: Failure | None,
        run_name: str = "",
    ) -> None:
        self._run_name = run_name
        self._artifacts = [stores.Kept(artifact, CAUSE, 0.0) for artifact in artifacts]
        puts = list(_puts(node.name, records))
        sources = [edge.source for edge in node.edges if edge.on is not On.succeeded]
        if failure is not None and node.epilogue is None and failure.node not in sources:
            raise BadInput(
                f"failure: {node.name} does not wait for a failure of {failure.node!r}{nearest(failure.node, sources)}"
            )
        for name in (sender, *(name for name, _ in puts)):
            if name is not None and name not in graph:
                raise BadInput(
                    f"workflow {graph.name} has no node {name!r}{nearest(name, (node.name for node in graph))}"
                )
        self._graph, self._node, self._puts, self._sender, self._failure = graph, node, puts, sender, failure

    def run(self, run: int) -> Run:
        """The run, which has failed if the node runs after its failure."""
        if self._node.epilogue is None:
            return Run(run, self._graph.id, RunState.active, self._run_name)
        if self._failure is None:
            return Run(run, self._graph.id, RunState.succeeded, self._run_name)
        [failed] = self.tasks(run)
        return Run(run, self._graph.id, RunState.failed, self._run_name, reason=f"{failed.title}: {failed.reason}")

    def task(self, run: int, number: int) -> Task | None:
        """The task that is called, or the one that sent its message."""
        if number == NUMBER:
            return Task(run, NUMBER, self._node.name, TaskState.running, cause=CAUSE if self._sender else None)
        return Task(run, CAUSE, self._sender, TaskState.succeeded) if self._sender else None

    def tasks(
        self, run: int, state: TaskState | None = None, node: str | None = None, after: int = 0, limit: int = 1
    ) -> list[Task]:
        """The one that failed."""
        told = self._failure
        if told is None or node not in (None, told.node):
            return []
        return [Task(run, CAUSE, told.node, TaskState.failed, item=told.item, count=told.attempt, reason=told.error)]

    def records(self, run: int, node: str | None = None, key: str | None = None) -> list[stores.Record]:
        """Those that the test gave."""
        return [
            stores.Record(seq, whose, put.key, put.value, CAUSE)
            for seq, (whose, put) in enumerate(self._puts)
            if node in (None, whose) and key in (None, put.key)
        ]

    def artifacts(self, run: int) -> list[stores.Kept]:
        """Those that the test gave."""
        return self._artifacts


def _puts(node: str, records: Iterable[object] | Mapping[str, object]) -> Iterator[tuple[str, Put]]:
    """Records as they were put, and by whom."""
    if isinstance(records, Mapping):
        records = [Record(value, key) for key, value in records.items()]
    for record in records:
        given = record if isinstance(record, Record) else Record(record)
        yield given.node or node, Put(encode(given.value, "records"), given.key)


def work(
    graph: Graph,
    node: Node,
    signatures: Mapping[str, Signature],
    message: object,
    given: Mapping[str, object],
    attempt: int,
) -> Work:
    """An attempt at a node with what its parameters are given; raises BadInput for what does not belong together."""
    text, signature = encode(message, "message"), signatures.get(node.name)
    if node.arity is Arity.handler:
        check_sent(node, signature, text)
        planner.serial_key(node, text)
    item = 0 if node.arity is Arity.each else None
    leased = Attempt(RUN, NUMBER, attempt, graph.id, node.name, item=item, message=text, failures=attempt - 1)
    made = Work(leased, graph, node)
    waited = {found.parameter: found for found in made.inputs}
    for name in given:
        if name not in waited:
            raise BadInput(f"{node.name} waits for nothing called {name!r}{nearest(name, waited)}")
    optional = {name for name, parameter in signature.inputs.items() if parameter.optional} if signature else set()
    optional |= {edge.parameter for edge in node.edges if edge.parameter and edge.on is not On.succeeded}
    if missing := [name for name in waited if name not in given and name not in optional]:
        raise BadInput(f"{node.name} waits for {missing[0]}; give {missing[0]}=… what that node gives")
    for name, value in given.items():
        _settle(made, waited[name], value)
    return made


def _settle(made: Work, found: Input, value: object) -> None:
    """Have the node before come out with a value; None stands for one that gave nothing."""
    where = found.parameter
    if found.arity is Arity.each and not found.each and value is not None:
        if not isinstance(value, list | tuple):
            raise BadInput(f"{where}: {found.source} gives a list, one result per item, not {value!r}")
        items = [Settled(TaskState.succeeded, encode(item, f"{where}[{at}]")) for at, item in enumerate(value)]
        made.lists = {**made.lists, found.parameter: items}
        made.settled[found.parameter] = Settled(TaskState.succeeded)
        return
    caught = any(edge.source == found.source and edge.on is not On.succeeded for edge in made.node.edges)
    state = TaskState.failed if value is None and caught else TaskState.succeeded
    made.settled[found.parameter] = Settled(state, None if state is TaskState.failed else encode(value, where))


# files, time and ids


@cache
def _place() -> Path:
    """Where the files of all calls lie, until the process ends."""
    place = Path(tempfile.mkdtemp(prefix="heliostat-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


@cache
def _repository() -> DirectoryRepository:
    return DirectoryRepository(_place() / "artifacts")


_number = itertools.count(1)


def surroundings(desk: Desk, secrets: Mapping[str, str] | None = None) -> Surroundings:
    """What the context of one call reads and writes; its time is 0, and its run has the first id."""
    clock = Still()
    ids = Ids(clock, random.Random(0))  # noqa: S311 - no secret hangs on it
    assert ids.run() == RUN
    place, vault = _place() / str(next(_number)), Vault(partial(told_secret, secrets or {}))
    return Surroundings(cast("Store", desk), _repository(), clock, ids, place, vault=vault)


def told_secret(secrets: Mapping[str, str], name: str) -> str:
    """The value of a secret that a test gives, else of its variable; raises OperatorError where neither is there."""
    if name in secrets:
        return secrets[name]
    if (variable := Secret(name).variable) in os.environ:
        return find(name)
    raise OperatorError(f"secret {name!r} is not there; give it with secrets={{{name!r}: …}}, or set {variable}")


@contextmanager
def as_its_own(made: Work, context: Context, vault: Vault) -> Iterator[None]:
    """Let what has a process of its own in earnest find its variables, and its directory as the current one.

    It has the packages of the test: what it requires is not installed.
    """
    node = made.node
    if not node.env and not node.requires:
        yield
        return
    before, here = dict(os.environ), Path.cwd()
    os.environ.update(vault.filled(node.env))
    os.chdir(context.dir)
    try:
        yield
    except ModuleNotFoundError as error:
        if not node.requires:
            raise
        raise BadInput(
            f"it requires {', '.join(node.requires)}, and a test has its own packages: {error}; install it "
            f"where the tests run, or give a function in its place: engine.stubs[{node.name!r}] = function"
        ) from error
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)


def encode(value: object, where: str) -> str:
    """A value as JSON text; files in it are kept. Raises BadInput."""

    def keep(found: object) -> Json:
        known = found if isinstance(found, Artifact) else getattr(found, "artifact", None)
        path = Path(str(found))
        if known is None and not path.exists():
            raise BadInput(f"{where}: the file {str(path)!r} is not there")
        artifact = known if isinstance(known, Artifact) else _repository().keep(path)
        answer: Json = artifact.to_json()
        return answer

    return codec.encode(value, where, keep)


def have(path: Path) -> None:
    """Have a file among those that calls can be given, by its content."""
    _repository().keep(path)


def bring(artifact: Artifact) -> Path:
    """The file of an artifact, to be read."""
    return local(_repository().bring(artifact, _place() / "brought"), artifact)
