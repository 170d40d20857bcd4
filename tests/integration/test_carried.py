"""Functions on a batch queue: carried as files to a job, with the same promises as in a thread."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import heliostat
from examples.quicksort import quicksort
from heliostat import parcel
from heliostat.carrier import Carrier
from heliostat.engine import Engine
from heliostat.executor import Work
from heliostat.handle import RunHandle
from heliostat.inputs import Inputs
from heliostat.outcome import Failed, Outcome, Released, Succeeded
from heliostat.printed import Printed
from heliostat.run import task_id
from heliostat.store import Ask
from tests.integration import journeys, packed, processes
from tests.integration.test_environments import wheel
from tests.integration.test_process_executor import (
    PATIENCE,
    alive,
    content,
    everything,
    fates,
    surroundings,
    until,
)

LOCAL = '[queues.default]\nexecutor = "local"\nlimit = 4\n'


@pytest.fixture(autouse=True)
def _configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of the test's own, in which every function is a job."""
    monkeypatch.chdir(tmp_path)
    Path("heliostat.toml").write_text(LOCAL)


@contextmanager
def working(engine: Engine, run: RunHandle, grace: float = 5.0) -> Iterator[None]:
    """Work in another thread, until the run has ended."""
    worker = engine.worker(lease_seconds=1.0)
    worker.watch._systems.local.grace = grace  # type: ignore[union-attr]
    thread = threading.Thread(target=worker.serve, args=[lambda: run.over and not worker.holds(run.key)])
    thread.start()
    try:
        yield
        thread.join(PATIENCE)
        assert not thread.is_alive(), run.explain()
    finally:
        worker.stop(0.0)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine with a database and files of its own."""
    with heliostat.open(tmp_path / "h.db", files=tmp_path / "files", slots=2) as opened:
        yield opened


def jobs(engine: Engine, run: RunHandle) -> list[Path]:
    """The directories of a run's jobs."""
    return sorted((engine.around.directory / "jobs" / run.id).iterdir())


# the same as in threads


def test_a_run_leaves_the_same_whether_threads_or_jobs_have_run_it(tmp_path: Path) -> None:
    """Results, records, files, messages, other runs, refusals, attempts and log lines."""
    left = []
    for configured in ("", LOCAL):
        Path("heliostat.toml").write_text(configured)
        files = tmp_path / f"{len(left)}"
        with heliostat.open(files.with_suffix(".db"), files=files, slots=2) as engine:
            run = engine.start(processes.tour, {"n": 3}, name="the tour")
            engine.work(until="idle")
            left.append(everything(engine, run))
            assert (files / "jobs").exists() == bool(configured)
    assert left[0] == left[1]
    assert left[1]["state"] == "succeeded"


def test_quicksort_fans_out_over_jobs(engine: Engine) -> None:
    """Recursion, joins and the end of the run: every handler is a job, and nothing that they need is left behind."""
    assert engine.run(quicksort, [3.0, 1.0, 2.0, 1.0]).result() == [1.0, 1.0, 2.0, 3.0]
    [run] = engine.runs("quicksort")
    places = jobs(engine, run)
    assert len(places) == len(run.tasks())
    assert all((place / "job.exit_code").read_text() == "0\n" for place in places)
    assert not any((place / name).exists() for place in places for name in ("artifacts", "attempts", "kept"))


def test_a_job_of_a_function_opens_no_database_and_loads_little(engine: Engine) -> None:
    """It needs neither a store nor the command line."""
    run = engine.run(journeys.looks)
    loaded = set(run.result("modules"))
    assert not loaded & {"sqlite3", "typer", "rich", "psycopg", "heliostat.engine", "heliostat.worker"}
    assert not {name for name in loaded if name.startswith(("heliostat.stores", "heliostat.cli", "heliostat.loops"))}


def test_a_serial_handler_sees_what_the_one_before_has_put(engine: Engine) -> None:
    """Its records are written down when its turn has come, not before."""
    run = engine.start(journeys.counted)
    for _ in range(4):
        run.send(journeys.count)
    engine.work(until=lambda: len(run.tasks(state="succeeded")) == 4)  # type: ignore[arg-type]
    assert run.records(journeys.count, "count") == [4]


