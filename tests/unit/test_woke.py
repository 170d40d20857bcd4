"""What a store tells whoever wakes workers elsewhere: what commits made ready and did not lease themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

import heliostat
from heliostat import Context, Snooze, Workflow
from heliostat.engine import Engine
from heliostat.errors import BadInput
from heliostat.store import SetQueue

fan = Workflow("fan")


@fan.node
def split(message: int) -> list[int]:
    """A list."""
    return list(range(message))


@fan.node(map={"part": split}, queue="wide")
def each(part: int) -> int:
    """One of it."""
    return part


@fan.node(queue="narrow")
def join(each: list[int]) -> int:
    """All of it."""
    return len(each)


nap = Workflow("nap")


@nap.node
def doze(ctx: Context) -> Snooze | None:
    """Sleep once."""
    return Snooze(0.01) if ctx.attempt == 1 else None


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An engine in memory."""
    return heliostat.open("memory://", files=tmp_path, broker="")


def rung(engine: Engine) -> Counter[str]:
    """Add up what the store tells from now."""
    told: Counter[str] = Counter()

    def woke(queues: Mapping[str, int]) -> None:
        assert all(n > 0 for n in queues.values())
        told.update(queues)

    engine.store.woke = woke
    return told


def test_a_commit_tells_what_it_made_ready_by_queue(engine: Engine) -> None:
    """The start of a run tells of its first node; of what nobody here takes, each commit tells how much it is."""
    with engine:
        told = rung(engine)
        run = engine.start(fan, 7)
        assert told == {"default": 1}
        worker = engine.worker(queues=["default"])
        worker.serve(lambda: told["wide"] > 0)
        worker.stop(1.0)
        assert told == {"default": 1, "wide": 7}
        worker = engine.worker(queues=["wide"])
        worker.serve(lambda: told["narrow"] > 0)
        worker.stop(1.0)
        assert told == {"default": 1, "wide": 7, "narrow": 1}
        assert engine.store.lively() == ["narrow"]
        engine.work(until=run)
        assert engine.store.lively() == []


def test_what_a_worker_takes_itself_is_told_to_nobody(engine: Engine) -> None:
    """It leases the next step in the commit that made it ready."""
    with engine:
        run = engine.start(fan, 3)
        told = rung(engine)
        engine.work(until=run)
        assert run.result("join") == 3
        assert told.total() == 0


def test_what_woke_up_by_itself_is_told_too(engine: Engine) -> None:
    """A time that has come makes ready what no commit has counted, and so does an operator who resumes a queue."""
    with engine:
        run = engine.start(nap)
        told = rung(engine)
        engine.work(until=run)
        assert told["default"] >= 1
        engine.start(nap)
        told.clear()
        engine.store.accept([heliostat.store.Command(SetQueue("default", paused=False))], engine.around.clock.now())
        assert told == {"default": 1}


def test_a_worker_that_takes_from_no_queue_takes_nothing(engine: Engine) -> None:
    """Until it is told which; then it is spent when nothing is left."""
    with engine:
        run = engine.start(fan, 3)
        worker = engine.worker()
        worker.taking = frozenset()
        for _ in range(5):
            worker.tick(engine.around.clock.now())
        assert [task.count for task in run.tasks()] == [0]
        assert not worker.spent
        worker.taking = frozenset({"default"})
        worker.ring()
        worker.serve(lambda: worker.spent)
        assert {task.node: str(task.state) for task in run.tasks()}["split"] == "succeeded"
        assert not run.over
        worker.stop(1.0)


def test_a_broker_that_is_none_is_refused(tmp_path: Path) -> None:
    """With a sentence that says what can be written."""
    with pytest.raises(BadInput, match="write amqp://user:password@host/vhost"):
        heliostat.open("memory://", files=tmp_path, broker="redis://localhost")
