"""What must hold at the end of a simulated run, for simulations that are too long for the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliostat.handle import RunHandle

NUMBERS = [5, 3, 8, 1, 9, 2, 7, 3]


def sorts(run: RunHandle) -> None:
    """``examples/quicksort.py`` has sorted, in as many tasks as eight numbers need."""
    assert run.result() == sorted(NUMBERS), run.result()
    assert run.state == "succeeded", run.state
    assert len(run.tasks()) == 21, len(run.tasks())
