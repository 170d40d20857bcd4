"""The command line: what people type, what they read, what programs get, and with which code it ends."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

import heliostat
from heliostat.cli import app
from heliostat.cli.message import message
from heliostat.config import masked
from heliostat.errors import BadInput

PATIENCE = 200.0  #: seconds after which a process that should have ended has not

FLOWS = '''
"""Workflows that the tests run."""

from pathlib import Path
from typing import Literal

from heliostat import Context, Workflow

hello = Workflow("hello")

@hello.node
def greeting(message: dict[str, str]) -> str:
    return f"Hello, {message['name']}"

@hello.node
def letter(ctx: Context, greeting: str) -> str:
    ctx.log("a letter is written", to=greeting)
    (ctx.dir / "letter.txt").write_text(greeting)
    ctx.artifact(ctx.dir / "letter.txt", tags=("post",))
    return greeting + "!"

broken = Workflow("broken")

@broken.node
def boom() -> None:
    raise ValueError("[red]no\\x1b[31m")

tiles = Workflow("tiles", version="2")

@tiles.node
def split(message: int) -> list[int]:
    return list(range(message))

@tiles.node(map={"tile": split})
def draw(tile: int) -> int:
    return tile

counter = Workflow("counter", stays_open=True)

@counter.handler(serial=True)
def add(ctx: Context, message: int) -> None:
    ctx.put(message)

warning = Workflow("warning")

@warning.node
def forecast(message: float) -> float:
    return message

for name in ("first", "last"):
    warning.review(name, after=forecast, choices=("publish", "discard"), role="chief")

size = Workflow("size")

@size.node
def measure(message: dict[str, Path]) -> int:
    return len(message["file"].read_bytes())
'''


@dataclass
class Shell:
    """A directory with ``flows.py`` and a configuration, in which commands are called."""

    directory: Path

    def __call__(self, *words: str, code: int = 0, stdin: str | None = None) -> Result:
        """Call a command in this process, and see that it ends as it should."""
        done = CliRunner().invoke(app, words, input=stdin, catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done

    def json(self, *words: str, code: int = 0) -> Any:
        """Call a command, and read the one document that it writes."""
        return json.loads(self(*words, "--json", code=code).stdout)

    def says(self, *words: str, code: int) -> str:
        """Call a command that is refused, and give its one sentence."""
        done = self(*words, code=code)
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        return done.stderr.strip().removeprefix("heliostat: ")

    def start(self, *words: str) -> str:
        """Start a run and give its id."""
        return self("run", "start", *words).stdout.strip()


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Give a directory with workflows, and a database that does not exist yet."""
    (tmp_path / "flows.py").write_text(FLOWS)
    (tmp_path / "heliostat.toml").write_text('apps = ["flows.py"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for variable in ("HELIOSTAT_DATABASE", "HELIOSTAT_FILES", "COLUMNS"):
        monkeypatch.delenv(variable, raising=False)
    return Shell(tmp_path)


# starting and waiting


def test_a_run_that_is_waited_for_ends_with_its_result(shell: Shell) -> None:
    """The result is on standard output, how it went on standard error."""
    done = shell("run", "start", "flows.py:hello", "name=Ada", "--wait")
    assert "Hello, Ada!" in done.stdout
    assert "✓ succeeded" in done.stdout
    assert "letter.txt" in done.stdout
    assert "letter: ✓ succeeded" in done.stderr


def test_a_run_that_fails_says_why_and_ends_with_five(shell: Shell) -> None:
    """With the lines of the author's files alone, and nothing of what was raised reaches the terminal as a command."""
    done = shell("run", "start", "flows.py:broken", "--wait", code=5)
    assert "boom: ValueError: [red]no\ufffd[31m" in done.stdout
    assert "\x1b" not in done.output
    assert "flows.py" in done.output.partition("Traceback")[2]
    assert "perform.py" not in done.output


def test_without_waiting_the_id_alone_is_written(shell: Shell) -> None:
    """``id=$(heliostat run start …)`` works, and talk says how a worker is started."""
    done = shell("run", "start", "flows.py:hello", "name=Ada")
    assert len(done.stdout.strip()) == 13
    assert "no worker offers it; one does with: heliostat worker start flows.py:hello" in done.stderr


def test_a_workflow_of_the_configured_apps_is_known_by_its_name(shell: Shell) -> None:
    """What heliostat.toml lists needs no file name."""
    assert shell.json("run", "start", "tiles", "3", "--wait")["result"] == [0, 1, 2]


def test_the_same_key_starts_one_run(shell: Shell) -> None:
    """A repeated call answers with the run of before; another message under the same key is refused."""
    first = shell.start("hello", "name=Ada", "--key", "k")
    assert shell.start("hello", "name=Ada", "--key", "k") == first
    assert "with this key before" in shell("run", "start", "hello", "name=Ada", "--key", "k").stderr
    assert "; it goes on" in shell("run", "start", "hello", "name=Ada", "--key", "k").stderr
    assert shell.json("run", "show", first)["key"] == "k"
    assert "'k'" in shell.says("run", "start", "hello", "name=Eve", "--key", "k", code=4)


def test_a_run_takes_the_place_of_that_with_its_key(shell: Shell) -> None:
    """The one of before says which took its place; what there is no key for cannot be replaced."""
    first = shell.start("hello", "name=Ada", "--key", "k")
    second = shell.start("hello", "name=Eve", "--key", "k", "--replace")
    assert shell.start("hello", "name=Eve", "--key", "k", "--replace") == second
    assert shell.json("run", "show", first)["reason"] == f"replaced by run {second}"
    assert f"in the place of run {first}" in shell("run", "log", second).stdout
    assert "needs an idempotency key" in shell.says("run", "start", "hello", "name=Eve", "--replace", code=4)


def test_a_file_in_a_message_is_kept_by_the_run(shell: Shell) -> None:
    """``key=@file`` is the file, brought to the function that asks for a Path."""
    (shell.directory / "dem.tif").write_bytes(b"1234567")
    assert shell.json("run", "start", "size", "file=@dem.tif", "--wait")["result"] == 7
    assert "dem.tif" in shell.says("run", "start", "size", "file=@den.tif", code=4).replace("den", "dem")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], None),
        (["name=Ada"], {"name": "Ada"}),
        (["n=3", "x=1.5", "on=true", "no=null"], {"n": 3, "x": 1.5, "on": True, "no": None}),
        (["list=[1,2]", "quoted=\"3\"", "text=NaN"], {"list": [1, 2], "quoted": "3", "text": "NaN"}),
        (["at=@@home", "eq=a=b", "empty="], {"at": "@home", "eq": "a=b", "empty": ""}),
        (['{"a": 1}'], {"a": 1}),
        (["[3, 1, 2]"], [3, 1, 2]),
        (['"word"'], "word"),
    ],
)  # fmt: skip
def test_words_become_a_message(words: list[str], found: object) -> None:
    """Values that are JSON are that, others are strings; one word alone is the whole message."""
    assert message(words) == found


