"""The directory repository: what is kept is whole, verified and kept once, with any number of processes."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from heliostat.artifact import Artifact
from heliostat.errors import ArtifactError, BadInput, OperatorError
from heliostat.repositories import directory
from heliostat.repositories.directory import DirectoryRepository
from heliostat.repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> DirectoryRepository:
    """Give an empty repository, which makes its directories when it first needs them."""
    return DirectoryRepository(tmp_path / "artifacts")


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Write a file beside the repository."""

    def write(name: str, content: bytes = b"light") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def digest_of(content: bytes) -> str:
    """Name content as artifacts do."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def stored(repository: DirectoryRepository) -> list[Path]:
    """Everything that lies in the repository but its lock, temporary files too."""
    return sorted(path for path in repository.root.rglob("*") if path.is_file() and path.name != "lock")


def test_it_fulfils_the_contract(repository: DirectoryRepository) -> None:
    """Type checkers compare the methods with the seam's."""
    seam: Repository = repository
    assert seam is repository


def test_a_file_is_kept_by_its_content(repository: DirectoryRepository, file: Callable[..., Path]) -> None:
    """The artifact says name, digest, size and type; the file lies under its digest, read-only, and alone."""
    artifact = repository.keep(file("dem.tif"), tags=("map",))
    digest = digest_of(b"light")
    assert artifact == Artifact("dem.tif", digest, 5, "image/tiff", ("map",))
    (path,) = stored(repository)
    assert path == repository.root / digest[7:9] / digest[9:]
    assert stat.S_IMODE(path.stat().st_mode) == 0o444


def test_the_same_bytes_are_kept_once(repository: DirectoryRepository, file: Callable[..., Path]) -> None:
    """Two names for one content are two artifacts and one file, which is not written again."""
    first = repository.keep(file("a.tif"))
    (before,) = stored(repository)
    inode = before.stat().st_ino
    second = repository.keep(file("b.tif"))
    assert second == replace(first, name="b.tif")
    (after,) = stored(repository)
    assert after.stat().st_ino == inode


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.json", "application/json"),
        ("a.tar.gz", "application/gzip"),
        ("a.fits", "application/fits"),
        ("a.geojson", "application/geo+json"),
        ("a.unheard-of", "application/octet-stream"),
        ("README", "application/octet-stream"),
    ],
)
def test_the_media_type_is_guessed_from_the_name(
    repository: DirectoryRepository, file: Callable[..., Path], name: str, media_type: str
) -> None:
    """The guess is the same on every machine, and what is given counts more."""
    assert repository.keep(file(name)).media_type == media_type
    assert repository.keep(file(name), media_type="image/x-mine").media_type == "image/x-mine"
    assert repository.keep(file("other"), name).media_type == media_type


def test_what_is_no_file_is_refused(repository: DirectoryRepository, tmp_path: Path) -> None:
    """A directory, a pipe or nothing at all cannot be kept, and nothing is left behind."""
    os.mkfifo(tmp_path / "pipe")
    for name, message in [("", "is a directory"), ("pipe", "is no file"), ("none", "is no file")]:
        with pytest.raises(BadInput, match=message):
            repository.keep(tmp_path / name)
    assert not repository.root.exists()


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\0"])
def test_a_name_that_is_none_is_refused_before_anything_is_copied(
    repository: DirectoryRepository, file: Callable[..., Path], name: str
) -> None:
    """A name can never lead out of the directory it is brought to."""
    with pytest.raises(BadInput, match="no plain file name"):
        repository.keep(file("a"), name)
    assert not repository.root.exists()


