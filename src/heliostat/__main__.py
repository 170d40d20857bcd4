"""``python -m heliostat`` is ``heliostat``; what jobs call does without the rest of it, so that it starts soon."""

import sys

if sys.argv[1:3] == ["task", "exec"] and len(sys.argv) == 4 and not sys.argv[3].startswith("-"):
    from heliostat.exec import main
else:
    from heliostat.cli import main

main()