@pytest.mark.parametrize("words", [["name=Ada", "3"], ["a=1", "a=2"], ["{bad"], ["word"], ["NaN"], ["@nowhere.json"]])
def test_words_that_are_no_message_are_refused(words: list[str]) -> None:
    """In one sentence, before anything is opened."""
    with pytest.raises(BadInput):
        message(words)


def test_a_message_comes_from_a_file_or_from_standard_input(shell: Shell) -> None:
    """``--message @file`` and ``-``."""
    (shell.directory / "three.json").write_text("3")
    assert shell.json("run", "start", "tiles", "--message", "@three.json", "--wait")["result"] == [0, 1, 2]
    done = shell("run", "start", "tiles", "-", "--wait", "--json", stdin="2")
    assert json.loads(done.stdout)["result"] == [0, 1]


def test_a_message_that_does_not_fit_is_refused_before_the_run_exists(shell: Shell) -> None:
    """The sentence names the field and what would be right."""
    shell("db", "upgrade")
    assert shell.says("run", "start", "tiles", '"many"', code=4).startswith("message: input should be a valid integer")
    assert shell.json("run", "list") == []


# looking


def test_runs_are_listed_newest_first(shell: Shell) -> None:
    """People get a table, programs the same as JSON; both can be narrowed."""
    done = [shell.json("run", "start", "hello", f"name={name}", "--name", name, "--wait")["id"] for name in ("a", "b")]
    shell("run", "start", "broken", "--wait", code=5)
    listed = shell.json("run", "list", "--workflow", "hello")
    assert [run["id"] for run in listed] == done[::-1]
    assert [run["name"] for run in listed] == ["b", "a"]
    assert [run["workflow"] for run in shell.json("run", "list", "--state", "failed")] == ["broken"]
    assert len(shell.json("run", "list", "--limit", "1")) == 1
    table = shell("run", "list").stdout
    assert all(run in table for run in done)
    assert "✕ failed" in table


RUN_KEYS = {
    "id", "workflow", "version", "name", "state", "paused", "priority", "reason", "parent", "created_at",
    "deadline_at", "ended_at", "parent_task", "parts", "hold", "key",
    "message", "result", "nodes", "failures", "artifacts",
}  # fmt: skip


def test_a_run_is_shown_with_all_that_belongs_to_it(shell: Shell) -> None:
    """State, nodes with counts, message, result and files."""
    run = shell.json("run", "start", "hello", "name=Ada", "--wait")["id"]
    shown = shell.json("run", "show", run)
    assert set(shown) == RUN_KEYS
    assert (shown["state"], shown["message"], shown["result"]) == ("succeeded", {"name": "Ada"}, "Hello, Ada!")
    assert [(node["name"], node["tasks"]) for node in shown["nodes"]] == [
        ("greeting", {"succeeded": 1}),
        ("letter", {"succeeded": 1}),
    ]
    assert [(kept["name"], kept["size"], kept["tags"]) for kept in shown["artifacts"]] == [("letter.txt", 10, ["post"])]
    text = shell("run", "show", run).stdout
    assert "✓ succeeded" in text
    assert "letter.txt" in text


def test_a_failed_run_shows_which_task_failed(shell: Shell) -> None:
    """With its id and why."""
    run = shell.json("run", "start", "broken", "--wait", code=5)
    assert run["failures"] == [
        {"task": f"{run['id']}/1", "node": "boom", "reason": run["reason"].removeprefix("boom: ")}
    ]


def test_an_id_may_be_shortened_at_either_end(shell: Shell) -> None:
    """Four letters or more, if they mean one run only."""
    run = shell.start("hello", "name=Ada")
    assert shell.json("run", "show", run[-4:])["id"] == run
    assert shell.json("run", "show", run[:-1])["id"] == run
    assert shell.json("task", "show", f"{run[-5:].upper()}/1")["id"] == f"{run}/1"
    assert "too short" in shell.says("run", "show", run[-3:], code=4)


def test_an_id_that_means_several_runs_is_refused(shell: Shell) -> None:
    """Ids begin with their time, so the beginnings of two runs of a moment are alike."""
    first, second = shell.start("hello", "name=Ada"), shell.start("hello", "name=Eve")
    said = shell.says("run", "show", first[:5], code=4)
    assert first in said
    assert second in said


def test_an_unknown_id_offers_the_nearest(shell: Shell) -> None:
    """A misspelt letter is found; nothing like it points to the list."""
    run = shell.start("hello", "name=Ada")
    other = "0" if run[-1] != "0" else "1"
    assert shell.says("run", "show", run[:-1] + other, code=4).endswith(f"did you mean {run}?")
    assert "heliostat run list" in shell.says("run", "show", "zzzz", code=4)


def test_the_log_tells_the_story_in_order(shell: Shell) -> None:
    """Journal, tasks and log lines, merged by time."""
    run = shell.json("run", "start", "hello", "name=Ada", "--wait")["id"]
    lines = shell.json("run", "log", run)
    told = [(line["kind"], line["node"], line["text"]) for line in lines]
    assert told[0][2].startswith("started: hello")
    assert told[1:] == [
        ("task", "greeting", "succeeded"),
        ("log", "letter", "a letter is written"),
        ("task", "letter", "succeeded"),
        ("run", None, "succeeded"),
    ]
    assert lines[2]["fields"] == {"to": "Hello, Ada"}
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    assert "a letter is written  to=Hello, Ada" in shell("run", "log", run).stdout


def test_tasks_that_end_alike_are_one_line_for_people(shell: Shell) -> None:
    """A hundred tiles are not a hundred lines."""
    run = shell.json("run", "start", "tiles", "100", "--wait")["id"]
    assert "succeeded ×100" in shell("run", "log", run).stdout
    assert len(shell.json("run", "log", run)) > 100


def test_tasks_are_listed_and_shown(shell: Shell) -> None:
    """By node and state, with their items, results and why."""
    run = shell.json("run", "start", "tiles", "3", "--wait")["id"]
    tasks = shell.json("task", "list", run, "--node", "draw", "--state", "succeeded")
    assert [task["item"] for task in tasks] == [0, 1, 2]
    assert "there are more than 2" in shell("task", "list", run, "--limit", "2").stderr
    shown = shell.json("task", "show", tasks[2]["id"])
    assert (shown["node"], shown["result"], shown["attempts"], shown["history"]) == ("draw", 2, 1, [])
    assert "draw, item 2" in shell("task", "show", tasks[2]["id"]).stdout
    assert "drew" in shell.says("task", "list", run, "--node", "drew", code=4)


def test_explain_says_why_nothing_happens(shell: Shell) -> None:
    """Of one task, of all open tasks of a run, and of a run that has ended."""
    run = shell.start("hello", "name=Ada")
    assert shell.json("task", "explain", run)[0]["explanation"].startswith("no worker offers hello")
    assert shell.json("task", "explain", f"{run}/1")[0]["task"] == f"{run}/1"
    assert "greeting: no worker offers hello" in shell("task", "explain", run).stdout
    shell("run", "cancel", run)
    assert "was cancelled" in shell("task", "explain", run).stdout


