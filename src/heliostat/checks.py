"""Why a task does not run, in words; the facts come from a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat import codec, retry
from heliostat.fleet import offers, others, serves, takers
from heliostat.graph import Arity, On
from heliostat.queue import node_hold
from heliostat.review import told
from heliostat.run import RunState, public_id
from heliostat.task import TaskState
from heliostat.trigger import is_tick, stamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heliostat.graph import Graph
    from heliostat.queue import Hold, Queue, Why, WorkerInfo
    from heliostat.review import Review


def explain(
    why: Why, now: float, came: Mapping[str, tuple[TaskState, str | None]] | None = None, job: str | None = None
) -> str:
    """One sentence: what the task is waiting for, or how it ended.

    ``came`` says how the nodes before a skipped one came out (state and result), so that it can be said which was not
    as wanted. ``job`` says how the job of a running one stands in its batch system.
    """
    task = why.task
    match task.state:
        case TaskState.pending:
            return _pending(why, now)
        case TaskState.waiting:
            return _paused(why, now) or _waiting(why, now)
        case TaskState.ready:
            return _ready(why, now)
        case TaskState.running:
            return _running(why, now, job)
        case _:
            return _ended(why, came or {})


def _ended(why: Why, came: Mapping[str, tuple[TaskState, str | None]]) -> str:
    task, run = why.task, why.run
    if task.state is TaskState.skipped and (missed := _missed(why.graph, task.node, came)):
        return f"skipped: {missed}"
    if task.state is TaskState.succeeded and task.node in why.graph.reviews and task.result is not None:
        decided = codec.decode(task.result)
        return f"succeeded: {told(decided)}" if isinstance(decided, dict) else str(task.state)
    words = f"{task.state}: {task.reason}" if task.reason else str(task.state)
    if task.state is TaskState.cancelled and run.reason and (task.reason or "").endswith("the run was cancelled"):
        words += f": {run.reason}"  # the same words for all tasks are kept once
    return words


def _missed(graph: Graph, name: str, came: Mapping[str, tuple[TaskState, str | None]]) -> str:
    missed = []
    for edge in graph[name].edges:
        state, result = came.get(edge.source, (None, None))
        chosen = None if result is None else codec.decode(result)
        if edge.source in graph.reviews and isinstance(chosen, dict):
            chosen = chosen["choice"]  # of all that a decision says
            result = codec.encode(chosen, edge.source)
        if state is None or edge.met(state, chosen if isinstance(chosen, str) else None):
            continue
        if state is TaskState.succeeded and edge.on is On.failed:
            missed.append(f"{edge.source} did not fail")
        elif state is TaskState.succeeded:
            missed.append(f"{edge.source} gave {_short(result)}, not {edge.choice!r}")
        else:
            missed.append(f"{edge.source} {'was' if state is not TaskState.failed else 'has'} {state}")
    return " and ".join(missed)


def _short(text: str | None) -> str:
    return str(text) if len(str(text)) <= 40 else f"{str(text)[:39]}…"


def _running(why: Why, now: float, job: str | None) -> str:
    task = why.task
    since, worker = lasting(now - (task.started_at or now)), f"worker {task.worker} (attempt {task.count})"
    held = f"running for {since} on {worker}" if job is None else f"{job}; watched for {since} by {worker}"
    if not any(worker.id == task.worker and worker.state != "lost" for worker in why.workers):
        then = "it will be rescued" if job is None else "a worker that can watch the job takes it over"
        return f"{held}, which shows no life; {then}"
    if why.run.state.final and not why.graph[task.node].epilogue:
        return f"{held}; run {public_id(why.run.id)} {why.run.state.over}: it is to stop"
    if task.unmet:
        return f"{held}; {task.reason}: it is to stop"
    if task.rescues and retry.alone(why.graph[task.node], task.rescues):
        return f"{held}; {_lost(task.rescues)} before, so it begins when nothing else runs there"
    return held


def _lost(times: int) -> str:
    return f"lost with its worker {times} time{'s' if times > 1 else ''}"


def _pending(why: Why, now: float) -> str:
    task = why.task
    if why.child is not None:
        part = why.graph[task.node].workflow
        return f"waits for run {why.child} of {part.name}" if part else f"waits for the end of run {why.child}"
    if why.waits_for:
        waits = f"{task.node} waits for {', '.join(why.waits_for)}"
        asleep = [name for name in why.waits_for if why.graph[name].arity is Arity.handler]
        return waits + "".join(f"; {name} is a handler, which acts when it is sent a message" for name in asleep)
    if task.missing:
        return f"waits for {task.missing} more results of the tasks it joins"
    if task.key is not None:
        which = task.key.partition("\n")[2]
        value = f" for {which}" if which else ""
        return _paused(why, now) or f"{task.node} is serial{value}: {why.ahead} before it"
    return "waits for its inputs"


def _paused(why: Why, now: float) -> str | None:
    if why.run.paused:
        return f"run {public_id(why.run.id)} is paused{_by(why, 'run', '', now)}"
    return None


def _by(why: Why, kind: str, name: str, now: float) -> str:
    """Who has paused something, where that is known."""
    found = next((hold for hold in why.holds if (hold.kind, hold.name) == (kind, name)), None)
    return "" if found is None else f", {paused_by(found, now)}"


def paused_by(hold: Hold, now: float) -> str:
    """Who has paused something, when and why."""
    return f"by {hold.actor} {lasting(now - hold.at)} ago" + (f": {hold.reason}" if hold.reason else "")


def held(queue: Queue, ready: int, running: int, workers: Sequence[WorkerInfo], now: float) -> str:
    """Why what is ready in a queue has not begun; empty where nothing is. That it is paused is told beside."""
    if not ready or queue.paused:
        return ""
    if queue.limit is not None and running >= queue.limit:
        return "it is full"
    if not any(serves(worker, queue.name) for worker in takers(workers, now)):
        return "no worker takes from it"
    return f"{queue.rate} begin, or workers are busy" if queue.rate else "workers are busy"


def _waiting(why: Why, now: float) -> str:
    task = why.task
    if why.review is not None:
        return _asked(why, why.review, now)
    due = lasting((task.due_at or now) - now)
    if task.reason is not None:
        return f"retried in {due} after: {task.reason}"
    trigger = why.graph[task.node].trigger
    if trigger is not None and not task.count and task.due_at is not None and is_tick(task.message):
        return f"the next tick, {trigger}, comes in {due}, at {stamp(task.due_at)}"
    word = "asked to be asked again" if task.count else "a delayed message"
    return f"{word}, due in {due}"


def _asked(why: Why, review: Review, now: float) -> str:
    asks = why.graph[review.node].review
    assert asks is not None
    words = f"waits for a decision, {asks.words}" + (f", by {asks.role}" if asks.role else "")
    words += f"; claimed by {review.claimed_by}" if review.claimed_by else "; claimed by nobody"
    if review.due_at is not None:
        then = f"it is {asks.otherwise!r}" if asks.otherwise else "it fails"
        words += f"; in {lasting(review.due_at - now)} {then}"
    return words


def _ready(why: Why, now: float) -> str:
    task, queue = why.task, why.queue
    if why.run.state is not RunState.active and why.graph[task.node].epilogue is None:
        return f"run {public_id(why.run.id)} {why.run.state.over}; it will be cancelled"
    if paused := _paused(why, now):
        return paused
    if queue is not None and queue.paused:
        return f"queue {queue.name} is paused{_by(why, 'queue', queue.name, now)}"
    if why.lane_paused:
        return f"node {task.node} is paused{_by(why, 'node', node_hold(why.graph.id, task.node), now)}"
    if why.lane_limit is not None and why.running >= why.lane_limit:
        return f"node {task.node} is full: {why.running} of {why.lane_limit} running"
    if queue is not None and queue.limit is not None and why.in_queue >= queue.limit:
        return f"queue {queue.name} is full: {why.in_queue} of {queue.limit} running"
    if queue is not None and queue.rate is not None and why.free_at > now:
        return f"queue {queue.name} lets {queue.rate} begin, the next one in {lasting(why.free_at - now)}"
    active = [worker for worker in why.workers if worker.state == "active"]
    offering = [worker for worker in active if offers(worker, why.graph)]
    if not offering and why.graph.data:
        return f"no worker is there; {_START.removesuffix(' WHERE')}"
    if not offering:
        there = others(active, why.graph) if active else f", for there is none; {_START}"
        return f"no worker offers {why.graph.label}{there}"
    serving = [worker for worker in offering if serves(worker, task.queue)]
    if not serving:
        return f"no worker that offers {why.graph.label} takes from queue {task.queue}"
    kind = "a message" if why.graph[task.node].arity is Arity.handler else "a task"
    return f"ready: {kind} in queue {task.queue}, next for one of {len(serving)} workers"


_START = "start one: heliostat worker start WHERE"


def lasting(seconds: float) -> str:
    """A duration for people."""
    seconds = max(0.0, seconds)
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
