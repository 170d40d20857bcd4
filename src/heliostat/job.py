"""The job: a command for a batch system, and its template.

A template is text with placeholders: ``{name}``, ``{message.days}``, ``{terrain.field}``, ``{input}``,
``{output}``, ``{files}``; ``{{`` and ``}}`` are braces. It is parsed once, when the job is defined. In a
shell command each placeholder becomes one quoted word (a list, one word per item), so data can never become
syntax; a place in a command that cannot be proven to keep that promise is refused at definition.

Two things no quoting can change. A value that begins with ``-`` is read as an option by the program that gets
it: write ``--`` before such placeholders, or ``--name={value}``. And what takes an argument as code takes a value
as code: ``eval``, ``sh -c``, ``ssh host``, or the name of a variable after ``export``. Give them a script, and the
value as its argument.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import PurePath, PurePosixPath
from reprlib import repr as shortened
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from heliostat import image
from heliostat.codec import Json, encode
from heliostat.errors import BadInput, DefinitionError, nearest
from heliostat.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

INPUT = "input.json"  #: in a job's directory: the message and the upstream results
OUTPUT = "output.json"  #: in a job's directory: the result, if the job writes one
FILES = "files"  #: in a job's directory: the upstream files by name
PREPARE, FINISH = "prepare", "finish"  #: the functions before and after a command
GIVEN = "output"  #: the parameter by which the one after it gets what the job gave
_HERE = {"input": INPUT, "output": OUTPUT, "files": FILES}
_RESERVED = frozenset({*_HERE, "message"})

Value: TypeAlias = "Json | PurePath"


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a job node runs, as its author wrote it; raises DefinitionError for what cannot work.

    ``shell`` is a template for ``/bin/sh``, ``argv`` are templates for arguments without a shell; with
    neither, a function gives the command at run time. ``outputs`` is a pattern relative to the job's
    directory, or name → pattern: with ``*`` or ``?`` it stands for a list of files, else for exactly one.
    ``image`` is that of the container in which the command runs. ``calls`` names the functions around the command
    that its author gave it.
    """

    shell: str | None = None
    argv: tuple[str, ...] | None = None
    outputs: str | dict[str, str] | None = None
    env: dict[str, str | Secret] = field(default_factory=dict)
    image: str | None = None
    calls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.shell is not None and self.argv is not None:
            raise DefinitionError("a job has one command: either text for the shell or a list of arguments")
        if self.argv == () or (self.shell is not None and not self.shell.strip()):
            raise DefinitionError("the job's command is empty")
        for _ in _placeholders(self):  # parses every template
            pass
        for name in self.outputs if isinstance(self.outputs, dict) else ():
            if not re.fullmatch(r"[^\W\d][\w-]*", name):
                raise DefinitionError(f"outputs: {name!r} is no name; use letters, digits, _ and -")
        for name, pattern in patterns(self.outputs):
            _check_pattern(name, pattern)
        check_environment(self.env)
        if self.image is not None:
            image.check(self.image)


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A place in a template: the name of a value, then the fields that lead into it.

    ``at`` is its offset in the template; ``alone`` says that it is a word of its own, as a list has to be.
    """

    path: tuple[str, ...]
    at: int = field(default=0, compare=False)
    alone: bool = field(default=True, compare=False)

    def __str__(self) -> str:
        return "{" + ".".join(self.path) + "}"


@lru_cache(maxsize=4096)
def parse(template: str, *, shell: bool = True) -> tuple[str | Placeholder, ...]:
    """The literal strings and placeholders of a template.

    Without ``shell`` it is one argument of a list, in which quotes mean nothing. Raises DefinitionError with
    the exact spot for a lone brace, a placeholder without a proper name, and one that no quoting makes safe.
    """
    if "\0" in template:
        _refuse(template, template.index("\0"), "a command cannot hold a NUL character")
    parts = list(_split(template))
    found = [part for part in parts if isinstance(part, Placeholder)]
    alone = _Shell(template, parts, found).read() if shell else [len(parts) == 1] * len(found)
    flags = iter(alone)
    return tuple(part if isinstance(part, str) else replace(part, alone=next(flags)) for part in parts)


def names(spec: JobSpec) -> tuple[str, ...]:
    """The nodes that the job waits for: the names in its placeholders, in order, each once."""
    found = dict.fromkeys(placeholder.path[0] for placeholder in _placeholders(spec))
    return tuple(name for name in found if name not in _RESERVED)


def uses(spec: JobSpec, name: str) -> bool:
    """Whether a placeholder is about ``name``; for ``message``, ``files`` and others that are no nodes."""
    return any(placeholder.path[0] == name for placeholder in _placeholders(spec))


def message_fields(spec: JobSpec) -> frozenset[str] | None:
    """The fields of the message that its placeholders name; None where it may read all of them."""
    paths = [placeholder.path for placeholder in _placeholders(spec)]
    if any(path == ("message",) or path[0] in ("input", "files") for path in paths):
        return None
    return frozenset(path[1] for path in paths if path[0] == "message")


def fill_message(spec: JobSpec, message: Value) -> None:
    """Raise BadInput for a placeholder that leads nowhere in this message."""
    for placeholder in _placeholders(spec):
        if placeholder.path[0] == "message":
            _resolve(placeholder, {"message": message})


def render(spec: JobSpec, values: Mapping[str, Value]) -> str | tuple[str, ...]:
    """The command, with every placeholder replaced: text for the shell, or arguments.

    ``values`` are the message, the results by node, and files as paths; ``input``, ``output`` and ``files``
    are names in the job's directory unless given. Texts and paths are taken as they are, numbers and booleans
    as JSON writes them. Raises BadInput with the placeholder when a value is missing, is None, is an object,
    or is a list glued to other text; DefinitionError when a function gives the command.
    """
    given = _HERE | dict(values)
    if spec.shell is not None:
        return "".join(part if isinstance(part, str) else _quoted(part, given) for part in parse(spec.shell))
    if spec.argv is not None:
        return tuple(word for template in spec.argv for word in _arguments(template, given))
    raise DefinitionError("this job has no template: a function gives its command when it runs")


def patterns(outputs: str | dict[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Names and patterns of a job's outputs; a single one has the empty name."""
    if isinstance(outputs, dict):
        return tuple(outputs.items())
    return () if outputs is None else (("", outputs),)


