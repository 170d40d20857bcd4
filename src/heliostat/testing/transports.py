"""What every transport promises, as tests: the contract of ``heliostat.transport.Transport``.

A transport's author writes a fixture ``transport`` and one module of tests that says
``from heliostat.testing.transports import *``.
"""

from __future__ import annotations

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from heliostat.errors import BadInput, OperatorError

if TYPE_CHECKING:
    from pathlib import Path

    from heliostat.transport import Transport

SECONDS = 60.0
PRINT = 'printf "%s\\0" "$@"'
HOSTILE = (
    "", " ", "-n", "--", "$(id)", "`id`", "a'b\"c", "two words", "new\nline", "\n", "end\\", "!!", "#no", "*", "~",
    "%s", "\\0", "\ttab\r", "ü€𝄞", "$nl", "';exit 9;'", "{a,b}", "&", "\x7f\x01\x81",
)  # fmt: skip


def words(said: bytes) -> list[str]:
    """What ``PRINT`` was given."""
    return [os.fsdecode(word) for word in said.split(b"\0")[:-1]]


@pytest.mark.parametrize("code", [0, 1, 2, 126, 127, 130, 143, 254, 255])
def test_an_exit_code_and_what_was_said_are_the_answer(transport: Transport, code: int) -> None:
    """A script that fails has run all the same, whatever the number."""
    ran = transport.run(f"echo out; echo err >&2; exit {code}", timeout=SECONDS)
    assert (ran.exit_code, ran.stdout, ran.stderr, ran.said) == (code, b"out\n", b"err\n", "err")


@pytest.mark.parametrize("script", ["false", "(exit 1)", "set -e; false; exit 0", "trap 'exit 1' EXIT", "exec false"])
def test_the_last_command_says_how_a_script_ended(transport: Transport, script: str) -> None:
    """As in any shell."""
    assert transport.run(script, timeout=SECONDS).exit_code == 1


@pytest.mark.parametrize("script", ["if", "echo 'open", "no-such-program"])
def test_what_no_shell_can_run_is_complained_of(transport: Transport, script: str) -> None:
    """It is an answer of the shell's, and no failure of the way to it."""
    ran = transport.run(script, timeout=SECONDS)
    assert ran.exit_code != 0
    assert ran.said


def test_arguments_are_words_whatever_is_in_them(transport: Transport) -> None:
    """No shell reads them, neither here nor there."""
    assert words(transport.run(PRINT, *HOSTILE, timeout=SECONDS).stdout) == [*HOSTILE]
    assert transport.run('echo "$#"', timeout=SECONDS).stdout == b"0\n"


def test_every_byte_but_nul_goes_through(transport: Transport) -> None:
    """In arguments and in scripts, whether it is text or not: file names are bytes."""
    text = os.fsdecode(bytes(range(1, 256)))
    assert words(transport.run(PRINT, text, timeout=SECONDS).stdout) == [text]
    quoted = text.replace("'", "")
    assert words(transport.run(f"printf '%s\\0' '{quoted}'", timeout=SECONDS).stdout) == [quoted]


def test_nul_is_refused(transport: Transport) -> None:
    """For no shell could hold it, and a word cut short would be another."""
    for arguments in (("a\0b",), (PRINT, "a\0b")):
        with pytest.raises(BadInput, match="NUL"):
            transport.run(*arguments, timeout=SECONDS)


def test_a_script_sees_nothing_of_how_it_came(transport: Transport) -> None:
    """Its comments, here-documents and variables are its own."""
    script = 'cat <<end\n${line-none} ${nl-none} $1\nend\necho "$0" # and that is all'
    assert transport.run(script, "one", timeout=SECONDS).stdout == b"none none one\nsh\n"


def test_length_is_no_matter(transport: Transport) -> None:
    """Of a script, of an argument or of all of them: where a program's arguments end, they go by other means."""
    long = "x'\n " * 75_000
    assert words(transport.run(PRINT, long, "end", timeout=SECONDS).stdout) == [long, "end"]
    many = [f"/a/directory/of a job/{number}" for number in range(20_000)]
    assert words(transport.run(PRINT, *many, timeout=SECONDS).stdout) == many
    script = f"cat; : '{'y' * 300_000}'; exit 3"
    ran = transport.run(script, stdin=b"given", timeout=SECONDS)
    assert (ran.exit_code, ran.stdout) == (3, b"given")


