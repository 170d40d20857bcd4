"""The shapes of what ``--json`` writes. They are a promise: keys are added, never renamed or dropped.

Times are ISO 8601 in UTC, durations are seconds, ids are those that commands take; what is not there is null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from heliostat.cli.output import stamp
from heliostat.code import ran
from heliostat.inside import traffic
from heliostat.run import RunState, public_id, task_id
from heliostat.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from heliostat.comparison import Comparison, Side
    from heliostat.engine import Engine
    from heliostat.graph import Graph, Node
    from heliostat.handle import RunHandle
    from heliostat.inputs import Given
    from heliostat.queue import Hold, Lane, Queue, WorkerInfo
    from heliostat.resources import Resources
    from heliostat.review import Review
    from heliostat.run import Run
    from heliostat.store import Answer, AttemptRecord, Kept, Store
    from heliostat.task import Task
    from heliostat.trigger import Schedule

PARTS = 100  #: runs inside a run, of which its details tell
FAILURES = 20  #: tasks that failed, of which a run's details tell


class DoneShape(TypedDict, total=False):
    """Commands that do something and have nothing to show write this."""

    done: bool  # False where there was nothing to do
    said: list[str]  # what people read
    run: str  # which it was about, where it was one
    task: str
    runs: list[DoneRunShape]  # which it was about, where there were several
    queue: str  # which was set, and on what terms it is now
    limit: int | None
    rate: str | None
    paused: bool
    nodes: list[DoneNodeShape]  # which were set, a version each


class DoneRunShape(TypedDict):
    """What was done to one of several runs."""

    run: str
    done: bool  # False where there was nothing to do
    note: str  # why not


class DoneNodeShape(TypedDict):
    """On what terms a node is now, in one version of its workflow."""

    version: str  # with the workflow's name
    limit: int | None
    paused: bool


class ErrorShape(TypedDict):
    """The last line of standard error of a command that was refused or went wrong."""

    error: ErrorFacts


class ErrorFacts(TypedDict):
    """What went wrong."""

    kind: str  # as in the tree of errors: NotFound, Conflict…; Usage where the command was written wrongly
    message: str  # what people read
    exit_code: int


class RunShape(TypedDict):
    """``run list`` writes a list of these."""

    id: str
    workflow: str
    version: str
    name: str
    state: str  # pending, active, succeeded, failed, cancelled
    paused: bool
    priority: int
    reason: str | None  # why it failed or was cancelled
    parent: str | None  # the run that it is part of, or that waits for its end
    created_at: str | None
    deadline_at: str | None  # it fails if it has not ended by then
    ended_at: str | None


class NodeState(TypedDict):
    """How a node stands in a run."""

    name: str
    tasks: dict[str, int]  # how many are in each state
    seconds: float  # how long they ran, added up


class ArtifactShape(TypedDict):
    """``artifact list`` writes a list of these."""

    name: str
    digest: str
    size: int  # bytes
    media_type: str
    tags: list[str]
    task: str
    kept_at: str | None


class FetchedShape(ArtifactShape):
    """``artifact get``."""

    written: str  # where the file is now


class DrawnShape(TypedDict):
    """``workflow graph``."""

    format: str  # svg, mermaid, dot
    written: str | None  # where it is, with --out
    text: str | None  # else the drawing itself


class FailureShape(TypedDict):
    """A task that failed for good."""

    task: str
    node: str
    reason: str | None


class PartShape(TypedDict):
    """A run that is part of another one or tells it its end."""

    id: str
    workflow: str
    task: str | None  # what it is there: its node, and which item
    state: str


class Payloads(TypedDict):
    """What goes in and comes out."""

    message: Any
    result: Any


class RunDetails(RunShape, Payloads):
    """``run show``, and ``run start`` and ``run wait``, which wait for its end."""

    key: str | None  # its idempotency key
    hold: HoldShape | None  # who has paused it
    parent_task: str | None  # what it is in its parent: a node, and which item
    parts: list[PartShape]  # the first runs that are part of it or tell it their end
    nodes: list[NodeState]
    failures: list[FailureShape]  # the first of them
    artifacts: list[ArtifactShape]


class AttemptShape(TypedDict):
    """An attempt that ended otherwise than well."""

    attempt: int
    state: str  # failed, timed_out, out_of_memory, killed, lost, snoozed, rescued, stopped
    worker: str | None
    code: str | None  # the digest of the code that ran
    started_at: str | None
    ended_at: str | None
    reason: str | None
    resources: dict[str, Any] | None  # what it was given, but for what goes without saying


class TaskShape(TypedDict):
    """``task list`` writes a list of these."""

    id: str
    node: str
    item: int | None  # which item of a mapped list it is for
    state: str  # pending, ready, running, waiting, succeeded, failed, cancelled, skipped
    queue: str
    priority: int
    attempts: int
    worker: str | None
    reason: str | None
    due_at: str | None
    created_at: str | None
    started_at: str | None
    ended_at: str | None


class JobShape(TypedDict):
    """A task's newest job, where its directory lies on this machine."""

    directory: str
    system: str | None  # local, slurm, …; null: nobody has looked at it yet
    id: str | None  # the scheduler's
    place: str | None  # where the scheduler's commands run
    state: str | None  # submitted, running, lost, ended, unknown: as it was last seen
    reason: str | None  # why it waits
    command: str | None


