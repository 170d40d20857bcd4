"""One node, run alone and in earnest: a function is called, a job is run on this machine; nothing is committed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from heliostat import perform
from heliostat.batch import Systems, begin
from heliostat.batches.local import LocalBatch
from heliostat.context import Context
from heliostat.errors import BadInput, TaskError
from heliostat.graph import Kind
from heliostat.outcome import Succeeded
from heliostat.signature import revive
from heliostat.testing.called import Called, told
from heliostat.testing.calling import call
from heliostat.testing.given import Desk, bring, surroundings, work
from heliostat.watch import Jobs
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
    context, signature = Context(made, around, signatures), signatures.get(name)
    batch = LocalBatch()
    jobs = Jobs(Systems(batch), around)
    given = perform.arguments(signature, made, context) if signature is not None else {}
    prepared = jobs.prepare(made, signature, given)
    begin(batch, prepared.request)
    made.job = directory = prepared.directory
    try:
        while not batch.observe([directory])[0].state.final:
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        batch.cancel([directory], GRACE_SECONDS)
        raise
    outcome = jobs.collect(made, context)
    if not isinstance(outcome, Succeeded):
        raise TaskError(f"{name} {getattr(outcome, 'error', None) or getattr(outcome, 'reason', None) or outcome}")
    return told(revive(outcome.result, bring), outcome.effects, [])
