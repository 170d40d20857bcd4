"""What PBS and Torque are asked, and what their answers mean."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from heliostat.batch import JobState, Observation
from heliostat.batches.dialect import Wanted
from heliostat.batches.pbs import Pbs
from heliostat.batches.torque import Torque
from heliostat.errors import OperatorError
from heliostat.task import AttemptState
from heliostat.transport import Ran
from heliostat.transports.local import LocalTransport

WANTED = Wanted("n-1", 4, 2, 3 << 30, 1, 3661.2, "long", "m31", ("-l place=scatter",))
RAN = {"stime": "Wed Apr 14 23:34:17 2021"}


def seen(job: dict[str, Any], code: int = 0) -> Observation:
    """What is made of OpenPBS's answer about one job."""
    said = json.dumps({"timestamp": 1, "pbs_server": "pbs", "Jobs": {"7.pbs": job}}, indent=4)
    return Pbs().seen(Ran(code, said.encode()))["7.pbs"]


def test_pbs_is_asked_by_chunks() -> None:
    """Cores, memory and GPUs are those of a node."""
    assert Pbs().header(WANTED).splitlines() == [
        "#PBS -q long",
        "#PBS -A m31",
        "#PBS -l walltime=01:01:02",
        "#PBS -l select=2:ncpus=4:mem=3072mb:ngpus=1",
        "#PBS -l place=scatter",
        "#PBS -N n-1",
        "#PBS -o job.log",
        "#PBS -j oe",
        "#PBS -r n",
    ]
    assert "#PBS -o job.log.^array_index^" in Pbs().header(Wanted("n", array=10)).splitlines()
    assert "#PBS -J 0-9" in Pbs().header(Wanted("n", array=10)).splitlines()


def test_torque_is_asked_by_nodes() -> None:
    """Memory is that of the whole job there."""
    lines = Torque().header(WANTED).splitlines()
    assert lines[-7:-4] == ["#PBS -l nodes=2:ppn=4:gpus=1", "#PBS -l mem=6144mb", "#PBS -l place=scatter"]
    assert "#PBS -t 0-9" in Torque().header(Wanted("n", array=10)).splitlines()


@pytest.mark.parametrize(
    ("said", "handle"),
    [("1008.server\n", "1008.server"), ("1009[].server\n", "1009[].server"), ("Welcome!\n12.a-b.c\nBye\n", "12.a-b.c")],
)
def test_the_handle_is_what_qsub_printed(said: str, handle: str) -> None:
    """Also where a site's own qsub has more to say."""
    assert Pbs().submitted(said) == handle
    assert Pbs().submitted(handle) == handle


def test_what_is_no_handle_is_none() -> None:
    """And nothing is guessed."""
    with pytest.raises(ValueError, match="job accepted"):
        Pbs().submitted("job accepted\n")
    assert Pbs().member("1009[].server", 3) == "1009[3].server"


@pytest.mark.parametrize(
    ("job", "meant"),
    [
        ({"job_state": "Q"}, Observation(JobState.submitted)),
        (
            {"job_state": "Q", "comment": "Not Running: Insufficient amount of resource: ncpus "},
            Observation(JobState.submitted, reason="Not Running: Insufficient amount of resource: ncpus"),
        ),
        ({"job_state": "H"}, Observation(JobState.submitted, reason="held")),
        ({"job_state": "R", "comment": "Job run at Wed"}, Observation(JobState.running)),
        ({"job_state": "B"}, Observation(JobState.running)),
        ({"job_state": "S"}, Observation(JobState.running, reason="suspended")),
        ({"job_state": "E", "Exit_status": 0}, Observation(JobState.running, reason="exiting")),
        ({"job_state": "F", "Exit_status": 0, **RAN}, Observation(JobState.ended, 0)),
        ({"job_state": "F", "Exit_status": 137, **RAN}, Observation(JobState.ended, 137)),
        ({"job_state": "X", **RAN}, Observation(JobState.ended)),
        (
            {"job_state": "F"},
            Observation(JobState.ended, None, "deleted in PBS before it began", AttemptState.killed),
        ),
        (
            {"job_state": "F", "Exit_status": 271, **RAN},
            Observation(JobState.ended, None, "cancelled in PBS (SIGTERM)", AttemptState.killed),
        ),
        (
            {
                "job_state": "F",
                "Exit_status": 271,
                "resources_used": {"walltime": "00:01:04"},
                "Resource_List": {"walltime": "00:01:00"},
            },
            Observation(JobState.ended, None, "its walltime was over, and PBS ended it", AttemptState.timed_out),
        ),
        (
            {"job_state": "F", "Exit_status": -29, **RAN},
            Observation(JobState.ended, None, "its walltime was over, and PBS ended it", AttemptState.timed_out),
        ),
        (
            {"job_state": "F", "Exit_status": -27, **RAN},
            Observation(
                JobState.ended, None, "out of memory: it took more than it had asked for", AttemptState.out_of_memory
            ),
        ),
        (
            {"job_state": "F", "Exit_status": -3, "comment": "job held, too many failed attempts to run", **RAN},
            Observation(
                JobState.lost,
                None,
                "PBS could not run it, and gave up trying (job held, too many failed attempts to run)",
                AttemptState.lost,
            ),
        ),
        (
            {"job_state": "M"},
            Observation(JobState.unknown, reason="PBS says state M, which means nothing here"),
        ),
    ],
)
def test_each_answer_has_a_meaning(job: dict[str, Any], meant: Observation) -> None:
    """Walltime, memory, a colleague and a node that failed are four different things."""
    assert seen(job) == meant


