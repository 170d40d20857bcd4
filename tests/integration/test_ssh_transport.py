"""Scripts over a real sshd: one connection for all, and what becomes of scripts when it breaks."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from heliostat.errors import BadInput, OperatorError
from heliostat.transport import Address
from heliostat.transports import connection
from heliostat.transports.ssh import SshTransport
from tests.ssh_server import HOST, Sshd

T = TypeVar("T")

# Runs a script, and tells before its end that it runs.
RUNNER = """
import sys
from heliostat.transport import Address
from heliostat.transports.ssh import SshTransport
transport = SshTransport(Address("cluster"), command=tuple(sys.argv[2:]))
script = 'exec >/dev/null 2>&1; touch "$1/begun"; while [ ! -e "$1/go" ]; do sleep 0.01; done; touch "$1/done"'
transport.run(script, sys.argv[1], timeout=200)
"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have little patience with what hangs, and short pauses."""
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(connection, "PAUSES", (0.2, 0.4))


@pytest.fixture
def server(sshd: Sshd) -> Iterator[Sshd]:
    """The server of the session without connections, and as it was afterwards."""
    sshd.cut()
    usual = (sshd.directory / "sshd_config").read_text()
    yield sshd
    if sshd.guardian is None:
        sshd.start()
    if (sshd.directory / "sshd_config").read_text() != usual:
        sshd.configure()
    sshd.cut()


def until(condition: Callable[[], T | bool | None]) -> T:
    """Wait until a condition holds, and answer with its value; fail when patience ends."""
    deadline = time.monotonic() + 200
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return value  # type: ignore[return-value]


def reached(transport: SshTransport) -> bool:
    """Whether a script runs now."""
    try:
        return transport.run("echo here", timeout=60).stdout == b"here\n"
    except OperatorError:
        return False


def masters(transport: SshTransport) -> list[int]:
    """The processes that keep the connection up in the background."""
    assert transport._known is not None
    name = str(transport._known.path)
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"{name} [mux]" in path.read_text("utf-8", "replace"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


# --- one connection


def test_many_scripts_go_over_one_connection(server: Sshd, cluster: SshTransport) -> None:
    """Of many threads, and of other transports to the same machine."""
    before = server.logins()
    other = SshTransport(Address(HOST), command=server.command)
    with ThreadPoolExecutor(8) as threads:
        ran = [threads.submit(each.run, "exit 7", timeout=200) for _ in range(30) for each in (cluster, other)]
    assert {each.result().exit_code for each in ran} == {7}
    assert server.logins() == before + 1


def test_processes_share_the_connection(server: Sshd, cluster: SshTransport, tmp_path: Path) -> None:
    """Also those that begin at the same moment, with no connection there."""
    before = server.logins()
    (tmp_path / "go").touch()
    command = [sys.executable, "-c", RUNNER, str(tmp_path), *server.command]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(200) for process in processes] == [0, 0, 0, 0]
    assert reached(cluster)
    assert server.logins() == before + 1


def test_a_connection_of_the_users_own_is_taken(server: Sshd, tmp_path: Path) -> None:
    """Somebody logged in there by hand, with what no program can give, and has a ControlPath in his configuration."""
    mine = Path("/tmp") / f"heliostat-own-{os.getpid()}"
    configuration = tmp_path / "ssh_config"
    configuration.write_text(f"Include {server.directory}/ssh_config\nHost *\n  ControlPath {mine}-%p\n")
    command = ("ssh", "-F", str(configuration))
    subprocess.run([*command, "-oControlMaster=yes", "-oControlPersist=30", "-fN", HOST], check=True, timeout=200)
    (server.directory / "key").rename(server.directory / "key.away")  # so nobody else could log in
    try:
        assert SshTransport(Address(HOST), command=command).run("echo here", timeout=60).stdout == b"here\n"
    finally:
        (server.directory / "key.away").rename(server.directory / "key")
        subprocess.run([*command, "-Oexit", HOST], check=True, timeout=200, stderr=subprocess.DEVNULL)


