"""What the promises need: a hand on a fresh store, and further ones as other processes would have them.

Whoever runs the suite gives the fixture ``open_store``: a function that opens the same, at first empty, database
again and again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from heliostat.testing.conformance.hand import Hand

if TYPE_CHECKING:
    from heliostat.store import Store


@pytest.fixture
def hand(open_store: Callable[[], Store]) -> Hand:
    """A hand on an empty store."""
    return Hand(open_store())


@pytest.fixture
def other(open_store: Callable[[], Store], hand: Hand) -> Hand:
    """The hand of another process on the same store."""
    another = Hand(open_store(), "other", 1 << 51)
    another.offers = hand.offers
    return another
