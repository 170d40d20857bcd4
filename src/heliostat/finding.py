"""What somebody who looks whether all is well has found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How it stands."""

    good = "good"  # nothing to do
    doubtful = "doubtful"  # work goes on, though slower or not for all, or it may fail some day
    bad = "bad"  # work stands still or may be lost


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it stands, in a sentence what was found, and where something is to be done, what."""

    about: str
    verdict: Verdict
    text: str
    advice: str = ""


def good(about: str, text: str) -> Finding:
    """Nothing is to be done."""
    return Finding(about, Verdict.good, text)


def doubtful(about: str, text: str, advice: str) -> Finding:
    """Somebody should look after it."""
    return Finding(about, Verdict.doubtful, text, advice)


def bad(about: str, text: str, advice: str) -> Finding:
    """Somebody must act."""
    return Finding(about, Verdict.bad, text, advice)
