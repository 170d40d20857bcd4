"""What Slurm's commands print, and what it means; how a job is judged by its files and its scheduler's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliostat.batch import BatchQueue, JobRequest, JobState, Observation, Rejected, Standing
from heliostat.batches import script
from heliostat.batches.dialect import Wanted
from heliostat.batches.shared import Shared
from heliostat.batches.slurm import Slurm
from heliostat.batches.submission import Submission
from heliostat.batches.verdict import Case, judge
from heliostat.errors import BadInput, OperatorError
from heliostat.resources import Resources
from heliostat.task import AttemptState
from heliostat.transport import Ran
from heliostat.transports.local import LocalTransport

SLURM, NOWHERE = Slurm(), LocalTransport()


def seen(line: str) -> Observation:
    """What a line of squeue or sacct says of job 7."""
    return SLURM.seen(Ran(0, line.encode()))["7"]


@pytest.mark.parametrize(
    ("line", "observation"),
    [
        ("7|PENDING|Priority|N/A", Observation(JobState.submitted, reason="Priority")),
        ("7|PENDING|None|N/A", Observation(JobState.submitted)),
        (
            "7|PENDING|Resources|2026-12-01T08:00:00",
            Observation(JobState.submitted, reason="Resources, expected to begin 2026-12-01 08:00:00 UTC"),
        ),
        ("7|RUNNING|None|2026-12-01T08:00:00", Observation(JobState.running)),
        ("7|COMPLETING|None|2026-12-01T08:00:00", Observation(JobState.running)),
        ("7|SUSPENDED|None|N/A", Observation(JobState.running, reason="suspended")),
        ("7|COMPLETED|None|N/A", Observation(JobState.ended)),
        ("7|FAILED|NonZeroExitCode|3:0", Observation(JobState.ended, 3)),
        ("7|FAILED||0:9", Observation(JobState.ended, 137)),
        (
            "7|TIMEOUT|TimeLimit|N/A",
            Observation(JobState.ended, None, "its walltime was over, and Slurm ended it", AttemptState.timed_out),
        ),
        (
            "7|CANCELLED by 1000|None|0:15",
            Observation(JobState.ended, None, "cancelled in Slurm by 1000", AttemptState.killed),
        ),
        ("7|NODE_FAIL|None|N/A", Observation(JobState.lost, None, "its node failed", AttemptState.lost)),
    ],
)
def test_a_state_is_one_of_ours(line: str, observation: Observation) -> None:
    """With the reason where there is one."""
    assert seen(line) == observation


def test_a_state_that_is_none_moves_nothing() -> None:
    """A version to come may have more of them."""
    assert seen("7|ENTANGLED|None|N/A").state is JobState.unknown


def test_other_lines_are_no_jobs() -> None:
    """A site's commands may chat; jobs of arrays have handles of their own."""
    text = b"Welcome!\n7_3|RUNNING|None|N/A\n8+0|RUNNING|None|N/A\n|||\n9|x\n"
    assert set(SLURM.seen(Ran(0, text))) == {"7_3"}


def test_a_command_that_failed_says_nothing_of_jobs() -> None:
    """Least of all that they are gone."""
    with pytest.raises(OperatorError, match="squeue failed: slurm_load_jobs error: Unable to contact"):
        SLURM.seen(Ran(1, b"", b"slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"))


@pytest.mark.parametrize(
    ("text", "handle"), [("12\n", "12"), ("12;cluster\n", "12"), ("hello\n12\n", "12"), ("12_3", "12_3")]
)
def test_the_handle_stands_in_what_sbatch_printed(text: str, handle: str) -> None:
    """On its last line."""
    assert SLURM.submitted(text) == SLURM.submitted(handle) == handle


@pytest.mark.parametrize("text", ["", "Submitted", "12 jobs"])
def test_what_is_no_handle_is_refused(text: str) -> None:
    """Nobody guesses."""
    with pytest.raises(ValueError, match=f"^{text}$"):
        SLURM.submitted(text)


@pytest.mark.parametrize(
    ("complaint", "refused"),
    [
        ("sbatch: error: invalid partition specified: x", True),
        (
            "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
            True,
        ),
        ("sbatch: error: Batch job submission failed: Requested node configuration is not available", True),
        ("sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some)", True),
        ("sbatch: error: Memory specification can not be satisfied", True),
        ("sbatch: unrecognized option '--nope'", True),
        ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)", False),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", False),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", False),
        ("sbatch: error: QOSMaxSubmitJobPerUserLimit", False),
        ("sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit)", False),
        ("", False),
    ],
)
def test_what_will_be_refused_again_is_told_from_what_may_pass(complaint: str, refused: bool) -> None:  # noqa: FBT001
    """What is not known to be wrong is tried again."""
    assert SLURM.refused(complaint) == refused


def test_directives_say_what_is_wanted() -> None:
    """In Slurm's units: whole MiB, whole minutes, both up."""
    wanted = Wanted("n", 4, 2, (1 << 30) + 1, 1, 61.0, "p", "a", ("--qos=high",), 10)
    lines = [line.removeprefix("#SBATCH ") for line in SLURM.header(wanted).splitlines()]
    assert lines == [
        "--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=4", "--mem=1025M", "--gres=gpu:1", "--time=2",
        "--partition=p", "--account=a", "--array=0-9", "--qos=high",
        "--job-name=n", "--output=job.log.%a", "--open-mode=append", "--no-requeue",
    ]  # fmt: skip


# scripts


