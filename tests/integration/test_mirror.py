"""Jobs behind ssh, on a machine that shares no files with this one: its directory is another, and knows none here."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

import heliostat.engine
from heliostat import Workflow
from heliostat.batch import Accepted, BatchQueue, Deferred, JobRequest, JobState, Observation
from heliostat.batches import luggage, trickle
from heliostat.batches.cluster import ClusterBatch
from heliostat.batches.mirror import Mirror
from heliostat.batches.pbs import Pbs as OpenPbs
from heliostat.batches.slurm import Slurm as SlurmDialect
from heliostat.errors import OperatorError
from heliostat.job import JobSpec
from heliostat.task import AttemptState
from heliostat.transport import Ran
from heliostat.transports.ssh import SshTransport
from tests.integration import journeys
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


def said(batch: ClusterBatch, directory: Path) -> str:
    """What a job has printed, as it lies here when it was collected."""
    batch.collect(directory, JobSpec(shell="x"))
    return (directory / "stdout").read_text().strip()


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
    assert ((job / "stdout").read_text().strip(), left.output, left.reason) == (f"{there}/run/1.1", "[1]\n", None)
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
    assert way.runs <= before + 2  # how they stand, and what those have printed that run just now
    until(lambda: all(seen.state.final for seen in batch.observe(directories)))
    assert [said(batch, each) for each in directories] == [*map(str, range(20))]
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
        assert said(batch, job) == "run"
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
    assert said(other, job) == "said"


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
    assert said(other, job) == "said"


def test_what_was_brought_and_half_removed_there_is_not_submitted_again(
    way: Way, there: Path, home: Path, pbs: Pbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever removed it died, or its machine there was switched off; who comes next removes the rest."""
    job, spec = home / "1.1", JobSpec(shell="x", outputs={"runs": "runs"})
    wanted = request(job, "echo run >> runs")
    (batch := opened(way, there)).submit([wanted])
    end(batch, job)

    def cut_off(*_: object) -> None:
        for path in (there / "run" / "1.1").glob("job.*"):
            path.unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(luggage, "remove", cut_off)
    with pytest.raises(KeyboardInterrupt):
        batch.collect(job, spec)
    monkeypatch.undo()
    before = pbs.submissions()
    batch = opened(way, there)
    assert isinstance(batch.submit([wanted])[0], Accepted)
    assert end(batch, job) == Observation(JobState.ended, 0)
    assert batch.collect(job, spec).succeeded
    assert (job / "runs").read_text() == "run\n"
    assert pbs.submissions() == before
    assert not (there / "run").exists()


def test_a_file_system_that_is_away_there_is_not_taken_for_a_job_that_left_nothing(
    way: Way, there: Path, home: Path
) -> None:
    """What it left is brought when it is back."""
    batch, job, spec = opened(way, there), home / "1.1", JobSpec(shell="x", outputs={"runs": "runs"})
    batch.submit([request(job, "echo run >> runs")])
    end(batch, job)
    away = there.rename(there.with_name(f"{there.name}.away"))
    there.mkdir()
    with pytest.raises(OperatorError, match="cannot be listed"):
        batch.collect(job, spec)
    there.rmdir()
    away.rename(there)
    assert batch.collect(job, spec).succeeded


def test_a_directory_that_is_gone_there_is_not_taken_for_a_new_one(way: Way, there: Path, home: Path, pbs: Pbs) -> None:
    """As when its file system is not mounted, or somebody has tidied up: the job is not submitted a second time."""
    batch, job = opened(way, there), home / "1.1"
    wanted = request(job, "touch begun; while [ ! -e go ]; do sleep 0.05; done")
    batch.submit([wanted])
    until((there / "run/1.1/begun").exists)
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


def test_what_a_running_job_prints_comes_here_as_it_grows(way: Way, there: Path, home: Path) -> None:
    """Piece by piece, once each, however many look; at the end all of it is here, with what came last."""
    batch, job = opened(way, there), home / "1.1"
    command = "echo oops >&2; echo one; printf tw; while [ ! -e go ]; do sleep 0.05; done; echo o"
    batch.submit([request(job, command)])
    others = [opened(way, there) for _ in range(3)]

    def come() -> bool:
        with ThreadPoolExecutor(len(others)) as pool:
            list(pool.map(lambda each: each.observe([job]), others))
        return (job / "stdout").exists() and (job / "stdout").read_text() == "one\ntw"

    until(come)
    until(lambda: batch.observe([job]) and (job / "stderr").read_text() == "oops\n")
    (there / "run/1.1/go").touch()
    end(batch, job)
    assert said(batch, job) == "one\ntwo"
    assert (job / "stdout").read_text() == "one\ntwo\n"


