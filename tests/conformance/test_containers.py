"""A job's command in a container, on every batch system: what it finds, how it ends, and that nothing of it stays."""

# ruff: noqa: F811 - a fixture that is imported is a parameter

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from heliostat.batch import Batch, Container, JobRequest, JobState, Rejected, begin
from heliostat.job import JobSpec
from heliostat.task import AttemptState
from heliostat.testing.batches import end, see, until
from tests.conformance.test_batches import elsewhere, opened, openpbs, there, torque  # noqa: F401 - fixtures
from tests.container_tools import TOOLS, ContainerTools, isolated

Open = Callable[[], Batch]
There = Callable[[Path], Path]
IMAGE = "python:3.12"

pytestmark = pytest.mark.skipif(not isolated(), reason="nothing may have another root here")


@pytest.fixture(params=TOOLS)
def tool(request: pytest.FixtureRequest) -> str:
    """Which container tool."""
    return str(request.param)


@pytest.fixture
def tools(tool: str, tmp_path: Path) -> ContainerTools:
    """The stand-in of that tool."""
    return ContainerTools(tmp_path / "tools", (tool,))


def boxed(
    directory: Path,
    command: str | tuple[str, ...],
    program: str,
    *,
    image: str = IMAGE,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> JobRequest:
    """What to run, in a container."""
    container = Container(image, "spread", (program,) if program else ())
    return JobRequest("abc/1", str(directory), command, env or {}, None, timeout, container=container)


def gone(tools: ContainerTools) -> None:
    """Wait until engines have no container any more."""
    until(lambda: not tools.running())


def test_a_command_finds_its_directory_and_nothing_else_of_the_machine(
    opened: Open, tools: ContainerTools, tmp_path: Path, there: There
) -> None:
    """The same path, as working directory and home; the image's own files; what it writes is its caller's."""
    batch, job, outside = opened(), tmp_path / "a job's", Path("/var/tmp", f"outside-{os.getpid()}")
    job.mkdir()
    (job / "given").write_text("given")
    outside.write_text("secret")
    try:
        told = f"cat given; cat /etc/image; pwd; echo $HOME; ls {outside}; id -u > out.txt; exit 3"
        begin(batch, boxed(job, told, tools.program()))
        assert end(batch, job).exit_code == 3
    finally:
        outside.unlink()
    left = batch.collect(job, JobSpec("…", outputs="out.txt"))
    assert left.stdout == f"givenhere\n{there(job)}\n{there(job)}"
    assert (left.reason, left.how) == ("exit code 3", AttemptState.failed)
    assert str(outside) in left.stderr
    assert left.outputs == job / "out.txt"
    assert (job / "out.txt").read_text() == f"{os.getuid()}\n"
    assert (job / "out.txt").stat().st_uid == os.getuid()
    gone(tools)


def test_variables_arrive_whole_and_stand_in_no_command_line(
    opened: Open,
    tools: ContainerTools,
    tmp_path: Path,
) -> None:
    """Whatever they are called and hold: also names that the script itself uses, and a PATH of the image's own."""
    hostile = {"A": "'; touch x; '", "B": "$(touch x)\n\nend", "C": '`touch x` naïve \\ "', "name": "n", "each": "e"}
    hostile |= {"PATH": "/usr/bin:/nowhere", "here": "h", "program": "p", "heliostat_env_A": "not A"}
    told = "".join(f"printf '%s\\0' \"${name}\"; " for name in hostile)
    batch, job = opened(), tmp_path / "job"
    begin(batch, boxed(job, told, tools.program(), env=hostile))
    assert end(batch, job).exit_code == 0
    batch.collect(job, JobSpec("…"))
    assert (job / "stdout").read_bytes().decode().split("\0")[:-1] == list(hostile.values())
    assert not (job / "x").exists()
    assert not (job / "job.env").exists()
    (call,) = tools.calls("exec") + tools.calls("run")
    assert not [word for word in call for value in (hostile["A"], hostile["B"]) if value in word]


def test_a_list_of_words_needs_no_shell(opened: Open, tools: ContainerTools, tmp_path: Path) -> None:
    """They are the program and its arguments, as they stand."""
    batch, job = opened(), tmp_path / "job"
    begin(batch, boxed(job, ("printf", "%s|", "$HOME", "a b", "it's", "*", ""), tools.program()))
    assert end(batch, job).exit_code == 0
    batch.collect(job, JobSpec("…"))
    assert (job / "stdout").read_text() == "$HOME|a b|it's|*||"


def test_what_the_tool_could_not_start_is_told_from_what_the_command_did(
    opened: Open,
    tools: ContainerTools,
    tool: str,
    tmp_path: Path,
) -> None:
    """Which tool, node, queue and image it was; the tool's own exit code is the command's, if that has begun."""
    batch, own = opened(), 255 if tool in ("apptainer", "singularity") else 125
    jobs = {
        "unknown": boxed(tmp_path / "unknown", "echo begun", tools.program(), image="never:1"),
        "mine": boxed(tmp_path / "mine", f"exit {own}", tools.program()),
        "words": boxed(tmp_path / "words", ("no-such-program",), tools.program()),
    }
    batch.submit(list(jobs.values()))
    left = {}
    for name in jobs:
        assert end(batch, tmp_path / name).state is JobState.ended
        left[name] = batch.collect(tmp_path / name, JobSpec("…"))
    reason = str(left["unknown"].reason)
    assert reason.startswith(f"{tool}, on "), reason
    assert " did not start job spread of queue default with image " in reason
    assert reason.endswith(f"never:1 (exit code {own})")
    assert left["mine"].reason == f"exit code {own}"
    assert str(left["words"].reason).startswith(f"exit code {255 if own == 255 else 127}")
    assert "no-such-program" in left["words"].stderr


def test_a_cancelled_command_hears_of_it_and_its_container_goes(
    opened: Open, tools: ContainerTools, tmp_path: Path, there: There
) -> None:
    """TERM is for the command, through whatever is around it."""
    batch, job = opened(), tmp_path / "job"
    told = "trap 'echo heard; exit 5' TERM; : > begun; while :; do sleep 0.05; done"
    begin(batch, boxed(job, told, tools.program()))
    until((there(job) / "begun").exists)
    batch.cancel([job], 60)
    assert end(batch, job).reason == "cancelled"
    batch.collect(job, JobSpec("…"))
    assert (job / "stdout").read_text() == "heard\n"
    gone(tools)


def test_a_time_out_ends_the_container(opened: Open, tools: ContainerTools, tmp_path: Path) -> None:
    """It has timed out, and nothing of it is left."""
    batch, job = opened(), tmp_path / "job"
    begin(batch, boxed(job, "trap '' TERM; while :; do sleep 0.05; done", tools.program(), timeout=1.0))
    seen = end(batch, job)
    assert (seen.how, seen.reason) == (AttemptState.timed_out, "timed out after 1 s")
    gone(tools)


@pytest.mark.parametrize("opened", ["local"], indirect=True)
class TestOnThisMachine:
    """What no batch system makes otherwise, or what a scheduler may prevent: it kills guards, too."""

    def test_a_command_that_does_not_hear_is_gone_when_the_grace_is_over(
        self, opened: Open, tools: ContainerTools, tmp_path: Path
    ) -> None:
        """And so is its container."""
        batch, job = opened(), tmp_path / "job"
        begin(batch, boxed(job, "trap '' TERM; : > begun; while :; do sleep 0.05; done", tools.program()))
        until((job / "begun").exists)
        until(lambda: batch.cancel([job], 0.3) or see(batch, job).state.final)  # type: ignore[func-returns-value]
        assert see(batch, job).reason == "cancelled"
        gone(tools)

    def test_a_wrapper_that_is_killed_takes_its_container_with_it(
        self,
        opened: Open,
        tmp_path: Path,
    ) -> None:
        """The guard is not of its group, and hears that it is gone."""
        tools, batch, job = ContainerTools(tmp_path / "tools"), opened(), tmp_path / "job"
        handle = begin(batch, boxed(job, ": > begun; sleep 600", tools.program()))
        until((job / "begun").exists)
        assert len(tools.running()) == 1
        os.killpg(int(handle.partition("@")[0]), signal.SIGKILL)
        assert end(batch, job).state is JobState.lost
        gone(tools)
        until(lambda: not (job / "job.guard").exists())

    @pytest.mark.parametrize(
        ("name", "words", "without"),
        [
            ("docker", ["--user", f"{os.getuid()}:{os.getgid()}"], "--userns"),
            ("podman", ["--user", f"{os.getuid()}:{os.getgid()}"], "--network"),
        ],
    )
    def test_an_engine_runs_it_as_its_caller(
        self,
        opened: Open,
        tmp_path: Path,
        name: str,
        words: list[str],
        without: str,
    ) -> None:
        """So that the files are the caller's."""
        tools, batch, job = ContainerTools(tmp_path / "tools", (name,)), opened(), tmp_path / "job"
        begin(batch, boxed(job, "true", tools.program()))
        assert end(batch, job).exit_code == 0
        (call,) = tools.calls("run")
        at = call.index(words[0])
        assert call[at : at + 2] == words
        assert without not in call
        assert {"--rm", "--init"} <= set(call)

    def test_in_a_rootless_engine_root_is_the_caller(self, opened: Open, tmp_path: Path) -> None:
        """Any other number would be somebody else's outside."""
        tools, batch, job = ContainerTools(tmp_path / "tools"), opened(), tmp_path / "job"
        (tmp_path / "tools" / "rootless").touch()
        begin(batch, boxed(job, "true", tools.program()))
        assert end(batch, job).exit_code == 0
        assert "--user" not in tools.calls("run")[0]

    def test_a_podman_that_is_called_docker_is_treated_as_what_it_is(
        self,
        opened: Open,
        tmp_path: Path,
    ) -> None:
        """It says so itself."""
        ContainerTools(tmp_path / "tools", ("podman",))
        batch, job = opened(), tmp_path / "job"
        (tmp_path / "tools" / "bin" / "docker").symlink_to("podman")
        begin(batch, boxed(job, "true", str(tmp_path / "tools" / "bin" / "docker"), image="never:1"))
        end(batch, job)
        assert str(batch.collect(job, JobSpec("…")).reason).startswith("podman, on ")

    def test_the_options_of_the_tool_come_before_the_image(self, opened: Open, tmp_path: Path) -> None:
        """Each as one word, whatever is in it."""
        tools, batch, job = ContainerTools(tmp_path / "tools"), opened(), tmp_path / "job"
        container = Container(IMAGE, "spread", (tools.program(), "--network", "a 'b' $(touch x)"))
        begin(batch, JobRequest("abc/1", str(job), "true", container=container))
        assert end(batch, job).exit_code == 0, (job / "stderr").read_text()
        (call,) = tools.calls("run")
        at = call.index("--network")
        assert call[at + 1] == "a 'b' $(touch x)"
        assert at < call.index(IMAGE)

    @pytest.mark.parametrize(
        ("there", "image", "taken"),
        [
            (("docker", "podman"), IMAGE, "podman"),
            (("docker",), f"docker://{IMAGE}", "docker"),
            (("docker", "apptainer"), IMAGE, "apptainer"),
            (("docker", "singularity"), "/images/tool.sif", "singularity"),
        ],
    )
    def test_without_a_word_the_first_that_is_there_is_taken(
        self,
        opened: Open,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        there: tuple[str, ...],
        image: str,
        taken: str,
    ) -> None:
        """Of those that can take the image."""
        tools = ContainerTools(tmp_path / "tools", there, (IMAGE, "/images/tool.sif"))
        monkeypatch.setenv("PATH", f"{tmp_path}/tools/bin:{_plain(tmp_path)}")
        batch, job = opened(), tmp_path / "job"
        begin(batch, boxed(job, "cat /etc/image", "", image=image))
        assert end(batch, job).exit_code == 0, (job / "stderr").read_text()
        assert [call[0] for call in tools.calls("run") + tools.calls("exec")] == [taken]

    @pytest.mark.parametrize(
        ("there", "program", "image", "said"),
        [
            ((), "", IMAGE, "nothing that runs containers (apptainer singularity podman docker) was found on "),
            ((), "", "/i/x.sif", "nothing that runs containers (apptainer singularity) was found on "),
            (
                (),
                "/opt/bin/docker",
                IMAGE,
                "/opt/bin/docker, which queue default names for containers, was not found on ",
            ),
            (("docker",), "docker", "/i/x.sif", "docker, on "),
            (("docker",), "docker", "oras://host/x:1", "docker, on "),
        ],
    )
    def test_what_cannot_run_it_is_told_in_a_sentence(
        self,
        opened: Open,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        there: tuple[str, ...],
        program: str,
        image: str,
        said: str,
    ) -> None:
        """With node, image and queue, and what to do."""
        ContainerTools(tmp_path / "tools", there)
        monkeypatch.setenv("PATH", f"{tmp_path}/tools/bin:{_plain(tmp_path)}")
        batch, job = opened(), tmp_path / "job"
        begin(batch, boxed(job, "true", program, image=image))
        assert end(batch, job).exit_code == 127
        reason = str(batch.collect(job, JobSpec("…")).reason)
        assert reason.startswith(said), reason
        for word in ("job spread", "queue default", image):
            assert word in reason

    def test_a_directory_that_cannot_be_mounted_is_refused(self, opened: Open, tmp_path: Path) -> None:
        """Commas and colons part what is said of a mount."""
        (reply,) = opened().submit([boxed(tmp_path / "a,b", "true", "docker")])
        assert isinstance(reply, Rejected)
        assert "cannot have a comma, a colon or a quote" in reply.reason

    def test_a_files_owner_alone_can_read_what_a_variable_holds(self, opened: Open, tmp_path: Path) -> None:
        """It waits in a file until the command begins; the script that people may read does not have it."""
        batch, job = opened(), tmp_path / "job"
        slow = tmp_path / "docker"
        slow.write_text(
            '#!/bin/sh\n[ "$1" != --version ] || stat -c %a job.env > mode\nexit 1\n'
        )  # asked before all else
        slow.chmod(0o755)
        begin(batch, boxed(job, "true", str(slow), env={"TOKEN": "hidden-value"}))
        end(batch, job)
        assert (job / "mode").read_text() == "600\n"
        kept = {path.name: path.read_text() for path in job.iterdir() if path.is_file()}
        assert not [name for name, text in kept.items() if "hidden-value" in text]


def _plain(folder: Path) -> str:
    """A folder with what a script needs, and no container tool."""
    plain = folder / "plain"
    plain.mkdir(exist_ok=True)
    for program in ("sh", "uname", "env", "sed", "id", "rm", "mkfifo", "setsid", "sleep", "cat", "date", "python3"):
        for place in ("/usr/bin", "/bin"):
            if (found := Path(place, program)).exists():
                (plain / program).symlink_to(found)
                break
    return str(plain)


def test_a_stand_in_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    """Else a wrong option would pass here."""
    tools = ContainerTools(tmp_path)
    assert tools.running() == []
    status = os.spawnl(os.P_WAIT, tools.program(), "docker", "run", "--no-such", IMAGE)
    assert status == 125
