"""The handle of a run: to look at it, wait for it, send to it, decide in it, and end it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar, overload

from heliostat import anew, checks, codec, waiting
from heliostat.artifact import Artifact
from heliostat.comparison import Comparison, compare
from heliostat.display import Drawn, progress
from heliostat.effects import End, Keep, Send
from heliostat.errors import BadInput, Ended, NotEnded, NotFound, RunFailed, nearest
from heliostat.graph import Arity, Graph, named
from heliostat.inputs import node_result, result_of, upstream
from heliostat.inside import as_runs
from heliostat.outcome import Decision
from heliostat.planner import handler
from heliostat.printed import ends
from heliostat.review import Review
from heliostat.run import OVERDUE, Run, RunState, public_id, task_id
from heliostat.seen import jobs_words
from heliostat.signature import check_sent, revive
from heliostat.store import (
    Answer,
    Cancel,
    Claim,
    Command,
    Decide,
    Pause,
    Resolve,
    SetTask,
    TryAgain,
)
from heliostat.story import Line, Log, cause, failures, ordered, story
from heliostat.subworkflow import asks
from heliostat.task import Task, TaskState
from heliostat.workflow import Duration, NodeHandle, Workflow

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from datetime import timedelta

    from heliostat.anew import Places
    from heliostat.engine import Engine
    from heliostat.graph import Node
    from heliostat.store import Verb

R = TypeVar("R")
Asks: TypeAlias = "NodeHandle[..., Any] | Review | str | int"  # a review: its node, what ``reviews`` gave, its task
Which: TypeAlias = "NodeHandle[..., Any] | Task | str | int"  # a task: its node, what ``tasks`` gave, its number
S = TypeVar("S", RunState, TaskState)
MOST = 1_000_000  #: runs that can be asked for at once
PAGE = 500


def _decisions(value: Any) -> Any:
    """What was decided in a review: one, or a list of them; what was said by hand in its place stays as it is."""
    if isinstance(value, list):
        return [_decisions(each) for each in value]
    if not isinstance(value, dict) or {*value} != {field.name for field in fields(Decision)}:
        return value
    return Decision(**{**value, "at": datetime.fromisoformat(value["at"])})


class RunHandle(Drawn):
    """A run as a program holds it."""

    def __init__(self, engine: Engine, key: int, graph: Graph) -> None:
        self._engine, self.key, self.graph = engine, key, graph

    def __repr__(self) -> str:
        return f"<run {self.id} of {self.graph.label}: {self.state}>"

    @property
    def id(self) -> str:
        """The public id."""
        return public_id(self.key)

    @property
    def info(self) -> Run:
        """The run as it is now."""
        run = self._engine.store.run(self.key)
        if run is None:
            raise NotFound(f"there is no run {self.id} any more")
        return run

    @property
    def name(self) -> str:
        """What it was called when it was started."""
        return self.info.name

    @property
    def state(self) -> RunState:
        """Where it stands."""
        return self.info.state

    @property
    def over(self) -> bool:
        """Whether it has ended, and all that runs after its end too."""
        run = self.info
        return run.state.final and (run.open <= 0 or not any(node.epilogue for node in self.graph))

    # acting

    def send(
        self,
        to: NodeHandle[..., Any] | str,
        message: object = None,
        *,
        delay: str | timedelta | float | None = None,
        idempotency_key: str | None = None,
        priority: int | None = None,
    ) -> Answer:
        """Send a message to a handler. When this has returned, the message is durable.

        After the run's end it is kept with the reason why nobody handles it; the answer's ``note`` says so.
        """
        engine = self._engine
        text = engine._encode(message, "message")  # noqa: SLF001 - its own kind
        name = named(to, "to")
        node = handler(self.graph, name)
        check_sent(node, engine.registry.signatures(self.graph.id).get(node.name), text)
        now = engine.around.clock.now()
        due_at = None if delay is None else now + codec.seconds(delay, "delay")
        return self._accept(Send(name, text, due_at, idempotency_key, priority))

    def complete(self, result: object = None, *, reason: str = "") -> Answer:
        """End the run with a result; a no-op that says so if it has ended."""
        text = self._engine._encode(result, "result")  # noqa: SLF001 - its own kind
        return self._accept(End(RunState.succeeded, text), reason)

    def cancel(self, reason: str = "") -> Answer:
        """End the run as cancelled; a no-op that says so if it has ended."""
        return self._accept(End(RunState.cancelled, reason=reason or "cancelled by its caller"), reason)

    def artifact(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        media_type: str | None = None,
        tags: Iterable[str] = (),
        reason: str = "",
    ) -> Artifact:
        """Keep a file as an artifact of the run, also after its end; raises BadInput for what is no file."""
        repository = self._engine.around.repository
        artifact = repository.keep(Path(path), name=name, media_type=media_type, tags=tuple(tags))
        self._accept(Keep(artifact), reason)
        return artifact

    def decide(self, review: Asks, choice: str, reason: str = "") -> Answer:
        """Decide a review that is open: by its node or, where it goes over a list, as ``reviews`` gave it.

        Raises BadInput for what is no choice, Conflict if somebody else has claimed it, NotFound if nobody is asked
        yet, and Ended if it was decided otherwise before; to say the same twice is no mistake.
        """
        if not isinstance(choice, str):
            raise BadInput(f"decide: a choice is a string, not {choice!r}; a review may be withdrawn instead")
        return self._accept(Decide(self._asking(review), choice), reason)

    def claim(self, review: Asks, reason: str = "") -> Answer:
        """Take a review, so that nobody else decides it; raises Conflict if somebody has taken it."""
        return self._accept(Claim(self._asking(review)), reason)

    def release(self, review: Asks, reason: str = "") -> Answer:
        """Give a review back, whoever has claimed it."""
        return self._accept(Claim(self._asking(review), on=False), reason)

    def withdraw(self, review: Asks, reason: str = "") -> Answer:
        """Have nobody decide a review any more; what waits for it is skipped."""
        return self._accept(Decide(self._asking(review)), reason)

    def _asking(self, review: Asks) -> int:
        """The number of a review's task."""
        if isinstance(review, Review):
            if review.run != self.key:
                raise BadInput(f"the review is of run {public_id(review.run)}, not of run {self.id}")
            return review.number
        if isinstance(review, int):
            return review
        node = self.graph[named(review, "review")]
        if node.review is None:
            raise BadInput(f"{node.name} is no review{nearest(node.name, sorted(self.graph.reviews))}")
        if node.arity is Arity.each:
            raise BadInput(f"review {node.name} goes over a list; give one of what reviews() answers")
        return self.graph.number(node.name)

    def retry(self, task: Which | None = None, reason: str = "", *, deadline: Duration | None = None) -> Answer:
        """Give what made the run fail one more attempt: the run goes on from where it was.

        ``task`` is one that failed: its node, its number, or as ``tasks`` gave it; others that made the run fail are
        tried again with it. A run that failed for its deadline goes on with what was left. Whatever it failed for, it
        has no deadline any more, but for the new one that is given: so long from now. Raises Ended if there is nothing
        to try again, Conflict if the run has told its end to another one.
        """
        return self._accept(self._trying_again(task, deadline), reason)

    def _trying_again(self, task: Which | None, deadline: Duration | None) -> TryAgain:
        until = None if deadline is None else self._engine.around.clock.now() + codec.seconds(deadline, "deadline")
        if task is None and self.info.state is RunState.failed and self.info.reason == OVERDUE:
            return TryAgain(None, until)
        return TryAgain(self._first_failed() if task is None else self._number(task), until)

    def rerun(
        self,
        at: Places = None,
        *,
        workflow: Workflow | None = None,
        reason: str = "",
        idempotency_key: str | None = None,
        deadline: Duration | None = None,
    ) -> RunHandle:
        """Begin a new run, with the code of today, that takes over what lies before a node (or several) of this one.

        What is settled and does not lie behind ``at`` is taken over, with its items, decisions, records and files; the
        rest runs anew. Without ``at`` all of it does, with the same message. ``workflow`` is the code of today; else
        the nodes' own, or what this engine was given last. ``deadline`` is as for ``start``. Raises Conflict if this
        run has not ended, or if messages would be missing that nobody sends again; BadInput for a handler, and for what
        would be taken over and has another structure now; NotFound for a node that does not exist.
        """
        seconds = None if deadline is None else codec.seconds(deadline, "deadline")
        return self._engine.find(public_id(anew.rerun(self, at, workflow, reason, idempotency_key, seconds)))

    def skip(self, task: Which, reason: str = "") -> Answer:
        """Have a task that is ready, waits or has failed count as skipped; a run that failed for it goes on."""
        return self._accept(Resolve(self._number(task), TaskState.skipped), reason)

    def resolve(self, task: Which, result: object = None, reason: str = "") -> Answer:
        """Say the result of a task that is ready, waits or has failed; a run that failed for it goes on."""
        text = self._engine._encode(result, "result")  # noqa: SLF001 - its own kind
        return self._accept(Resolve(self._number(task), TaskState.succeeded, text), reason)

    def cancel_task(self, task: Which, reason: str = "") -> Answer:
        """Have a task fail that is ready, waits or runs; what runs is given up as soon as its worker hears of it.

        As with any failure, the run fails unless an edge catches it or the node may fail. What has succeeded before its
        worker heard of it has succeeded.
        """
        return self._accept(Cancel(self._number(task)), reason)

    def set(self, task: Which, *, priority: int, reason: str = "") -> Answer:
        """Have a task that has not begun come sooner (a higher priority) or later."""
        return self._accept(SetTask(self._number(task), priority), reason)

    def _number(self, task: Which) -> int:
        if isinstance(task, int):
            return task
        if isinstance(task, Task):
            if task.run != self.key:
                raise BadInput(f"the task is of run {public_id(task.run)}, not of run {self.id}")
            return task.number
        node = self.graph[named(task, "task")]
        if node.arity is not Arity.once:
            raise BadInput(f"{node.name} may have several tasks; give a number, or one of what tasks() answers")
        return self.graph.number(node.name)

    def _first_failed(self) -> int:
        for task in failures(self._engine.store, self.key):
            node = self.graph[task.node]
            if not (node.may_fail or node.epilogue or self.graph.caught(node.name)):
                return task.number
        if self.state is RunState.cancelled:
            anew = f"begin a new one that takes over what was done: heliostat run rerun {self.id} FILE.py --at NODE"
            raise Ended(f"run {self.id} is cancelled, and a cancelled run does not go on; {anew}")
        rest = "; run.rerun begins it anew, also from a node on" if self.state is RunState.failed else ""
        raise Ended(f"run {self.id} has no task that made it fail; it is {self.state}{rest}")

    def reviews(self) -> list[Review]:
        """The reviews of this run that are open."""
        return self._engine.store.reviews(self.key, MOST)

    def pause(self, reason: str = "") -> Answer:
        """Hold what has not begun."""
        return self._accept(Pause(True), reason)

    def resume(self, reason: str = "") -> Answer:
        """Let it go on."""
        return self._accept(Pause(False), reason)

    def _accept(self, verb: Verb, reason: str = "") -> Answer:
        reason = codec.word(reason, "reason", 0)
        return self._engine._accept(Command(verb, self.key, self._engine._actor, reason))  # noqa: SLF001

    # looking

    def wait(self, timeout: str | timedelta | float | None = None) -> Self:
        """Wait until it has ended, however that may be; others work on it meanwhile.

        Raises TimeoutError with what it waits for when the time is over, and NotEnded at once where no worker could
        go on with it: then ``engine.work(until=run)`` does.
        """
        seconds = None if timeout is None else codec.seconds(timeout, "timeout")
        self._engine._wait(self, lambda: self.state.final, seconds, lambda: None)  # noqa: SLF001 - its own kind
        return self

    def watch(self) -> None:
        """Show how it goes until it is over: its picture in a notebook, lines on a terminal.

        Where no other worker could go on with it, this engine works on it meanwhile.
        """
        with progress(self) as shown:
            self._engine._watch(self, shown.tick)  # noqa: SLF001 - its own kind

    @overload
    def result(
        self, node: NodeHandle[..., Coroutine[Any, Any, R]], *, timeout: str | timedelta | float | None = None
    ) -> R: ...
    @overload
    def result(
        self, node: NodeHandle[..., Iterator[R]], *, timeout: str | timedelta | float | None = None
    ) -> list[R]: ...
    @overload
    def result(self, node: NodeHandle[..., R], *, timeout: str | timedelta | float | None = None) -> R: ...
    @overload
    def result(self, node: str | None = None, *, timeout: str | timedelta | float | None = None) -> Any: ...
    def result(
        self, node: NodeHandle[..., Any] | str | None = None, *, timeout: str | timedelta | float | None = None
    ) -> Any:
        """The run's result, or a node's; files as artifacts. With ``timeout``, wait for it first, as ``wait`` does.

        Raises RunFailed if the run did not succeed, NotEnded with what it waits for if it has not come to its end.
        """
        store = self._engine.store
        if node is not None:
            found = self.graph[named(node, "node")]
            if timeout is not None:
                self._wait_for(found, codec.seconds(timeout, "timeout"))
            value = revive(node_result(store, self.info.id, self.graph, found), None)
            return _decisions(value) if self._decided(found) else value
        run = self.info if timeout is None else self.wait(timeout).info
        if not run.state.final:
            raise NotEnded(self.id, self.explain(limit=1).partition("\n")[0])
        if run.state is not RunState.succeeded:
            raise self._failed(run)
        value, ends = revive(result_of(store, run, self.graph), None), self.graph.ends
        return _decisions(value) if run.result is None and len(ends) == 1 and self._decided(ends[0]) else value

    def _decided(self, node: Node) -> bool:
        """Whether what a node gives is what people decided."""
        graph_of = self._engine.registry.graph
        return node.review is not None or (node.workflow is not None and asks(graph_of(node.workflow.graph), graph_of))

    def _failed(self, run: Run) -> RunFailed:
        engine = self._engine
        found = cause(engine.store, run, engine.around.log_files)
        return RunFailed(self.id, run.state, run.reason or "nobody said why", None if found is None else found.text)

    def _wait_for(self, node: Node, seconds: float) -> None:
        """Wait for what a node gives; raises RunFailed if the run has ended before."""
        store, over = self._engine.store, False

        def done() -> bool:
            nonlocal over
            over = self.state.final  # looked at first: what has settled by then, has
            return waiting.settled(store, self, node) or over

        self._engine._wait(self, done, seconds, lambda: None)  # noqa: SLF001 - its own kind
        run = self.info
        if run.state in (RunState.failed, RunState.cancelled) and not waiting.gave(store, self.key, node):
            raise self._failed(run)

    def results(self) -> dict[str, Any]:
        """The results of all nodes that act once or per item, by name."""
        nodes = [node for node in self.graph if not node.epilogue and node.arity is not Arity.handler]
        return {node.name: self.result(node.name) for node in nodes}

    def tasks(self, state: TaskState | None = None, node: str | None = None) -> list[Task]:
        """Its tasks, by number."""
        wanted = in_state(state, TaskState, "task")
        name = None if node is None else self.graph[node].name
        found: list[Task] = []
        while page := self._engine.store.tasks(self.key, wanted, name, found[-1].number if found else 0, PAGE):
            found += page
        return as_runs(self._engine.store, self.graph, found)

    def records(self, node: NodeHandle[..., Any] | str | None = None, key: str | None = None) -> list[Any]:
        """Records of a node (or of all), in the order put."""
        name = None if node is None else self.graph[named(node, "node")].name
        return [revive(record.value, None) for record in self._engine.store.records(self.key, name, key)]

    def artifacts(self, *tags: str) -> list[Artifact]:
        """What the run keeps, with all of these tags."""
        kept = self._engine.store.artifacts(self.key)
        return [k.artifact for k in kept if set(tags) <= set(k.artifact.tags)]

    def log(self) -> list[Line]:
        """What happened in it, in order of time: its journal, its tasks and attempts, and what its functions logged.

        Of what its jobs printed, the last lines.
        """
        engine, tasks = self._engine, self.tasks()
        told = story(engine.store, self.key, tasks, Log(self.key, engine.around.log_files))
        return ordered([*told, *ends(engine.around, self.graph, tasks)])

    def compare(self, other: RunHandle) -> Comparison:
        """This run beside a later one: which nodes differ in state, result, attempts, code or structure."""
        if not isinstance(other, RunHandle):
            raise BadInput(f"compare: another run is wanted, not {other!r}; engine.find gives one by its id")
        return compare(self._engine.store, self.info, other.info)

    def explain(self, number: int | None = None, *, limit: int = 50) -> str:
        """Why it (or a task of it) does not go on: a sentence for each of its first tasks that are not final."""
        if number is not None:
            return self._explain_task(number)
        found = self.unfinished(limit + 1)
        lines = [f"{task_id(self.key, t.number)} {t.title}: {self._explain_task(t.number)}" for t in found[:limit]]
        more = [f"and more; explain(limit={limit * 10}) tells of those too"] if len(found) > limit else []
        return "\n".join([*lines, *more]) or self._explain_run()

    def unfinished(self, limit: int) -> list[Task]:
        """Its first tasks that are not final, by number."""
        states = [state for state in TaskState if not state.final]
        found = [task for state in states for task in self._engine.store.tasks(self.key, state, limit=limit)]
        return sorted(found, key=lambda task: task.number)[:limit]

    def _explain_task(self, number: int) -> str:
        why = self._engine.store.why(self.key, number)
        if why is None:
            raise NotFound(f"there is no task {task_id(self.key, number)}")
        came = {}
        if why.task.state is TaskState.skipped and not why.task.count:
            came = upstream(self._engine.store, self.graph, self.key, why.task.node)
        now = self._engine.around.clock.now()
        job = jobs_words(self._engine.around, why.task, now) if why.task.state is TaskState.running else None
        words = checks.explain(why, now, came, job)
        if why.child is None or why.task.state is not TaskState.pending:
            return words
        return f"{words}; {self._engine.find(why.child).explain(limit=1).partition(chr(10))[0]}"

    def parts(self) -> Runs:
        """The runs that are part of this one or tell it their end, oldest first."""
        found = self._engine.store.parts(self.key, MOST)
        return Runs(RunHandle(self._engine, run.id, self._engine.registry.graph(run.graph)) for run in found)

    def _explain_run(self) -> str:
        """What there is to say of a run without open tasks."""
        run = self.info
        if run.state.final:
            ended = f"was {run.state}" if run.state is RunState.cancelled else f"has {run.state}"
            return f"run {self.id} {ended}" + (f": {run.reason}" if run.reason else "")
        return f"run {self.id} is active and stays open: it waits for a message, or to be completed"


class Runs(list[RunHandle], Drawn):
    """Runs, as a list that draws itself."""


def in_state(word: str | None, states: type[S], of: str) -> S | None:
    """A state by its name; raises BadInput where there is none of that name."""
    if word is None or word in tuple(states):
        return None if word is None else states(word)
    raise BadInput(f"there is no {of} state {word!r}; a {of} is {', '.join(states)}")
