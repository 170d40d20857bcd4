"""See to it that the tests find RabbitMQ's server: with apt where we may."""

from __future__ import annotations

import sys
import time

from tests.rabbitmq_server import PROGRAMS, installed
from tools.apt import install


def main() -> None:
    """Install what is missing, or say in a sentence what to do."""
    if installed():
        return
    began = time.monotonic()
    print("RabbitMQ is missing; installing it for the tests ...", flush=True)
    install("rabbitmq-server")
    if not installed():
        sys.exit(f"The tests need RabbitMQ in {PROGRAMS}, and it could not be installed: install rabbitmq-server.")
    print(f"Installed RabbitMQ ({PROGRAMS}) in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
