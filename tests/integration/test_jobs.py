"""Jobs as nodes of a workflow: what they are given, and what becomes of what they leave."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import heliostat
from heliostat import Context, Fail, Retry, Skip, Snooze, Workflow, testing
from heliostat.batch import Rejected, Reply, Systems, begin
from heliostat.batches.local import LocalBatch
from heliostat.engine import Engine
from heliostat.errors import BadInput, DefinitionError
from heliostat.inputs import Inputs
from heliostat.jobs import UNKEPT_SECONDS, Jobs
from heliostat.run import RunState
from heliostat.store import Ask
from heliostat.task import TaskState


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Give an engine that runs jobs on this machine."""
    with heliostat.open("memory://", files=tmp_path) as opened:
        yield opened


def text_file(ctx: Context, name: str, text: str) -> Path:
    """Make a small file in an attempt's directory."""
    path = ctx.dir / name
    path.write_text(text, "utf-8")
    return path


# what a job is given


def test_input_json_holds_the_message_and_all_that_the_job_waits_for(engine: Engine) -> None:
    """After which nodes, and under which names: the command need not name them once more."""
    flow = Workflow("flow")
    flow.node(lambda: 1, name="a")
    flow.node(lambda: [2, 3], name="b")
    flow.node(lambda: None, name="c")
    only = flow.job("only", "cp {input} {output}", after=["a", "c"], inputs={"two": "b"})
    run = engine.run(flow, {"days": 4})
    assert run.state is RunState.succeeded, run.info.reason
    assert run.result(only) == {"message": {"days": 4}, "a": 1, "two": [2, 3], "c": None}


def test_a_mapped_job_finds_its_item_in_input_json(engine: Engine) -> None:
    """Under the name that map= gives it."""
    flow = Workflow("flow")
    flow.node(lambda: ["x", "y"], name="parts")
    each = flow.job("each", ["cp", "{input}", "{output}"], map={"part": "parts"})
    run = engine.run(flow)
    assert run.state is RunState.succeeded, run.info.reason
    assert run.result(each) == [{"message": None, "part": "x"}, {"message": None, "part": "y"}]


def test_files_holds_the_files_of_all_that_the_job_waits_for(engine: Engine, tmp_path: Path) -> None:
    """And of the message; the command need not name them once more."""
    (tmp_path / "region.txt").write_text("region", "utf-8")
    flow = Workflow("flow")

    @flow.node
    def terrain(ctx: Context) -> Path:
        return text_file(ctx, "hill.txt", "hill")

    listed = flow.job("listed", "ls {files} > found; cat {files}/hill.txt >> found", after=terrain, outputs="found")
    run = engine.run(flow, {"region": tmp_path / "region.txt"})
    assert run.state is RunState.succeeded, run.info.reason
    with engine.around.repository.open(run.result(listed)) as left:
        assert left.read() == b"hill.txt\nregion.txt\nhill"


def test_a_job_that_uses_neither_is_given_what_it_names(engine: Engine) -> None:
    """Nothing is read for it that nobody wants."""
    flow = Workflow("flow")
    flow.node(lambda: 1, name="a")
    flow.job("only", "true", after="a")
    assert flow.graph.inputs("only") == ()
    assert not flow.graph["only"].takes_message


@dataclass
class Region:
    """A message with a default."""

    name: str
    days: int = 3


@dataclass
class Other:
    """The same message in other eyes."""

    name: str
    hours: int = 5


def test_a_job_sees_the_defaults_of_the_message(engine: Engine) -> None:
    """A start with data is as good as one with the author's class."""
    flow = Workflow("flow")

    @flow.node
    def reads(message: Region) -> int:
        return message.days

    said = flow.job("said", "echo {message.name} {message.days} > said; cp {input} {output}", outputs="said")
    for message in ({"name": "pisa"}, Region("pisa")):
        run = engine.run(flow, message)
        assert run.state is RunState.succeeded, run.info.reason
        assert run.result(said) == {"message": {"name": "pisa", "days": 3}}


@dataclass
class Week:
    """A message that need not be given."""

    days: int = 7


def test_a_job_sees_the_defaults_of_a_message_that_was_not_given(engine: Engine) -> None:
    """It is no message at all that has them, as for a function."""
    flow = Workflow("flow")

    @flow.node
    def reads(message: Week) -> int:
        return message.days

    said = flow.job("said", "echo {message.days} > {output}")
    run = engine.run(flow)
    assert run.result(said) == run.result(reads) == 7


