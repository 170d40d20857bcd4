"""One commit: changes of many attempts added up per run and target, then written in one go.

This is the life of a task as it happens, over whatever rows a database gives. Python decides here only from rows
that this transaction has locked or has just changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic_core import to_json

from heliostat import codec, planner
from heliostat.artifact import MARK, mentioned
from heliostat.effects import PRIORITY, End, Keep, Put, Start
from heliostat.errors import Conflict, Taken
from heliostat.graph import Arity, Graph, Node
from heliostat.outcome import Asked
from heliostat.planner import Arrive, Change, Create, Launch
from heliostat.run import RunState, public_id
from heliostat.store import SEVERAL
from heliostat.stores.rows import Arrival, Arrived, Asking, Expand, Finish, NewRun, NewTask, RunChange, RunRow
from heliostat.task import FINAL, TaskState, lean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from heliostat.effects import Effect
    from heliostat.outcome import Outcome
    from heliostat.queue import Hold
    from heliostat.store import Reference
    from heliostat.stores.known import Known
    from heliostat.stores.rows import Rows

ACTIVE, READY, PENDING = RunState.active, TaskState.ready, TaskState.pending  # looked up once: members of enumerations
SUCCEEDED, SKIPPED, HANDLER = TaskState.succeeded, TaskState.skipped, Arity.handler  # are slow to reach
CANCELLED = TaskState.cancelled

UNMET = "an input was skipped or not chosen"
WHY_CANCELLED = {
    RunState.succeeded: "the run was completed",
    RunState.failed: "the run failed",
    RunState.cancelled: "the run was cancelled",
}
ENDED_WITH = "ended with run"  #: begins the reason of what was cancelled as part of another
MANY = 1 << 31  #: no bound
CANCEL_AT_ONCE = 1000  #: open tasks that the end of a run cancels in its own commit; a sweep takes the others
PARTS_AT_ONCE = 100  #: runs of each node that the end of a run ends in its own commit; a sweep takes the others


class OpenRun:
    """A locked run while a commit works on it."""

    __slots__ = (*RunChange._fields, "facts", "graph", "noted", "row", "was")

    def __init__(self, row: RunRow, graph: Graph, *, new: bool = False) -> None:
        self.row, self.graph, self.id = row, graph, row[0]
        was = row[6:]
        self.state, self.paused, self.closing, self.open, self.last, self.result, self.reason, self.ended_at = was
        self.was = None if new else was
        self.noted: dict[TaskState, list[int]] = {}
        self.facts: dict[str, object] = {}

    @property
    def takes(self) -> bool:
        """Whether new tasks may be born in it."""
        return self.state is ACTIVE and not self.closing

    @property
    def failing(self) -> bool:
        """Whether it only waits for what runs to finish, and will then have failed."""
        return self.closing and self.state is ACTIVE

    @property
    def why_late(self) -> str:
        """Why nobody handles a message that comes now."""
        word = self.state.over if self.state.final else "was failing"
        return f"not handled: the run {word} before this message arrived"

    def note(self, state: TaskState, number: int) -> None:
        """Remember for the journal that a task reached a state."""
        if (noted := self.noted.get(state)) is None:
            self.noted[state] = [number]
        else:
            noted.append(number)

    @property
    def change(self) -> tuple[RunState, bool, bool, int, int, str | None, str | None, float | None]:
        """What of it can change, as ``RunChange`` begins and its row ends."""
        return (self.state, self.paused, self.closing, self.open, self.last, self.result, self.reason, self.ended_at)


class Unlocked(Exception):
    """A commit reaches runs that it has not locked: it is to be done again, with those locked too."""

    def __init__(self, runs: Iterable[int]) -> None:
        super().__init__(runs)
        self.runs = frozenset(runs)


class Commit:
    """The changes of one transaction. ``lock`` first, then ``apply`` per event, then ``write``."""

    def __init__(self, rows: Rows, known: Known, now: float, actor: str, *, heard: bool = False) -> None:
        self.rows, self.known, self.now, self.actor = rows, known, now, actor
        self.heard = heard  # whether somebody is told what it makes ready
        known.begin()
        self.runs: dict[int, OpenRun] = {}
        self.asked: set[int] = set()
        self.new_runs: list[NewRun] = []
        self.started: dict[tuple[str, str], tuple[int, str]] = {}
        self.inserts: list[NewTask] = []
        self.finishes: list[Finish] = []
        self.expansions: list[Expand] = []
        self.gates: dict[tuple[int, str], tuple[int, int] | None] = {}
        self.arrivals: dict[tuple[int, str], list[Arrive]] = {}
        self.joins: dict[tuple[int, int], int] = {}
        self.causes: dict[tuple[int, str], int] = {}
        self.turns: dict[tuple[int, str], None] = {}
        self.ends: list[tuple[OpenRun, End]] = []
        self.told_ends: list[tuple[OpenRun, int]] = []
        self.records: list[tuple[int, str, str | None, int, str]] = []
        self.artifacts: list[tuple[int, int, object, float]] = []
        self.firsts: dict[tuple[int, str], int] = {}
        self.keys: dict[tuple[int, str, str], tuple[int, str | None]] = {}
        self.woken: dict[str, int] = {}

    def wakes(self, queue: str, by: int = 1) -> None:
        """So many tasks have become ready in a queue, as far as this commit can tell."""
        self.woken[queue] = self.woken.get(queue, 0) + by

    # locking

    def lock(self, ids: Iterable[int]) -> None:
        """Lock runs, all that this commit will touch, in the order of their ids."""
        self.asked = set(ids)
        for row in self.rows.run_lock(sorted(self.asked)):
            self.runs[row[0]] = OpenRun(row, self.known.graph(self.rows, row[1]))

    def reached(self, ids: Iterable[int]) -> list[OpenRun]:
        """Runs that it turns out to reach, as far as they are there; raises Unlocked for those that are not locked."""
        wanted = list(ids)
        if unlocked := [run for run in wanted if run not in self.asked and run not in self.runs]:
            raise Unlocked(unlocked)
        return [self.runs[run] for run in wanted if run in self.runs]

    def parts(self, run: OpenRun, limit: int) -> list[OpenRun]:
        """The runs that are part of a run and go on, up to so many of each node."""
        return [p for node in run.graph.parts for p in self.reached(self.rows.run_parts(run.id, node, limit))]

    # taking changes in

    def keep(self, run: OpenRun, node: str, number: int, effects: Sequence[Effect]) -> None:
        """Records and artifacts: what an attempt leaves in its run without waking anybody."""
        for effect in effects:
            if type(effect) is Put:
                self.records.append((run.id, node, effect.key, number, effect.value))
            elif type(effect) is Keep:
                self.artifacts.append((run.id, number, effect.artifact, self.now))

    def review(self, task: Reference, outcome: Outcome, *, final: bool) -> None:
        """A person is asked from now on, or no more."""
        if final:
            self.rows.review_close([task])
        elif type(outcome) is Asked:
            self.rows.review_ask([Asking(*task, self.now, outcome.until)])

    def keep_mentioned(self, run: OpenRun, number: int, message: str) -> None:
        """A file that comes with a message from outside is kept by the run that gets it."""
        if MARK in message:
            self.artifacts += [(run.id, number, found, self.now) for found in mentioned(codec.decode(message))]

    def hold(self, run: OpenRun, word: Hold, *, on: bool) -> None:
        """Pause a run or let it go on, with its parts and all its open tasks: those born earlier in this commit too.

        ``word`` says who wants it and why.
        """
        self._flush_tasks()
        run.paused = on
        self.rows.task_hold(run.id, held=on)
        self.rows.hold_set(replace(word, run=run.id), on=on)
        for part in self.parts(run, MANY):
            if part.paused is not on:
                part.facts["paused"] = on
                self.hold(part, word, on=on)

    def apply(self, run: OpenRun, changes: Sequence[Change], cause: int | None = None) -> None:
        """Add changes of one event to the commit."""
        leader = None
        for change in changes:
            kind = type(change)
            if kind is Create:
                number = self.create(run, change, cause, leader)  # type: ignore[arg-type]
                if change.leads:  # type: ignore[union-attr]
                    leader = number
            elif kind is Arrive:
                self._arrive(run, change, cause)  # type: ignore[arg-type]
            elif kind is Launch:
                self.launch(change.start, run, change.told, cause, part=change.part)  # type: ignore[union-attr]
            else:
                self.ends.append((run, change))  # type: ignore[arg-type]

    def _arrive(self, run: OpenRun, change: Arrive, cause: int | None) -> None:
        if change.first is not None and not self._first(run.id, change.first, cause or 0):
            return
        key = (run.id, change.node.name)
        if (known := self.arrivals.get(key)) is not None:
            known.append(change)
            return
        self.arrivals[key] = [change]
        if cause is not None:
            self.causes.setdefault(key, cause)

    def _first(self, run: int, handler: str, number: int) -> bool:
        """Whether this is the first task that a handler settled: it counts, for all that wait for the handler."""
        first = self.firsts.get((run, handler))
        if first is None and (run, handler) not in self.known.counted:
            if self.rows.gate_first(run, handler, number):
                first = self.firsts[run, handler] = number
            else:  # a commit before this one had it
                self.known.remember_counted(run, handler)
        return first == number

    def joined(self, run: int, number: int) -> None:
        """A member of a handler's join, or a run that is awaited, has settled."""
        self.joins[run, number] = self.joins.get((run, number), 0) + 1

    def create(self, run: OpenRun, change: Create, cause: int | None, leader: int | None = None) -> int:
        """Give birth to a task; answers its number."""
        node, number = change.node, change.number
        if number is not None:  # a node of the graph, with nothing to look up
            self._insert(run, change, number, change.state, cause)
            return number
        if (known := self._before(run, change)) is not None:
            return known
        number = run.last
        missing, unmet, state = change.missing, 0, change.state
        if node.edges:
            shut, unmet = self.gate(run, node)
            missing += shut
            if missing and state is READY:
                state = PENDING
        join = leader if change.join == -1 else change.join
        if unmet and not missing:
            self._insert(run, change, number, SKIPPED, cause, 0, unmet, join, reason=UNMET)
            self._skip(run, node, number, join)
            return number
        if change.key is not None and state is PENDING and not missing:
            self.turns[run.id, change.key] = None
            self.wakes(node.queue)
        self._insert(run, change, number, state, cause, missing, unmet, join)
        return number

    def gate(self, run: OpenRun, node: Node) -> tuple[int, int]:
        """What a handler's gate is of what its messages miss, and of what is unmet: 1 or 0 each.

        It is asked for once in a commit, for nobody else can change it meanwhile.
        """
        if not node.edges or node.arity is not HANDLER:
            return 0, 0
        key = (run.id, node.name)
        if key not in self.gates:
            self.gates[key] = self.rows.gate_state(*key)
        state = self.gates[key]
        if state is None or state[0] > 0:
            return 1, 0
        return 0, int(state[1] > 0)

    def _skip(self, run: OpenRun, node: Node, number: int, join: int | None) -> None:
        """A message will not be handled: whoever waits for its handler or for its place in a join hears of it."""
        self.apply(run, planner.after(run.graph, node, SKIPPED), number)
        if join is not None:
            self.joined(run.id, join)

    def _insert(
        self,
        run: OpenRun,
        change: Create,
        number: int,
        state: TaskState,
        cause: int | None,
        missing: int = 0,
        unmet: int = 0,
        join: int | None = None,
        width: int | None = None,
        block: int | None = None,
        reason: str | None = None,
    ) -> None:
        node, final = change.node, state in FINAL
        if final:
            run.note(state, number)
        elif run.failing:  # all is counted as ever, for the run may go on; until then nothing begins
            state, reason, final = CANCELLED, WHY_CANCELLED[RunState.failed], True
        else:
            run.open += 1
            if self.heard and state is READY:
                self.wakes(node.queue)
        self.inserts.append(
            lean(
                NewTask,
                (
                    run.id,
                    number,
                    self.known.lane(self.rows, run.graph, node.name),
                    node.name,
                    change.item,
                    state,
                    run.paused,
                    run.row.priority + (node.priority if change.priority is None else change.priority),
                    change.key,
                    missing,
                    unmet,
                    width,
                    block,
                    join,
                    change.place,
                    cause,
                    change.message,
                    change.idempotency_key,
                    change.due_at,
                    node.epilogue is not None,
                    reason,
                    self.now,
                    self.now if final else None,
                ),
            )
        )

    def _before(self, run: OpenRun, change: Create) -> int | None:
        """The task that the same idempotency key gave birth to before; without one, the run has a number more.

        Raises Conflict for another message.
        """
        name = change.idempotency_key and (run.id, change.node.name, change.idempotency_key)
        if name and (found := self.keys.get(name) or self.rows.task_by_key(*name)) is not None:
            if found[1] != change.message:
                key = f"the idempotency key {change.idempotency_key!r}"
                raise Conflict(f"node {name[1]}: {key} came before with another message; give another key")
            return found[0]
        run.last += 1
        if name:
            self.keys[name] = (run.last, change.message)
        return None

    def late(self, run: OpenRun, change: Create) -> int:
        """Keep a message that came after the end, with the reason why nobody handles it; answers its number."""
        if (known := self._before(run, change)) is None:
            change.key = change.due_at = None
            self._insert(run, change, run.last, CANCELLED, None, reason=run.why_late)
        return known or run.last

    def launch(
        self,
        start: Start,
        parent: OpenRun | None = None,
        told: Create | None = None,
        cause: int | None = None,
        *,
        part: bool = False,
    ) -> tuple[int, bool]:
        """Begin a run, and with it the task that is to be told of its end; answers its key, and whether it is new.

        ``part``: it is part of its parent, whose task ``cause`` waits for it.
        """
        key, run = self.open(start, parent, told, cause, part=part)
        if run is not None:
            self.apply(run, planner.begun(run.graph, start.message, start.to))
            if run.graph.polled:
                self.apply(run, planner.polls(run.graph, self.now))
        return key, run is not None

    def open(
        self,
        start: Start,
        parent: OpenRun | None = None,
        told: Create | None = None,
        cause: int | None = None,
        *,
        part: bool = False,
    ) -> tuple[int, OpenRun | None]:
        """Have a run in which nothing has begun; answers its key, and the run if it is new."""
        graph = start.graph
        if start.idempotency_key is not None:
            named = (graph.name, start.idempotency_key)
            known = self.started.get(named) or self.rows.run_by_key(*named)
            if known is not None:
                if known[1] != start.message:
                    raise Conflict(
                        f"workflow {graph.name}: the idempotency key {start.idempotency_key!r} came before with "
                        f"another message, for run {public_id(known[0])}; give another key, or replace that run"
                    )
                if parent is not None and told is not None:
                    self._see_told(start, known[0], parent)
                return known[0], None
            self.started[named] = (start.run, start.message)
        if (taken := self.runs.get(start.run)) is not None:
            if (taken.row.created_at, taken.graph.id) != (self.now, graph.id):
                raise Taken(f"the run id {public_id(start.run)} is taken; draw another")
            return start.run, None  # the same call again, after a commit whose answer was lost
        self.known.need(self.rows, graph, self.now)
        then = self.create(parent, told, cause) if parent is not None and told is not None else cause if part else None
        within = parent if part else None
        row = RunRow(
            start.run,
            graph.id,
            start.priority if within is None else _added(start.priority, within.row.priority),
            parent=parent.id if parent and then is not None else None,
            parent_task=then,
            created_at=self.now,
            state=ACTIVE,
            paused=within is not None and within.paused,
            closing=False,
            open=int(graph.stays_open),
            last=len(graph.nodes),
            result=None,
            reason=None,
            ended_at=None,
        )
        run = OpenRun(row, graph, new=True)
        self.runs[run.id] = run
        self.new_runs.append(
            NewRun(
                run.id,
                graph.id,
                start.name,
                row.priority,
                start.message,
                start.idempotency_key,
                row.parent,
                row.parent_task,
                self.now,
                start.deadline_at,
            )
        )
        if parent is not None:
            run.facts["cause"] = parent.id
        run.facts["started"] = graph.label
        self.keep_mentioned(run, 0, start.message)
        return run.id, run

    def _see_told(self, start: Start, known: int, parent: OpenRun) -> None:
        """A run that was started before tells its end to the handler that was named then, and to nobody else."""
        self._flush_tasks()  # it may have been started in this commit
        told = self.rows.run_told(known)
        if told != (parent.id, start.then):
            whom = f"to {told[1]}" if told and told[0] == parent.id else "to whoever started it"
            raise Conflict(
                f"workflow {start.graph.name}: a run was started with the idempotency key {start.idempotency_key!r} "
                f"before, and tells its end {whom}; leave then= or the key out"
            )

    def told(self, event: dict[str, object]) -> None:
        """An operator's action that is about no single run goes to the journal."""
        self.rows.journal_insert([(SEVERAL, self.now, self.actor, to_json(event).decode())])

    # carrying out

    def write(self) -> None:
        """Settle all arrivals and ends, then write what this commit has become."""
        self._settle_all()
        while quiet := [run for run in self.runs.values() if run.open <= 0 and run.state is ACTIVE]:
            for run in quiet:
                self._end_quietly(run)
            self._settle_all()
        self._flush()
        self._write_runs()

    def _settle_all(self) -> None:
        """Arrivals, then ends, then what these bring, until nothing more follows."""
        while self.arrivals or self.joins or self.ends or self.told_ends:
            while self.arrivals or self.joins or self.told_ends:
                self._tell_ends()
                arrivals, self.arrivals = self.arrivals, {}
                joins, self.joins = self.joins, {}
                self._settle_arrivals(arrivals, joins)
            ends, self.ends = self.ends, []
            if len(ends) > 1:  # what ends by itself does so before what it is part of, which began earlier
                ends.sort(key=lambda pair: -pair[0].id)
            for run, end in ends:
                self._end(run, end)

    def _tell_ends(self) -> None:
        """Runs have ended, and others wait for that; one that does not go on hears of it if it is tried again."""
        told, self.told_ends = self.told_ends, []
        for waiting, number in told:
            if waiting.takes:
                self.joined(waiting.id, number)

    def _settle_arrivals(
        self, arrivals: dict[tuple[int, str], list[Arrive]], joins: dict[tuple[int, int], int]
    ) -> None:
        counted: list[Arrival] = [Arrival(by, 0, None, False, *target) for target, by in joins.items()]
        known: dict[tuple[int, int], Arrive] = {}
        for (run_id, name), arrived in arrivals.items():
            arrive = planner.together(arrived)
            run, node = self.runs[run_id], arrive.node
            if run.state is not ACTIVE:
                continue
            if node.arity is HANDLER:
                self._gate(run, node, arrive)
            elif arrive.by == len(node.edges) and name not in run.graph.counted:
                self._complete(run, node, arrive.unmet, arrive.width, born=False)
            else:
                number = run.graph.number(name)
                known[run_id, number] = arrive
                counted.append(
                    Arrival(arrive.by, arrive.unmet, arrive.width, _decides(run.graph, node), run_id, number)
                )
        found = {(row.run, row.number): row for row in self._count_down(counted)}
        for target, arrive in known.items():
            if (row := found.pop(target, None)) is None:
                self._begin_waiting(self.runs[target[0]], target[1], arrive)
            elif row.missing == 0:
                self._complete(self.runs[row.run], arrive.node, row.unmet, row.width, born=True)
        for row in found.values():
            if row.missing == 0:
                self._complete_message(self.runs[row.run], row)

    def _count_down(self, arrivals: list[Arrival]) -> list[Arrived]:
        if not arrivals:
            return []
        self._flush_tasks()
        return self.rows.task_arrive(arrivals)

    def _begin_waiting(self, run: OpenRun, number: int, arrive: Arrive) -> None:
        """A join is born by its first arrival."""
        node = arrive.node
        missing = node.waits - arrive.by
        if missing == 0:
            self._complete(run, node, arrive.unmet, arrive.width, born=False)
            return
        cause = self.causes.get((run.id, node.name))
        self._insert(run, Create(node), number, PENDING, cause, missing, arrive.unmet, width=arrive.width)

    def _complete(self, run: OpenRun, node: Node, unmet: int, width: int | None, *, born: bool) -> None:
        """All that a node waits for has settled: it runs, is skipped, or becomes as many tasks as its list is long."""
        graph, number = run.graph, run.graph.number(node.name)
        if not unmet and node.name in graph.counted:
            failed = planner.counts_failures(graph, node)
            if failed:
                self._flush_tasks()
                unmet = sum(not self.rows.task_failed(run.id, graph.number(source)) for source in failed)
        if unmet:
            self._finish(run, node, number, SKIPPED, None, UNMET, born=born)
            self.apply(run, planner.after(graph, node, SKIPPED), number)
        elif node.arity is Arity.each:
            self._expand(run, node, number, width or 0, born=born)
        elif not born:
            self._insert(run, Create(node), number, READY, self.causes.get((run.id, node.name)))
        else:  # the statement that counted it down has readied it, unless that was to be decided
            self.wakes(node.queue)
            if _decides(graph, node):
                self.expansions.append(Expand(None, None, run.id, number))

    def _finish(
        self, run: OpenRun, node: Node, number: int, state: TaskState, width: int | None, reason: str, *, born: bool
    ) -> None:
        if born:
            run.open -= not run.failing  # what waited in it is cancelled
            run.note(state, number)
            self.finishes.append(Finish(state, reason, width, self.now, run.id, number))
        else:
            cause = self.causes.get((run.id, node.name))
            self._insert(run, Create(node), number, state, cause, width=width, reason=reason)

    def _expand(self, run: OpenRun, node: Node, number: int, width: int, *, born: bool) -> None:
        if width == 0:
            self._finish(run, node, number, SUCCEEDED, 0, "the list was empty", born=born)
        else:
            block, cause = run.last + 1, self.causes.get((run.id, node.name))
            run.last += width - 1
            if born:
                self.expansions.append(Expand(width, block, run.id, number))
                self.wakes(node.queue)
            else:
                self._insert(run, Create(node, item=0), number, READY, cause, width=width, block=block)
            if width > 1:  # those after the first differ by their number and item alone
                self._insert(run, Create(node, item=1), block, READY, cause)
                like = self.inserts[-1]
                for item in range(2, width):
                    values = (like.run, block + item - 1, like.lane, like.node, item, *like[5:])
                    self.inserts.append(lean(NewTask, values))
                run.open += 0 if run.failing else width - 2
                self.wakes(node.queue, width - 2)
        self.apply(run, planner.expanded(run.graph, node, width), number)

    def _gate(self, run: OpenRun, node: Node, arrive: Arrive) -> None:
        """Something that a handler waits for, besides its messages, has settled."""
        missing, unmet = self.rows.gate_arrive(run.id, node.name, node.waits, arrive.by, arrive.unmet)
        self.gates[run.id, node.name] = (missing, unmet)
        if missing == 0:
            self._flush_tasks()
            for row in self.rows.task_gate(run.id, node.name, int(unmet > 0), failing=run.failing):
                if row.missing == 0:
                    self._complete_message(run, row)

    def _complete_message(self, run: OpenRun, row: Arrived) -> None:
        """A handler's message has all it waits for: it is ready, takes its turn, or is skipped."""
        node = run.graph[row.node]
        if row.unmet:
            self._finish(run, node, row.number, SKIPPED, None, UNMET, born=True)
            self._skip(run, node, row.number, row.join)
            return
        self.wakes(node.queue)
        if row.key is not None:
            self.turns[run.id, row.key] = None

    # ends

    def _end_quietly(self, run: OpenRun) -> None:
        """Nothing is open any more: the run has ended by itself."""
        state = RunState.failed if run.closing else RunState.succeeded
        self._over(run, End(state, reason=run.reason))

    def _end(self, run: OpenRun, end: End) -> None:
        if run.state is not ACTIVE or (run.closing and end.state is not RunState.cancelled):
            if run.result is None and (run.closing or run.state is RunState.failed):
                run.result = end.result  # it fails once, for its first reason; what completes it does so if it goes on
            return
        if end.state is RunState.failed and run.graph.on_failure == "finish" and run.open > 0:
            self._flush_tasks()
            run.closing, run.reason = True, end.reason
            run.open -= int(run.graph.stays_open)
            self._cancel(run, "the run failed", MANY)
            self._end_parts(run, RunState.failed, end.reason, MANY)
        else:
            self._over(run, end)

    def _cancel(self, run: OpenRun, reason: str, limit: int) -> None:
        """What has not begun in a run that ends never will, and nobody is asked any more."""
        run.open -= self.rows.task_cancel(run.id, reason, self.now, limit)
        if run.graph.reviews:
            self.rows.review_close_all(run.id)

    def end_parts(self, run: OpenRun) -> bool:
        """End what is part of a run that has ended; answers whether there may be more, for a sweep."""
        return self._end_parts(run, run.state, run.reason, PARTS_AT_ONCE) >= PARTS_AT_ONCE

    def _end_parts(self, run: OpenRun, state: RunState, why: str | None, limit: int) -> int:
        because = f"{ENDED_WITH} {public_id(run.id)} of {run.graph.name}, which {state.over}" + (
            f": {why}" if why else ""
        )
        parts = self.parts(run, limit)
        for part in parts:
            if part.state is ACTIVE and part.open <= 0:  # it comes to its end in this very commit
                self._end_quietly(part)
            elif part.state is ACTIVE:
                self._over(part, End(RunState.cancelled, reason=because))
        return len(parts)

    def _over(self, run: OpenRun, end: End) -> None:
        self._flush_tasks()
        run.open -= int(run.graph.stays_open and not run.closing)
        run.state, run.reason, run.ended_at = end.state, end.reason, self.now
        if end.result is not None:
            run.result = end.result
        if run.open > 0:
            more = bool(run.graph.parts) and self.end_parts(run)
            self._cancel(run, WHY_CANCELLED[end.state], 0 if more else CANCEL_AT_ONCE)
        if run.paused:  # nobody can resume what is over, and what runs after the end is to run
            run.paused = False
            self.rows.task_hold(run.id, held=False)
        run.facts["ended"] = str(end.state)  # a member of an enumeration takes eight times as long to become JSON
        if end.reason:
            run.facts["reason"] = end.reason
        for change in planner.epilogue(run.graph, end.state):
            if run.was is not None and self.rows.task_get(run.id, change.number or 0) is not None:
                change.number = None  # the run has ended before, and went on
            self.create(run, change, None)
        parent, task = run.row.parent, run.row.parent_task
        if parent is not None and task is not None:
            self.told_ends += [(waiting, task) for waiting in self.reached([parent])]

    # writing

    def _flush_tasks(self) -> None:
        """Births and endings so far must be there before a statement looks for them."""
        if self.new_runs:
            new, self.new_runs = self.new_runs, []
            self.rows.run_insert(new)
        if self.inserts:
            inserts, self.inserts = self.inserts, []
            self.rows.task_insert(inserts)
        if self.finishes:
            finishes, self.finishes = self.finishes, []
            self.rows.task_finish(finishes)
        if self.expansions:
            expansions, self.expansions = self.expansions, []
            self.rows.task_expand(expansions)

    def _flush(self) -> None:
        self._flush_tasks()
        if self.turns:
            turns, self.turns = self.turns, {}
            self.rows.task_turn(turns)
        if self.records:
            self.rows.record_put(self.records)
            self.records = []
        if self.artifacts:
            self.rows.artifact_insert(self.artifacts)  # type: ignore[arg-type]
            self.artifacts = []

    def _write_runs(self) -> None:
        """The runs that have changed, and the journal: what a run's other lines tell, and one line for the routine."""
        changes: list[RunChange] = []
        journal: list[tuple[int, float, str, str]] = []
        routine: dict[str, list[int]] = {}
        for run in self.runs.values():
            if (change := run.change) != run.was:
                changes.append(lean(RunChange, (*change, run.id)))
            succeeded = run.noted.get(SUCCEEDED)
            if run.facts or len(run.noted) > (succeeded is not None):
                told = {str(state): numbers for state, numbers in run.noted.items()} | run.facts
                journal.append((run.id, self.now, self.actor, to_json(told).decode()))
            elif succeeded is not None:
                routine[str(run.id)] = succeeded
        if routine:
            journal.append((SEVERAL, self.now, self.actor, to_json({SUCCEEDED: routine}).decode()))
        if changes:
            self.rows.run_change(changes)
        if journal:
            self.rows.journal_insert(journal)


def _added(*priorities: int) -> int:
    """Priorities of runs within runs, as far as one may go."""
    return max(-PRIORITY, min(PRIORITY, sum(priorities)))


def _decides(graph: Graph, node: Node) -> bool:
    """Whether reaching zero is not yet readiness: a list to go over, or failures to be counted."""
    return (node.name in graph.counted and bool(planner.counts_failures(graph, node))) or node.arity is Arity.each
