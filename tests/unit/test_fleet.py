"""How the fleet stands, by value: workers that are silent, queues that nobody serves, versions that nobody offers."""

from __future__ import annotations

from dataclasses import replace

from heliostat.finding import Finding, Verdict
from heliostat.fleet import look_at_queues, look_at_workers, look_at_workflows
from heliostat.graph import Graph
from heliostat.queue import Queue, WorkerInfo

NOW = 1000.0
FIRE = Graph("fire", (), version="1.0")


def worker(name: str = "w", *, queues: str = "", offers: str = "fire 1.0", state: str = "active", seen: float = 1.0):
    """A worker that was seen so many seconds ago."""
    return WorkerInfo(name, "host", 1, "", queues, offers, 3, NOW - seen, 0.0, state)


def said(findings: object) -> list[tuple[Verdict, str]]:
    """Verdicts and sentences."""
    assert all(found.advice for found in findings if found.verdict is not Verdict.good)
    return [(found.verdict, found.text) for found in findings]


def queues(*workers: WorkerInfo, ready: int = 2, paused: bool = False) -> list[Finding]:
    """What is found where tasks are ready in a queue of telescopes and none in the other."""
    return list(look_at_queues([(Queue("gpu"), 0, 0), (Queue("sky", paused=paused), ready, 0)], workers, NOW))


def workflows(*workers: WorkerInfo, lanes: tuple[tuple[str, Graph], ...] = (("sky", FIRE),)) -> list[Finding]:
    """What is found where something of a workflow is ready."""
    return list(look_at_workflows(lanes, workers, NOW))


def test_workers_are_counted_by_machine() -> None:
    """Those that drain are said; those that have stopped are none."""
    assert said(list(look_at_workers([worker("a"), worker("b", state="draining")], NOW))) == [
        (Verdict.good, "2 workers on 1 machine, 1 of them draining")
    ]


def test_sites_are_named() -> None:
    """Those that have a worker that is alive."""
    workers = [replace(worker("a"), site="JAO"), replace(worker("b"), site="EU"), worker("c")]
    assert said(list(look_at_workers(workers, NOW))) == [(Verdict.good, "3 workers on 1 machine at EU, JAO")]


def test_without_a_worker_nothing_runs() -> None:
    """A silent one is none, and is named."""
    found = said(list(look_at_workers([worker("a", seen=120.0)], NOW)))
    assert found == [
        (Verdict.doubtful, "no worker is there, so nothing runs"),
        (Verdict.doubtful, "worker a on host has shown no life for 2 min"),
    ]


def test_a_worker_that_was_lost_with_what_it_held_is_named() -> None:
    """It is in the list only while it holds something."""
    found = said(list(look_at_workers([worker("a"), worker("b", state="lost", seen=60.0)], NOW)))
    assert found[1] == (Verdict.doubtful, "worker b on host has shown no life for 1 min")


def test_work_in_a_queue_that_nobody_serves_stands_still() -> None:
    """A worker that was told no queues serves all; a draining one and a silent one serve none."""
    still = (Verdict.bad, "2 tasks are ready in queue sky, and no worker takes from it")
    assert said(queues(worker(queues="gpu,default"))) == [still]
    assert said(queues(worker(state="draining"), worker(seen=61.0))) == [still]
    taken = "wherever something is ready, somebody takes it"
    nobody = "no worker takes from gpu, where nothing is ready now"
    assert said(queues(worker(queues="sky"))) == [(Verdict.doubtful, nobody), (Verdict.good, taken)]
    assert said(queues(worker())) == [(Verdict.good, taken)]


def test_a_paused_queue_is_not_blamed_on_workers() -> None:
    """Whoever paused it may have forgotten."""
    assert said(queues(paused=True, ready=1)) == [(Verdict.doubtful, "1 task is ready in queue sky, which is paused")]


def test_a_version_that_nobody_offers_is_named() -> None:
    """Another version will not do."""
    assert said(workflows(worker(offers="fire 2.0, storm 1.0"))) == [
        (Verdict.bad, "no worker offers fire 1.0, and something of it is ready; workers offer 2.0")
    ]
    assert said(workflows(worker(offers="storm 1.0, fire 1.0"))) == [
        (Verdict.good, "whatever is ready, a worker offers its workflow in its version")
    ]


def test_who_has_the_code_must_also_serve_the_queue() -> None:
    """One worker offers it, another one takes from its queue: neither runs it."""
    assert said(workflows(worker("a", queues="gpu"), worker("b", queues="sky", offers=""))) == [
        (Verdict.bad, "no worker that offers fire 1.0 takes from queue sky")
    ]
