"""What every batch system promises, as tests: the contract of ``heliostat.batch.Batch``.

A batch system's author writes a fixture ``opened`` that makes one after the other as further processes would, and one
module of tests that says ``from heliostat.testing.batches import *``. All of them are for the same jobs: what one has
submitted the others see. Where jobs run in other directories than those here, a fixture ``there`` tells which.
"""

from __future__ import annotations

import shlex
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar, cast

import pytest

from heliostat.batch import SEEN, Accepted, Deferred, JobRequest, JobState, Observation, begin
from heliostat.job import JobSpec, render
from heliostat.task import AttemptState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from heliostat.batch import Batch
    from heliostat.job import Value

    Open = Callable[[], Batch]
    There = Callable[[Path], Path]

T = TypeVar("T")

PATIENCE_SECONDS = 90.0
LOOK_SECONDS = 0.02
NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


@pytest.fixture
def there() -> There:
    """Where the job of a directory runs: in it."""
    return lambda directory: directory


def until(condition: Callable[[], T | bool | None]) -> T:
    """Wait until a condition holds, and answer with its value; fail when patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(LOOK_SECONDS)
    return cast("T", value)


def see(batch: Batch, directory: Path) -> Observation:
    """Look at one job."""
    (seen,) = batch.observe([directory])
    return seen


def end(batch: Batch, directory: Path) -> Observation:
    """Look until a job has ended."""
    return until(lambda: (seen := see(batch, directory)).state.final and seen)


def request(
    directory: Path, command: str | tuple[str, ...], timeout: float | None = None, env: Mapping[str, str] = NO_VARIABLES
) -> JobRequest:
    """What to run."""
    return JobRequest("abc/1", str(directory), command, env, None, timeout)


def test_a_job_runs_in_its_directory_and_leaves_its_exit_code(opened: Open, there: There, tmp_path: Path) -> None:
    """It is running, then ended; what it said lies in files; nothing can be read from its standard input."""
    batch, directory = opened(), tmp_path / "a job's"
    begin(batch, request(directory, 'echo "$PWD"; echo oops >&2; cat; while [ ! -e go ]; do sleep 0.1; done; exit 3'))
    until(lambda: see(batch, directory).state is JobState.running)
    (there(directory) / "go").touch()
    assert end(batch, directory) == Observation(JobState.ended, 3)
    left = batch.collect(directory, JobSpec("…"))
    assert (left.exit_code, left.reason, left.how) == (3, "exit code 3", AttemptState.failed)
    assert (left.stdout, left.stderr) == (str(there(directory)), "oops")


def test_hostile_values_are_only_words(opened: Open, there: There, tmp_path: Path) -> None:
    """From the template to the program, and from the environment, data stays data; arguments need no shell."""
    batch = opened()
    values: dict[str, Value] = {
        "a": "'; rm -rf ~; #",
        "b": "$(touch x) `touch x`\n touch x\n",
        "c": "naïve 🛰",
        "d": "\udcff not UTF-8",
        "e": "\\",
    }
    spec = JobSpec("printf '%s\\0' {a} {b} {c} {d} {e}; printf '%s\\0' {c} > {a}", outputs="*#")
    words = ("printf", "%s|", "$HOME", "a b", "it's", "*", "\n", "")
    hostile = {"A": "'; touch x; '", "B": "$(touch x)\n\nend", "C": "naïve", "PATH": "/nowhere", "child": "c"}
    told = 'printf \'%s\\0\' "$A" "$B" "$C" "$PATH" "$child"'
    requests = [
        request(tmp_path / "shell", render(spec, values)),
        request(tmp_path / "words", words),
        request(tmp_path / "env", told, env=hostile),
    ]
    assert all(isinstance(reply, Accepted) for reply in batch.submit(requests))
    assert {end(batch, tmp_path / name).exit_code for name in ("shell", "words", "env")} == {0}
    said = {name: (there(tmp_path / name) / "stdout").read_bytes() for name in ("shell", "words", "env")}
    assert said["shell"].decode(errors="surrogateescape").split("\0")[:-1] == list(values.values())
    assert said["words"] == b"$HOME|a b|it's|*|\n||"
    assert said["env"].decode().split("\0")[:-1] == list(hostile.values())
    assert not [*tmp_path.glob("*/x"), *there(tmp_path / "shell").parent.glob("*/x")]
    assert batch.collect(tmp_path / "shell", spec).outputs == (tmp_path / "shell" / "'; rm -rf ~; #",)


def test_a_job_is_submitted_once_however_often_it_is_asked_for(opened: Open, there: There, tmp_path: Path) -> None:
    """The handle of the job that is there is the answer, while it waits or runs and after it has ended."""
    batch, job = opened(), tmp_path / "job"
    first = request(job, "echo run >> runs; while [ ! -e go ]; do sleep 0.1; done")
    handle = begin(batch, first)
    assert begin(opened(), request(job, "echo run >> runs")) == handle
    until((there(job) / "runs").exists)
    assert begin(opened(), first) == handle
    (there(job) / "go").touch()
    end(batch, job)
    assert begin(opened(), first) == begin(batch, first) == handle
    assert (there(job) / "runs").read_text() == "run\n"


def test_of_many_submitters_at_once_one_starts_the_job(opened: Open, there: There, tmp_path: Path) -> None:
    """All get the same handle."""
    wanted = request(tmp_path / "job", "echo run >> runs; echo said")
    batches = [opened() for _ in range(6)]
    with ThreadPoolExecutor(len(batches)) as pool:
        handles = set(pool.map(lambda batch: begin(batch, wanted), batches))
    assert len(handles) == 1
    assert end(batches[0], tmp_path / "job") == Observation(JobState.ended, 0)
    assert (there(tmp_path / "job") / "runs").read_text() == "run\n"
    assert (there(tmp_path / "job") / "stdout").read_text() == "said\n"


def test_another_process_sees_a_job_to_its_end_and_collects_it(opened: Open, tmp_path: Path) -> None:
    """All that it has to know lies in the directory, or with the batch system."""
    job = tmp_path / "job"
    begin(opened(), request(job, "echo 5 > answer; echo '{\"a\": 1}' > output.json; exit 0"))
    other = opened()
    assert end(other, job) == Observation(JobState.ended, 0)
    left = other.collect(job, JobSpec("…", outputs="answer"))
    assert (left.succeeded, left.outputs, left.output) == (True, job / "answer", '{"a": 1}\n')


def test_many_jobs_are_one_question_and_replies_come_in_order(opened: Open, there: There, tmp_path: Path) -> None:
    """Also when some of them are there already, and one cannot be."""
    batch = opened()
    (tmp_path / "7").touch()  # which is in the way
    jobs = [tmp_path / str(number) for number in range(12)]
    commands = [f"echo run >> runs; exit {number}" for number in range(12)]
    begin(batch, request(jobs[3], commands[3]))
    replies = batch.submit([request(job, command) for job, command in zip(jobs, commands, strict=True)])
    assert [type(reply) for reply in replies] == [Deferred if number == 7 else Accepted for number in range(12)]
    fine = [job for job in jobs if job.name != "7"]
    until(lambda: all(seen.state.final for seen in batch.observe(fine)))
    assert [seen.exit_code for seen in batch.observe(fine)] == [int(job.name) for job in fine]
    assert {(there(job) / "runs").read_text() for job in fine} == {"run\n"}
    handles = [reply.handle for reply in replies if isinstance(reply, Accepted)]
    assert len(set(handles)) == 11


def test_a_job_that_nobody_submitted_is_unknown(opened: Open, tmp_path: Path) -> None:
    """With the reason, and without hiding another."""
    batch = opened()
    begin(batch, request(tmp_path / "there", "exit 0"))
    end(batch, tmp_path / "there")
    none, there = batch.observe([tmp_path / "none", tmp_path / "there"])
    assert (none.state, none.reason) == (JobState.unknown, f"there is no job in {tmp_path / 'none'}")
    assert there.state is JobState.ended


def test_a_job_that_tells_of_its_end_is_heard_until_it_is_collected(opened: Open, tmp_path: Path) -> None:
    """By who has submitted it, without a look at others; where no job can tell, there is no answer."""
    batch, job, endless = opened(), tmp_path / "run" / "job", tmp_path / "run" / "endless"
    begin(batch, request(endless, "while [ ! -e go ]; do sleep 0.1; done"))
    begin(batch, request(job, "exit 3"))
    if batch.tells:
        heard = until(lambda: [seen for seen in batch.told().items() if seen[1].state.final])
        assert heard == [(job, Observation(JobState.ended, 3))]
        assert opened().told() == {}
    end(batch, job)
    assert batch.collect(job, JobSpec("…")).exit_code == 3
    assert batch.told() == {}
    batch.cancel([endless], 0)


def test_cancel_ends_the_whole_group(opened: Open, there: There, tmp_path: Path) -> None:
    """TERM reaches children and grandchildren, and the command may end as it likes."""
    batch, job = opened(), tmp_path / "job"
    child = "trap 'touch heard; exit' TERM; touch there; while :; do sleep 0.1; done"
    took = "while [ ! -e heard ]; do sleep 0.1; done; touch took; exit 4"
    command = f"sh -c {shlex.quote(child)} & trap {shlex.quote(took)} TERM; touch up; while :; do sleep 0.1; done"
    begin(batch, request(job, command))
    until(lambda: (there(job) / "up").exists() and (there(job) / "there").exists())
    batch.cancel([job], 60)
    seen = end(batch, job)
    assert (seen.state, seen.reason, seen.how) == (JobState.ended, "cancelled", AttemptState.failed)
    assert (there(job) / "took").exists()
    left = batch.collect(job, JobSpec("…"))
    assert (left.succeeded, left.reason) == (False, "cancelled")


def test_a_command_hears_of_its_end_once(opened: Open, there: There, tmp_path: Path) -> None:
    """A second TERM is what many programs end at, whatever they were about to tidy up."""
    batch, job = opened(), tmp_path / "job"
    counting = (
        "import os, signal; write = lambda *_: os.write(1, b'heard\\n'); signal.signal(signal.SIGTERM, write); "
        "open('up', 'w').close()\nwhile True: signal.pause()"
    )
    begin(batch, request(job, (sys.executable, "-c", counting)))
    until((there(job) / "up").exists)

    def ended() -> bool:
        batch.cancel([job], 2)
        return see(batch, job).state.final

    until(ended)
    assert batch.collect(job, JobSpec("…")).stdout == "heard"


def test_what_ignores_term_is_killed_when_the_grace_is_over(opened: Open, there: There, tmp_path: Path) -> None:
    """By whoever asks, be it another process."""
    job = tmp_path / "job"
    begin(opened(), request(job, "trap '' TERM; touch up; while :; do sleep 1000; done"))
    until((there(job) / "up").exists)
    other = opened()

    def ended() -> bool:
        other.cancel([job], 0.2)
        return see(other, job).state.final

    until(ended)
    assert see(other, job).reason == "cancelled"


def test_a_job_that_was_cancelled_before_it_began_never_begins(opened: Open, there: There, tmp_path: Path) -> None:
    """A submission that comes later does not start it."""
    job = tmp_path / "job"
    job.mkdir()
    opened().cancel([job, tmp_path / "none"], 0)
    batch = opened()
    batch.submit([request(job, "touch ran")])
    assert end(batch, job) == Observation(JobState.ended, None, "cancelled before it began")
    assert not (there(job) / "ran").exists()
    assert batch.collect(job, JobSpec("…")).reason == "cancelled before it began"


def test_cancelling_what_has_ended_changes_nothing(opened: Open, tmp_path: Path) -> None:
    """However often."""
    batch, job = opened(), tmp_path / "job"
    begin(batch, request(job, "exit 0"))
    end(batch, job)
    for _ in range(2):
        batch.cancel([job], 0)
    assert see(opened(), job) == Observation(JobState.ended, 0)


def test_a_job_past_its_time_out_is_stopped(opened: Open, tmp_path: Path) -> None:
    """From its begin, also one that does not listen; the reason says so."""
    batch, kind, deaf = opened(), tmp_path / "kind", tmp_path / "deaf"
    requests = [
        request(kind, "sleep 1000", timeout=0.5),
        request(deaf, "trap '' TERM; while :; do sleep 1000; done", timeout=0.5),
    ]
    assert all(isinstance(reply, Accepted) for reply in batch.submit(requests))
    for job in (kind, deaf):
        seen = end(batch, job)
        assert (seen.reason, seen.how) == ("timed out after 0.5 s", AttemptState.timed_out)


@pytest.mark.parametrize("name", ["with spaces", "naïve", "it's", "a;b", "$(touch x)", "-n"])
def test_directories_may_have_any_name(opened: Open, there: There, tmp_path: Path, name: str) -> None:
    """They are words, wherever they stand."""
    batch, job = opened(), tmp_path / name
    begin(batch, request(job, "touch ran"))
    assert end(batch, job) == Observation(JobState.ended, 0)
    assert (there(job) / "ran").exists()


def test_a_pattern_takes_nothing_of_the_batch_systems_own(opened: Open, tmp_path: Path) -> None:
    """Of all files in the directory, those that the command made."""
    batch, job = opened(), tmp_path / "job"
    begin(batch, request(job, "touch made; rm -f made.not", env={"A": "secret"}))
    end(batch, job)
    (job / SEEN).touch()
    assert batch.collect(job, JobSpec("…", outputs="*")).outputs == (job / "made",)


def test_a_variable_is_in_no_file_once_the_command_has_begun(opened: Open, there: There, tmp_path: Path) -> None:
    """It may be a secret."""
    batch, job = opened(), tmp_path / "job"
    begin(batch, request(job, "touch up; while [ ! -e go ]; do sleep 0.1; done", env={"TOKEN": "hunter2hunter2"}))
    until((there(job) / "up").exists)
    assert not [
        path for at in (job, there(job)) for path in at.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()
    ]
    (there(job) / "go").touch()
    end(batch, job)
