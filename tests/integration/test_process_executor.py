"""Functions in processes: as in threads, but that they can be killed, limited, and listened to."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import heliostat
from heliostat.cli import app
from heliostat.engine import Engine
from heliostat.executors import process
from heliostat.handle import RunHandle
from heliostat.run import task_id
from tests.integration import processes as flows

PATIENCE = 200.0  #: seconds after which something that should happen has not


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Give what opens engines on a database each."""
    engines: list[Engine] = []

    def open_one(executor: str = "process", slots: int = 2) -> Engine:
        where = tmp_path / f"{executor}-{len(engines)}"
        where.mkdir()
        engines.append(heliostat.open(where / "h.db", files=where, executor=executor, slots=slots))
        return engines[-1]

    yield open_one
    for engine in engines:
        engine.close()


@contextmanager
def working(engine: Engine, run: RunHandle) -> Iterator[None]:
    """Work in another thread, until the run has ended."""
    thread = threading.Thread(target=engine.work, kwargs={"until": run})
    thread.start()
    yield
    thread.join(PATIENCE)
    assert not thread.is_alive()


def until(condition: Callable[[], Any]) -> Any:
    """Wait until something holds, and give it."""
    met, begun_at = threading.Event(), time.monotonic()
    while time.monotonic() - begun_at < PATIENCE:
        if found := condition():
            return found
        met.wait(0.01)
    raise AssertionError("it did not come about")


def content(file: Path) -> str:
    """What a file holds; nothing while there is none."""
    with suppress(FileNotFoundError):
        return file.read_text()
    return ""


def children() -> set[str]:
    """The processes that threads of this one have begun and nobody has waited for yet."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in content(task / "children").split()}


def alive(pid: int | str) -> bool:
    """Whether a process is there and no zombie."""
    state = content(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return bool(state) and state[0] not in "ZX"


def fates(run: RunHandle) -> dict[str, tuple[str, str | None]]:
    """How the tasks of a run came out, by title."""
    return {task.title: (str(task.state), task.reason) for task in run.tasks()}


def everything(engine: Engine, run: RunHandle) -> dict[str, Any]:
    """What a run leaves, but for ids and times."""
    line = re.compile(r":\d+\)")
    titles = {task.number: task.title for task in run.tasks()}
    tasks = sorted((t.title, str(t.state), line.sub(")", t.reason or ""), t.result) for t in run.tasks())
    return {
        "state": str(run.state),
        "tasks": tasks,
        "records": sorted(json.dumps(record) for record in run.records()),
        "artifacts": sorted((kept.name, kept.digest, kept.tags) for kept in run.artifacts()),
        "attempts": sorted((titles[a.number], a.count, a.state, a.reason) for a in engine.store.attempts(run.key)),
        "logged": sorted((e.kind, e.text, e.node, str(e.fields)) for e in run.log() if e.kind in ("log", "progress")),
        "others": sorted((other.name, str(other.state), other.result()) for other in engine.runs("other")),
    }


def test_a_run_leaves_the_same_whether_threads_or_processes_have_run_it(opened: Callable[..., Engine]) -> None:
    """Results, records, files, messages, other runs, refusals, attempts and log lines."""
    left = []
    for executor in ("thread", "process"):
        engine = opened(executor)
        run = engine.start(flows.tour, {"n": 3}, name="the tour")
        engine.work(until="idle")
        left.append(everything(engine, run))
    assert left[0] == left[1]
    assert left[1]["state"] == "succeeded"
    assert left[1]["others"] == [("inner", "succeeded", 42)]
    assert json.dumps(["succeeded", 42]) in left[1]["records"]


def test_an_end_of_a_child_fails_its_own_attempt_and_says_how(opened: Callable[..., Engine]) -> None:
    """A signal by its name, an exit by its code, and the limit that its memory had."""
    engine = opened()
    run = engine.run(flows.fates)
    came = fates(run)
    assert came["crashes"] == ("failed", "its process was killed by SIGSEGV")
    assert came["goes"] == ("failed", "its process ended with exit code 3")
    assert came["is_killed"][1] == "its process was killed by SIGKILL, as when a machine has no memory left"
    assert came["is_told_to_end"] == ("failed", "its process was killed by SIGTERM")
    assert came["dies_of_much"] == ("failed", "its process was killed by SIGABRT; its memory is limited to 64MiB")
    assert (came["wants_much"][1] or "").startswith("MemoryError: its memory is limited to 64MiB (processes.py:")
    assert came["goes_on"] == ("succeeded", None)
    assert [a.count for a in engine.store.attempts(run.key) if "SIGKILL" in (a.reason or "")] == [1, 2]
    assert not list((engine.around.directory / "attempts").rglob("*.*"))


def test_what_does_not_end_in_time_is_killed_with_all_it_has_started(
    opened: Callable[..., Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TERM lets what is open be closed, and KILL comes after a grace; nothing is written off, and the place is free."""
    monkeypatch.setattr(process, "GRACE_SECONDS", 3.0)
    engine = opened(slots=2)
    run = engine.run(flows.late, str(tmp_path))
    assert fates(run) == dict.fromkeys(("deaf", "tidy"), ("failed", "timed out after 0.3 s"))
    states = [(a.count, a.state) for a in engine.store.attempts(run.key)]
    assert sorted(states) == [(1, "timed_out"), (1, "timed_out"), (2, "timed_out")]
    until(lambda: not any(alive(pid) for pid in content(tmp_path / "deaf").split()))
    assert content(tmp_path / "tidy-1") == content(tmp_path / "tidy-2") == "True"
    stood = [line.text for line in run.log() if "Terminated" in line.text]
    assert len(stood) == 2
    assert all("processes.py" in text and "in tidy" in text and "time.sleep(LONG)" in text for text in stood)
    worker = engine._worker
    assert worker is not None
    assert worker.executor.written_off == 0
    until(lambda: worker.executor.slots == 2)
    assert engine.run(flows.other, 4).result() == 8


