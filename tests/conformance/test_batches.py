"""What every batch system promises, on each of them."""

from __future__ import annotations

import getpass
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heliostat.batch import Batch, BatchQueue
from heliostat.batches.cluster import ClusterBatch
from heliostat.batches.dialect import Dialect
from heliostat.batches.local import LocalBatch
from heliostat.batches.mirror import Mirror
from heliostat.batches.pbs import Pbs as OpenPbs
from heliostat.batches.shared import Shared
from heliostat.batches.slurm import Slurm as SlurmDialect
from heliostat.batches.torque import Torque
from heliostat.testing.batches import *  # noqa: F403 - pytest finds the tests by their names
from heliostat.transport import Ran, Transport
from heliostat.transports.local import LocalTransport
from tests.pbs_server import Pbs, pbs_server
from tests.slurm_server import Slurm


@pytest.fixture(scope="module")
def openpbs() -> Iterator[Pbs]:
    """One OpenPBS for all."""
    with pbs_server("openpbs") as server:
        yield server


@pytest.fixture(scope="module")
def torque() -> Iterator[Pbs]:
    """One Torque for all."""
    with pbs_server("torque") as server:
        yield server


SYSTEMS = ["local", "slurm", "openpbs", "torque", "openpbs over ssh", "slurm over ssh"]
ELSEWHERE = ["openpbs elsewhere", "slurm elsewhere"]  #: over ssh, where no file is shared


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """The directory of jobs on a machine that shares no files with this one."""
    with tempfile.TemporaryDirectory(prefix="elsewhere-", dir="/var/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def there(request: pytest.FixtureRequest, elsewhere: Path) -> Callable[[Path], Path]:
    """Where a job runs: below another directory, by the same names."""
    system = request.node.callspec.params["opened"]
    return lambda job: elsewhere / job.parent.name / job.name if system in ELSEWHERE else job


@pytest.fixture(params=[*SYSTEMS, *ELSEWHERE])
def opened(
    request: pytest.FixtureRequest, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Batch]]:
    """Give what makes a batch system again and again, as further processes would; leave no job running."""
    if request.param == "local":
        yield lambda: LocalBatch(grace=0.2)
        _cancel_all(LocalBatch(), tmp_path)
        return
    if "pbs" in request.param or "torque" in request.param:
        yield _on_pbs(request, elsewhere, monkeypatch)
        return
    server: Slurm = request.getfixturevalue("slurm")

    def cluster() -> Batch:
        transport: Transport = LocalTransport()
        if " " in request.param:
            line = f"SLURM_CONF={server.environment['SLURM_CONF']}; export SLURM_CONF\n"
            transport = Prefixed(request.getfixturevalue("cluster"), line)
        files = Mirror(transport, str(elsewhere)) if request.param in ELSEWHERE else Shared(transport)
        return ClusterBatch(SlurmDialect(), transport, files, {"default": BatchQueue("slurm")}, grace=0.2)

    yield cluster
    server.command("scancel", f"--user={getpass.getuser()}")


def _on_pbs(request: pytest.FixtureRequest, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Batch]:
    """A PBS whose commands are found here, or behind ssh, where all that is shared are files, or nothing."""
    name, _, over = request.param.partition(" ")
    pbs: Pbs = request.getfixturevalue(name)
    transport: Transport = LocalTransport()
    if over:
        transport = Prefixed(request.getfixturevalue("cluster"), f"PATH={pbs.path}:$PATH; export PATH\n")
    else:
        monkeypatch.setenv("PATH", pbs.environment["PATH"])
    dialect: Dialect = Torque() if name == "torque" else OpenPbs()
    queues = {"default": BatchQueue(dialect.name)}

    def cluster() -> Batch:
        files = Mirror(transport, str(elsewhere)) if request.param in ELSEWHERE else Shared(transport)
        return ClusterBatch(dialect, transport, files, queues, grace=0.2)

    return cluster


class Prefixed:
    """A way to a machine whose scripts begin with a line, as a user's start-up files would say it."""

    def __init__(self, transport: Transport, line: str) -> None:
        self._transport, self._line = transport, line
        self.here, self.place = transport.here, transport.place

    def run(self, script: str, *arguments: str, **options: Any) -> Ran:
        """Run it behind the line."""
        return self._transport.run(self._line + script, *arguments, **options)


def _cancel_all(batch: Batch, folder: Path) -> None:
    batch.cancel([path for path in folder.iterdir() if path.is_dir()], 0)