class TaskDetails(TaskShape):
    """``task show``."""

    cause: str | None  # the task that gave birth to it
    message: Any
    result: Any
    failures: int
    rescues: int
    explanation: str
    code: str | None  # the digest of the code that ran last
    resources: dict[str, Any] | None  # what its newest attempt was given; before, what its node asks for
    job: JobShape | None
    inputs: dict[str, InputShape]  # by parameter
    history: list[AttemptShape]
    traceback: TracebackShape | None  # of the newest attempt that raised, where it lies on this machine


class InputShape(TypedDict):
    """What a task was given by a node before it."""

    source: str  # the node, and which item: rates[12]
    task: str | None  # that gave it, or the list that it is an item of; null: a handler's
    state: str  # succeeded, skipped, failed
    brief: str | None  # what it gave, as JSON, shortened


class TracebackShape(TypedDict):
    """Where in its files a function raised."""

    attempt: int | None
    text: str


class Explanation(TypedDict):
    """``task explain`` writes a list of these: one per task that is not final, or the one asked about."""

    task: str
    node: str
    title: str  # the node, and which item: nap[0]
    state: str
    explanation: str


class ReasonShape(TypedDict):
    """What some tasks of a run wait for, in the same words."""

    state: str
    why: str  # of the first of them
    alike: bool  # the others differ in numbers and times only
    tasks: int
    nodes: dict[str, int]  # so many of each
    first: list[str]  # some of them


class RunReasons(TypedDict):
    """``run explain``."""

    id: str
    state: str
    paused: bool
    summary: str  # in a sentence, how it stands
    reasons: list[ReasonShape]
    traceback: str | None  # of what it has failed for, where it lies on this machine


class ReviewShape(TypedDict):
    """``review list`` writes a list of these."""

    id: str  # the task's
    workflow: str
    name: str  # the run's
    node: str
    item: int | None  # which item of a list it is for
    choices: list[str]
    role: str | None
    otherwise: str | None  # what is decided when the time is over
    asked_at: str | None
    due_at: str | None
    claimed_by: str | None
    claimed_at: str | None


class ReviewDetails(ReviewShape):
    """``review show``."""

    inputs: dict[str, Any]  # the results of what it waits for


class LogLine(TypedDict):
    """``run log`` and ``task log`` write a list of these, in order of time."""

    at: str | None
    kind: str  # run, task, attempt, review, operator, log, progress, output
    task: str | None
    node: str | None
    attempt: int | None
    by: str | None  # the worker or person
    text: str
    fields: dict[str, Any]


