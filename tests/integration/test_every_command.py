"""What holds for every command: programs can read it, mistakes are told, and the shell is offered what there is."""

from __future__ import annotations

import ast
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from heliostat.cli import app, completion
from heliostat.errors import HeliostatError
from tests.integration.test_cli import Shell, shell  # noqa: F401 - a fixture

ROOT = Path(__file__).parent.parent.parent


def commands(group: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """Every command below a group, by what is typed."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)
        else:
            yield " ".join((*path, name)), command


ALL = dict(commands(get_command(app)))


@pytest.mark.parametrize("name", ALL)
def test_every_command_takes_json(name: str) -> None:
    """Whoever has written it, and whether it has a document of its own or not."""
    assert [option for option in ALL[name].params if "--json" in option.opts]


def test_a_command_without_a_document_says_what_it_did(shell: Shell) -> None:  # noqa: F811
    """With the run and the task that it was about, and whether there was anything to do; people's words are talk."""
    run = shell.start("counter", "--to", "add", "1")
    assert shell.json("run", "pause", run) == {"done": True, "run": run, "said": ["paused"]}
    assert shell.json("run", "pause", run)["done"] is False
    assert shell.json("run", "send", run, "add", "2")["task"].startswith(f"{run}/")
    assert shell.json("queue", "pause", "default") == {
        "done": True,
        "queue": "default",
        "limit": None,
        "rate": None,
        "paused": True,
        "said": ["queue default is paused"],
    }
    assert shell.json("db", "upgrade")["said"] == ["nothing to do"]
    assert shell("run", "resume", run).stdout == ""
    refused = shell("run", "pause", "zzzzzzzzzzzzz", "--json", code=4)
    assert (refused.stdout, json.loads(refused.stderr)["error"]["kind"]) == ("", "NotFound")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["rnu"], "Did you mean 'run'?"),
        (["run", "strat"], "Did you mean 'start'?"),
        (["run", "list", "--jsno"], "--json"),
        (["run", "list", "--state", "actve"], "did you mean 'active'?"),
        (["worker", "start", "--executor", "proces"], "did you mean 'process'?"),
        (["task", "list", "abcd", "--state", "redy"], "did you mean 'ready'?"),
    ],
)
def test_what_is_mistyped_is_offered(shell: Shell, words: list[str], sentence: str) -> None:  # noqa: F811
    """Commands, options and words of a list alike; the exit code is that of a command that was written wrongly."""
    said = " ".join(shell(*words, code=2).stderr.replace("│", " ").split())
    assert sentence in said
    assert "Value error" not in said


def test_exit_codes_are_those_of_the_table() -> None:
    """What errors end with, and what commands end with by themselves, is what the reference says."""
    page = (ROOT / "docs/reference/command-line.md").read_text("utf-8").partition("## Exit codes")[2]
    documented = {int(line.split("|")[1]) for line in page.splitlines() if line.startswith("| ") and line[2].isdigit()}
    branches = [HeliostatError, *HeliostatError.__subclasses__()]
    used = {branch.exit_code for branch in branches} | {0, 2}
    for file in (ROOT / "src/heliostat/cli").glob("*.py"):
        used |= {
            part.value.value
            for part in ast.parse(file.read_text("utf-8")).body
            if isinstance(part, ast.Assign)
            and isinstance(part.targets[0], ast.Name)
            and part.targets[0].id in ("INTERRUPTED", "NOT_ENDED", "EXHAUSTED")
            and isinstance(part.value, ast.Constant)
        }
    assert used == documented


def test_what_is_drawn_or_fetched_is_a_document_too(shell: Shell) -> None:  # noqa: F811
    """The text of a graph in it, or where the file is; a file is not mixed with a document."""
    drawn = shell.json("workflow", "graph", "tiles", "--format", "mermaid")
    assert drawn["format"] == "mermaid"
    assert drawn["text"].startswith("flowchart")
    run = shell.start("hello", "name=Ada", "--wait").split()[1]
    fetched = shell.json("artifact", "get", run, "letter.txt")
    assert Path(fetched["written"]).read_text() == "Hello, Ada"
    assert "--json" in shell.says("artifact", "get", run, "letter.txt", "--out", "-", "--json", code=4)


