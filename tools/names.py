"""Every public name with its signature and its docstring, as Markdown."""

from __future__ import annotations

import inspect
import re
import textwrap
import types
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, get_overloads

MACHINE = frozenset({"bring_to", "clear", "encode", "finish"})  #: of a context: the machine calls them, authors do not

#: Classes that users make, besides those that are data; with what others are made is of no interest to them.
BY_HAND = frozenset({"Workflow"})


def entry(name: str, thing: Any, level: int = 2) -> str:
    """A heading, the signature as Python, the docstring; of a class its methods and properties too, a level below."""
    parts = [f"{'#' * level} {name}", code(signatures(name, thing)), prose(thing)]
    if isinstance(thing, type):
        parts += [entry(f"{name}.{word}", value, level + 1) for word, value in members(thing)]
    return "\n\n".join(part for part in parts if part)


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """What a class and its own bases offer, in the order in which they are written; the machine's part left out."""
    seen: set[str] = set()
    for base in kind.__mro__:
        if not base.__module__.startswith("heliostat"):
            continue
        for word, value in vars(base).items():
            if word.startswith("_") or word in MACHINE or word in seen:
                continue
            if isinstance(value, types.FunctionType | property | classmethod | staticmethod):
                seen.add(word)
                yield word, value


def signatures(name: str, thing: Any) -> list[str]:
    """How it is written: a class by what it is made with, a function by each of its overloads."""
    word = name.rpartition(".")[2]
    if isinstance(thing, property):
        returns = inspect.signature(thing.fget).return_annotation if thing.fget else inspect.Signature.empty
        return [f"@property\ndef {word}(self){_answer(returns)}: ..."]
    if isinstance(thing, type):
        bases = [base.__name__ for base in thing.__bases__ if base is not object and not base.__name__.startswith("_")]
        head = f"class {word}({', '.join(bases)})" if bases and issubclass(thing, BaseException) else f"class {word}"
        if is_dataclass(thing):
            return [f"{head}:\n" + "\n".join(f"    {_field(each)}" for each in fields(thing) if each.name[0] != "_")]
        if word not in BY_HAND:
            return [f"{head}: ..."]
        return [f"{head}:\n{textwrap.indent(_defined('__init__', vars(thing)['__init__'], returns=False), '    ')}"]
    if isinstance(thing, classmethod | staticmethod):
        return [f"@{type(thing).__name__}\n{_defined(word, thing.__func__)}"]
    return [_defined(word, found) for found in get_overloads(thing) or [thing]]


def _defined(word: str, function: Any, *, returns: bool = True) -> str:
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):
        return "..."
    words, keyword, positional = [], False, False
    parameters = list(found.parameters.values())
    for place, parameter in enumerate(parameters):
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword:
            keyword = True
            words.append("*")
        keyword = keyword or parameter.kind is parameter.VAR_POSITIONAL
        words.append(_parameter(parameter))
        positional = parameter.kind is parameter.POSITIONAL_ONLY
        following = parameters[place + 1].kind if place + 1 < len(parameters) else None
        if positional and following is not parameter.POSITIONAL_ONLY:
            words.append("/")
    answer = _answer(found.return_annotation) if returns else ""
    line = f"def {word}({', '.join(words)}){answer}: ..."
    if len(line) <= 100:
        return line
    inner = "".join(f"    {part},\n" for part in words)
    return f"def {word}(\n{inner}){answer}: ..."


def _field(field: Field[Any]) -> str:
    default = "" if field.default is MISSING else f" = {_default(field.default)}"
    return f"{field.name}: {_written(field.type)}{default}"


def _default(value: object) -> str:
    text = repr(value) if '"' in repr(value) else repr(value).replace("'", '"')  # as the formatter writes it
    return "..." if text.startswith("<") else text


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    star = next((mark for kind, mark in stars.items() if kind is parameter.kind), "")
    said = "" if parameter.annotation is parameter.empty else f": {_written(parameter.annotation)}"
    if parameter.default is parameter.empty:
        return f"{star}{parameter.name}{said}"
    default = _default(parameter.default)
    return f"{parameter.name}{said} = {default}" if said else f"{parameter.name}={default}"


def _answer(annotation: Any) -> str:
    return "" if annotation is inspect.Signature.empty else f" -> {_written(annotation)}"


def _written(annotation: Any) -> str:
    """An annotation as it is written; all modules postpone theirs, so they are text."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return text.replace("'", '"')  # as the formatter writes it


def code(found: list[str]) -> str:
    """A block of Python that is read and not run."""
    return "<!-- sketch -->\n```python\n" + "\n".join(found) + "\n```"


def prose(thing: Any) -> str:
    """A docstring as Markdown: literals in single quotes of code, one sentence per line."""
    doc = inspect.getdoc(thing) or ""
    if isinstance(thing, type) and (doc.startswith(f"{thing.__name__}(") or not thing.__doc__):
        return ""
    paragraphs = re.split(r"\n\n+", doc.replace("``", "`"))
    return "\n\n".join(_sentences(paragraph) for paragraph in paragraphs)


def _sentences(paragraph: str) -> str:
    if paragraph.startswith(("    ", "- ")):
        return paragraph
    line = paragraph.replace("\n", " ")
    return re.sub(r"(?<=[a-z)`][.!?]) (?=[A-Z])", "\n", line)
