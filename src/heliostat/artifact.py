"""An artifact: a file that a run keeps, described by what it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any

from heliostat.codec import whole, word
from heliostat.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import GetCoreSchemaHandler
    from pydantic_core import core_schema

MARK = "$artifact"  #: the one key of the JSON object that stands for a file inside data
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
ANY = "application/octet-stream"  #: the media type of what nobody knows
NAME_BYTES = 255  #: what file systems take


@dataclass(frozen=True, slots=True)
class Artifact:
    """A kept file: ``digest`` is ``sha256:`` and 64 hex digits, ``size`` is in bytes, ``name`` is a plain file name.

    Raises BadInput for what is none.
    """

    name: str
    digest: str
    size: int
    media_type: str = ANY
    tags: tuple[str, ...] = ()

    __artifact__ = True  # lets the codec know it without importing it

    def __post_init__(self) -> None:
        name: object = self.name
        if not isinstance(name, str) or name in ("", ".", "..") or "\0" in name or name != PurePosixPath(name).name:
            raise BadInput(f"artifact: {shortened(name)} is no plain file name")
        if (size := len(name.encode(errors="surrogatepass"))) > NAME_BYTES:
            raise BadInput(f"artifact: the name {shortened(name)} has {size} bytes; the limit is {NAME_BYTES}")
        word(name, "artifact: name")
        where = f"artifact {shortened(name)}"
        if not _DIGEST.fullmatch(str(self.digest)):
            raise BadInput(f"{where}: the digest {shortened(self.digest)} is not sha256: and 64 hex digits")
        whole(self.size, f"{where}: size", 0, (1 << 63) - 1)
        word(self.media_type, f"{where}: media_type")
        for tag in self.tags:
            word(tag, f"{where}: a tag")

    def to_json(self) -> dict[str, Any]:
        """The form in which a file stands inside messages, results and records."""
        return {
            MARK: {
                "name": self.name,
                "digest": self.digest,
                "size": self.size,
                "media_type": self.media_type,
                "tags": list(self.tags),
            }
        }

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Let an annotation ``Artifact`` take an artifact, a file that was brought, or its JSON form."""
        from pydantic_core import core_schema  # a large module, which only annotations need

        return core_schema.no_info_plain_validator_function(cls._validate)

    @classmethod
    def _validate(cls, value: object) -> Artifact:
        found = value if isinstance(value, cls) else getattr(value, "artifact", None) or cls.from_json(value)
        if not isinstance(found, Artifact):
            raise ValueError("an artifact is wanted here")  # noqa: TRY004 - pydantic reports ValueError
        return found

    @classmethod
    def from_json(cls, data: object) -> Artifact | None:
        """The artifact that ``data`` stands for, or None if it is other data; raises BadInput if it is malformed."""
        if not (isinstance(data, dict) and len(data) == 1 and MARK in data):
            return None
        body = data[MARK]
        if not (isinstance(body, dict) and "name" in body and "digest" in body):
            raise BadInput(f"{MARK}: name and digest are missing")
        size, media_type, tags = body.get("size", 0), body.get("media_type", ANY), body.get("tags", [])
        if not isinstance(tags, list):
            raise BadInput(f"{MARK}: tags: a list of strings is wanted, not {shortened(tags)}")
        return cls(body["name"], body["digest"], size, media_type, tuple(tags))


def mentioned(data: object) -> Iterator[Artifact]:
    """The artifacts that stand inside data; raises BadInput for a malformed one."""
    if isinstance(data, list):
        for item in data:
            yield from mentioned(item)
    elif isinstance(data, dict):
        if (artifact := Artifact.from_json(data)) is not None:
            yield artifact
        else:
            for item in data.values():
                yield from mentioned(item)
