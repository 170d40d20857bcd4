"""What all tests share: databases, the order of the rooms, and the time that each room takes.

Heliostat itself is not imported here, so that a mistake in it is reported by the tests that find it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.postgres_server import drop_database, fresh_database, postgres_server
from tests.rabbitmq_server import Rabbit, rabbitmq_server
from tests.slurm_server import Slurm, slurm_server

TESTS = Path(__file__).parent

# The quick and plain first: when a unit test fails, what fails after it is seldom worth reading.
ROOMS = ("unit", "conformance", "integration", "acceptance", "docs")

# A deadline in milliseconds would measure how busy the machine is.
hypothesis.settings.register_profile("heliostat", deadline=None)
hypothesis.settings.load_profile("heliostat")

_seconds: defaultdict[str, float] = defaultdict(float)


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
