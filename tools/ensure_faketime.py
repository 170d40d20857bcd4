"""See to it that the clocks of servers can be stepped: with apt where we may. Where not, a few tests are skipped."""

from __future__ import annotations

from tests.wall_clock import PACKAGE, library
from tools.apt import install


def main() -> None:
    """Install what is missing."""
    if library() is None:
        install(PACKAGE)


if __name__ == "__main__":
    main()
