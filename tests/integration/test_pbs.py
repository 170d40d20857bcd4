"""Jobs on PBS and Torque: the commands are stand-ins that print what is documented, the jobs are real processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from heliostat.batch import Accepted, BatchQueue, Deferred, JobRequest, JobState, Observation, Rejected
from heliostat.batches.cluster import ClusterBatch
from heliostat.batches.dialect import Dialect
from heliostat.batches.pbs import Pbs as OpenPbs
from heliostat.batches.shared import Shared
from heliostat.batches.torque import Torque
from heliostat.job import JobSpec
from heliostat.resources import Resources
from heliostat.task import AttemptState
from heliostat.transports.local import LocalTransport
from tests.pbs_server import Pbs, pbs_server

T = TypeVar("T")
DIALECTS: dict[str, Callable[[], Dialect]] = {"openpbs": OpenPbs, "torque": Torque}


@pytest.fixture(scope="module", params=["openpbs", "torque"])
def running(request: pytest.FixtureRequest) -> Iterator[Pbs]:
    """One server of each kind for all tests."""
    with pbs_server(request.param) as server:
        yield server


@pytest.fixture
def server(running: Pbs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pbs]:
    """The server, found first on PATH, and as it was afterwards."""
    monkeypatch.setenv("PATH", running.environment["PATH"])
    yield running
    running.mend()
    running.set(history=True, cores=64, accounts=[])


class Jobs:
    """Jobs of a test, each in a directory of its own."""

    def __init__(self, server: Pbs, root: Path) -> None:
        self.server, self.root, self.count = server, root, 0
        self.batch = self.another()

    def another(self, **options: object) -> ClusterBatch:
        """The batch system as another process has it."""
        dialect, transport = DIALECTS[self.server.flavour](), LocalTransport()
        queues = {"one": BatchQueue("pbs"), "many": BatchQueue("pbs", array=100), "no": BatchQueue("pbs", "nowhere")}
        return ClusterBatch(dialect, transport, Shared(transport), queues, settle=1.0, **options)  # type: ignore[arg-type]

    def request(self, command: str, queue: str = "one", **more: object) -> JobRequest:
        """Ask for a job."""
        self.count += 1
        return JobRequest(f"run/{self.count}", str(self.root / f"{self.count}.1"), command, queue=queue, **more)  # type: ignore[arg-type]

    def start(self, command: str, **more: object) -> Path:
        """Submit a job, and answer with its directory."""
        request = self.request(command, **more)
        (reply,) = self.batch.submit([request])
        assert isinstance(reply, Accepted)
        return Path(request.directory)

    def see(self, directory: Path) -> Observation:
        """Look at one job."""
        return self.batch.observe([directory])[0]

    def end(self, directory: Path) -> Observation:
        """Look until the job has ended."""
        return until(lambda: (seen := self.see(directory)).state.final and seen)


def until(condition: Callable[[], T | bool | None]) -> T:
    """Wait until a condition holds, and answer with its value; fail when patience ends."""
    deadline = time.monotonic() + 200
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return value  # type: ignore[return-value]


@pytest.fixture
def jobs(server: Pbs, tmp_path: Path) -> Jobs:
    """Give a place for jobs."""
    return Jobs(server, tmp_path / "jobs" / "run")


def test_a_job_runs_and_leaves_what_it_leaves(jobs: Jobs) -> None:
    """Exit code, words and outputs."""
    directory = jobs.start("echo said; echo oh >&2; echo x > out.txt; exit 3", env={"A": "b"})
    assert jobs.end(directory) == Observation(JobState.ended, 3)
    left = jobs.batch.collect(directory, JobSpec(shell="x", outputs="*.txt"))
    assert (left.stdout, left.stderr, left.reason) == ("said", "oh", "exit code 3")
    assert left.outputs == (directory / "out.txt",)


SUICIDE = "for pid in $(ps -o pid= -s $(ps -o sid= -p $$)); do kill -9 $pid; done"
HUNGRY = "exec python3 -c 'import time; x = b\"1\" * (300 << 20); time.sleep(600)'"


def test_walltime_memory_and_a_colleague_are_three_reasons(jobs: Jobs) -> None:
    """Each in words of its own, and as what retries go by; nothing of any of them is left."""
    slow = jobs.start("sleep 601", resources=Resources(walltime="1s"))
    hungry = jobs.start(HUNGRY, resources=Resources(memory="64MiB"))
    unloved = jobs.start("sleep 602")
    until(lambda: jobs.see(unloved).state is JobState.running)
    assert jobs.server.do("qdel", (unloved / "job.id").read_text().strip()).returncode == 0
    ends = [jobs.end(directory) for directory in (slow, hungry, unloved)]
    assert [end.how for end in ends] == [AttemptState.timed_out, AttemptState.out_of_memory, AttemptState.killed]
    assert [str(end.reason)[:12] for end in ends] == ["its walltime", "out of memor", "cancelled in"]
    for command in (b"sleep\x00601\x00", b"sleep\x00602\x00"):
        until(lambda command=command: not any(runs(path, command) for path in Path("/proc").glob("[0-9]*/cmdline")))


def runs(path: Path, command: bytes) -> bool:
    """Whether a process runs a command."""
    try:
        return path.read_bytes() == command
    except OSError:
        return False


def test_a_time_out_is_kept_by_the_node(jobs: Jobs) -> None:
    """To the tenth of a second, whatever the scheduler's limits are."""
    seen = jobs.end(jobs.start("sleep 600", timeout=0.5))
    assert (seen.how, seen.reason) == (AttemptState.timed_out, "timed out after 0.5 s")


