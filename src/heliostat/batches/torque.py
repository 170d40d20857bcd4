"""Torque: PBS's commands, with another way to ask for nodes and answers in XML.

Jobs that have ended are told of for as long as the server keeps them (``keep_completed``, often five minutes). Written
after Torque's manual pages and sources.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from heliostat.batches.pbs import ENDS, Pbs, megabytes
from heliostat.task import AttemptState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from xml.etree.ElementTree import Element

    from heliostat.batches.dialect import Wanted

_ENDS = {
    **ENDS,
    -10: (AttemptState.out_of_memory, "out of memory: it took more than it had asked for"),
    -11: (AttemptState.timed_out, "its walltime was over, and Torque ended it"),
    -12: (AttemptState.timed_out, "its time on processors was over, and Torque ended it"),
}


class Torque(Pbs):
    """``heliostat.batches.dialect.Dialect`` is the contract."""

    name = "torque"
    name_length = 15
    index = "$PBS_ARRAYID"

    _select, _show = "qselect", "qstat -f"
    _each = ""  # it puts the index behind by itself
    _ends = _ENDS

    def header(self, wanted: Wanted) -> str:
        nodes = f"nodes={wanted.nodes}:ppn={wanted.cores}" + (f":gpus={wanted.gpus}" if wanted.gpus else "")
        lines = [*self._rest(wanted), f"-l {nodes}"]
        if wanted.memory_bytes is not None:  # of the whole job here, and not of each node
            lines.append(f"-l mem={megabytes(wanted.memory_bytes * wanted.nodes)}mb")
        lines += [f"-t 0-{wanted.array - 1}"] if wanted.array else []
        return "\n".join(f"#PBS {line}" for line in (*lines, *wanted.directives, *self._own(wanted)))

    def look(self, handles: Sequence[str]) -> str:
        return f"qstat -f -x {shlex.join(handles)}"

    def _told(self, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for piece in re.findall(r"<Job>.*?</Job>", text, re.DOTALL):
            try:
                job = ET.fromstring(_readable(piece))  # noqa: S314 - a scheduler's words, without entities
            except ET.ParseError:  # a variable of its environment that is no XML: it is not needed
                continue
            told = _told_of(job)
            yield str(told.get("Job_Id", "")), told


def _told_of(job: Element) -> dict[str, Any]:
    return {part.tag: _told_of(part) if len(part) else (part.text or "") for part in job}


def _readable(piece: str) -> str:
    """A job without its environment, in which anything may stand."""
    return re.sub(r"<Variable_List>.*</Variable_List>", "", piece, flags=re.DOTALL)
