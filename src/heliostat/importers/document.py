"""A YAML document whose every value knows its line, so that a mistake in it can be said where it stands.

The values are what was written: nothing becomes a number or a truth by its looks. So ``0:10:00`` stays ten minutes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from heliostat.codec import LIMIT_BYTES
from heliostat.errors import BadInput, nearest

if TYPE_CHECKING:
    from types import ModuleType

MOST = 100_000  #: values of a document, aliases written out: a few lines of them can stand for billions
DEEPEST = 30


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a document: text, a list of values, or a dict of them by key; None where nothing is written."""

    file: str
    line: int
    path: str
    content: str | list[Value] | dict[str, Value] | None

    def refuse(self, what: str) -> NoReturn:
        """Raise BadInput that says where this stands."""
        raise BadInput(self.about(what))

    def about(self, what: str) -> str:
        """A sentence about it, with where it stands."""
        return f"{self.file}, line {self.line}: {self.path or 'the document'}: {what}"

    def text(self) -> str:
        """The text that it is."""
        if not isinstance(self.content, str):
            self.refuse(f"a text is wanted, not {self._kind}")
        return self.content

    def items(self) -> list[Value]:
        """The values of the list that it is."""
        if not isinstance(self.content, list):
            self.refuse(f"a list is wanted, not {self._kind}")
        return self.content

    def fields(self, known: Iterable[str] | None = None) -> dict[str, Value]:
        """The fields of the object that it is; where some are known, no others."""
        if not isinstance(self.content, dict):
            self.refuse(f"keys and values are wanted, not {self._kind}")
        for name, value in self.content.items():
            if known is not None and name not in known:
                value.refuse(f"there is no key {name!r} here{nearest(name, known)}")
        return self.content

    def field(self, name: str) -> Value:
        """A field that has to be there."""
        found = self.fields().get(name)
        if found is None:
            self.refuse(f"the key {name!r} is missing")
        return found

    def number(self, least: int) -> int:
        """The whole number that it is."""
        text = self.text()
        if not text.isascii() or not text.isdecimal() or int(text) < least:
            self.refuse(f"a whole number from {least} is wanted, not {text[:40]!r}")
        return int(text)

    @property
    def _kind(self) -> str:
        if isinstance(self.content, str):
            return f"the text {self.content[:40]!r}"
        return "nothing" if self.content is None else "keys and values" if isinstance(self.content, dict) else "a list"


def read(text: str, file: str) -> Value:
    """The document in a text; raises BadInput with the line at which it is none."""
    try:
        import yaml
    except ImportError:
        raise BadInput("a YAML file needs Heliostat's extra bluesky: pip install 'CHECKOUT[bluesky]'") from None
    if len(text) > LIMIT_BYTES:
        raise BadInput(f"{file}: more than {LIMIT_BYTES:,} characters; a workflow has fewer")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise BadInput(f"{file}, line {line}: not YAML ({error.problem})") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise BadInput(f"{file}: not YAML ({' '.join(str(error).split())[:200]})") from None
    if root is None:
        raise BadInput(f"{file}: there is nothing in it")
    return _Reader(yaml, file).value(root, "", 0)


class _Reader:
    def __init__(self, yaml: ModuleType, file: str) -> None:
        self.yaml, self.file, self.count = yaml, file, 0

    def _wrong(self, line: int, path: str, what: str) -> BadInput:
        return BadInput(f"{self.file}, line {line}: {path or 'the document'}: {what}")

    def value(self, node: Any, path: str, depth: int) -> Value:
        self.counted(node, path, depth)
        content: str | list[Value] | dict[str, Value] | None
        if isinstance(node, self.yaml.MappingNode):
            fields = self.fields(node, path, depth).items()
            content = {name: self.value(found, f"{path}.{name}" if path else name, depth + 1) for name, found in fields}
        elif isinstance(node, self.yaml.SequenceNode):
            content = [self.value(item, f"{path}[{place}]", depth + 1) for place, item in enumerate(node.value)]
        else:
            content = None if node.tag == "tag:yaml.org,2002:null" else node.value
        return Value(self.file, node.start_mark.line + 1, path, content)

    def fields(self, node: Any, path: str, depth: int) -> dict[str, Any]:
        """What stands under each key, with what is merged in by ``<<`` and not given anew; of several the first."""
        found: dict[str, Any] = {}
        merged: list[Any] = []
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                merged += value.value if isinstance(value, self.yaml.SequenceNode) else [value]
            elif (name := self.name(key, path)) in found:
                raise self._wrong(key.start_mark.line + 1, path, f"{name!r} is given twice")
            else:
                found[name] = value
        for other in merged:
            self.counted(other, path, depth)
            if not isinstance(other, self.yaml.MappingNode):
                raise self._wrong(other.start_mark.line + 1, path, "<< takes keys and values, or a list of such")
            for name, value in self.fields(other, path, depth + 1).items():
                found.setdefault(name, value)
        return found

    def counted(self, node: Any, path: str, depth: int) -> None:
        self.count += 1
        if self.count > MOST or depth > DEEPEST:
            raise self._wrong(node.start_mark.line + 1, path, "nested too deep, or too much of it stands for itself")

    def name(self, key: Any, path: str) -> str:
        if not isinstance(key, self.yaml.ScalarNode):
            raise self._wrong(key.start_mark.line + 1, path, "a key is a word")
        return str(key.value)
