"""Small files that pass between processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from heliostat import files
from heliostat.files import make, opened, put


@pytest.mark.parametrize("write", [put, make])
@pytest.mark.parametrize("text", ["", "läuft\n", "a\udcffb", "x" * 300_000])
def test_a_file_has_all_of_its_text_whether_it_was_there_or_not(
    tmp_path: Path, write: Callable[[Path, str], None], text: str
) -> None:
    """Nothing else is left beside it."""
    path = tmp_path / "job.seen"
    for _ in range(2):
        write(path, text)
        assert path.read_bytes() == text.encode("utf-8", "surrogateescape")
        assert [each.name for each in tmp_path.iterdir()] == ["job.seen"]
        path.write_text("something longer that was there before, or shorter")


@pytest.mark.parametrize("write", [put, make])
def test_who_reads_a_file_while_it_is_replaced_has_what_it_was(
    tmp_path: Path, write: Callable[[Path, str], None]
) -> None:
    """It is another file that takes its place."""
    path = tmp_path / "job.script"
    write(path, "before")
    with opened(path) as reader:
        write(path, "after")
        assert reader.read() == b"before"
    assert path.read_text() == "after"


@pytest.mark.parametrize("write", [put, make])
def test_a_file_is_named_from_where_one_is(
    tmp_path: Path, write: Callable[[Path, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name without a folder is one in this."""
    monkeypatch.chdir(tmp_path)
    write(Path("here"), "a")
    write(Path("here"), "b")
    assert (tmp_path / "here").read_text() == "b"


@pytest.mark.parametrize("write", [put, make])
@pytest.mark.parametrize("there", [False, True])
def test_a_disk_that_is_full_leaves_what_was_there(
    tmp_path: Path, write: Callable[[Path, str], None], monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    """Or nothing, where nothing was."""
    path = tmp_path / "job.id"
    if there:
        write(path, "1234")

    def full(descriptor: int, data: bytes) -> int:
        if len(data) == len(b"another"):
            return written(descriptor, data[:3])
        raise OSError(28, "No space left on device")

    written = os.write
    monkeypatch.setattr(files.os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        write(path, "another")
    monkeypatch.undo()
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == ({"job.id": "1234"} if there else {})


def test_what_stands_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe to which nobody writes, a folder; and a link, where links are not gone after."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("text")
    (tmp_path / "text").write_text("words")
    for name in ("pipe", ".", "nowhere"):
        with pytest.raises(OSError):  # noqa: PT011 - any will do
            opened(tmp_path / name)
    with pytest.raises(OSError, match="symbolic link"):
        opened(tmp_path / "link", follow=False)
    with opened(tmp_path / "link") as file:
        assert file.read() == b"words"
