"""OpenPBS and PBS Professional: qsub, qstat, qdel.

One ``qstat`` tells of all jobs, and of those that have ended where the site keeps a history (``-x``); where it keeps
none, they are simply unknown afterwards, and their files have to tell. Written after the manual pages and sources of
OpenPBS; Torque, which has the same commands and other answers, is ``torque``.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from signal import Signals
from typing import TYPE_CHECKING, Any

from heliostat.batch import JobState, Observation, Standing
from heliostat.batches.shared import LOG
from heliostat.errors import OperatorError
from heliostat.task import AttemptState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from heliostat.batches.dialect import Wanted
    from heliostat.transport import Ran

UNKNOWN, HISTORY, NO_HISTORY = 153, 35, 36  #: exit codes: PBS's error numbers 15001, 15139 and 15140, cut to a byte

_ID = re.compile(r"(?P<number>\d+)(?P<index>\[\d*\])?(?P<server>\.[\w.-]+)?")

#: What it says of a request that is wrong: the same will be refused again. Of all else a later try may fare better.
_REFUSED = re.compile(
    r"Unknown queue|Unknown resource|[Ii]llegal|[Ii]nvalid|directive error|usage:|Unauthorized|not authori[sz]ed|"
    r"violates queue|exceeds queue resource|Bad UID|Bad GID|cannot be submitted|Job_Name|Undefined attribute|"
    r"Access to queue is denied|Access from host not allowed|rejected by all possible destinations|"
    r"cannot locate feasible nodes|must be|not allowed|Not a valid",
)
_LATER = re.compile(
    r"connect|timed? ?out|End of File|Premature|protocol|try again|temporar|would exceed|"
    r"[Mm]aximum number of jobs|limit on|is not enabled|not running|Not enough|System error|communication",
)

_WAITING = {
    "Q": None,
    "H": "held",
    "W": "waits for the time that was set for it",
    "T": "being moved to where it runs",
}
_RUNNING = {"R": None, "B": None, "E": "exiting", "S": "suspended", "U": "suspended"}
_LOST = "PBS could not run it"
#: Exit codes of PBS's own, below zero: as what an attempt counts, and in which words.
ENDS = {
    -1: (AttemptState.lost, f"{_LOST}: it failed before its files were there"),
    -2: (AttemptState.lost, f"{_LOST}: it failed after its files were there"),
    -3: (AttemptState.lost, f"{_LOST}, and gave up trying"),
    -10: (AttemptState.failed, f"{_LOST}: its user or group is not known on the node"),
    -11: (AttemptState.lost, "PBS was to run it again, which it must not"),
    -17: (AttemptState.lost, f"{_LOST}: a hook of the site's refused it"),
    -20: (AttemptState.lost, "its node was lost"),
    -24: (AttemptState.killed, "it used more cores than it had asked for, and PBS ended it"),
    -25: (AttemptState.killed, "it used more cores than it had asked for, and PBS ended it"),
    -26: (AttemptState.out_of_memory, "out of memory: it took more virtual memory than it had asked for"),
    -27: (AttemptState.out_of_memory, "out of memory: it took more than it had asked for"),
    -28: (AttemptState.timed_out, "its time on processors was over, and PBS ended it"),
    -29: (AttemptState.timed_out, "its walltime was over, and PBS ended it"),
}

#: What it writes into a job's output when it ends one at a limit, and which exit status that is.
_KILLED = {"walltime": -29, "p?vmem": -26, "p?mem": -27, "p?cput": -28, "ncpus": -25}


class Pbs:
    """``heliostat.batches.dialect.Dialect`` is the contract."""

    name = "pbs"
    name_length = 48  # so that the line with a name in the answer of find is never broken
    index = "$PBS_ARRAY_INDEX"
    about = "qstat --version && qstat -B"
    submit = 'qsub "$1"'

    _select, _show = "qselect -x", "qstat -x -f"  # with those that have ended
    _each = ".^array_index^"  # behind the name of a file, so that each of an array's jobs has its own
    _ends: Mapping[int, tuple[AttemptState, str]] = ENDS

    def own(self, *, array: bool) -> str:
        return "$PBS_JOBID"

    def header(self, wanted: Wanted) -> str:
        chunk = f"{wanted.nodes}:ncpus={wanted.cores}"
        chunk += f":mem={megabytes(wanted.memory_bytes)}mb" if wanted.memory_bytes is not None else ""
        chunk += f":ngpus={wanted.gpus}" if wanted.gpus else ""
        lines = [*self._rest(wanted), f"-l select={chunk}"]
        lines += [f"-J 0-{wanted.array - 1}"] if wanted.array else []
        return "\n".join(f"#PBS {line}" for line in (*lines, *wanted.directives, *self._own(wanted)))

    def _own(self, wanted: Wanted) -> list[str]:
        """By which a job is found again; they come last, and of the same option the last counts."""
        output = f"{LOG}{self._each}" if wanted.array else LOG
        return [f"-N {wanted.name}", f"-o {output}", "-j oe", "-r n"]

    def _rest(self, wanted: Wanted) -> list[str]:
        lines = [f"-q {wanted.partition}"] if wanted.partition else []
        lines += [f"-A {wanted.account}"] if wanted.account else []
        lines += [f"-l walltime={_clock(wanted.walltime)}"] if wanted.walltime is not None else []
        return lines

    def submitted(self, text: str) -> str:
        # a site's own qsub may chat before or behind
        for line in reversed(text.split("\n")):
            if _ID.fullmatch(line.strip()):
                return line.strip()
        raise ValueError(text)

    def member(self, handle: str, index: int) -> str:
        return handle.replace("[]", f"[{index}]")

    def refused(self, complaint: str) -> bool:
        return _REFUSED.search(complaint) is not None and _LATER.search(complaint) is None

    def find(self, names: Sequence[str]) -> str:
        """First their numbers are asked for, and then they themselves.

        One that is forgotten in between is no failure; that nobody answers is one.
        """
        each = f'for name in {shlex.join(names)}; do {self._select} -u "$(id -un)" -N "$name" || exit; done'
        kept = "sed -n -e '/^Job Id: /p' -e '/^ *Job_Name = /p'"
        return (
            f'(ids=$({each}) || exit; [ -n "$ids" ] || exit 0; said=$({self._show} $ids); '
            f"case $? in 0|{HISTORY}|{UNKNOWN}) ;; *) exit 1 ;; esac; printf '%s\n' \"$said\" | {kept})"
        )

    def standing(self, text: str) -> Standing:
        return Standing(" ".join(text.split()))

    def found(self, text: str) -> Mapping[str, str]:
        found, handle = {}, ""
        for line in text.splitlines():
            name, separator, value = line.partition(" = ")
            if line.startswith("Job Id: "):
                handle = line.removeprefix("Job Id: ").strip()
            elif separator and name.strip() == "Job_Name":
                found[value.strip()] = handle
        return found

    def look(self, handles: Sequence[str]) -> str:
        """Without the history where the server has none, which is an error to ask for."""
        jobs = shlex.join(handles)
        return (
            f"qstat -x -f -F json {jobs}\ncode=$?\n"
            f"[ $code != {NO_HISTORY} ] || {{ qstat -f -F json {jobs}; code=$?; }}\n(exit $code)"
        )

    def past(self, handles: Sequence[str]) -> str:
        return ""

    def seen(self, ran: Ran) -> Mapping[str, Observation]:
        if ran.exit_code not in (0, UNKNOWN, HISTORY):
            raise OperatorError(f"qstat failed: {ran.said or f'exit code {ran.exit_code}'}")
        seen = {}
        for handle, job in self._told(ran.stdout.decode(errors="replace")):
            for known_as in _names(handle):
                seen[known_as] = self._observation(job)
        return seen

    def why(self, output: str) -> Observation | None:
        for limit, code in _KILLED.items():
            if re.search(rf"PBS: job killed: {limit} ", output):
                how, words = ENDS[code]
                return Observation(JobState.ended, None, words, how)
        return None

    def cancel(self, handles: Sequence[str], *, kill: bool) -> str:
        jobs = shlex.join(handles)
        return f"qsig -s SIGKILL {jobs}; qdel {jobs}" if kill else f"qdel {jobs}"

    # --- what is told of a job

    def _told(self, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each job's attributes, of those that matter."""
        start, decoder = text.find("{"), json.JSONDecoder()
        while start >= 0:
            try:
                said, end = decoder.raw_decode(text, start)
            except ValueError:
                yield from _piecewise(text[start:])
                return
            yield from said.get("Jobs", {}).items()
            start = text.find("{", end)

    def _observation(self, job: Mapping[str, Any]) -> Observation:
        state, comment = str(job.get("job_state", "")), str(job.get("comment", "")).strip() or None
        if state in _WAITING:
            return Observation(JobState.submitted, reason=comment or _WAITING[state])
        if state in _RUNNING:
            return Observation(JobState.running, reason=_RUNNING[state])
        if state in ("F", "X", "C"):
            return self._ended(job, comment)
        return Observation(JobState.unknown, reason=f"PBS says state {state or 'none'}, which means nothing here")

    def _ended(self, job: Mapping[str, Any], comment: str | None) -> Observation:
        status = job.get("Exit_status", job.get("exit_status"))
        if status is None:  # also where a subjob is not in the history by itself
            if job.get("stime") is None and job.get("resources_used") is None:
                how = AttemptState.killed
                return Observation(JobState.ended, reason="deleted in PBS before it began", how=how)
            return Observation(JobState.ended, reason=None)
        code = int(status)
        if code in self._ends or code < 0:
            how, words = self._ends.get(code, (AttemptState.lost, f"{_LOST} (its exit status is {code})"))
            words += f" ({comment})" if comment and how is AttemptState.lost else ""
            return Observation(JobState.lost if how is AttemptState.lost else JobState.ended, reason=words, how=how)
        if code > 255:
            return _signalled(job, code - 256)
        return Observation(JobState.ended, code)