def test_the_end_of_a_run_is_heard_in_the_child(opened: Callable[..., Engine], tmp_path: Path) -> None:
    """``ctx.cancelled`` turns true, as in a thread."""
    engine = opened()
    run = engine.start(flows.waits, str(tmp_path))
    with working(engine, run):
        until(lambda: content(tmp_path / "waits") and content(tmp_path / "beside"))
        run.cancel("clouds")
        until((tmp_path / "heard").exists)
        (tmp_path / "go").touch()
    assert run.state == "cancelled"


def test_a_task_that_is_cancelled_takes_its_child_along(opened: Callable[..., Engine], tmp_path: Path) -> None:
    """Though its function never looks whether it should end; the run fails with who did it."""
    engine = opened()
    run = engine.start(flows.waits, str(tmp_path))
    with working(engine, run):
        pid = int(until(lambda: content(tmp_path / "waits") and content(tmp_path / "beside")))
        run.cancel_task("beside", "it hangs")
        until(lambda: run.state == "failed")
        until(lambda: not Path(f"/proc/{pid}").exists())
    assert run.info.reason == "beside: cancelled by python: it hangs"


def test_a_child_that_is_killed_harms_no_other(opened: Callable[..., Engine], tmp_path: Path) -> None:
    """The one beside it goes on where it is."""
    engine = opened()
    run = engine.start(flows.waits, str(tmp_path))
    with working(engine, run):
        until(lambda: content(tmp_path / "waits") and content(tmp_path / "beside"))
        os.kill(int(content(tmp_path / "waits")), signal.SIGKILL)
        until(lambda: run.tasks(node="until_cancelled")[0].state == "failed")
        (tmp_path / "go").touch()
    came = fates(run)
    assert (came["until_cancelled"][1] or "").startswith("its process was killed by SIGKILL")


