"""Local jobs with real processes and real kills: one run per directory, whoever dies when."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, cast

import pytest

from heliostat.batch import Batch, JobRequest, JobState, Observation, begin
from heliostat.batches import local, machine
from heliostat.batches.local import LocalBatch
from heliostat.errors import OperatorError
from heliostat.job import JobSpec, Value, render
from heliostat.task import AttemptState

T = TypeVar("T")

PATIENCE_SECONDS = 200

# Submits to the directories that are given, and dies of kill -9 at the event that is asked for.
SUBMITTER = """
import os, signal, sys
from heliostat.batches import local
from heliostat.batch import JobRequest, begin

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

moment, directory, command = sys.argv[1:]
if moment == "before the spawn":
    local.LocalBatch._start = die
elif moment == "after the spawn":
    popen = local.subprocess.Popen
    local.subprocess.Popen = lambda *a, **k: die(popen(*a, **k))
elif moment == "before the claim is read":
    local._claim = lambda directory: die() if os.path.exists(directory / "job.claim") else None
handle = begin(local.LocalBatch(), JobRequest("key", directory, command))
print(handle, flush=True)
if moment == "after the return":
    die()
sys.stdin.read()
"""

# For each line of the module that submitting passes: submits, dies there of kill -9, and another follows at once.
SUBMITTERS = """
import itertools, os, pathlib, signal, sys
from heliostat.batches.local import LocalBatch
from heliostat.batch import JobRequest, begin

def submit(number):
    return begin(LocalBatch(), JobRequest("key", str(root / str(number)), "echo run >> runs; echo said"))

root = pathlib.Path(sys.argv[1])
for number in itertools.count(1):
    if (child := os.fork()) == 0:
        lines = itertools.count(1)
        def trace(frame, event, argument):
            if not frame.f_code.co_filename.endswith("local.py"):
                return None
            if event == "line" and next(lines) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace
        sys.settrace(trace)
        submit(number)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    submit(number)
    if status == 0:
        break
print(number)
"""


class Jobs:
    """Jobs of a test, each in a directory of its own."""

    def __init__(self, root: Path) -> None:
        self.root, self.batch, self.count = root, LocalBatch(grace=0.05), 0

    def new(self) -> Path:
        """Name a directory."""
        self.count += 1
        return self.root / f"job {self.count}"

    def start(self, command: str | tuple[str, ...], timeout: float | None = None, **env: str) -> Path:
        """Submit a command and answer with its directory."""
        directory = self.new()
        begin(self.batch, JobRequest("key", str(directory), command, env, None, timeout))
        return directory

    def see(self, directory: Path, batch: Batch | None = None) -> Observation:
        """Look at one job."""
        (seen,) = (batch or self.batch).observe([directory])
        return seen

    def end(self, directory: Path, batch: Batch | None = None) -> Observation:
        """Look until the job has ended."""
        return until(lambda: (seen := self.see(directory, batch)).state.final and seen)

    def run(self, command: str | tuple[str, ...]) -> Path:
        """Run a command to its end."""
        directory = self.start(command)
        self.end(directory)
        return directory

    def submitter(self, moment: str, directory: Path, command: str) -> subprocess.Popen[str]:
        """Submit from another process, which dies at a moment."""
        arguments = [sys.executable, "-c", SUBMITTER, moment, str(directory), command]
        return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    """Give a place for jobs, and leave none running."""
    jobs = Jobs(tmp_path)
    yield jobs
    directories = [path for path in tmp_path.iterdir() if path.is_dir()]
    until(lambda: _stopped(jobs.batch, directories))


def _stopped(batch: LocalBatch, directories: Sequence[Path]) -> bool:
    batch.cancel(directories, 0)
    return not any(seen.state is JobState.running for seen in batch.observe(directories))


def until(condition: Callable[[], T | bool | None]) -> T:
    """Wait until a condition holds, and answer with its value; fail when patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)
    return cast("T", value)


def number_in(path: Path) -> int:
    """Read the process id that a job writes."""
    return int(until(lambda: path.exists() and path.read_text().strip()))


def number_of(jobs: Jobs, directory: Path) -> int:
    """Ask for the process id of a job's wrapper."""
    return int(begin(jobs.batch, JobRequest("key", str(directory), "")).partition("@")[0])


def alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie, which nobody may be there to reap, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def forge(directory: Path, **fields: object) -> None:
    """Write a claim as another machine, boot or process might have."""
    directory.mkdir()
    claim = {"pid": 1, "start": 1, "now": 0, "boot": machine.boot(), "host": machine.host(), "timeout": ""} | fields
    (directory / "job.claim").write_text("".join(f"{key} {value}\n" for key, value in claim.items()))


def test_it_fulfils_the_contract(jobs: Jobs) -> None:
    """Type checkers compare the methods with the seam's."""
    seam: Batch = jobs.batch
    assert seam is jobs.batch


# --- running


def test_a_job_runs_in_its_directory_and_leaves_its_exit_code(jobs: Jobs) -> None:
    """It is running, then ended; what it said lies in files; nothing can be read from its standard input."""
    directory = jobs.start('echo "$PWD"; echo oops >&2; cat; while [ ! -e go ]; do :; done; exit 3')
    assert jobs.see(directory) == Observation(JobState.running)
    (directory / "go").touch()
    assert jobs.end(directory) == Observation(JobState.ended, 3)
    left = jobs.batch.collect(directory, JobSpec(shell="…"))
    assert (left.exit_code, left.reason, left.stdout, left.stderr) == (3, "exit code 3", str(directory), "oops")


def test_arguments_need_no_shell(jobs: Jobs) -> None:
    """A tuple is a program and its arguments, as they are."""
    words = ("printf", "%s|", "$HOME", "a b", "it's", "*", "\n", "")
    assert (jobs.run(words) / "stdout").read_text() == "$HOME|a b|it's|*|\n||"


def test_hostile_values_are_only_words(jobs: Jobs) -> None:
    """From the template to the program, data stays data."""
    values: dict[str, Value] = {
        "a": "'; rm -rf ~; #",
        "b": "$(touch x) `touch x`\n touch x\n",
        "c": "naïve 🛰",
        "d": "\udcff not UTF-8",
        "e": "\\",
    }
    spec = JobSpec(shell="printf '%s\\0' {a} {b} {c} {d} {e}; printf '%s\\0' {c} > {a}", outputs="*#")
    directory = jobs.run(render(spec, values))
    said = (directory / "stdout").read_bytes().decode(errors="surrogateescape")
    assert said.split("\0")[:-1] == list(values.values())
    assert not (directory / "x").exists()
    assert jobs.batch.collect(directory, spec).outputs == (directory / "'; rm -rf ~; #",)


