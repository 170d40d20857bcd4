"""One call of one node with a real context: no engine, no database, nothing is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from heliostat import codec, perform
from heliostat.batch import Systems
from heliostat.batches.local import LocalBatch
from heliostat.context import Context
from heliostat.errors import BadInput, TaskError
from heliostat.graph import Kind
from heliostat.job import FILES
from heliostat.jobs import Jobs
from heliostat.outcome import Fail, Failed, Skip, Snooze
from heliostat.story import Log
from heliostat.testing.called import Called, told
from heliostat.testing.given import Desk, as_its_own, surroundings, work
from heliostat.workflow import NodeHandle

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping

    from heliostat.artifact import Artifact
    from heliostat.context import Surroundings
    from heliostat.executor import Work
    from heliostat.outcome import Failure
    from heliostat.signature import Signature

R = TypeVar("R")


@overload
def call(
    node: NodeHandle[..., Coroutine[Any, Any, R]],
    message: object = None,
    /,
    *,
    records: Iterable[object] | Mapping[str, object] = (),
    artifacts: Iterable[Artifact] = (),
    attempt: int = 1,
    sender: str | None = None,
    failure: Failure | None = None,
    cancelled: bool = False,
    inputs: Mapping[str, object] | None = None,
    secrets: Mapping[str, str] | None = None,
    run_name: str = "",
    **named: object,
) -> Called[R]: ...
@overload
def call(
    node: NodeHandle[..., R],
    message: object = None,
    /,
    *,
    records: Iterable[object] | Mapping[str, object] = (),
    artifacts: Iterable[Artifact] = (),
    attempt: int = 1,
    sender: str | None = None,
    failure: Failure | None = None,
    cancelled: bool = False,
    inputs: Mapping[str, object] | None = None,
    secrets: Mapping[str, str] | None = None,
    run_name: str = "",
    **named: object,
) -> Called[R]: ...
def call(
    node: NodeHandle[..., Any],
    message: object = None,
    /,
    *,
    records: Iterable[object] | Mapping[str, object] = (),
    artifacts: Iterable[Artifact] = (),
    attempt: int = 1,
    sender: str | None = None,
    failure: Failure | None = None,
    cancelled: bool = False,
    inputs: Mapping[str, object] | None = None,
    secrets: Mapping[str, str] | None = None,
    run_name: str = "",
    **named: object,
) -> Called[Any]:
    """Call a node or a handler once, as a worker would, and answer what it returned and asked for.

    What the node waits for is given by the names of its parameters, ``message`` by position; both are written as JSON,
    checked and read again as in earnest, and files are brought. What the function raises comes out as it is.

    ``records`` are those that are there: a mapping by key, or values and ``testing.Record``; ``artifacts`` are those
    that the run keeps. ``attempt`` is its number, ``sender`` the node that sent the message, ``failure`` what
    ``ctx.failure`` tells; with ``cancelled`` the attempt is asked to stop. ``secrets`` are the values that
    ``ctx.secret`` and ``env=`` read, ``run_name`` is what the run was called when it was started. ``inputs`` is for
    parameters that are called like one of these. Raises BadInput for what does not fit, and TaskError for what could
    not be committed.
    """
    __tracebackhide__ = True  # pytest shows the test and the function, not this
    if not isinstance(node, NodeHandle):
        raise BadInput(f"call: a node of a workflow is wanted, not {node!r}")
    graph, signatures = node.workflow.graph, node.workflow.signatures
    desk = Desk(graph, graph[node.name], records, artifacts, sender, failure, run_name)
    made = work(graph, graph[node.name], signatures, message, {**(inputs or {}), **named}, attempt)
    made.stop = "the test says so" if cancelled else None
    return _call(made, signatures, surroundings(desk, secrets))


def _call(made: Work, signatures: Mapping[str, Signature], around: Surroundings) -> Called[Any]:
    __tracebackhide__ = True
    context, signature = Context(made, around, signatures), signatures.get(made.node.name)
    if made.node.kind is Kind.job:
        return _job(made, signature, context, around)
    if signature is None:
        raise BadInput(f"call: {made.node.name} is a {made.node.kind}, so there is no function to call")
    with as_its_own(made, context, around.vault):
        answer = perform.called(signature, perform.arguments(signature, made, context), made.attempt.count)
    _check(made, answer, context)
    effects = () if isinstance(answer, Fail) else context.finish()
    return told(answer, effects, list(Log(made.attempt.run, around.log_files).read()))


def _job(made: Work, signature: Signature | None, context: Context, around: Surroundings) -> Called[Any]:
    """What a job would run, or what the function before it answered instead."""
    jobs = Jobs(Systems(LocalBatch()), around)  # which is asked for nothing
    directory = jobs.directory(made)
    context.bring_to(directory / FILES)
    answer = None
    if signature is not None:
        answer = perform.called(signature, perform.arguments(signature, made, context), made.attempt.count)
    if isinstance(answer, Skip | Snooze | Fail):
        return Called(answer)
    request, here = jobs.prepare(made, answer).request, f"{directory}/"
    image = None if request.container is None else request.container.image
    if isinstance(request.command, str):
        return Called(None, command=request.command.replace(here, ""), image=image)
    return Called(None, command=tuple(word.replace(here, "") for word in request.command), image=image)


def _check(made: Work, answer: object, context: Context) -> None:
    """Raise what committing the answer would have failed with."""
    if isinstance(answer, Snooze):
        codec.seconds(answer.delay, "Snooze")
    if not isinstance(answer, Skip | Snooze | Fail):
        outcome = perform.succeeded(made, context.encode(answer, "result"), answer, context)
        if isinstance(outcome, Failed):
            raise TaskError(f"{made.node.name} {outcome.error}")
