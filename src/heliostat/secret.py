"""Secrets by name: what a definition says of them, and what may be seen of their values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heliostat.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "HELIOSTAT_SECRET_"  #: of the variables that hold values
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
HIDDEN = "***"  #: what stands where a value was


@dataclass(frozen=True, slots=True)
class Secret:
    """The name of a value that nothing keeps: it is read where a function or job runs, and goes into ``env=``."""

    name: str

    def __post_init__(self) -> None:
        name: object = self.name
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise DefinitionError(f"{self.name!r} is no name for a secret; use letters, digits, _ . -")

    @property
    def variable(self) -> str:
        """The environment variable that may hold its value."""
        return PREFIX + re.sub(r"[.-]", "_", self.name).upper()


class SecretText(str):
    """The value of a secret: a string like any other, but that its ``repr`` does not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(HIDDEN)


def public(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment as other programs get it: without the variables that hold secrets."""
    return {name: value for name, value in environment.items() if not name.startswith(PREFIX)}
