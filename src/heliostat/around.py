"""What the contexts of a process share, put together: also of one that performs attempts and has no engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat.clock import Ids
from heliostat.context import Surroundings
from heliostat.repositories.directory import DirectoryRepository

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

    from heliostat.clock import Clock
    from heliostat.store import Store
    from heliostat.vault import Vault
    from heliostat.workflow import Workflow


def surroundings(
    store: Store,
    clock: Clock,
    files: Path,
    chance: random.Random,
    offer: Callable[[Workflow], object],
    queues: frozenset[str] | None,
    vault: Vault,
) -> Surroundings:
    """What the contexts of a process share; ``files`` is the directory for artifacts, logs and attempts."""
    repository = DirectoryRepository(files / "artifacts")
    return Surroundings(store, repository, clock, Ids(clock, chance), files, offer, queues, vault)
