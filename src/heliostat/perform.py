"""Performing one attempt: inputs are fitted, the function is called, its answer becomes an outcome."""

from __future__ import annotations

import inspect
import json
from collections.abc import Coroutine, Generator
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from heliostat import codec, form, origin, subworkflow
from heliostat.allotment import allot
from heliostat.checks import lasting
from heliostat.context import Context
from heliostat.errors import BadInput, HeliostatError, Stopped, StoreUnavailable, TaskError, said
from heliostat.executor import Submitted
from heliostat.graph import Arity, Kind
from heliostat.job import FILES, FINISH, GIVEN, PREPARE, finishing
from heliostat.outcome import Asked, Ended, Fail, Failed, Outcome, Released, Skip, Skipped, Snooze, Snoozed, Succeeded
from heliostat.review import decision
from heliostat.signature import revive, unfit
from heliostat.solo import Terminated
from heliostat.task import AttemptState, TaskState, lean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import FrameType

    from heliostat.artifact import Artifact
    from heliostat.carrier import Carrier
    from heliostat.context import Surroundings
    from heliostat.executor import Answered, Work
    from heliostat.jobs import Jobs
    from heliostat.registry import Registry
    from heliostat.signature import Parameter, Signature
    from heliostat.store import Settled
    from heliostat.vault import Vault

    Within = Callable[[Work, Context], AbstractContextManager[None]]


#: What becomes of a node's env= or requires= where there are no processes for it, as in a simulation.
NO_ENVIRONMENT = "its env= or requires= needs a process of its own, and here its function is called in this one"
NO_FUNCTION = "this worker has no function for node {}"
AFTERWARDS = "after the job: "  #: how a reason begins where the job succeeded, and what came after it did not
GAPS = 5  #: items without a result that are named
WORDS = 2000  #: letters of an error that its reason quotes
_ANSWERS = frozenset({Fail, Skip, Snooze})
# Looked up once: members of an enumeration are slow to reach.
JOB, WORKFLOW, EACH, SUCCEEDED = Kind.job, Kind.workflow, Arity.each, TaskState.succeeded


