"""The image of a container, as an author names it: a name, an address, or the full path of a file."""

from __future__ import annotations

import re
from reprlib import repr as shortened

from heliostat.errors import DefinitionError

#: What an image's name is made of, and the path of one that is a file: never an option, whoever reads it.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,499}")
_FILE = re.compile(r"/[^\x00-\x1f\x7f]{1,4000}")
_SOURCES = ("docker", "oras", "library", "shub")  # of addresses; only the first is for all tools


def check(image: object) -> None:
    """Refuse what no container tool could read as an image, or what it could read as more; raises DefinitionError."""
    such = 'write a name such as "python:3.12", or the full path of a file such as "/images/tool.sif"'
    if not isinstance(image, str):
        raise DefinitionError(f"image={shortened(image)} is no image; {such}")
    if "{" in image or "}" in image:
        raise DefinitionError(
            f"image={shortened(image)} has a brace, and an image has no placeholders: it is chosen when the workflow "
            "is written; add a job for each image"
        )
    source, address, name = image.partition("://")
    named = name if address and source in _SOURCES else image
    if not _FILE.fullmatch(image) and (not _NAME.fullmatch(named) or "://" in named):
        raise DefinitionError(f"image={shortened(image)} is no image; {such}")
