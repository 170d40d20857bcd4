"""The context of an attempt: what a function may ask, and what it asks for.

A context collects effects and reads; it never writes. What it collected leaves with the attempt's commit, or not at
all. Only ``log`` and ``progress`` are seen before.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any

from heliostat import codec, planner
from heliostat.artifact import Artifact
from heliostat.effects import Effect, End, Keep, Map, Put, Send, Start
from heliostat.errors import ArtifactError, BadInput, NotFound, Stopped, TaskError, nearest
from heliostat.graph import Arity, Graph, Node, On, named
from heliostat.outcome import Failure
from heliostat.repository import check_files
from heliostat.run import RunState, public_id, task_id
from heliostat.signature import check_sent, check_start, local, revive
from heliostat.story import culprit
from heliostat.task import TaskState
from heliostat.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from heliostat.clock import Clock, Ids
    from heliostat.executor import Work
    from heliostat.repository import Repository
    from heliostat.signature import Signature
    from heliostat.store import Store
    from heliostat.task import Attempt
    from heliostat.workflow import NodeHandle, Workflow

#: What a line of the log says of itself.
_OF_A_LINE = frozenset({"at", "task", "node", "attempt", "progress", "stream", "traceback"})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all contexts of a process share: where to read, where files go, time and ids.

    ``offer`` lets this process run a workflow whose functions one of its own holds in hand. ``queues`` are those that
    nodes may name; None where any will do. ``vault`` reads secrets, and knows what must not be seen. ``hint`` is for
    whoever misses a file, where not all of a run's are.
    """

    store: Store
    repository: Repository
    clock: Clock
    ids: Ids
    directory: Path
    offer: Callable[[Workflow], object] = lambda workflow: None  # noqa: ARG005 - nobody to tell
    queues: frozenset[str] | None = None
    vault: Vault = field(default_factory=Vault)
    hint: str = ""

    def admit(self, workflow: Workflow) -> None:
        """Refuse a run of nodes whose queue nobody has configured, where queues are configured; raises BadInput."""
        for part in workflow.parts.values():
            self.admit(part)
        self.admit_graph(workflow.graph)

    def admit_graph(self, graph: Graph) -> None:
        """The same of a definition by itself, without those that it contains."""
        if (known := self.queues) is None:
            return
        for node in graph:
            if node.queue not in known:
                near = nearest(node.queue, sorted(known))
                raise BadInput(f"node {node.name}: there is no queue {node.queue!r} in heliostat.toml{near}")

    def attempt_directory(self, work: Work) -> Path:
        """Where an attempt keeps its files while it runs."""
        attempt = work.attempt
        return self.directory / "attempts" / public_id(attempt.run) / f"{attempt.number}.{attempt.count}"

    def log_file(self, run: int) -> Path:
        """Where a run's log lines go."""
        return self.directory / "logs" / f"{public_id(run)}.jsonl"

    def log_files(self, run: int) -> list[Path]:
        """All files with lines of a run's log: functions that run as jobs have each their own."""
        name = public_id(run)
        return [self.log_file(run), *(self.directory / "jobs" / name).glob(f"*/logs/{name}.jsonl")]

    def log(self, attempt: Attempt, lines: Iterable[Mapping[str, object]]) -> None:
        """Write lines to the log of an attempt's run; they are there at once."""
        head = {"at": self.clock.now(), "task": attempt.number, "node": attempt.node, "attempt": attempt.count}
        file = self.log_file(attempt.run)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as log:
            log.write("".join(codec.told(head | self.vault.veiled(dict(fields))) + "\n" for fields in lines))

    def places(self, run: int) -> tuple[Path, Path, Path]:
        """All that lies under a run's id: its log and the directories of its attempts and jobs."""
        name = public_id(run)
        return (self.log_file(run), self.directory / "attempts" / name, self.directory / "jobs" / name)


@dataclass(frozen=True, slots=True)
class RunView:
    """``ctx.run``: the run's public id, its name and its workflow's."""

    id: str
    name: str
    workflow: str