class SeedShape(TypedDict):
    """A seed under which something went wrong."""

    seed: int
    error: str
    history: list[str]  # the shortest that shows it
    replay: str  # the command that shows it again


class SimulationShape(TypedDict):
    """``workflow simulate``."""

    workflow: str
    seeds: int  # that held
    transactions: int | None  # of all that held; null where a seed failed
    faults: dict[str, int]
    failed: SeedShape | None


class WorkerShape(TypedDict):
    """``worker list`` writes a list of these."""

    id: str
    host: str
    pid: int
    state: str  # active, draining, lost
    queues: list[str] | None  # null: all
    offers: list[str]
    site: str | None
    heliostat: str | None  # which version of it; null: one from before they told it
    started_at: str | None
    beat_at: str | None


class FindingShape(TypedDict):
    """``doctor`` writes a list of these."""

    about: str  # configuration, database, durability, clock, schema, files, broker, tickets, workers, queues, workflows
    verdict: str  # good, doubtful, bad
    text: str
    advice: str | None  # what to do


class HoldShape(TypedDict):
    """Who has paused something, and when."""

    by: str
    at: str | None
    reason: str | None


class QueueShape(TypedDict):
    """``queue list`` writes a list of these."""

    name: str
    limit: int | None
    rate: str | None
    configured: QueueSaidShape
    by_hand: list[str]  # limit, rate: what an operator has set
    paused: bool
    hold: HoldShape | None  # who has paused it
    ready: int
    running: int
    why: str | None  # why what is ready has not begun
    jobs: dict[str, int]  # how the jobs of what is running stand, as far as that is known here


class NodeLimitShape(TypedDict):
    """``node list`` writes a list of these."""

    workflow: str
    version: str
    node: str
    queue: str
    limit: int | None
    paused: bool
    hold: HoldShape | None  # who has paused it
    ready: int
    running: int
    jobs: dict[str, int]  # how the jobs of what is running stand, as far as that is known here


class CellShape(TypedDict):
    """How a subject stands at a node."""

    state: str  # success, running, failed execution, …
    task: str
    tasks: dict[str, int]  # how many of the node's tasks are in each state
    reason: str | None


class SubjectShape(TypedDict):
    """A row of a grid."""

    subject: str
    run: str
    state: str  # the run's
    depth: int  # inside how many others its run is
    nodes: dict[str, CellShape]


class GridShape(TypedDict):
    """``workflow grid`` writes one."""

    workflow: str
    nodes: list[str]
    subjects: list[SubjectShape]


class QueueSaidShape(TypedDict):
    """What the configuration has said last of a queue."""

    limit: int | None
    rate: str | None


class EdgeShape(TypedDict):
    """What leads to a node."""

    source: str
    parameter: str | None
    on: str  # succeeded, failed, ended
    choice: str | None
    optional: bool


class NodeShape(TypedDict):
    """A node of a workflow."""

    name: str
    kind: str  # function, job
    arity: str  # once, each, handler
    trigger: str | None  # what sends to it in each active run: every 5m
    requires: list[str]  # packages of its environment
    env: list[str]  # names of the variables that its function or command is given
    secrets: list[str]  # names of the secrets among their values
    image: str | None  # of the container in which its command runs
    queue: str
    priority: int
    resources: dict[str, Any] | None  # what its first attempt is given, but for what goes without saying
    adapts: bool  # a function says what each attempt is given
    epilogue: str | None  # runs after the run's end: failed, ended
    edges: list[EdgeShape]


class ScheduleShape(TypedDict):
    """What starts runs of a workflow by itself, and how that stands in the database."""

    trigger: str  # every 5m; cron "0 6 * * *" Europe/Rome
    catch_up: str  # latest, all, none
    next_at: str | None  # the next tick of which a run is started; null: of this definition none is
    last_at: str | None  # the newest tick of which one was
    paused: bool
    hold: HoldShape | None  # who has paused it


class WorkflowShape(TypedDict):
    """``workflow list`` writes a list of these, ``workflow show`` one with its nodes."""

    name: str
    version: str
    fingerprint: str
    stays_open: bool
    schedule: ScheduleShape | None
    nodes: list[str]


