"""Local processes as a batch system: a job outlives the worker that submitted it, and any worker adopts it.

The files in a job's directory are all that is known of it, and people may read them:

- ``job.command``: what to run; ``job.sh``: the wrapper that runs it, in a session of its own
- ``job.claim``: linked by the wrapper, which succeeds once or not at all: process, begin, machine, time-out
- ``job.stop``: made before TERM is sent: why, when, and the grace until KILL
- ``job.container``: runs the command in a container, where it has one
- ``stdout``, ``stderr``, and at the end ``job.exit_code``

Submitting may be repeated after a crash at any instruction because a wrapper is not yet a job: of all
wrappers that are ever started in a directory, only the one that links its claim runs the command. To cancel a
job that has not begun is to link a claim without a process before any wrapper does.

Jobs inherit the worker's environment without its secrets, and of ``resources`` only the walltime binds, as a time-out.
Directories have to be on a file system with hard links, and each job is watched from the machine (and process
namespace) where it runs.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from heliostat.batch import EXIT_CODE, Accepted, Collected, Deferred, JobState, Observation, Rejected
from heliostat.batches import container, machine
from heliostat.batches.results import collected
from heliostat.batches.shared import (
    BEGUN,
    CLAIM,
    COMMAND,
    CONTAINER,
    ENVIRONMENT,
    GUARD,
    STOP,
    fields,
    read,
    shell,
)
from heliostat.errors import BadInput
from heliostat.files import make
from heliostat.secret import public
from heliostat.task import AttemptState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliostat.batch import JobRequest, Reply
    from heliostat.job import JobSpec

JOB = "job.sh"  #: in a job's directory, the wrapper
POLL_SECONDS = (0.02, 0.5)  #: between looks at jobs: soon after a submission, then rarer
MARK = "HELIOSTAT_JOB"  #: in the environment of a job's processes: its directory, by which they are known
_OWN = frozenset({JOB, COMMAND, CLAIM, STOP, EXIT_CODE, f"{EXIT_CODE}.tmp", CONTAINER, BEGUN, GUARD, ENVIRONMENT})


class LocalBatch:
    """Jobs as processes of this machine; ``heliostat.batch.Batch`` is the contract.

    ``grace`` is the time in seconds between TERM and KILL for a job that has timed out.
    """

    system = "local"
    pauses = POLL_SECONDS
    tells = False

    def __init__(self, *, grace: float = 10.0) -> None:
        self.grace = grace
        self._children: set[int] = set()  # wrappers that this process started and has to reap
        self._claims: dict[Path, _Claim] = {}  # who runs what was submitted here, should its directory go away

    @property
    def place(self) -> str:
        """This machine."""
        return machine.host()

    def gathering(self, queue: str) -> float:
        return 0.0

    def submit(self, requests: Sequence[JobRequest]) -> list[Reply]:
        """Start a wrapper each, and wait the few milliseconds until it has its claim or finds another's."""
        self._reap()
        return [self._submit(request) for request in requests]

    def _submit(self, request: JobRequest) -> Reply:
        directory = Path(request.directory).absolute()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if claim := _claim(directory):
                return self._remember(directory, claim)
            for name, text in _files(request, directory).items():
                make(directory / name, text, mode=0o600 if name == ENVIRONMENT else 0o666)
            complaint = self._start(directory, request)
            if claim := _claim(directory):
                return self._remember(directory, claim)
        except BadInput as error:
            return Rejected(str(error))
        except OSError as error:
            return Deferred(f"job {request.key}: cannot start in {directory}: {error}")
        return Deferred(f"job {request.key}: cannot start in {directory}: {complaint or 'it was killed'}")

    def _remember(self, directory: Path, claim: _Claim) -> Accepted:
        self._claims[directory] = claim
        return Accepted(claim.handle)

    def observe(self, directories: Sequence[Path]) -> list[Observation]:
        """Read the files and the process table; no process is started for it."""
        self._reap()
        return [self._look(directory.absolute()) for directory in directories]

    def told(self) -> dict[Path, Observation]:
        """No job tells: a look at these few is cheap."""
        return {}

    def cancel(self, directories: Sequence[Path], grace: float) -> None:
        """Send TERM and note it in ``job.stop``; whoever looks when the grace is over sends KILL."""
        self._reap()
        for directory in map(Path.absolute, directories):
            if directory.is_dir():
                with suppress(OSError):  # it went away just now, or takes no file: the next call tries again
                    _cancel(directory, grace)
            elif (claim := self._claims.get(directory)) and claim.running:
                _signal(claim, signal.SIGKILL)  # nothing that it could still write would be found

    def collect(self, directory: Path, spec: JobSpec) -> Collected:
        """Find what the job left in its directory."""
        directory = directory.absolute()
        left = collected(directory, spec, self._look(directory), _OWN)
        self._claims.pop(directory, None)
        return left

    def _start(self, directory: Path, request: JobRequest) -> str:
        """Start a wrapper; answers, when it has the claim or is gone, with what it complained of."""
        walltime = None if request.resources is None else request.resources.walltime_seconds
        timeout = min((float(each) for each in (request.timeout, walltime) if each is not None), default="")
        given = request.env if request.container is None else {}  # it finds them in a file
        wrapper = subprocess.Popen(
            ["/bin/sh", f"./{JOB}", machine.boot(), machine.host(), str(timeout)],
            cwd=directory,
            env={**public(os.environ), **given, MARK: str(directory.resolve())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # no signal for this process or its terminal reaches the job
        )
        self._children.add(wrapper.pid)
        wrapper.returncode = 0  # reaped below; a Popen that is let go would warn of a running child
        assert wrapper.stdout is not None
        with wrapper.stdout as said:
            return said.read().decode(errors="replace").strip()

    def _reap(self) -> None:
        """Take the exit status of wrappers that have ended, so that none stays a zombie."""
        for child in tuple(self._children):
            try:
                ended, _ = os.waitpid(child, os.WNOHANG)
            except ChildProcessError:  # of the process this one was forked from, or reaped by another thread
                ended = child
            if ended:
                self._children.discard(child)

    def _look(self, directory: Path) -> Observation:
        try:
            if (claim := self._claims.get(directory)) and not directory.exists():
                return _bereft(directory, claim)
            seen = self._seen(directory)
        except OSError as error:
            return Observation(JobState.unknown, reason=f"{directory} cannot be read: {error.strerror}")
        if seen.state.final:
            self._claims.pop(directory, None)
        return seen

    def _seen(self, directory: Path) -> Observation:
        if (code := _exit_code(directory)) is not None:
            return _ended(directory, code)
        claim = _claim(directory)
        if claim is None and (directory / JOB).exists():
            return Observation(JobState.submitted, reason="it has not begun; if it stays so, submit it again")
        if claim is None:
            return Observation(JobState.unknown, reason=f"there is no job in {directory}")
        if claim.running:
            self._keep_time(directory, claim)
            return Observation(JobState.running)
        if claim.elsewhere:
            return _unseen(claim)
        if (code := _exit_code(directory)) is not None:  # it ended while it was looked for
            return _ended(directory, code)
        return _gone(directory, claim)

    def _keep_time(self, directory: Path, claim: _Claim) -> None:
        """Go on with what was begun to stop the job, or begin it if its time is over."""
        if stop := _stop(directory):
            _press(directory, claim, stop.reason, stop.grace)
        elif claim.overdue:
            _press(directory, claim, f"{_TIMED_OUT} after {claim.timeout:g} s", self.grace)


_TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True)
class _Claim:
    """Who runs the job; ``pid`` is 0 if nobody ever will, and -1 if the claim cannot be read."""

    pid: int
    host: str = ""
    boot: str = ""
    start: str = ""
    now: float = 0.0
    timeout: float | None = None

    @property
    def handle(self) -> str:
        return f"{self.pid}@{self.host}"

    @property
    def running(self) -> bool:
        return self.pid > 0 and self.boot == machine.boot() and self.start == machine.started(self.pid)

    @property
    def elsewhere(self) -> bool:
        return self.pid > 0 and self.boot != machine.boot() and self.host != machine.host()

    @property
    def overdue(self) -> bool:
        return self.timeout is not None and machine.now() >= self.now + self.timeout


