"""Running a run anew, as a program asks for it: which code, which nodes, which message."""

from __future__ import annotations

import re

import pytest

import heliostat
from heliostat import Context, Workflow
from heliostat.engine import Engine
from heliostat.errors import BadInput, Conflict, NotFound


def flow(word: str = "one", *, more: bool = False) -> Workflow:
    """A workflow of two nodes, or three; the second says a word."""
    made = Workflow("flow")

    @made.node
    def first(message: int) -> int:
        return message + 1

    @made.node
    def second(first: int) -> str:
        return f"{word} {first}"

    if more:

        @made.node
        def third(second: str) -> str:
            return second.upper()

    return made


@pytest.fixture
def engine() -> Engine:
    """An engine in memory."""
    return heliostat.open("memory://")


def test_the_code_of_today_is_what_the_engine_was_given_last(engine: Engine) -> None:
    """Or the workflow that is named, or the one that the node belongs to."""
    run = engine.run(flow(), 1)
    today = flow("two", more=True)
    engine.add(today)
    for new in (run.rerun("second"), run.rerun(at=["second"], workflow=flow("two", more=True))):
        engine.work(until=new)
        assert new.result() == "TWO 2"
    assert run.result() == "one 2"


def test_a_rerun_keeps_name_priority_and_message(engine: Engine) -> None:
    """It is the same work, done again."""
    run = engine.start(flow(), 1, name="Monte Pisano", priority=5)
    engine.work(until=run)
    info = run.rerun().info
    assert (info.name, info.priority, info.message) == ("Monte Pisano", 5, "1")


def test_the_message_has_to_fit_the_code_of_today(engine: Engine) -> None:
    """It is refused at the door, as at a start."""
    run = engine.run(flow(), 1)
    other = Workflow("flow")

    @other.node
    def first(message: list[str]) -> int:
        return len(message)

    with pytest.raises(BadInput, match="message"):
        run.rerun(workflow=other)


def test_a_message_to_one_handler_goes_there_again(engine: Engine) -> None:
    """Though nothing but its task remembers to whom it went."""
    talk = Workflow("talk")

    @talk.handler
    def hear(ctx: Context, message: str) -> None:
        ctx.complete(message)

    run = engine.run(talk, "x", to=hear)
    new = run.rerun()
    engine.work(until=new)
    assert new.result() == "x"


def test_the_same_key_is_for_the_same_rerun(engine: Engine) -> None:
    """Of the same run at the same nodes; another one is refused, and so is the key of a start."""
    run = engine.start(flow(), 1, idempotency_key="start")
    engine.work(until=run)
    new = run.rerun("second", idempotency_key="k")
    assert run.rerun("second", idempotency_key="k").key == new.key
    for at, key in (("first", "k"), ("second", "start")):
        with pytest.raises(Conflict, match=re.escape(f"the idempotency key {key!r} came before")):
            run.rerun(at, idempotency_key=key)


def test_what_is_no_node_is_refused(engine: Engine) -> None:
    """Of another workflow, of none, misspelt."""
    run, other = engine.run(flow(), 1), Workflow("other")

    @other.node
    def second(message: int) -> int:
        return message

    with pytest.raises(BadInput, match=r"is of workflow flow, not of other"):
        run.rerun(second)
    with pytest.raises(BadInput, match=r"at: a node or its name is wanted, or several, not 7"):
        run.rerun(7)  # type: ignore[arg-type]
    with pytest.raises(NotFound, match=r"did you mean 'second'"):
        run.rerun("secnd")
    assert len(engine.runs()) == 1
