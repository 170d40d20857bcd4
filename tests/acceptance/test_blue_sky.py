"""Imaging on a cluster, cases B1 to B15: queues, throttles, batch jobs, operators.

The cases that are about batch systems are told on local processes and on a Slurm that is started for them.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import heliostat
from heliostat import Workflow
from heliostat.batch import JobState, Observation
from heliostat.batches.local import LocalBatch
from heliostat.engine import Engine
from heliostat.errors import BadInput
from heliostat.grid import Seen, grid
from heliostat.handle import RunHandle
from heliostat.importers import bluesky
from heliostat.run import RunState
from heliostat.task import TaskState
from tests.acceptance import blue_sky
from tests.acceptance.crew import wait_until
from tests.pbs_server import Pbs, pbs_server
from tests.slurm_server import Slurm
from tests.unit.test_bluesky import MOCK

PATIENCE = (
    120.0  #: seconds; more than anything here takes, on a cluster that ticks once a second and looks twice a minute
)
WORKER = [sys.executable, "-m", "heliostat.cli", "worker", "start", "tests.acceptance.blue_sky"]
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Institute:
    """A place where subjects come in: a database, workers that are processes, and a batch system."""

    place: Path
    engine: Engine
    slurm: Slurm | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def hire(self, count: int = 1) -> None:
        """Start workers."""
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
        for _ in range(count):
            with (self.place / f"worker-{len(self.workers)}.log").open("ab") as log:
                self.workers.append(subprocess.Popen(WORKER, cwd=self.place, env=environment, stdout=log, stderr=log))

    def kill(self) -> None:
        """Kill all workers with SIGKILL, and see them gone."""
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.workers.clear()

    def ingest(self, flow: Workflow, name: str, **subject: Any) -> RunHandle:
        """Take a subject in."""
        message = {"name": name, "marks": str(self.place), **subject}
        return self.engine.find(bluesky.ingest(self.engine, flow, message, subject=name)["run"])

    def mark(self, name: str) -> None:
        """Let programs go that wait for it."""
        (self.place / name).touch()

    def lines(self, word: str = "", state: str = "") -> list[tuple[int, str, str, str]]:
        """What programs have noted: when, begin or end, in which state, about whom."""
        log = self.place / "log"
        found = [line.split() for line in log.read_text("utf-8").splitlines()] if log.exists() else []
        each = [(int(at), told, of, name) for at, told, of, name, _ in found]
        return [line for line in each if word in ("", line[1]) and state in ("", line[2])]

    def begun(self, count: int, state: str = "") -> None:
        """Wait until so many programs have begun."""
        self.until(lambda: len(self.lines("begin", state)) >= count, f"{count} begun")

    def until(self, condition: Any, what: str = "") -> None:
        """Wait until something holds; if it does not in time, the error tells what workers said."""
        try:
            wait_until(condition, what, PATIENCE)
        except TimeoutError as error:
            for log in self.place.glob("worker-*.log"):
                error.add_note(log.read_text("utf-8", "replace")[-2000:])
            for run in self.engine.runs(limit=5):
                error.add_note(run.explain())
            raise

    def ended(self, *runs: RunHandle) -> None:
        """Wait until runs have ended."""
        self.until(lambda: all(run.over for run in runs), "their end")

    def seen(self, run: RunHandle) -> dict[str, Seen]:
        """How a subject stands at each state."""
        rows = grid(self.engine, run.graph.name).rows
        return {name: cell.state for name, cell in next(row for row in rows if row.run == run.id).cells.items()}

    def told(self, run: RunHandle) -> dict[str, Any]:
        """What was seen last of the job of a run's first task; empty words as long as nothing was."""
        for place in self.submissions(run)[-1:]:
            if (place / "job.seen").exists():
                seen: dict[str, Any] = json.loads((place / "job.seen").read_text("utf-8"))
                return seen
        return {"state": "", "reason": "", "handle": ""}

    def submissions(self, run: RunHandle, number: int = 1) -> list[Path]:
        """The directories of a task's jobs: one for each try."""
        return sorted((self.place / ".heliostat" / "jobs" / run.id).glob(f"{number}.*"))