class CheckedShape(WorkflowShape):
    """``workflow check`` writes a list of these."""

    doubts: list[str]  # a sentence for each parameter that may be given what it does not want


class WorkflowDetails(TypedDict):
    """``workflow show``."""

    name: str
    version: str
    fingerprint: str
    stays_open: bool
    schedule: ScheduleShape | None
    nodes: list[NodeShape]


class ConfigShape(TypedDict):
    """``config show``: each value, and where it comes from."""

    database: str
    database_from: str
    files: str
    files_from: str
    apps: list[str]
    apps_from: str
    installed: list[str]  # apps that installed packages offer
    broker: str
    broker_from: str
    executor: str
    executor_from: str
    site: str  # empty: none
    site_from: str
    secrets: str  # the directory; empty: none
    secrets_from: str
    environments: str
    environments_from: str
    sites: dict[str, list[str]]  # the queues of each
    sites_from: str
    queues: dict[str, QueueTermsShape]
    queues_from: str


class QueueTermsShape(TypedDict):
    """What is configured of a queue."""

    limit: int | None
    rate: str | None
    executor: str | None  # null: the worker's
    containers: str | None  # what runs images, with its options; null: whichever is found
    cluster: dict[str, str | int] | None  # what is set of its partition, account, setup, host and so on


class MistakesShape(TypedDict):
    """``config check``: a sentence for each mistake; none where all is well."""

    mistakes: list[str]


class DatabaseShape(TypedDict):
    """``db status``."""

    database: str
    schema: int  # 0: none yet
    needed: int


class PruneShape(TypedDict):
    """``db prune``."""

    before: str | None  # runs that ended before this time were forgotten
    runs: int
    bytes: int  # of files that went
    left: int  # files and directories that stay until a later prune


def version(graph: Graph) -> str:
    """A definition's version, as people see it."""
    return graph.label.removeprefix(graph.name).strip()


class SideShape(TypedDict):
    """What became of a node in one of two runs."""

    tasks: dict[str, int]  # how many are in each state
    attempts: int
    seconds: float  # how long they ran, added up
    codes: list[str]  # the digests of the code that ran
    taken_over: bool  # from another run


class DifferenceShape(TypedDict):
    """Where two results differ."""

    place: str  # such as $.tiles[3]
    before: Any
    after: Any
    only: str | None  # before or after, where the place is in one of them alone


class NodeComparisonShape(TypedDict):
    """A node in two runs; null where the graph has no such node."""

    node: str
    differs: list[str]  # structure, state, attempts, result, code
    before: SideShape | None
    after: SideShape | None
    result: list[DifferenceShape]
    more: int  # differences of the result that are not listed


class ComparisonShape(TypedDict):
    """``run compare``."""

    before: str
    after: str
    versions: list[str]
    structure: str | None  # how the graphs differ
    nodes: list[NodeComparisonShape]


def comparison_shape(found: Comparison) -> ComparisonShape:
    """Two runs beside each other."""

    def side(one: Side | None) -> SideShape | None:
        if one is None:
            return None
        seconds, codes = round(one.seconds, 6), list(one.codes)
        return {
            "tasks": one.states,
            "attempts": one.attempts,
            "seconds": seconds,
            "codes": codes,
            "taken_over": one.over,
        }

    return {
        "before": found.before,
        "after": found.after,
        "versions": list(found.versions),
        "structure": found.structure,
        "nodes": [
            {
                "node": node.node,
                "differs": list(node.differs),
                "before": side(node.before),
                "after": side(node.after),
                "result": [
                    {"place": one.place, "before": one.before, "after": one.after, "only": one.only}
                    for one in node.result
                ],
                "more": node.more,
            }
            for node in found.nodes
        ],
    }


