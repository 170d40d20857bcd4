"""Resources: what an attempt needs from the machine it runs on, and how that grows when it was not enough."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, fields, replace
from datetime import timedelta
from fractions import Fraction
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any

from heliostat.codec import CENTURY, seconds
from heliostat.errors import BadInput, DefinitionError, nearest
from heliostat.task import AttemptState

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 1_000_000  #: of cores, nodes and GPUs
MOST_BYTES = 1 << 60
FASTEST = 1000  #: by which memory and walltime may grow each time
_MEMORY = re.compile(r"(\d{1,20}(?:\.\d{1,20})?) ?([kKMGTP]?)(i?)B?")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,:@+/-]{0,199}")
_DIRECTIVE = re.compile(r"[!-~][ -~]{0,999}")


@dataclass(frozen=True, slots=True)
class Resources:
    """What a node needs from the machine it runs on.

    ``cores``, ``memory`` (``"2GiB"``) and ``gpus`` are those of each of its ``nodes``; ``walltime`` (``"30m"``) is how
    long it may take from its begin. ``partition`` (or queue), ``account`` and ``directives``, further lines of the
    job's script such as ``"--constraint=avx512"``, are in the words of the batch system that the node's queue leads to.

    After each attempt that ran out of memory the next one has ``memory_factor`` times as much, and after each that
    timed out ``walltime_factor`` times as long.
    """

    cores: int = 1
    memory: str | None = None
    walltime: str | timedelta | float | None = None
    gpus: int = 0
    nodes: int = 1
    partition: str | None = None
    account: str | None = None
    directives: tuple[str, ...] = ()
    memory_factor: float = 1.0
    walltime_factor: float = 1.0

    def __post_init__(self) -> None:
        for name, least in (("cores", 1), ("gpus", 0), ("nodes", 1)):
            _check_count(name, getattr(self, name), least)
        if self.memory is not None and not 0 < (_bytes(self.memory) or 0) <= MOST_BYTES:
            raise DefinitionError(f'resources: memory={shortened(self.memory)} is no amount; write "512MiB" or "2GiB"')
        if self.walltime is not None:
            object.__setattr__(self, "walltime", _duration(self.walltime))
        for name in ("partition", "account"):
            _check_word(name, getattr(self, name))
        object.__setattr__(self, "directives", _directives(self.directives))
        for name in ("memory", "walltime"):
            self._check_factor(name)

    def _check_factor(self, name: str) -> None:
        factor: object = getattr(self, f"{name}_factor")
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 1 <= factor <= FASTEST:
            raise DefinitionError(
                f"resources: {name}_factor is a number from 1 to {FASTEST:,}, not {shortened(factor)}"
            )
        if factor > 1 and getattr(self, name) is None:
            raise DefinitionError(f"resources: {name}_factor={factor:g} has nothing to begin with; say {name}= too")

    @property
    def memory_bytes(self) -> int | None:
        """The memory in bytes."""
        return None if self.memory is None else _bytes(self.memory)

    @property
    def walltime_seconds(self) -> float | None:
        """The walltime in seconds."""
        return None if self.walltime is None else seconds(self.walltime)

    @property
    def grows(self) -> bool:
        """Whether what an attempt is given depends on how those before it ended."""
        return self.memory_factor > 1 or self.walltime_factor > 1

    def after(self, endings: Sequence[AttemptState]) -> Resources:
        """What the next attempt is given, when those before it ended so; that grows no further."""
        grown = replace(self, memory_factor=1.0, walltime_factor=1.0)
        if (times := endings.count(AttemptState.out_of_memory)) and (held := self.memory_bytes):
            grown = replace(grown, memory=amount(held * Fraction(self.memory_factor) ** times))
        if (times := endings.count(AttemptState.timed_out)) and (lasted := self.walltime_seconds):
            grown = replace(grown, walltime=span(Fraction(lasted) * Fraction(self.walltime_factor) ** times))
        return grown

    def to_json(self) -> dict[str, Any]:
        """The fields that are not as they would be without being said."""
        data = {name: value for name, value in asdict(self).items() if value != _USUAL[name]}
        return data | ({"directives": list(self.directives)} if self.directives else {})

    @classmethod
    def from_json(cls, data: object, where: str = "resources") -> Resources:
        """Read what ``to_json`` wrote; raises BadInput for what is no object of its fields, DefinitionError else."""
        if not isinstance(data, dict):
            raise BadInput(f"{where}: an object is wanted, not {shortened(data)}")
        for name in data:
            if name not in _USUAL:
                raise BadInput(f"{where}: there is no field {str(name)[:100]!r}{nearest(str(name)[:100], _USUAL)}")
        return cls(**{name: value for name, value in data.items() if value is not None})

    def __str__(self) -> str:
        """For people: ``4 cores, 2GiB, 30m, partition long``."""
        words = [_count(self.nodes, "node")] if self.nodes > 1 else []
        words += [_count(self.cores, "core")]
        words += [_grown(self.memory, self.memory_factor)] if self.memory is not None else []
        words += [_grown(span(seconds(self.walltime)), self.walltime_factor)] if self.walltime is not None else []
        words += [_count(self.gpus, "GPU")] if self.gpus else []
        words += [f"partition {self.partition}"] if self.partition else []
        words += [f"account {self.account}"] if self.account else []
        return ", ".join((*words, *self.directives))


_USUAL: dict[str, Any] = {field.name: field.default for field in fields(Resources)}


def amount(size: float | Fraction) -> str:
    """So many bytes as people say them, rounded up to whole mebibytes; no more than there may be."""
    left = math.ceil(Fraction(min(size, MOST_BYTES)) / (1 << 20))
    units = iter("MGTP")
    unit = next(units)
    while left % 1024 == 0 and unit != "P":
        left, unit = left // 1024, next(units)
    return f"{left}{unit}iB"


def span(lasting: float | Fraction) -> str:
    """So many seconds as people say them, rounded up to whole ones; no more than a century."""
    left, words = math.ceil(min(lasting, CENTURY)), ""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        many, left = divmod(left, size)
        words += f"{many}{unit}" if many else ""
    return words or "0s"


def _bytes(memory: object) -> int | None:
    if not isinstance(memory, str) or (match := _MEMORY.fullmatch(memory)) is None:
        return None
    number, unit, binary = match.groups()
    factor: int = (1024 if binary else 1000) ** " KMGTP".index(unit.upper() or " ")
    return round(Fraction(number) * factor)


def _check_count(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MOST:
        raise DefinitionError(f"resources: {name} is a whole number from {least}, not {shortened(value)}")


def _check_word(name: str, value: object) -> None:
    if value is not None and not (isinstance(value, str) and _WORD.fullmatch(value)):
        raise DefinitionError(
            f"resources: {name}={shortened(value)} is no name; use letters, digits and _ . , : @ + / -"
        )


def _duration(given: str | timedelta | float) -> str:
    """A walltime as text, which is data; what was said as text stays as it was said."""
    try:
        lasting = seconds(given, "resources: walltime")
    except BadInput as error:
        raise DefinitionError(str(error)) from None
    if not lasting:
        raise DefinitionError("resources: walltime=0 would never let it end; leave it out for no limit")
    return given if isinstance(given, str) else span(lasting)


def _directives(given: object) -> tuple[str, ...]:
    lines = tuple(given) if isinstance(given, list | tuple) else (None,)
    for line in lines:
        if not isinstance(line, str) or not _DIRECTIVE.fullmatch(line) or line.startswith("#"):
            raise DefinitionError(
                'resources: directives= takes a list of options, one line each and without "#SBATCH" or "#PBS", such '
                f'as ("--constraint=avx512",), not {shortened(given)}'
            )
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _grown(value: object, factor: float) -> str:
    return f"{value}" + (f" (×{factor:g})" if factor > 1 else "")