def test_only_those_who_take_the_message_describe_it(engine: Engine) -> None:
    """A handler that is sent others later does not."""
    flow = Workflow("flow")
    said = flow.job("said", "cp {input} {output}")

    @flow.handler
    def hears(message: Region) -> None: ...

    run = engine.run(flow, {"days": 4})
    assert run.result(said) == {"message": {"days": 4}}


def test_a_message_that_two_classes_describe_reaches_the_job_as_it_was_given(engine: Engine) -> None:
    """Whose defaults should it be?"""
    flow = Workflow("flow")
    flow.node(lambda message: None, name="any")
    one = flow.job("one", "cp {input} {output}")

    @flow.node
    def first(message: Region) -> None: ...

    @flow.node
    def second(message: Other) -> None: ...

    run = engine.run(flow, {"name": "pisa"})
    assert run.result(one) == {"message": {"name": "pisa"}}


def test_a_job_that_gave_no_list_cannot_be_gone_over(engine: Engine) -> None:
    """As for a function, it is a failure that names who wants the list; it is not taken for an empty one."""
    flow = Workflow("flow")
    tiles = flow.job("tiles", "echo 3 > {output}")
    flow.node(lambda tile: tile, name="each", map={"tile": tiles})
    run = engine.run(flow)
    assert run.state is RunState.failed
    assert run.info.reason == "tiles: returned int, but each goes over its list"


def test_a_job_that_gave_a_list_is_gone_over(engine: Engine) -> None:
    """Of whatever is in it."""
    flow = Workflow("flow")
    tiles = flow.job("tiles", "echo '[1, 2]' > {output}")
    each = flow.node(lambda tile: tile + 1, name="each", map={"tile": tiles})
    assert engine.run(flow).result(each) == [2, 3]


# adoption


