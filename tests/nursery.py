"""Where worker processes come from: a process that has imported what they need, so that one more costs little."""

from __future__ import annotations

import multiprocessing
import os
import sys
from functools import lru_cache
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running

# Of all who start workers, since a process has one nursery, which knows what it was first asked for.
NEEDED = (
    "tests.acceptance.worker",
    "tests.acceptance.crashes",
    "tests.acceptance.fires",
    "tests.acceptance.messages",
    "tests.celery_worker",
    "torture.worker",
    "torture.celery_worker",
    "torture.__main__",
    "examples.julia",
    "examples.quicksort",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.concurrency.thread",
    "celery.worker.consumer",
    "kombu.transport.pyamqp",
    "heliostat.batches.local",
    "heliostat.brokers.celery",
    "heliostat.executors.thread",
    "heliostat.loops.promote",
    "heliostat.loops.rescue",
    "heliostat.loops.sweep",
    "heliostat.repositories.directory",
    "heliostat.stores.postgres",
    "heliostat.stores.sqlite",
)


@lru_cache(maxsize=1)
def nursery() -> ForkServerContext:
    """The context in which such processes are started."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(NEEDED))
    path, before = os.pathsep.join(sys.path), os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = path
    try:
        ensure_running()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return context