def run_shape(run: Run, graph: Graph) -> RunShape:
    """A run in short."""
    return {
        "id": run.public,
        "workflow": graph.name,
        "version": version(graph),
        "name": run.name,
        "state": str(run.state),
        "paused": run.paused,
        "priority": run.priority,
        "reason": run.reason,
        "parent": None if run.parent is None else public_id(run.parent),
        "created_at": stamp(run.created_at),
        "deadline_at": stamp(run.deadline_at),
        "ended_at": stamp(run.ended_at),
    }


def part_shape(store: Store, run: Run) -> PartShape:
    """A run as part of another one."""
    label = store.graph(run.graph).label
    return {"id": run.public, "workflow": label, "task": _place(store, run), "state": str(run.state)}


def _place(store: Store, run: Run) -> str | None:
    """What a run is in the one that it is part of, or that waits for its end."""
    place = None if run.parent is None else store.task(run.parent, run.parent_task or 0)
    return None if place is None else place.title


def run_details(store: Store, handle: RunHandle) -> RunDetails:
    """A run with all that belongs to it."""
    run, graph = handle.info, handle.graph
    states, seconds = store.states(run.id), node_seconds(traffic(store, graph, run.id))
    failed = store.tasks(run.id, state=TaskState.failed, limit=FAILURES)
    return {
        **run_shape(run, graph),
        "key": run.idempotency_key,
        "hold": hold_shape(hold_of(store.holds(run.id), "run", "")) if run.paused else None,
        "parent_task": _place(store, run),
        "parts": [part_shape(store, part) for part in store.parts(run.id, PARTS)],
        **message_and_result(store, handle),
        "nodes": [
            {
                "name": node.name,
                "tasks": {str(state): count for state, count in states.get(node.name, {}).items()},
                "seconds": round(seconds.get(node.name, 0.0), 6),
            }
            for node in graph
        ],
        "failures": [
            {"task": task_id(run.id, task.number), "node": task.node, "reason": task.reason} for task in failed
        ],
        "artifacts": [artifact_shape(run.id, kept) for kept in store.artifacts(run.id)],
    }


def message_and_result(store: Store, handle: RunHandle) -> Payloads:
    """What a run was started with, and what it gave if it has succeeded."""
    from heliostat.inputs import result_of

    run, result = handle.info, None
    if run.state is RunState.succeeded:
        result = decoded(result_of(store, run, handle.graph))
    return {"message": decoded(run.message), "result": result}


def node_seconds(traffic: list[tuple[str | None, str, int, float]]) -> dict[str, float]:
    """How long the tasks of each node ran, added up."""
    found: dict[str, float] = {}
    for _, receiver, _, seconds in traffic:
        found[receiver] = found.get(receiver, 0.0) + seconds
    return found


def answered(answer: Answer) -> dict[str, str]:
    """The run and the task that a command was about."""
    if answer.run is None:
        return {}
    task = {} if answer.number is None else {"task": task_id(answer.run, answer.number)}
    return {"run": public_id(answer.run), **task}


def decoded(text: str | None) -> Any:
    """JSON text as a value."""
    from heliostat.codec import decode

    return None if text is None else decode(text)


def artifact_shape(run: int, kept: Kept) -> ArtifactShape:
    """A file that a run keeps."""
    artifact = kept.artifact
    return {
        "name": artifact.name,
        "digest": artifact.digest,
        "size": artifact.size,
        "media_type": artifact.media_type,
        "tags": list(artifact.tags),
        "task": task_id(run, kept.number),
        "kept_at": stamp(kept.at),
    }


def task_shape(task: Task) -> TaskShape:
    """A task in short."""
    return {
        "id": task_id(task.run, task.number),
        "node": task.node,
        "item": task.item,
        "state": str(task.state),
        "queue": task.queue,
        "priority": task.priority,
        "attempts": task.count,
        "worker": task.worker,
        "reason": task.reason,
        "due_at": stamp(task.due_at),
        "created_at": stamp(task.created_at),
        "started_at": stamp(task.started_at),
        "ended_at": stamp(task.ended_at),
    }


