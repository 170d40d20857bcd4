"""Jobs on a real Slurm: once, whoever dies when; why they wait and how they ended; a scheduler that is away."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliostat import Resources
from heliostat.batch import Accepted, BatchQueue, Deferred, JobRequest, JobState, Observation, Rejected, begin
from heliostat.batches import cluster as module
from heliostat.batches import verdict
from heliostat.batches.cluster import ClusterBatch
from heliostat.batches.script import job_name
from heliostat.batches.shared import Shared
from heliostat.batches.slurm import Slurm as Dialect
from heliostat.batches.verdict import Case
from heliostat.job import JobSpec
from heliostat.look import NOT_THERE
from heliostat.task import AttemptState
from heliostat.testing.batches import end, see, until
from heliostat.transports.local import LocalTransport
from tests.slurm_server import Slurm


def cluster(settle: float = 2.0, seconds: float = 60.0, **queues: BatchQueue) -> ClusterBatch:
    """Slurm as a batch system, as another process would have it."""
    transport = LocalTransport()
    files = Shared(transport, seconds)
    return ClusterBatch(Dialect(), transport, files, {"default": BatchQueue("slurm"), **queues}, settle=settle)


def asked(directory: Path, command: str, queue: str = "default", **needs: object) -> JobRequest:
    """What to run, and on what."""
    resources = Resources(**needs) if needs else None  # type: ignore[arg-type]
    return JobRequest("abc/1", str(directory), command, {}, resources, None, queue)


def submissions(slurm: Slurm, *directories: Path) -> list[int]:
    """How many jobs the controller has, or had, of each directory."""
    names = [job_name(Dialect(), "abc/1", str(directory)) for directory in directories]
    listed = slurm.command("squeue", "--noheader", "--array", "--states=all", "--format=%j").split()
    return [listed.count(name) for name in names]


@pytest.fixture
def shims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Give what puts a command before the scheduler's own of that name; its file can be removed again."""
    folder = tmp_path / "shims"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def shim(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return shim


# how jobs wait and end


def test_a_job_that_waits_says_why(slurm: Slurm, tmp_path: Path) -> None:
    """In the words of the scheduler."""
    batch = cluster(closed=BatchQueue("slurm", partition="closed"))
    begin(batch, asked(tmp_path / "closed", "true", "closed"))
    begin(batch, asked(tmp_path / "large", "true", memory="60GiB"))
    assert until(lambda: (seen := see(batch, tmp_path / "closed")).reason and seen) == Observation(
        JobState.submitted, reason="PartitionDown"
    )
    batch.cancel([tmp_path / "closed", tmp_path / "large"], 5)
    assert end(batch, tmp_path / "closed") == Observation(JobState.ended, None, "cancelled")
    assert not (tmp_path / "closed" / "job.claim").exists()


@pytest.mark.slow
def test_walltime_memory_and_an_operator_are_three_reasons(slurm: Slurm, tmp_path: Path) -> None:
    """Each has its words and counts as what it is, also where the command leaves an exit code of its own."""
    batch = cluster()
    hog = "import time; x = bytes([1]) * (400 << 20); time.sleep(600)"
    late = begin(batch, asked(tmp_path / "late", "touch up; sleep 600", walltime="1m"))
    begin(batch, asked(tmp_path / "large", f"touch up; {sys.executable} -c '{hog}'", memory="50MiB"))
    killed = begin(batch, asked(tmp_path / "killed", "trap 'exit 4' TERM; touch up; while :; do sleep 0.1; done"))
    until(lambda: all((tmp_path / name / "up").exists() for name in ("late", "large", "killed")))
    slurm.command("scancel", killed)
    slurm.end_soon(late)
    ends = {name: end(batch, tmp_path / name) for name in ("killed", "large", "late")}
    assert {name: (seen.reason, seen.how) for name, seen in ends.items()} == {
        "killed": ("cancelled in Slurm", AttemptState.killed),
        "large": ("out of memory: it took more than it had asked for", AttemptState.out_of_memory),
        "late": ("its walltime was over, and Slurm ended it", AttemptState.timed_out),
    }
    assert (ends["killed"].state, ends["killed"].exit_code) == (JobState.ended, 4)
    left = batch.collect(tmp_path / "large", JobSpec("…"))
    assert (left.succeeded, left.how) == (False, AttemptState.out_of_memory)


def test_what_slurm_refuses_is_rejected_in_its_words(slurm: Slurm, tmp_path: Path) -> None:
    """It would be refused however often it is asked."""
    batch = cluster(nowhere=BatchQueue("slurm", partition="nowhere"), odd=BatchQueue("slurm", directives=("--nope",)))
    nowhere, odd, large = batch.submit(
        [
            asked(tmp_path / "nowhere", "true", "nowhere"),
            asked(tmp_path / "odd", "true", "odd"),
            asked(tmp_path / "large", "true", memory="500GiB"),
        ]
    )
    assert isinstance(nowhere, Rejected)
    assert "invalid partition specified: nowhere" in nowhere.reason
    assert isinstance(odd, Rejected)
    assert "unrecognized option '--nope'" in odd.reason
    assert isinstance(large, Rejected)
    assert "Memory specification can not be satisfied" in large.reason
    assert see(batch, tmp_path / "nowhere").state is JobState.unknown


def test_setup_comes_before_the_command_and_its_failure_is_told(slurm: Slurm, tmp_path: Path) -> None:
    """What it sets the command has; what it complained of is the reason."""
    batch = cluster(
        fine=BatchQueue("slurm", setup=("module_() { export LOADED=$1; }", "module_ gdal")),
        broken=BatchQueue("slurm", setup=("echo no module gdal >&2; false", "touch went-on")),
    )
    begin(batch, asked(tmp_path / "fine", 'echo "$LOADED"', "fine"))
    begin(batch, asked(tmp_path / "broken", "touch ran", "broken"))
    end(batch, tmp_path / "fine")
    assert (tmp_path / "fine" / "stdout").read_text() == "gdal\n"
    seen = end(batch, tmp_path / "broken")
    assert (seen.state, seen.reason) == (
        JobState.ended,
        "its script ended before its command began: no module gdal",
    )
    assert not [path.name for path in (tmp_path / "broken").iterdir() if path.name in ("ran", "went-on")]


def test_a_site_has_a_script_of_its_own(slurm: Slurm, tmp_path: Path) -> None:
    """With the places that Heliostat fills; what was submitted lies in the directory, as it was."""
    template = "#!/bin/sh\n{{header}}\n#SBATCH --comment=site\n{{enter}}\nSITE={{name}}; export SITE\n{{run}}\n"
    batch = cluster(own=BatchQueue("slurm", template=template))
    begin(batch, asked(tmp_path / "job", 'echo "$SITE"', "own", cores=2, walltime="90s"))
    end(batch, tmp_path / "job")
    name = job_name(Dialect(), "abc/1", str(tmp_path / "job"))
    assert (tmp_path / "job" / "stdout").read_text() == f"{name}\n"
    submitted = (tmp_path / "job" / "job.script").read_text()
    for line in ("#SBATCH --comment=site", "#SBATCH --cpus-per-task=2", "#SBATCH --time=2", "#SBATCH --no-requeue"):
        assert line in submitted


# never twice

STRIDE = 9  #: of all lines; where it begins is another one each time

# For each line of the modules that submitting passes: submits, dies there of kill -9, and another follows at once.
SUBMITTERS = """
import itertools, os, pathlib, signal, sys
from heliostat.batch import JobRequest, begin
from tests.integration.test_slurm import cluster

def submit(number):
    begin(cluster(), JobRequest("abc/1", str(root / str(number)), "echo run >> runs"))

root, ours = pathlib.Path(sys.argv[1]), ("submission.py", "transports/local.py", "script.py", "heliostat/files.py")
for number in itertools.count(int(sys.argv[2]), int(sys.argv[3])):
    if (child := os.fork()) == 0:
        lines = itertools.count(1)
        def trace(frame, event, argument):
            if not frame.f_code.co_filename.endswith(ours):
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


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_submitter_may_die_at_any_line(slurm: Slurm, tmp_path: Path, *, every_point: bool) -> None:
    """Each job has one submission on the cluster and runs once, wherever its submitter was killed."""
    stride = 1 if every_point else STRIDE
    first = random.randint(1, stride)
    arguments = [sys.executable, "-c", SUBMITTERS, str(tmp_path), str(first), str(stride)]
    last = int(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)
    assert last > 60
    directories = [tmp_path / str(number) for number in range(first, last + 1, stride)]
    batch = cluster()
    until(lambda: all(seen.state.final for seen in batch.observe(directories)))
    assert {(directory / "runs").read_text() for directory in directories} == {"run\n"}
    assert submissions(slurm, *directories) == [1] * len(directories)


@pytest.mark.parametrize("moment", ["before sbatch", "after sbatch", "in sbatch"])
def test_a_submission_that_was_cut_short_there_is_looked_for_before_it_is_made_again(
    slurm: Slurm, tmp_path: Path, shims: Callable[[str, str], Path], moment: str
) -> None:
    """The machine of the scheduler may go down as well, between the submission and the handle."""
    job = tmp_path / "job"
    real = '/usr/bin/sbatch "$@"'
    kill = "kill -9 $PPID; kill -9 $$"
    shim = shims(
        "sbatch", {"before sbatch": kill, "after sbatch": f"{real}; {kill}", "in sbatch": f"{real} & {kill}"}[moment]
    )
    wanted = asked(job, "echo run >> runs")
    (reply,) = cluster().submit([wanted])
    assert isinstance(reply, Deferred)
    assert (job / "job.submitting").exists()
    assert not (job / "job.id").exists()
    shim.unlink()
    batch = cluster()
    begin(batch, wanted)
    assert end(batch, job) == Observation(JobState.ended, 0)
    assert submissions(slurm, job) == [1]
    assert (job / "runs").read_text() == "run\n"


@pytest.mark.parametrize("emptied", [["job.id"], ["job.id", "job.submitting"]])
def test_a_handle_that_a_power_cut_left_empty_is_found_by_the_name_of_its_job(
    slurm: Slurm, tmp_path: Path, emptied: list[str]
) -> None:
    """What the scheduler said is written at once and not renamed, and nothing depends on it."""
    job, closed = tmp_path / "job", BatchQueue("slurm", partition="closed")
    handle = begin(batch := cluster(closed=closed), asked(job, "true", "closed"))
    for name in emptied:
        (job / name).write_text("")
    assert begin(cluster(closed=closed), asked(job, "true", "closed")) == handle
    assert submissions(slurm, job) == [1]
    batch.cancel([job], 5)


def test_what_a_refusal_says_without_a_line_break_is_told_of_its_job_alone(
    slurm: Slurm, tmp_path: Path, shims: Callable[[str, str], Path]
) -> None:
    """Here a site's own sbatch, which says something on either of its outputs."""
    refuse = 'printf "== Site ==\\ndenied by the site" >&2; printf "== 1\\nsee its pages"; exit 1'
    shims("sbatch", f'case $PWD in */odd) {refuse} ;; esac; exec /usr/bin/sbatch "$@"')
    odd, fine = cluster().submit([asked(tmp_path / name, "true") for name in ("odd", "fine")])
    assert odd == Deferred("slurm did not take it: == Site ==; denied by the site; == 1; see its pages")
    assert isinstance(fine, Accepted)


def test_while_it_cannot_be_asked_what_was_begun_is_not_submitted_again(
    slurm: Slurm, tmp_path: Path, shims: Callable[[str, str], Path]
) -> None:
    """It may be there."""
    job = tmp_path / "job"
    first = shims("sbatch", '/usr/bin/sbatch "$@"; kill -9 $PPID')
    wanted = asked(job, "echo run >> runs")
    cluster().submit([wanted])
    first.unlink()
    away = shims("squeue", "echo slurm_load_jobs error: Unable to contact slurm controller >&2; exit 1")
    (reply,) = cluster().submit([wanted])
    assert isinstance(reply, Deferred)
    assert "cannot be asked whether it has the job already" in reply.reason
    assert submissions(slurm, job) == [0]  # asked with the same command, which knows nothing
    away.unlink()
    begin(batch := cluster(), wanted)
    end(batch, job)
    assert submissions(slurm, job) == [1]


def test_a_second_job_that_slips_through_runs_nothing(slurm: Slurm, tmp_path: Path) -> None:
    """Its wrapper finds the claim taken, and the job is the first one's."""
    job = tmp_path / "job"
    begin(batch := cluster(), asked(job, "echo run >> runs; while [ ! -e go ]; do sleep 0.1; done"))
    until((job / "runs").exists)
    ran = subprocess.run(["sbatch", "--parsable", "job.script"], cwd=job, capture_output=True, text=True, check=True)
    until(lambda: f"|{ran.stdout.strip()}|COMPLETED" in slurm.command("squeue", "-t", "all", "-h", "-o", "|%i|%T"))
    assert see(batch, job).state is JobState.running
    (job / "go").touch()
    assert end(cluster(), job) == Observation(JobState.ended, 0)
    assert (job / "runs").read_text() == "run\n"


# a scheduler that is away


@pytest.mark.slow
def test_a_scheduler_that_fails_is_unknown_and_loses_nothing(slurm: Slurm, tmp_path: Path) -> None:
    """Neither jobs that run, nor one that is submitted meanwhile: it is, when the scheduler is back."""
    batch, there, late = cluster(), tmp_path / "there", tmp_path / "late"
    begin(batch, asked(there, "touch up; while [ ! -e go ]; do sleep 0.1; done"))
    until((there / "up").exists)
    slurm.stop_controller()
    try:
        (reply,) = batch.submit([asked(late, "echo run >> runs")])
        assert isinstance(reply, Deferred)
        unknown = until(lambda: (seen := see(batch, there)).state is JobState.unknown and seen)
        assert "slurm cannot be asked: squeue failed" in str(unknown.reason)
        (there / "go").touch()
        assert end(batch, there) == Observation(JobState.ended, 0)  # its files tell
    finally:
        slurm.start_controller()
    until(lambda: isinstance(batch.submit([asked(late, "echo run >> runs")])[0], Accepted))
    assert end(batch, late) == Observation(JobState.ended, 0)
    assert submissions(slurm, there, late) == [1, 1]


def test_a_scheduler_that_hangs_is_given_up_and_asked_again(
    slurm: Slurm, tmp_path: Path, shims: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that does not end is killed, and whatever it may have done is looked for."""
    monkeypatch.setattr("heliostat.batches.submission.COMMAND_SECONDS", 2.0)
    monkeypatch.setattr("heliostat.batches.submission.SUBMIT_SECONDS", 0.0)
    hanging = [shims("sbatch", '/usr/bin/sbatch "$@"; sleep 600'), shims("squeue", "sleep 600")]
    batch, job = cluster(seconds=1.0, closed=BatchQueue("slurm", partition="closed")), tmp_path / "job"
    wanted = asked(job, "echo run >> runs; while [ ! -e go ]; do sleep 0.1; done", "closed")
    (reply,) = batch.submit([wanted])
    assert isinstance(reply, Deferred)
    assert "has not ended within 2 s" in reply.reason
    hanging[0].unlink()
    (reply,) = batch.submit([wanted])
    assert isinstance(reply, Deferred)
    hanging[1].unlink()
    handle = until(lambda: isinstance(reply := batch.submit([wanted])[0], Accepted) and reply.handle)
    slurm.command("scontrol", "update", f"JobId={handle}", "Partition=main")
    until((job / "runs").exists)
    shims("squeue", "sleep 600")
    unknown = until(lambda: (seen := see(batch, job)).state is JobState.unknown and seen)
    assert "has not ended within 1 s" in str(unknown.reason)
    (job / "go").touch()
    assert end(batch, job) == Observation(JobState.ended, 0)
    hanging[1].unlink()
    assert submissions(slurm, job) == [1]


def test_a_job_that_was_ended_by_others_is_asked_for_where_it_is_heard(slurm: Slurm, tmp_path: Path) -> None:
    """Its exit code says little, and a look at all jobs may be far."""
    batch, job, other = cluster(settle=600), tmp_path / "run" / "job", tmp_path / "run" / "other"
    handle = begin(batch, asked(job, "touch up; sleep 600"))
    begin(batch, asked(other, "touch up; sleep 600"))
    until(lambda: (job / "up").exists() and (other / "up").exists())
    slurm.command("scancel", handle)
    seen = until(lambda: (heard := batch.told()).get(job, NOT_THERE).state.final and heard)
    assert list(seen) == [job]
    assert seen[job].how is AttemptState.killed
    batch.cancel([other], 0)


def test_a_lock_that_is_busy_is_waited_for_once(
    slurm: Slurm, tmp_path: Path, shims: Callable[[str, str], Path]
) -> None:
    """Of jobs that were to be submitted together; those of another are seen to all the same."""
    batch, jobs = cluster(), [tmp_path / "run" / f"{number}" for number in range(5)]
    for job in jobs:
        job.mkdir(parents=True)
    Shared(LocalTransport()).together(jobs[:4])
    assert len({(job / "job.lock").stat().st_ino for job in jobs[:4]}) == 1
    busy = (jobs[0] / "job.lock").stat().st_ino
    waits = shims("flock", f'echo wait >> {tmp_path}/waits; [ "$(stat -L -c %i /dev/fd/9)" != {busy} ]')
    batch.cancel(jobs, 0)
    replies = batch.submit([asked(job, "true") for job in jobs])
    waits.unlink()
    assert [type(reply) for reply in replies] == [*[Deferred] * 4, Accepted]
    assert (jobs[4] / "job.void").exists()
    assert (tmp_path / "waits").read_text() == "wait\n" * 3


def test_locks_that_are_there_are_not_shared_any_further(tmp_path: Path) -> None:
    """Else there would be one for all jobs in the end."""
    files, jobs = Shared(LocalTransport()), [tmp_path / f"{number}" for number in range(4)]
    for job in jobs:
        job.mkdir()
    files.together(jobs[:2])
    files.together(jobs[1:])
    locks = [(job / "job.lock").stat().st_ino for job in jobs]
    assert (locks[0], locks[2]) == (locks[1], locks[3])
    assert locks[0] != locks[2]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["job.lock"] * 4


def test_an_exit_code_that_comes_late_is_waited_for(slurm: Slurm, tmp_path: Path) -> None:
    """A network file system may show it after the scheduler has told that the job is over."""
    batch, job = cluster(settle=60), tmp_path / "job"
    begin(batch, asked(job, "true"))
    other = cluster()
    end(other, job)
    (job / "job.exit_code").rename(job / "hidden")
    until(lambda: batch.observe([job]) and batch._cases[job].answered)
    assert see(batch, job).state is JobState.running
    (job / "hidden").rename(job / "job.exit_code")
    assert see(batch, job) == Observation(JobState.ended, 0)


def test_a_job_that_left_no_exit_code_is_lost_after_a_while(slurm: Slurm, tmp_path: Path) -> None:
    """So is one that the scheduler has forgotten."""
    batch, gone, forgotten = cluster(settle=0.5), tmp_path / "gone", tmp_path / "forgotten"
    begin(batch, asked(gone, "touch up; sleep 600"))
    begin(batch, asked(forgotten, "true"))
    end(cluster(), forgotten)
    until((gone / "up").exists)
    wrapper = (gone / "job.claim").read_text().split("pid ")[1].split()[0]
    os.kill(int(wrapper), signal.SIGKILL)
    (forgotten / "job.exit_code").unlink()
    (forgotten / "job.claim").write_text("handle 999999999\nhost h\n")
    lost = end(cluster(settle=0.5), forgotten)
    assert (lost.state, lost.how) == (JobState.lost, AttemptState.lost)
    killed = end(batch, gone)
    assert (killed.state, killed.how) == (JobState.lost, AttemptState.lost)


def test_one_damaged_job_hides_no_other(slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its note of an array was emptied by a power cut, its script's words cannot be read, or its directory cannot."""
    damaged, fine = tmp_path / "damaged", tmp_path / "fine"
    damaged.mkdir()
    (damaged / "job.array").touch()
    batch = cluster(settle=0.2)
    replies = batch.submit([asked(each, "true") for each in (damaged, fine)])
    assert [type(reply) for reply in replies] == [Accepted, Accepted]
    assert [end(batch, each) for each in (damaged, fine)] == [Observation(JobState.ended, 0)] * 2
    for name in ("job.exit_code", "job.log"):
        (damaged / name).unlink(missing_ok=True)
    (damaged / "job.log").symlink_to("/proc/self/mem")  # which no one can read at its beginning
    other = cluster(settle=0.2)
    states = until(lambda: (seen := other.observe([damaged, fine]))[0].state.final and [each.state for each in seen])
    assert states == [JobState.lost, JobState.ended]

    def judge(case: Case, *given: Any) -> Observation:
        if case.directory == damaged:
            raise OSError(5, "Input/output error")
        return verdict.judge(case, *given)

    monkeypatch.setattr(module, "judge", judge)
    unknown, ended = cluster().observe([damaged, fine])
    assert unknown == Observation(JobState.unknown, reason=f"{damaged} cannot be read: Input/output error")
    assert ended == Observation(JobState.ended, 0)


# arrays


def arrays(**more: BatchQueue) -> ClusterBatch:
    """A cluster with arrays."""
    return cluster(many=BatchQueue("slurm", array=1000), **more)


def test_many_alike_are_one_submission(slurm: Slurm, tmp_path: Path) -> None:
    """Each in its own directory, with its own variables and end; those of another kind are another one."""
    batch = arrays()
    directories = [tmp_path / "jobs" / str(number) for number in range(12)]
    requests = [
        JobRequest(
            f"abc/{number}",
            str(directory),
            'echo "$NUMBER" >> runs; exit $NUMBER',
            {"NUMBER": str(number)},
            Resources(cores=2) if number >= 8 else None,
            None,
            "many",
        )
        for number, directory in enumerate(directories)
    ]
    replies = batch.submit(requests)
    handles = [reply.handle for reply in replies if isinstance(reply, Accepted)]
    assert [handle.partition("_")[2] for handle in handles] == [*"01234567", *"0123"]
    assert len({handle.partition("_")[0] for handle in handles}) == 2
    assert arrays().submit(requests) == replies
    until(lambda: all(seen.state.final for seen in batch.observe(directories)))
    assert [seen.exit_code for seen in batch.observe(directories)] == list(range(12))
    assert [(directory / "runs").read_text() for directory in directories] == [f"{n}\n" for n in range(12)]


def test_an_array_whose_notes_a_power_cut_left_empty_is_found_by_its_name(slurm: Slurm, tmp_path: Path) -> None:
    """And its jobs are not submitted again."""
    closed = BatchQueue("slurm", array=1000, partition="closed")
    requests = [asked(tmp_path / "jobs" / str(number), "true", "many") for number in range(4)]
    replies = (batch := cluster(many=closed)).submit(requests)
    (array,) = (tmp_path / "jobs").glob("array.*")
    for name in ("job.id", "job.submitting"):
        (array / name).write_text("")
    assert cluster(many=closed).submit(requests) == replies
    batch.cancel([Path(request.directory) for request in requests], 5)


def test_one_of_an_array_can_be_cancelled(slurm: Slurm, tmp_path: Path) -> None:
    """And the others go on."""
    batch = arrays()
    directories = [tmp_path / "jobs" / str(number) for number in range(4)]
    batch.submit([asked(each, "touch up; while [ ! -e go ]; do sleep 0.1; done", "many") for each in directories])
    until(lambda: all((each / "up").exists() for each in directories))
    batch.cancel([directories[1]], 5)
    assert end(batch, directories[1]).reason == "cancelled"
    for each in directories:
        (each / "go").touch()
    assert {end(batch, each).exit_code for each in (directories[0], *directories[2:])} == {0}


@pytest.mark.parametrize("moment", ["before sbatch", "after sbatch"])
def test_an_array_that_was_cut_short_runs_each_of_its_jobs_once(
    slurm: Slurm, tmp_path: Path, shims: Callable[[str, str], Path], moment: str
) -> None:
    """Whoever adopts one of them finds the array, or sees to it that it will never be there."""
    directories = [tmp_path / "jobs" / str(number) for number in range(5)]
    requests = [asked(each, "echo run >> runs", "many") for each in directories]
    kill = "kill -9 $PPID; kill -9 $$"
    shim = shims("sbatch", kill if moment == "before sbatch" else f'/usr/bin/sbatch "$@"; {kill}')
    assert {type(reply) for reply in arrays().submit(requests)} == {Deferred}
    shim.unlink()
    batch = arrays()
    (one,) = arrays().submit(requests[2:3])
    assert isinstance(one, Accepted)
    assert ("_" in one.handle) == (moment == "after sbatch")
    assert {type(reply) for reply in batch.submit(requests)} == {Accepted}
    until(lambda: all(seen.state.final for seen in batch.observe(directories)))
    assert {(each / "runs").read_text() for each in directories} == {"run\n"}
    (_, *more) = [path for path in (tmp_path / "jobs").iterdir() if path.name.startswith("array.")]
    assert len(more) == (1 if moment == "before sbatch" else 0)


@pytest.mark.slow
def test_a_thousand_small_jobs_are_one_submission(slurm: Slurm, tmp_path: Path) -> None:
    """And one question to the scheduler for all of them."""
    batch = arrays()
    directories = [tmp_path / "jobs" / str(number) for number in range(1000)]
    replies = batch.submit([asked(each, "true", "many") for each in directories])
    handles = {reply.handle.partition("_")[0] for reply in replies if isinstance(reply, Accepted)}
    assert (len(replies), len(handles)) == (1000, 1)
    (array,) = [path for path in (tmp_path / "jobs").iterdir() if path.name.startswith("array.")]
    assert (array / "job.id").read_text().strip() in handles
    slurm.command("scancel", *handles)
