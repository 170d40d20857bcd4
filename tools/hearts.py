"""The heart of an example: the definitions that say what it is about, cut from its file for the docs."""

from __future__ import annotations

import ast
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

#: By the word that stands in the docs: the example's file, and what of it is shown, in the order of the file.
HEARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "wildfire": ("wildfire", ("weather", "spread", "picture", "approve", "publish", "report")),
    "incident": ("wildfire", ("incident", "update", "simulated")),
    "julia": ("julia", ("julia", "corners", "tile", "mosaic")),
    "sweep": ("sweep", ("sweep", "rates", "behaviour", "table", "onset")),
    "etl": ("etl", ("validate", "mend", "places", "load", "report")),
    "nightly": ("nightly", ("nightly", "frames", "summary")),
    "poller": ("poller", ("incident", "look", "update")),
    "imaging": ("imaging/imaging", ("Acquire", "Align", "Segment")),
    "quicksort": ("quicksort", ("begin", "sort", "merge")),
}


def heart(word: str) -> str:
    """A block of Python for the docs, of which a test reads the syntax; the example itself is run by another."""
    name, wanted = HEARTS[word]
    source = (EXAMPLES / f"{name}.py").read_text("utf-8")
    found = {_name(part): part for part in ast.parse(source).body}
    lines = source.splitlines()
    pieces = ["\n".join(lines[_first(found[each]) - 1 : found[each].end_lineno]) for each in wanted]
    code = "\n\n\n".join(pieces)
    return f"<!-- sketch -->\n```python\n{code}\n```"


def _name(part: ast.stmt) -> str:
    """What a statement defines."""
    match part:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name
        case _:
            return ""


def _first(part: ast.stmt) -> int:
    """Its first line, decorators included."""
    decorators: list[ast.expr] = getattr(part, "decorator_list", [])
    return min([part.lineno, *(decorator.lineno for decorator in decorators)])
