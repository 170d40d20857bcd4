"""Scripts on this machine: what comes back, and what becomes of those that take too long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heliostat.errors import OperatorError
from heliostat.transport import Ran
from heliostat.transports.local import LocalTransport


def until(there: Path) -> None:
    """Wait for a file."""
    deadline = time.monotonic() + 200
    while not there.exists():
        assert time.monotonic() < deadline, f"{there} has not come"
        time.sleep(0.01)


def test_an_exit_code_and_what_was_said_are_the_answer() -> None:
    """A script that fails has run all the same."""
    ran = LocalTransport().run("cat; echo oh >&2; exit 3", stdin=b"\0\xff", timeout=200)
    assert ran == Ran(3, b"\0\xff", b"oh\n")
    assert ran.said == "oh"


def test_arguments_are_words_whatever_is_in_them() -> None:
    """No shell reads them."""
    words = ("$(id)", "a'b\"c", "two words", "-n", "", "new\nline")
    assert LocalTransport().run('printf "%s\\0" "$@"', *words, timeout=200).stdout.decode().split("\0")[:-1] == [*words]


def test_what_is_large_goes_by_files(tmp_path: Path) -> None:
    """Nothing of it is held in memory."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(1 << 20))
    with source.open("rb") as given, target.open("wb") as taken:
        assert LocalTransport().run("cat", stdin=given, stdout=taken, timeout=200) == Ran(0)
    assert target.read_bytes() == source.read_bytes()


def test_a_script_that_takes_too_long_is_ended_with_all_that_it_began(tmp_path: Path) -> None:
    """Nothing of it goes on in silence."""
    with pytest.raises(OperatorError, match=r"has not ended within 0\.5 s"):
        LocalTransport().run('sleep 600 & echo $! > "$1"; wait', str(tmp_path / "pid"), timeout=0.5)
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 200
    while Path(f"/proc/{pid}/stat").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_script_lives_through_the_death_of_who_began_it(tmp_path: Path) -> None:
    """What was begun on the way to a batch system is carried to its end."""
    code = (
        "import sys; from heliostat.transports.local import LocalTransport\n"
        'script = \'touch "$1/begun"; while [ ! -e "$1/go" ]; do sleep 0.01; done; touch "$1/done"\'\n'
        "LocalTransport().run(script, sys.argv[1], timeout=200)\n"
    )
    begun = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    until(tmp_path / "begun")
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    (tmp_path / "go").touch()
    until(tmp_path / "done")
