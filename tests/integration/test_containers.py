"""Jobs in containers, as authors and operators meet them: from the definition to what is told of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import heliostat
from heliostat import Secret, Workflow, testing
from heliostat.cli import app
from heliostat.engine import Engine
from heliostat.run import RunState
from tests.container_tools import ContainerTools, isolated

IMAGE = "python:3.12"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ContainerTools:
    """A stand-in for docker, which the queue names, in the current directory."""
    monkeypatch.chdir(tmp_path)
    tools = ContainerTools(tmp_path / "tools")
    Path("heliostat.toml").write_text(f'queues.default = {{ containers = "{tools.program()} --network none" }}\n')
    return tools


@pytest.fixture
def engine(tools: ContainerTools) -> Iterator[Engine]:
    """An engine as it is configured."""
    del tools
    with heliostat.open("sqlite:///h.db", files="files") as opened:
        yield opened


@pytest.fixture
def call(tools: ContainerTools) -> Callable[..., Result]:
    """Call the program where all is configured."""
    del tools

    def done(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return done


def survey() -> Workflow:
    """A file that goes through a container, and a secret that it is given."""
    flow = Workflow("survey")

    @flow.node
    def field(ctx: heliostat.Context, message: dict[str, str]) -> Path:
        (ctx.dir / "field.txt").write_text(message["field"])
        return ctx.dir / "field.txt"

    flow.job(
        "stars",
        "cat {field} /etc/image > stars.txt; ls {files} >> stars.txt; cat {input} > {output}.tmp; "
        'printf %s "$TOKEN" | wc -c >> stars.txt',
        outputs="stars.txt",
        image=IMAGE,
        env={"TOKEN": Secret("token")},
    )
    return flow


@pytest.mark.skipif(not isolated(), reason="nothing may have another root here")
def test_files_inputs_and_secrets_reach_the_command(
    engine: Engine, tools: ContainerTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes before it is in its directory, and what it leaves there becomes an artifact."""
    monkeypatch.setenv("HELIOSTAT_SECRET_TOKEN", "open sesame")
    flow = survey()
    run = engine.run(flow, {"field": "M31"})
    assert run.state is RunState.succeeded, run.explain()
    with engine.around.repository.open(run.result("stars")) as file:
        assert file.read().split() == [b"M31here", b"field.txt", b"11"]
    (words,) = tools.calls("run")
    assert words[words.index("--network") + 1] == "none"
    assert "open sesame" not in json.dumps(words)
    assert not list(Path("files/jobs").rglob("job.env"))


def test_a_tool_that_is_not_there_is_told_with_node_queue_and_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason of the run says it in one sentence."""
    monkeypatch.chdir(tmp_path)
    Path("heliostat.toml").write_text('queues.gpu = { containers = "/opt/none/apptainer --nv" }\n')
    flow = Workflow("missing")
    flow.job("stars", "true", image=IMAGE, queue="gpu")
    with heliostat.open("sqlite:///h.db", files="files") as engine:
        run = engine.run(flow)
    assert run.info.reason == (
        f"stars: /opt/none/apptainer, which queue gpu names for containers, was not found on {os.uname().nodename}; "
        f"job stars wants image docker://{IMAGE}"
    )


def test_an_engine_that_is_away_is_told_in_its_own_words(engine: Engine, tools: ContainerTools) -> None:
    """Behind the sentence that says which job of which image was not started."""
    tools.fail("docker", "docker: Cannot connect to the Docker daemon at unix:///run/docker.sock.")
    flow = Workflow("away")
    flow.job("stars", "true", image=IMAGE)
    reason = str(engine.run(flow).info.reason)
    assert reason.startswith("stars: docker, on ")
    assert (
        "did not start job stars of queue default with image docker://python:3.12 (exit code 125): docker: Cannot"
        in reason
    )


@pytest.mark.skipif(not isolated(), reason="nothing may have another root here")
def test_a_run_that_is_cancelled_leaves_no_container(engine: Engine, tools: ContainerTools) -> None:
    """Nor does a job that its worker has left behind: whoever adopts it ends it."""
    flow = Workflow("long")
    flow.job("stars", ": > begun; while :; do sleep 0.05; done", image=IMAGE)
    run = engine.start(flow)

    def begun() -> bool:
        return bool(list(Path("files/jobs").rglob("begun")))

    engine.work(until=begun)
    assert len(tools.running()) == 1
    run.cancel("enough")
    engine.work(until=lambda: not tools.running())
    assert run.state is RunState.cancelled


def test_the_image_is_data_and_no_structure() -> None:
    """It goes to JSON and back, is stored with the graph, and may change within a version, as a command may."""
    flow = Workflow("data")
    flow.job("stars", "stars", image="ghcr.io/observatory/stars@sha256:" + "a" * 64)
    written = flow.to_json()
    assert written["nodes"][0]["image"] == "ghcr.io/observatory/stars@sha256:" + "a" * 64
    assert Workflow.from_json(written).graph.nodes == flow.graph.nodes
    assert type(flow.graph).from_json(flow.graph.to_json()) == flow.graph
    other = Workflow("data")
    other.job("stars", "stars", image="/images/stars.sif")
    assert other.graph.fingerprint == flow.graph.fingerprint


def test_a_test_sees_the_image_beside_the_command(tmp_path: Path) -> None:
    """Of a job that has one."""
    flow = Workflow("seen")
    boxed = flow.job("stars", ["stars", "{message}"], image=IMAGE)
    plain = flow.job("plain", "stars {message}")
    assert (testing.call(boxed, 3).command, testing.call(boxed, 3).image) == (("stars", "3"), IMAGE)
    assert testing.call(plain, 3).image is None


def test_people_and_programs_are_told_the_image(call: Callable[..., Result], tmp_path: Path) -> None:
    """In `workflow show`; what runs it is in `config show`, and the doctor says if that is not here."""
    Path("flow.py").write_text(
        f"from heliostat import Workflow\nflow = Workflow('flow')\nflow.job('stars', 'true', image='{IMAGE}')\n"
    )
    assert f"image {IMAGE}" in call("workflow", "show", "flow.py:flow").stdout
    assert json.loads(call("workflow", "show", "flow.py:flow", "--json").stdout)["nodes"][0]["image"] == IMAGE
    shown = json.loads(call("config", "show", "--json").stdout)["queues"]["default"]
    assert shown["containers"] == f"{tmp_path}/tools/bin/docker --network none"
    assert "containers" in call("config", "show").stdout

    def found() -> list[dict[str, Any]]:
        told = json.loads(call("doctor", "--json").stdout)
        return [finding for finding in told if finding["about"] == "containers"]

    assert [(each["verdict"], each["text"]) for each in found()] == [
        ("good", f"{tmp_path}/tools/bin/docker runs the images of queue default")
    ]
    Path("heliostat.toml").write_text('queues.gpu = { containers = "/opt/none/apptainer" }\n')
    assert [(each["verdict"], each["text"]) for each in found()] == [
        ("doubtful", "/opt/none/apptainer, which is to run the images of queue gpu, is not here")
    ]
    Path("heliostat.toml").write_text('queues.gpu = { executor = "slurm", containers = "/opt/none/apptainer" }\n')
    assert found() == []