# --- what breaks


def test_a_connection_that_is_cut_is_an_error_and_the_next_script_makes_another(
    server: Sshd, cluster: SshTransport, tmp_path: Path
) -> None:
    """Nothing is concluded from the loss: neither that the script ran nor that it did not."""
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(cluster.run, 'touch "$1"; sleep 600', str(tmp_path / "begun"), timeout=200)
        until((tmp_path / "begun").exists)
        server.cut()
        with pytest.raises(OperatorError, match="the connection to cluster was lost"):
            running.result()
    before = server.logins()
    assert until(lambda: reached(cluster))
    assert server.logins() == before + 1


def test_a_script_lives_through_the_death_of_who_began_it(server: Sshd, cluster: SshTransport, tmp_path: Path) -> None:
    """And through the loss of the connection, where it does not say anything."""
    begun = subprocess.Popen([sys.executable, "-c", RUNNER, str(tmp_path), *server.command])
    until((tmp_path / "begun").exists)
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    server.cut()
    (tmp_path / "go").touch()
    until((tmp_path / "done").exists)


@pytest.mark.usefixtures("quick")
def test_a_server_that_is_away_is_said_to_be_and_comes_back(server: Sshd, cluster: SshTransport) -> None:
    """The operator is told why, and when it is tried again; nothing has to be begun anew."""
    assert reached(cluster)
    server.stop()
    said = until(lambda: (told := _told(cluster)) and "Connection refused" in told and told)
    assert said.startswith("cluster is not reached: ")
    server.start()
    assert until(lambda: reached(cluster))


