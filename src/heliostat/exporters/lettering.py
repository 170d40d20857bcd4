"""Text in pictures: glyphs of states, what may stand in XML, how wide it will be, how it is shortened."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

#: Beside each state's colour, a glyph: nobody has to tell colours apart.
GLYPHS = {
    "pending": "◌",
    "ready": "○",
    "running": "▶",
    "waiting": "◷",
    "succeeded": "✓",
    "failed": "✕",
    "cancelled": "⊘",
    "skipped": "»",
}

LETTERS = 28  #: of a name or label that are shown; the whole of it stands in the tooltip

# What XML 1.0 forbids, and what turns the direction of writing so that one name looks like another.
_UNFIT = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0001fffd\U00020000-\U000e0000]"
    "|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})


def plain(text: str) -> str:
    """Text with a replacement character for each one that has no place in a picture."""
    return _UNFIT.sub("\ufffd", text)


def escaped(text: str) -> str:
    """Text as it may stand in XML, inside an element or a quoted attribute."""
    return plain(text).translate(_ESCAPES)


def shown(text: str, letters: int = LETTERS) -> str:
    """A name as it is drawn: one line, shortened in the middle."""
    line = plain(" ".join(text.split()))
    return line if len(line) <= letters else f"{line[: letters - letters // 3 - 1]}…{line[-(letters // 3) :]}"


# Advance widths of Helvetica and its likes, in thousandths of the size of type.
_WIDTHS = dict.fromkeys("ijl'|", 222) | dict.fromkeys("It!.,:;/\\ ·f", 278) | dict.fromkeys("r()[]{}-`", 333)
_WIDTHS |= dict.fromkeys("ckvxyzsJ", 500) | dict.fromkeys("BEKPSVXYA&", 667) | dict.fromkeys("CDHNRUw", 722)
_WIDTHS |= dict.fromkeys("FTZL", 611) | dict.fromkeys("GOQ", 778) | dict.fromkeys("mM%", 860) | {"W": 944, "@": 1015}


@lru_cache(maxsize=8192)
def measured(text: str, size: float, *, bold: bool = False) -> float:
    """About how wide a text will be; no font is asked, so that the picture is the same everywhere."""
    letters = sum(_WIDTHS.get(letter) or _width(letter) for letter in text)
    return letters * size / 1000 * (1.07 if bold else 1.02)


def _width(letter: str) -> int:
    if letter.isascii():
        return 556
    if unicodedata.combining(letter):
        return 0
    return 1000 if unicodedata.east_asian_width(letter) in "WF" else 640