def task_details(
    engine: Engine, task: Task, history: list[AttemptRecord], explanation: str, allotted: Mapping[int, Resources]
) -> TaskDetails:
    """A task with what it was given and its past attempts; ``allotted`` is what each had of a machine."""
    from heliostat.inputs import given
    from heliostat.story import Log, raised

    store = engine.store
    node = store.graph(task.graph)[task.node]
    line = raised(task, Log(task.run, engine.around.log_files))
    return {
        **task_shape(task),
        "cause": None if task.cause is None else task_id(task.run, task.cause),
        "message": decoded(task.message),
        "result": decoded(task.result),
        "failures": task.failures,
        "rescues": task.rescues,
        "explanation": explanation,
        "code": ran(store, task.graph, task.worker, task.started_at),
        "resources": resources_shape(allotted.get(task.count, node.resources)),
        "job": job_shape(engine, task),
        "inputs": {name: input_shape(task.run, each) for name, each in given(store, engine.registry, task).items()},
        "traceback": None if line is None else {"attempt": line.attempt, "text": line.text},
        "history": [
            attempt_shape(past, ran(store, task.graph, past.worker, past.started_at), allotted.get(past.count))
            for past in history
        ],
    }


def job_shape(engine: Engine, task: Task) -> JobShape | None:
    """A task's newest job."""
    from heliostat.seen import command, last_job

    if (found := last_job(engine.around, task)) is None:
        return None
    directory, seen = found
    return {
        "directory": str(directory.absolute()),
        "system": None if seen is None else seen.system,
        "id": None if seen is None else seen.handle or None,
        "place": None if seen is None else seen.place or None,
        "state": None if seen is None else str(seen.state),
        "reason": None if seen is None else seen.reason or None,
        "command": command(directory),
    }


def resources_shape(resources: Resources | None) -> dict[str, Any] | None:
    """What a node asks for, or an attempt was given."""
    return None if resources is None else resources.to_json()


def input_shape(run: int, given: Given) -> InputShape:
    """What a task was given, by reference and shortened."""
    from heliostat.inputs import brief

    return {
        "source": given.source,
        "task": None if given.task is None else task_id(run, given.task),
        "state": str(given.state),
        "brief": None if given.result is None else brief(given.result),
    }


def attempt_shape(past: AttemptRecord, code: str | None, given: Resources | None) -> AttemptShape:
    """An attempt that ended otherwise than well."""
    return {
        "attempt": past.count,
        "state": past.state,
        "worker": past.worker,
        "code": code,
        "started_at": stamp(past.started_at),
        "ended_at": stamp(past.ended_at),
        "reason": past.reason,
        "resources": resources_shape(given),
    }


def review_shape(run: Run, graph: Graph, review: Review) -> ReviewShape:
    """A review that is open."""
    asks = graph[review.node].review
    assert asks is not None
    return {
        "id": task_id(review.run, review.number),
        "workflow": graph.name,
        "name": run.name,
        "node": review.node,
        "item": review.item,
        "choices": list(asks.choices),
        "role": asks.role or None,
        "otherwise": asks.otherwise,
        "asked_at": stamp(review.asked_at),
        "due_at": stamp(review.due_at),
        "claimed_by": review.claimed_by,
        "claimed_at": stamp(review.claimed_at),
    }


def worker_shape(worker: WorkerInfo) -> WorkerShape:
    """A worker."""
    return {
        "id": worker.id,
        "host": worker.host,
        "pid": worker.pid,
        "state": worker.state,
        "queues": worker.queues.split(",") if worker.queues else None,
        "offers": worker.offers.split(", ") if worker.offers else [],
        "site": worker.site or None,
        "heliostat": worker.release,
        "started_at": stamp(worker.started_at),
        "beat_at": stamp(worker.beat_at),
    }


def hold_of(holds: Iterable[Hold], kind: str, name: str) -> Hold | None:
    """Who has paused something, where that is known."""
    return next((hold for hold in holds if (hold.kind, hold.name) == (kind, name)), None)


