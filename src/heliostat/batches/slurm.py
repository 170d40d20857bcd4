"""Slurm: sbatch, squeue, scancel, and sacct where there are records.

One ``squeue`` tells of all jobs of a user, also of those that ended within the last minutes (``MinJobAge``), and why.
What it has forgotten ``sacct`` knows, where a site keeps accounts; else the files of a job have to tell.
"""

from __future__ import annotations

import math
import re
import shlex
from functools import lru_cache
from typing import TYPE_CHECKING

from heliostat.batch import BEGINS, JobState, Observation, Standing
from heliostat.batches.shared import LOG
from heliostat.errors import OperatorError
from heliostat.task import AttemptState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heliostat.batches.dialect import Wanted
    from heliostat.transport import Ran

_MINE = '"$(id -un)"'

#: What it says of a request that is wrong: the same will be refused again. Of all else a later try may fare better.
_REFUSED = re.compile(
    r"[Ii]nvalid (?!job id)|[Uu]nrecognized|[Uu]nknown |Requested \S+ (?:configuration|time|partition)|"
    r"not available|[Aa]ccess/permission denied|More processors requested than permitted|"
    r"Memory (?:required|specification)|node count specification|[Ii]llegal|Line contains DOS|"
    r"does not (?:exist|specify)|[Uu]nable to open file|[Uu]ser's group not permitted"
)
_LATER = re.compile(
    r"unable to contact|timed out|temporarily|try again|QOS|submit ?limit|available now|not responding|credential",
    re.IGNORECASE,
)

_HANDLE = re.compile(r"\d+(?:_\d+)?")
_WAITING = frozenset(
    ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT")
)
_RUNNING = frozenset(
    ("RUNNING", "SUSPENDED", "STOPPED", "COMPLETING", "SIGNALING", "STAGE_OUT", "RESIZING", "POWER_UP_NODE")
)
#: How jobs end otherwise than by themselves: as what an attempt counts, and in which words.
_ENDS: dict[str, tuple[AttemptState, str]] = {
    "TIMEOUT": (AttemptState.timed_out, "its walltime was over, and Slurm ended it"),
    "DEADLINE": (AttemptState.timed_out, "its deadline in Slurm was over"),
    "OUT_OF_MEMORY": (AttemptState.out_of_memory, "out of memory: it took more than it had asked for"),
    "CANCELLED": (AttemptState.killed, "cancelled in Slurm"),
    "PREEMPTED": (AttemptState.lost, "preempted by another job"),
    "REVOKED": (AttemptState.lost, "revoked: another cluster has it"),
    "NODE_FAIL": (AttemptState.lost, "its node failed"),
    "BOOT_FAIL": (AttemptState.lost, "its node could not be started"),
    "LAUNCH_FAILED": (AttemptState.lost, "Slurm could not launch it"),
}