def test_adopting_a_job_leaves_its_input_alone(engine: Engine) -> None:
    """The job may be reading it."""
    flow = Workflow("flow")
    only = flow.job("only", "cp {input} {output}")
    run = engine.start(flow, {"days": 4})
    [attempt] = engine.store.lease(Ask("w", frozenset({flow.graph.id}), 1), engine.around.clock.now())
    [work] = Inputs(engine.store, engine.registry).read([attempt])
    batch = LocalBatch()
    jobs = Jobs(Systems(batch), engine.around)
    prepared = jobs.prepare(work)
    begin(batch, prepared.request)
    given = prepared.directory / "input.json"
    before = given.stat()
    jobs.prepare(work)
    assert (given.stat().st_ino, given.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    engine.work(until=(given.parent / "job.exit_code").exists)
    assert (given.parent / "output.json").read_text() == '{"message":{"days":4}}'
    assert run.graph[only.name].takes_message


def test_an_input_that_a_power_cut_has_emptied_is_written_again(engine: Engine) -> None:
    """Before the job is submitted, which else would find nothing in it."""
    flow = Workflow("flow")
    flow.job("only", "cp {input} {output}")
    run = engine.start(flow, {"days": 4})
    place = engine.around.directory / "jobs" / run.id / "1.1"
    place.mkdir(parents=True)
    (place / "input.json").touch()
    engine.work(until=run)
    assert run.result() == {"message": {"days": 4}}


# what is called around a job


def test_what_is_prepared_is_all_that_a_job_finds_in_its_input(engine: Engine, tmp_path: Path) -> None:
    """Files in it are paths, as they are seen from the job's directory."""
    (tmp_path / "region.txt").write_text("region", "utf-8")
    flow = Workflow("flow")

    @flow.node
    def terrain(ctx: Context) -> Path:
        return text_file(ctx, "hill.txt", "hill")

    def prepare(message: int, terrain: Path) -> object:
        return {"twice": 2 * message, "terrain": terrain, "region": tmp_path / "region.txt"}

    only = flow.job("only", "cat files/hill.txt > said; cp {input} {output}", prepare=prepare, outputs="said")
    run = engine.run(flow, 4)
    assert run.result(only) == {"twice": 8, "terrain": "files/hill.txt", "region": str(tmp_path / "region.txt")}
    assert [edge.source for edge in flow.graph["only"].edges] == ["terrain"]


def test_what_finishes_a_job_gives_the_result_of_its_node(engine: Engine) -> None:
    """It gets what the job gave, and what it asks for leaves with the commit."""
    flow = Workflow("flow")
    flow.node(lambda: 3, name="a")

    def finish(ctx: Context, message: int, output: dict[str, int], a: int) -> list[int]:
        ctx.put(output, key="given")
        return [message, output["a"], a]

    only = flow.job("only", "cp {input} {output}", finish=finish)
    run = engine.run(flow, 4)
    assert run.result(only) == [4, 3, 3]
    assert run.records(only, "given") == [{"message": 4, "a": 3}]


def test_a_job_whose_finish_raises_has_failed_after_it(engine: Engine) -> None:
    """The reason says so; the job is submitted again, for it may leave something better, and nothing follows."""
    flow = Workflow("flow")
    tried: list[int] = []

    def finish(ctx: Context, output: object) -> None:
        ctx.put(1)
        tried.append(ctx.attempt)
        raise ValueError("no cells")

    flow.job("only", "echo 1 > {output}", finish=finish, retry=Retry(1, delay=0))
    flow.job("next", "true", after="only")
    run = engine.run(flow)
    assert run.info.reason is not None
    assert run.info.reason.startswith("only: after the job: ValueError: no cells (test_jobs.py:")
    assert tried == [1, 2]
    assert run.records() == []
    assert run.tasks(node="next") == []


@pytest.mark.parametrize("kind", ["prepare", "command"])
def test_a_job_that_has_to_wait_is_asked_again_and_holds_no_place(engine: Engine, kind: str) -> None:
    """With a limit of one, the others pass meanwhile; a skip or a failure is an answer, too."""
    flow, gate = Workflow("flow"), engine.around.directory / "gate"

    def before(message: str) -> object:
        if message == "late" and not gate.exists():
            return Snooze(0.05)
        if message == "none":
            return Skip("there is nothing to see")
        return Fail("no such tile") if message == "bad" else {"seen": message} if kind == "prepare" else ["true"]

    if kind == "prepare":
        only = flow.job("only", "cp {input} {output}", prepare=before, limit=1)
    else:
        only = flow.job("only", before, limit=1)
    late, none, bad, good = (engine.start(flow, word) for word in ("late", "none", "bad", "good"))
    engine.work(until=lambda: all(run.over for run in (none, bad, good)))
    assert late.tasks()[0].state in (TaskState.waiting, TaskState.ready, TaskState.running)
    gate.touch()
    engine.work(until=late)
    assert [run.state for run in (late, none, bad, good)] == [
        RunState.succeeded,
        RunState.succeeded,
        RunState.failed,
        RunState.succeeded,
    ]
    assert none.tasks()[0].state is TaskState.skipped
    assert bad.info.reason == "only: no such tile"
    assert late.result(only) == ({"seen": "late"} if kind == "prepare" else None)


def test_what_is_asked_for_before_a_job_is_refused(engine: Engine) -> None:
    """It would be lost: the attempt goes on as a job, and commits when that has ended."""
    flow = Workflow("flow")

    def prepare(ctx: Context) -> int:
        ctx.put(1)
        return 2

    flow.job("only", "cp {input} {output}", prepare=prepare)
    run = engine.run(flow)
    assert run.info.reason is not None
    assert "what it asks for before its job would be lost; ask for it in finish=" in run.info.reason


def test_an_output_that_is_no_json_is_a_failure_that_is_tried_again(engine: Engine) -> None:
    """The program may have been interrupted while it wrote."""
    flow = Workflow("flow")
    marks = engine.around.directory / "marks"
    command = f"echo x >> {marks}; test $(wc -l < {marks}) = 2 && echo 7 > {{output}} || echo 7, > {{output}}"
    only = flow.job("only", command, retry=Retry(1, delay=0))
    run = engine.run(flow)
    assert run.result(only) == 7
    [before] = engine.store.attempts(run.key, run.tasks()[0].number)
    assert (before.reason or "").startswith("output.json: not JSON")


def test_a_worker_without_the_functions_around_a_job_does_not_run_it(engine: Engine) -> None:
    """Its graph says that there are some."""
    flow = Workflow("flow")
    flow.job("only", "true", finish=lambda output: output)
    run = engine.start(flow)
    engine.registry.keep(flow.graph, {})
    engine.work(until=run)
    assert run.info.reason == "only: this worker has no function to finish job only"


def test_a_job_with_functions_around_it_is_no_data() -> None:
    """They are not in its definition."""
    flow = Workflow("flow")
    flow.job("only", "true", prepare=lambda: 1, finish=lambda output: output)
    with pytest.raises(BadInput, match="only is a job with prepare= and finish=, and only jobs and reviews can be"):
        flow.to_json()
    with pytest.raises(DefinitionError, match="job other: a function gives its command, and may prepare it too"):
        flow.job("other", lambda: "true", prepare=lambda: 1)


def test_what_is_prepared_is_seen_by_a_call() -> None:
    """And what it answers instead of an input is what the call comes to."""
    flow = Workflow("flow")
    only = flow.job("only", ["cp", "{input}", "{output}"], prepare=lambda message: Skip("no") if message else 1)
    assert testing.call(only, 0).command == ("cp", "input.json", "output.json")
    assert testing.call(only, 1).result == Skip("no")


def test_a_job_whose_task_is_cancelled_is_ended(engine: Engine) -> None:
    """Its process too, so that nothing computes on for nobody; the run fails with who did it."""
    flow = Workflow("flow")
    flow.job("long", "echo $$ > pid; exec sleep 600")
    run = engine.start(flow)
    [directory] = [engine.around.directory / "jobs" / run.id / "1.1"]
    engine.work(until=(directory / "pid").is_file)
    assert run.cancel_task("long", "the wrong field").note == "it runs, and is asked to stop"
    engine.work(until=run)
    assert run.info.reason == "long: cancelled by python: the wrong field"
    pid = int((directory / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


STUBBORN = """
marks={message}
if [ -e "$marks/mended" ]; then exit 0; fi
trap 'while [ ! -e "$marks/go" ]; do sleep 0.05; done; exit 1' TERM
touch "$marks/begun"
while :; do sleep 0.05; done
"""


def test_a_job_that_is_being_stopped_when_its_run_is_retried_is_begun_anew(engine: Engine, tmp_path: Path) -> None:
    """It ends because its run had failed, and the run that goes on does not fail for that."""
    flow = Workflow("flow")
    flow.job("long", STUBBORN)

    @flow.node
    def fails(message: str) -> None:
        while not (begun := Path(message, "begun")).exists():
            threading.Event().wait(0.01)
        if begun.with_name("mended").exists():
            return
        raise OSError("no light")

    run = engine.start(flow, str(tmp_path))
    jobs = engine.around.directory / "jobs" / run.id
    engine.work(until=(jobs / "1.1" / "job.stop").exists)
    assert run.state is RunState.failed
    (tmp_path / "mended").touch()
    assert run.retry("fails").done
    (tmp_path / "go").touch()
    engine.work(until=run)
    assert run.state is RunState.succeeded, run.info.reason
    assert sorted(path.name for path in jobs.iterdir()) == ["1.1", "1.1.2"]
    told = [(past.number, past.state, past.reason) for past in engine.store.attempts(run.key)]
    assert (1, "stopped", "its run is over") in told


def test_what_an_ended_job_left_is_kept_as_soon_as_it_can_be(engine: Engine) -> None:
    """A disk without a place costs no computation: its job is not submitted again, and no attempt has failed."""
    flow = Workflow("flow")
    made = flow.job("made", "echo ran >> ran; echo light > made.txt", outputs="made.txt")
    run = engine.start(flow)
    artifacts = engine.around.directory / "artifacts"
    artifacts.write_text("in the way of a directory", "utf-8")
    engine.work(until=lambda: run.tasks()[0].state is TaskState.waiting or run.over)
    words = run.explain()
    assert "after: its job has ended, and what it left cannot be kept: [Errno 20] Not a directory: " in words, words
    artifacts.unlink()
    engine.store.promote(engine.around.clock.now() + UNKEPT_SECONDS)
    engine.work(until=run)
    assert run.state is RunState.succeeded, run.info.reason
    with engine.around.repository.open(run.result(made)) as left:
        assert left.read() == b"light\n"
    [directory] = (engine.around.directory / "jobs" / run.id).iterdir()
    assert (directory / "ran").read_text() == "ran\n"
    assert (run.tasks()[0].failures, engine.store.attempts(run.key)) == (0, [])


@pytest.mark.parametrize(("on", "attempts"), [((Exception,), 3), (("failed",), 3), (("timed_out",), 1)])
def test_a_job_that_is_refused_is_tried_again_as_its_policy_says(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, on: tuple[type[Exception] | str, ...], attempts: int
) -> None:
    """It has failed, which other endings do not cover."""

    def submit(_: LocalBatch, requests: Sequence[object]) -> list[Reply]:
        return [Rejected("there is no partition 'nowhere'")] * len(requests)

    monkeypatch.setattr(LocalBatch, "submit", submit)
    flow = Workflow("flow")
    flow.job("step", "true", retry=Retry(2, delay=0, on=on))
    run = engine.run(flow)
    [task] = run.tasks()
    assert (run.state, task.reason, task.count) == (RunState.failed, "there is no partition 'nowhere'", attempts)