# completion


def offered(complete: Any, word: str, **options: object) -> list[str]:
    """What is offered for a word that has been begun."""
    context = typer.Context(get_command(app))
    context.params = options
    return [name for name, _ in complete(context, word)]


def test_the_shell_is_offered_what_the_database_has(shell: Shell) -> None:  # noqa: F811
    """Runs newest first, workflows, queues, nodes; as far as they begin as it was typed."""
    first, second = shell.start("hello", "name=Ada"), shell.start("tiles", "1")
    assert offered(completion.runs, first[:4]) == [second, first]
    assert offered(completion.workflows, "ti") == ["tiles"]
    assert offered(completion.queues, "") == ["default"]
    assert offered(completion.nodes, "hello/") == ["hello/greeting", "hello/letter"]
    assert offered(completion.runs, "nothing") == []


def test_where_there_is_no_database_nothing_is_offered(shell: Shell) -> None:  # noqa: F811
    """Nothing is made, and nothing said."""
    for database in ("sqlite:///none.db", "postgresql://127.0.0.1:9/none", "nonsense", "memory://"):
        assert offered(completion.runs, "", database=database) == []
    assert not Path("none.db").exists()


def test_a_database_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is typing: what comes too late is not offered."""
    over = threading.Event()

    def late(*_: object) -> list[tuple[str, str]]:
        over.wait(60)
        return [("01r6nt9dv2mkw", "late")]

    monkeypatch.setattr(completion, "_asked", late)
    monkeypatch.setattr(completion, "PATIENCE_SECONDS", 0.01)
    assert offered(completion.runs, "") == []
    over.set()


def test_arguments_that_name_something_known_are_completed() -> None:
    """Every argument called RUN, TASK, NODE, QUEUE or REVIEW."""
    known = {"RUN", "TASK", "NODE", "QUEUE", "REVIEW"}
    for name, command in ALL.items():
        for parameter in command.params:
            if parameter.param_type_name == "argument" and parameter.metavar in known:
                assert parameter._custom_shell_complete is not None, f"{name} {parameter.metavar}"


# errors, for programs


@pytest.mark.parametrize(
    ("words", "kind", "code", "sentence"),
    [
        (["run", "show", "zzzz"], "NotFound", 4, "there is no run whose id begins or ends with zzzz"),
        (["run", "start", "flows.py:hello", "name=Ada", "name=Eve"], "BadInput", 4, "name is given twice"),
        (["run", "list", "--state", "actve"], "Usage", 2, "did you mean 'active'?"),
        (["run", "list", "--stat", "active"], "Usage", 2, "--stat"),
        (["task", "show"], "Usage", 2, "TASK"),
        (["db", "status"], "StoreUnavailable", 6, "heliostat.db"),
    ],
)
def test_an_error_is_json_for_whoever_asks_for_json(
    shell: Shell,  # noqa: F811
    words: list[str],
    kind: str,
    code: int,
    sentence: str,
) -> None:
    """One object in the last line of standard error; nothing on standard output, and the exit code as before."""
    if words[0] == "db":
        Path("heliostat.db").mkdir()
    else:
        shell.start("hello", "name=Ada")
    said = shell(*words, "--json", code=code)
    error = json.loads(said.stderr.splitlines()[-1])["error"]
    assert (said.stdout, error["kind"], error["exit_code"]) == ("", kind, code)
    assert sentence in error["message"]


def test_a_run_that_has_not_ended_in_time_is_an_error_in_the_same_form(shell: Shell) -> None:  # noqa: F811
    """With the exit code that it has."""
    run = shell.start("hello", "name=Ada")
    said = shell("run", "wait", run, "--timeout", "0s", "--json", code=1)
    assert json.loads(said.stderr.splitlines()[-1])["error"]["exit_code"] == 1