def finishing(name: str) -> str:
    """The key of the function that comes after a job, beside that of the node, which is a word."""
    return f"{name} {FINISH}"


def many(pattern: str) -> bool:
    """Whether a pattern stands for a list of files."""
    return "*" in pattern or "?" in pattern


# --- templates


def _placeholders(spec: JobSpec) -> Iterator[Placeholder]:
    templates = [(spec.shell, True)] if spec.shell is not None else [(arg, False) for arg in spec.argv or ()]
    for template, shell in templates:
        yield from (part for part in parse(template, shell=shell) if isinstance(part, Placeholder))


_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_PATH = re.compile(r"[^\W\d][\w-]*(\.[\w-]+)*")


def _split(template: str) -> Iterator[str | Placeholder]:
    """Literal text and placeholders by turns, braces undoubled."""
    literal, end = "", 0
    for match in _BRACES.finditer(template):
        literal += template[end : match.start()]
        end = match.end()
        if match[0] in ("{{", "}}"):
            literal += match[0][0]
            continue
        placeholder = _placeholder(template, match)
        if literal:
            yield literal
        yield placeholder
        literal = ""
    if literal := literal + template[end:]:
        yield literal


def _placeholder(template: str, match: re.Match[str]) -> Placeholder:
    at, name = match.start(), match[1]
    if name is None:
        _refuse(template, at, f"a lone {match[0]}; double it where a brace is meant, or write {{name}}")
    if not _PATH.fullmatch(name):
        _refuse(template, at, f"{match[0]} is no placeholder; write {{name}} or, for a brace, {{{{")
    path = tuple(name.split("."))
    if path[0] in _HERE and len(path) > 1:
        _refuse(template, at, f"{match[0]}: {path[0]} is a file or directory and has no fields")
    return Placeholder(path, at)


def _refuse(template: str, at: int, what: str) -> NoReturn:
    line, column = template.count("\n", 0, at) + 1, at - template.rfind("\n", 0, at)
    where = f"line {line}, column {column}" if "\n" in template else f"column {column}"
    raise DefinitionError(f"command, {where}: {what}")