def test_a_job_takes_along_the_files_of_its_own_records_alone(engine: Engine) -> None:
    """A thousand items that put one each would take along a million; of other nodes' it is said how they come."""
    run = engine.run(journeys.puts)
    assert run.result("put") == [["0", 1], ["1", 1]]
    [failed] = run.tasks(node="elsewhere")
    said = (
        "a job has the files of its message, of what it waits for and of its own records, so have it wait for the node"
    )
    assert said in (failed.reason or "")


def test_a_handler_finds_the_files_of_its_nodes_records(engine: Engine) -> None:
    """Whichever message they were put for."""
    run = engine.start(journeys.keeps)
    for message in ("first", "second"):
        run.send(journeys.keep, message)
    engine.work(until=lambda: len(run.tasks(state="succeeded")) == 2)  # type: ignore[arg-type]
    assert [json.loads(task.result or "") for task in run.tasks(node="keep")] == [None, "first"]


def test_each_try_is_a_job_of_its_own(engine: Engine) -> None:
    """Whether the one before has put it off or has failed; one that another worker takes over is none."""
    run = engine.run(journeys.asks)
    assert run.result() == 4
    assert [place.name for place in jobs(engine, run)] == ["1.1", "1.1.2", "1.2", "1.2.2"]
    [task] = run.tasks()
    printed = [line.text for line in Printed(engine.around, run.graph["again"]).read(task)]
    assert printed == ["try 1", "try 2", "try 3", "try 4"]