class Performer:
    """Calls the function of an attempt's node; what it answers is never an exception.

    Failing outcomes say with ``final`` whether another try would be worth it; whether there is one is not decided here.
    Where an attempt has its process to itself, its function is called ``within`` what makes it so; where it is to be a
    job, the ``carrier`` has it.
    """

    def __init__(
        self, registry: Registry, around: Surroundings, jobs: Jobs | None = None, within: Within | None = None
    ) -> None:
        self._registry, self._around, self._jobs, self._within = registry, around, jobs, within
        self.carrier: Carrier | None = None

    def __call__(self, work: Work) -> Answered:
        """Run the attempt, unless it was asked to stop before it began; what a job left is looked at all the same.

        Nothing that it answers holds the value of a secret.
        """
        vault = self._around.vault
        try:
            answer = self._answer(work)
        except BaseException as error:
            words = f"{type(error).__name__}: {said(error)}"
            if (shown := vault.masked(words)) == words:
                raise
            return Failed(shown, final=True)
        return answer if vault.empty else _guarded(answer, vault)

    def _answer(self, work: Work) -> Answered:
        if work.stop is not None and work.job is None:
            return Released(work.stop)
        signatures = self._registry.signatures(work.attempt.graph)
        signature, node = signatures.get(work.node.name), work.node
        context = Context(work, self._around, signatures)
        try:
            if self._within is None and work.job is None and (outcome := self.prepare(work)) is not None:
                return outcome
            if node.kind is JOB:
                return self._job(work, signature, context)
            if node.kind is Kind.review:
                return self._review(work)
            if node.kind is WORKFLOW:
                return self._part(work, signature, context)
            if work.batched:
                return self._carried(work, signature)
            if self._within is None:
                return self._called(work, signature, context)
            with self._within(work, context):
                return self._called(work, signature, context)
        except StoreUnavailable as error:  # nothing that the function did: it will be called again
            return Released(str(error))
        except Exception as error:  # noqa: BLE001 - whatever a function raises is its answer
            return self._failed(work, error)
        except SystemExit as error:
            words = self._around.vault.masked(f"the function called exit({error.code!r})")
            return Failed(self._told(work, error, words + origin.place(error)), final=True)
        except Terminated as error:  # where it was when its time was over is all that will be known of it
            self._told(work, error, "")
            raise
        finally:
            context.clear()

    def prepare(self, work: Work) -> Failed | Released | None:
        """Say what the attempt is given, where that depends on those before; an outcome where that cannot be said."""
        try:
            allot(work, self._registry, self._around)
        except StoreUnavailable as error:
            return Released(str(error))
        except Exception as error:  # noqa: BLE001 - what it is given may be said by a function of its author's
            failed = self._failed(work, error)
            return replace(failed, error=f"resources: {failed.error}")
        except SystemExit as error:
            return Failed(f"resources: its function called exit({error.code!r})", final=True)
        return None

    def _failed(self, work: Work, error: Exception) -> Failed:
        """What was raised, and whether another try is worth it."""
        how = AttemptState.out_of_memory if isinstance(error, MemoryError) else AttemptState.failed
        final = not work.node.retry.covers(error) or isinstance(error, BadInput)
        words = _words(error, self._around.vault) + _gaps(work, error)
        return Failed(self._told(work, error, words), how=how, final=final)

    def _told(self, work: Work, error: BaseException, words: str) -> str:
        """``words``, which tell an error as a reason; its traceback goes into the log."""
        shown = "" if isinstance(error, Stopped) else origin.story(error)
        if shown:
            with suppress(OSError):  # where no log can be written, the reason has to do
                self._around.log(work.attempt, [{"message": shown, "traceback": True}])
        return words

    def stuck(self, work: Work, frame: FrameType) -> None:
        """Log where the function of an attempt is that has not ended in time: its thread is left to itself."""
        shown = self._around.vault.masked(origin.standing(frame, f"{work.overdue}, and goes on here"))
        if shown:
            with suppress(OSError):
                self._around.log(work.attempt, [{"message": shown, "traceback": True}])

    def _called(self, work: Work, signature: Signature | None, context: Context) -> Outcome:
        if signature is None:
            return Failed(NO_FUNCTION.format(work.node.name), final=True)
        if (work.node.env or work.node.requires) and self._within is None:
            return Failed(NO_ENVIRONMENT, final=True)
        answer = called(signature, arguments(signature, work, context), work.attempt.count)
        if type(answer) in _ANSWERS:
            return self._answered(answer, context)
        return succeeded(work, context.encode(answer, "result"), answer, context)

    def _carried(self, work: Work, signature: Signature | None) -> Answered:
        if self.carrier is None:
            return Failed("this worker has no batch system for functions", final=True)
        if work.job is not None:
            return self.carrier.collect(work)
        if signature is None:
            return Failed(NO_FUNCTION.format(work.node.name), final=True)
        try:
            return self.carrier.submit(work, signature)
        except Stopped as error:
            return Released(str(error))

    def _review(self, work: Work) -> Outcome:
        """Ask, or see that the time to decide is over."""
        asks, now = work.node.review, self._around.clock.now()
        assert asks is not None
        open_one = self._around.store.review(*work.task)
        if open_one is None:
            return Asked(None if asks.deadline is None else now + codec.seconds(asks.deadline))
        until, called = open_one.due_at, work.attempt.due_at is not None  # whoever called it has seen the time come
        if until is None or (now < until and not called):
            return Asked(until)
        late = f"nobody decided within {lasting(until - open_one.asked_at)}"
        if asks.otherwise is None:
            return Failed(late, final=True)
        return Succeeded(decision(asks.otherwise, "", late, now), choice=asks.otherwise)

    def _part(self, work: Work, signature: Signature | None, context: Context) -> Outcome:
        del signature, context  # it calls no function
        return subworkflow.answered(work, self._registry, self._around)

    def _job(self, work: Work, signature: Signature | None, context: Context) -> Answered:
        if self._jobs is None:
            return Failed("this worker has no batch system for jobs", final=True)
        if (missing := self._missing(work, signature)) is not None:
            return Failed(missing, final=True)
        if work.job is not None:
            left = self._jobs.collect(work, context)
            return self._finished(work, left, context) if isinstance(left, str) else left
        if signature is None:
            return self._jobs.prepare(work)
        context.bring_to(self._jobs.directory(work) / FILES)
        answer = called(signature, arguments(signature, work, context), work.attempt.count)
        if type(answer) in _ANSWERS:
            return self._answered(answer, context)
        if context.finish():
            raise TaskError("what it asks for before its job would be lost; ask for it in finish=, when that is over")
        return self._jobs.prepare(work, answer)

    def _missing(self, work: Work, signature: Signature | None) -> str | None:
        """Which of a job's functions are not here, in a sentence."""
        assert work.node.job is not None
        here = {PREPARE: signature, FINISH: self._finish(work)}
        words = [call for call in work.node.job.calls if here[call] is None]
        return f"this worker has no function to {' and '.join(words)} job {work.node.name}" if words else None

    def _finish(self, work: Work) -> Signature | None:
        return self._registry.signatures(work.attempt.graph).get(finishing(work.node.name))

    def _finished(self, work: Work, result: str, context: Context) -> Outcome:
        """What a job that succeeded comes to, when the function after it has seen what it gave."""
        if (signature := self._finish(work)) is None:
            return succeeded(work, result, codec.decode(result), context)
        try:
            answer = called(signature, _afterwards(signature, work, result, context), work.attempt.count)
            if type(answer) in _ANSWERS:
                return self._answered(answer, context)
            return succeeded(work, context.encode(answer, "result"), answer, context)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a function raises is its answer
            failed = self._failed(work, error)
            return replace(failed, error=AFTERWARDS + failed.error)

    def _answered(self, answer: object, context: Context) -> Outcome:
        match answer:
            case Skip(reason):
                return Skipped(reason, context.finish())
            case Snooze(delay):
                return Snoozed(self._around.clock.now() + codec.seconds(delay, "Snooze"), context.finish())
            case Fail(reason):
                return Failed(reason, final=True)
            case _:
                raise TypeError(answer)


