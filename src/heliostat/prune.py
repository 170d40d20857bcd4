"""Pruning: forgetting runs that are over, first in the database and then among the files.

What forgotten runs leave among the files is noted where they were forgotten, so pruning may be killed at any point and
begun again, or be done by several at once. Whether a file may go is asked in this order: what is running, what runs
refer to, when the file was last kept. If that was before all that was running began, then whoever refers to it has
committed, or never will.
"""

from __future__ import annotations

import logging
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heliostat.batch import ENDED
from heliostat.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from heliostat.context import Surroundings
    from heliostat.store import Discarded

LOG = logging.getLogger("heliostat.prune")

PAGE = 500
#: For so long after it was kept, a file is nobody's to remove: a caller from outside may be about to refer to it.
YOUNG_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went: runs, and bytes of files. ``left``: how many files and directories stay until a later time."""

    runs: int = 0
    bytes: int = 0
    left: int = 0


def prune(around: Surroundings, before: float, on_progress: Callable[[str, int], object]) -> Pruned:
    """Forget runs that ended before a time, and what they alone kept."""
    store, runs, freed, left, last = around.store, 0, 0, 0, 0
    while forgotten := store.prune(before, PAGE):
        runs += forgotten
        on_progress("runs", forgotten)
    while True:
        unused = _unused_seconds(around)
        page = store.discarded(last, PAGE)
        if not page:
            done = Pruned(runs, freed + around.repository.sweep(unused), left)
            _forget_ends(around.directory / "jobs")
            return done
        went = {each.seq: _remove(around, each, unused) for each in page}
        store.done_with([seq for seq, size in went.items() if size is not None])
        freed += sum(size or 0 for size in went.values())
        left += sum(size is None for size in went.values())
        last = page[-1].seq
        on_progress("files", len(page))


def _unused_seconds(around: Surroundings) -> float:
    """For how long nobody may have kept a file that is to go: since before anything that is running began."""
    since, now = around.store.running_since(), around.clock.now()
    return YOUNG_SECONDS + (max(0.0, now - since) if since is not None else 0.0)


def _remove(around: Surroundings, each: Discarded, unused_seconds: float) -> int | None:
    """Remove what a run left, unless it is used; answers how many bytes went, or None if something stays for now."""
    if each.used:
        return 0
    try:
        if each.digest is not None:
            return around.repository.remove(each.digest, unused_seconds)
        return sum(_clear(place) for place in around.places(each.run))
    except OperatorError as error:
        LOG.warning("%s", error)
        return None


def _forget_ends(jobs: Path) -> None:
    """Remove what jobs have told of their end whose run is gone."""
    with suppress(OSError):  # nobody is hurt by what stays
        for told in jobs.joinpath(ENDED).glob("*"):
            if not (jobs / told.name.partition(".")[0]).exists():
                told.unlink(missing_ok=True)


def _clear(place: Path) -> int:
    """Remove a file or a directory with all that is in it."""
    try:
        size = sum(path.lstat().st_size for path in (place, *place.rglob("*")) if path.is_symlink() or path.is_file())
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
    except FileNotFoundError:  # somebody else is at it, and sees to the rest
        return 0
    except OSError as error:
        raise OperatorError(f"{place} cannot be removed: {error}; see to its permissions") from error
    return size
