"""The engine: opens runs, finds them, and works; a run's handle does the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar, overload

from heliostat import anew, checks, codec, waiting
from heliostat.artifact import Artifact
from heliostat.comparison import Comparison, compare
from heliostat.context import Surroundings
from heliostat.definition import nodes_of, registered
from heliostat.display import Drawn, progress
from heliostat.effects import End, Keep, Send, Start
from heliostat.errors import BadInput, Drained, Ended, NotEnded, NotFound, RunFailed, Taken, nearest
from heliostat.graph import Arity, Graph, named
from heliostat.inputs import node_result, result_of, upstream
from heliostat.inside import as_runs
from heliostat.outcome import Decision
from heliostat.planner import handler
from heliostat.printed import ends
from heliostat.prune import Pruned, prune
from heliostat.queue import pace
from heliostat.repository import check_files
from heliostat.review import Review
from heliostat.run import OVERDUE, Run, RunState, parse_id, public_id, task_id
from heliostat.seen import jobs_words
from heliostat.signature import check_sent, check_start, check_ticks, revive
from heliostat.store import (
    KEEP,
    KEEP_RATE,
    Answer,
    Cancel,
    Claim,
    Command,
    Decide,
    Pause,
    Register,
    Resolve,
    SetNode,
    SetQueue,
    SetSchedule,
    SetTask,
    TryAgain,
)
from heliostat.story import Line, Log, cause, ordered, story
from heliostat.subworkflow import asks
from heliostat.task import Task, TaskState
from heliostat.trigger import NEVER, Schedule, stamp, tick_key, tick_message, within
from heliostat.workflow import Duration, NodeHandle, Workflow

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from datetime import timedelta
    from types import TracebackType

    from heliostat.anew import Places
    from heliostat.broker import Broker
    from heliostat.codec import Json
    from heliostat.graph import Node
    from heliostat.registry import Registry
    from heliostat.store import Store, Verb
    from heliostat.worker import Worker

R = TypeVar("R")
Asks: TypeAlias = "NodeHandle[..., Any] | Review | str | int"  # a review: its node, what ``reviews`` gave, its task
Which: TypeAlias = "NodeHandle[..., Any] | Task | str | int"  # a task: its node, what ``tasks`` gave, its number
S = TypeVar("S", RunState, TaskState)
PAGE = 500
GRACE_SECONDS = 5.0  #: how long what runs may go on when an engine stops working
MOST = 1_000_000  #: runs that can be asked for at once
BACKFILLED = 10_000  #: ticks of one backfill


class Engine:
    """The way in for a program. Made by ``heliostat.open``; closed by ``with`` or ``close``."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        around: Surroundings,
        new_worker: Callable[..., Worker],
        *,
        actor: str = "python",
        broker: Broker | None = None,
    ) -> None:
        self.broker = broker
        self.store, self.registry, self.around = store, registry, around
        self._new_worker, self._actor = new_worker, actor
        self._worker: Worker | None = None
        self._working = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop working and give the database back."""
        self.stop()
        if self.broker is not None:
            self.broker.close()
        self.store.close()

    def stop(self, grace: float = GRACE_SECONDS, hurry: Callable[[], bool] | None = None) -> None:
        """Stop working: what runs may end within ``grace`` seconds, or until ``hurry``; the rest is handed back."""
        if self._worker is not None:
            self._worker.stop(grace, hurry or (lambda: False))
            self._worker = None

    # definitions and runs

    def add(self, workflow: Workflow) -> Graph:
        """Offer a workflow: register its definition, and let workers of this engine run it."""
        if not isinstance(workflow, Workflow):
            raise BadInput(f"a Workflow is wanted, not {workflow!r}")
        graph = workflow.whole()
        for part in workflow.parts.values():
            self.add(part)
        for signature in workflow.signatures.values():
            signature.warm()
        check_ticks(graph, workflow.signatures, workflow.check_parts)
        if graph.trigger is not None:  # runs will begin without anybody who could be told
            self.around.admit(workflow)
        if graph.id not in self.registry.offers or self.registry.graph(graph.id) != graph:
            self.store.accept([Command(Register(graph), actor=self._actor)], self.around.clock.now())
        self.registry.add(workflow)
        return graph

    def register(self, workflow: Workflow | Mapping[str, Any]) -> Workflow:
        """Keep a workflow without functions, or its JSON form, as data: any worker runs it, without any code of it.

        Answers the workflow, which can be started by its name from then on. Raises BadInput with the path of a field
        that is wrong, and for a workflow with functions; Conflict if its version stands for another structure.
        """
        return self.register_many([workflow])[0]

    def register_many(self, workflows: Iterable[Workflow | Mapping[str, Any]]) -> list[Workflow]:
        """The same for several: all of them are kept, or none."""
        data = [each.to_json() if isinstance(each, Workflow) else each for each in workflows]
        flows = [Workflow.from_json(each) for each in data]
        commands = [Command(Register(flow.graph), actor=self._actor) for flow in flows]
        self.store.accept(commands, self.around.clock.now())
        for flow in flows:
            self.registry.add(flow)
        return flows

    def registered(self, name: str) -> Workflow:
        """The workflow that was registered last under a name, or under a name and version; raises NotFound."""
        return registered(self.store, name)

    def start(
        self,
        workflow: Workflow | str,
        message: object = None,
        *,
        name: str = "",
        to: NodeHandle[..., Any] | str | None = None,
        priority: int = 0,
        deadline: Duration | None = None,
        idempotency_key: str | None = None,
    ) -> RunHandle:
        """Start a run. When this has returned, the run is durable.

        ``workflow`` is one in hand, or the name of one that was registered as data.
        ``message`` goes to every node that waits for nothing, and to entry handlers or the one named in ``to``. Without
        one, a workflow that has a trigger gets the tick of now.
        If it has not ended within ``deadline`` (``"6h"``, seconds, a timedelta), it fails and what is left is stopped.
        Raises BadInput if a node's annotation does not fit it, Conflict if ``idempotency_key`` came before with
        another message; with the same message the run of then is answered.
        """
        if isinstance(workflow, str):  # what it stands for is registered already
            workflow = self.registered(workflow)
            self.around.admit(workflow)
            graph = self.registry.add(workflow)
        else:
            graph = self._admitted(workflow)
        start = self._start(workflow, graph, message, name, to, priority, idempotency_key)
        if deadline is not None:
            deadline_at = self.around.clock.now() + codec.seconds(deadline, "deadline")
            start = replace(start, deadline_at=deadline_at)
        [run] = self._begin([start])
        return RunHandle(self, run, graph)

    def start_many(self, workflow: Workflow, messages: Iterable[object]) -> list[RunHandle]:
        """Start a run per message, some hundred of them in each transaction."""
        graph = self._admitted(workflow)
        starts = [self._start(workflow, graph, message, "", None, 0, None) for message in messages]
        runs = [run for first in range(0, len(starts), PAGE) for run in self._begin(starts[first : first + PAGE])]
        return [RunHandle(self, run, graph) for run in runs]

    def _admitted(self, workflow: Workflow) -> Graph:
        """Offer a workflow of which runs are to be started here; its queues have to be among those there are."""
        if isinstance(workflow, Workflow):
            self.around.admit(workflow)
        return self.add(workflow)

    def _begin(self, starts: Sequence[Start]) -> list[int]:
        """Have runs begun, under other ids should another process have drawn one of them in the same moment."""
        while True:
            commands = [Command(start, actor=self._actor) for start in starts]
            try:
                answers = self.store.accept(commands, self.around.clock.now())
            except Taken:
                starts = [replace(start, run=self.around.ids.run()) for start in starts]
            else:
                self._ring()
                return [answer.run or start.run for answer, start in zip(answers, starts, strict=True)]

    def _start(
        self,
        workflow: Workflow,
        graph: Graph,
        message: object,
        name: str,
        to: NodeHandle[..., Any] | str | None,
        priority: int,
        key: str | None,
    ) -> Start:
        by_hand = message is None and graph.trigger is not None  # then it is a tick, too, though none was due
        text = tick_message(self.around.clock.now()) if by_hand else self._encode(message, "message")
        target = None if to is None else named(to, "to")
        text = check_start(graph, workflow.signatures, text, target)
        workflow.check_parts(text)
        run = self.around.ids.run()
        return Start(run, graph, text, name, priority, None, key, target)

    def _encode(self, value: object, where: str) -> str:
        def keep(found: object) -> Json:
            if isinstance(found, Artifact):
                return found.to_json()
            path = Path(str(found))
            if not path.exists():
                raise BadInput(f"{where}: the file {str(path)!r} is not there")
            kept: Json = self.around.repository.keep(path).to_json()
            return kept

        return check_files(codec.encode(value, where, keep), where, self.around.repository)

    def run(self, workflow: Workflow | str, message: object = None, **options: Any) -> RunHandle:
        """``start`` and ``work`` in one."""
        run = self.start(workflow, message, **options)
        self.work(until=run)
        return run

    def find(self, run: str) -> RunHandle:
        """The run with a public id; raises NotFound."""
        found = self.store.run(parse_id(run))
        if found is None:
            raise NotFound(f"there is no run {run}")
        return RunHandle(self, found.id, self.store.graph(found.graph))

    def runs(self, workflow: Workflow | str | None = None, state: RunState | None = None, limit: int = 100) -> Runs:
        """Runs, newest first: all, or those of a workflow, or in a state."""
        name = workflow.name if isinstance(workflow, Workflow) else workflow
        found = self.store.runs(name, _state(state, RunState, "run"), limit=codec.whole(limit, "limit", 1, MOST))
        return Runs(RunHandle(self, run.id, self.registry.graph(run.graph)) for run in found)

    def reviews(self, limit: int = 1000) -> list[Review]:
        """The reviews that are open in all runs, oldest first."""
        return self.store.reviews(limit=codec.whole(limit, "limit", 1, MOST))

    # schedules

    def schedules(self) -> list[Schedule]:
        """How the triggers of workflows stand: the next tick of each, and whether it is paused."""
        return self.store.schedules()

    def pause(self, workflow: Workflow | str, reason: str = "") -> Answer:
        """Have a workflow's trigger start no more runs; those that it has started go on."""
        return self._set_schedule(workflow, reason, paused=True)

    def resume(self, workflow: Workflow | str, reason: str = "") -> Answer:
        """Let a workflow's trigger go on with its next tick; those that came meanwhile are not caught up."""
        return self._set_schedule(workflow, reason, paused=False)

    def _set_schedule(self, workflow: Workflow | str, reason: str, *, paused: bool) -> Answer:
        name = self.add(workflow).name if isinstance(workflow, Workflow) else codec.word(workflow, "workflow")
        verb, why = SetSchedule(name, paused), codec.word(reason, "reason", 0)
        return self._accept(Command(verb, actor=self._actor, reason=why))

    def backfill(self, workflow: Workflow | str, since: datetime | float, until: datetime | float) -> Runs:
        """Have runs for the ticks of a period, from ``since`` on and before ``until``; answers them all, oldest first.

        What a tick has started already, by itself or by an earlier call, is not started again, as long as that run is
        not pruned. Of a workflow that is given by its name, they are of the definition that its schedule starts. A time
        without a zone is a local one; a number is in seconds since 1970. Raises BadInput for a period that is not over
        or has more than 10,000 ticks.
        """
        graph = self._scheduled(workflow)
        first, last, now = _instant(since, "since"), _instant(until, "until"), self.around.clock.now()
        if graph.trigger is None:
            raise BadInput(f"workflow {graph.name} has no trigger: give it one with on=, or start its runs")
        if last > now:
            raise BadInput(
                f"backfill: the period ends at {stamp(last)}, which is still to come; ticks start themselves"
            )
        ticks = [*islice(within(graph.trigger, first, last), BACKFILLED + 1)]
        if len(ticks) > BACKFILLED:
            raise BadInput(f"backfill: the period has more than {BACKFILLED:,} ticks; do it in shorter ones")
        starts = [
            Start(self.around.ids.run(), graph, tick_message(tick), stamp(tick), idempotency_key=tick_key(tick))
            for tick in ticks
        ]
        runs = [run for page in range(0, len(starts), PAGE) for run in self._begin(starts[page : page + PAGE])]
        return Runs(RunHandle(self, run, self.registry.graph(self._graph_of(run))) for run in runs)

    def _graph_of(self, run: int) -> int:
        found = self.store.run(run)
        assert found is not None
        return found.graph

    def _scheduled(self, workflow: Workflow | str) -> Graph:
        """The definition of which a workflow's ticks start runs."""
        if isinstance(workflow, Workflow):
            return self._admitted(workflow)
        name = codec.word(workflow, "workflow")
        for schedule in self.store.schedules([name]):
            return self._admitted_as_kept(schedule.graph)
        known = [schedule.workflow for schedule in self.store.schedules()]
        raise NotFound(f"workflow {name!r} has no schedule{nearest(name, known)}")

    def _admitted_as_kept(self, key: int) -> Graph:
        """The same of a definition of which no code is at hand, with those that it contains."""
        graph = self.store.graph(key)
        self.around.admit_graph(graph)
        for part in graph.parts.values():
            self._admitted_as_kept(part.graph)
        return graph

    def prune(self, before: datetime | float, *, on_progress: Callable[[str, int], object] | None = None) -> Pruned:
        """Forget runs that ended before a time, with their files; a file that another run keeps too stays.

        A time without a zone is a local one; a number is in seconds since 1970. May be killed and repeated, also by
        several at once. What was kept within the last hour, or since something that is running began, waits for a later
        call; ``left`` says how many files. ``on_progress`` is told of each part that is done: ``"runs"`` or
        ``"files"``, and how many.
        """
        if isinstance(before, bool) or not isinstance(before, datetime | float | int):
            raise BadInput(f"prune: before= is a datetime, or seconds since 1970, not {before!r:.40}")
        return prune(self.around, seconds_since(before), on_progress or (lambda kind, done: None))  # noqa: ARG005

    def _act(self, verbs: Sequence[tuple[RunHandle, Verb]], reason: str = "") -> list[Answer]:
        """Have verbs about runs carried out in one transaction: if one of them is refused, none is."""
        why = codec.word(reason, "reason", 0)
        commands = [Command(verb, run.key, self._actor, why) for run, verb in verbs]
        answers = self.store.accept(commands, self.around.clock.now())
        self._ring(ended=any(isinstance(verb, End) for _, verb in verbs))
        return answers

    # what holds over all runs

    def set_queue(
        self,
        name: str,
        *,
        limit: int | None = KEEP,
        rate: str | None = KEEP_RATE,
        paused: bool | None = None,
        as_configured: bool = False,
        reason: str = "",
    ) -> None:
        """Limit a queue (None: no limit) or pause it, over all workers; what is not given stays. Raises NotFound.

        It holds whatever is configured, until it is left to that again: ``as_configured``.
        """
        if rate is not None and rate != KEEP_RATE:
            pace(rate, f"queue {name}: rate")
        change = SetQueue(codec.word(name, "queue"), limit, paused, rate, as_configured)
        self._accept(Command(change, actor=self._actor, reason=codec.word(reason, "reason", 0)))

    def set_node(
        self,
        node: NodeHandle[..., Any] | str,
        *,
        limit: int | None = KEEP,
        paused: bool | None = None,
        reason: str = "",
    ) -> list[Graph]:
        """Limit a node (None: no limit) or pause it, over all its runs; what is not given stays.

        ``node`` is a node, ``"workflow/node"`` for all versions that are registered, or ``"workflow version/node"`` for
        one. Answers the definitions that it was set in; raises NotFound where there is none.
        """
        graphs, name = nodes_of(self.store, node)
        why = codec.word(reason, "reason", 0)
        changes = [SetNode(graph.id, name, limit, paused) for graph in sorted(graphs, key=lambda graph: graph.id)]
        self.store.accept([Command(change, None, self._actor, why) for change in changes], self.around.clock.now())
        self._ring()
        return graphs

    # working

    def work(
        self,
        until: RunHandle | str | Callable[[], bool] | None = None,
        *,
        on_tick: Callable[[], None] | None = None,
    ) -> None:
        """Work in this thread: until a run has ended, until ``"idle"``, or until a condition holds.

        Idle means that nothing can happen any more without a person or a message. Where a run is waited for and nothing
        happens for some seconds, the log of the program says why, unless ``on_tick`` sees to that. Raises NotEnded for
        a run whose workflow neither this engine was given nor any worker offers.
        """
        with self._working:
            worker = self._worker = self._worker or self.worker()
            done = self._condition(until, worker)
            if on_tick is None and isinstance(until, RunHandle):
                on_tick = waiting.Silence(until, worker, self.around.clock).look

            def over() -> bool:
                if on_tick is not None:
                    on_tick()
                return done() or worker.drained

            worker.serve(over)
            if worker.drained:
                self._worker = None
                worker.stop(grace=0.0)
                raise Drained(f"worker {worker.id} was told to end; what is left goes on with another")

    def worker(self, **options: Any) -> Worker:
        """A worker of this engine's workflows, for whoever wants to drive it."""
        return self._new_worker(**options)

    def _condition(self, until: RunHandle | str | Callable[[], bool] | None, worker: Worker) -> Callable[[], bool]:
        if isinstance(until, RunHandle):
            run = until
            self._see_able(run, worker)
            return lambda: not worker.holds(run.key) and run.over
        if until in (None, "idle"):
            return self._idle(worker)
        if callable(until):
            return until
        raise BadInput(f'work: until= is a run, "idle" or a function, not {until!r}')

    def _see_able(self, run: RunHandle, worker: Worker) -> None:
        """Refuse to wait for a run with which nobody goes on; raises NotEnded."""
        if run.graph.data or run.graph.id in self.registry.offers or run.over:
            return
        if why := waiting.stranded(self.store, run, self.around.clock.now(), worker.id):
            why = why.partition("; work on it here")[0]
            raise NotEnded(run.id, f"{why}, and this engine was not given its code: engine.add(workflow) does that")

    def _idle(self, worker: Worker) -> Callable[[], bool]:
        """Nothing runs anywhere, nothing waits for a time, and a look after that found nothing to do either."""
        quiet = False

        def idle() -> bool:
            nonlocal quiet
            before, quiet = quiet, worker.idle and self._nothing_goes_on()
            if quiet and not before:
                worker.ring()
            return quiet and before

        return idle

    def _nothing_goes_on(self) -> bool:
        running = any(running for _, _, running in self.store.queues())
        return not running and self.store.promote(self.around.clock.now()) is None

    def _wait(
        self, run: RunHandle, done: Callable[[], bool], seconds: float | None, on_look: Callable[[], object]
    ) -> None:
        """Wait for what others do: this engine may be one of them, if another thread works with it."""

        def nobody() -> str | None:
            idle = None if self._worker is None or self._working.locked() else self._worker.id
            return waiting.stranded(self.store, run, self.around.clock.now(), idle)

        waiting.wait(run, done, seconds, clock=self.around.clock, nobody=nobody, on_look=on_look)

    def _watch(self, run: RunHandle, on_look: Callable[[], None]) -> None:
        """Wait until a run is over; where no other worker could go on with it, work on it here."""
        try:
            self._wait(run, lambda: run.over, None, on_look)
        except NotEnded:
            if run.graph.id not in self.registry.offers:
                raise
            self.work(until=run, on_tick=on_look)

    def _accept(self, command: Command) -> Answer:
        answer = self.store.accept([command], self.around.clock.now())[0]
        self._ring(ended=isinstance(command.verb, End | Cancel))
        return answer

    def _ring(self, *, ended: bool = False) -> None:
        if self._worker is not None:
            self._worker.ring(ended=ended)


def seconds_since(time: datetime | float) -> float:
    """A time in seconds since 1970."""
    return time.timestamp() if isinstance(time, datetime) else time


def _instant(time: object, where: str) -> float:
    """A time of the calendar in seconds since 1970; raises BadInput."""
    if isinstance(time, datetime | float | int) and not isinstance(time, bool):
        found = seconds_since(time)
        if 0 <= found <= NEVER:
            return found
    raise BadInput(f"backfill: {where} is a datetime, or seconds since 1970, not {time!r}")


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
        tried again with it. A run that failed for its deadline goes on with what was left; it has none any more, but
        for the new one that is given: so long from now. Raises Ended if there is nothing to try again, Conflict if the
        run has told its end to another one.
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
        for task in self._engine.store.tasks(self.key, TaskState.failed):
            node = self.graph[task.node]
            if not (node.may_fail or node.epilogue or self.graph.caught(node.name)):
                return task.number
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
        wanted = _state(state, TaskState, "task")
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


def _state(word: str | None, states: type[S], of: str) -> S | None:
    """A state by its name; raises BadInput where there is none of that name."""
    if word is None or word in tuple(states):
        return None if word is None else states(word)
    raise BadInput(f"there is no {of} state {word!r}; a {of} is {', '.join(states)}")