def test_the_environment_is_the_workers_and_the_jobs(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the wrapper needs for itself neither hides nor changes a variable of the job."""
    variables = ("boot", "host", "start", "stat", "now", "mine", "timeout", "code", "stopped", "PATH", "A", "B")
    for name in variables:
        monkeypatch.setenv(name, "worker's")
    directory = jobs.start((sys.executable, "-c", "import os; print(os.environ)"), PATH="/nowhere", A="job's")
    assert jobs.end(directory) == Observation(JobState.ended, 0)
    environment = eval((directory / "stdout").read_text(), {"environ": dict})
    expected = dict.fromkeys(variables, "worker's") | {"PATH": "/nowhere", "A": "job's"}
    assert {name: environment.get(name) for name in variables} == expected
    assert environment["HELIOSTAT_JOB"] == str(directory)


def test_a_command_may_be_longer_than_an_argument(jobs: Jobs) -> None:
    """The command lies in a file, so the kernel's limit on one argument is none for the shell."""
    directory = jobs.run(f"x={'a' * 300_000}; echo ${{#x}}")
    assert (directory / "stdout").read_text() == "300000\n"


def test_nothing_that_a_command_leaves_running_outlives_the_job(jobs: Jobs) -> None:
    """When the exit code is there, the rest of the group is killed."""
    directory = jobs.run("sleep 1000 & echo $! > child")
    child = number_in(directory / "child")
    until(lambda: not alive(child))
    assert jobs.see(directory) == Observation(JobState.ended, 0)


def test_a_worker_gathers_no_zombies(jobs: Jobs) -> None:
    """Wrappers that have ended are reaped with the next look at whatever job."""
    directories = [jobs.start("exit 0") for _ in range(3)]
    wrappers = [number_of(jobs, directory) for directory in directories]

    def reaped() -> bool:
        jobs.see(jobs.root)
        return not any(Path(f"/proc/{pid}").exists() for pid in wrappers)

    until(reaped)
    assert jobs.batch._children == set()


def test_looking_starts_no_process(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker looks at hundreds of jobs many times a second."""
    directories = [jobs.start("sleep 1000") for _ in range(3)]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    with monkeypatch.context() as patch:
        patch.setattr("subprocess.Popen", refuse)
        patch.setattr("os.fork", refuse)
        assert [seen.state for seen in jobs.batch.observe(directories)] == [JobState.running] * 3


# --- once


def test_a_job_is_submitted_once_however_often_it_is_asked_for(jobs: Jobs) -> None:
    """The handle of the job that is there is the answer, while it runs and after it has ended."""
    directory = jobs.start("echo run >> runs; while [ ! -e go ]; do :; done")
    request = JobRequest("key", str(directory), "echo run >> runs")
    handle = begin(jobs.batch, request)
    assert begin(LocalBatch(), request) == handle
    (directory / "go").touch()
    jobs.end(directory)
    assert begin(LocalBatch(), request) == handle
    assert (directory / "runs").read_text() == "run\n"
    assert "while" in (directory / "job.command").read_text()


def test_of_many_submitters_at_once_one_starts_the_job(jobs: Jobs) -> None:
    """All get the same handle."""
    directory = jobs.new()
    request = JobRequest("key", str(directory), "echo run >> runs; echo said")
    with ThreadPoolExecutor(8) as pool:
        handles = set(pool.map(lambda _: begin(LocalBatch(), request), range(16)))
    assert len(handles) == 1
    assert jobs.end(directory) == Observation(JobState.ended, 0)
    assert (directory / "runs").read_text() == "run\n"
    assert (directory / "stdout").read_text() == "said\n"


def test_a_wrapper_that_comes_late_leaves_the_job_alone(jobs: Jobs) -> None:
    """However slow it was started, it finds the claim taken, and touches nothing."""
    directory = jobs.run("echo run >> runs; echo said")
    before = sorted((path.name, path.stat().st_mtime_ns) for path in directory.iterdir())
    subprocess.run(["sh", "job.sh", "", "", ""], cwd=directory, check=True, capture_output=True)
    assert before == sorted((path.name, path.stat().st_mtime_ns) for path in directory.iterdir())
    assert (directory / "runs").read_text() == "run\n"


@pytest.mark.parametrize(
    "moment", ["before the spawn", "after the spawn", "before the claim is read", "after the return"]
)
def test_a_job_survives_kill_9_of_its_submitter_and_is_adopted(jobs: Jobs, moment: str) -> None:
    """Another process submits again, gets the one job that is there, and sees it through."""
    directory = jobs.new()
    command = "echo run >> runs; while [ ! -e go ]; do :; done; exit 7"
    with jobs.submitter(moment, directory, command) as submitter:
        said, _ = submitter.communicate()
    assert submitter.returncode == -signal.SIGKILL
    handle = begin(jobs.batch, JobRequest("key", str(directory), command))
    assert said.strip() in ("", handle)
    assert jobs.see(directory) == Observation(JobState.running)
    (directory / "go").touch()
    assert jobs.end(directory) == Observation(JobState.ended, 7)
    assert (directory / "runs").read_text() == "run\n"


def test_a_submitter_may_die_at_any_line(jobs: Jobs) -> None:
    """Wherever it was killed, the next one leads to exactly one run with all that it said."""
    arguments = [sys.executable, "-c", SUBMITTERS, str(jobs.root)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=100)
    count = int(done.stdout)
    assert count > 40
    for number in range(1, count + 1):
        directory = jobs.root / str(number)
        assert jobs.end(directory) == Observation(JobState.ended, 0)
        assert (directory / "runs").read_text() == "run\n"
        assert (directory / "stdout").read_text() == "said\n"


def test_ctrl_c_in_the_workers_terminal_does_not_reach_the_job(jobs: Jobs) -> None:
    """A job has a session of its own: no signal to the worker's group is for it."""
    directory = jobs.new()
    arguments = [sys.executable, "-c", SUBMITTER, "never", str(directory), "while [ ! -e go ]; do :; done"]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0
    ) as submitter:
        assert submitter.stdout
        assert submitter.stdout.readline()
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            os.killpg(submitter.pid, number)
        submitter.wait()
        assert jobs.see(directory) == Observation(JobState.running)
    (directory / "go").touch()
    assert jobs.end(directory) == Observation(JobState.ended, 0)


def test_a_job_that_cannot_be_started_says_why(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator reads what the system said, and the same directory can be used when it is mended."""
    (jobs.root / "file").touch()
    with pytest.raises(OperatorError, match=r"job key: cannot start in .*/file: .*File exists"):
        begin(jobs.batch, JobRequest("key", str(jobs.root / "file"), "true"))
    directory = jobs.new()
    with monkeypatch.context() as patch:
        broken = local.wrapper().replace("command -p ln", "command -p ln /nowhere")
        patch.setattr(local, "wrapper", lambda: broken)
        with pytest.raises(OperatorError, match=r"job key: cannot start in .*: ln: .*"):
            begin(jobs.batch, JobRequest("key", str(directory), "true"))
    assert jobs.see(directory).state is JobState.submitted
    begin(jobs.batch, JobRequest("key", str(directory), "true"))
    assert jobs.end(directory) == Observation(JobState.ended, 0)


# --- stopping


def test_cancel_ends_the_whole_group(jobs: Jobs) -> None:
    """TERM reaches children and grandchildren; how the command took it is its exit code."""
    directory = jobs.start("(sleep 1000 & echo $! > grandchild; sleep 1000) & trap 'exit 4' TERM; touch up; wait")
    grandchild = number_in(directory / "grandchild")
    until((directory / "up").exists)
    jobs.batch.cancel([directory], 1000)
    assert jobs.end(directory) == Observation(JobState.ended, 4, "cancelled")
    until(lambda: not alive(grandchild))
    left = jobs.batch.collect(directory, JobSpec(shell="…"))
    assert (left.succeeded, left.reason, left.how) == (False, "cancelled", AttemptState.failed)


def test_what_ignores_term_is_killed_when_the_grace_is_over_by_whoever_looks(jobs: Jobs) -> None:
    """When TERM was sent is written down, so another process goes on with it."""
    directory = jobs.start("trap '' TERM; sleep 1000 & echo $! > child; touch up; wait; while :; do wait; done")
    child = number_in(directory / "child")
    until((directory / "up").exists)
    jobs.batch.cancel([directory], 0.1)
    assert jobs.see(directory).state is JobState.running
    other = LocalBatch()
    assert jobs.end(directory, other) == Observation(JobState.ended, None, "cancelled")
    until(lambda: not alive(child))


def test_a_shorter_grace_counts(jobs: Jobs) -> None:
    """Who is in a hurry need not wait for what was granted before."""
    directory = jobs.start("trap '' TERM; touch up; while :; do sleep 1000; done")
    until((directory / "up").exists)
    jobs.batch.cancel([directory], 1000)
    assert jobs.see(directory).state is JobState.running
    jobs.batch.cancel([directory], 0)
    assert jobs.end(directory) == Observation(JobState.ended, None, "cancelled")


def test_a_job_that_is_cancelled_at_once_does_not_slip_through(jobs: Jobs) -> None:
    """Between the claim and the command TERM counts as well."""
    for _ in range(10):
        directory = jobs.start("sleep 1000")
        jobs.batch.cancel([directory], 1000)
        seen = jobs.end(directory)
        assert (seen.state, seen.reason) == (JobState.ended, "cancelled")


def test_a_job_that_was_cancelled_before_it_began_never_begins(jobs: Jobs) -> None:
    """Neither a submission that comes later nor a wrapper on its way can start it."""
    directory = jobs.new()
    directory.mkdir()
    jobs.batch.cancel([directory], 0)
    begin(jobs.batch, JobRequest("key", str(directory), "touch ran"))
    assert jobs.see(directory) == Observation(JobState.ended, None, "cancelled before it began")
    (directory / "job.command").write_text("touch ran")
    (directory / "job.sh").write_text(local.wrapper())
    subprocess.run(["sh", "job.sh", "", "", ""], cwd=directory, check=True, capture_output=True)
    assert not (directory / "ran").exists()


def test_cancelling_what_has_ended_or_never_was_is_harmless(jobs: Jobs) -> None:
    """The ending stays what it was, and nothing is made."""
    directory, none = jobs.run("exit 0"), jobs.new()
    jobs.batch.cancel([directory, none], 0)
    assert jobs.see(directory) == Observation(JobState.ended, 0)
    assert not none.exists()


def test_a_job_past_its_timeout_is_stopped_and_says_so(jobs: Jobs) -> None:
    """The time counts from its begin, by whoever looks; the grace after TERM is the batch's."""
    directory = jobs.start("trap '' TERM; touch up; sleep 1000", timeout=0.05)
    until((directory / "up").exists)
    seen = jobs.end(directory, LocalBatch(grace=0.05))
    assert seen == Observation(JobState.ended, None, "timed out after 0.05 s", AttemptState.timed_out)
    left = jobs.batch.collect(directory, JobSpec(shell="…"))
    assert (left.how, left.reason) == (AttemptState.timed_out, "timed out after 0.05 s")


def test_a_job_that_ends_well_after_its_timeout_has_timed_out(jobs: Jobs) -> None:
    """TERM may make it stop early with exit code 0, so its outputs cannot be trusted."""
    directory = jobs.start("trap 'exit 0' TERM; touch up; sleep 1000 & wait", timeout=0.05)
    until((directory / "up").exists)
    seen = jobs.end(directory, LocalBatch(grace=1000))
    assert (seen.state, seen.exit_code, seen.how) == (JobState.ended, 0, AttemptState.timed_out)
    assert not jobs.batch.collect(directory, JobSpec(shell="…")).succeeded


# --- losing


@pytest.mark.parametrize("reaped", [True, False])
def test_a_job_whose_wrapper_was_killed_is_lost_and_nothing_of_it_runs(jobs: Jobs, reaped: bool) -> None:  # noqa: FBT001
    """No exit code will come. A zombie is gone as well, whoever should have reaped it."""
    directory = jobs.start("sleep 1000 & echo $! > child; wait")
    child = number_in(directory / "child")
    wrapper = number_of(jobs, directory)
    os.kill(wrapper, signal.SIGKILL)
    seen = jobs.end(directory, jobs.batch if reaped else LocalBatch())
    assert (seen.state, seen.exit_code) == (JobState.lost, None)
    assert f"its process {wrapper} is gone without an exit code" in str(seen.reason)
    until(lambda: not alive(child))
    assert jobs.batch.collect(directory, JobSpec(shell="…")).reason == seen.reason


def test_a_job_that_ends_while_it_is_looked_for_has_ended(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at its files and the look at its process, a job may write its exit code and go."""
    directory = jobs.new()
    forge(directory)

    def ends(pid: int) -> None:
        (directory / "job.exit_code").write_text("0\n")

    monkeypatch.setattr(machine, "started", ends)
    assert jobs.see(directory) == Observation(JobState.ended, 0)


def test_a_process_id_that_came_back_is_another_process(jobs: Jobs) -> None:
    """With its begin it is unique, so a stranger is neither taken for the job nor signalled."""
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as stranger:
        directory = jobs.new()
        forge(directory, pid=stranger.pid, start=12345)
        jobs.batch.cancel([directory], 0)
        assert jobs.see(directory).state is JobState.lost
        assert stranger.poll() is None
        stranger.kill()


def test_a_restarted_machine_has_lost_its_jobs(jobs: Jobs) -> None:
    """A claim from another boot of the same machine has no process any more, whatever has its number."""
    directory = jobs.new()
    forge(directory, pid=os.getpid(), start=machine.started(os.getpid()), boot="another")
    why = "the machine was restarted while it ran"
    assert jobs.see(directory) == Observation(JobState.lost, reason=why, how=AttemptState.lost)


def test_a_job_of_another_machine_is_unknown(jobs: Jobs) -> None:
    """On a shared file system only its own machine can tell whether it runs; its exit code all can read."""
    directory = jobs.new()
    forge(directory, boot="another", host="elsewhere")
    seen = jobs.see(directory)
    assert seen == Observation(JobState.unknown, reason="only a process on elsewhere can see it")
    jobs.batch.cancel([directory], 0)
    (directory / "job.exit_code").write_text("0\n")
    assert jobs.see(directory) == Observation(JobState.ended, 0)


@pytest.mark.parametrize("content", ["", "\0\0\0\0", "pid\n", "pid 1\n"])
def test_a_claim_that_cannot_be_read_is_a_loss(jobs: Jobs, content: str) -> None:
    """After a power cut the files of a job may be empty; it is never started again in the same place."""
    directory = jobs.new()
    directory.mkdir()
    (directory / "job.claim").write_text(content)
    (directory / "job.exit_code").write_text("")
    begin(jobs.batch, JobRequest("key", str(directory), "touch ran"))
    jobs.batch.cancel([directory], 0)
    seen = jobs.see(directory)
    assert (seen.state, seen.exit_code) == (JobState.lost, None)
    assert "power cut" in str(seen.reason)


def test_a_job_whose_directory_was_removed_is_seen_to_its_end(jobs: Jobs) -> None:
    """Whoever submitted it, or adopted it, remembers its process; that it left nothing is a loss."""
    directory = jobs.start("sleep 60")
    shutil.rmtree(directory)
    assert jobs.see(directory).state is JobState.running
    jobs.batch.cancel([directory], 60)
    lost = jobs.end(directory)
    assert (lost.state, lost.reason) == (JobState.lost, f"its directory {directory} was removed while it ran")
    assert jobs.batch.collect(directory, JobSpec("true")).reason == lost.reason
    assert jobs.see(directory).state is JobState.unknown


def test_a_job_whose_directory_was_removed_keeps_its_time(jobs: Jobs) -> None:
    """Nothing is left in which to note that it was asked to stop, so it is killed."""
    directory = jobs.start("sleep 60", timeout=0.05)
    shutil.rmtree(directory)
    assert jobs.end(directory).state is JobState.lost


def test_a_directory_in_which_nothing_can_be_noted_hides_no_other(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk under one job is no reason to let another run on."""
    full, fine = jobs.start("sleep 60"), jobs.start("sleep 60")
    link = local._link

    def no_space(path: Path, fields: dict[str, object]) -> bool:
        if path.parent == full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return link(path, fields)

    monkeypatch.setattr(local, "_link", no_space)
    jobs.batch.cancel([full, fine], 0)
    jobs.end(fine)
    assert jobs.see(full).state is JobState.running


def test_one_job_never_hides_another(jobs: Jobs) -> None:
    """What cannot be read is unknown with its reason, and so is what is not there."""
    loop = jobs.root / "loop"
    loop.symlink_to(loop)
    os.mkfifo((blocking := jobs.start("sleep 1000")) / "job.exit_code")
    ended = jobs.run("exit 0")
    seen = jobs.batch.observe([loop, jobs.root / "none", ended, blocking])
    assert [one.state for one in seen] == [JobState.unknown, JobState.unknown, JobState.ended, JobState.running]
    assert "Too many levels" in str(seen[0].reason)
    assert "there is no job" in str(seen[1].reason)
    (blocking / "job.exit_code").unlink()


# --- collecting


def test_outputs_are_collected_in_the_shape_they_were_asked_for(jobs: Jobs) -> None:
    """A name gives a path, a pattern a sorted tuple of paths, a dict a dict of them."""
    directory = jobs.run("mkdir maps deep deep/er; touch fire.tif maps/b.tif maps/a.tif deep/er/c.tif a[1].txt a1.txt")

    def collect(outputs: str | dict[str, str] | None) -> object:
        left = jobs.batch.collect(directory, JobSpec(shell="…", outputs=outputs))
        assert left.succeeded, left.reason
        return left.outputs

    assert collect(None) is None
    assert collect("fire.tif") == directory / "fire.tif"
    assert collect("maps/*") == (directory / "maps/a.tif", directory / "maps/b.tif")
    assert collect("**/?.tif") == tuple(directory / name for name in ("deep/er/c.tif", "maps/a.tif", "maps/b.tif"))
    assert collect("a[1].txt") == directory / "a[1].txt"
    assert collect("a[1].*") == (directory / "a[1].txt",)
    assert collect({"fire": "fire.tif", "maps": "maps/a*"}) == {
        "fire": directory / "fire.tif",
        "maps": (directory / "maps/a.tif",),
    }


def test_a_missing_output_is_a_failure_that_names_it(jobs: Jobs) -> None:
    """Exit code 0 is not enough; what is there is collected all the same."""
    directory = jobs.run("touch fire.tif; mkdir empty")
    for outputs, reason in {
        "smoke.tif": "the output smoke.tif is missing",
        "*.png": "no file matches the output *.png",
        "empty/*": "no file matches the output empty/*",
        "empty": "the output empty is no ordinary file",
        "fire.tif/x": "the output fire.tif/x is missing",
    }.items():
        left = jobs.batch.collect(directory, JobSpec(shell="…", outputs=outputs))
        assert (left.exit_code, left.succeeded, left.reason, left.outputs) == (0, False, reason, None)
    left = jobs.batch.collect(directory, JobSpec(shell="…", outputs={"fire": "fire.tif", "smoke": "s", "ash": "*.ash"}))
    assert left.reason == "the output s is missing; no file matches the output *.ash"
    assert left.outputs == {"fire": directory / "fire.tif"}


def test_outputs_never_lead_out_of_the_directory(jobs: Jobs) -> None:
    """Links to other places are refused, however they are reached; links within are files."""
    directory = jobs.run(
        "ln -s /etc/passwd out; ln -s /etc etc; ln -s nowhere broken; ln -s round round; mkfifo pipe;"
        "touch real; ln -s real alias; ln -s /etc/passwd output.json"
    )
    for pattern, reason in {
        "out": "the output out leads out of the job's directory",
        "o?t": "the output out leads out of the job's directory",
        "etc/passwd": "the output etc/passwd leads out of the job's directory",
        "etc/pass*d": "the output etc/passwd leads out of the job's directory",
        "broken": "the output broken is missing",
        "round": "the output round is missing",
        "pipe": "the output pipe is no ordinary file",
    }.items():
        left = jobs.batch.collect(directory, JobSpec(shell="…", outputs=pattern))
        assert left.reason == f"{reason}; the output output.json leads out of the job's directory"
        assert (left.outputs, left.output) == (None, None)
    left = jobs.batch.collect(directory, JobSpec(shell="…", outputs="al*"))
    assert left.outputs == (directory / "alias",)


def test_a_pattern_takes_what_the_command_made_and_nothing_else(jobs: Jobs) -> None:
    """Neither the batch system's files, nor inputs, nor hidden ones; those named in full are there for the asking."""
    directory = jobs.new()
    (directory / "files").mkdir(parents=True)
    for name in ("input.json", "files/dem.tif"):
        (directory / name).touch()
    begin(jobs.batch, JobRequest("key", str(directory), "touch made .hidden; echo 1 > output.json"))
    jobs.end(directory)

    def collect(outputs: str) -> object:
        return jobs.batch.collect(directory, JobSpec(shell="…", outputs=outputs)).outputs

    assert collect("*") == collect("**/*") == (directory / "made",)
    assert collect("stdout") == directory / "stdout"
    assert collect(".h*") == (directory / ".hidden",)


def test_output_json_is_read_as_it_is(jobs: Jobs) -> None:
    """Its text is the result; too much of it, or what is no text, is a failure that says so."""
    spec = JobSpec(shell="…")
    assert jobs.batch.collect(jobs.run("true"), spec).output is None
    assert jobs.batch.collect(jobs.run('echo \'{"a": "é"}\' > output.json'), spec).output == '{"a": "é"}\n'
    large = jobs.batch.collect(jobs.run("head -c 1048577 /dev/zero > output.json"), spec)
    assert large.reason == "output.json has 1,048,577 bytes; the limit is 1,048,576, use outputs for more"
    binary = jobs.batch.collect(jobs.run("printf '\\377' > output.json"), spec)
    assert str(binary.reason).startswith("output.json is not UTF-8 text")


def test_the_last_lines_are_for_the_error(jobs: Jobs) -> None:
    """Twenty lines at most, of any size of file, with nothing in them that a database refuses."""
    directory = jobs.run("seq 100000; printf 'a\\000b\\377\\n' >&2; exit 1")
    left = jobs.batch.collect(directory, JobSpec(shell="…"))
    assert left.stdout.splitlines() == [str(number) for number in range(99981, 100001)]
    assert left.stderr == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"


def test_a_command_that_dies_of_a_signal_says_which(jobs: Jobs) -> None:
    """128 + 9 tells little to most."""
    left = jobs.batch.collect(jobs.run("kill -KILL $$"), JobSpec(shell="…"))
    assert (left.exit_code, left.reason) == (137, "exit code 137 (SIGKILL)")


def test_what_has_not_ended_has_not_succeeded(jobs: Jobs) -> None:
    """Collecting too early is a mistake that cannot go unnoticed."""
    assert jobs.batch.collect(jobs.start("sleep 1000"), JobSpec(shell="…")).reason == "the job has not ended"