def test_after_a_login_that_failed_there_is_a_pause_for_all(
    server: Sshd, cluster: SshTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No storm of log-ins, from however many processes; and a pause costs nobody any time."""
    monkeypatch.setattr(connection, "PAUSES", (60.0, 300.0))
    server.stop()
    other = SshTransport(Address(HOST), command=server.command)
    first = _told(cluster)
    server.start()  # it would let us in now
    began = time.monotonic()
    for transport in (cluster, other) * 20:
        assert (told := _told(transport)) is not None
        assert told.startswith(f"{first} (it is tried again in ")
    assert time.monotonic() - began < 20
    assert server.logins() == 0


def test_pauses_grow_and_end_with_a_login(server: Sshd, cluster: SshTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each failure doubles the pause, up to the longest."""
    now = 1e9
    monkeypatch.setattr(connection.time, "time", lambda: now)
    server.stop()
    pauses = []
    for _ in range(10):
        assert "tried again" not in str(_told(cluster))
        pauses.append(int(re.findall(r"tried again in (\d+) s", str(_told(cluster)))[0]))
        now += pauses[-1] + 1
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    server.start()
    assert reached(cluster)
    server.stop()
    assert until(lambda: "Connection refused" in str(_told(cluster)))
    assert str(_told(cluster)).endswith("(it is tried again in 1 s)")


@pytest.mark.usefixtures("quick")
def test_a_connection_that_hangs_is_given_up(server: Sshd, cluster: SshTransport) -> None:
    """OpenSSH's process in the background was stopped: who waits for it gets an error, and who comes next another."""
    assert reached(cluster)
    (hanging,) = masters(cluster)
    os.kill(hanging, signal.SIGSTOP)
    try:
        with pytest.raises(OperatorError, match=r"has not ended within 0\.5 s"):
            cluster.run("echo here", timeout=0.5)
        before = server.logins()
        assert reached(cluster)
        assert server.logins() == before + 1
    finally:
        os.kill(hanging, signal.SIGKILL)


@pytest.mark.usefixtures("quick")
def test_a_connection_that_hangs_is_given_up_at_the_first_word(server: Sshd, cluster: SshTransport) -> None:
    """Also by a process that has not used it before."""
    assert reached(cluster)
    (hanging,) = masters(cluster)
    os.kill(hanging, signal.SIGSTOP)
    try:
        other = SshTransport(Address(HOST), command=server.command)
        assert until(lambda: reached(other))
    finally:
        os.kill(hanging, signal.SIGKILL)


def test_a_connection_that_was_killed_leaves_a_socket_that_hinders_nobody(server: Sshd, cluster: SshTransport) -> None:
    """Nobody listens there any more."""
    assert reached(cluster)
    (gone,) = masters(cluster)
    os.kill(gone, signal.SIGKILL)
    until(lambda: not masters(cluster))
    assert reached(cluster)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give where connections have their sockets in a test of its own; their paths have to be short."""
    with tempfile.TemporaryDirectory(dir="/tmp") as found:
        monkeypatch.setattr(connection, "PLACE", Path(found))
        yield Path(found)


def test_a_directory_of_sockets_that_was_cleared_away_is_made_again(server: Sshd, place: Path) -> None:
    """As what nobody has touched for days is, where it is under /tmp."""
    transport = SshTransport(Address(HOST), command=server.command)
    assert reached(transport)
    server.cut()
    for room in place.iterdir():
        shutil.rmtree(room)
    assert until(lambda: reached(transport))
    server.cut()


# --- who is asked, and how


def test_a_shell_that_talks_is_told_of(server: Sshd, cluster: SshTransport) -> None:
    """What it says would be taken for the words of scripts."""
    server.configure('ForceCommand echo Welcome; eval "$SSH_ORIGINAL_COMMAND"')
    said = until(lambda: (told := _told(cluster)) and "Welcome" in told and told)
    assert said.startswith("on cluster, the shell says b'Welcome\\n' before any command; have its start-up files")


@pytest.mark.usefixtures("quick")
def test_who_is_not_let_in_is_told_so(server: Sshd, cluster: SshTransport) -> None:
    """In ssh's own words, at once: nobody is asked for a password."""
    keys = server.directory / "key.pub"
    right = keys.read_text()
    keys.write_text("")
    try:
        assert "Permission denied" in str(_told(cluster))
    finally:
        keys.write_text(right)


def test_no_ssh_is_an_operators_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not a defect."""
    with pytest.raises(OperatorError, match="no-such-ssh cannot be started: No such file"):
        SshTransport(Address("somewhere"), command=("no-such-ssh",)).run("true", timeout=1)


def test_a_directory_of_somebody_elses_is_not_used(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever made it could listen in."""
    monkeypatch.setattr(connection.os, "getuid", lambda: 123456789)
    room = Path("/tmp/heliostat-123456789")
    room.mkdir(mode=0o700)
    try:
        told = _told(SshTransport(Address(HOST), command=sshd.command))
        assert "is not a directory of this user's alone" in str(told)
    finally:
        room.rmdir()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("cluster", Address("cluster")),
        ("ada@login.example.org", Address("login.example.org", "ada")),
        ("ada@example.org@login:2222", Address("login", "ada@example.org", 2222)),
        ("[::1]:22", Address("::1", "", 22)),
        ("ada@[fe80::1%eth0]", Address("fe80::1%eth0", "ada")),
    ],
)
def test_an_address_says_who_and_where(text: str, address: Address) -> None:
    """And is written as it was read."""
    assert Address.of(text, "host") == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["", "-oProxyCommand=id", "a b", "@host", "host:", "host:0", "host:99999", "a/b", "a\nb", "ssh://host", 7, None],
)
def test_what_is_no_address_is_refused(text: object) -> None:
    """No option of ssh's can be made of one."""
    with pytest.raises(BadInput, match=r"^queues\.night\.host: .* is no address; write a name from ~/\.ssh/config"):
        Address.of(text, "queues.night.host")


def _told(transport: SshTransport) -> str | None:
    """What is said of why no script runs; None where one does."""
    try:
        transport.run("true", timeout=60)
    except OperatorError as error:
        return str(error)
    return None
