"""Two steps, A → B: ``heliostat run start examples/hello.py name=Ada --wait`` or ``python examples/hello.py``."""

from dataclasses import dataclass

import heliostat
from heliostat import Workflow


@dataclass
class Person:
    """What a run is started with; anything else is refused before the run exists."""

    name: str


hello = Workflow("hello")


@hello.node
def greeting(message: Person) -> str:
    """A: compose the greeting."""
    return f"Hello, {message.name}"


@hello.node
def letter(greeting: str) -> str:
    """B: its parameter names A, so it waits for A and gets its result."""
    return f"{greeting}! The sun is up, and the mirrors are turning."


if __name__ == "__main__":
    with heliostat.open("memory://") as engine:
        print(engine.run(hello, Person("Ada")).result())
