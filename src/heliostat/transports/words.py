"""A script with its arguments as one line, for where no argument of a program can carry it.

The line is the first of what ``read`` reads, and all after it is left to the script. So a script may be of any length,
and no other shell on the way has a newline or an exclamation mark to stumble over.
"""

from __future__ import annotations

import shlex

from heliostat.errors import BadInput


def line(script: str, arguments: tuple[str, ...]) -> bytes:
    """The line; raises BadInput for what no shell can hold."""
    words = (_word(argument) for argument in arguments)
    text = f"set -- {' '.join(words)}; eval {_word(f'unset line nl; {script}')}\n"
    return text.encode(errors="surrogateescape")


def read(file: str = "/dev/stdin") -> str:
    """What has ``/bin/sh`` run a line: one line itself, in which csh and fish find nothing of their own either."""
    source = "" if file == "/dev/stdin" else f" < {file}"
    return f'IFS= read -r line{source}; nl=$(printf "\\nx"); nl=${{nl%x}}; eval "$line"'


def check(*texts: str) -> None:
    """Raise BadInput for what no shell can hold."""
    for text in texts:
        if "\0" in text:
            raise BadInput(f"a script and its arguments cannot hold a NUL character: {text[:80]!r}")


def _word(text: str) -> str:
    """One quoted word without a newline: where one belongs stands the variable that holds it."""
    check(text)
    return shlex.quote(text).replace("\n", "'\"$nl\"'")