# acting


def test_a_run_is_driven_from_outside(shell: Shell) -> None:
    """Send, pause, resume, complete: each says what it did, and a repetition that there was nothing to do."""
    run = shell.start("counter")
    shell("run", "send", run, "add", "3")
    shell("run", "send", run, "add", "4", "--key", "k")
    shell("run", "send", run, "add", "4", "--key", "k")
    shell("run", "pause", run, "--reason", "lunch")
    assert shell.json("run", "show", run)["paused"] is True
    assert "paused already" in shell("run", "pause", run).stderr
    shell("run", "resume", run)
    assert len(shell.json("task", "list", run)) == 2
    shell("run", "complete", run, "--result", '{"sum": 7}')
    assert shell.json("run", "show", run)["result"] == {"sum": 7}
    assert "already" in shell("run", "complete", run).stderr
    assert "not handled" in shell("run", "send", run, "add", "5").stderr


def test_the_journal_knows_who_and_why(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator's action is kept with name and reason."""
    monkeypatch.setenv("LOGNAME", "ada")
    run = shell.start("hello", "name=Ada")
    shell("run", "cancel", run, "--reason", "wrong region")
    ended = next(line for line in shell.json("run", "log", run) if line["text"] == "cancelled")
    assert (ended["by"], ended["fields"]["reason"]) == ("ada", "wrong region")


def test_sending_to_a_node_that_takes_no_messages_is_refused(shell: Shell) -> None:
    """With what would be right."""
    run = shell.start("hello", "name=Ada")
    assert "only handlers take messages" in shell.says("run", "send", run, "letter", "3", code=4)
    assert "did you mean 'letter'" in shell.says("run", "send", run, "leter", "3", code=4)


def test_queues_are_limited_and_paused(shell: Shell) -> None:
    """Live, for all workers; what is not said stays."""
    shell.start("hello", "name=Ada")
    shell("queue", "set", "default", "--limit", "3")
    shell("queue", "pause", "default")
    (told,) = shell.json("queue", "list")
    assert told.pop("hold")["by"]
    assert [told] == [
        {
            "name": "default",
            "limit": 3,
            "rate": None,
            "configured": {"limit": None, "rate": None},
            "by_hand": ["limit"],
            "paused": True,
            "ready": 1,
            "running": 0,
            "why": None,
            "jobs": {},
        }
    ]
    shell("queue", "resume", "default")
    said = shell("queue", "set", "default", "--no-limit", "--rate", "600/m").stderr
    assert said == "queue default: no limit, 600/m begin\n"
    assert [shell.json("queue", "list")[0][name] for name in ("limit", "rate")] == [None, "600/m"]
    shell("queue", "set", "default", "--no-rate")
    assert shell.json("queue", "list")[0]["rate"] is None
    for rate in ("fast", ""):
        assert 'write "5/s"' in shell.says("queue", "set", "default", "--rate", rate, code=4)
    assert "defalt" in shell.says("queue", "pause", "defalt", code=4)
    shell.says("queue", "set", "default", code=4)


def test_files_are_listed_and_fetched(shell: Shell) -> None:
    """By name or digest, to a file, a directory or standard output; nothing is written over."""
    run = shell.json("run", "start", "hello", "name=Ada", "--wait")["id"]
    (kept,) = shell.json("artifact", "list", run)
    shell("artifact", "get", run, "letter.txt", "--out", "new/copy.txt")
    assert (shell.directory / "new" / "copy.txt").read_text() == "Hello, Ada"
    shell("artifact", "get", run, kept["digest"][:15], "--out", "new")
    assert sorted(path.name for path in (shell.directory / "new").iterdir()) == ["copy.txt", "letter.txt"]
    assert "is there already" in shell.says("artifact", "get", run, "letter.txt", "--out", "new", code=4)
    assert shell("artifact", "get", run, "letter.txt", "--out", "later/today/").stderr == (
        "written: later/today/letter.txt\n"
    )
    assert (shell.directory / "later" / "today" / "letter.txt").is_file()
    assert "new/copy.txt" in shell.says("artifact", "get", run, "letter.txt", "--out", "new/copy.txt/", code=6)
    assert shell("artifact", "get", run, "letter.txt", "--out", "-").stdout == "Hello, Ada"
    assert "did you mean 'letter.txt'" in shell.says("artifact", "get", run, "leter.txt", code=4)


def test_files_of_the_same_name_are_told_by_their_tasks(shell: Shell) -> None:
    """And by the digests by which they are fetched."""
    (shell.directory / "alike.py").write_text(
        "from heliostat import Context, Workflow\n"
        "alike = Workflow('alike')\n"
        "@alike.node\n"
        "def numbers() -> list[int]: return [7, 8]\n"
        "@alike.node(map={'number': numbers})\n"
        "def write(ctx: Context, number: int) -> None:\n"
        "    (ctx.dir / 'out.json').write_text(str(number))\n"
        "    ctx.artifact(ctx.dir / 'out.json')\n"
    )
    run = shell.json("run", "start", "alike.py", "--wait")["id"]
    kept = {each["task"]: each["digest"].removeprefix("sha256:")[:12] for each in shell.json("artifact", "list", run)}
    first, second = kept[f"{run}/2"], kept[f"{run}/3"]
    refused = shell.says("artifact", "get", run, "out.json", code=4)
    assert "2 different files 'out.json'; name one by its digest: " in refused
    assert f"{first} (task 2 write[0])" in refused
    assert f"{second} (task 3 write[1])" in refused
    shown = [line.split() for line in shell("artifact", "list", run).stdout.splitlines()]
    assert sorted(line[-2:] for line in shown if line[0] == "out.json") == [["write[0]", first], ["write[1]", second]]
    assert "write[1]" in shell("run", "show", run).stdout
    shell("artifact", "get", run, first)
    assert (shell.directory / "out.json").read_text() == "7"


def test_a_task_is_known_by_its_node(shell: Shell) -> None:
    """By an item, where it goes over a list; of several, their numbers are told."""
    run = shell.json("run", "start", "tiles", "8", "--wait")["id"]
    assert shell.json("task", "show", f"{run}/split")["id"] == f"{run}/1"
    for item in (0, 1, 7):
        found = shell.json("task", "show", f"{run[-5:]}/draw[{item}]")
        assert (found["node"], found["item"]) == ("draw", item)
    assert shell("task", "explain", f"{run}/split").stdout == "    1 split: succeeded\n"
    assert shell.says("task", "show", f"{run}/draw", code=4) == (
        "draw has tasks 2 (draw[0]), 3 (draw[1]), 4 (draw[2]), 5 (draw[3]), 6 (draw[4]) and more; which one?"
    )
    assert f"run {run} has no task of draw[8]" in shell.says("task", "log", f"{run}/draw[8]", code=4)
    assert f"run {run} has no task of split[0]" in shell.says("task", "log", f"{run}/split[0]", code=4)
    assert "has no node 'drwa'; did you mean 'draw'?" in shell.says("task", "skip", f"{run}/drwa[1]", code=4)
    assert "is no task id" in shell.says("task", "skip", f"{run}/", code=4)
    empty = shell.start("counter")
    assert f"run {empty} has no task of add" in shell.says("task", "show", f"{empty}/add", code=4)


def test_failures_alike_are_one_line(shell: Shell) -> None:
    """The first of them, with how many others there are; a program gets each. In a pipe, no line ends in blanks."""
    (shell.directory / "fails.py").write_text(
        "from heliostat import Workflow\n"
        "fails = Workflow('fails', on_failure='finish')\n"
        "@fails.node\n"
        "def numbers() -> list[int]: return [7, 8, 9]\n"
        "@fails.node(map={'number': numbers})\n"
        "def look(number: int) -> None: raise ValueError(f'no light in {number}')\n"
    )
    details = shell.json("run", "start", "fails.py", "--wait", code=5)
    assert len(details["failures"]) == 3
    lines = shell("run", "show", details["id"]).stdout.splitlines()
    assert len(told := [line for line in lines if "no light" in line and line.startswith(details["id"])]) == 1
    assert told[0].endswith(" (2 others alike)")
    assert [line for line in lines if line.endswith(" ")] == []


def test_a_task_shows_where_its_job_is(shell: Shell) -> None:
    """With the id that its batch system knows it by, and what it runs; of the newest try."""
    (shell.directory / "jobs.py").write_text(
        "from heliostat import Retry, Workflow\n"
        "jobs = Workflow('jobs')\n"
        "jobs.job('step', 'test -e ../seen && echo {message}; touch ../seen; test {message} = 7 && test -s stdout', "
        "retry=Retry(1, delay=0))\n"
    )
    run = shell.json("run", "start", "jobs.py", "7", "--wait")["id"]
    job = shell.json("task", "show", f"{run}/step")["job"]
    assert job["directory"] == str(shell.directory / ".heliostat" / "jobs" / run / "1.2")
    assert (job["system"], job["state"]) == ("local", "ended")
    assert "echo '7'" in job["command"]
    shown = shell("task", "show", f"{run}/1").stdout
    assert job["directory"] in shown
    assert f"local {job['id']}" in shown
    assert shell.json("task", "show", shell.start("hello", "name=Ada") + "/1")["job"] is None


def test_a_cancelled_run_says_how_to_go_on(shell: Shell) -> None:
    """Not by trying it again."""
    run = shell.start("hello", "name=Ada")
    shell("run", "cancel", run)
    assert shell.says("run", "retry", run, code=4) == (
        f"run {run} is cancelled, and a cancelled run does not go on; "
        f"begin a new one that takes over what was done: heliostat run rerun {run} FILE.py --at NODE"
    )


def test_a_file_inside_data_is_shown_by_name_and_size(shell: Shell) -> None:
    """In a message as in a result; a program gets all that there is to say of it."""
    (shell.directory / "echo.py").write_text(
        "from heliostat import Workflow\n\necho = Workflow('echo')\n\n"
        "@echo.node\ndef again(message: dict[str, object]) -> dict[str, object]:\n"
        "    return {'files': [message['a']]}\n"
    )
    (shell.directory / "a.csv").write_text("x" * 2048)
    run = shell.json("run", "start", "echo.py", "a=@a.csv", "--wait")["id"]
    shown = shell("run", "show", run).stdout
    assert '{"a": "a.csv (2.0 KiB)"}' in shown
    assert '{"files": ["a.csv (2.0 KiB)"]}' in shown
    (file,) = shell.json("run", "show", run)["result"]["files"]
    assert file["$artifact"]["size"] == 2048


# what it looks like


def test_tables_fit_a_narrow_terminal(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns no line is longer, and an id is never broken."""
    run = shell.json("run", "start", "hello", "name=Ada", "--name", "a long name " * 6, "--wait")["id"]
    monkeypatch.setenv("COLUMNS", "80")
    for words in (["run", "list"], ["run", "show", run], ["task", "list", run], ["queue", "list"], ["worker", "list"]):
        text = shell(*words).stdout
        assert max(map(len, text.splitlines())) <= 80
        assert run in text or words[0] != "run"


def test_a_terminal_sees_the_run_go_by(shell: Shell) -> None:
    """A line per node, drawn over itself, with its state and what its function said last."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "heliostat.cli", "run", "start", "hello", "name=Ada", "--wait"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    started = subprocess.Popen(command, cwd=shell.directory, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # which is how a terminal says that nobody is left
        while more := os.read(ours, 4096):
            seen += more
    os.close(ours)
    assert started.wait(PATIENCE) == 0
    last = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", seen).decode().replace("\r", "")
    assert re.search(r"✓ +letter +succeeded +[0-9.]+ s +a letter is written", last)
    assert "Hello, Ada!" in last


# workflows


def test_a_graph_is_drawn_before_a_run_and_after(shell: Shell) -> None:
    """As SVG, Mermaid or DOT; the format follows the name of the file."""
    run = shell.json("run", "start", "hello", "name=Ada", "--wait")["id"]
    shell("workflow", "graph", "flows.py:hello", "--out", "before.svg")
    shell("workflow", "graph", "flows.py:hello", "--run", run, "--out", "after.svg")
    before, after = ((shell.directory / f"{name}.svg").read_text() for name in ("before", "after"))
    assert ">succeeded<" not in before
    assert ">succeeded<" in after
    assert f"run {run} · succeeded" in after
    assert ET.fromstring(after).tag == "{http://www.w3.org/2000/svg}svg"
    assert shell("workflow", "graph", "hello", "--format", "mermaid").stdout.startswith("flowchart LR")
    assert shell("workflow", "graph", "--run", run, "--format", "dot").stdout.startswith('digraph "hello"')
    assert "is one of hello" in shell.says("workflow", "graph", "tiles", "--run", run, code=4)


def test_a_graph_that_only_the_database_knows_is_drawn(shell: Shell) -> None:
    """A definition outlives the file that it came from."""
    shell.start("hello", "name=Ada")
    (shell.directory / "heliostat.toml").unlink()
    (shell.directory / "flows.py").unlink()
    assert "greeting" in shell("workflow", "graph", "hello", "--format", "dot").stdout
    assert [flow["name"] for flow in shell.json("workflow", "list")] == ["hello"]


def test_workflows_are_shown_and_checked(shell: Shell) -> None:
    """All of a file, with their nodes and what leads to them."""
    assert [flow["name"] for flow in shell.json("workflow", "check", "flows.py")] == [
        "hello", "broken", "tiles", "counter", "warning", "size",
    ]  # fmt: skip
    shown = shell.json("workflow", "show", "tiles")
    assert shown["version"] == "2"
    assert [(node["name"], node["arity"]) for node in shown["nodes"]] == [("split", "once"), ("draw", "each")]
    assert "each of split" in shell("workflow", "show", "tiles").stdout


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def x(:", "SyntaxError"),
        ("import nowhere", "No module named 'nowhere'"),
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("from heliostat import Workflow\nw = Workflow('w')\n@w.node\ndef a(b: int): ...", "'b' names no node"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_one_sentence_with_its_line(shell: Shell, source: str, said: str) -> None:
    """The author's line, and no stack trace."""
    (shell.directory / "bad.py").write_text(source)
    sentence = shell.says("workflow", "check", "bad.py", code=3)
    assert said in sentence
    assert "bad.py" in sentence


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run", "start", "flow.py"], 4, "there is no file 'flow.py'"),
        (["run", "start", "flows.py:helo"], 4, "did you mean 'hello'"),
        (["run", "start", "helo"], 4, "did you mean 'hello'"),
        (["run", "start", "flows.py"], 4, "flows.py stands for several workflows; say which: flows.py:"),
        (["run", "list"], 4, "there is no database sqlite:///heliostat.db yet"),
        (["run", "list"], 4, "`heliostat run start` and `heliostat worker start` make it"),
        (["run", "start", "one.py:nowhere"], 4, "one.py has no workflow 'nowhere'; there is sweep (pendulum)"),
        (["run", "start", "one.py:pendulm"], 4, "did you mean 'pendulum'?"),
        (["--database", "mysql://x", "run", "list"], 4, "is no database"),
        (["--database", "sqlite:////nowhere/x.db", "run", "start", "hello"], 6, "there is no directory /nowhere"),
        (["workflow", "graph", "hello", "--out", "nowhere/x.svg"], 6, "nowhere/x.svg"),
        (["run", "start", "flows.py:hallo-world"], 4, "has no workflow 'hallo-world'"),
    ],
)
def test_a_wrong_name_is_one_sentence(shell: Shell, words: list[str], code: int, said: str) -> None:
    """What is wrong, what would be right, on standard error; the code says who must act."""
    (shell.directory / "one.py").write_text("from heliostat import Workflow\nsweep = Workflow('pendulum')\n")
    assert said in shell.says(*words, code=code)


HUGE = "9" * 23


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "start", "hello", "name=Ada", "--priority", HUGE], "priority: a whole number from "),
        (["run", "list", "--limit", HUGE], "limit: a whole number from 1 to "),
        (["queue", "set", "default", "--limit", HUGE], "queue default: limit: a whole number from 1 to "),
    ],
)
def test_a_number_that_is_too_large_is_one_sentence(shell: Shell, words: list[str], said: str) -> None:
    """With what would be right."""
    shell("run", "start", "hello", "name=Ada")
    assert said in shell.says(*words, code=4)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_an_output_that_cannot_be_written_is_one_sentence(shell: Shell) -> None:
    """A full disk is no stack trace."""
    shell("run", "start", "hello", "name=Ada")
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "heliostat.cli", "run", "list"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.stderr, ended.returncode) == ("heliostat: No space left on device\n", 6)


