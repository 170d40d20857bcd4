"""Change a workflow and run it again, by the real command line: rerun, compare, one node alone, watch."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pytest

PATIENCE_SECONDS = 200.0

NIGHT = """
from pathlib import Path

from heliostat import Context, Workflow

import factors

night = Workflow("night")


def seen(name: str) -> None:
    with Path("seen.txt").open("a") as file:
        file.write(name + "\\n")


@night.node
def exposures(message: dict[str, int]) -> list[int]:
    seen("exposures")
    return [30, 60, message["last"]]


@night.node(map={"seconds": exposures})
def calibrated(seconds: int) -> float:
    seen("calibrated")
    return seconds * factors.GAIN


@night.node
def summary(ctx: Context, calibrated: list[float], message: dict[str, int]) -> str:
    seen("summary")
    (ctx.dir / "sum.txt").write_text("x")
    ctx.log("summed up", n=len(calibrated))
    ctx.artifact(ctx.dir / "sum.txt")
    return f"{sum(calibrated):.0f} electrons"


@night.node
def broken(summary: str) -> str:
    return summary.upper()
"""


class Shell:
    """The real command in a directory with a workflow."""

    def __init__(self, place: Path) -> None:
        self.place = place
        # a terminal that is wide enough for every line, whatever the tests run in
        self.environment = {**os.environ, "COLUMNS": "200", "HELIOSTAT_DATABASE": f"sqlite:///{place / 'x.db'}"}
        self.write("night.py", NIGHT)
        self.write("factors.py", "GAIN = 2.0\n")

    def write(self, name: str, text: str) -> None:
        """Save a file, whole."""
        (self.place / f"{name}.new").write_text(text)
        (self.place / f"{name}.new").replace(self.place / name)

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Have a command running."""
        return subprocess.Popen(
            [sys.executable, "-m", "heliostat.cli", *words],
            cwd=self.place,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def __call__(self, *words: str, code: int = 0) -> str:
        """What a command prints."""
        command = self.begin(*words)
        out, err = command.communicate(timeout=200)
        assert command.returncode == code, err + out
        return out if code == 0 else err

    def json(self, *words: str) -> Any:
        """What it prints for programs."""
        return json.loads(self(*words, "--json"))

    def start(self, last: int = 120) -> str:
        """A run that has ended; answers its id."""
        found: str = self.json("run", "start", "night.py:night", f"last={last}", "--wait")["id"]
        return found

    def seen(self) -> list[str]:
        """Which functions have run since the last look."""
        file = self.place / "seen.txt"
        names = file.read_text().split() if file.exists() else []
        file.write_text("")
        return names


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """An empty directory with a workflow and a database of its own."""
    return Shell(tmp_path)


def test_a_run_is_run_anew_with_the_code_of_today(shell: Shell) -> None:
    """From a node on; what lies before is there as it was, and its functions do not run."""
    run = shell.start()
    shell.seen()
    shell.write("night.py", NIGHT.replace("electrons", "counts"))
    new = shell.json("run", "rerun", run, "night.py:night", "--at", "summary", "--reason", "words", "--wait")
    assert shell.seen() == ["summary"]
    assert new["result"] == "420 COUNTS"
    assert [node["tasks"] for node in new["nodes"]][1] == {"succeeded": 3}
    assert f"rerun of run {run} at summary, with exposures, calibrated taken over: words" in shell(
        "run", "log", new["id"]
    )
    assert f"rerun at summary as run {new['id']}: words" in shell("run", "log", run)


def test_a_pruned_run_takes_nothing_from_its_rerun(shell: Shell) -> None:
    """Results and files of what was taken over stay; what is pruned itself cannot be run anew."""
    run = shell.start()
    new = shell.json("run", "rerun", run, "night.py:night", "--at", "broken", "--wait")["id"]
    (info,) = [each for each in shell.json("run", "list") if each["id"] == new]
    shell("db", "prune", "--before", info["created_at"])
    assert "there is no run" in shell("run", "rerun", run, "night.py:night", code=4)
    (kept,) = shell.json("artifact", "list", new)
    shell("artifact", "get", new, "sum.txt")
    assert (shell.place / "sum.txt").read_text() == "x"
    assert kept["task"] == f"{new}/3"


@pytest.mark.parametrize("number", range(3))
def test_a_rerun_that_is_killed_is_there_or_not(shell: Shell, number: int) -> None:
    """Never half of it: wherever the process is killed, the database holds whole runs."""
    run = shell.start()
    command = shell.begin("run", "rerun", run, "night.py:night", "--at", "summary", "--key", "k")
    with suppress(subprocess.TimeoutExpired):
        command.wait(0.4 + 0.15 * number)
    command.kill()  # nothing more, where it was through by then
    command.communicate()
    new = shell.json("run", "rerun", run, "night.py:night", "--at", "summary", "--key", "k", "--wait")
    assert new["result"] == "420 ELECTRONS"
    assert len(shell.json("run", "list")) == 2


def test_two_reruns_at_once_with_one_key_are_one(shell: Shell) -> None:
    """Whoever comes second gets the run of the first."""
    run = shell.start()
    both = [shell.begin("run", "rerun", run, "night.py:night", "--at", "summary", "--key", "k") for _ in range(2)]
    ids = {command.communicate(timeout=200)[0].strip() for command in both}
    assert len(ids) == 1
    assert len(shell.json("run", "list")) == 2


def test_what_cannot_be_run_anew_is_refused_in_one_sentence(shell: Shell) -> None:
    """Each says what would be right."""
    run = shell.start()
    assert "did you mean 'summary'" in shell("run", "rerun", run, "night.py:night", "--at", "sumary", code=4)
    assert "say where the code of today is" in shell("run", "rerun", run, "--at", "summary", code=4)
    hostile = shell("run", "rerun", run, "night.py:night", "--at", "\x1b[31m'; DROP TABLE runs", code=4)
    assert "\x1b" not in hostile
    shell.write("night.py", NIGHT.replace('{"seconds": exposures})', '{"seconds": exposures}, may_fail=True)'))
    changed = shell("run", "rerun", run, "night.py:night", "--at", "summary", code=4)
    assert "calibrated would be taken over, but it has another structure now" in changed


def test_two_runs_are_compared(shell: Shell) -> None:
    """In what they differ, for people and for programs."""
    run = shell.start()
    shell.write("night.py", NIGHT.replace("electrons", "counts"))
    new = shell.json("run", "rerun", run, "night.py:night", "--at", "summary", "--wait")["id"]
    table = shell("run", "compare", run, new)
    assert re.search(r"summary +result, code +✓ succeeded +✓ succeeded", table)
    assert '$: "420 electrons" → "420 counts"' in table
    assert "exposures" not in table
    found = shell.json("run", "compare", run, new)
    by_node = {node["node"]: node for node in found["nodes"]}
    assert by_node["exposures"]["differs"] == []
    assert by_node["exposures"]["after"]["taken_over"]
    assert by_node["exposures"]["after"]["codes"] == by_node["exposures"]["before"]["codes"] != []
    assert by_node["summary"]["result"] == [
        {"place": "$", "before": "420 electrons", "after": "420 counts", "only": None}
    ]
    assert "came out alike" in shell("run", "compare", run, run)


def test_a_comparison_tells_places_and_structure(shell: Shell) -> None:
    """Which item of a list differs, and what the graphs do not have in common."""
    run = shell.start()
    shell.write("night.py", NIGHT.replace("def broken", "def loud"))
    other = shell.start(last=90)
    table = shell("run", "compare", run, other)
    assert "added loud; removed broken" in table
    assert "$[2]: 120 → 90" in table
    assert re.search(r"loud +structure +no such node +✓ succeeded", table)


FILES = """
from pathlib import Path

from heliostat import Context, Workflow

fire = Workflow("fire")


@fire.node
def terrain(ctx: Context, message: str) -> Path:
    (ctx.dir / "dem.txt").write_text(message)
    return ctx.dir / "dem.txt"


spread = fire.job(
    "spread", "cat {terrain} > out.txt; echo {message} >> out.txt; test {message} != bad", outputs="out.txt"
)


@fire.node
def size(ctx: Context, terrain: Path, spread: Path) -> int:
    ctx.log("looked", file=terrain.name)
    ctx.send(hear, spread.read_text())
    return len(terrain.read_text())


@fire.handler
def hear(ctx: Context, message: str) -> None:
    ctx.put(message, key="heard")
    if message == "boom":
        raise LookupError(ctx.get("heard"))
"""


def test_one_node_runs_alone(shell: Shell) -> None:
    """With what a run gave before it, or what is typed; the database does not hear of it."""
    shell.write("fire.py", FILES)
    run = shell.json("run", "start", "fire.py:fire", "--message", '"hill"', "--wait")["id"]
    before = shell.json("run", "show", run)
    found = shell.json("node", "run", "fire.py:fire", "size", "--from", run)
    assert found["result"] == 4
    assert found["sent"][0]["message"] == "hillhill\n"
    assert found["logged"] == [{"kind": "log", "text": "looked", "fields": {"file": "dem.txt"}}]
    shell.write("other.txt", "mountain")
    typed = ("node", "run", "fire.py:fire", "size", "--from", run, "--input", "terrain=@other.txt")
    assert shell(*typed).splitlines()[-1] == "8"
    job = shell.json("node", "run", "fire.py:fire", "spread", "--input", "terrain=@other.txt", "--message", '"x"')
    assert job["result"]["$artifact"]["name"] == "out.txt"
    assert shell.json("node", "run", "fire.py:fire", "hear", "--from", run)["records"][0]["value"] == "hillhill\n"
    assert shell.json("run", "show", run) == before
    assert len(shell.json("run", "list")) == 1


def test_what_a_node_raises_is_shown_where_its_author_wrote_it(shell: Shell) -> None:
    """Without a frame of the engine; what does not fit is one sentence."""
    shell.write("fire.py", FILES)
    said = shell("node", "run", "fire.py:fire", "hear", "--message", '"boom"', code=5)
    assert "LookupError: boom" in said
    assert "in hear" in said
    assert "heliostat/" not in said
    last = shell("node", "run", "fire.py:fire", "hear", "--message", '"boom"', "--json", code=5).splitlines()[-1]
    told = json.loads(last)["error"]
    assert (told["kind"], told["exit_code"]) == ("LookupError", 5)
    assert told["message"].startswith("LookupError: boom (fire.py:")
    assert "waits for terrain" in shell("node", "run", "fire.py:fire", "size", code=4)
    assert "exit code 1" in shell(
        "node", "run", "fire.py:fire", "spread", "--input", "terrain=@fire.py", "--message", '"bad"', code=5
    )
    assert "did you mean 'size'" in shell("node", "run", "fire.py:fire", "sise", code=4)
    assert not (shell.place / "x.db").exists()


class Watched:
    """A watching command: what it has said so far, line by line."""

    def __init__(self, shell: Shell, *words: str) -> None:
        self.command = shell.begin("run", "start", "night.py:night", "last=120", "--watch", *words)
        self.said: list[str] = []
        streams = (self.command.stdout, self.command.stderr)
        self._readers = [threading.Thread(target=self._read, args=[stream]) for stream in streams]
        for thread in self._readers:
            thread.start()

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self.said.append(line.rstrip())

    def close(self) -> None:
        """Leave nothing running."""
        with suppress(ProcessLookupError):
            os.killpg(self.command.pid, signal.SIGKILL)
        self.command.wait()
        for thread in self._readers:
            thread.join()

    def until(self, words: str, times: int = 1) -> None:
        """Wait until something was said so often."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while sum(words in line for line in self.said) < times:
            assert time.monotonic() < deadline, "\n".join(self.said)
            assert self.command.poll() is None, "\n".join(self.said)
            time.sleep(0.02)

    def interrupt(self) -> int:
        """What Ctrl-C does in a terminal: the whole group hears it."""
        os.killpg(self.command.pid, signal.SIGINT)
        return self.command.wait(PATIENCE_SECONDS)


@pytest.fixture
def watched(shell: Shell) -> Iterator[Watched]:
    """A workflow that is watched, after its first round."""
    found = Watched(shell)
    try:
        found.until("watching")
        yield found
    finally:
        found.close()


def test_each_save_runs_what_it_has_changed(shell: Shell, watched: Watched) -> None:
    """From the first changed node on; comments change nothing; an imported module counts."""
    watched.until("420 ELECTRONS")
    assert shell.seen() == ["exposures", "calibrated", "calibrated", "calibrated", "summary"]
    shell.write("night.py", NIGHT.replace("electrons", "counts"))
    watched.until("420 COUNTS")
    watched.until("changed: summary")
    assert shell.seen() == ["summary"]
    watched.until("watching", 2)
    shell.write("factors.py", "GAIN = 3.0\n")
    watched.until("630 COUNTS")
    watched.until("changed: calibrated")
    assert shell.seen() == ["calibrated"] * 3 + ["summary"]
    watched.until("watching", 3)
    shell.write("night.py", NIGHT.replace("electrons", "counts") + "\n\n# nothing\n")
    watched.until("nothing that a node stands on has changed")
    assert shell.seen() == []
    watched.until("watching", 4)
    assert watched.interrupt() == 0
    assert len(shell.json("run", "list")) == 3


def test_a_mistake_is_shown_and_waited_out(shell: Shell, watched: Watched) -> None:
    """A file that is no Python yet, one that is gone for a moment, a node that fails: then it goes on from there."""
    shell.seen()
    (shell.place / "night.py").write_text(NIGHT + "\ndef half(")
    watched.until("cannot be loaded: SyntaxError")
    watched.until("watching", 2)
    (shell.place / "night.py").unlink()
    shell.write("night.py", NIGHT.replace("summary.upper()", "summary.uper()"))
    watched.until("has no attribute 'uper'")
    watched.until("watching", 3)
    assert shell.seen() == []
    shell.write("night.py", NIGHT.replace("summary.upper()", "summary.title()"))
    watched.until("420 Electrons")
    assert shell.seen() == []


def test_a_save_stops_what_still_runs(shell: Shell, watched: Watched) -> None:
    """The run is cancelled, and the next takes over what it had settled."""
    shell.seen()
    slow = NIGHT.replace('seen("summary")', 'seen("summary"); __import__("time").sleep(60)')
    shell.write("night.py", slow)
    watched.until("changed: summary")
    until_seen(shell, "summary")
    shell.write("night.py", NIGHT.replace("electrons", "counts"))
    watched.until("saved while it ran")
    watched.until("420 COUNTS")
    states = [run["state"] for run in shell.json("run", "list")]
    assert states == ["succeeded", "cancelled", "succeeded"]
    assert "exposures" not in shell.seen()


def until_seen(shell: Shell, name: str, times: int = 1) -> None:
    """Wait until a function has begun so often."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (shell.place / "seen.txt").read_text().count(name) < times:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ctrl_c_leaves_a_run_that_goes_on(shell: Shell, watched: Watched) -> None:
    """What runs is handed back, and it is said who goes on with it."""
    watched.until("watching")
    shell.write("night.py", NIGHT.replace('seen("summary")', 'seen("summary"); __import__("time").sleep(60)'))
    until_seen(shell, "summary", 2)
    assert watched.interrupt() == 130
    watched.close()
    assert any("goes on with: heliostat worker start night.py:night" in line for line in watched.said)
    assert [run["state"] for run in shell.json("run", "list")] == ["active", "succeeded"]
