"""What transports promise, here and over ssh."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite("heliostat.testing.transports")

from heliostat.testing.transports import *  # noqa: E402, F403 - all of them, with asserts that tell what they saw
from heliostat.transports.local import LocalTransport  # noqa: E402

if TYPE_CHECKING:
    from heliostat.transport import Transport


@pytest.fixture(params=["local", "ssh"])
def transport(request: pytest.FixtureRequest) -> Iterator[Transport]:
    """One of each kind."""
    if request.param == "local":
        yield LocalTransport()
    else:
        yield request.getfixturevalue("cluster")
