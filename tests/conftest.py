"""What all tests share: databases, the order of the rooms, and the time that each room takes.

Heliostat itself is not imported here, so that a mistake in it is reported by the tests that find it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.postgres_server import drop_database, fresh_database, postgres_server
from tests.rabbitmq_server import Rabbit, rabbitmq_server
from tests.slurm_server import Slurm, slurm_server
from tests.ssh_server import HOST, Sshd, ssh_server

if TYPE_CHECKING:
    from heliostat.transports.ssh import SshTransport

TESTS = Path(__file__).parent

# The quick and plain first: when a unit test fails, what fails after it is seldom worth reading.
ROOMS = ("unit", "conformance", "integration", "acceptance", "docs")

# A deadline in milliseconds would measure how busy the machine is.
hypothesis.settings.register_profile("heliostat", deadline=None)
hypothesis.settings.load_profile("heliostat")

_seconds: defaultdict[str, float] = defaultdict(float)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what has everything tried of which else a part is, another one each time."""
    parser.addoption("--every-point", action="store_true", help="try every point, seed and second, not a part of them")


@pytest.fixture(scope="session")
def every_point(pytestconfig: pytest.Config) -> bool:
    """Whether everything is tried of which else a part is."""
    return bool(pytestconfig.getoption("--every-point"))


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Start one PostgreSQL for the session, when the first test asks for it."""
    with postgres_server() as url:
        yield url


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """Give the URL of a fresh and empty database, which is dropped afterwards."""
    url = fresh_database(postgres_url)
    yield url
    drop_database(url)


@pytest.fixture(scope="session")
def rabbit() -> Iterator[Rabbit]:
    """Start one RabbitMQ for the session, when the first test asks for it."""
    with rabbitmq_server() as server:
        yield server


@pytest.fixture(scope="session")
def sshd() -> Iterator[Sshd]:
    """Start one sshd for the session, when the first test asks for it."""
    with ssh_server() as server:
        yield server


@pytest.fixture
def cluster(sshd: Sshd) -> Iterator[SshTransport]:
    """Give a way to the machine behind that server, and forget afterwards what was noted of it."""
    from heliostat.transport import Address
    from heliostat.transports.ssh import SshTransport

    transport = SshTransport(Address(HOST), command=sshd.command)
    transport._connection().notes.unlink(missing_ok=True)
    yield transport
    transport._connection().notes.unlink(missing_ok=True)


@pytest.fixture
def vhost(rabbit: Rabbit) -> Iterator[str]:
    """Give the address of a fresh virtual host, which is dropped afterwards."""
    address = rabbit.fresh_vhost()
    yield address
    rabbit.drop_vhost(address)


@pytest.fixture(scope="session")
def slurm_running() -> Iterator[Slurm]:
    """Start one Slurm for the session, when the first test asks for it."""
    with slurm_server() as server:
        yield server


@pytest.fixture
def slurm(slurm_running: Slurm, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """Have the commands of this test, and of processes that it starts, find the session's Slurm."""
    for name, value in slurm_running.environment.items():
        monkeypatch.setenv(name, value)
    return slurm_running


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the rooms in order and keep the random order within each (sorting is stable)."""
    items.sort(key=lambda item: ROOMS.index(room) if (room := _room(item.path)) in ROOMS else len(ROOMS))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count set-up and tear-down too: a room is as slow as it feels."""
    _seconds[_room(TESTS.parent / report.fspath)] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how long each room took."""
    if _seconds:
        rooms = (f"{room} {seconds:.1f} s" for room, seconds in _seconds.items())
        terminalreporter.write_line(f"time: {', '.join(rooms)}")


def _room(path: Path) -> str:
    """Name the folder directly under tests/ that a test lies in."""
    return path.relative_to(TESTS).parts[0] if path.is_relative_to(TESTS) else "elsewhere"
