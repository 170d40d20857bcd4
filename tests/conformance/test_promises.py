"""The promises, on every store."""

from heliostat.testing.conformance import *  # noqa: F403 - all of them