def test_a_command_that_does_not_exist_is_a_usage_error(shell: Shell) -> None:
    """Code 2, with the nearest."""
    assert "'run'" in shell("rum", code=2).stderr
    assert "pending" in shell("run", "list", "--state", "nope", code=2).stderr


@pytest.mark.parametrize(
    "words",
    [
        ["worker", "start", "--grace", "soon"],
        ["db", "prune", "--older-than", "soon"],
        ["db", "prune", "--before", "yesterday"],
        ["run", "send", "abcd", "hear", "--delay", "soon"],
        ["worker", "start", "--queues", " , "],
    ],
)
def test_a_wrongly_written_option_is_a_usage_error(shell: Shell, words: list[str]) -> None:
    """Durations and lists too, in words of the command line, where nobody can write a timedelta."""
    said = shell(*words, code=2).stderr
    assert "Invalid value for" in said
    assert "timedelta" not in said


def test_a_worker_says_which_of_its_queues_nobody_uses(shell: Shell) -> None:
    """It would wait there in silence; the nearest name is offered."""
    said = shell("worker", "start", "--queues", "defalt,default", "--until", "idle").stderr
    assert "no workflow here uses a queue 'defalt'; did you mean 'default'?" in said
    assert "'default';" not in said


def test_a_workflow_that_nobody_knows_is_no_empty_list(shell: Shell) -> None:
    """The name is refused; one that has no runs has none."""
    shell("run", "start", "hello", "name=Ada")
    assert "there is no workflow 'helo'; did you mean 'hello'?" in shell.says(
        "run", "list", "--workflow", "helo", code=4
    )