def test_a_job_is_known_by_each_form_of_its_handle() -> None:
    """With the server's full name, with the first word of it, and without."""
    said = b'{"Jobs": {"7.pbs.example.org": {"job_state": "R"}}}'
    assert set(Pbs().seen(Ran(0, said))) == {"7.pbs.example.org", "7.pbs", "7"}


@pytest.mark.parametrize("code", [153, 35])
def test_those_that_are_known_are_told_beside_those_that_are_not(code: int) -> None:
    """Qstat fails then, and prints all the same."""
    assert seen({"job_state": "R"}, code) == Observation(JobState.running)
    assert Pbs().seen(Ran(code, b"", b"qstat: Unknown Job Id 9.pbs\n")) == {}


def test_a_server_that_does_not_answer_tells_nothing_of_any_job() -> None:
    """Else a job would be taken for gone."""
    said = b"Connection refused\nqstat: cannot connect to server pbs (errno=111)\n"
    with pytest.raises(OperatorError, match="qstat failed: Connection refused"):
        Pbs().seen(Ran(111, b"", said))


def test_what_is_not_quite_json_is_read_all_the_same() -> None:
    """PBS takes each value that begins like a number for one."""
    text = """{ "timestamp":1, "Jobs":{
        "7.pbs":{ "Job_Name":007, "job_state":"F", "Resource_List":{"ncpus":1, "walltime":"00:01:00"},
            "Variable_List":{"A":0x10, "B":"}", "C":inf}, "comment":"Job run and \\"failed\\"", "Exit_status":3 },
        "8[2].pbs":{ "job_state":"R", "Variable_List":{"A":1e} }
    } }"""
    told = Pbs().seen(Ran(0, text.encode()))
    assert (told["7.pbs"], told["8[2].pbs"]) == (Observation(JobState.ended, 3), Observation(JobState.running))


XML = (
    "<Data><Job><Job_Id>24.batch</Job_Id><Job_Name>n</Job_Name><resources_used><walltime>00:00:05</walltime>"
    "</resources_used><job_state>C</job_state><Resource_List><walltime>00:01:00</walltime></Resource_List>"
    "<Variable_List>A=<b>&,PS1=x</Variable_List><exit_status>STATUS</exit_status><stime>1</stime></Job>"
    "<Job><Job_Id>25[3].batch</Job_Id><job_state>Q</job_state></Job></Data>"
)


@pytest.mark.parametrize(
    ("status", "meant"),
    [
        ("0", Observation(JobState.ended, 0)),
        ("271", Observation(JobState.ended, None, "cancelled in PBS (SIGTERM)", AttemptState.killed)),
        (
            "-11",
            Observation(JobState.ended, None, "its walltime was over, and Torque ended it", AttemptState.timed_out),
        ),
        (
            "-10",
            Observation(
                JobState.ended, None, "out of memory: it took more than it had asked for", AttemptState.out_of_memory
            ),
        ),
    ],
)
def test_torque_answers_in_xml(status: str, meant: Observation) -> None:
    """Whatever stands in a job's environment."""
    told = Torque().seen(Ran(153, XML.replace("STATUS", status).encode()))
    assert (told["24.batch"], told["25[3].batch"]) == (meant, Observation(JobState.submitted))
    assert Torque().seen(Ran(0, b"")) == {}


@pytest.mark.parametrize(
    ("limit", "how"),
    [
        ("walltime 64", AttemptState.timed_out),
        ("mem 70kb", AttemptState.out_of_memory),
        ("vmem 1", AttemptState.out_of_memory),
    ],
)
def test_a_jobs_output_tells_why_it_was_killed(limit: str, how: AttemptState) -> None:
    """Where there is no history, nothing else does."""
    told = Pbs().why(f"working\n=>> PBS: job killed: {limit} exceeded limit 60\n")
    assert told is not None
    assert told.how is how
    assert Pbs().why("all is well") is None


def test_jobs_are_found_among_any_number_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A history may hold more than a command line; so those of a name are asked for."""
    select = 'case " $* " in *" -N "*) echo 7.pbs ;; *) seq -f %.0f.pbs 1000000 1300000 ;; esac'
    for name, script in {
        "qselect": select,
        "qstat": 'for id; do :; done; echo "Job Id: $id"; echo " Job_Name = a b"',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for dialect in (Pbs(), Torque()):
        ran = LocalTransport().run(dialect.find(["a b", "c"]), timeout=60)
        assert (ran.exit_code, dialect.found(ran.stdout.decode())) == (0, {"a b": "7.pbs"})


def test_names_are_found_by_their_numbers() -> None:
    """In the words of ``qstat -f``, which both have."""
    text = "Job Id: 7.pbs\n    Job_Name = a-1\nJob Id: 8[].pbs\n    Job_Name = array-2\n"
    assert Pbs().found(text) == {"a-1": "7.pbs", "array-2": "8[].pbs"}


@pytest.mark.parametrize(
    ("complaint", "refused"),
    [
        ("qsub: Unknown queue", True),
        ("qsub: Job violates queue and/or server resource limits", True),
        ("qsub: Unauthorized Request", True),
        ("qsub: directive error: -l select=x", True),
        ("qsub: cannot connect to server pbs (errno=111)", False),
        ("Connection timed out\nqsub: cannot connect to server pbs (errno=110)", False),
        ("qsub: would exceed queue generic's per-user limit", False),
        ("qsub: Maximum number of jobs already in queue", False),
        ("qsub: End of File", False),
        ("", False),
    ],
)
def test_what_is_wrong_is_told_from_what_is_away(complaint: str, *, refused: bool) -> None:
    """The one fails, and the other is tried again."""
    assert Pbs().refused(complaint) is refused
