"""The vault: reads secrets where they are needed, and knows afterwards what must not be seen or stored.

It remembers, for as long as this process lives, each value that it has given out. What a process writes, logs or
settles passes by it: texts for people are masked, data that holds a value is refused.
"""

from __future__ import annotations

import base64
import json
import os
import re
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote, quote_plus
from uuid import uuid4

from heliostat.errors import BadInput, DefinitionError, OperatorError
from heliostat.secret import HIDDEN, Secret, SecretText

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LEAST = 6  #: characters of a value from which on it is looked for: shorter ones stand in many innocent texts
MOST_BYTES = 64 << 10
PIECE = 1 << 18  #: characters of a file that are looked through at a time


def find(name: str, directory: Path | None = None) -> str:
    """The value of a secret from its variable, else from its file; raises OperatorError where it is neither."""
    secret = Secret(name)
    value, whence = os.environ.get(secret.variable), secret.variable
    if value is None:
        if directory is None:
            raise OperatorError(
                f"secret {name!r} is not there: {secret.variable} is not set, and no directory of secrets is configured"
            )
        value, whence = _read(name, directory, secret.variable), str(directory / name)
    if not value:
        raise OperatorError(f"secret {name!r} is empty in {whence}")
    if "\0" in value:
        raise OperatorError(f"secret {name!r} holds a NUL in {whence}, which no variable can have")
    return value


def _read(name: str, directory: Path, variable: str) -> str:
    """What the file of a secret holds, without the end of its last line."""
    path = directory / name
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # else whoever opens it may wait for ever
            raise OperatorError(f"secret {name!r}: {path} is no ordinary file")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise OperatorError(
            f"secret {name!r} is not there: {variable} is not set, and there is no file {path}"
        ) from None
    except OSError as error:
        raise OperatorError(f"secret {name!r}: {path} cannot be read: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise OperatorError(f"secret {name!r}: {path} has more than {MOST_BYTES:,} bytes")
    try:
        return data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise OperatorError(f"secret {name!r}: {path} is not UTF-8 text") from None


class Vault:
    """The secrets of a process. ``look`` gives the value of a name, or raises OperatorError."""

    def __init__(self, look: Callable[[str], str] = find) -> None:
        self._look = look
        self._adding = threading.Lock()
        self._values: dict[str, str] = {}  # of each value that was given out, the name
        self._spellings: dict[str, str] = {}  # in which data would hold a value, and the name
        self._shown: re.Pattern[str] | None = None
        self._longest = 0  # characters of what that finds

    def read(self, name: str) -> SecretText:
        """The value of a secret; raises OperatorError where it is missing, BadInput for what is no name."""
        try:
            value = self._look(Secret(name).name)
        except DefinitionError as error:
            raise BadInput(str(error)) from None
        if value not in self._values:
            with self._adding:
                self._remember(name, value)
        return SecretText(value)

    def _remember(self, name: str, value: str) -> None:
        values = {**self._values, value: name}
        known = {text: name for text, name in values.items() if len(text) >= LEAST}
        self._spellings = {spelled: name for text, name in known.items() for spelled in _as_data(text)}
        texts = {spelled for text in known for spelled in _as_text(text)}
        longest = sorted(filter(_telling, texts), key=len, reverse=True)
        self._longest = len(longest[0]) if longest else 0
        self._shown = re.compile("|".join(map(re.escape, longest))) if longest else None
        self._values = values

    @property
    def empty(self) -> bool:
        """Whether nothing was given out that is looked for."""
        return self._shown is None

    def filled(self, env: Mapping[str, str | Secret]) -> dict[str, str]:
        """Variables with the values of their secrets; raises OperatorError for one that is missing."""
        return {name: str(self.read(v.name)) if isinstance(v, Secret) else v for name, v in env.items()}

    def masked(self, text: str) -> str:
        """A text for people, with asterisks in the place of values."""
        return text if self._shown is None else self._shown.sub(HIDDEN, text)

    def veiled(self, value: Any) -> Any:
        """The same of all texts within data; what is no data becomes text."""
        if self._shown is None or value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict):
            return {self.veiled(key): self.veiled(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.veiled(item) for item in value]
        return self.masked(str(value))

    def held(self, *texts: str | None) -> str | None:
        """The name of a secret whose value one of these texts holds, as it is or as JSON writes it."""
        for spelled, name in self._spellings.items():
            if any(text is not None and spelled in text for text in texts):
                return name
        return None

    def veil(self, path: Path) -> None:
        """Mask a file of text, of any size; where it holds no value it stays as it is. It is replaced at once."""
        shown, longest = self._shown, self._longest
        if shown is None or path.is_symlink() or not path.is_file():
            return
        mine, changed = path.with_name(f".{path.name}.{uuid4().hex}"), False
        how: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
        try:
            with path.open(**how) as old, mine.open("w", **how) as new:
                for part in _masked(shown, longest, old):
                    changed |= part is HIDDEN
                    new.write(part)
            if changed:
                mine.replace(path)
        finally:
            mine.unlink(missing_ok=True)


def _masked(shown: re.Pattern[str], longest: int, file: TextIO) -> Iterator[str]:
    """A text in parts, HIDDEN in the place of values, which may begin in one piece of the file and end in the next."""
    rest, more = "", True
    while more:
        piece = file.read(PIECE)
        more, text, done = bool(piece), rest + piece, 0
        whole = len(text) - longest + 1 if more else len(text)  # what begins before this is all there
        for found in shown.finditer(text):
            if found.start() >= whole:
                break
            yield text[done : found.start()]
            yield HIDDEN
            done = found.end()
        kept = max(done, whole)
        yield text[done:kept]
        rest = text[kept:]


def _telling(text: str) -> bool:
    return len(text) >= LEAST


def _as_data(value: str) -> set[str]:
    """A value as it is and as JSON writes it."""
    return {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}


def _as_text(value: str) -> set[str]:
    """The ways in which programs print a value: also line by line, quoted, and in Base64."""
    data = value.encode()
    coded = {base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()}
    found = _as_data(value) | {repr(value)[1:-1], quote(value, safe=""), quote(value), quote_plus(value)} | coded
    return found | {line.strip() for line in value.splitlines()}