# A quoted word is safe where the shell reads words, and nowhere else. What follows reads a command only as
# far as is needed to know where that is, in the ways that all POSIX shells and bash agree on; after something
# that it does not follow to its end ("doubt"), no placeholder may come. A NUL stands for each placeholder.
_QUOTING = r"""
    (?P<escape> \\. | \\\Z )
  | (?P<backquotes> `(?:[^`\\]|\\.)*`? )
  | (?P<unit> \$\{[^'"\\`$(){}\0]*\} | \$\(\([^'"\\`\#<(){}\0]*\)\) )  # ${name}, $((1 + 2)): no quotes inside
"""
_WORDS = re.compile(
    rf"""(?xs) {_QUOTING}
  | (?P<plain> [<>]&[0-9-]+(?![^ \t\n;&|<>()]) | (?<=\w)\[[^\[\]'"\\`$(){{}}\0\s]*\] )  # 2>&1, tile[0-9].tif
  | (?P<doubt> << | [<>]& | \$\{{ | \$?\(\( | \$\[ | \$' | \[\[(?=\s) | (?<=\w)\[ | =\( )
  | (?P<dollar> \$\0 )
  | (?P<quotes> '[^']*'? )
  | (?P<open> \$?\( | " )
  | (?P<close> \) )
  | (?P<hash> \#[^\n]* )
  | (?P<blank> [ \t\n;&|<>] )
  | (?P<case> \bcase\b )
  | (?P<mark> \0 )
  | (?P<letter> . )"""
)
_DOUBLE_QUOTES = re.compile(
    rf"""(?xs) {_QUOTING}
  | (?P<doubt> \$\{{ | \$\(\( | \$\[ )
  | (?P<open> \$\( )
  | (?P<close> " )
  | (?P<quotes> \0 )
  | (?P<letter> . )"""
)
_UNSAFE = {
    "escape": "stands behind a backslash; remove the backslash",
    "backquotes": "stands in backquotes, where no quoting is safe; write $( ) instead",
    "dollar": "stands behind a $; write ${{NAME}} for a variable of the shell",
    "quotes": "stands inside quotes; remove them, each placeholder is quoted by itself",
    "hash": "stands in a comment, which a value of two lines would end; remove it",
}
_ENDS_WORD = " \t\n;&|<>()"


class _Shell:
    """Reads a command up to its end or the first doubt, and so finds what each placeholder stands in."""

    def __init__(self, template: str, parts: list[str | Placeholder], found: list[Placeholder]) -> None:
        self.template, self.found = template, found
        self.text = "".join(part if isinstance(part, str) else "\0" for part in parts)
        self.position = 0
        self.opened: list[str] = []  # the quotes and parentheses that are open here
        self.fresh = True  # a word would begin here
        self.alone: list[bool] = []  # for each placeholder read, whether it is a word of its own

    def read(self) -> list[bool]:
        """For each placeholder, whether it is a word of its own; raises DefinitionError for an unsafe one."""
        while self.position < len(self.text):
            kind, piece = self._piece()
            if "\0" in piece and kind != "mark":
                self._refuse(_UNSAFE[kind])
            if self._doubt(kind, piece):
                if "\0" in self.text[self.position :]:
                    self._refuse(f"stands after {piece[:20]!r}, which makes quoting unsure; use a script")
                return self.alone
            self._take(kind, piece)
        if self.opened:
            raise DefinitionError(f"command: {self.opened[-1]} is opened and never closed")
        return self.alone

    def _piece(self) -> tuple[str, str]:
        grammar = _DOUBLE_QUOTES if self.opened[-1:] == ['"'] else _WORDS
        match = grammar.match(self.text, self.position)
        assert match is not None
        kind, piece = str(match.lastgroup), match[0]
        if kind == "hash" and not self.fresh:  # within a word it is a letter, and no comment follows
            kind, piece = "letter", "#"
        self.position += len(piece)
        return kind, piece

    def _doubt(self, kind: str, piece: str) -> bool:
        if kind == "backquotes":
            return any(letter in piece for letter in "'\"\\")
        # In $( ) the ")" of a case and the quotes of a comment are read differently by different shells.
        return kind == "doubt" or (kind in ("case", "hash") and "$(" in self.opened)

    def _take(self, kind: str, piece: str) -> None:
        if kind == "mark":
            self.alone.append(self.fresh and self.text[self.position : self.position + 1] in _ENDS_WORD)
        if kind in ("quotes", "backquotes") and (len(piece) == 1 or piece[0] != piece[-1]):
            self.opened.append(piece[0])  # its end is the end of the text
        closed = self.opened.pop() if kind == "close" and self.opened else ""
        if kind == "open":
            self.opened.append(piece)
        if piece != "\\\n":  # a line that is continued is one line
            operator = piece == ")" and closed != "$("
            self.fresh = operator or kind in ("blank", "hash") or (kind == "open" and piece != '"')

    def _refuse(self, what: str) -> NoReturn:
        placeholder = self.found[len(self.alone)]
        _refuse(self.template, placeholder.at, f"{placeholder} {what}")