def test_a_file_that_changes_while_it_is_copied_has_the_digest_of_the_copy(
    repository: DirectoryRepository, file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was caught is what the digest is about."""
    monkeypatch.setattr("heliostat.repositories.directory._CHUNK", 4)
    path = file("growing.log", b"one two three")
    real = hashlib.sha256

    class Meddling:
        """A hash whose every update finds the source changed."""

        def __init__(self) -> None:
            self.hashed = real()

        def update(self, chunk: bytes) -> None:
            self.hashed.update(chunk)
            with path.open("ab") as more:
                more.write(b"!") if path.stat().st_size < 20 else None

        def hexdigest(self) -> str:
            return self.hashed.hexdigest()

    monkeypatch.setattr("hashlib.sha256", Meddling)
    artifact = repository.keep(path)
    monkeypatch.undo()
    (copy,) = stored(repository)
    assert artifact.digest == digest_of(copy.read_bytes())
    assert artifact.size == copy.stat().st_size > 13


def test_a_crash_while_keeping_leaves_nothing_under_a_digest(
    repository: DirectoryRepository, file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the bytes are on disk, nobody sees the file; the temporary one goes where there is time to."""

    def power_cut(descriptor: int) -> None:
        raise OSError("no power")

    monkeypatch.setattr("os.fsync", power_cut)
    with pytest.raises(OSError, match="no power"):
        repository.keep(file("a"))
    assert stored(repository) == []


def test_a_file_and_its_names_are_on_disk_before_keep_returns(
    repository: DirectoryRepository, file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes are synced before the rename, the directories after it."""
    done: list[str] = []
    real_sync, real_rename = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        done.append(Path(f"/proc/self/fd/{descriptor}").resolve().name)
        real_sync(descriptor)

    def rename(path: Path, target: Path) -> Path:
        done.append("rename")
        return real_rename(path, target)

    monkeypatch.setattr("os.fsync", sync)
    monkeypatch.setattr(Path, "replace", rename)
    artifact = repository.keep(file("a"))
    bytes_synced, renamed, *names = done[1:]  # first of all the new root's own name
    assert (len(bytes_synced), renamed) == (33, "rename")
    assert names == [artifact.digest[7:9], "artifacts"]


def test_a_file_that_was_cut_short_on_disk_is_mended_by_keeping_it_again(
    repository: DirectoryRepository, file: Callable[..., Path]
) -> None:
    """Kept once does not mean that a damage is kept."""
    artifact = repository.keep(file("a", b"light and shade"))
    (path,) = stored(repository)
    path.chmod(0o600)
    path.write_bytes(b"light")
    repository.keep(file("a", b"light and shade"))
    with repository.open(artifact) as kept:
        assert kept.read() == b"light and shade"


def test_a_file_is_brought_under_its_name(
    repository: DirectoryRepository, file: Callable[..., Path], tmp_path: Path
) -> None:
    """The copy is the job's to change: writable, and no link to what is kept."""
    artifact = repository.keep(file("dem.tif"))
    path = repository.bring(artifact, tmp_path / "work" / "files")
    assert path == tmp_path / "work" / "files" / "dem.tif"
    path.write_bytes(b"changed")
    with repository.open(artifact) as kept:
        assert kept.read() == b"light"
    assert [entry.name for entry in path.parent.iterdir()] == ["dem.tif"]


def test_a_path_that_is_there_is_whole(
    repository: DirectoryRepository, file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file gets its name when all of its bytes are written."""
    artifact = repository.keep(file("dem.tif"))
    real = os.link

    def link(source: Path, target: Path) -> None:
        assert source.read_bytes() == b"light"
        real(source, target)

    monkeypatch.setattr("os.link", link)
    repository.bring(artifact, tmp_path / "work")


def test_another_file_of_the_same_name_gets_a_number(
    repository: DirectoryRepository, file: Callable[..., Path], tmp_path: Path
) -> None:
    """Same name and same content is the same path; same name and other content is another path."""
    one, two, three = (repository.keep(file("dem.tif", content)) for content in (b"1", b"2", b"3"))
    work = tmp_path / "work"
    assert [repository.bring(a, work).name for a in (one, two, one, three, two)] == [
        "dem.tif",
        "dem-2.tif",
        "dem.tif",
        "dem-3.tif",
        "dem-2.tif",
    ]
    assert [path.read_bytes() for path in sorted(work.iterdir())] == [b"2", b"3", b"1"]


def test_the_longest_name_gets_a_number_too(
    repository: DirectoryRepository, file: Callable[..., Path], tmp_path: Path
) -> None:
    """At the cost of some of its letters."""
    name = "ü" * 125 + ".tiff"
    one, two = (repository.keep(file("dem.tif", content), name) for content in (b"1", b"2"))
    names = [repository.bring(a, tmp_path / "work").name for a in (one, two, one, two)]
    assert names == [name, "ü" * 124 + "-2.tiff"] * 2


def test_nothing_that_is_there_is_overwritten(
    repository: DirectoryRepository, file: Callable[..., Path], tmp_path: Path
) -> None:
    """Neither a directory nor a link of that name, wherever it leads, is touched or followed."""
    artifact = repository.keep(file("dem"))
    work, outside = tmp_path / "work", tmp_path / "outside"
    (work / "dem").mkdir(parents=True)
    (work / "dem-2").symlink_to(outside)
    (work / "dem-3").symlink_to(file("same"))
    assert repository.bring(artifact, work) == work / "dem-4"
    assert not outside.exists()


def test_a_damaged_file_is_never_brought(
    repository: DirectoryRepository, file: Callable[..., Path], tmp_path: Path
) -> None:
    """The digest is verified while copying, and nothing is left in the directory."""
    artifact = repository.keep(file("dem.tif"))
    (path,) = stored(repository)
    path.chmod(0o600)
    path.write_bytes(b"night")
    with pytest.raises(ArtifactError, match=r"artifact 'dem.tif': .* is damaged"):
        repository.bring(artifact, tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_a_missing_file_is_said_to_be_missing(repository: DirectoryRepository, tmp_path: Path) -> None:
    """One sentence names the artifact, its digest and where it was looked for."""
    artifact = Artifact("dem.tif", digest_of(b"never kept"), 10)
    assert not repository.hold(artifact)
    for ask in (lambda: repository.open(artifact), lambda: repository.bring(artifact, tmp_path / "work")):
        with pytest.raises(ArtifactError, match=r"artifact 'dem.tif': sha256:[0-9a-f]{64} is not in /"):
            ask()


def test_a_file_can_be_removed_more_than_once(repository: DirectoryRepository, file: Callable[..., Path]) -> None:
    """Removing what is not there is harmless, and no digest leads anywhere else."""
    artifact = repository.keep(file("a"))
    assert repository.hold(artifact)
    assert repository.remove(artifact.digest, -1) == 5
    assert repository.remove(artifact.digest, -1) == 0
    assert not repository.hold(artifact)
    with pytest.raises(BadInput, match="is no digest"):
        repository.remove("sha256:../../a", 0)


@pytest.mark.parametrize("again", [lambda r, a, p: r.keep(p), lambda r, a, p: r.hold(a)], ids=["kept", "held"])
def test_an_old_file_that_was_just_kept_again_stays(
    repository: DirectoryRepository, file: Callable[..., Path], again: Callable[..., object]
) -> None:
    """Its age is counted from when it was last kept."""
    artifact = repository.keep(file("a"))
    os.utime(stored(repository)[0], (0, 0))
    again(repository, artifact, file("a"))
    assert repository.remove(artifact.digest, 60) is None
    os.utime(stored(repository)[0], (0, 0))
    assert repository.remove(artifact.digest, 60) == 5


def test_a_file_of_another_user_is_kept_anew(
    repository: DirectoryRepository, file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose time may not be set is replaced by a copy that is young."""
    artifact = repository.keep(file("a"))
    os.utime(stored(repository)[0], (0, 0))

    def refuse(path: Path) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(os, "utime", refuse)
    assert repository.keep(file("a")) == artifact
    assert repository.remove(artifact.digest, 60) is None


def test_nobody_keeps_while_a_file_is_removed(
    repository: DirectoryRepository, file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who removes is alone between looking at a file's age and removing it, and who keeps shuts them out."""

    def shut_out(how: int) -> None:
        with (repository.root / "lock").open("r+b") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, how | fcntl.LOCK_NB)

    def removing(path: Path, limit: float, real: Callable[..., int | None] = directory._remove) -> int | None:
        shut_out(fcntl.LOCK_SH)
        return real(path, limit)

    def touching(path: Path, size: int, real: Callable[..., bool] = directory._touch) -> bool:
        shut_out(fcntl.LOCK_EX)
        return real(path, size)

    monkeypatch.setattr(directory, "_remove", removing)
    monkeypatch.setattr(directory, "_touch", touching)
    artifact = repository.keep(file("a"))
    assert repository.keep(file("a")) == artifact
    assert repository.remove(artifact.digest, -1) == 5


def test_keeping_wins_over_removing(repository: DirectoryRepository, file: Callable[..., Path]) -> None:
    """Whichever comes first, what was kept is there."""
    path = file("a")
    with ThreadPoolExecutor(2) as pool:
        for _ in range(100):
            artifact = repository.keep(path)
            os.utime(stored(repository)[0], (0, 0))
            removed = pool.submit(repository.remove, artifact.digest, 3600)
            kept = pool.submit(repository.keep, path)
            assert (kept.result(), removed.result() in (None, 5)) == (artifact, True)
            assert repository.hold(artifact)


def test_where_nobody_can_lock_files_are_kept_and_not_removed(
    repository: DirectoryRepository, file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system without locks is good enough to keep on, and the sentence names it."""

    def refuse(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    artifact = repository.keep(file("a"))
    with pytest.raises(OperatorError, match=r"cannot be removed safely, since it cannot be locked: .*No locks"):
        repository.remove(artifact.digest, -1)
    assert repository.hold(artifact)


def test_a_directory_that_is_gone_is_not_taken_for_an_empty_one(
    repository: DirectoryRepository, file: Callable[..., Path]
) -> None:
    """Its disk may not be there for the moment; nothing is struck out for that."""
    artifact = repository.keep(file("a"))
    repository.root.rename(repository.root.with_name("elsewhere"))
    with pytest.raises(OperatorError, match=r"there is no directory .*; see that its disk is there"):
        repository.remove(artifact.digest, 0)
    assert not repository.hold(artifact)


def test_stale_temporary_files_are_swept(repository: DirectoryRepository, file: Callable[..., Path]) -> None:
    """What a killed process left goes when it is old; what is being written stays."""
    artifact = repository.keep(file("a"))
    old, new = repository.root / "tmp" / "old", repository.root / "tmp" / "new"
    for path in (old, new):
        path.write_bytes(b"12")
    os.utime(old, (0, 0))
    assert repository.sweep(3600) == 2
    assert (old.exists(), new.exists(), repository.hold(artifact)) == (False, True, True)


def test_many_may_keep_and_bring_the_same_at_once(
    repository: DirectoryRepository, file: Callable[..., Path], tmp_path: Path
) -> None:
    """All get the same artifact and the same whole file, once in each place."""
    path = file("dem.tif", bytes(range(256)) * 5000)
    with ThreadPoolExecutor(8) as pool:
        artifacts = set(pool.map(lambda _: repository.keep(path), range(16)))
        (artifact,) = artifacts
        paths = set(pool.map(lambda _: repository.bring(artifact, tmp_path / "work"), range(16)))
    (brought,) = paths
    assert brought.read_bytes() == path.read_bytes()
    assert len(stored(repository)) == len(list((tmp_path / "work").iterdir())) == 1


def lent(repository: DirectoryRepository, file: Callable[..., Path], tmp_path: Path) -> tuple[Artifact, Path, Path]:
    """A file that another repository's directory has, too: the artifact, the directory, and where it is there."""
    artifact, there = repository.keep(file("dem.tif")), tmp_path / "there"
    repository.lend(artifact, there)
    return artifact, there, there / stored(repository)[0].relative_to(repository.root)


def test_a_file_that_is_lent_is_found_there_by_its_content(
    repository: DirectoryRepository, file: Callable[..., Path], tmp_path: Path
) -> None:
    """Without a copy, however often it is lent; and what is there goes without harm to what is here."""
    artifact, there, path = lent(repository, file, tmp_path)
    repository.lend(artifact, there)
    assert path.samefile(stored(repository)[0])
    assert DirectoryRepository(there).bring(artifact, tmp_path / "brought").read_bytes() == b"light"
    path.unlink()
    assert repository.bring(artifact, tmp_path / "again").read_bytes() == b"light"


def test_a_file_is_taken_from_another_directory_and_counts_as_kept_now(
    repository: DirectoryRepository, file: Callable[..., Path], tmp_path: Path
) -> None:
    """It is linked where that can be; a second time, and when the directory is gone, it is here already."""
    other = DirectoryRepository(tmp_path / "other")
    artifact = other.keep(file("dem.tif"))
    os.utime(stored(other)[0], (0, 0))
    repository.take(artifact, other.root)
    assert stored(repository)[0].samefile(stored(other)[0])
    assert repository.remove(artifact.digest, unused_seconds=60) is None
    stored(other)[0].unlink()
    repository.take(artifact, other.root)
    assert repository.bring(artifact, tmp_path / "brought").read_bytes() == b"light"


def test_a_file_is_lent_and_taken_where_nothing_can_be_linked(
    repository: DirectoryRepository, file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two file systems it is copied."""

    def link(*_: object) -> None:
        raise OSError(errno.EXDEV, "not on this one")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", link)
        artifact, there, path = lent(repository, file, tmp_path)
        other = DirectoryRepository(tmp_path / "other")
        other.take(artifact, there)
    assert not path.samefile(stored(repository)[0])
    assert other.bring(artifact, tmp_path / "brought").read_bytes() == b"light"


@pytest.mark.parametrize("how", ["changed", "gone", "link", "pipe"])
def test_what_is_not_the_file_is_not_taken(
    repository: DirectoryRepository, file: Callable[..., Path], tmp_path: Path, how: str
) -> None:
    """Whatever is in its place; nothing of it is left here, and nobody waits for it."""
    artifact, there, path = lent(repository, file, tmp_path)
    path.unlink()
    if how == "changed":
        path.write_bytes(b"other")
    elif how == "link":
        path.symlink_to(file("other.tif", b"light"))
    elif how == "pipe":
        os.mkfifo(path)
    other = DirectoryRepository(tmp_path / "other")
    with pytest.raises(ArtifactError, match=r"artifact 'dem.tif': .*(is damaged|is not in)"):
        other.take(artifact, there)
    assert stored(other) == []