def succeeded(work: Work, result: str, value: object, context: Context) -> Outcome:
    """The outcome of an attempt with a result, as text and as value; a failure if another node wants a list of it."""
    if isinstance(value, (list, tuple)):
        return Succeeded(result, context.finish(), width=len(value))
    if result.startswith("["):  # something else of which JSON makes a list, such as an array or a range
        return Succeeded(result, context.finish(), width=len(cast("list[object]", codec.decode(result))))
    if value is not None and (other := work.graph.listed.get(work.node.name)) is not None:
        return Failed(f"returned {type(value).__name__}, but {other} goes over its list", final=True)
    return lean(Succeeded, (result, context.finish(), value if isinstance(value, str) else None, None))


def arguments(signature: Signature, work: Work, context: Context) -> dict[str, Any]:
    """The keyword arguments that an attempt's function is called with."""
    given: dict[str, Any] = {}
    if signature.context is not None:
        given[signature.context] = context
    if signature.message is not None:
        given["message"] = _fitted(signature.message, _message(work), context)
    for name, _, _, arity, one in work.inputs:
        settled = work.settled.get(name)
        parameter = signature.inputs.get(name)
        bring = context.bring if parameter is not None and parameter.wants_path else None
        value: object
        if arity is EACH and not one:
            value = _listed(settled, work.lists.get(name, ()), bring)
        else:
            value = None if settled is None else revive(settled.result, bring)
        if parameter is None:
            if signature.rest is not None:
                given[name] = value
            continue
        if value is None and parameter.optional and (settled is None or settled.state is not SUCCEEDED):
            value = parameter.default
        elif value is not None or settled is None or settled.state is SUCCEEDED:
            value = parameter.fit(value)
        given[name] = value
    return given