class Slurm:
    """``heliostat.batches.dialect.Dialect`` is the contract."""

    name = "slurm"
    name_length = 64
    index = "$SLURM_ARRAY_TASK_ID"
    about = "sinfo --version && sinfo --noheader --all --summarize --format='%P %a %F'"
    submit = 'sbatch --parsable "$1"'

    def own(self, *, array: bool) -> str:
        return "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}" if array else "$SLURM_JOB_ID"

    def header(self, wanted: Wanted) -> str:
        output = f"{LOG}.%a" if wanted.array else LOG
        own = [f"--job-name={wanted.name}", f"--output={output}", "--open-mode=append", "--no-requeue"]
        lines = [f"--nodes={wanted.nodes}", "--ntasks-per-node=1", f"--cpus-per-task={wanted.cores}"]
        if wanted.memory_bytes is not None:
            lines.append(f"--mem={max(1, math.ceil(wanted.memory_bytes / (1 << 20)))}M")
        lines += [f"--gres=gpu:{wanted.gpus}"] if wanted.gpus else []
        if wanted.walltime is not None:
            lines.append(f"--time={max(1, math.ceil(wanted.walltime / 60))}")
        lines += [f"--partition={wanted.partition}"] if wanted.partition else []
        lines += [f"--account={wanted.account}"] if wanted.account else []
        lines += [f"--array=0-{wanted.array - 1}"] if wanted.array else []
        # of the same option the last counts, and by these a job is found again
        return "\n".join(f"#SBATCH {line}" for line in (*lines, *wanted.directives, *own))

    def submitted(self, text: str) -> str:
        # a site's own sbatch may chat before; the last line is the id, and behind a ; the cluster
        for line in reversed(text.splitlines()):
            if match := re.fullmatch(r"(\d+(?:_\d+)?)(?:;.*)?", line.strip()):
                return match[1]
        raise ValueError(text)

    def member(self, handle: str, index: int) -> str:
        return f"{handle}_{index}"

    def refused(self, complaint: str) -> bool:
        return _REFUSED.search(complaint) is not None and _LATER.search(complaint) is None

    def find(self, names: Sequence[str]) -> str:
        return f"squeue --noheader --array --states=all --user={_MINE} --format='%F|%j'"

    def standing(self, text: str) -> Standing:
        version, *lines = text.splitlines() or [""]
        partitions = {}
        for name, state, nodes in (line.split() for line in lines if len(line.split()) == 3):
            _, idle, _, of = [*nodes.split("/"), "", "", ""][:4]
            default = " (default)" if name.endswith("*") else ""
            partitions[name.removesuffix("*")] = f"{default}: {state}, {idle} of {of} nodes idle"
        return Standing(version.strip(), partitions)

    def found(self, text: str) -> Mapping[str, str]:
        jobs = (line.strip().partition("|") for line in text.splitlines())
        return {name: handle for handle, _, name in jobs if handle.isdigit()}

    def look(self, handles: Sequence[str]) -> str:
        utc = "TZ=UTC0 SLURM_TIME_FORMAT=standard"  # times are of the caller's zone, and tell none
        return f"{utc} squeue --noheader --array --states=all --user={_MINE} --format='%i|%T|%r|%S'"

    def past(self, handles: Sequence[str]) -> str:
        jobs = sorted({handle.partition("_")[0] for handle in handles})
        return f"sacct -nXP --format=JobID,State,Reason,ExitCode --jobs={shlex.quote(','.join(jobs))} 2>/dev/null || :"

    def seen(self, ran: Ran) -> Mapping[str, Observation]:
        if ran.exit_code:
            raise OperatorError(f"squeue failed: {ran.said or f'exit code {ran.exit_code}'}")
        seen = {}
        for line in ran.stdout.decode(errors="replace").splitlines():
            handle, *told = line.strip().split("|", 3)
            if len(told) == 3 and _HANDLE.fullmatch(handle):
                seen[handle] = _observation(*told)
        return seen

    def why(self, output: str) -> Observation | None:
        if re.search(r"slurmstepd.*(?:oom.kill|[Ee]xceeded (?:job|step) memory limit|exceeded memory limit)", output):
            how, words = _ENDS["OUT_OF_MEMORY"]
            return Observation(JobState.ended, None, words, how)
        return None

    def cancel(self, handles: Sequence[str], *, kill: bool) -> str:
        jobs = shlex.join(handles)
        return f"scancel --signal=KILL --full {jobs}; scancel {jobs}" if kill else f"scancel {jobs}"


@lru_cache(maxsize=1000)  # a thousand jobs that wait do so for few reasons
def _observation(state: str, reason: str, last: str) -> Observation:
    """``last`` is the time at which it should begin, from squeue, or its exit code, from sacct."""
    word, _, more = state.partition(" ")  # sacct says by whom: CANCELLED by 1000
    word = word.rstrip("+")
    if word in _WAITING:
        begins = f"{BEGINS}{last.replace('T', ' ')} UTC" if re.match(r"\d{4}-", last) else ""
        waits = ("" if reason == "None" else reason, begins)
        return Observation(JobState.submitted, reason=", ".join(filter(None, waits)) or None)
    if word in _RUNNING:
        return Observation(JobState.running, reason="suspended" if word in ("SUSPENDED", "STOPPED") else None)
    if word in _ENDS:
        how, words = _ENDS[word]
        final = JobState.lost if how is AttemptState.lost else JobState.ended
        return Observation(final, reason=f"{words} {more}".strip(), how=how)
    if word in ("COMPLETED", "FAILED"):
        code = re.fullmatch(r"(\d+):(\d+)", last)
        return Observation(JobState.ended, (int(code[1]) or (int(code[2]) and 128 + int(code[2]))) if code else None)
    return Observation(JobState.unknown, reason=f"squeue says {state!r}, which means nothing here")