def test_a_fresh_postgresql_says_what_makes_its_tables(shell: Shell, postgres_database: str) -> None:
    """The same command, whichever is tried first."""
    place = ("--database", postgres_database)
    assert shell.says(*place, "run", "list", code=4).endswith("has no tables yet; make them with: heliostat db upgrade")
    assert shell.says(*place, "run", "start", "hello", "name=Ada", code=6).endswith("run: heliostat db upgrade")
    shell(*place, "db", "upgrade")
    assert shell(*place, "run", "list").stdout.strip() == "no runs"


# administration


def test_the_configuration_shows_all_that_is_set_of_a_cluster(shell: Shell) -> None:
    """What is not set is left out."""
    (shell.directory / "site.sh").write_text("#!/bin/sh\n{{header}}\n{{run}}\n")
    (shell.directory / "heliostat.toml").write_text(
        'queues.cluster = { executor = "slurm", limit = 8, partition = "main", account = "sky", template = "site.sh", '
        'setup = ["module load gdal", "ulimit -c 0"], host = "ada@login1" }\nqueues.here = { limit = 2 }\n'
    )
    queues = shell.json("config", "show")["queues"]
    assert queues["here"]["cluster"] is None
    assert queues["cluster"]["cluster"] == {
        "partition": "main",
        "account": "sky",
        "setup": "module load gdal; ulimit -c 0",
        "template": "of 3 lines",
        "host": "ada@login1",
    }
    shown = " ".join(shell("config", "show").stdout.split())
    assert "limit 8, executor slurm, partition main, account sky, setup module load gdal; ulimit -c 0, " in shown