@contextmanager
def institute(place: Path, cluster: Slurm | Pbs | None, partition: str = "main") -> Iterator[Institute]:
    """Open one; its workers end with it."""
    place.mkdir(exist_ok=True)
    system, lane = ("pbs", "workq") if isinstance(cluster, Pbs) else ("slurm", partition)
    queue = f'queues.imaging = {{ executor = "{system}", partition = "{lane}" }}\n' if cluster is not None else ""
    (place / "heliostat.toml").write_text(queue, "utf-8")
    with contextlib.chdir(place), heliostat.open() as engine:
        engine.store.upgrade()
        found = Institute(place, engine, cluster if isinstance(cluster, Slurm) else None)
        try:
            yield found
        finally:
            for run in engine.runs(limit=1000):
                run.cancel("the test is over")
            found.mark("go")
            found.kill()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Institute]:
    """Give an institute whose programs are local processes."""
    with institute(tmp_path, None) as found:
        yield found


@pytest.fixture(params=["local", pytest.param("slurm", marks=pytest.mark.slow)])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Institute]:
    """Give one on local processes and one on a real Slurm."""
    slurm = request.getfixturevalue("slurm") if request.param == "slurm" else None
    with institute(tmp_path, slurm) as found:
        yield found


@pytest.fixture
def cluster(slurm: Slurm, tmp_path: Path) -> Iterator[Institute]:
    """Give one on a real Slurm."""
    with institute(tmp_path, slurm) as found:
        yield found


@pytest.fixture
def pbs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pbs]:
    """Give a stand-in of PBS, whose commands are found first."""
    with pbs_server("openpbs") as server:
        monkeypatch.setenv("PATH", server.environment["PATH"])
        yield server


def most_at_once(lines: list[tuple[int, str, str, str]]) -> int:
    """How many programs were between their first line and their last at any one moment."""
    now = most = 0
    for _, word, _, _ in sorted(lines):
        now += 1 if word == "begin" else -1
        most = max(most, now)
    return most


# the cases


def test_b01_the_documented_file_is_imported_and_a_bad_one_is_not(here: Institute) -> None:
    """Two nodes and one edge; the second file is refused with its line, and the first is still active."""
    good, bad = here.place / "good.yaml", here.place / "bad.yaml"
    good.write_text(MOCK, "utf-8")
    bad.write_text(MOCK.replace("        pbs_queue: 'project_queue_name'\n", ""), "utf-8")
    here.engine.register_many(bluesky.load(good).values())
    with pytest.raises(BadInput, match=r"bad\.yaml, line 3: executables\.mock: .* the key 'pbs_queue' is missing"):
        here.engine.register_many(bluesky.load(bad).values())
    [graph] = here.engine.store.graphs()
    assert [node.name for node in graph] == ["ingest_mock", "mock_analyze"]
    assert [(edge.source, node.name) for node in graph for edge in node.edges] == [("ingest_mock", "mock_analyze")]
    assert here.engine.start("mock_workflow", {"arg1": 1}).state is RunState.active


def test_b02_a_throttle_holds_at_every_moment_and_is_changed_while_it_runs(here: Institute) -> None:
    """Forty subjects, four workers: three at once, then five."""
    here.hire(4)
    runs = [here.ingest(blue_sky.throttled, f"s{n}", does={"only": {"until": "go"}}) for n in range(40)]
    here.begun(3)
    running = [run for run in runs if run.tasks(TaskState.running)]
    assert len(running) == 3
    before = len(here.lines("begin"))
    here.engine.set_node("throttled/only", limit=5, reason="the other instrument is down")
    here.begun(5)
    assert before == 3
    assert sum(bool(run.tasks(TaskState.running)) for run in runs) == 5
    here.mark("go")
    here.ended(*runs)
    assert {run.state for run in runs} == {RunState.succeeded}
    assert most_at_once(here.lines()) == 5
    assert len(here.lines("begin")) == 40


