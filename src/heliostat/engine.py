"""The engine: opens runs, finds them, and works; a run's handle does the rest."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from heliostat import codec, waiting
from heliostat.artifact import Artifact
from heliostat.context import Surroundings
from heliostat.definition import nodes_of, registered
from heliostat.effects import End, Start
from heliostat.errors import BadInput, Drained, NotEnded, NotFound, Taken, nearest
from heliostat.fleet import SILENT_SECONDS
from heliostat.graph import Graph, named
from heliostat.handle import MOST, PAGE, RunHandle, Runs, in_state
from heliostat.prune import Pruned, prune
from heliostat.queue import pace
from heliostat.repository import check_files
from heliostat.review import Review
from heliostat.run import RunState, parse_id
from heliostat.signature import check_start, check_ticks
from heliostat.store import (
    KEEP,
    KEEP_RATE,
    Answer,
    Cancel,
    Command,
    Register,
    Replace,
    SetNode,
    SetQueue,
    SetSchedule,
)
from heliostat.trigger import NEVER, Schedule, stamp, tick_key, tick_message, within
from heliostat.workflow import Duration, NodeHandle, Workflow

if TYPE_CHECKING:
    from types import TracebackType

    from heliostat.broker import Broker
    from heliostat.codec import Json
    from heliostat.registry import Registry
    from heliostat.store import Store, Verb
    from heliostat.worker import Worker

GRACE_SECONDS = 5.0  #: how long what runs may go on when an engine stops working
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
        replace: bool = False,
    ) -> RunHandle:
        """Start a run. When this has returned, the run is durable.

        ``workflow`` is one in hand, or the name of one that was registered as data.
        ``message`` goes to every node that waits for nothing, and to entry handlers or the one named in ``to``. Without
        one, a workflow that has a trigger gets the tick of now.
        If it has not ended within ``deadline`` (``"6h"``, seconds, a timedelta), it fails and what is left is stopped.
        Raises BadInput if a node's annotation does not fit it, Conflict if ``idempotency_key`` came before with
        another message; with the same message the run of then is answered. With ``replace``, another message takes the
        key over: the run of before is cancelled, if it still goes on, in the commit that begins the new one.
        """
        if replace and idempotency_key is None:
            raise BadInput("replace: it needs an idempotency key, which says what is to be replaced")
        if isinstance(workflow, str):  # what it stands for is registered already
            workflow = self.registered(workflow)
            self.around.admit(workflow)
            graph = self.registry.add(workflow)
        else:
            graph = self._admitted(workflow)
        start = self._start(workflow, graph, message, name, to, priority, idempotency_key)
        if deadline is not None:
            deadline_at = self.around.clock.now() + codec.seconds(deadline, "deadline")
            start = dataclasses.replace(start, deadline_at=deadline_at)
        [run] = self._begin([start], Replace if replace else None)
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

    def _begin(self, starts: Sequence[Start], how: type[Replace] | None = None) -> list[int]:
        """Have runs begun, under other ids should another process have drawn one of them in the same moment."""
        while True:
            commands = [Command(how(start) if how else start, actor=self._actor) for start in starts]
            try:
                answers = self.store.accept(commands, self.around.clock.now())
            except Taken:
                starts = [dataclasses.replace(start, run=self.around.ids.run()) for start in starts]
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
        found = self.store.runs(name, in_state(state, RunState, "run"), limit=codec.whole(limit, "limit", 1, MOST))
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
            return self._over(until, worker)
        if until in (None, "idle"):
            return self._idle(worker)
        if callable(until):
            return until
        raise BadInput(f'work: until= is a run, "idle" or a function, not {until!r}')

    def _over(self, run: RunHandle, worker: Worker) -> Callable[[], bool]:
        """That a run has ended; looked at again and again is whether anybody is left who could go on with it."""
        self._see_able(run, worker)
        look_at = able_at = self.around.clock.now()

        def over() -> bool:
            nonlocal look_at, able_at
            if not worker.holds(run.key) and run.over:
                return True
            if (now := self.around.clock.now()) >= look_at + waiting.ROUND_SECONDS:
                look_at = now
                try:
                    self._see_able(run, worker)
                    able_at = now
                except NotEnded:  # whoever has only just gone may be about to come again
                    if now - able_at >= SILENT_SECONDS:
                        raise
            return False

        return over

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
        running, now = any(running for _, _, running in self.store.queues()), self.around.clock.now()
        # An ended run may have left more open than one commit cancels: what is left is done here.
        return not running and self.store.promote(now) is None and not self.store.sweep(now)

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
