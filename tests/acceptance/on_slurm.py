"""An engine with a cluster that is killed at every point between deciding to submit and recording the result.

    python -m tests.acceptance.on_slurm FOLDER FIRST STEP

A first run tells which points there are: calls and returns of the functions that take part, from where a job is
prepared. For every so many of them an engine runs the workflow and is killed there, and another one goes on with it.
Printed is a line for each point: its name, what came of the run, and the directory of its job.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import heliostat
from heliostat import Workflow

flow = Workflow("doubling")


@flow.node
def before(message: int) -> int:
    """Give what the job doubles."""
    return message


double = flow.job("double", "echo run >> runs; expr {before} '*' 2 > {output}", queue="cluster")


@flow.node
def after(double: int) -> int:
    """Use what the job gave."""
    return double + 2


PARTS = (
    "batches/cluster.py",
    "batches/script.py",
    "batches/shared.py",
    "batches/submission.py",
    "batches/verdict.py",
    "heliostat/look.py",
    "heliostat/watch.py",
    "transports/local.py",
)
OF_THE_WORKER = frozenset({"_ended", "_looked", "_settle", "_take"})
ARMED_BY = "Jobs.prepare"
AT_ONCE = 8
CONFIGURATION = 'queues.cluster = { executor = "slurm" }\n'


class Points:
    """The points that a process passes; at one of them it kills itself."""

    def __init__(self, fatal: str | None) -> None:
        self.fatal, self.armed, self.passed = fatal, False, dict[str, None]()

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """See a call or a return."""
        code = frame.f_code
        if event not in ("call", "return"):
            return
        self.armed = self.armed or (code.co_qualname == ARMED_BY and code.co_filename.endswith("watch.py"))
        ours = code.co_filename.endswith(PARTS)
        worker = code.co_name in OF_THE_WORKER and code.co_filename.endswith("heliostat/worker.py")
        if not self.armed or not (ours or worker):
            return
        point = f"{event} {code.co_qualname}"
        if point == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed[point] = None


def work(folder: Path, points: Points | None) -> str:
    """Go on with the run of a folder, or begin it, to its end; answers what came of it."""
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    Path("heliostat.toml").write_text(CONFIGURATION)
    with heliostat.open("sqlite:///x.db", files=folder / "files") as engine:
        engine.add(flow)
        run = engine.start(flow, 20, idempotency_key="once")
        if points is not None:
            threading.setprofile(points)
            sys.setprofile(points)
        engine.work(until=run)
        sys.setprofile(None)
        threading.setprofile(None)
        return f"{run.state} {run.result() if run.state == 'succeeded' else run.info.reason}"


def begin(folder: Path, fatal: str | None, said: Path | None = None) -> int:
    """Work in a process of its own."""
    if pid := os.fork():
        return pid
    try:
        came = work(folder, Points(fatal) if fatal else None)
        if said is not None:
            said.write_text(came)
    finally:
        os._exit(0)


def met(folder: Path) -> list[str]:
    """The points that there are."""
    reader, writer = os.pipe()
    if pid := os.fork():
        os.close(writer)
        with os.fdopen(reader) as told:
            found = told.read().splitlines()
        os.waitpid(pid, 0)
        return found
    points = Points(None)
    work(folder, points)
    with os.fdopen(writer, "w") as telling:
        telling.write("\n".join(points.passed))
    os._exit(0)


def main(root: Path, first: int, step: int) -> None:
    """Kill at every so many points, from the first one on."""
    points = met(root / "first")
    chosen = list(enumerate(points))[first::step]
    for start in range(0, len(chosen), AT_ONCE):
        some = chosen[start : start + AT_ONCE]
        killed = [begin(root / str(number), point) for number, point in some]
        ends = [os.waitpid(pid, 0)[1] for pid in killed]
        heirs = [begin(root / str(number), None, root / f"{number}.said") for number, _ in some]
        for pid in heirs:
            os.waitpid(pid, 0)
        for (number, point), end in zip(some, ends, strict=True):
            said = root / f"{number}.said"
            came = said.read_text() if said.exists() else "nothing came"
            how = "killed" if os.WIFSIGNALED(end) else "passed"
            sys.stdout.write(f"{number}\t{point}\t{how}\t{came}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
