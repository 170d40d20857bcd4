"""Pruning: rows first, then the files that no run refers to any more, whatever happens in between."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from heliostat import Artifact, Context, Workflow
from heliostat.batch import ENDED
from heliostat.clock import SystemClock
from heliostat.compose import engine_on
from heliostat.engine import Engine
from heliostat.store import Ask
from heliostat.stores.memory import MemoryStore, Tables

sky = Workflow("sky")


@sky.node
def expose(ctx: Context, message: str) -> Path:
    """Keep what it was told, and say so."""
    ctx.log("exposed")
    file = ctx.dir / "plate.fits"
    file.write_text(message)
    return file


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    """Give what opens an engine of a further process on the same tables and files."""
    tables, engines = Tables(), list[Engine]()

    def open_one() -> Engine:
        store = MemoryStore()
        store.tables = tables
        engines.append(engine_on(store, SystemClock(), tmp_path / "files", seed=len(engines)))
        return engines[-1]

    yield open_one
    for engine in engines:
        engine.close()


@pytest.fixture
def engine(opened: Callable[[], Engine]) -> Engine:
    """Give one engine."""
    return opened()


def kept(engine: Engine) -> list[str]:
    """What the files hold that are there."""
    return sorted(path.read_text() for path in (engine.around.directory / "artifacts").glob("??/*"))


def age(engine: Engine, seconds: float = 1e9) -> None:
    """Let all files have been kept so long ago."""
    for path in (engine.around.directory / "artifacts").glob("??/*"):
        os.utime(path, (time.time() - seconds,) * 2)


def test_a_file_goes_with_the_last_run_that_keeps_it(engine: Engine) -> None:
    """Two runs may keep the same; what only one kept goes with it, and so does its log."""
    old, _ = engine.run(sky, "M31"), engine.run(sky, "M33")
    between = datetime.now()  # noqa: DTZ005 - a local time is what people have
    new = engine.run(sky, "M31")
    age(engine)
    done = engine.prune(between)
    assert (done.runs, done.left, kept(engine)) == (2, 0, ["M31"])
    assert done.bytes > len("M33")  # logs went too
    assert not engine.around.log_file(old.key).exists()
    assert engine.around.log_file(new.key).exists()
    assert (engine.prune(time.time() + 1).runs, kept(engine)) == (1, [])
    assert engine.store.discarded() == []


def test_a_prune_that_was_killed_between_rows_and_files_is_finished_by_the_next(engine: Engine) -> None:
    """What is left to remove was noted where the rows were forgotten."""
    engine.run(sky, "M31")
    age(engine)
    assert engine.store.prune(time.time() + 1) == 1
    assert kept(engine) == ["M31"]
    assert (engine.prune(0.0).runs, kept(engine)) == (0, [])


def test_what_jobs_told_of_their_end_goes_with_their_run(engine: Engine) -> None:
    """A job that nobody collected has left its word; that of a run which is there may still be heard."""
    jobs = engine.around.directory / "jobs"
    for run in ("here", "gone"):
        (jobs / run).mkdir(parents=True)
    (jobs / ENDED).mkdir()
    for told in ("here.1.1", "gone.1.1", "gone.12.1.2"):
        (jobs / ENDED / told).touch()
    (jobs / "gone").rmdir()
    engine.prune(0.0)
    assert [path.name for path in (jobs / ENDED).iterdir()] == ["here.1.1"]


def test_a_file_that_was_just_kept_again_stays(engine: Engine) -> None:
    """An attempt may be about to refer to it, and if it never does, a later prune removes it."""
    engine.run(sky, "M31")
    age(engine)
    again = engine.around.directory / "again.fits"
    again.write_text("M31")
    engine.around.repository.keep(again)
    assert (engine.prune(time.time() + 1).left, kept(engine)) == (1, ["M31"])
    age(engine)
    assert (engine.prune(0.0).left, kept(engine)) == (0, [])


def test_what_was_kept_since_a_running_attempt_began_stays(engine: Engine) -> None:
    """It refers to its files when it commits, however long it takes."""
    engine.run(sky, "M31")
    slow, now = engine.start(sky, "M33"), time.time()
    assert engine.store.lease(Ask("w", frozenset({slow.graph.id}), 1), now - 100_000)
    age(engine, 100_000)
    assert (engine.prune(now).left, kept(engine)) == (1, ["M31"])
    age(engine, 104_000)
    assert (engine.prune(now).left, kept(engine)) == (0, [])


def test_a_file_that_a_new_run_is_started_with_counts_as_kept(engine: Engine) -> None:
    """Also if it is given as an artifact of a run that is forgotten in the same moment."""
    artifact = engine.run(sky, "M31").result()
    assert isinstance(artifact, Artifact)
    age(engine)
    copy = Workflow("copy")
    copy.node(lambda message: None, name="look")
    run = engine.start(copy, {"plate": artifact})
    engine.store.prune(time.time() + 1)
    assert engine.around.repository.remove(artifact.digest, 3600) is None
    age(engine)
    assert (engine.prune(time.time() + 1).left, kept(engine)) == (0, ["M31"])
    assert run.artifacts() == [artifact]


def test_two_may_prune_at_once(opened: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    """What one has removed already is no trouble to the other."""
    mine, yours = opened(), opened()
    for star in ("M31", "M33"):
        mine.run(sky, star)
    age(mine)
    real = mine.around.repository.remove

    def second(digest: str, unused_seconds: float) -> int | None:
        yours.prune(time.time() + 1)
        return real(digest, unused_seconds)

    monkeypatch.setattr(mine.around.repository, "remove", second)
    assert (mine.prune(time.time() + 1).left, kept(mine), mine.store.discarded()) == (0, [], [])


def test_what_cannot_be_removed_is_left_for_later(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest goes, the log says why, and the next prune tries again."""
    run = engine.run(sky, "M31")
    age(engine)
    place = engine.around.places(run.key)[2]
    (place / "1.1").mkdir(parents=True)

    def refuse(path: Path, real: Callable[[Path], None] = shutil.rmtree) -> None:
        if path == place:
            raise PermissionError("not yours")
        real(path)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", refuse)
        assert (engine.prune(time.time() + 1).left, kept(engine)) == (1, [])
    assert f"{place} cannot be removed: not yours; see to its permissions" in caplog.text
    assert (engine.prune(0.0).left, place.exists()) == (0, False)
