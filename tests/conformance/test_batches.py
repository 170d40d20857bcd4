"""What every batch system promises, on each of them."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heliostat.batch import Batch, BatchQueue
from heliostat.batches.cluster import ClusterBatch
from heliostat.batches.local import LocalBatch
from heliostat.batches.shared import Shared
from heliostat.batches.slurm import Slurm
from heliostat.testing.batches import *  # noqa: F403 - pytest finds the tests by their names
from heliostat.transports.local import LocalTransport


@pytest.fixture(params=["local", "slurm"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Batch]]:
    """Give what makes a batch system again and again, as further processes would; leave no job running."""
    if request.param == "local":
        yield lambda: LocalBatch(grace=0.2)
        _cancel_all(LocalBatch(), tmp_path)
        return
    server = request.getfixturevalue("slurm")

    def cluster() -> Batch:
        transport = LocalTransport()
        return ClusterBatch(Slurm(), transport, Shared(transport), {"default": BatchQueue("slurm")}, grace=0.2)

    yield cluster
    server.command("scancel", f"--user={getpass.getuser()}")


def _cancel_all(batch: Batch, folder: Path) -> None:
    batch.cancel([path for path in folder.iterdir() if path.is_dir()], 0)