def test_children_do_not_survive_their_parent(tmp_path: Path) -> None:
    """Neither those of the executor nor what functions have started, when the worker is killed with -9."""
    (tmp_path / "p.py").write_text(
        "import heliostat, sys\n"
        "from tests.integration.processes import lonely\n"
        "with heliostat.open('sqlite:///h.db', executor='process', slots=1) as engine:\n"
        "    engine.run(lonely, sys.argv[1])\n"
    )
    parent = subprocess.Popen([sys.executable, "p.py", str(tmp_path)], cwd=tmp_path, env=surroundings())
    pids = until(lambda: content(tmp_path / "stays").split())
    assert all(alive(pid) for pid in pids)
    parent.kill()
    parent.wait()
    until(lambda: not any(alive(pid) for pid in pids))


def surroundings() -> dict[str, str]:
    """An environment in which programs find this checkout's modules."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def test_each_attempt_has_its_variables_and_its_directory(opened: Callable[..., Engine]) -> None:
    """And leaves nothing of them to the next one in the same child."""
    run = opened(slots=1).run(flows.place)
    assert run.info.reason is None
    inside, outside = run.result("inside"), run.result("outside")
    assert inside[:-1] == ["camera 2", "/nowhere", True, True]
    assert outside[:-1] == [None, False, True, True]
    assert inside[-1] == outside[-1] != os.getpid()


def test_a_node_with_variables_has_a_process_though_others_have_threads(opened: Callable[..., Engine]) -> None:
    """For they would be those of all threads."""
    run = opened("thread").run(flows.place)
    inside, outside = run.result("inside"), run.result("outside")
    assert inside[:-1] == ["camera 2", "/nowhere", True, True]
    assert outside[0] is None
    assert inside[-1] != outside[-1] == os.getpid()


def test_what_no_other_process_can_find_is_refused(opened: Callable[..., Engine]) -> None:
    """With a sentence, and at once."""
    run = opened().run(flows.closure())
    assert "node hidden: another process cannot find its function closure.<locals>.hidden" in (run.info.reason or "")


MAIN = """
import heliostat
from heliostat import Context, Retry, Workflow

class Cloud(Exception):
    pass

flow = Workflow("flow")

@flow.node(retry=Retry(1, delay=0, on=Cloud))
def look(ctx: Context, message: int) -> int:
    if ctx.attempt == 1:
        raise Cloud
    return message + 1

if __name__ == "__main__":
    with heliostat.open("sqlite:///h.db", executor="process", slots=1) as engine:
        print(engine.run(flow, 1).result())
"""


def test_a_workflow_of_the_program_itself_works(tmp_path: Path) -> None:
    """Its module is run again in the child, as multiprocessing does it; its exceptions keep their names."""
    (tmp_path / "main.py").write_text(MAIN)
    for command in (["main.py"], ["-m", "main"]):
        (tmp_path / "h.db").unlink(missing_ok=True)
        ran = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=surroundings(), capture_output=True, text=True, check=False
        )
        assert (ran.stdout, ran.stderr) == ("2\n", "")


def test_a_workflow_at_the_prompt_is_refused(tmp_path: Path) -> None:
    """For nobody could import it."""
    code = MAIN.replace("result()", "info.reason")
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=surroundings(), capture_output=True, text=True, check=False
    )
    assert (
        "node look: it is defined at the prompt or in a notebook, where another process cannot import it" in ran.stdout
    )


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Give what calls commands in a directory of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HELIOSTAT_EXECUTOR", "process")
    monkeypatch.setattr(sys, "path", list(sys.path))

    def call(*words: str) -> str:
        done = CliRunner().invoke(app, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return call


def test_what_a_process_prints_is_in_the_log_of_its_attempt(shell: Callable[..., Any]) -> None:
    """Line by line beside what it logs, with its stream; a task's log has those of its attempts."""
    where = "tests.integration.processes:talk"
    run = shell("run", "start", where).strip()
    shell("worker", "start", where, "--until", "idle", "--slots", "1")
    lines = json.loads(shell("task", "log", f"{run}/1", "--json"))
    assert {line["task"] for line in lines} == {f"{run}/1"}
    said = [(line["attempt"], line["kind"], line["text"]) for line in lines]
    for attempt in (1, 2):
        printed = [text for n, kind, text in said if (n, kind) == (attempt, "output") and text != "to stderr"]
        assert printed == [f"line {attempt}", "\ufffd raw", "half"]
        assert (attempt, "log", "between") in said
    assert {line["fields"]["stream"] for line in lines if line["text"] == "to stderr"} == {"stderr"}
    only = json.loads(shell("task", "log", f"{run}/1", "--json", "--attempt", "2"))
    assert {line["attempt"] for line in only} == {2}
    assert "line 1" in shell("task", "log", f"{run}/1")
    followed = shell("task", "log", f"{run}/1", "--follow", "--json").splitlines()
    assert [json.loads(line) for line in followed] == lines
    assert "line 2" in shell("run", "log", run)