def _signalled(job: Mapping[str, Any], number: int) -> Observation:
    """A job that a signal ended: the server's at a limit, or else an operator's, which looks the same."""
    used, limit = (_resource(job, part, "walltime") for part in ("resources_used", "Resource_List"))
    if used is not None and limit is not None and _seconds(used) >= _seconds(limit):
        how, words = AttemptState.timed_out, "its walltime was over, and PBS ended it"
    else:
        name = Signals(number).name if number in set(Signals) else f"signal {number}"
        how, words = AttemptState.killed, f"cancelled in PBS ({name})"
    return Observation(JobState.ended, reason=words, how=how)


def _resource(job: Mapping[str, Any], part: str, name: str) -> str | None:
    values = job.get(part)
    value = values.get(name) if isinstance(values, dict) else None
    return None if value is None else str(value)


def _names(handle: str) -> Iterator[str]:
    """A handle as qsub may have printed it: with the server's full name, with its first word, or without."""
    number, _, server = handle.partition(".")
    yield from (handle, f"{number}.{server.partition('.')[0]}", number)


def _piecewise(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same of what is not quite JSON, as PBS prints where a variable of a job looks like a number and is none."""
    pieces = re.split(r'"(\d+(?:\[\d*\])?\.[\w.-]+)"\s*:\s*\{', text)
    for handle, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        told: dict[str, Any] = {}
        for name, value in re.findall(
            r'"(job_state|comment|Exit_status|stime)"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)', piece
        ):
            told[name] = json.loads(value, strict=False)
        for part in ("resources_used", "Resource_List"):
            if walltime := re.search(rf'"{part}"\s*:\s*\{{[^{{}}]*"walltime"\s*:\s*"?([\d:]+)', piece):
                told[part] = {"walltime": walltime[1]}
        yield handle, told


def megabytes(size: int) -> int:
    """How a size of memory is asked for, rounded up."""
    return max(1, math.ceil(size / (1 << 20)))


def _clock(seconds: float) -> str:
    whole = max(1, math.ceil(seconds))
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def _seconds(clock: str) -> int:
    return sum(int(part) * 60**power for power, part in enumerate(reversed(clock.split(":"))))