def test_a_secret_reaches_a_function_and_no_file(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes as a variable; what is printed of it is masked, and what would keep it refused."""
    token = "hunter2-and-a-half"
    monkeypatch.setenv("HELIOSTAT_SECRET_TOKEN", token)
    run = engine.run(journeys.confided)
    assert run.result("given") == [len(token), True]
    reasons = {task.title: task.reason or "" for task in run.tasks()}
    assert reasons["tells"] == "result holds the secret 'token', which nothing may keep"
    assert "secret 'token' is not in this job, whose files hold none; give it to the node by env=" in reasons["lacks"]
    places = [*jobs(engine, run), engine.around.directory.parent]
    assert not [p for at in places for p in at.rglob("*") if p.is_file() and token.encode() in p.read_bytes()]
    [given] = [job for job in jobs(engine, run) if "token=***" in content(job / "stdout")]
    assert content(given / "outcome.json")


def test_packages_are_installed_before_the_job_is_submitted(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is the environment's interpreter, which finds this Heliostat behind its own packages."""
    for installer in ("PIP", "UV"):
        monkeypatch.setenv(f"{installer}_NO_INDEX", "1")
        monkeypatch.setenv(f"{installer}_FIND_LINKS", str(tmp_path))
    wheel(tmp_path, "birds", "1.0", "VERSION = '1.0'\ndef main(): print(VERSION)\n")
    wheel(tmp_path, "birds", "2.0", "VERSION = '2.0'\ndef main(): print(VERSION)\n")
    monkeypatch.setenv("HELIOSTAT_ENVIRONMENTS", str(tmp_path / "environments"))
    with heliostat.open("memory://", files=tmp_path / "others") as other:
        run = other.run(packed.packed)
        assert run.state == "succeeded", run.explain()
        assert [run.result(node)[0] for node in ("old", "new", "again")] == ["1.0", "2.0", "1.0"]
        assert len(jobs(other, run)) == len(run.tasks())


# the end of a process


def test_a_process_that_leaves_no_outcome_fails_its_own_attempt_and_says_how(engine: Engine) -> None:
    """An exit without a word is no success; who is killed is tried again as the node's policy says."""
    came = fates(engine.run(journeys.leaves))
    assert (
        came["quietly"][1] == "its process ended with exit code 0 and left no outcome, as one that leaves by os._exit"
    )
    assert came["loudly"][1] == "exit code 3: no light"
    assert came["once"] == came["with_all"] == ("succeeded", None)
    [run] = engine.runs("leaves")
    assert {task.node: task.count for task in run.tasks()} == {"quietly": 1, "loudly": 1, "once": 2, "with_all": 2}
    past = {(a.number, a.state): a.reason for a in engine.store.attempts(run.key)}
    assert past[3, "failed"] == "exit code 137 (SIGKILL)"
    assert "is gone without an exit code" in (past[4, "lost"] or "")


def test_what_does_not_end_in_time_is_stopped_with_all_it_has_started(engine: Engine, tmp_path: Path) -> None:
    """TERM lets what is open be closed, and KILL comes after a grace; the time is the function's, from its begin."""
    run = engine.start(journeys.late, str(tmp_path))
    with working(engine, run, grace=0.3):
        until(lambda: content(tmp_path / "deaf") and content(tmp_path / "tidy"))
        for job in jobs(engine, run):
            over(job)
    assert {fate[1] for fate in fates(run).values()} == {"timed out after 0.1 s"}
    assert [(a.count, a.state) for a in engine.store.attempts(run.key)] == [(1, "timed_out")] * 2
    assert content(tmp_path / "tidy") == "begun, cancelled: True"
    until(lambda: not any(alive(pid) for pid in content(tmp_path / "deaf").split()))


def over(job: Path) -> None:
    """Have the time of a running job be over: starting Python may take longer than a test would wait."""
    claim = (job / "job.claim").read_text().replace("timeout 3600.0", "timeout 0.1")
    (job / "claim").write_text(claim)
    (job / "claim").replace(job / "job.claim")


def test_the_end_of_a_run_ends_its_jobs(engine: Engine, tmp_path: Path) -> None:
    """TERM comes to the function, and no job is left."""
    run = engine.start(journeys.steps, str(tmp_path))
    with working(engine, run):
        pid = until(lambda: content(tmp_path / "here")).strip()
        run.cancel("clouds")
    until(lambda: not alive(pid))
    assert run.state == "cancelled"


def test_a_run_that_goes_on_has_its_job_anew(engine: Engine, tmp_path: Path) -> None:
    """What the end of the run has stopped is tried in a directory of its own."""
    run = engine.start(journeys.failing, str(tmp_path))
    with working(engine, run):
        until(lambda: content(tmp_path / "here"))
        (tmp_path / "fail").touch()
    assert run.state == "failed"
    (tmp_path / "fail").unlink()
    (tmp_path / "go").touch()
    run.retry(run.tasks(node="fails")[0].number)
    engine.work(until=run)
    assert run.state == "succeeded", run.explain()


# what is read while it runs, and after


def test_what_a_function_logs_is_there_while_it_runs(engine: Engine, tmp_path: Path) -> None:
    """In the log of its run, with its task and attempt, and it stays there."""
    run = engine.start(journeys.steps, str(tmp_path))
    with working(engine, run):
        said = until(lambda: [line for line in run.log() if line.text == "waiting"])
        (tmp_path / "go").touch()
    number = run.tasks(node="waits")[0].number
    assert [(line.task, line.attempt) for line in said] == [(task_id(run.key, number), 1)]
    logged = [line for line in run.log() if line.kind in ("log", "progress")]
    assert [(line.kind, line.text) for line in logged] == [("log", "waiting"), ("progress", "")]
    assert run.result() == ["put", 1, "begun, made"]


# workers that die

STRIDE = 15  #: of all lines; where it begins is another one each time

# For every few lines that carrying an attempt passes: a worker dies there of kill -9, and another follows at once.
WORKERS = """
import itertools, os, pathlib, signal, sys, threading
import heliostat
from heliostat import carrier, parcel, watch
from tests.integration.journeys import marked

SEEN = [module.__file__ for module in (carrier, parcel, watch)]

def opened():
    return heliostat.open("sqlite:///h.db", files="files", slots=1, lease_seconds=1.0)

def apart(act, *given):
    if (child := os.fork()) == 0:
        try:
            act(*given)
        finally:
            os._exit(int(sys.exc_info()[0] is not None))
    return os.waitpid(child, 0)[1]

def start(marks):
    with opened() as engine:
        engine.store.upgrade()
        engine.start(marked, marks)

def work(last):
    lines = itertools.count(1)
    def trace(frame, event, argument):
        if frame.f_code.co_filename not in SEEN:
            return None
        if event == "line" and next(lines) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    if last:
        threading.settrace(trace)
    with opened() as engine:
        engine.add(marked)
        [run] = engine.runs(limit=1)
        engine.work(until=run)

for last in itertools.count(int(sys.argv[1]), int(sys.argv[2])):
    marks = pathlib.Path(f"marks-{last}").absolute()
    marks.mkdir()
    apart(start, str(marks))
    status = apart(work, last)
    if apart(work, 0) != 0:
        sys.exit(f"nobody could go on after line {last}")
    if status == 0:
        break
print(last)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_worker_may_die_at_any_line_of_carrying(tmp_path: Path, *, every_point: bool) -> None:
    """The next one finds the job that is there: its function begins once, and its outcome is settled once."""
    stride = 1 if every_point else STRIDE
    command = [sys.executable, "-c", WORKERS, str(random.randint(1, stride)), str(stride)]
    done = subprocess.run(command, env=surroundings(), capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    with heliostat.open("sqlite:///h.db", files="files") as engine:
        runs = list(engine.runs("marked"))
        assert len(runs) == 1 + (int(done.stdout) - 1) // stride > 100 // stride
        for run in runs:
            assert run.state == "succeeded", run.explain()
            marks = Path(run.result()["marks"])
            assert content(marks / "here").count("\n") == 1
            assert run.records("mark") == ["put"]
            assert [kept.name for kept in run.artifacts()] == ["made.txt"]


# jobs that die, and what they leave


class Packer:
    """Packs attempts as a worker does, and submits them to nobody."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.worker = engine, engine.worker()
        self.carrier: Carrier = self.worker.executor._perform_here.carrier  # type: ignore[attr-defined]

    def pack(self, flow: heliostat.Workflow, message: object = None) -> Work:
        """An attempt at the first node of a new run."""
        run = self.engine.start(flow, message)
        leased = self.engine.store.lease(Ask("w", frozenset({flow.graph.id}), 9), self.engine.around.clock.now())
        attempt = next(attempt for attempt in leased if attempt.run == run.key)
        [work] = Inputs(self.engine.store, self.engine.registry).read([attempt])
        work.job = self.carrier._jobs.directory(work)
        self.carrier._pack(work, self.engine.registry.signatures(attempt.graph)[attempt.node], work.job)
        self.engine.store.settle("w", [(each, Succeeded()) for each in leased], self.engine.around.clock.now())
        return work

    def perform(self, work: Work, *before: str) -> subprocess.CompletedProcess[str]:
        """Do what its job would do."""
        command = [sys.executable, *(before or ("-m", "heliostat")), "task", "exec", str(work.job)]
        return subprocess.run(command, env=surroundings(), capture_output=True, text=True, check=False, timeout=200)

    def collect(self, work: Work) -> Outcome:
        """Take in what is there, as if its job had ended well."""
        assert work.job is not None
        (work.job / "job.exit_code").write_text("0\n")
        outcome = self.carrier.collect(work)
        assert isinstance(outcome, Succeeded | Failed)
        return outcome


@pytest.fixture
def packer(engine: Engine) -> Iterator[Packer]:
    """Give one."""
    packer = Packer(engine)
    yield packer
    packer.worker.stop(0.0)


# Performs one attempt, and dies of kill -9 at a line of it.
DIES = """
import itertools, os, signal, sys
from heliostat import exec, parcel, solo
last, lines = int(sys.argv.pop(1)), itertools.count(1)

def trace(frame, event, argument):
    if frame.f_code.co_filename not in (exec.__file__, parcel.__file__, solo.__file__):
        return None
    if event == "line" and next(lines) == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return trace

sys.settrace(trace)
exec.main()
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_job_may_die_at_any_line(packer: Packer, tmp_path: Path, *, every_point: bool) -> None:
    """It has left a whole outcome or none, and nothing that would be in the way of another try."""
    stride = 1 if every_point else STRIDE
    last, found = random.randint(1, stride), []
    while True:
        marks = tmp_path / f"{last}"
        marks.mkdir()
        work = packer.pack(journeys.marked, str(marks))
        done = packer.perform(work, "-c", DIES, str(last))
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        assert work.job is not None
        found.append(there := (work.job / parcel.OUTCOME).exists())
        if not there:
            assert packer.perform(work).returncode == 0
        outcome = packer.collect(work)
        assert isinstance(outcome, Succeeded), outcome
        assert len(content(marks / "here").split()) in (1, 2)
        if done.returncode == 0:
            break
        last += stride
    assert last > 60
    assert found == sorted(found)


def test_what_has_been_performed_is_not_performed_again(packer: Packer, tmp_path: Path) -> None:
    """By whoever types the command once more."""
    work = packer.pack(journeys.marked, str(tmp_path))
    assert packer.perform(work).returncode == 0
    again = packer.perform(work)
    assert again.returncode == 4
    assert again.stderr == f"heliostat: the attempt in {work.job} has been performed; its outcome is there\n"
    assert content(tmp_path / "here").count("\n") == 1


def test_an_outcome_that_is_collected_twice_is_the_same(packer: Packer, tmp_path: Path) -> None:
    """Who has collected it may die before it is settled; then its files are in the repository."""
    work = packer.pack(journeys.marked, str(tmp_path))
    packer.perform(work)
    first = packer.collect(work)
    assert isinstance(first, Succeeded)
    assert packer.collect(work) == first


def test_an_outcome_whose_files_cannot_be_kept_stays_until_they_can(packer: Packer, tmp_path: Path) -> None:
    """A disk that is full or away costs no computation, and whoever looks is told why it waits."""
    work = packer.pack(journeys.marked, str(tmp_path))
    packer.perform(work)
    assert work.job is not None
    (work.job / "job.exit_code").write_text("0\n")
    artifacts = packer.engine.around.directory / "artifacts"
    artifacts.write_text("in the way of a directory")
    outcome = packer.carrier.collect(work)
    assert isinstance(outcome, Released)
    assert outcome.until is not None
    assert "what it left cannot be kept: [Errno 20] Not a directory: " in outcome.reason
    artifacts.unlink()
    assert isinstance(packer.collect(work), Succeeded)


def edited(path: Path, **changes: Any) -> None:
    """Change fields of a parcel."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


HOSTILE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "cut": (lambda p: p.write_bytes(p.read_bytes()[:-9]), "outcome.json cannot be read: "),
    "empty": (lambda p: p.write_text(""), "outcome.json cannot be read: "),
    "deep": (lambda p: p.write_text("[" * 100_000), "outcome.json cannot be read: "),
    "no text": (lambda p: p.write_bytes(b"\xff"), "outcome.json cannot be read: "),
    "other data": (lambda p: p.write_text("[1]"), "outcome.json is none that Heliostat wrote"),
    "too large": (lambda p: os.truncate(p, parcel.MOST_BYTES + 1), "bytes; the limit is 67,108,864"),
    "missing": (Path.unlink, "its process ended with exit code 0 and left no outcome"),
    "a directory": (lambda p: (p.unlink(), p.mkdir()), "the output outcome.json is no ordinary file"),
    "a way out": (
        lambda p: (p.unlink(), p.symlink_to("/etc/hostname")),
        "the output outcome.json leads out of the job's directory",
    ),
    "another version": (lambda p: edited(p, format=99), "is of another version of Heliostat (its format is 99, here"),
    "another attempt": (lambda p: edited(p, of=[1, 2, "1.1"]), "is the outcome of another attempt: [1, 2, '1.1']"),
    "no outcome": (lambda p: edited(p, outcome=3), "this is no outcome"),
    "unknown": (lambda p: edited(p, outcome={"kind": "released", "reason": ""}), "no outcome of a function: released"),
    "not JSON": (lambda p: edited(p, outcome={"kind": "succeeded", "result": "{"}), "result: not JSON"),
    "not its width": (
        lambda p: edited(p, outcome={"kind": "succeeded", "result": "[1]", "width": 7}),
        "its result is another than it says",
    ),
    "for ever": (lambda p: edited(p, outcome={"kind": "snoozed", "until": float("inf")}), "until is inf"),
    "to nobody": (lambda p: edited(p, outcome=asking("send", node="nobody", message="1")), "has no node 'nobody'"),
    "to no handler": (lambda p: edited(p, outcome=asking("send", node="mark", message="1")), "mark takes no messages"),
    "a bad record": (lambda p: edited(p, outcome=asking("put", value="NaN")), "what it asks for: not JSON"),
    "no end": (lambda p: edited(p, outcome=asking("end", state="active")), "a run does not end as active"),
    "no run": (lambda p: edited(p, outcome=asking("start", run="x", graph={}, message="1")), "graph."),
    "a missing file": (lambda p: (p.parent / "kept").rename(p.parent / "else"), "is not in"),
    "a changed file": (lambda p: changed(p.parent / "kept"), "is damaged, its digest is sha256:"),
}


