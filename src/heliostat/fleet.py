"""How the workers stand, what nobody takes, and what to do about it; the facts come from a store."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from heliostat.finding import bad, doubtful, good

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from heliostat.finding import Finding
    from heliostat.graph import Graph
    from heliostat.queue import Queue, WorkerInfo

SILENT_SECONDS = 60.0  #: without a heartbeat, after which a worker is called silent; one beats several times in it


def silent(worker: WorkerInfo, now: float) -> bool:
    """Whether a worker that should be there has shown no life for a while."""
    return worker.state in ("active", "draining") and now - worker.beat_at > SILENT_SECONDS


def takers(workers: Sequence[WorkerInfo], now: float) -> list[WorkerInfo]:
    """Those that would take something."""
    return [worker for worker in workers if worker.state == "active" and not silent(worker, now)]


def offers(worker: WorkerInfo, graph: Graph) -> bool:
    """Whether a worker has the code of a definition, or needs none since it is data."""
    return graph.data or graph.label in worker.offers.split(", ")


def others(workers: Sequence[WorkerInfo], graph: Graph) -> str:
    """A clause that says in which other versions workers offer a workflow, if some do."""
    name = f"{graph.name} "
    labels = {label for worker in workers for label in worker.offers.split(", ") if label.startswith(name)}
    there = sorted(label.removeprefix(name) for label in labels - {graph.label})
    return f"; workers offer {', '.join(there)}" if there else ""


def serves(worker: WorkerInfo, queue: str) -> bool:
    """Whether a worker takes from a queue."""
    return not worker.queues or queue in worker.queues.split(",")


def look_at_workers(workers: Sequence[WorkerInfo], now: float) -> Iterator[Finding]:
    """Who is there, and who should be."""
    there = [worker for worker in workers if worker.state in ("active", "draining") and not silent(worker, now)]
    if there:
        hosts = Counter(worker.host for worker in there)
        draining = sum(worker.state == "draining" for worker in there)
        words = f"{_count(len(there), 'worker')} on {_count(len(hosts), 'machine')}"
        if sites := sorted({worker.site for worker in there if worker.site}):
            words += f" at {', '.join(sites)}"
        yield good("workers", f"{words}, {draining} of them draining" if draining else words)
    else:
        yield doubtful("workers", "no worker is there, so nothing runs", "start one: heliostat worker start WHERE")
    for worker in workers:
        if silent(worker, now) or worker.state == "lost":
            since = f"for {(now - worker.beat_at) / 60:.0f} min"
            yield doubtful(
                "workers",
                f"worker {worker.id} on {worker.host} has shown no life {since}",
                "see what became of its process; what it had begun goes to the others, if there are any",
            )


def look_at_versions(workers: Sequence[WorkerInfo], own: str, now: float) -> Iterator[Finding]:
    """Which of them are of another version of Heliostat than this is."""
    there = [worker for worker in workers if worker.state in ("active", "draining") and not silent(worker, now)]
    others = [worker for worker in there if worker.release != own]
    for worker in others:
        which = f"Heliostat {worker.release}" if worker.release else "a Heliostat that does not tell its version"
        advice = f"when it suits, end it and start it with this version: heliostat worker drain {worker.id}"
        yield doubtful("versions", f"worker {worker.id} on {worker.host} is {which}, and this is {own}", advice)
    if there and not others:
        are = "is" if len(there) == 1 else "are"
        yield good("versions", f"{_count(len(there), 'worker')} {are} of Heliostat {own}, as this is")


def look_at_leases(
    held: Mapping[str, tuple[int, float]], workers: Sequence[WorkerInfo], now: float
) -> Iterator[Finding]:
    """What is held by workers that are not there any more."""
    alive = {w.id for w in workers if w.state in ("active", "draining") and not silent(w, now)}
    known, anybody = {worker.id: worker for worker in workers}, bool(takers(workers, now))
    for worker, (n, since) in sorted(held.items()):
        if worker in alive:
            continue
        host = f" on {known[worker].host}" if worker in known else ""
        held_ = f"{_count(n, 'attempt')} {'is' if n == 1 else 'are'} held by worker {worker}{host}, which is not there"
        words = f"{held_}; the first has begun {(now - since) / 60:.0f} min ago"
        if anybody:
            advice = f"functions are taken back by the others within a lease; jobs wait for a worker{host}: start one"
            yield doubtful("leases", words, advice)
        else:
            yield bad("leases", words, f"start a worker{host}, which takes them back: heliostat worker start WHERE")
    if not held.keys() - alive:
        yield good("leases", "whatever is held, is held by a worker that is there")


def look_at_queues(
    queues: Sequence[tuple[Queue, int, int]], workers: Sequence[WorkerInfo], now: float
) -> Iterator[Finding]:
    """In which of them work waits that nobody will take."""
    serving, well = takers(workers, now), True
    for queue, ready, _ in queues:
        tasks = f"{_count(ready, 'task')} {'is' if ready == 1 else 'are'} ready in queue {queue.name}"
        if ready and queue.paused:
            well = False
            yield doubtful("queues", f"{tasks}, which is paused", f"heliostat queue resume {queue.name}")
        elif ready and not _taken(queue.name, serving):
            well = False
            advice = f"start a worker for it: heliostat worker start WHERE --queues {queue.name}"
            yield bad("queues", f"{tasks}, and no worker takes from it", advice)
    idle = [queue.name for queue, ready, _ in queues if not ready and not _taken(queue.name, serving)]
    if idle and serving:
        words = f"no worker takes from {', '.join(idle)}, where nothing is ready now"
        yield doubtful("queues", words, f"start one if need be: heliostat worker start WHERE --queues {','.join(idle)}")
    if well:
        yield good("queues", "wherever something is ready, somebody takes it")


def look_at_workflows(
    lanes: Sequence[tuple[str, Graph]], workers: Sequence[WorkerInfo], now: float
) -> Iterator[Finding]:
    """Which definitions have work that no worker can do; ``lanes`` are queue and definition of what is ready."""
    having, well = takers(workers, now), True
    waiting: dict[int, tuple[Graph, list[str]]] = {}
    for queue, graph in lanes:
        waiting.setdefault(graph.id, (graph, []))[1].append(queue)
    for graph, queues in waiting.values():
        label, able = graph.label, [worker for worker in having if offers(worker, graph)]
        if not able:
            well = False
            advice = "start a worker that has its code in exactly this version"
            words = f"no worker offers {label}, and something of it is ready{others(having, graph)}"
            yield bad("workflows", words, advice)
            continue
        for queue in queues:
            if any(serves(worker, queue) for worker in having) and not any(serves(w, queue) for w in able):
                well = False
                advice = f"have one that does take from it: heliostat worker start WHERE --queues {queue}"
                yield bad("workflows", f"no worker that offers {label} takes from queue {queue}", advice)
    if well:
        yield good("workflows", "whatever is ready, a worker offers its workflow in its version")


def _taken(queue: str, serving: Sequence[WorkerInfo]) -> bool:
    return any(serves(worker, queue) for worker in serving)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