def test_bytes_go_in_and_come_out_as_they_are(transport: Transport) -> None:
    """More of them than a pipe holds, and all at once."""
    given = bytes(range(256)) * 4096
    assert transport.run("cat", stdin=given, timeout=SECONDS).stdout == given
    assert transport.run("cat", timeout=SECONDS).stdout == b""
    assert (
        transport.run('read -r a; read -r b; echo "$b"', stdin=b"one\ntwo\nthree", timeout=SECONDS).stdout == b"two\n"
    )


def test_what_a_script_leaves_unread_is_no_failure(transport: Transport) -> None:
    """It may know enough."""
    assert transport.run("exec < /dev/null; echo done", stdin=b"x" * (4 << 20), timeout=SECONDS).stdout == b"done\n"


def test_what_is_large_goes_by_files(transport: Transport, tmp_path: Path) -> None:
    """From where the one stands to where the other does; nothing of it is held in memory."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(given := os.urandom(8 << 20))
    with source.open("rb") as read, target.open("wb") as written:
        read.seek(100)
        written.write(b"before")
        written.flush()
        ran = transport.run("cat; exit 4", stdin=read, stdout=written, timeout=SECONDS)
    assert (ran.exit_code, ran.stdout) == (4, b"")
    assert target.read_bytes() == b"before" + given[100:]


def test_files_travel_by_tar(transport: Transport, tmp_path: Path) -> None:
    """There and back, whatever their names are."""
    (packed := tmp_path / "packed").mkdir()
    names = {name.replace("/", "") for name in HOSTILE} - {"", "."}
    for name in names:
        (packed / name).write_bytes(os.fsencode(name))
    tar = subprocess.run(["tar", "-C", str(packed), "-cf", "-", "."], capture_output=True, check=True).stdout
    there = str(tmp_path / "there 'it' is")
    assert transport.run('mkdir "$1" && tar -C "$1" -xf -', there, stdin=tar, timeout=SECONDS).exit_code == 0
    (unpacked := tmp_path / "unpacked").mkdir()
    with (tmp_path / "tar").open("w+b") as file:
        assert transport.run('tar -C "$1" -cf - .', there, stdout=file, timeout=SECONDS).exit_code == 0
        file.seek(0)
        subprocess.run(["tar", "-C", str(unpacked), "-xf", "-"], stdin=file, check=True)
    assert {path.name: os.fsdecode(path.read_bytes()) for path in unpacked.iterdir()} == {name: name for name in names}
    transport.run('rm -r "$1"', there, timeout=SECONDS)


def test_a_script_that_takes_too_long_is_an_error_and_the_next_one_runs(transport: Transport) -> None:
    """Nobody waits for what hangs, be it in its words, its silence or what it is given."""
    for script in ("sleep 600", "yes", "exec > /dev/null; sleep 600", "setsid sleep 5 & sleep 600"):
        began = time.monotonic()
        with pytest.raises(OperatorError, match=r"has not ended within 0\.5 s"):
            transport.run(script, stdin=b"x" * (1 << 20), timeout=0.5)
        assert time.monotonic() - began < SECONDS
    assert transport.run("echo on", timeout=SECONDS).stdout == b"on\n"


def test_several_threads_may_run_at_once(transport: Transport) -> None:
    """Each gets its own answer, and none waits for another's end."""
    with ThreadPoolExecutor(8) as threads:
        said = threads.map(lambda word: transport.run('echo "$1"', word, timeout=SECONDS).stdout, map(str, range(40)))
        assert list(said) == [b"%d\n" % number for number in range(40)]


def test_two_scripts_can_meet(transport: Transport, tmp_path: Path) -> None:
    """One that waits for another's word holds it up in nothing."""
    pipe = str(tmp_path / "pipe")
    assert transport.run('mkfifo "$1"', pipe, timeout=SECONDS).exit_code == 0
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(transport.run, 'cat "$1"', pipe, timeout=SECONDS)
        transport.run('echo word > "$1"', pipe, timeout=SECONDS)
        assert waiting.result().stdout == b"word\n"
    transport.run('rm "$1"', pipe, timeout=SECONDS)


def test_no_secret_goes_along(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a script needs to know stands in it."""
    monkeypatch.setenv("HELIOSTAT_SECRET_DOOR", "sesame")
    assert b"sesame" not in transport.run("env", timeout=SECONDS).stdout


def test_a_place_has_a_name(transport: Transport) -> None:
    """For people, who read it in the reason why something waits."""
    assert transport.place.strip()