@dataclass(frozen=True, slots=True)
class _Stop:
    """Why and when (``since``, on the clock of ``_now``) the job was asked to stop."""

    reason: str
    since: float
    grace: float

    @property
    def how(self) -> AttemptState:
        return AttemptState.timed_out if self.reason.startswith(_TIMED_OUT) else AttemptState.failed


# --- what is seen


def _ended(directory: Path, code: int) -> Observation:
    stop = _stop(directory)
    if stop is None:
        return Observation(JobState.ended, code)
    return Observation(JobState.ended, code, stop.reason, how=stop.how)


def _bereft(directory: Path, claim: _Claim) -> Observation:
    """A job whose directory is gone, as far as can be told from who ran it."""
    if claim.elsewhere:
        return _unseen(claim)
    if not claim.running:
        _end_strays(directory, claim)
        return _lost(f"its directory {directory} was removed while it ran")
    if claim.overdue:
        _signal(claim, signal.SIGKILL)
    return Observation(JobState.running)


def _unseen(claim: _Claim) -> Observation:
    return Observation(JobState.unknown, reason=f"only a process on {claim.host} can see it")


def _gone(directory: Path, claim: _Claim) -> Observation:
    """A job without process and exit code: it was killed, by us or by others."""
    _end_strays(directory, claim)
    if stop := _stop(directory):
        return Observation(JobState.ended, None, stop.reason, how=stop.how)
    if claim.pid == 0:
        return Observation(JobState.ended, None, "cancelled before it began")
    if claim.pid < 0:
        reason = f"its {CLAIM} cannot be read, as after a power cut"
    elif claim.boot != machine.boot():
        reason = "the machine was restarted while it ran"
    else:
        reason = f"its process {claim.pid} is gone without an exit code: killed by somebody, or out of memory"
    return _lost(reason)


