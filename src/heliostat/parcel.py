"""A parcel: an attempt in a directory, with all that performing it takes, and at the end what it answered.

- ``work.json``: the attempt, its inputs, its graph, where its functions are, and what its context may read
- ``artifacts``: the files that these mention, each under its digest; ``kept``: those that it keeps
- ``logs``: what it says while it runs; ``attempts``: the directory in which it does
- ``outcome.json``: what it answered, written at once when the function has returned

The batch system's own files lie beside them. See docs/adr on why it has to be so much.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from heliostat.errors import BadInput
from heliostat.files import put

FORMAT = 1  #: of both files; another one is another version's
WORK, OUTCOME = "work.json", "outcome.json"
ARTIFACTS, KEPT, ATTEMPTS, LOGS = "artifacts", "kept", "attempts", "logs"
MOST_BYTES = 64 << 20  #: of what is given to an attempt, and of what it asks for


def write(path: Path, data: dict[str, Any]) -> None:
    """Make a file with all its data, at once, and safe from a power cut; raises BadInput for too much of it."""
    text = json.dumps({"format": FORMAT} | data, separators=(",", ":"))
    if len(text) > MOST_BYTES:
        raise BadInput(f"{path.name} would have {len(text):,} bytes; the limit is {MOST_BYTES:,}, use files for more")
    put(path, text, sync=True)


def read(path: Path) -> dict[str, Any]:
    """What was written; raises BadInput for what is none, or another version's."""
    try:
        if not path.is_file():  # whatever else is there may have its reader wait for ever
            raise BadInput(f"there is no {path.name} in {path.parent}")
        if (size := path.stat().st_size) > MOST_BYTES:
            raise BadInput(f"{path} has {size:,} bytes; the limit is {MOST_BYTES:,}")
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from None
    found = data.get("format") if isinstance(data, dict) else None
    if not isinstance(found, int):
        raise BadInput(f"{path} is none that Heliostat wrote")
    if found != FORMAT:
        raise BadInput(
            f"{path} is of another version of Heliostat (its format is {found}, here it is {FORMAT}); "
            "have the same version where jobs run and where the workers do"
        )
    return data  # type: ignore[no-any-return]
