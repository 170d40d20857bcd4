"""Jobs behind ssh, on a machine that shares no files with this one: its directory is another, and knows none here."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

import heliostat
from heliostat import Workflow
from heliostat.batch import Accepted, BatchQueue, Deferred, JobRequest, JobState, Observation
from heliostat.batches import luggage
from heliostat.batches.cluster import ClusterBatch
from heliostat.batches.mirror import Mirror
from heliostat.batches.pbs import Pbs as OpenPbs
from heliostat.batches.slurm import Slurm as SlurmDialect
from heliostat.errors import OperatorError
from heliostat.job import JobSpec
from heliostat.task import AttemptState
from heliostat.transport import Ran
from heliostat.transports.ssh import SshTransport
from tests.pbs_server import Pbs, pbs_server
from tests.slurm_server import Slurm
from tests.ssh_server import HOST, Sshd, ssh_on_path

T = TypeVar("T")


@pytest.fixture(scope="module")
def pbs() -> Iterator[Pbs]:
    """One OpenPBS for all tests."""
    with pbs_server("openpbs") as server:
        yield server


@pytest.fixture
def there() -> Iterator[Path]:
    """The directory of jobs on the other machine, which is not below any of here."""
    path = Path(tempfile.mkdtemp(prefix="there-", dir="/var/tmp"))
    path.rmdir()
    yield path
    shutil.rmtree(path, ignore_errors=True)


class Way:
    """The way to the other machine, where a user's start-up files have a line; it can be closed and counted."""

    here = False

    def __init__(self, transport: SshTransport, line: str) -> None:
        self._transport, self._line = transport, f"{line}\n"
        self.place, self.runs, self.closed_after = transport.place, 0, 1 << 30

    def run(self, script: str, *arguments: str, **options: Any) -> Ran:
        """Run it, unless the way is closed."""
        self.runs += 1
        if self.runs > self.closed_after:
            raise OperatorError("cluster is not reached: it is closed")
        return self._transport.run(self._line + script, *arguments, **options)


@pytest.fixture
def way(cluster: SshTransport, pbs: Pbs) -> Way:
    """Give the way to it."""
    return Way(cluster, f"PATH={pbs.path}:$PATH; export PATH")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give the directory of a run's jobs here."""
    return tmp_path / "jobs" / "run"


def opened(way: Way, there: Path) -> ClusterBatch:
    """The batch system, as a further process has it."""
    queues = {"default": BatchQueue("pbs"), "many": BatchQueue("pbs", array=50)}
    return ClusterBatch(OpenPbs(), way, Mirror(way, str(there)), queues, settle=1.0, grace=0.5)


def request(directory: Path, command: str, **more: Any) -> JobRequest:
    """What to run."""
    directory.mkdir(parents=True, exist_ok=True)
    return JobRequest("abc/1", str(directory), command, **more)


def until(condition: Callable[[], T | bool | None]) -> T:
    """Wait until a condition holds, and answer with its value; fail when patience ends."""
    deadline = time.monotonic() + 200
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return value  # type: ignore[return-value]


def end(batch: ClusterBatch, directory: Path) -> Observation:
    """Look until a job has ended."""
    return until(lambda: (seen := batch.observe([directory])[0]).state.final and seen)


def test_files_go_there_and_what_is_wanted_comes_back(way: Way, there: Path, home: Path) -> None:
    """By their names, whatever these are; the rest is left, and removed at the end."""
    batch, job = opened(way, there), home / "1.1"
    (job / "files").mkdir(parents=True)
    (job / "files" / "it's\n in").write_text("given")
    (job / "input.json").write_text("{}")
    command = (
        f"cat '{job}/files/'* > 'out 1.txt'; mkdir deep; echo 2 > deep/two.dat; echo 3 > other; ln -s other link.txt; "
        "ln -s /etc/passwd leads.txt; ln 'out 1.txt' same.txt; echo '[1]' > output.json; pwd; exit 0"
    )
    batch.submit([request(job, command, env={"TOKEN": "hunter2hunter2"})])
    assert end(batch, job) == Observation(JobState.ended, 0)
    left = batch.collect(job, JobSpec(shell="x", outputs={"texts": "*.txt", "deep": "deep/*"}))
    assert left.outputs == {
        "texts": (job / "link.txt", job / "out 1.txt", job / "same.txt"),
        "deep": (job / "deep/two.dat",),
    }
    assert [path.read_text() for path in left.outputs["texts"]] == ["3\n", "given", "given"]
    assert (left.stdout, left.output, left.reason) == (f"{there}/run/1.1", "[1]\n", None)
    assert not (job / "other").exists()
    assert sorted(path.name for path in there.iterdir()) == [".lock"]
    assert not [path for path in job.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]