def asking(kind: str, **fields: Any) -> dict[str, Any]:
    """An outcome that asks for something."""
    return {"kind": "succeeded", "result": "null", "effects": [{"kind": kind, **fields}]}


def changed(artifacts: Path) -> None:
    """Change what is kept there."""
    for file in artifacts.glob("??/*"):
        file.chmod(0o644)
        file.write_text("other light")


@pytest.mark.parametrize("how", HOSTILE)
def test_what_is_no_outcome_fails_the_attempt_and_says_why(packer: Packer, tmp_path: Path, how: str) -> None:
    """Nothing of it takes effect, and it can be tried again."""
    work = packer.pack(journeys.marked, str(tmp_path))
    assert packer.perform(work).returncode == 0
    assert work.job is not None
    spoil, words = HOSTILE[how]
    spoil(work.job / parcel.OUTCOME)
    outcome = packer.collect(work)
    assert isinstance(outcome, Failed)
    assert words in outcome.error
    assert not outcome.final


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: edited(p, format=99), "is of another version of Heliostat (its format is 99, here it is 1)"),
        (lambda p: p.unlink(), "there is no work.json in "),
        (lambda p: p.write_text("{"), "work.json cannot be read: "),
    ],
)
def test_a_directory_that_holds_no_attempt_is_refused(
    packer: Packer, tmp_path: Path, spoil: Callable[[Path], Any], words: str
) -> None:
    """With a sentence and an exit code, whichever way the command is called."""
    work = packer.pack(journeys.marked, str(tmp_path))
    assert work.job is not None
    spoil(work.job / parcel.WORK)
    for before in (("-m", "heliostat"), ("-m", "heliostat.cli")):
        done = packer.perform(work, *before)
        assert (done.returncode, done.stdout) == (4, "")
        assert words in done.stderr
    assert not (work.job / parcel.OUTCOME).exists()


def test_a_function_that_is_not_found_there_is_a_failure_that_names_it(packer: Packer, tmp_path: Path) -> None:
    """As its module may not be on the machine of the job."""
    work = packer.pack(journeys.marked, str(tmp_path))
    assert work.job is not None
    packed = json.loads((work.job / parcel.WORK).read_text())
    packed["definition"]["places"]["mark"][:2] = ["nowhere_to_be_found", None]
    edited(work.job / parcel.WORK, **packed)
    assert packer.perform(work).returncode == 0
    outcome = packer.collect(work)
    assert isinstance(outcome, Failed)
    assert "its workflow cannot be loaded in a process of its own: ModuleNotFoundError: No module named 'nowhere" in (
        outcome.error
    )
