"""The grid of subjects by nodes: what operators see, and that it is what is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import heliostat
from heliostat import Snooze, Workflow
from heliostat.engine import Engine
from heliostat.grid import Seen, grid
from heliostat.task import TaskState
from tests.integration.test_cli import Shell, shell  # noqa: F401 - a fixture


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Give an engine that runs jobs on this machine."""
    with heliostat.open("memory://", files=tmp_path) as opened:
        yield opened


def of_all_kinds(directory: Path) -> Workflow:
    """A workflow in which a subject's name says what becomes of it."""
    flow = Workflow("kinds")

    def prepare(message: str) -> object:
        return Snooze("1h") if message == "waiting" else message

    def finish(message: str, output: str) -> str:
        if message == "failed":
            raise ValueError("there is nothing on it")
        return output

    wait = f"if grep -q running {{input}}; then while ! test -e {directory}/go; do sleep 0.05; done; fi"
    command = f"{wait}; if grep -q execution {{input}}; then exit 3; fi; cp {{input}} {{output}}"
    flow.job("step", command, prepare=prepare, finish=finish)
    flow.node(lambda: 1, name="next", after="step")
    return flow


def test_each_subject_is_seen_as_it_stands(engine: Engine, tmp_path: Path) -> None:
    """Failed is what came after the program, failed execution the program itself; killed had begun."""
    flow = of_all_kinds(tmp_path)
    names = ("success", "waiting", "failed", "failed execution", "running")
    runs = {name: engine.start(flow, name, name=name) for name in names}
    done = [runs[name] for name in ("success", "failed", "failed execution")]
    engine.work(until=lambda: all(run.over for run in done) and runs["running"].tasks()[0].count > 0)
    rows = {row.subject: row.cells for row in grid(engine, "kinds").rows}
    assert list(rows) == list(names)
    assert {name: str(cells["step"].state) for name, cells in rows.items()} == {name: name for name in names}
    assert rows["success"]["next"].state is Seen.success
    assert "next" not in rows["failed"]
    runs["running"].cancel("not needed")
    runs["waiting"].cancel("not needed")
    engine.work(until=runs["running"])
    after = {row.subject: row.cells["step"].state for row in grid(engine, "kinds").rows}
    assert after["running"] is Seen.killed


def test_a_program_that_has_ended_and_was_not_looked_at_has_finished_execution(engine: Engine, tmp_path: Path) -> None:
    """Its worker may be gone."""
    flow = of_all_kinds(tmp_path)
    run = engine.start(flow, "running", name="it")
    engine.work(until=lambda: bool(list((tmp_path / "jobs").glob("*/*/job.claim"))))
    [place] = (tmp_path / "jobs").glob("*/*")
    assert run.tasks()[0].state is TaskState.running
    (place / "job.exit_code").write_text("0")
    assert grid(engine, "kinds").rows[0].cells["step"].state is Seen.finished_execution
    (tmp_path / "go").touch()


def test_a_subject_is_its_newest_run_and_its_parts_are_counted_in(engine: Engine) -> None:
    """Earlier runs and rows of the parts are there for the asking."""
    part, flow = Workflow("part"), Workflow("whole")
    part.node(lambda message: message, name="inner")
    flow.node(lambda: [1, 2, 3], name="list")
    flow.subworkflow("parts", part, map={"message": "list"})
    flow.node(lambda: 1, name="last", after="parts")
    for _ in range(2):
        engine.run(flow, name="plate")
    found = grid(engine, "whole")
    assert found.nodes == ("list", "inner", "last")
    [row] = found.rows
    assert (row.subject, row.cells["inner"].tasks) == ("plate", {Seen.success: 3})
    assert len(grid(engine, "whole", every=True).rows) == 2
    with_parts = grid(engine, "whole", parts=True).rows
    assert [(each.subject, each.depth) for each in with_parts] == [
        ("plate", 0),
        ("parts[0]", 1),
        ("parts[1]", 1),
        ("parts[2]", 1),
    ]


def test_the_command_shows_it_to_people_and_to_programs(shell: Shell, tmp_path: Path) -> None:  # noqa: F811
    """From a file of Blue Sky's to the grid, by commands alone."""
    look = "import json, sys; json.dump(1, open(sys.argv[4], 'w'))"
    text = f"executables: {{x: {{path: python3, args: [-c, {json.dumps(look)}]}}}}\n"
    text += "workflows: {survey: {states: [{key: look, executable: x}, {key: tell, executable: x}], "
    (tmp_path / "survey.yaml").write_text(text + "graph: [[look, [tell]]]}}\n", "utf-8")
    assert [flow["name"] for flow in shell.json("workflow", "import", str(tmp_path / "survey.yaml"))] == ["survey"]
    assert shell("workflow", "grid", "survey").stdout == "no subjects\n"
    first = shell("run", "start", "survey", "tile=7", "--name", "plate-7", "--key", "plate-7").stdout
    again = shell("run", "start", "survey", "tile=7", "--name", "plate-7", "--key", "plate-7").stdout
    assert first == again
    assert "plate-7" in shell("workflow", "grid", "survey", "--open").stdout
    shell("worker", "start", "--until", "idle")
    [subject] = shell.json("workflow", "grid", "survey")["subjects"]
    assert {name: cell["state"] for name, cell in subject["nodes"].items()} == {"look": "success", "tell": "success"}
    assert shell("workflow", "grid", "survey", "--open").stdout == "no subject is open; 1 is at rest\n"
    refused = shell("workflow", "grid", "survay", code=4)
    assert "there is no workflow 'survay'; did you mean 'survey'?" in refused.stderr


def test_of_a_bad_second_file_nothing_is_kept_and_the_first_stays(shell: Shell, tmp_path: Path) -> None:  # noqa: F811
    """The sentence names file and line."""
    head = "executables: {x: {path: cp, remote_queue: pbs, pbs_queue: q}"
    rest = "}\nworkflows: {survey: {states: [{key: look, executable: x}]}}\n"
    (tmp_path / "good.yaml").write_text(head + rest, "utf-8")
    (tmp_path / "bad.yaml").write_text(head + ",\n  y: {path: cp, remote_queue: pbs}" + rest, "utf-8")
    shell("workflow", "import", str(tmp_path / "good.yaml"))
    refused = shell("workflow", "import", str(tmp_path / "bad.yaml"), code=4)
    assert "bad.yaml, line 2: executables.y: its remote_queue is 'pbs', so the key 'pbs_queue' is missing" in (
        refused.stderr
    )
    assert [flow["name"] for flow in shell.json("workflow", "list")] == ["survey"]
