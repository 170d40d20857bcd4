"""What was measured, as it is kept in a file: from there come the table, the ratios, the page and the picture."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers.workloads import WORKLOADS

KEPT = Path(__file__).with_name("results.json")


@dataclass(frozen=True, slots=True)
class Taken:
    """One peer under one workload: a value per round, or why there is none."""

    peer: str
    workload: str
    sizes: dict[str, int]
    values: list[float] = field(default_factory=list)
    missing: str = ""

    @property
    def median(self) -> float:
        """What it is known by."""
        return statistics.median(self.values)

    @property
    def scaled(self) -> str:
        """How large it was, where it was smaller than for others."""
        whole = WORKLOADS[self.workload].sizes
        changed = [str(size) for name, size in self.sizes.items() if size != whole.get(name)]
        return f"n = {int(changed[0]):,}" if changed else ""

    def line(self) -> dict[str, Any]:
        """What is printed about it."""
        found: dict[str, Any] = {"peer": self.peer, "workload": self.workload, "sizes": self.sizes}
        if self.missing:
            return found | {"ok": False, "error": self.missing}
        low, middle, high = (round(value, 4) for value in (min(self.values), self.median, max(self.values)))
        unit = WORKLOADS[self.workload].unit
        return found | {"unit": unit, "rounds": len(self.values), "min": low, "median": middle, "max": high}


@dataclass(frozen=True, slots=True)
class Results:
    """One run of the whole."""

    place: dict[str, str]
    versions: dict[str, str]
    taken: list[Taken]

    def of(self, peer: str, workload: str) -> Taken | None:
        """What one peer did, if it was measured."""
        found = (taken for taken in self.taken if (taken.peer, taken.workload) == (peer, workload) and taken.values)
        return next(found, None)

    def save(self, path: Path = KEPT) -> None:
        """Keep them."""
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path = KEPT) -> Results:
        """What was kept."""
        found = json.loads(path.read_text("utf-8"))
        return cls(found["place"], found["versions"], [Taken(**taken) for taken in found["taken"]])