def test_of_what_is_printed_a_look_brings_little(way: Way, there: Path, home: Path) -> None:
    """However much there is; the next one goes on from there, and one at which nothing is new brings nothing."""
    batch, job = opened(way, there), home / "1.1"
    most = trickle.PIECE_BYTES[1]
    batch.submit([request(job, f"seq 1000000 | head -c {3 * most}; touch up; while [ ! -e go ]; do sleep 0.05; done")])
    until((there / "run/1.1/up").exists)
    sizes = []
    for _ in range(4):
        batch.observe([job])
        sizes.append((job / "stdout").stat().st_size)
    assert sizes == [most, 2 * most, 3 * most, 3 * most]
    assert (job / "stdout").read_bytes() == (there / "run/1.1/stdout").read_bytes()
    before = way.runs
    batch.observe([job])
    assert way.runs == before + 1
    (there / "run/1.1/go").touch()
    end(batch, job)


@pytest.fixture
def over_ssh(
    sshd: Sshd, pbs: Pbs, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[heliostat.engine.Engine]:
    """Give an engine whose queue ``cluster`` is behind ssh, as its configuration says."""
    usual = (sshd.directory / "sshd_config").read_text()
    sshd.configure(f"SetEnv HOME={sshd.directory} PATH={pbs.path}:{os.environ['PATH']}")
    monkeypatch.setenv("PATH", ssh_on_path(sshd, tmp_path / "bin"))
    monkeypatch.chdir(tmp_path)
    queue = f'{{ executor = "pbs", host = "{HOST}", directory = "{there}" }}'
    Path("heliostat.toml").write_text(f"queues.cluster = {queue}\n")
    try:
        with heliostat.open(f"sqlite:///{tmp_path}/h.db", files=tmp_path / "files") as engine:
            yield engine
    finally:
        if (sshd.directory / "sshd_config").read_text() != usual:
            sshd.configure()


def test_a_run_goes_over_ssh(over_ssh: heliostat.engine.Engine, there: Path) -> None:
    """From the configuration to the artifact, with a file that the job is given and one that it makes."""
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

    assert over_ssh.run(night).result() == "STARS\n"
    assert sorted(path.name for path in there.iterdir()) == [".lock"]


def test_a_running_job_there_is_followed_line_by_line(over_ssh: heliostat.engine.Engine, there: Path) -> None:
    """``task log --follow`` tells each line while the job runs, and what came last when it has ended."""
    flow = Workflow("flow")
    flow.job("say", "echo one; printf tw; until test -e go; do sleep 0.05; done; echo o", queue="cluster")
    run = over_ssh.start(flow)
    thread = threading.Thread(target=over_ssh.work, kwargs={"until": run}, daemon=True)
    thread.start()
    words = ["--database", "sqlite:///h.db", "--files", "files", "task", "log", f"{run.id}/1", "--follow", "--json"]
    follower = subprocess.Popen([sys.executable, "-m", "heliostat.cli", *words], stdout=subprocess.PIPE, text=True)
    assert follower.stdout is not None
    assert json.loads(follower.stdout.readline())["text"] == "one"  # before it may go on
    (there / run.id / "1.1/go").touch()
    assert [json.loads(line)["text"] for line in follower.stdout] == ["two", "succeeded"]
    assert follower.wait(60) == 0
    follower.stdout.close()
    thread.join(60)
    assert not thread.is_alive()


def test_what_a_function_there_logs_is_told_while_it_runs(over_ssh: heliostat.engine.Engine, tmp_path: Path) -> None:
    """As that of one on this machine, and once each."""
    run = over_ssh.start(journeys.far, str(tmp_path))
    thread = threading.Thread(target=over_ssh.work, kwargs={"until": run}, daemon=True)
    thread.start()
    until(lambda: [line for line in run.log() if line.text == "waiting"])
    (tmp_path / "go").touch()
    thread.join(90)
    assert run.state == "succeeded", run.explain()
    assert [line.text for line in run.log() if line.kind == "log"] == ["waiting"]


# what can go wrong on the way

# For every few of the lines that carrying files passes: an engine dies there of kill -9, and another follows at once.
CARRIERS = """
import os, pathlib, signal, sys, time
from heliostat.batch import Accepted, BatchQueue, JobRequest
from heliostat.batches import luggage
from heliostat.batches.cluster import ClusterBatch
from heliostat.batches.mirror import Mirror
from heliostat.batches.pbs import Pbs
from heliostat.job import JobSpec
from heliostat.transport import Address
from heliostat.transports.ssh import SshTransport
from tests.integration.test_mirror import Way

here, there, path, first, step, *ssh = sys.argv[1:]
luggage.LARGE_BYTES = 1000
ours = ("batches/mirror.py", "batches/luggage.py", "batches/trickle.py")

def live(number):
    way = Way(SshTransport(Address("cluster"), command=tuple(ssh)), f"PATH={path}:$PATH; export PATH")
    batch = ClusterBatch(Pbs(), way, Mirror(way, there), {"default": BatchQueue("pbs")}, settle=1.0)
    job = pathlib.Path(here, "run", f"{number}.1")
    (job / "files").mkdir(parents=True, exist_ok=True)
    (job / "files/given").write_text("given")
    command = "echo run >> runs; cat files/given > small; head -c 100000 /dev/zero > large; echo said; sleep 1.5"
    wanted = JobRequest(f"abc/{number}", str(job), command, {"TOKEN": "hunter2"})
    while not isinstance(batch.submit([wanted])[0], Accepted):
        time.sleep(0.1)
    while not batch.observe([job])[0].state.final:
        time.sleep(0.1)
    left = batch.collect(job, JobSpec(":", outputs={"small": "small", "large": "large", "runs": "runs"}))
    files = (job / "stdout", left.outputs["small"], left.outputs["runs"])
    told = [left.reason, *(path.read_text() for path in files)]
    return (*told, left.outputs["large"].stat().st_size)

def apart(number, fatal=None, told=None):
    if child := os.fork():
        return os.waitpid(child, 0)[1]
    passed = {}
    def trace(frame, event, argument):
        if not frame.f_code.co_filename.endswith(ours):
            return None
        line = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        if line == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        passed[line] = None
        return trace
    try:
        if fatal or told:
            sys.settrace(trace)
        came = live(number)
        sys.settrace(None)
        if came != (None, "said\\n", "given", "run\\n", 100000):
            print(f"after {fatal}: {came}", flush=True)
        if told:
            told.write_text("\\n".join(passed))
    finally:
        os._exit(int(sys.exc_info()[0] is not None))

listed = pathlib.Path(here, "lines")
apart("first", told=listed)
lines, deaths = listed.read_text().splitlines(), 0
for number, line in list(enumerate(lines))[int(first) :: int(step)]:
    deaths += apart(number, line) != 0
    if apart(number):
        print(f"after {line}: nobody could go on", flush=True)
print(len(lines), deaths)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_engine_may_die_at_any_line_of_carrying_files(
    cluster: SshTransport, pbs: Pbs, there: Path, tmp_path: Path
) -> None:
    """There or back: the next one finds all of it, the job runs once, and no file is left there."""
    step = 19
    arguments = [str(tmp_path), str(there), str(pbs.path), str(random.randrange(step)), str(step)]
    command = [sys.executable, "-c", CARRIERS, *arguments, *cluster._command]
    before = Counter(pbs.submissions())
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    *wrong, last = ran.stdout.splitlines() or [ran.stderr]
    assert wrong == [], ran.stderr
    lines, deaths = map(int, last.split())
    assert lines > 100
    assert deaths >= lines // step / 2
    assert set((Counter(pbs.submissions()) - before).values()) == {1}
    assert [path.name for path in there.rglob("*") if not path.is_dir()] == [".lock"]


@pytest.mark.slow
def test_a_connection_that_is_cut_while_files_come_loses_nothing(way: Way, there: Path, home: Path, sshd: Sshd) -> None:
    """What came of a large file stays, and the rest comes with the next try."""
    batch, job = opened(way, there), home / "1.1"
    batch.submit([request(job, "head -c 300000000 /dev/urandom > big.dat; cksum < big.dat")])
    end(batch, job)
    part, spec = job / ".big.dat.part", JobSpec(shell="x", outputs="big.dat")
    with ThreadPoolExecutor(1) as pool:
        collecting = pool.submit(batch.collect, job, spec)
        until(lambda: part.exists() and part.stat().st_size > 1_000_000)
        sshd.cut()
        with pytest.raises(OperatorError):
            collecting.result()
    came = part.stat().st_size
    assert 1_000_000 < came < 300_000_000
    left = until(partial(collected, batch, job, spec))
    assert left.outputs == job / "big.dat"
    with (job / "big.dat").open("rb") as file:
        sums = subprocess.run(["cksum"], stdin=file, capture_output=True, text=True, check=True)
    assert (job / "stdout").read_text() == sums.stdout


def collected(batch: ClusterBatch, job: Path, spec: JobSpec) -> Any:
    """What a job left, or nothing where it cannot be had now."""
    try:
        return batch.collect(job, spec)
    except OperatorError:
        return None


@pytest.fixture
def small_disk(there: Path) -> Iterator[Path]:
    """Have a file system of two megabytes there."""
    there.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "small", str(there)], check=False).returncode:
        pytest.skip("nobody may mount a file system here")
    yield there
    subprocess.run(["umount", "-l", str(there)], check=True)


def test_a_file_system_that_is_full_there_is_waited_for(way: Way, small_disk: Path, home: Path) -> None:
    """Nothing of what did not fit stays in the way, and when there is room the job runs, once."""
    batch, job = opened(way, small_disk), home / "1.1"
    (job / "files").mkdir(parents=True)
    (job / "files/large").write_bytes(b"\1" * 4_000_000)
    wanted = request(job, "echo run >> runs; wc -c < files/large; cat runs")
    (reply,) = batch.submit([wanted])
    assert isinstance(reply, Deferred)
    assert "No space left on device" in reply.reason
    assert sorted(path.name for path in small_disk.iterdir()) in ([], [".lock"])
    subprocess.run(["mount", "-o", "remount,size=32m", str(small_disk)], check=True)
    assert isinstance(batch.submit([wanted])[0], Accepted)
    end(batch, job)
    assert said(batch, job) == "4000000\nrun"


def test_a_job_that_fills_the_file_system_there_fails_and_says_so(way: Way, small_disk: Path, home: Path) -> None:
    """Its exit code cannot be written, but what became of it is known in the end."""
    batch, job = opened(way, small_disk), home / "1.1"
    assert isinstance(batch.submit([request(job, "cat /dev/zero > filled")])[0], Accepted)
    seen = end(batch, job)
    assert seen.exit_code != 0
    left = batch.collect(job, JobSpec(shell="x"))
    assert left.reason
    assert not left.succeeded


def test_outputs_have_any_name(way: Way, there: Path, home: Path) -> None:
    """Each comes back under its own, with what stands in it."""
    names = [b"-rf", b"a\nb", b'it\'s "so"', b"$(touch x)", b"star*", b"[a]", b"\xff\xfe", b" ", b"deep/-- x", b"x\\y"]
    batch, job = opened(way, there), home / "1.1"
    script = (
        "import os,sys; os.mkdir('out'); os.mkdir('out/deep')\nfor n in "
        + repr(names)
        + ":\n open(b'out/' + n, 'wb').write(n)"
    )
    batch.submit([request(job, (sys.executable, "-c", script))])
    assert end(batch, job) == Observation(JobState.ended, 0), batch.collect(job, JobSpec(shell="x")).stderr
    left = batch.collect(job, JobSpec(shell="x", outputs="out/**/*"))
    assert left.reason is None
    assert {os.fsencode(path.relative_to(job / "out")) for path in left.outputs} == set(names)
    assert all(path.read_bytes() == os.fsencode(path.relative_to(job / "out")) for path in left.outputs)


def test_a_job_that_removes_its_own_directory_is_stopped_when_nobody_wants_it(
    way: Way, there: Path, home: Path, pbs: Pbs
) -> None:
    """Its files tell nothing any more; its scheduler is told all the same."""
    batch, job = opened(way, there), home / "1.1"
    command = f"touch {there}/up; while [ ! -e {there}/go ]; do sleep 0.05; done; rm -rf {there}/run; sleep 600"
    (reply,) = batch.submit([request(job, command)])
    assert isinstance(reply, Accepted)
    until((there / "up").exists)
    until(lambda: batch.observe([job])[0].state is JobState.running)
    (there / "go").touch()
    until(lambda: not (there / "run").exists())
    batch.cancel([job], 1)
    seen = until(lambda: (seen := batch.observe([job])[0]).state.final and seen)
    assert not seen.exit_code


def test_what_is_cancelled_or_refused_leaves_nothing_there(over_ssh: heliostat.engine.Engine, there: Path) -> None:
    """What it said is brought here."""
    flow = Workflow("flow")
    flow.job("wait", "echo said; touch up; sleep 600", queue="cluster")
    run = over_ssh.start(flow)
    over_ssh.work(until=(there / run.id / "1.1/up").exists)
    run.cancel("enough")
    over_ssh.work(until=lambda: not (there / run.id).exists())
    assert (over_ssh.around.directory / "jobs" / run.id / "1.1/stdout").read_text() == "said\n"
    assert sorted(path.name for path in there.iterdir()) == [".lock"]


def test_one_directory_that_is_gone_there_holds_up_no_other_job(way: Way, there: Path, home: Path, pbs: Pbs) -> None:
    """That one waits, and says why; the others are submitted and looked at."""
    batch, gone, other = opened(way, there), home / "1.1", home / "2.1"
    way.closed_after = way.runs + 3  # its files are there, and nobody hears of the submission
    batch.submit([request(gone, "true")])
    way.closed_after = 1 << 30
    assert (gone / "job.there").exists()
    shutil.rmtree(there / "run/1.1")
    one, two = opened(way, there).submit([request(gone, "true"), request(other, "true")])
    assert isinstance(one, Deferred)
    assert "is not on cluster, where it was put" in one.reason
    assert isinstance(two, Accepted)
    assert end(batch, other) == Observation(JobState.ended, 0)
    seen, _ = batch.observe([gone, other])
    assert (seen.state, "where it was put" in str(seen.reason)) == (JobState.unknown, True)