def _afterwards(signature: Signature, work: Work, result: str, context: Context) -> dict[str, Any]:
    """The same for the function after a job, which gets as ``output`` what that gave."""
    given = arguments(signature, work, context)
    if (parameter := signature.inputs.get(GIVEN)) is not None:
        given[GIVEN] = parameter.fit(revive(result, context.bring if parameter.wants_path else None))
    return given


def _listed(settled: Settled | None, items: Iterable[Settled], bring: Callable[[Artifact], Path] | None) -> object:
    """What an each node gives as a whole: the list of its results."""
    if settled is None or settled.state is TaskState.skipped:
        return None
    return [revive(item.result, bring) for item in items]


def _message(work: Work) -> str:
    return work.message if work.message is not None else "null"


def _fitted(parameter: Parameter, text: str, context: Context) -> object:
    value = revive(text, context.bring if parameter.wants_path else None)
    if parameter.annotation is Ended and isinstance(value, dict):
        return Ended(**value)
    return parameter.fit_message(value)


_COMPLETE = frozenset({type(None), bool, int, float, str, list, dict})


def called(signature: Signature, given: dict[str, Any], attempt: int) -> object:
    """Call a function or a class's ``run``; await what is awaitable, gather what a generator yields.

    Before another attempt a class's ``rollback`` undoes what the one before may have left outside.
    """
    if not signature.is_class:
        answer = signature.function(**given)
        return answer if type(answer) in _COMPLETE else _complete(answer)
    made = signature.function()
    with made if hasattr(made, "__enter__") else nullcontext(made) as entered:
        acting = entered if hasattr(entered, "run") else made
        if attempt > 1 and hasattr(acting, "rollback"):
            acting.rollback()
        return _complete(acting.run(**given))


def _complete(answer: object) -> object:
    if isinstance(answer, Generator):
        return list(answer)
    if inspect.isasyncgen(answer):
        answer = _gathered(answer)
    if isinstance(answer, Coroutine):
        import asyncio  # a fifth of all that a process would load, and most never await anything

        return asyncio.run(answer)
    return answer


async def _gathered(answers: Any) -> list[object]:
    return [item async for item in answers]


def _guarded(answer: Answered, vault: Vault) -> Answered:
    """An answer without secrets: reasons are for people and masked; what would be kept as data is refused."""
    if isinstance(answer, Submitted):
        return answer
    if isinstance(answer, Failed):
        answer = replace(answer, error=vault.masked(answer.error))
    if isinstance(answer, Skipped | Released):
        answer = replace(answer, reason=vault.masked(answer.reason))
    if secret := vault.held(json.dumps(form.outcome_to_json(answer))):
        return Failed(f"what it asks for holds the secret {secret!r}, which nothing may keep", final=True)
    return answer


def _words(error: Exception, vault: Vault) -> str:
    """An error as one line: its kind, what it says, and where in the author's code."""
    told = unfit(error, error.title) if isinstance(error, ValidationError) else said(error)
    words = vault.masked(told).replace("\0", "\\0").encode("utf-8", "replace").decode()
    if isinstance(error, HeliostatError):
        return words[:WORDS]
    kind = type(error).__name__
    return (f"{kind}: {words}"[:WORDS] if words else kind) + origin.place(error)


def _gaps(work: Work, error: Exception) -> str:
    """Where lists have None for an item, which may be what an error is about: of which items, and what helps."""
    if not isinstance(error, TypeError | AttributeError | BadInput):
        return ""
    found = ""
    for name, items in work.lists.items():
        if gone := [str(at) for at, item in enumerate(items) if item.state is not SUCCEEDED]:
            which = ", ".join(gone[:GAPS]) + (f" and {len(gone) - GAPS} more" if len(gone) > GAPS else "")
            many = len(gone) > 1
            of = f"items {which} of {name} were" if many else f"item {which} of {name} was"
            found += f"; {of} skipped or failed, so {'they are' if many else 'it is'} None"
    return found
