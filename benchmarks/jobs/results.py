"""What was measured, as it is kept in a file: from there comes the page."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.jobs.measure import Measure

KEPT = Path(__file__).with_name("results.json")
BARE = "bare/single"  #: which tells what one call of each of Slurm's commands takes


@dataclass(frozen=True, slots=True)
class Taken:
    """One entry: a measure per round, or why there is none."""

    entry: str
    measures: list[Measure] = field(default_factory=list)
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Results:
    """One run of the whole, with so many jobs in each measure."""

    count: int
    place: dict[str, str]
    versions: dict[str, str]
    taken: list[Taken]

    def of(self, entry: str) -> Taken | None:
        """What was measured of an entry, if anything was."""
        return next((taken for taken in self.taken if taken.entry == entry and taken.measures), None)

    def cpu(self, entry: str) -> list[float]:
        """Milliseconds of processor time a job in each round, Slurm's commands included."""
        taken = self.of(entry)
        return [(each.own + each.started) * 1e3 / self.count for each in taken.measures] if taken else []

    def gap(self, entry: str) -> float:
        """Seconds from a job's end to the next step's begin: the median of the rounds' medians."""
        taken = self.of(entry)
        return statistics.median(each.gap for each in taken.measures) if taken else 0.0

    def without(self, entry: str) -> float | None:
        """The median of the same without Slurm's commands, as far as the bare loop tells what they take."""
        taken, bare = self.of(entry), self.of(BARE)
        if taken is None or bare is None:
            return None
        submit, ask = (statistics.median(each.client[name] for each in bare.measures) for name in ("sbatch", "squeue"))
        own = [
            max(each.own, each.own + each.started - each.submissions * submit - each.questions * ask)
            for each in taken.measures
        ]
        return statistics.median(own) * 1e3 / self.count

    def save(self, path: Path = KEPT) -> None:
        """Keep them."""
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path = KEPT) -> Results:
        """What was kept."""
        found = json.loads(path.read_text("utf-8"))
        taken = [Taken(**one | {"measures": [Measure(**each) for each in one["measures"]]}) for one in found["taken"]]
        return cls(found["count"], found["place"], found["versions"], taken)
