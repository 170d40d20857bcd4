"""What is brought of a job from another machine, while it changes there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heliostat.batches.luggage import bring
from heliostat.errors import OperatorError
from heliostat.job import JobSpec
from heliostat.transport import Ran
from heliostat.transports.local import LocalTransport


class Vanishing(LocalTransport):
    """A machine on which the first link goes away when what links lead to is asked for."""

    def run(self, script: str, *arguments: str, **options: Any) -> Ran:
        """Run it."""
        if "readlink" in script:
            (Path(arguments[0]) / arguments[1]).unlink()
        return super().run(script, *arguments, **options)


def test_a_link_that_vanishes_while_it_is_looked_at_is_tried_again(tmp_path: Path) -> None:
    """Nothing is wrong with the job, which is collected at the next try."""
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    (there / "made").write_text("made")
    for name in ("one", "other"):
        (there / name).symlink_to("made")
    spec = JobSpec("…", outputs={name: name for name in ("made", "one", "other")})
    with pytest.raises(OperatorError, match="has changed on"):
        bring(Vanishing(), str(there), here, spec)
    bring(LocalTransport(), str(there), here, spec)
    assert sorted(path.name for path in here.iterdir()) in (["made", "one"], ["made", "other"])