def test_b03_the_last_of_twenty_is_next_if_an_operator_says_so(here: Institute) -> None:
    """The journal keeps who said it and why."""
    here.hire()
    runs = [here.ingest(blue_sky.single, f"s{n:02}", does={"first": {"until": "go"}}) for n in range(20)]
    here.begun(1)
    assert runs[-1].set("first", priority=10, reason="a visitor").done
    here.mark("go")
    here.ended(*runs)
    assert [name for _, _, _, name in here.lines("begin", "first")][:2] == ["s00", "s19"]
    assert any("a visitor" in str(line) for line in runs[-1].log())


def test_b04_of_five_subjects_a_guard_refuses_two(here: Institute) -> None:
    """Three programs run downstream; the others say why not."""
    here.hire()
    run = here.ingest(blue_sky.spread, "plate", parts=5, refused=[1, 3])
    here.ended(run)
    assert [name for _, _, _, name in sorted(here.lines("begin", "part"))] != []
    assert {name for _, _, _, name in here.lines("begin", "part")} == {"plate.0", "plate.2", "plate.4"}
    reasons = [task.reason for part in run.parts() for task in part.tasks(TaskState.skipped)]
    assert reasons == ["its guard refuses it"] * 2
    assert run.result("joined")["n"] == 3 + 1


def test_b05_where_one_part_of_three_fails_nothing_follows(here: Institute) -> None:
    """The run has failed, and says which part; once that is mended, it goes on from there."""
    here.hire()
    here.mark("broken-plate.1")
    run = here.ingest(blue_sky.spread, "plate", parts=3)
    here.ended(run)
    assert run.state is RunState.failed
    assert (run.info.reason or "").startswith('part[1]: message={"name":"plate.1",')
    assert here.lines("begin", "joined") == []
    (here.place / "broken-plate.1").unlink()
    assert run.retry(reason="mended").done
    here.ended(run)
    assert run.result("joined")["n"] == 3 + 1


def test_b06_what_an_earlier_attempt_left_is_not_seen(here: Institute) -> None:
    """The first attempt was fine; the rerun exits with 1 and writes nothing: failed."""
    here.hire()
    run = here.ingest(blue_sky.single, "s")
    here.ended(run)
    assert run.result("second") == {"name": "s", "n": 2}
    here.mark("broken-s")
    again = run.rerun(at="second", reason="with the new program")
    here.ended(again)
    assert again.state is RunState.failed
    assert "exit code 1: no luck in try" in (again.info.reason or "")
    assert here.seen(again) == {"first": Seen.success, "second": Seen.failed_execution}
    [left] = here.submissions(again, 2)
    assert not (left / "output.json").exists()


def test_b07_a_program_that_fails_twice_is_submitted_three_times(anywhere: Institute) -> None:
    """With three retries it succeeds; each submission had a directory of its own."""
    anywhere.hire()
    run = anywhere.ingest(blue_sky.steps, "s", does={"first": {"fails": 2}})
    anywhere.ended(run)
    assert run.state is RunState.succeeded, run.info.reason
    assert len(anywhere.submissions(run)) == len(anywhere.lines("begin", "first")) == 3
    if (slurm := anywhere.slurm) is not None:  # it has heard of three, too, and of one more for the second state
        wait_until(lambda: len([job for job in slurm.completed() if run.id in job.get("Name", "")]) == 4)
    assert anywhere.seen(run) == {"first": Seen.success, "second": Seen.success}


def test_b08_what_was_killed_stays_killed_though_its_program_finishes(anywhere: Institute) -> None:
    """It does not hear TERM and ends well; the slot is free, and nothing runs downstream."""
    anywhere.hire()
    run = anywhere.ingest(blue_sky.single, "killed", does={"first": {"until": "never", "deaf": True}})
    anywhere.begun(1)
    next_one = anywhere.ingest(blue_sky.single, "next")
    assert run.cancel("wrong plate").done
    anywhere.mark("never")
    anywhere.ended(next_one)
    assert next_one.state is RunState.succeeded
    assert anywhere.seen(run) == {"first": Seen.killed}
    assert {name for _, _, _, name in anywhere.lines("begin", "second")} == {"next"}


