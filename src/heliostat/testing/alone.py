"""One node, run alone and in earnest: a function is called, a job is run on this machine; nothing is committed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from heliostat import config
from heliostat.batch import Systems, begin
from heliostat.batches.local import LocalBatch
from heliostat.errors import BadInput, TaskError
from heliostat.executor import Submitted
from heliostat.graph import Kind
from heliostat.jobs import Jobs
from heliostat.outcome import Succeeded
from heliostat.perform import Performer
from heliostat.registry import Registry
from heliostat.signature import revive
from heliostat.testing.called import Called, told
from heliostat.testing.calling import call
from heliostat.testing.given import Desk, bring, surroundings, work
from heliostat.workflow import NodeHandle, Workflow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from heliostat.artifact import Artifact
    from heliostat.testing.given import Record

LOOK_SECONDS = 0.05
GRACE_SECONDS = 5.0  #: for a job that is interrupted


def alone(
    workflow: Workflow,
    name: str,
    message: object,
    inputs: Mapping[str, object],
    records: Iterable[Record] = (),
    artifacts: Iterable[Artifact] = (),
) -> Called[Any]:
    """Run a node once and answer what it came to; of a job, its result and command.

    What a function raises comes out as it is. Raises BadInput for what does not fit, TaskError for a job that failed.
    """
    node, signature = workflow.graph[name], workflow.signatures.get(name)
    if node.kind is Kind.review:
        raise BadInput(f"{name} is a review, which a person decides; there is nothing to run")
    if node.kind is Kind.job:
        return _job(workflow, name, message, inputs, artifacts)
    handle = NodeHandle(workflow, name, signature and signature.function)  # type: ignore[arg-type]
    return call(handle, message, records=records, artifacts=artifacts, inputs=inputs)


def _job(
    workflow: Workflow, name: str, message: object, inputs: Mapping[str, object], artifacts: Iterable[Artifact]
) -> Called[Any]:
    graph, signatures = workflow.graph, workflow.signatures
    made = work(graph, graph[name], signatures, message, inputs, 1)
    around = surroundings(Desk(graph, graph[name], (), artifacts, None, None))
    batch = LocalBatch()
    registry = Registry(lambda _: graph, digest=lambda _: "")
    registry.keep(graph, signatures)
    perform = Performer(registry, around, Jobs(Systems(batch, containers=config.read().containers), around))
    answer = perform(made)
    if not isinstance(answer, Submitted):
        raise _failure(name, answer)
    begin(batch, answer.request)
    made.job = directory = answer.directory
    try:
        while not batch.observe([directory])[0].state.final:
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        batch.cancel([directory], GRACE_SECONDS)
        raise
    outcome = perform(made)
    if not isinstance(outcome, Succeeded):
        raise _failure(name, outcome)
    return told(revive(outcome.result, bring), outcome.effects, [])


def _failure(name: str, answer: object) -> TaskError:
    """How it came out, where that is no result."""
    return TaskError(f"{name} {getattr(answer, 'error', None) or getattr(answer, 'reason', None) or answer}")
