"""Every commit point: a worker alone dies at its k-th commit, right before or right after it, and another goes on.

The load is the same for every k, and k grows until a worker lives through it all.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from itertools import count

import heliostat
from heliostat.engine import Engine
from torture.campaign import Outcome, until
from torture.checker import LOST, REPEATED, STUCK, check
from torture.crew import Crew
from torture.feed import Accepted
from torture.grounds import opened
from torture.load import FLOWS
from torture.worker import Manner, When

LOAD = ("chain", "mosaic", "pack", "family", "moods", "nested")  #: flows that need nobody from outside
PATIENCE = 60.0


def enumerate_points(name: str, when: When, every: int = 1, first: int = 1, most: int = 500) -> Outcome:
    """Die at each ``every``-th commit from the first on; ``faults`` is how many deaths there were."""
    manner = Manner(lease=2.0)
    accepted: dict[int, Accepted] = {}
    deaths, trouble, begun = 0, "", time.monotonic()
    with opened(name) as ground:
        files, notes = ground.folder / "files", ground.folder / "notes"
        files.mkdir()
        notes.touch()
        with heliostat.open(ground.url, files=files) as engine:
            engine.store.upgrade()
            for point in count(first, every):
                runs = _load(engine, point, accepted)

                def over(runs: set[int] = runs) -> bool:
                    statement = "SELECT id FROM runs WHERE state = 'active' OR open > 0"
                    return not runs & {row[0] for row in ground.ask(statement)}

                with Crew(ground.url, files, notes, 1, lambda: manner) as crew:
                    crew.begin(replace(manner, crash=(when, point)))
                    until(lambda crew=crew, over=over: not crew.alive() or over(), PATIENCE)  # type: ignore[misc]
                    died = not crew.alive()
                    deaths += died
                    if died:
                        crew.begin()
                    if not until(over, PATIENCE):
                        trouble = f"dead {when} commit {point}, and after {PATIENCE:g} s not all is over"
                if trouble or not died or point + every > most:
                    break
            seconds = time.monotonic() - begun
        found = check(ground, notes, accepted)
        tasks, rescues = ground.ask("SELECT count(*), sum(rescues) FROM tasks")[0]
    kinds = Counter(violation.rule for violation in found)
    return Outcome(
        name,
        f"points {when}",
        0,
        1,
        len(accepted),
        int(tasks),
        deaths,
        deaths,
        int(rescues or 0),
        kinds.pop(LOST, 0),
        kinds.pop(REPEATED, 0),
        kinds.pop(STUCK, 0),
        sum(kinds.values()),
        during=round(tasks / seconds, 1),
        trouble=trouble,
        violations=tuple(found),
    )


def _load(engine: Engine, point: int, accepted: dict[int, Accepted]) -> set[int]:
    runs = set()
    for name in LOAD:
        run = engine.start(FLOWS[name].workflow, point, idempotency_key=f"{name} {point}")
        accepted[run.key] = Accepted(run.key, name, FLOWS[name].fate(point))
        runs.add(run.key)
    return runs