@dataclass(frozen=True, slots=True)
class TaskView:
    """``ctx.task``: its public id is the same in every attempt, so it is a key for the outside world."""

    id: str
    node: str
    item: int | None


class Context:
    """What a function sees of its attempt, and through which it asks for things; the node's parameter ``ctx`` is one.

    What it asks for leaves with the attempt's commit, or not at all; only ``log`` and ``progress`` are seen before.
    """

    _directory: Path | None = None
    _inputs: Path | None = None
    _ended = False

    def __init__(self, work: Work, around: Surroundings, signatures: Mapping[str, Signature] | None = None) -> None:
        self._work, self._graph, self._node, self._around = work, work.graph, work.node, around
        self._signatures = signatures or {}
        self._effects: list[Effect] = []

    # what it is

    @property
    def run(self) -> RunView:
        """The run this attempt belongs to."""
        run = self._around.store.run(self._work.attempt.run)
        return RunView(public_id(self._work.attempt.run), run.name if run else "", self._graph.name)

    @property
    def task(self) -> TaskView:
        """The task this is an attempt at."""
        attempt = self._work.attempt
        return TaskView(task_id(attempt.run, attempt.number), attempt.node, attempt.item)

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._work.attempt.count

    @property
    def sender(self) -> str | None:
        """The node that sent the message, or None if it came from outside."""
        task = self._around.store.task(*self._work.attempt.task)
        cause = self._around.store.task(task.run, task.cause) if task and task.cause is not None else None
        return cause.node if cause else None

    @property
    def failure(self) -> Failure | None:
        """What failed: the run, or the node that this one waits for with ``on=``."""
        store, run = self._around.store, self._work.attempt.run
        sources = [edge.source for edge in self._node.edges if edge.on is not On.succeeded]
        for source in sources:
            for task in store.tasks(run, state=TaskState.failed, node=source, limit=1):
                return Failure(source, task.count, task.reason or "", task.item)
        ended = store.run(run)
        if self._node.epilogue is None or ended is None or ended.state is not RunState.failed:
            return None
        if (failed := culprit(store, ended)) is not None:
            return Failure(failed.node, failed.count, failed.reason or "", failed.item)
        return Failure("", 0, ended.reason or "")

    @property
    def cancelled(self) -> bool:
        """Whether this attempt should end: its run is over, it timed out, or its worker stops."""
        return self._work.stop is not None

    def check(self) -> None:
        """Raise Stopped if this attempt should end; long loops call it now and then."""
        if self._work.stop is not None:
            raise Stopped(self._work.stop)

    @property
    def dir(self) -> Path:
        """A fresh directory for this attempt. It is removed after the attempt; return a Path to keep a file."""
        if self._directory is None:
            directory = self._around.attempt_directory(self._work)
            shutil.rmtree(directory, ignore_errors=True)
            self._directory = _made(directory)
        return self._directory

    # messages and runs

    def send(
        self,
        to: NodeHandle[..., Any] | str,
        message: object = None,
        *,
        delay: str | timedelta | float | None = None,
        idempotency_key: str | None = None,
        priority: int | None = None,
    ) -> None:
        """Send a message to a handler of this run; with ``delay``, not before that. The same key twice is sent once."""
        node = self._handler(to, "send to")
        text = self._message(node, message, f"message to {node.name}")
        due_at = None if delay is None else self._around.clock.now() + codec.seconds(delay, "delay")
        self._ask(Send(node.name, text, due_at, idempotency_key, priority))

    def map(
        self, to: NodeHandle[..., Any] | str, messages: Iterable[object], *, then: NodeHandle[..., Any] | str
    ) -> None:
        """Send each message to a handler; ``then`` gets the list of their results, in order, when all are there."""
        node, last = self._handler(to, "map to"), self._handler(then, "join in")
        if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Iterable):
            raise TaskError(f"map to {node.name} takes a list of messages, not {messages!r}")
        if self._work.attempt.join is not None and any(isinstance(effect, Map) for effect in self._effects):
            raise TaskError("its result is waited for, so it can map once only")
        texts = tuple(self._message(node, m, f"message {i} to {node.name}") for i, m in enumerate(messages))
        self._ask(Map(node.name, texts, last.name))

    def start(
        self,
        workflow: Workflow,
        message: object = None,
        *,
        then: NodeHandle[..., Any] | str | None = None,
        name: str = "",
        priority: int = 0,
        idempotency_key: str | None = None,
    ) -> str:
        """Start another run; with ``then``, its end comes to that handler as an ``Ended``. Answers the run's id."""
        graph = getattr(workflow, "graph", None)
        if not isinstance(graph, Graph):
            raise TaskError(f"start takes a Workflow, not {workflow!r}")
        self._around.admit(workflow)
        last = None if then is None else self._handler(then, "tell")
        text = self.encode(message, f"message to {graph.name}")
        text = check_start(workflow.whole(), workflow.signatures, text)
        workflow.check_parts(text)
        self._around.offer(workflow)
        run = self._around.ids.run()
        effect = Start(run, graph, text, name, priority, last.name if last else None, idempotency_key)
        if effect.then is None:  # what leaves the run is allowed beside its end
            self._effects.append(effect)
        else:
            self._ask(effect)
        return public_id(run)

    def complete(self, result: object = None) -> None:
        """End the run with a result: what has not begun is cancelled."""
        self._end(End(RunState.succeeded, self.encode(result, "result")))

    def cancel(self, reason: str) -> None:
        """End the run as cancelled."""
        self._end(End(RunState.cancelled, reason=codec.word(reason, "reason")))

    def _end(self, effect: End) -> None:
        if any(isinstance(e, Send | Map) or (isinstance(e, Start) and e.then) for e in self._effects):
            raise TaskError(
                "it sends or maps and also ends the run, so nobody would handle the messages; do one of the two"
            )
        self._ask(effect)
        self._ended = True

    def _ask(self, effect: Effect) -> None:
        if self._node.epilogue is not None:
            raise TaskError("it runs after the run's end and cannot change the run")
        if self._ended:
            raise TaskError("it has ended the run and asks for more inside it; do one of the two")
        self._effects.append(effect)

    def _message(self, node: Node, message: object, where: str) -> str:
        """A message as JSON text that its handler can take; so what is wrong with it fails its sender."""
        text = self.encode(message, where)
        try:
            check_sent(node, self._signatures.get(node.name), text)
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from None
        planner.serial_key(node, text)
        return text

    def _handler(self, to: NodeHandle[..., Any] | str, verb: str) -> Node:
        name = named(to, verb)
        node = self._graph[name]
        if node.arity is not Arity.handler:
            raise TaskError(
                f"cannot {verb} {name}, which acts once, when its inputs are there; only handlers take messages"
            )
        return node

    # records and files

    def put(self, value: object, key: str | None = None) -> None:
        """Keep JSON (or a file) as a record of this node; with ``key``, the newest replaces the one before."""
        word = None if key is None else codec.word(key, "key")
        self._effects.append(Put(self.encode(value, "record" if key is None else f"record {key}"), word))

    def get(self, key: str, default: Any = None, *, node: NodeHandle[..., Any] | str | None = None) -> Any:
        """The record of this node (or another) with a key, or ``default``."""
        found = self.records(key, node=node)
        return found[-1] if found else default

    def records(self, key: str | None = None, *, node: NodeHandle[..., Any] | str | None = None) -> list[Any]:
        """What this node (or another) put in this run, in the order put; what this attempt put is there at once."""
        name = self._node.name if node is None else named(node, "records of")
        if name not in self._graph:
            raise NotFound(f"records: workflow {self._graph.name} has no node {name!r}")
        kept = [(r.key, r.value) for r in self._around.store.records(self._work.attempt.run, name, key)]
        if name == self._node.name:
            for effect in self._effects:
                if isinstance(effect, Put) and key in (None, effect.key):
                    if effect.key is not None:
                        kept = [(k, v) for k, v in kept if k != effect.key]
                    kept.append((effect.key, effect.value))
        return [revive(value, None) for _, value in kept]

    def artifact(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        media_type: str | None = None,
        tags: Iterable[str] = (),
    ) -> Artifact:
        """Keep a file as an artifact of the run."""
        artifact = self._around.repository.keep(
            self._locate(Path(path)), name=name, media_type=media_type, tags=tuple(tags)
        )
        self._effects.append(Keep(artifact))
        return artifact

    def artifacts(self, *tags: str) -> list[Artifact]:
        """What the run keeps so far, with all of these tags."""
        kept = [kept.artifact for kept in self._around.store.artifacts(self._work.attempt.run)]
        kept += [effect.artifact for effect in self._effects if isinstance(effect, Keep)]
        return [artifact for artifact in kept if set(tags) <= set(artifact.tags)]

    def bring(self, artifact: Artifact) -> Path:
        """The file of an artifact, brought to this attempt's directory and verified."""
        try:
            return local(self._around.repository.bring(artifact, self._inputs or self.dir / "inputs"), artifact)
        except ArtifactError as error:
            raise ArtifactError(f"{error}{self._around.hint}") from None

    def bring_to(self, directory: Path) -> None:
        """Have files brought to a directory that outlives the attempt's own: a job's."""
        self._inputs = directory

    def _locate(self, path: Path) -> Path:
        if not path.is_absolute() and self._directory is not None and (self._directory / path).exists():
            path = self._directory / path
        if not path.exists():
            raise TaskError(f"the file {str(path)!r} is not there to be kept")
        return path

    def _keep(self, value: object) -> codec.Json:
        """A file inside data becomes an artifact of the run and a reference to it."""
        if isinstance(value, Artifact):
            return value.to_json()
        known = getattr(value, "artifact", None)
        if isinstance(known, Artifact):
            return known.to_json()
        return self.artifact(Path(str(value))).to_json()

    def encode(self, value: object, where: str) -> str:
        """``value`` as JSON text; files in it become artifacts of the run."""
        try:
            text = check_files(codec.encode(value, where, self._keep), where)
        except BadInput as error:
            raise TaskError(self._around.vault.masked(str(error))) from None
        if secret := self._around.vault.held(text):
            raise TaskError(f"{where} holds the secret {secret!r}, which nothing may keep")
        return text

    # what is kept nowhere

    def secret(self, name: str) -> str:
        """The value of a secret, read now; it is masked in logs and errors, and nothing may keep it."""
        return self._around.vault.read(name)

    # what is seen at once

    def log(self, message: str, **fields: object) -> None:
        """Write a line to the run's log; it is there at once, whatever becomes of the attempt.

        A field that is called like one of the line's own (``at``, ``node``, …) has an underscore after its name there.
        """
        told = {f"{name}_" if name in _OF_A_LINE else name: value for name, value in fields.items()}
        self._line({"message": str(message)} | told)

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far this attempt has come."""
        numbers: dict[str, object] = {"done": done, "total": 0 if total is None else total}
        for name, value in numbers.items():
            if not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:  # NaN is neither
                raise TaskError(f"progress: {name} is a finite number, not {shortened(value)}")
        self._line({"done": done, "total": total, "message": note, "progress": True})

    def _line(self, fields: dict[str, object]) -> None:
        self._around.log(self._work.attempt, [fields])

    def finish(self) -> tuple[Effect, ...]:
        """What was asked for, when the function has returned."""
        return tuple(self._effects)

    def clear(self) -> None:
        """The attempt's directory has served."""
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            with suppress(OSError):  # other attempts of the run still have theirs
                self._directory.parent.rmdir()


def _made(directory: Path) -> Path:
    """A new directory; again if its parent went just now, with the last attempt that had one there."""
    while True:
        with suppress(FileNotFoundError):
            directory.mkdir(parents=True)
            return directory
