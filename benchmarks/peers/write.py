"""Keep results, and renew what is made from them: the parts of the docs' page, and the picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers import picture
from tools import docs

if TYPE_CHECKING:
    from benchmarks.peers.results import Results

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "beside-its-peers.md"
PICTURE = DOCS / "images" / "peers.svg"


def write(results: Results) -> None:
    """Write all three."""
    results.save()
    PICTURE.write_text(picture.draw(results), "utf-8")
    PAGE.write_text(docs.filled(PAGE.read_text("utf-8")), "utf-8")