# --- values


def _quoted(placeholder: Placeholder, values: Mapping[str, Value]) -> str:
    """Shell words, all of them quoted: a bare ``2`` before ``>``, or ``A=1`` in front, would be syntax."""
    return " ".join("'" + word.replace("'", "'\"'\"'") + "'" for word in _words(placeholder, values))


def _arguments(template: str, values: Mapping[str, Value]) -> list[str]:
    """One argument, or as many as there are items in a list that stands alone."""
    parts = parse(template, shell=False)
    if len(parts) == 1 and isinstance(parts[0], Placeholder):
        return _words(parts[0], values)
    return ["".join(part if isinstance(part, str) else _words(part, values)[0] for part in parts)]


def _words(placeholder: Placeholder, values: Mapping[str, Value]) -> list[str]:
    """A value as words: a list gives one per item, anything else exactly one."""
    value = _resolve(placeholder, values)
    if not isinstance(value, list):
        return [_word(value, str(placeholder))]
    if not placeholder.alone:
        raise BadInput(f"{placeholder} is a list and glued to other text; put blanks around it")
    return [_word(item, f"{placeholder}[{number}]") for number, item in enumerate(value)]


def _resolve(placeholder: Placeholder, values: Mapping[str, Value]) -> Value:
    root, *fields = placeholder.path
    if root not in values:
        raise BadInput(f"{placeholder}: there is no value {root!r}{nearest(root, values)}")
    value = values[root]
    for depth, name in enumerate(fields, 1):
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            known = nearest(name, value) if isinstance(value, dict) else ""
            owner = ".".join(placeholder.path[:depth])
            raise BadInput(f"{placeholder}: {owner} has no field {name!r}{known}")
    return value


def _word(value: Value, where: str) -> str:
    if isinstance(value, str | PurePath):
        if "\0" in (text := str(value)):
            raise BadInput(f"{where}: a command cannot hold a NUL character")
        return text
    if value is None:
        raise BadInput(f"{where} is None, which no command can be given; use a string")
    if isinstance(value, dict):
        raise BadInput(f"{where} is an object; name one of its fields, such as {{{where.strip('{}')}.name}}")
    if isinstance(value, list):
        raise BadInput(f"{where} is a list within a list; pass it in a file")
    return encode(value, where)


def check_environment(env: Mapping[str, str | Secret], where: str = "") -> None:
    """Refuse what is no environment variable; raises DefinitionError."""
    for name, value in env.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(name)):
            raise DefinitionError(f"{where}env: {name!r} is no environment variable; use letters, digits and _")
        if isinstance(value, Secret):
            continue
        if not isinstance(value, str):
            raise DefinitionError(
                f"{where}env: {name} is {shortened(value)}; the value of a variable is a string or a Secret"
            )
        try:
            encode(value, f"{where}env: {name}")
        except BadInput as error:
            raise DefinitionError(str(error)) from None


def _check_pattern(name: str, pattern: str) -> None:
    where = f"outputs {name}: {pattern!r}" if name else f"outputs: {pattern!r}"
    steps = pattern.split("/")
    if PurePosixPath(pattern).is_absolute() or ".." in steps:
        raise DefinitionError(f"{where} leads out of the job's directory; write a path relative to it")
    if "\0" in pattern or steps[-1] in ("", "."):
        raise DefinitionError(f"{where} names no file; write a file's name or a pattern such as 'maps/*.tif'")
    if any("**" in step and step != "**" for step in steps) or steps[-1] == "**":
        raise DefinitionError(f"{where}: ** stands for directories; write '**/*' for all files in them")
