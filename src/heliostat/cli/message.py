"""What people type as a message: ``key=value`` words, a JSON document, a file, standard input."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from heliostat.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

_PAIR = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)=(.*)", re.DOTALL)


def message(words: Sequence[str], given: str | None = None) -> object:
    """The message that words stand for, or the one given as ``--message``; None if there is neither.

    ``key=value`` words make an object: a value that is JSON is that, ``@file`` is the file itself (which the run
    keeps), anything else a string (``@@`` stands for a leading @). A single other word is a JSON document, the name
    of a file with one (``@file``), or ``-`` for standard input.
    """
    if given is not None:
        if words:
            raise BadInput("give the message as key=value or as --message, not both")
        return _document(given)
    if not words:
        return None
    if len(words) == 1 and not _PAIR.fullmatch(words[0]):
        return _document(words[0])
    found: dict[str, object] = {}
    for word in words:
        pair = _PAIR.fullmatch(word)
        if pair is None:
            raise BadInput(f"{word!r} is no key=value; a whole message is one word: JSON, @file or -")
        if pair[1] in found:
            raise BadInput(f"{pair[1]} is given twice")
        found[pair[1]] = _value(pair[1], pair[2])
    return found


def _value(key: str, word: str) -> object:
    if word.startswith("@@"):
        return word[1:]
    if word.startswith("@"):
        path = Path(word[1:])
        if not path.is_file():
            raise BadInput(f"{key}: there is no file {str(path)!r}")
        return path
    try:
        return json.loads(word, parse_constant=_no_constant)
    except ValueError:
        return word


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _document(word: str) -> object:
    where, text = "message", word
    try:
        if word == "-":
            where, text = "standard input", sys.stdin.read()
        elif word.startswith("@"):
            where, text = word[1:], Path(word[1:]).read_text("utf-8")
    except FileNotFoundError:
        raise BadInput(f"message: there is no file {word[1:]!r}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{where}: {getattr(error, 'strerror', None) or error}") from None
    try:
        found: object = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        quoted = f""": '"{word}"'""" if re.fullmatch(r"[\w .+-]{1,40}", word) else ""
        hint = f"; a string needs quotes of its own{quoted}, or write key=value" if where == "message" else ""
        raise BadInput(f"{where}: not JSON ({error}){hint}") from None
    return found