def hold_shape(hold: Hold | None) -> HoldShape | None:
    """Who has paused something, and when."""
    return None if hold is None else {"by": hold.actor, "at": stamp(hold.at), "reason": hold.reason or None}


def queue_shape(
    queue: Queue, ready: int, running: int, *, hold: Hold | None, why: str, jobs: Mapping[str, int]
) -> QueueShape:
    """A queue and how full it is."""
    return {
        "name": queue.name,
        "limit": queue.limit,
        "rate": queue.rate,
        "configured": {"limit": queue.configured.limit, "rate": queue.configured.rate},
        "by_hand": [term for term in queue.configured._fields if queue.overruled(term)],
        "paused": queue.paused,
        "hold": hold_shape(hold),
        "ready": ready,
        "running": running,
        "why": why or None,
        "jobs": dict(jobs),
    }


def node_limit_shape(
    lane: Lane, graph: Graph, ready: int, running: int, *, hold: Hold | None, jobs: Mapping[str, int]
) -> NodeLimitShape:
    """What holds for a node over all its runs."""
    return {
        "workflow": graph.name,
        "version": version(graph),
        "node": lane.node or "",
        "queue": lane.queue,
        "limit": lane.limit,
        "paused": lane.paused,
        "hold": hold_shape(hold),
        "ready": ready,
        "running": running,
        "jobs": dict(jobs),
    }


def schedule_shape(graph: Graph, schedule: Schedule | None, hold: Hold | None = None) -> ScheduleShape | None:
    """A workflow's trigger; the schedule may be one of another definition."""
    if graph.trigger is None:
        return None
    mine = schedule if schedule is not None and schedule.graph == graph.id else None
    return {
        "trigger": str(graph.trigger),
        "catch_up": graph.trigger.catch_up,
        "next_at": None if mine is None else stamp(mine.next_at),
        "last_at": None if mine is None else stamp(mine.last_at),
        "paused": schedule is not None and schedule.paused,
        "hold": hold_shape(hold),
    }


def workflow_shape(graph: Graph, schedule: Schedule | None = None, hold: Hold | None = None) -> WorkflowShape:
    """A workflow in short."""
    return {
        "name": graph.name,
        "version": version(graph),
        "fingerprint": graph.fingerprint,
        "stays_open": graph.stays_open,
        "schedule": schedule_shape(graph, schedule, hold),
        "nodes": [node.name for node in graph],
    }


def workflow_details(graph: Graph, schedule: Schedule | None = None, hold: Hold | None = None) -> WorkflowDetails:
    """A workflow with its nodes."""
    return {
        "name": graph.name,
        "version": version(graph),
        "fingerprint": graph.fingerprint,
        "stays_open": graph.stays_open,
        "schedule": schedule_shape(graph, schedule, hold),
        "nodes": [node_shape(node) for node in graph],
    }


def node_shape(node: Node) -> NodeShape:
    """A node and what leads to it."""
    env, secrets = variables(node)
    return {
        "name": node.name,
        "kind": str(node.kind),
        "arity": str(node.arity),
        "trigger": None if node.trigger is None else str(node.trigger),
        "requires": list(node.requires),
        "env": env,
        "secrets": secrets,
        "image": None if node.job is None else node.job.image,
        "queue": node.queue,
        "priority": node.priority,
        "resources": resources_shape(node.resources),
        "adapts": node.adapts,
        "epilogue": None if node.epilogue is None else str(node.epilogue),
        "edges": [
            {
                "source": edge.source,
                "parameter": edge.parameter,
                "on": str(edge.on),
                "choice": edge.choice,
                "optional": edge.optional,
            }
            for edge in node.edges
        ],
    }


def variables(node: Node) -> tuple[list[str], list[str]]:
    """The names of the variables that a node's function or command is given, and of the secrets among their values."""
    from heliostat.secret import Secret

    env = node.env if node.job is None else node.job.env
    return sorted(env), sorted({value.name for value in env.values() if isinstance(value, Secret)})