def test_a_task_is_followed_while_it_runs(opened: Callable[..., Engine], tmp_path: Path) -> None:
    """Its lines come as they are written, and the last one is how it ended."""
    engine = opened(slots=2)
    where = engine.around.directory
    run = engine.start(flows.waits, str(tmp_path))
    number = run.tasks(node="beside")[0].number
    command = [
        sys.executable,
        "-m",
        "heliostat.cli",
        "--database",
        f"sqlite:///{where / 'h.db'}",
        "--files",
        str(where),
    ]
    command += ["task", "log", task_id(run.key, number), "--follow", "--json"]
    follows = subprocess.Popen(command, env=surroundings(), stdout=subprocess.PIPE, text=True)
    with working(engine, run):
        until(lambda: content(tmp_path / "beside"))
        assert follows.poll() is None
        (tmp_path / "go").touch()
        until(lambda: run.tasks(node="beside")[0].state == "succeeded")
        run.cancel("enough")
    said, _ = follows.communicate(timeout=PATIENCE)
    assert follows.returncode == 0
    assert [json.loads(line)["text"] for line in said.splitlines()] == ["succeeded"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_worker_stays_healthy_through_many_functions_that_ignore_their_time_out(
    opened: Callable[..., Engine], *, every_point: bool
) -> None:
    """Each is killed and its child replaced; nothing is left of them."""
    count = 100 if every_point else 25
    others = children()
    engine = opened(slots=4)
    run = engine.run(flows.stubborn, count)
    assert run.result() == count
    assert [a.state for a in engine.store.attempts(run.key)] == ["timed_out"] * count
    worker = engine._worker
    assert worker is not None
    until(lambda: worker.executor.slots == 4)
    assert not worker.exhausted
    assert len(children() - others) <= 5


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_threads_that_do_not_end_cost_a_worker_process_now_and_then(tmp_path: Path) -> None:
    """With sixteen of them it ends, and its supervisor starts another at once: all hundred are given up."""
    where = "tests.integration.processes:stubborn"
    base = [sys.executable, "-m", "heliostat.cli", "--database", "sqlite:///h.db"]
    options = {"cwd": tmp_path, "env": surroundings(), "text": True}
    started = subprocess.run([*base, "run", "start", where, "100"], capture_output=True, check=True, **options)  # type: ignore[call-overload]
    command = [*base, "worker", "start", where, "--executor", "thread", "--processes", "2", "--until", "idle"]
    worked = subprocess.run([*command, "--slots", "4"], capture_output=True, check=True, **options)  # type: ignore[call-overload]
    shown = subprocess.run(
        [*base, "run", "show", started.stdout.strip(), "--json"],
        capture_output=True,
        check=True,
        **options,  # type: ignore[call-overload]
    )
    found = json.loads(shown.stdout)
    assert (found["state"], found["result"]) == ("succeeded", 100)
    ends = re.findall(r"ended with status 7; it is started afresh in (\S+) s", worked.stderr)
    assert len(ends) >= 2
    assert set(ends) == {"0.5"}