def test_b09_reports_in_any_order_and_twice_make_one_success(here: Institute, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished before queued, finished twice: one success, and the next step starts once."""
    observe, told = LocalBatch.observe, Counter[Path]()

    def scrambled(batch: LocalBatch, directories: list[Path]) -> list[Observation]:
        seen = observe(batch, directories)
        for place, (directory, now) in enumerate(zip(directories, seen, strict=True)):
            told[directory] += now.state.final
            if now.state.final and told[directory] == 2:
                seen[place] = Observation(JobState.submitted)
            elif not now.state.final:
                seen[place] = Observation((JobState.running, JobState.unknown, JobState.submitted)[told.total() % 3])
        return seen

    monkeypatch.setattr(LocalBatch, "observe", scrambled)
    runs = [here.ingest(blue_sky.steps, f"s{n}") for n in range(4)]
    here.engine.work(until=lambda: all(run.over for run in runs))
    assert {run.state for run in runs} == {RunState.succeeded}
    begun = Counter((state, name) for _, _, state, name in here.lines("begin"))
    assert begun == {(state, run.name): 1 for run in runs for state in ("first", "second")}
    assert [len(run.tasks(node="second")) for run in runs] == [1] * 4


def test_b10_what_waits_at_a_gate_holds_no_place(here: Institute) -> None:
    """Ten wait in a state with a throttle of one; others pass meanwhile; when it opens, all ten proceed."""
    here.hire()
    waiting = [here.ingest(blue_sky.gated, f"gated{n}", gated=True) for n in range(10)]
    here.until(lambda: all(run.tasks()[0].count for run in waiting), "all at the gate")
    others = [here.ingest(blue_sky.gated, f"other{n}") for n in range(5)]
    here.ended(*others)
    assert {name[:5] for _, _, _, name in here.lines("begin")} == {"other"}
    here.mark("gate")
    here.ended(*waiting)
    assert {run.state for run in (*waiting, *others)} == {RunState.succeeded}
    assert len(here.lines("begin")) == 15
    assert most_at_once(here.lines()) == 1


def test_b11_jobs_go_on_without_their_engine_and_are_adopted(anywhere: Institute) -> None:
    """It is killed while five run, and started again after they have ended: no second submission, all results."""
    anywhere.hire()
    runs = [anywhere.ingest(blue_sky.many, f"s{n}", does={"only": {"until": "go"}}) for n in range(5)]
    anywhere.begun(5)
    anywhere.kill()
    anywhere.mark("go")
    anywhere.until(lambda: all((anywhere.submissions(run)[0] / "job.exit_code").exists() for run in runs), "exit codes")
    assert {state for run in runs for state in anywhere.seen(run).values()} == {Seen.finished_execution}
    anywhere.hire()
    anywhere.ended(*runs)
    assert [run.result() for run in runs] == [{"name": f"s{n}", "n": 1} for n in range(5)]
    assert len(anywhere.lines("begin")) == 5
    assert [len(anywhere.submissions(run)) for run in runs] == [1] * 5


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_b12_a_scheduler_that_is_away_is_unknown_and_no_job_has_failed(cluster: Institute) -> None:
    """What ran goes on, what comes in meanwhile is submitted when it is back, and each once."""
    assert cluster.slurm is not None
    cluster.hire()
    before = [cluster.ingest(blue_sky.many, f"before{n}", does={"only": {"until": "go"}}) for n in range(2)]
    cluster.begun(2)
    cluster.slurm.stop_controller()
    during = cluster.ingest(blue_sky.many, "during")
    cluster.until(lambda: "cannot be asked" in cluster.told(before[0])["reason"], "that it cannot be asked")
    cluster.until(lambda: cluster.told(during)["state"] == "unknown", "that nobody knows")
    assert {run.state for run in (*before, during)} == {RunState.active}
    cluster.slurm.start_controller()
    cluster.mark("go")
    cluster.ended(*before, during)
    assert {run.state for run in (*before, during)} == {RunState.succeeded}
    assert Counter(name for _, _, _, name in cluster.lines("begin")) == {"before0": 1, "before1": 1, "during": 1}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_b13_three_ways_to_be_ended_are_three_reasons(cluster: Institute) -> None:
    """By its wall time, for its memory, by an operator at the cluster."""
    assert cluster.slurm is not None
    cluster.hire()
    hold = {"only": {"hold": True}}
    late, away = (cluster.ingest(blue_sky.many, name, does=hold) for name in ("late", "away"))
    large = cluster.ingest(blue_sky.many, "large", does={"only": {"hold": True, "megabytes": 700}})
    cluster.begun(3)
    cluster.until(lambda: cluster.told(late)["handle"] and cluster.told(away)["handle"], "their handles")
    cluster.slurm.end_soon(cluster.told(late)["handle"])
    cluster.slurm.command("scancel", cluster.told(away)["handle"])
    cluster.ended(late, away, large)
    ended = {run.name: cluster.engine.store.task(run.key, 1) for run in (late, away, large)}
    reasons = {name: (task.reason or "").lower() for name, task in ended.items() if task}
    assert "time" in reasons["late"]
    assert "memory" in reasons["large"]
    assert "cancel" in reasons["away"] or "killed" in reasons["away"]
    assert len(set(reasons.values())) == 3


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_b14_five_hundred_jobs_are_looked_at_with_one_question(
    slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them wait in a partition that is closed: each look of the worker asks the scheduler once."""
    counted = tmp_path / "bin"
    counted.mkdir()
    real = subprocess.run(["sh", "-c", "command -v squeue"], capture_output=True, text=True, check=True).stdout.strip()
    (counted / "squeue").write_text(f'#!/bin/sh\necho "$$" >> {tmp_path}/asked\nexec {real} "$@"\n', "utf-8")
    (counted / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{counted}{os.pathsep}{os.environ['PATH']}")
    with ExitStack() as stack:
        busy = stack.enter_context(institute(tmp_path / "place", slurm, "closed"))
        subjects = [{"name": f"s{n}", "marks": str(busy.place)} for n in range(500)]
        runs = busy.engine.start_many(blue_sky.many, subjects)
        busy.hire()
        pending = lambda: sum("job.seen" in [p.name for p in place.iterdir()] for place in jobs(busy))  # noqa: E731
        busy.until(lambda: pending() == 500, "500 seen")
        asked = len((tmp_path / "asked").read_text().splitlines())
        assert asked < 100
        assert {run.state for run in runs} == {RunState.active}
    slurm.command("scancel", "--partition=closed", "--full", f"--user={os.environ.get('USER', 'root')}")


def jobs(at: Institute) -> list[Path]:
    """The directories of all jobs."""
    return list((at.place / ".heliostat" / "jobs").glob("*/*"))


@pytest.mark.slow
def test_b15_the_same_workflow_comes_out_the_same_on_slurm_on_pbs_and_here(
    slurm: Slurm, pbs: Pbs, tmp_path: Path
) -> None:
    """The same states and the same results, of what succeeds, is tried again, and fails."""
    came = []
    for name, where in (("local", None), ("slurm", slurm), ("pbs", pbs)):
        with institute(tmp_path / name, where) as found:
            found.hire()
            fine = found.ingest(blue_sky.steps, "fine")
            again = found.ingest(blue_sky.steps, "again", does={"first": {"fails": 1}})
            bad = found.ingest(blue_sky.steps, "bad", does={"second": {"fails": 9}})
            found.ended(fine, again, bad)
            results = [run.results() for run in (fine, again)]
            came.append(([found.seen(run) for run in (fine, again, bad)], results, bad.info.reason))
    assert came[0] == came[1] == came[2]
    assert len(pbs.submissions()) == 7
    assert came[0][0][2] == {"first": Seen.success, "second": Seen.failed_execution}