def test_a_node_says_more_than_its_queue() -> None:
    """A time-out without a walltime has one that is a little longer, so that the wrapper keeps the time."""
    queue = BatchQueue("slurm", "p", "a", directives=("--qos=low",))
    asked = JobRequest("a/1", "/d", "true", {}, Resources(cores=2), 100.0)
    text = script.job(SLURM, queue, asked, "/d", 10.0).files["job.script"]
    assert "#SBATCH --time=3\n" in text
    assert "#SBATCH --cpus-per-task=2\n" in text
    assert 'exec /bin/bash ./job.sh "$SLURM_JOB_ID" 100 10\n' in text


@pytest.mark.parametrize("given", [{"directory": "/a\nb"}, {"env": {"A-B": "x"}}])
def test_what_no_script_can_hold_is_refused(given: dict[str, object]) -> None:
    """In a sentence, before anything is written."""
    asked = JobRequest(**{"key": "a/1", "directory": "/d", "command": "true", **given})  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"line break|is no name for a variable"):
        script.job(SLURM, BatchQueue("slurm"), asked, asked.directory, 10.0)


def test_a_name_is_of_its_directory_alone() -> None:
    """Two databases may have a task of the same id; people see which it is."""
    names = {script.job_name(SLURM, "01abc/2", place) for place in ("/a", "/b")}
    assert len(names) == 2
    assert all(name.startswith("01abc.2-") and len(name) <= SLURM.name_length for name in names)


def test_a_refusal_is_told_by_its_cause_alone() -> None:
    """Who says it, and that it does, is said already; where nothing else is, that is the cause."""
    words = Submission(SLURM, NOWHERE, Shared(NOWHERE), {}, 10.0)
    failed = "sbatch: error: Batch job submission failed: Invalid partition name specified"
    two = f"sbatch: error: invalid partition specified: compute\n{failed}\n"
    assert words.reply("failed", two) == Rejected("slurm refused it: invalid partition specified: compute")
    assert words.reply("failed", failed) == Rejected("slurm refused it: Invalid partition name specified")


def test_what_slurm_says_of_itself_is_read_by_its_partitions() -> None:
    """Each with how it stands; a warning among the lines is none."""
    said = "slurm-wlm 23.11.4\nmain* up 0/1/0/1\nlong down 3/0/1/4\nsinfo: warning: this is none of them\n"
    assert SLURM.standing(said) == Standing(
        "slurm-wlm 23.11.4",
        {"main": " (default): up, 1 of 1 nodes idle", "long": ": down, 0 of 4 nodes idle"},
    )
    assert SLURM.standing("") == Standing("", {})


# verdicts

FINAL = Observation(JobState.ended, None, "its walltime was over", AttemptState.timed_out)
SILENT = Observation(JobState.ended)
CLAIMED = {"job.claim": "handle 7\n"}


def verdict(note: dict[str, str], said: Observation | None, asked_at: float, *nows: float) -> list[Observation]:
    """How a job is judged at some times, after its scheduler was asked once."""
    case = Case(Path("/"), "7", said=said, asked_at=asked_at, recorded=True)
    return [judge(case, note, now, 20.0, "") for now in nows]


def test_an_exit_code_decides_whatever_the_scheduler_says() -> None:
    """Be it of another opinion, or away."""
    for said in (None, SILENT, FINAL, Observation(JobState.running)):
        assert verdict({**CLAIMED, "job.exit_code": "3\n"}, said, 0.0, 1.0) == [Observation(JobState.ended, 3)]


@pytest.mark.parametrize("note", [{"job.exit_code": "143\n"}, {"job.exit_code": "0\n", "job.term": ""}])
def test_a_signal_has_a_sender_whom_the_scheduler_knows(note: dict[str, str]) -> None:
    """So it is asked once more before anything is concluded, for a while."""
    code = int(note["job.exit_code"])
    assert [one.state for one in verdict({**CLAIMED, **note}, Observation(JobState.running), 0.0, 1.0, 20.0)] == [
        JobState.running
    ] * 2
    assert verdict({**CLAIMED, **note}, FINAL, 5.0, 5.0) == [Observation(JobState.ended, code, FINAL.reason, FINAL.how)]
    assert verdict({**CLAIMED, **note}, None, float("-inf"), 1.0, 21.0)[1] == Observation(JobState.ended, code)


def test_a_file_that_is_not_to_be_seen_yet_is_waited_for() -> None:
    """Only if the scheduler has no reason why there should be none."""
    waiting, lost = verdict(CLAIMED, SILENT, 1.0, 1.0, 21.0)
    assert (waiting.state, lost.state, lost.how) == (JobState.running, JobState.lost, AttemptState.lost)
    assert verdict(CLAIMED, FINAL, 1.0, 1.0) == [FINAL]


def test_why_a_job_waited_is_no_matter_once_it_runs() -> None:
    """Its claim is seen before the scheduler is asked again."""
    waits = Observation(JobState.submitted, reason="Resources, expected to begin 2026-12-01 08:00:00 UTC")
    assert verdict({}, waits, 1.0, 1.0) == [waits]
    assert verdict(CLAIMED, waits, 1.0, 1.0) == [Observation(JobState.running)]
    suspended = Observation(JobState.running, reason="suspended")
    assert verdict(CLAIMED, suspended, 1.0, 1.0) == [suspended]


def test_what_we_stopped_has_our_reason() -> None:
    """Though the scheduler calls it cancelled."""
    killed = Observation(JobState.ended, None, "cancelled in Slurm", AttemptState.killed)
    note = {**CLAIMED, "job.stop": "reason timed out after 5 s\nsince 1\ngrace 1\n"}
    expected = Observation(JobState.ended, None, "timed out after 5 s", AttemptState.timed_out)
    assert verdict(note, killed, 1.0, 1.0) == [expected]
    assert verdict({**note, "job.exit_code": "143\n"}, killed, 1.0, 1.0)[0].reason == "timed out after 5 s"
