"""The seam to what wakes workers: a bell, and nothing more.

The database is the queue and the only truth. A broker carries *tickets*: "up to n tasks of this queue may be ready".
Who gets one looks into the database, and finding nothing there is fine. So a ticket may be lost, late, repeated, or
reach somebody who has no time: nothing may depend on it but how soon somebody looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Carried(NamedTuple):
    """A queue as the broker has it: tickets that wait, who consumes, and whether it survives the loss of a node."""

    name: str
    tickets: int
    consumers: int
    lasting: bool


@dataclass(frozen=True, slots=True)
class Bell:
    """What a broker is, for people: ``place`` names it without a password.

    ``trouble`` says in words why it could not be asked, and is empty where it answered. Queues that it does not have
    yet are left out.
    """

    place: str
    version: str = ""
    queues: tuple[Carried, ...] = ()
    trouble: str = ""


class Broker(Protocol):
    """Best effort: no method raises, and none but ``close`` and ``about`` wait. Any thread may call them."""

    def ring(self, queues: Mapping[str, int]) -> bool:
        """Issue tickets for about so many tasks in each of these queues; answers whether the broker was there lately.

        Where the broker cannot be reached, tickets are dropped: there is always somebody who looks without being told.
        """

    def remind(self, queues: Iterable[str]) -> bool:
        """Issue a ticket for those of these queues in which none waits, so that no flood builds up; answers as `ring`.

        It also sees whether the broker can be reached, even where there are no queues.
        """

    def about(self, queues: Iterable[str]) -> Bell:
        """What broker this is and how these queues stand; waits some seconds for an answer, and changes nothing."""

    @property
    def reachable(self) -> bool:
        """Whether the broker answered when it was last tried; True until then."""

    def close(self) -> None:
        """Issue what is asked for already, within a moment, and let go of the broker."""