def test_nothing_there_leads_back(way: Way, there: Path, home: Path, tmp_path: Path) -> None:
    """The directory here is away while the job runs, and no file of the job's there names it."""
    batch, job = opened(way, there), home / "1.1"
    batch.submit([request(job, f"touch up; while [ ! -e go ]; do sleep 0.05; done; echo {job}/x > named")])
    until((there / "run/1.1/up").exists)
    home.rename(tmp_path / "away")
    texts = [path.read_bytes() for path in there.rglob("*") if path.is_file()]
    assert texts
    assert not [text for text in texts if os.fsencode(tmp_path) in text]
    (there / "run/1.1/go").touch()
    until((there / "run/1.1/job.exit_code").exists)
    (tmp_path / "away").rename(home)
    assert end(batch, job) == Observation(JobState.ended, 0)
    assert (there / "run/1.1/named").read_text() == f"{there}/run/1.1/x\n"


def test_many_jobs_travel_together(way: Way, there: Path, home: Path) -> None:
    """A few scripts for all of them, and one question for how they stand."""
    batch = opened(way, there)
    requests = [request(home / f"{number}.1", f"echo {number}", queue="many") for number in range(20)]
    replies = batch.submit(requests)
    assert all(isinstance(reply, Accepted) for reply in replies)
    assert way.runs <= 5
    directories = [Path(each.directory) for each in requests]
    before = way.runs
    batch.observe(directories)
    assert way.runs == before + 1
    until(lambda: all(seen.state.final for seen in batch.observe(directories)))
    assert [batch.collect(each, JobSpec(shell="x")).stdout for each in directories] == [*map(str, range(20))]
    assert sorted(path.name for path in there.iterdir()) == [".lock"]


def test_a_submitter_may_be_cut_off_anywhere(way: Way, there: Path, home: Path, pbs: Pbs) -> None:
    """At each of the scripts that submitting takes: another comes after it, and the job runs once."""
    for number in range(1, 6):
        job = home / f"{number}.1"
        wanted = request(job, "echo run >> runs; cat runs")
        way.closed_after = way.runs + number - 1
        opened(way, there).submit([wanted])
        way.closed_after = 1 << 30
        batch = opened(way, there)
        assert isinstance(batch.submit([wanted])[0], Accepted)
        assert end(batch, job) == Observation(JobState.ended, 0)
        assert batch.collect(job, JobSpec(shell="x")).stdout == "run"
    names = [name for name in pbs.submissions() if name.startswith("abc.1-")]
    assert len(set(names)) == len(names)


def test_a_way_that_is_closed_is_unknown_and_ends_nothing(way: Way, there: Path, home: Path) -> None:
    """Neither a job that runs nor one that is to be submitted, nor one whose files are on their way."""
    batch, job = opened(way, there), home / "1.1"
    way.closed_after = way.runs
    assert isinstance(batch.submit([request(job, "echo said")])[0], Deferred)
    way.closed_after = 1 << 30
    batch.submit([request(job, "echo said")])
    way.closed_after = way.runs
    with pytest.raises(OperatorError, match="it is closed"):
        batch.observe([job])
    way.closed_after = 1 << 30
    assert end(batch, job) == Observation(JobState.ended, 0)
    for scripts in range(2):
        way.closed_after = way.runs + scripts
        with pytest.raises(OperatorError, match="it is closed"):
            batch.collect(job, JobSpec(shell="x"))
    way.closed_after = 1 << 30
    other = opened(way, there)
    assert end(other, job) == Observation(JobState.ended, 0)
    assert other.collect(job, JobSpec(shell="x")).stdout == "said"


def test_what_was_brought_is_known_without_asking(way: Way, there: Path, home: Path) -> None:
    """Whoever takes the attempt over after that finds the job ended, and does not submit it again."""
    batch, job = opened(way, there), home / "1.1"
    wanted = request(job, "echo said; exit 3")
    (reply,) = batch.submit([wanted])
    end(batch, job)
    batch.collect(job, JobSpec(shell="x"))
    other = opened(way, there)
    assert other.submit([wanted]) == [reply]
    assert end(other, job) == Observation(JobState.ended, 3)
    assert other.collect(job, JobSpec(shell="x")).stdout == "said"


def test_a_directory_that_is_gone_there_is_not_taken_for_a_new_one(way: Way, there: Path, home: Path, pbs: Pbs) -> None:
    """As when its file system is not mounted, or somebody has tidied up: the job is not submitted a second time."""
    batch, job = opened(way, there), home / "1.1"
    wanted = request(job, "while [ ! -e go ]; do sleep 0.05; done")
    batch.submit([wanted])
    until(lambda: batch.observe([job])[0].state is JobState.running)
    away = there.with_name(f"{there.name}-away")
    there.rename(away)
    before = len(pbs.submissions())
    assert isinstance(opened(way, there).submit([wanted])[0], Accepted | Deferred)
    assert len(pbs.submissions()) == before
    shutil.rmtree(there, ignore_errors=True)
    away.rename(there)
    (there / "run/1.1/go").touch()
    assert end(batch, job) == Observation(JobState.ended, 0)


