"""The seam to what wakes workers: a bell, and nothing more.

The database is the queue and the only truth. A broker carries *tickets*: "up to n tasks of this queue may be ready".
Who gets one looks into the database, and finding nothing there is fine. So a ticket may be lost, late, repeated, or
reach somebody who has no time: nothing may depend on it but how soon somebody looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Broker(Protocol):
    """Best effort: no method raises, and none but ``close`` waits for anything. Any thread may call them."""

    def ring(self, queues: Mapping[str, int]) -> bool:
        """Issue tickets for about so many tasks in each of these queues; answers whether the broker was there lately.

        Where the broker cannot be reached, tickets are dropped: there is always somebody who looks without being told.
        """

    def remind(self, queues: Iterable[str]) -> bool:
        """Issue a ticket for those of these queues in which none waits, so that no flood builds up; answers as `ring`.

        It also sees whether the broker can be reached, even where there are no queues.
        """

    @property
    def reachable(self) -> bool:
        """Whether the broker answered when it was last tried; True until then."""

    def close(self) -> None:
        """Issue what is asked for already, within a moment, and let go of the broker."""
