"""Runs within runs, whose workers are killed with SIGKILL at every commit: each is begun, heard and ended once."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from heliostat.run import RunState
from tests.acceptance import inside
from tests.acceptance.crew import Crew, Hall, wait_until

if TYPE_CHECKING:
    from heliostat.handle import RunHandle

MODULE = "tests.acceptance.inside"
TILES = 3


def keep_staffed(crew: Crew, count: int = 2) -> None:
    """Start a worker for each that has died, as a supervisor would."""
    if missing := count - len(crew.alive):
        crew.begin(missing)


def well_ended(run: RunHandle) -> None:
    """Each node that is a run was one run only, and each of those did its work once."""
    assert run.state is RunState.succeeded
    assert run.result() == sum(tile * 10 + 5 for tile in range(TILES))
    tiles = run.parts()
    cells = [cell for tile in tiles for cell in tile.parts()]
    assert [tile.name for tile in tiles].count("surveyed[1]") == 1
    assert (len(tiles), len(cells)) == (TILES, TILES * 2)
    assert [cell.records() for cell in cells] == [[cell.result() // 10] for cell in cells]
    assert {part.info.open for part in (run, *tiles, *cells)} == {0}


@pytest.mark.parametrize("node", ["surveyed", "cells", "refine", "mean"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_killed_at_any_commit_of_runs_within_runs_costs_nothing(hall: Hall, when: str, node: str) -> None:
    """Before or after a run inside begins, ends and is heard of."""
    run = hall.engine.start(inside.land, TILES)
    with hall.hire(MODULE, lease=3.0, slots=1, crash=(when, node)) as crew:

        def over() -> bool:
            keep_staffed(crew)
            return run.over

        wait_until(over, run.explain())
        well_ended(run)


def test_workers_killed_at_random_never_begin_a_run_inside_twice(hall: Hall) -> None:
    """Wherever it strikes them."""
    chance = random.Random(7)
    runs = [hall.engine.start(inside.land, TILES) for _ in range(4)]
    with hall.hire(MODULE, lease=3.0) as crew:

        def over() -> bool:
            keep_staffed(crew, 3)
            if chance.random() < 0.2:
                crew.kill(chance.choice(crew.alive))
            return all(run.over for run in runs)

        wait_until(over, "the end of all")
        for run in runs:
            well_ended(run)


def test_a_run_that_is_cancelled_while_runs_within_end_leaves_nothing_behind(hall: Hall) -> None:
    """Whoever comes first, at any depth: no deadlock, and all have ended."""
    runs = [hall.engine.start(inside.land, TILES) for _ in range(12)]
    with hall.hire(MODULE) as crew:
        crew.begin(2)
        for place, run in enumerate(runs):
            wait_until(lambda run=run: run.over or len(run.parts()) == TILES, run.id)  # type: ignore[misc]
            if place % 3 == 0:
                run.cancel("enough")
            elif place % 3 == 1 and (tiles := run.parts()):
                tiles[0].cancel("not this one")
        wait_until(lambda: not hall.engine.runs(state=RunState.active), "the end of all")
        everything = [each for run in runs for each in (run, *run.parts())]
        everything += [cell for each in everything for cell in each.parts()]
        wait_until(lambda: all(each.info.open == 0 for each in everything), "that nothing is open")
