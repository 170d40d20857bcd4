"""What a measure is given: a folder, and the addresses of the servers that the peer needs.

Workers are started by the peers' own commands and import their app by name, so the environment carries it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

VARIABLE = "HELIOSTAT_PEERS_PLACE"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer works; each address is empty unless the peer asks for it."""

    folder: str
    database: str = ""
    broker: str = ""
    redis: str = ""

    @classmethod
    def given(cls) -> Place:
        """What this process was given."""
        return cls(**json.loads(os.environ[VARIABLE]))

    def environment(self) -> dict[str, str]:
        """What gives it to another process."""
        return os.environ | {VARIABLE: json.dumps(asdict(self))}