def test_a_job_that_waits_says_why(jobs: Jobs) -> None:
    """As the scheduler does."""
    jobs.server.set(cores=0)
    directory = jobs.start("true")
    if jobs.server.flavour == "openpbs":
        until(lambda: "Insufficient amount of resource" in str(jobs.see(directory).reason))
    else:
        assert jobs.see(directory) == Observation(JobState.submitted)
    handle = (directory / "job.id").read_text().strip()
    jobs.server.do("qhold", handle)
    assert until(lambda: (seen := jobs.see(directory)).reason and seen).state is JobState.submitted
    jobs.server.do("qrls", handle)
    jobs.server.set(cores=64)
    assert jobs.end(directory).exit_code == 0


def test_a_job_that_waits_is_cancelled_before_it_begins(jobs: Jobs) -> None:
    """It never runs."""
    jobs.server.set(cores=0)
    directory = jobs.start("touch ran")
    jobs.batch.cancel([directory], 5)
    assert jobs.end(directory).reason == "cancelled"
    jobs.server.set(cores=64)
    assert not (directory / "ran").exists()


def test_a_job_that_runs_is_cancelled(jobs: Jobs) -> None:
    """With a grace to end by itself."""
    directory = jobs.start("trap 'echo asked; exit 7' TERM; touch begun; while :; do sleep 0.05; done")
    until((directory / "begun").exists)
    jobs.batch.cancel([directory], 5)
    assert jobs.end(directory).reason == "cancelled"


def test_without_a_history_files_tell(jobs: Jobs) -> None:
    """A job that the scheduler has forgotten has ended as its files say; one without an exit code is lost."""
    jobs.server.set(history=False)
    well, gone = (
        jobs.start("exit 4"),
        jobs.start(SUICIDE),
    )
    assert jobs.end(well) == Observation(JobState.ended, 4)
    assert jobs.end(gone).state is JobState.lost


def test_without_a_history_its_output_tells_of_a_limit(jobs: Jobs) -> None:
    """Where the scheduler wrote why it killed a job."""
    jobs.server.set(history=False)
    slow = jobs.start("sleep 603", resources=Resources(walltime="1s"))
    seen = jobs.end(slow)
    assert (seen.how, str(seen.reason)[:12]) == (AttemptState.timed_out, "its walltime")


def test_an_array_is_one_submission(jobs: Jobs) -> None:
    """Each of its jobs has its own directory, words and end."""
    before = len(jobs.server.submissions())
    requests = [jobs.request(f"echo {number}; exit {number % 3}", "many") for number in range(12)]
    replies = jobs.batch.submit(requests)
    assert all(isinstance(reply, Accepted) for reply in replies)
    assert len(jobs.server.submissions()) == before + 1
    directories = [Path(request.directory) for request in requests]
    until(lambda: all(end.state.final for end in jobs.batch.observe(directories)))
    ends = jobs.batch.observe(directories)
    assert [end.exit_code for end in ends] == [number % 3 for number in range(12)]
    codes = [jobs.batch.collect(each, JobSpec(shell="x")).exit_code for each in directories]
    assert codes == [number % 3 for number in range(12)]
    assert [(each / "stdout").read_text() for each in directories] == [f"{number}\n" for number in range(12)]


