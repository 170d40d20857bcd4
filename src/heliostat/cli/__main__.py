"""``python -m heliostat.cli`` is ``heliostat``."""

from heliostat.cli.application import main

main()
