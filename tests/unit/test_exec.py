"""Where a job finds modules, and what of a store it is told."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from heliostat import parcel
from heliostat.errors import BadInput, TaskError
from heliostat.exec import _find_modules
from heliostat.store import Record
from heliostat.telling import Notes, Told, Truth

HERE = {"prefix": sys.prefix, "tag": sys.implementation.cache_tag}


@pytest.fixture(autouse=True)
def _own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave this process as it is."""
    monkeypatch.setattr(sys, "path", ["/mine"])
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.setenv("VIRTUAL_ENV", "/else")


def test_the_same_interpreter_finds_what_the_worker_finds() -> None:
    """In the same order, and nothing else."""
    _find_modules({**HERE, "path": ["/a", "/b"]})
    assert sys.path == ["/a", "/b"]
    assert os.environ["PATH"] == "/bin"


def test_another_interpreter_finds_its_own_first() -> None:
    """And its programs, as in an environment that was entered."""
    _find_modules({**HERE, "prefix": "/other", "path": ["/a", "/mine", "/other/lib"]})
    assert sys.path == ["/mine", "/a", "/other/lib"]
    assert os.environ["PATH"] == f"{Path(sys.executable).parent}{os.pathsep}/bin"
    assert os.environ["VIRTUAL_ENV"] == sys.prefix


def test_an_interpreter_of_another_version_leaves_out_what_was_installed_for_the_first() -> None:
    """For it could be of use to that one only."""
    _find_modules({"prefix": "/other", "tag": "cpython-0", "path": ["/a", "/other/lib"]})
    assert sys.path == ["/mine", "/a"]


class Store:
    """Has two records."""

    def records(self, run: int, node: str | None = None, key: str | None = None) -> list[Record]:
        """Tell them."""
        return [Record(1, "a", "k", "1", 1), Record(2, "b", None, "2", 2)]


def test_what_was_noted_is_told_and_nothing_else() -> None:
    """Of all records those of a node or key can be had; what nobody has asked is refused in a sentence."""
    notes = Notes(Store())  # type: ignore[arg-type]
    told = Truth(Told(notes.rows).ask)
    before = Truth(notes.ask).records(7)
    assert told.records(7) == before == Store().records(7)
    assert told.records(7, "b") == before[1:]
    assert told.records(7, "a", "k") == before[:1]
    assert told.records(7, "a", "other") == []
    for ask in (lambda: told.tasks(7), lambda: told.records(8)):
        with pytest.raises(TaskError, match="of the run cannot be read in a job, which has no database"):
            ask()  # type: ignore[no-untyped-call]


def test_a_parcel_is_written_at_once_and_not_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused leaves nothing."""
    monkeypatch.setattr(parcel, "MOST_BYTES", 100)
    data: dict[str, Any] = {"text": "ü \ud800"}
    parcel.write(tmp_path / "work.json", data)
    assert parcel.read(tmp_path / "work.json") == {"format": parcel.FORMAT} | data
    with pytest.raises(BadInput, match=r"outcome.json would have 1\d\d bytes; the limit is 100, use files for more"):
        parcel.write(tmp_path / "outcome.json", {"text": "x" * 100})
    assert [path.name for path in tmp_path.iterdir()] == ["work.json"]
