"""A strategy: what a facility does around one step's program, as methods of a class.

    class Segment(Strategy):
        def get_input(self, subject):
            return {"image": str(self.results["stitch"]["image"]), "sigma": self.configuration["sigma"]}

        def on_finishing(self, subject, results):
            if not results["cells"]:
                raise ValueError("there is nothing on it")

An object is made for each call, so what has to last is kept by ``ctx`` or stands in what is answered.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from heliostat.context import Context
from heliostat.errors import BadInput
from heliostat.outcome import Skip, Snooze

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heliostat.artifact import Artifact


class Strategy:
    """What is done around the program of one state; every method may be left out.

    ``ctx`` is the attempt's context, ``results`` what the states before it gave, by their keys, and ``configuration``
    the JSON that is attached to the state. ``every`` says how soon a subject that has to wait is looked at again.
    """

    every: ClassVar[str] = "30s"
    ctx: Context
    results: dict[str, Any]
    configuration: dict[str, Any]

    def can_transition(self, subject: Any) -> bool | str:
        """Whether a subject comes to this state at all: True, or False, or why not; then it is skipped here."""
        return True

    def must_wait(self, subject: Any) -> bool:
        """Whether a subject has to wait before it; it takes no place of the state's throttle while it does."""
        return False

    def prepare(self, subject: Any) -> None:
        """Make ready what the program needs; it may be called again, after a crash or for another try."""

    def get_input(self, subject: Any) -> Any:
        """What the program finds in its input: JSON, with files as paths; by default the subject and all results."""
        return {"message": subject, **self.results}

    def on_running(self, subject: Any) -> None:
        """Hear that the program is about to be submitted."""

    def on_finishing(self, subject: Any, results: Any) -> None:
        """See what the program gave; an exception here fails the state, and nothing after it begins."""

    def on_failure(self, subject: Any, error: str) -> None:
        """Hear that the state has failed, when no try is left."""

    def subjects(self, subject: Any, results: Any) -> list[Any] | None:
        """The subjects with which the states after this one go on, each for itself; None: with the same one."""
        return None

    def file(self, name: str) -> Artifact | None:
        """The newest file of a name that the run keeps; those before it are kept, too."""
        return next((kept for kept in reversed(self.ctx.artifacts()) if kept.name == name), None)


Kind = type[Strategy]


class Acting:
    """A state's strategy with its configuration, as the functions that a node has."""

    def __init__(self, kind: Kind, configuration: Mapping[str, Any] | Path | None) -> None:
        self.kind, self._configuration = kind, configuration

    def begun(self, ctx: Context, results: dict[str, Any]) -> Strategy:
        """The strategy for one call."""
        made = self.kind()
        made.ctx, made.results, made.configuration = ctx, results, self._configured()
        return made

    def _configured(self) -> dict[str, Any]:
        """The configuration as it is now: a file may have been edited."""
        if not isinstance(self._configuration, Path):
            return dict(self._configuration or {})
        try:
            found = json.loads(self._configuration.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise BadInput(f"{self._configuration}: no configuration can be read ({error})") from None
        if not isinstance(found, dict):
            raise BadInput(f"{self._configuration}: a configuration is a JSON object")
        return found

    def before(self, ctx: Context, subject: Any, results: dict[str, Any]) -> Any:
        """What the program is to find in its input, or that it is not its turn."""
        acts = self.begun(ctx, results)
        passes = acts.can_transition(subject)
        if isinstance(passes, str) or not passes:  # what is as good as True may come of NumPy
            return Skip(passes or "its guard does not let it pass")
        if acts.must_wait(subject):
            return Snooze(acts.every)
        acts.prepare(subject)
        found = acts.get_input(subject)
        acts.on_running(subject)
        return found

    def behind(self, ctx: Context, subject: Any, results: dict[str, Any], output: Any) -> Any:
        """What the state gives, when the program has succeeded."""
        acts = self.begun(ctx, results)
        acts.on_finishing(subject, output)
        found = acts.subjects(subject, output)
        return output if found is None else found

    # functions as a workflow takes them; what they stand for is the strategy's code

    def prepare(self) -> Callable[..., Any]:
        """The function before a job."""

        def prepare(ctx: Context, message: Any, **results: Any) -> Any:
            return self.before(ctx, message, results)

        return self._of_the_strategy(prepare)

    def finish(self) -> Callable[..., Any]:
        """The function after a job."""

        def finish(ctx: Context, message: Any, output: Any, **results: Any) -> Any:
            return self.behind(ctx, message, results, output)

        return self._of_the_strategy(finish)

    def alone(self) -> Callable[..., Any]:
        """The function of a state without a program, such as a gate."""

        def alone(ctx: Context, message: Any, **results: Any) -> Any:
            answer = self.before(ctx, message, results)
            return answer if isinstance(answer, Skip | Snooze) else self.behind(ctx, message, results, answer)

        return self._of_the_strategy(alone)

    def _of_the_strategy(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Have the digest of what ran tell the strategy's code, not this module's."""
        function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
        function.__annotations__ = {"ctx": Context}
        function.__wrapped__ = self.kind  # type: ignore[attr-defined]
        return function


def failing(acting: Mapping[str, Acting]) -> Callable[..., Any]:
    """The function that tells a state's strategy that its run has failed there."""

    def on_failure(ctx: Context, message: Any) -> None:
        failed = ctx.failure
        if failed is not None and failed.node in acting:
            acting[failed.node].begun(ctx, {}).on_failure(message, failed.error)

    return on_failure