def _lost(reason: str) -> Observation:
    return Observation(JobState.lost, reason=reason, how=AttemptState.lost)


# --- stopping


def _cancel(directory: Path, grace: float) -> None:
    if _exit_code(directory) is not None:
        return
    claim = _claim(directory)
    if claim is None and not _link(directory / CLAIM, {"pid": 0, "host": machine.host(), "boot": machine.boot()}):
        claim = _claim(directory)  # a wrapper was faster
    if claim and claim.running:
        _press(directory, claim, "cancelled", grace)


def _press(directory: Path, claim: _Claim, reason: str, grace: float) -> None:
    """One step in stopping a running job: TERM by whoever notes it first, KILL once the grace is over."""
    if _link(directory / STOP, {"reason": reason, "since": machine.now(), "grace": grace}):
        _signal(claim, signal.SIGTERM)
    stop = _stop(directory)
    if stop is None or machine.now() >= stop.since + min(grace, stop.grace):
        _signal(claim, signal.SIGKILL)


def _signal(claim: _Claim, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # gone, or all that is left is not ours to signal
        os.killpg(claim.pid, number)


def _end_strays(directory: Path, claim: _Claim) -> None:
    """Kill what outlived its wrapper, so that another attempt never meets it.

    The wrapper's number may be another group's by now, so one of its processes has to carry the job's mark.
    """
    mark = os.fsencode(f"{MARK}={directory.resolve()}")
    for process in Path("/proc").glob("[0-9]*") if claim.pid > 0 else ():
        with suppress(OSError):  # gone, or not ours
            of_group = os.getpgid(int(process.name)) == claim.pid
            if of_group and mark in (process / "environ").read_bytes().split(b"\0"):
                _signal(claim, signal.SIGKILL)
                return


# --- files


def _claim(directory: Path) -> _Claim | None:
    if (text := read(directory / CLAIM)) is None:
        return None
    told = fields(text)
    try:
        timeout = float(told["timeout"]) if told.get("timeout") else None
        start, now = " ".join(told.get("start", "").split()), float(told.get("now", 0))
        return _Claim(int(told["pid"]), told["host"], told["boot"], start, now, timeout)
    except (KeyError, ValueError):
        return _Claim(-1)


def _stop(directory: Path) -> _Stop | None:
    told = fields(read(directory / STOP) or "")
    with suppress(KeyError, ValueError):  # none, or damaged by a power cut, which stopped the job as well
        return _Stop(told["reason"], float(told["since"]), float(told["grace"]))
    return None


def _exit_code(directory: Path) -> int | None:
    with suppress(ValueError):  # empty after a power cut: the same as none
        return int(read(directory / EXIT_CODE) or "")
    return None


@cache
def wrapper() -> str:
    """The script ``job.sh`` beside this module, which goes to the directory of every job."""
    return files("heliostat.batches").joinpath(JOB).read_text("utf-8")


def _link(path: Path, told: dict[str, object]) -> bool:
    """Make a file with all its content, or answer False because it is there already."""
    mine = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        mine.write_text("".join(f"{key} {value}\n" for key, value in told.items()))
        os.link(mine, path)
    except FileExistsError:
        return False
    finally:
        mine.unlink(missing_ok=True)
    return True


def _files(request: JobRequest, directory: Path) -> dict[str, str]:
    """What a job's wrapper needs, by name."""
    boxed = {} if request.container is None else container.written(request, str(directory))
    return {**boxed, COMMAND: shell(request.command), JOB: wrapper()}
