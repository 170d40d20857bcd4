"""The fixture that pytest finds where Heliostat is installed.

Every pytest that runs there loads this module, so it loads nothing else until a test asks for the fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliostat.testing.virtual import VirtualEngine


@pytest.fixture
def heliostat_engine() -> Iterator[VirtualEngine]:
    """The real engine in memory, whose time the test moves: ``heliostat.testing.engine()``."""
    from heliostat.testing.virtual import engine

    with engine() as made:
        yield made