def test_the_configuration_says_whence_it_is(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line wins over the environment, that over the file; a password is not shown."""
    shown = shell.json("config", "show")
    assert shown.pop("environments").endswith("heliostat/environments")
    assert shown == {
        "database": "sqlite:///heliostat.db",
        "database_from": "default",
        "files": ".heliostat",
        "files_from": "default",
        "apps": ["flows.py"],
        "apps_from": "heliostat.toml",
        "installed": [],
        "broker": "",
        "broker_from": "default",
        "executor": "thread",
        "executor_from": "default",
        "site": "",
        "site_from": "default",
        **dict.fromkeys(("environments_from", "queues_from", "secrets_from", "sites_from"), "default"),
        "queues": {},
        "secrets": "",
        "sites": {},
    }
    monkeypatch.setenv("HELIOSTAT_DATABASE", "postgresql://me:secret@host/db")
    monkeypatch.setenv("HELIOSTAT_BROKER", "amqp://me:secret@host/tickets")
    shown = shell.json("--files", "elsewhere", "config", "show")
    assert (shown["database"], shown["database_from"]) == ("postgresql://me:***@host/db", "HELIOSTAT_DATABASE")
    assert (shown["broker"], shown["broker_from"]) == ("amqp://me:***@host/tickets", "HELIOSTAT_BROKER")
    assert (shown["files"], shown["files_from"]) == ("elsewhere", "the command line")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:se:c@ret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?user=me&password=secret&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("sqlite:////data/a:b@c.db", "sqlite:////data/a:b@c.db"),
    ],
)
def test_a_password_is_masked(url: str, shown: str) -> None:
    """Wherever an address is shown."""
    assert masked(url) == shown


def test_the_database_is_made_looked_at_and_pruned(shell: Shell) -> None:
    """Status before there is one, the migrations, and forgetting what ended."""
    assert shell.json("db", "status")["schema"] == 0
    assert shell("db", "upgrade").stdout
    assert "nothing to do" in shell("db", "upgrade").stderr
    status = shell.json("db", "status")
    assert status["schema"] == status["needed"] > 0
    run = shell.json("run", "start", "hello", "name=Ada", "--wait")["id"]
    shell("db", "prune", "--older-than", "1h")
    assert len(shell.json("run", "list")) == 1
    assert "1 run forgotten" in shell("db", "prune", "--older-than", "0s").stderr
    assert shell.says("run", "show", run, code=4)


def test_pruning_takes_the_files_of_forgotten_runs_and_no_others(shell: Shell) -> None:
    """Artifacts that a remaining run refers to stay, and of a run that stays, everything does."""
    files = shell.directory / ".heliostat"
    old = shell.json("run", "start", "hello", "name=Ada", "--wait")["id"]
    alone = shell.json("run", "start", "hello", "name=Grace", "--wait")["id"]
    for run in (old, alone):
        (files / "jobs" / run / "1.1").mkdir(parents=True)
        (files / "attempts" / run).mkdir(parents=True, exist_ok=True)
    middle = datetime.now(UTC).isoformat()
    new = shell.json("run", "start", "hello", "name=Ada", "--wait")["id"]
    kept = {artifact["digest"] for artifact in shell.json("artifact", "list", new)}
    assert len(stored(files)) == 2
    for path in stored(files):
        os.utime(path, (0, 0))
    done = shell.json("db", "prune", "--before", middle)
    assert (done["runs"], done["left"]) == (2, 0)
    assert done["bytes"] >= len("Hello, Grace")
    assert {f"sha256:{path.parent.name}{path.name}" for path in stored(files)} == kept
    assert [path.name for path in (files / "logs").iterdir()] == [f"{new}.jsonl"]
    assert not any((files / place / run).exists() for run in (old, alone) for place in ("jobs", "attempts"))
    assert shell("artifact", "get", new, "letter.txt", "--out", "-").stdout == "Hello, Ada"


def test_a_file_that_was_kept_a_moment_ago_goes_with_a_later_prune(shell: Shell) -> None:
    """Somebody may be about to refer to it; what stays for now is told, and is not forgotten."""
    shell.start("hello", "name=Ada", "--wait")
    (path,) = stored(shell.directory / ".heliostat")
    assert "1 file stays" in shell("db", "prune", "--older-than", "0s").stderr
    os.utime(path, (0, 0))
    done = shell.json("db", "prune", "--older-than", "0s")
    assert (done["runs"], done["left"], path.exists()) == (0, 0, False)


def test_pruning_wants_to_know_how_far_back(shell: Shell) -> None:
    """One of the two ways to say it."""
    for words in ((), ("--before", "2026-01-01", "--older-than", "1h")):
        assert "say how far back, one of the two" in shell("db", "prune", *words, code=2).stderr


def stored(files: Path) -> list[Path]:
    """The files that are kept, by digest."""
    return [path for path in (files / "artifacts").glob("??/*") if path.is_file()]


def test_a_task_tells_which_code_ran(shell: Shell) -> None:
    """The digest of the code that its worker had, for the task and for each attempt that failed."""
    run = shell.json("run", "start", "broken", "--wait", code=5)["id"]
    shown = shell.json("task", "show", f"{run}/1")
    assert re.fullmatch("sha256:[0-9a-f]{64}", shown["code"])
    assert [attempt["code"] for attempt in shown["history"]] == [shown["code"]]
    assert shown["code"][:19] in shell("task", "show", f"{run}/1").stdout


def test_another_database_is_named_before_the_command(shell: Shell) -> None:
    """``--database`` and ``--files`` hold for every command."""
    place = ("--database", "sqlite:///other.db", "--files", "other")
    shell(*place, "run", "start", "hello", "name=Ada", "--wait")
    assert len(shell.json(*place, "run", "list")) == 1
    assert (shell.directory / "other" / "artifacts").is_dir()
    assert not (shell.directory / "heliostat.db").exists()


# workers


def test_a_worker_works_until_it_is_idle(shell: Shell) -> None:
    """What was started before is done when it ends, and nobody is left in the list."""
    runs = [shell.start("tiles", "3"), shell.start("flows.py:hello", "name=Ada")]
    done = shell("worker", "start", "--until", "idle")
    assert "offers broken" in done.stderr
    assert [run["state"] for run in shell.json("run", "list")] == ["succeeded"] * len(runs)
    assert shell.json("worker", "list") == []


def test_a_worker_takes_from_the_queues_it_is_given(shell: Shell) -> None:
    """What waits elsewhere is explained."""
    run = shell.start("hello", "name=Ada")
    done = shell("worker", "start", "--queues", "gpu", "--until", "idle")
    assert "what is ready in queue default waits for a worker that takes from that, too" in done.stderr
    assert shell.json("run", "show", run)["state"] == "active"


def test_a_worker_of_a_site_says_so_and_takes_from_its_queues(shell: Shell) -> None:
    """The site's name is checked, what was typed wins over what is configured, and the list tells where each is."""
    (shell.directory / "heliostat.toml").write_text(
        'apps = ["flows.py"]\nsite = "EU"\nsites.EU = {}\nsites.JAO = { queues = ["gpu"] }\n'
    )
    run = shell.start("hello", "name=Ada")
    assert " on gpu" in shell("worker", "start", "--site", "JAO", "--until", "idle").stderr
    assert shell.json("run", "show", run)["state"] == "active"
    said = shell.says("worker", "start", "--site", "JOA", code=4)
    assert said == "there is no site 'JOA' in heliostat.toml; did you mean 'JAO'?"
    with heliostat.open() as engine:
        for site in ({}, {"site": "JAO"}):
            worker = engine.worker(**site)
            worker.taking = frozenset()  # it shows life and takes nothing
            worker.tick(engine.around.clock.now())
        assert [there["site"] for there in shell.json("worker", "list")] == ["EU", "JAO"]
        assert "JAO" in shell("worker", "list").stdout


STUCK = """
import threading
from heliostat import Workflow

stuck = Workflow("stuck")

@stuck.node
def items() -> list[int]:
    return list(range(40))

@stuck.node(map={"item": items}, timeout=0.01, may_fail=True)
def wait(item: int) -> None:
    threading.Event().wait()
"""


def test_a_worker_whose_threads_do_not_end_asks_to_be_started_afresh(shell: Shell) -> None:
    """Threads cannot be stopped, so a process that has too many of them ends, with a code of its own."""
    (shell.directory / "stuck.py").write_text(STUCK)
    shell.start("stuck.py")
    command = [sys.executable, "-m", "heliostat.cli", "worker", "start", "stuck.py", "--grace", "0s"]
    done = subprocess.run(command, cwd=shell.directory, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 7
    assert "start it afresh" in done.stderr


BUSY = """
import os
from heliostat import Context, Workflow

busy = Workflow("busy")

@busy.node
def work(ctx: Context) -> str:
    with open("began", "w") as began:
        began.write(f"{os.getpid()}\\n")
    with open("go") as go:
        return go.read()
"""


class Worker:
    """A worker process on a workflow whose node says that it has begun, and waits to be told to end."""

    def __init__(self, directory: Path, *options: str, waits: bool = False) -> None:
        (directory / "busy.py").write_text(BUSY)
        for name in ("began", "go"):
            os.mkfifo(directory / name)
        self.directory = directory
        self.run = "" if waits else self.call("run", "start", "busy.py").stdout.strip()
        what = ["run", "start", "busy.py", "--wait"] if waits else ["worker", "start", "busy.py", *options]
        command = [sys.executable, "-m", "heliostat.cli", *what]
        out = subprocess.PIPE if waits else None
        self.process = subprocess.Popen(command, cwd=directory, stdout=out, stderr=subprocess.PIPE, text=True)

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Call a command in a process of its own."""
        command = [sys.executable, "-m", "heliostat.cli", *words]
        return subprocess.run(command, cwd=self.directory, capture_output=True, text=True, check=True)

    def began(self) -> int:
        """Wait until the node runs; the process that runs it."""
        with (self.directory / "began").open() as began:
            return int(began.read())

    def go(self, word: str = "done") -> None:
        """Let the node end."""
        with (self.directory / "go").open("w") as go:
            go.write(word)

    def hears(self, words: str) -> None:
        """Wait until the worker says something."""
        assert self.process.stderr is not None
        assert any(words in line for line in self.process.stderr)

    def shown(self) -> Mapping[str, Any]:
        """The run as it is now."""
        found: Mapping[str, Any] = json.loads(self.call("run", "show", self.run, "--json").stdout)
        return found


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Worker]]:
    """Give a way to start a worker process, which is gone afterwards."""
    for variable in ("HELIOSTAT_DATABASE", "HELIOSTAT_FILES"):
        monkeypatch.delenv(variable, raising=False)
    started: list[Worker] = []

    def start(*options: str, waits: bool = False) -> Worker:
        started.append(Worker(tmp_path, *options, waits=waits))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()
        assert each.process.stderr is not None
        each.process.stderr.close()
        if each.process.stdout is not None:
            each.process.stdout.close()


def test_a_first_signal_lets_what_runs_finish(worker: Callable[..., Worker]) -> None:
    """The worker leases nothing more, and ends well when its function has ended."""
    started = worker()
    started.began()
    started.process.terminate()
    started.hears("stops: what runs has 30 s")
    started.go()
    assert started.process.wait(PATIENCE) == 0
    assert started.shown()["result"] == "done"


def test_a_worker_that_is_drained_finishes_what_runs_and_ends(worker: Callable[..., Worker]) -> None:
    """What it has not begun is left to others; it is named by its id or how that begins."""
    started = worker("--slots", "1")
    started.began()
    waits = started.call("run", "start", "busy.py").stdout.strip()
    (there,) = json.loads(started.call("worker", "list", "--json").stdout)
    assert "drains with its next heartbeat" in started.call("worker", "drain", there["id"][:-3]).stderr
    started.hears("drains: it takes nothing more")
    started.go()
    assert started.process.wait(PATIENCE) == 0
    assert started.shown()["result"] == "done"
    assert json.loads(started.call("run", "show", waits, "--json").stdout)["nodes"][0]["tasks"] == {"ready": 1}


def test_a_second_signal_hands_back_at_once(worker: Callable[..., Worker]) -> None:
    """The task is ready for another worker, and the process ends although its function does not."""
    started = worker()
    started.began()
    started.process.send_signal(signal.SIGINT)
    started.hears("a second signal")
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(PATIENCE) == 0
    assert started.shown()["nodes"][0]["tasks"] == {"ready": 1}


def test_a_signal_while_a_run_is_waited_for_is_answered_at_once(worker: Callable[..., Worker]) -> None:
    """What runs may end, and if the run has succeeded by then, that is what is said."""
    started = worker(waits=True)
    started.began()
    started.process.send_signal(signal.SIGINT)
    started.hears("stopping: what runs has 5 s to end")
    started.go()
    out, err = started.process.communicate(timeout=PATIENCE)
    assert (started.process.returncode, err) == (0, "")
    assert "✓ succeeded" in out


def test_a_run_that_is_no_longer_waited_for_says_how_it_goes_on(worker: Callable[..., Worker]) -> None:
    """A second signal hands it back at once."""
    started = worker(waits=True)
    started.began()
    started.process.send_signal(signal.SIGINT)
    started.hears("stopping")
    started.process.send_signal(signal.SIGINT)
    _, err = started.process.communicate(timeout=PATIENCE)
    assert started.process.returncode == 130
    assert "goes on with: heliostat worker start busy.py" in err


def test_a_killed_worker_process_is_started_afresh(worker: Callable[..., Worker]) -> None:
    """The one above it starts another, which takes the task over; a signal to it ends all of them."""
    started = worker("--processes", "2")
    os.kill(started.began(), signal.SIGKILL)
    started.hears("was killed by signal 9; it is started afresh")
    second = started.began()
    started.process.terminate()
    started.go("taken over")
    assert started.process.wait(PATIENCE) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)
    shown = started.shown()
    assert shown["result"] == "taken over"


def test_workers_end_with_the_process_above_them(worker: Callable[..., Worker]) -> None:
    """Killed without a chance to say goodbye, it leaves no orphans at work."""
    started = worker("--processes", "2", "--grace", "0s")
    descriptor = os.pidfd_open(started.began())
    try:
        started.process.kill()
        assert select.select([descriptor], [], [], PATIENCE)[0]
    finally:
        os.close(descriptor)
    assert started.shown()["nodes"][0]["tasks"] == {"ready": 1}


# starting up


def test_help_loads_neither_databases_nor_the_validation_of_data() -> None:
    """The command line starts quickly because it loads what it needs."""
    code = "import sys, heliostat.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {
        "pydantic",
        "pydantic_core",
        "sqlite3",
        "psycopg",
        "rich",
        "heliostat.graph",
        "heliostat.engine",
    }


def every_command() -> Iterator[list[str]]:
    """All commands, as words."""
    yield ["demo"]
    for group in app.registered_groups:
        assert group.typer_instance is not None
        for command in group.typer_instance.registered_commands:
            assert command.callback is not None
            yield [str(group.name), command.name or command.callback.__name__]


@pytest.mark.parametrize("words", list(every_command()), ids=" ".join)
def test_every_command_explains_itself(shell: Shell, words: list[str]) -> None:
    """``--help`` says in a sentence what it does."""
    assert "Usage: " in shell(*words, "--help").stdout


# reviews


def asking(shell: Shell) -> str:
    """A run that waits for two decisions."""
    run = shell.start("warning", "3.5")
    shell("worker", "start", "--until", "idle")
    return run


REVIEW_KEYS = {
    "id", "workflow", "name", "node", "item", "choices", "role", "otherwise", "asked_at", "due_at", "claimed_by",
    "claimed_at",
}  # fmt: skip


def test_open_reviews_are_listed_and_shown_with_what_is_decided_on(shell: Shell) -> None:
    """Of all runs, or of one."""
    run, other = asking(shell), asking(shell)
    listed = shell.json("review", "list")
    assert {entry["id"] for entry in listed} == {f"{each}/{number}" for each in (run, other) for number in (2, 3)}
    assert all(set(entry) == REVIEW_KEYS for entry in listed)
    assert len(shell.json("review", "list", "--run", run)) == 2
    assert f"{run}/3" in shell("review", "list").stdout
    shown = shell.json("review", "show", f"{run}/first")
    assert (shown["node"], shown["choices"], shown["inputs"]) == ("first", ["publish", "discard"], {"forecast": 3.5})
    text = shell("review", "show", f"{run}/first").stdout
    assert "publish, discard" in text
    assert "3.5" in text


def test_a_review_is_claimed_released_decided_and_withdrawn(shell: Shell) -> None:
    """By the person who calls, with the reason in the log of the run."""
    run = asking(shell)
    assert "is yours to decide" in shell("review", "claim", f"{run}/first").stderr
    assert [entry["claimed_by"] is None for entry in shell.json("review", "list")] == [False, True]
    assert "is anybody's" in shell("review", "release", f"{run}/2", "--reason", "lunch").stderr
    assert shell("review", "decide", f"{run}/first", "publish", "--reason", "clear sky").stderr == "decided: publish\n"
    assert shell("review", "withdraw", run, "--reason", "too late").stderr == "withdrawn\n"
    shown = shell.json("run", "show", run)
    assert shown["state"] == "succeeded"
    assert shown["result"]["first"]["choice"] == "publish"
    told = [line for line in shell.json("run", "log", run) if line["kind"] == "review"]
    assert [(line["text"], line["fields"].get("reason")) for line in told] == [
        ("claimed", None),
        ("released", "lunch"),
        ("decided: publish", "clear sky"),
        ("withdrawn", "too late"),
    ]
    assert "decided: publish: clear sky  (by " in shell("run", "log", run).stdout


def test_what_cannot_be_decided_is_said_in_one_sentence(shell: Shell) -> None:
    """With the nearest choice, or which review may be meant."""
    run = asking(shell)
    assert shell.says("review", "decide", f"{run}/first", "publsh", code=4) == (
        "first: 'publsh' is no choice; did you mean 'publish'?"
    )
    assert shell.says("review", "decide", run, "publish", code=4) == f"{run} is short for {run}/2, {run}/3; which one?"
    assert "has no node 'frist'; did you mean 'first'?" in shell.says("review", "claim", f"{run}/frist", code=4)
    assert "is of forecast, which is no review" in shell.says("review", "claim", f"{run}/forecast", code=4)
    assert "has no task 99 yet" in shell.says("review", "claim", f"{run}/99", code=4)
    shell("review", "decide", f"{run}/first", "discard")
    assert "decided 'discard'" in shell.says("review", "decide", f"{run}/first", "publish", code=4)
    assert "is not open: succeeded" in shell.says("review", "show", f"{run}/first", code=4)


# what operators do to tasks


def test_a_failed_run_is_mended_by_hand(shell: Shell) -> None:
    """Tried again, which fails as before, then given its result; each with a reason in the log."""
    run = shell.json("run", "start", "broken", "--wait", code=5)["id"]
    assert shell("run", "retry", run, "--reason", "once more").stderr == "it is tried again\n"
    assert shell.json("run", "show", run)["state"] == "active"
    shell("worker", "start", "--until", "idle")
    assert shell.json("task", "show", f"{run}/1")["attempts"] == 2
    assert shell("task", "retry", f"{run}/1").stderr == f"{run}/1 is tried again\n"
    assert shell("task", "set", f"{run}/1", "--priority", "7").stderr == f"{run}/1 has priority 7\n"
    done = shell("task", "resolve", f"{run}/1", '{"by": "hand"}', "--reason", "measured")
    assert done.stderr == f"{run}/1 has succeeded\n"
    shown = shell.json("run", "show", run)
    assert (shown["state"], shown["result"]) == ("succeeded", {"by": "hand"})
    told = [(line["text"], line["fields"].get("reason")) for line in shell.json("run", "log", run) if line["by"]]
    assert ("tried again", "once more") in told
    assert ("priority 7", None) in told
    assert ("said to have succeeded", "measured") in told
    assert "goes on" in shell("run", "log", run).stdout


def test_a_task_that_waits_is_skipped(shell: Shell) -> None:
    """And what cannot be is said in one sentence."""
    run = shell.start("hello", "name=Ada")
    assert shell("task", "skip", f"{run}/1", "--reason", "no post today").stderr == f"{run}/1 is skipped\n"
    assert shell.json("run", "show", run)["state"] == "succeeded"
    assert "only what has failed can be tried again" in shell.says("task", "skip", f"{run}/1", code=4)
    assert "has no task that made it fail; it is succeeded" in shell.says("run", "retry", run, code=4)
    assert "has no task 9" in shell.says("task", "retry", f"{run}/9", code=4)


def test_the_log_of_a_task_is_that_of_its_attempts(shell: Shell) -> None:
    """What it logged and how it came out, of one attempt or of all; followed, an object a line."""
    run = shell.start("flows.py:hello", "name=Ada")
    shell("worker", "start", "--until", "idle")
    letter = next(task["id"] for task in shell.json("task", "list", run) if task["node"] == "letter")
    lines = shell.json("task", "log", letter)
    assert [(line["kind"], line["text"], line["attempt"]) for line in lines] == [
        ("log", "a letter is written", 1),
        ("task", "succeeded", 1),
    ]
    assert shell.json("task", "log", letter, "--attempt", "2") == []
    followed = shell("task", "log", letter, "--follow", "--json").stdout.splitlines()
    assert [json.loads(line) for line in followed] == lines
    assert "a letter is written  to=Hello, Ada" in shell("task", "log", letter).stdout
    greeting = next(task["id"] for task in shell.json("task", "list", run) if task["node"] == "greeting")
    assert "letter" not in shell("task", "log", greeting).stdout
    assert shell("task", "log", greeting, "--attempt", "7", code=0).stdout == "nothing has happened yet\n"
