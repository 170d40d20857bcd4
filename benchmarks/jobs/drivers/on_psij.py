"""PSI/J: a job object each, submitted one after the other; its own thread asks Slurm and calls back."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from psij import Job, JobExecutor, JobSpec, JobState, JobStatus
from psij.executors.batch.slurm import SlurmExecutorConfig

if TYPE_CHECKING:
    from benchmarks.jobs.work import Task


def carry(task: Task) -> dict[int, float]:
    """Submit, and note when it says of each job that it has ended."""
    assert task.form == "single", "PSI/J has no arrays"
    begun: dict[int, float] = {}
    numbers: dict[str, int] = {}
    wrong: list[str] = []
    over = threading.Event()

    def heard(job: Job, status: JobStatus) -> None:
        if not status.final:
            return
        if status.state is not JobState.COMPLETED:
            wrong.append(f"{status.state.name}: {status.message}")
            over.set()
        begun.setdefault(numbers[job.id], time.time())
        if len(begun) == task.count:
            over.set()

    seconds = int(task.ask_seconds)
    config = SlurmExecutorConfig(work_directory=task.place / "psij", queue_polling_interval=seconds)
    executor = JobExecutor.get_instance("slurm", config=config)
    executor.set_job_status_callback(heard)
    for number in range(task.count):
        job = Job(JobSpec(executable="/bin/sh", arguments=[str(task.script), str(number)]))
        numbers[job.id] = number
        executor.submit(job)
    over.wait()
    if wrong:
        raise RuntimeError(f"PSI/J says of a job: {wrong[0]}")
    return begun