def test_an_array_whose_directory_is_gone_there_is_not_submitted_anew(
    way: Way, there: Path, home: Path, pbs: Pbs
) -> None:
    """Nobody can tell whether it was submitted, and so it waits until somebody can."""
    requests = [request(home / f"{number}.1", "true", queue="many") for number in range(5)]
    way.closed_after = way.runs + 4  # all files are there, and nobody hears of the submission
    replies = opened(way, there).submit(requests)
    assert {reply.reason for reply in replies if isinstance(reply, Deferred)} == {
        "cluster is not reached: it is closed"
    }
    way.closed_after = 1 << 30
    there.rename(away := there.with_name(f"{there.name}-away"))
    before = len(pbs.submissions())
    reasons = [getattr(reply, "reason", "") for reply in opened(way, there).submit(requests)]
    assert [reason for reason in reasons if "where it was put" not in reason] == []
    assert len(pbs.submissions()) == before
    away.rename(there)
    assert all(isinstance(reply, Accepted) for reply in opened(way, there).submit(requests))


def test_what_is_large_goes_on_where_it_was_cut_off(
    way: Way, there: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And counts as brought when it has the size that it has there."""
    monkeypatch.setattr(luggage, "LARGE_BYTES", 1000)
    batch, job = opened(way, there), home / "1.1"
    batch.submit([request(job, "head -c 3000000 /dev/urandom > big.dat; cksum < big.dat")])
    end(batch, job)
    content = (there / "run/1.1/big.dat").read_bytes()
    (job / ".big.dat.part").write_bytes(content[:1234567])
    asked = []
    run = way.run
    monkeypatch.setattr(way, "run", lambda script, *words, **more: asked.append(words) or run(script, *words, **more))
    left = batch.collect(job, JobSpec(shell="x", outputs="big.dat"))
    assert (job / "big.dat").read_bytes() == content
    assert any(words[-1:] == ("1234568",) for words in asked)
    assert left.succeeded


def test_a_job_there_is_cancelled_and_timed_out(way: Way, there: Path, home: Path) -> None:
    """As one here."""
    batch, late, unwanted = opened(way, there), home / "1.1", home / "2.1"
    batch.submit([request(late, "sleep 600", timeout=0.5), request(unwanted, "touch up; sleep 600")])
    until((there / "run/2.1/up").exists)
    batch.cancel([unwanted], 5)
    assert end(batch, unwanted).reason == "cancelled"
    assert end(batch, late) == Observation(JobState.ended, 143, "timed out after 0.5 s", AttemptState.timed_out)


def test_slurm_is_reached_the_same_way(slurm_running: Slurm, cluster: SshTransport, there: Path, home: Path) -> None:
    """Single jobs and an array."""
    way = Way(cluster, f"SLURM_CONF={slurm_running.environment['SLURM_CONF']}; export SLURM_CONF")
    queues = {"default": BatchQueue("slurm"), "many": BatchQueue("slurm", array=50)}
    batch = ClusterBatch(SlurmDialect(), way, Mirror(way, str(there)), queues, settle=1.0)
    requests = [request(home / f"{number}.1", f"echo {number} > out", queue="many") for number in range(6)]
    requests.append(request(home / "7.1", "echo oh >&2; exit 3"))
    assert all(isinstance(reply, Accepted) for reply in batch.submit(requests))
    directories = [Path(each.directory) for each in requests]
    until(lambda: all(seen.state.final for seen in batch.observe(directories)))
    left = [batch.collect(each, JobSpec(shell="x", outputs="*ut")) for each in directories]
    assert [(directory / "out").read_text() for directory in directories[:-1]] == [f"{number}\n" for number in range(6)]
    assert (left[-1].reason, left[-1].stderr) == ("exit code 3", "oh")
    assert sorted(path.name for path in there.iterdir()) == [".lock"]


def test_a_run_goes_over_ssh(
    sshd: Sshd, pbs: Pbs, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the configuration to the artifact, with a file that the job is given and one that it makes."""
    usual = (sshd.directory / "sshd_config").read_text()
    sshd.configure(f"SetEnv HOME={sshd.directory} PATH={pbs.path}:{os.environ['PATH']}")
    monkeypatch.setenv("PATH", ssh_on_path(sshd, tmp_path / "bin"))
    monkeypatch.chdir(tmp_path)
    queue = f'{{ executor = "pbs", host = "{HOST}", directory = "{there}" }}'
    Path("heliostat.toml").write_text(f"queues.cluster = {queue}\n")
    night = Workflow("night")

    @night.node
    def raw(ctx: heliostat.Context) -> Path:
        path = ctx.dir / "raw image.txt"
        path.write_text("stars\n")
        return path

    night.job("reduce", "tr a-z A-Z < {raw} > reduced.txt; pwd", outputs="reduced.txt", queue="cluster")

    @night.node
    def count(reduce: Path) -> str:
        return reduce.read_text()

    try:
        with heliostat.open(f"sqlite:///{tmp_path}/night.db", files=tmp_path / "files") as engine:
            run = engine.run(night)
            assert run.result() == "STARS\n"
    finally:
        if (sshd.directory / "sshd_config").read_text() != usual:
            sshd.configure()
    assert sorted(path.name for path in there.iterdir()) == [".lock"]
