"""Exit codes that come of no error; an error's own is with its class, in ``errors``."""

from __future__ import annotations

NOT_ENDED = 1  #: a run that was waited for goes on
EXHAUSTED = 7  #: a worker wants to be started afresh
INTERRUPTED = 130  #: a signal has ended it