def test_one_question_for_all(jobs: Jobs) -> None:
    """However many jobs there are."""
    requests = [jobs.request("sleep 600") for _ in range(20)]
    jobs.batch.submit(requests)
    before, directories = jobs.server.calls("qstat"), [Path(request.directory) for request in requests]
    looks = 0
    while jobs.server.calls("qstat") == before:
        jobs.batch.observe(directories)
        looks += 1
        time.sleep(0.05)
    assert jobs.server.calls("qstat") == before + 1
    jobs.batch.cancel(directories, 0)


@pytest.mark.parametrize("wrong", [{"said": "qstat: cannot connect to server pbs (errno=111)", "status": 111}])
def test_a_scheduler_that_does_not_answer_is_unknown(jobs: Jobs, wrong: dict[str, object]) -> None:
    """No job is called failed for it, and what ends is seen by its files."""
    directory = jobs.start("while [ ! -e go ]; do sleep 0.05; done")
    until(lambda: jobs.see(directory).state is JobState.running)
    jobs.server.break_("qstat", **wrong)
    seen = until(lambda: (seen := jobs.see(directory)).state is JobState.unknown and seen)
    assert "cannot connect to server" in str(seen.reason)
    (directory / "go").touch()
    assert jobs.end(directory) == Observation(JobState.ended, 0)


def test_a_submission_that_fails_is_tried_again_or_not(jobs: Jobs) -> None:
    """It depends on whether the scheduler is away, or will not have it."""
    (reply,) = jobs.batch.submit([jobs.request("true", "no")])
    assert isinstance(reply, Rejected)
    assert "Unknown queue" in reply.reason
    jobs.server.break_("qsub", said="qsub: cannot connect to server pbs (errno=111)", status=111, times=1)
    request = jobs.request("true")
    (reply,) = jobs.batch.submit([request])
    assert isinstance(reply, Deferred)
    assert "cannot connect" in reply.reason
    (reply,) = jobs.batch.submit([request])
    assert isinstance(reply, Accepted)


def test_a_submission_whose_answer_is_lost_is_found_by_its_name(jobs: Jobs) -> None:
    """It is there, and there is no second one."""
    request = jobs.request("echo run >> runs; sleep 0.2")
    jobs.server.break_("qsub", swallow=True, times=1)
    (reply,) = jobs.batch.submit([request])
    assert isinstance(reply, Deferred)
    jobs.server.break_("qselect", said="qselect: cannot connect to server pbs (errno=111)", status=111, times=1)
    (reply,) = jobs.another().submit([request])
    assert isinstance(reply, Deferred) or (Path(request.directory) / "job.claim").exists()  # it may have begun by now
    before = len(jobs.server.submissions())
    (reply,) = jobs.another().submit([request])
    assert isinstance(reply, Accepted)
    assert len(jobs.server.submissions()) == before
    assert jobs.end(Path(request.directory)).exit_code == 0
    assert (Path(request.directory) / "runs").read_text() == "run\n"


def test_another_process_adopts_what_runs_and_what_has_ended(jobs: Jobs) -> None:
    """By submitting it again."""
    requests = [jobs.request("exit 5"), jobs.request("while [ ! -e go ]; do sleep 0.05; done")]
    replies = jobs.batch.submit(requests)
    ended, goes_on = (Path(request.directory) for request in requests)
    jobs.end(ended)
    jobs.batch = jobs.another()
    assert [reply.handle for reply in jobs.batch.submit(requests)] == [reply.handle for reply in replies]  # type: ignore[union-attr]
    (goes_on / "go").touch()
    assert [jobs.end(ended).exit_code, jobs.end(goes_on).exit_code] == [5, 0]


def test_the_scheduler_says_who_it_is(jobs: Jobs) -> None:
    """And fails where it is away."""
    assert "Active" in jobs.batch.about().words
