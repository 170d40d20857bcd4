"""Where a file lies: databases that lock by shared memory cannot be shared over a network."""

from __future__ import annotations

import re
from pathlib import Path

# What the kernel calls file systems that other machines serve.
_NAMES = (
    "acfs afs afpfs beegfs ceph cifs coda fhgfs fuse.ceph fuse.davfs fuse.glusterfs fuse.juicefs "
    "fuse.rclone fuse.s3fs fuse.sshfs gfs gfs2 glusterfs gpfs lustre ncpfs nfs nfs3 nfs4 ocfs2 "
    "orangefs panfs prl_fs pvfs2 smb2 smb3 smbfs vboxsf wekafs"
)
NETWORK = frozenset(_NAMES.split())
MOUNTS = Path("/proc/self/mounts")


def network_file_system(path: Path, mounts: Path = MOUNTS) -> str | None:
    """The kind of the network file system that ``path`` lies on, or None (also where nobody can tell)."""
    kind = file_system(path, mounts)
    return kind if kind in NETWORK else None


def file_system(path: Path, mounts: Path = MOUNTS) -> str:
    """The kind of the file system that ``path`` lies on; empty where nobody can tell."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    kind, depth = "", -1
    for line in lines:
        _, point, name, *_ = line.split(" ")
        place = Path(_plain(point))
        if path.is_relative_to(place) and len(place.parts) >= depth:
            kind, depth = name, len(place.parts)
    return kind


def _plain(point: str) -> str:
    """A mount point without the octal escapes that stand for blanks."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)
