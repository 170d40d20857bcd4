"""P12: whatever a function says when it fails, its failure is recorded and its worker goes on; on every store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from heliostat import Fail, Skip, Workflow
from heliostat.clock import SystemClock
from heliostat.compose import engine_on
from heliostat.engine import Engine
from heliostat.outcome import Failed
from heliostat.store import Store
from heliostat.worker import Worker


class Abort(BaseException):
    """No Exception."""


def fails(text: str) -> Fail:
    """Fail, as an answer."""
    return Fail(text)


def skips(text: str) -> Skip:
    """Skip, as an answer."""
    return Skip(text)


def raises(text: str) -> None:
    """Raise what is an Exception."""
    raise ValueError(text)


def aborts(text: str) -> None:
    """Raise what is none."""
    raise Abort(text)


def leaves(text: str) -> None:
    """Call exit."""
    raise SystemExit(text)


def engine(open_store: Callable[[], Store], files: Path) -> Engine:
    """An engine with a schema under it."""
    store = open_store()
    store.upgrade()
    return engine_on(store, SystemClock(), files, slots=2)


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"], ids=["NUL", "surrogate"])
@pytest.mark.parametrize("says", [fails, skips, raises, aborts, leaves], ids=lambda says: says.__name__)
def test_p12_a_reason_that_no_database_takes_is_kept_legibly(
    open_store: Callable[[], Store], tmp_path: Path, says: Callable[[str], object], text: str
) -> None:
    """Neither does the task run for ever nor does the worker fall; the run says why it failed."""
    flow = Workflow("flow")
    flow.node(lambda: says(text), name="only")
    with engine(open_store, tmp_path) as working:
        run = working.run(flow)
        [task] = run.tasks()
    assert task.state == ("skipped" if says is skips else "failed")
    assert "a" in (task.reason or "")
    assert "b" in (task.reason or "")


def test_p12_a_failure_that_the_store_refuses_is_a_failure_all_the_same(
    open_store: Callable[[], Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its words are lost, and that is said; the task does not run for ever."""
    judge = Worker._judge

    def spoilt(*args: object) -> object:
        outcome = judge(*args)  # type: ignore[arg-type]
        if isinstance(outcome, Failed):
            object.__setattr__(outcome, "error", "\ud800")
        return outcome

    monkeypatch.setattr(Worker, "_judge", spoilt)
    flow = Workflow("flow")
    flow.node(lambda: Fail("no"), name="only")
    with engine(open_store, tmp_path) as working:
        run = working.run(flow)
        assert run.info.reason == "only: its error could not be kept"
