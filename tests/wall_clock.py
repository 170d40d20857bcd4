"""A wall clock that can be stepped, for a server: libfaketime adds to what the system says whatever a file says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PACKAGE = "libfaketime"


def library() -> Path | None:
    """Where the library is, if it is installed."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@dataclass(frozen=True, slots=True)
class WallClock:
    """By how many seconds the clock is off; the file must be where every account may read it."""

    file: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a process is started with to have this clock. The monotonic clock is left alone, as the kernel does."""
        self.step(0)
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def step(self, seconds: float) -> None:
        """Have it off by so much from now on, for everybody at once."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{seconds:+.0f}")
        fresh.replace(self.file)
