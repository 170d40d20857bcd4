"""Heliostat: a durable, message-driven workflow engine for science facilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliostat.artifact import Artifact
from heliostat.context import Context
from heliostat.errors import HeliostatError, RunFailed, TaskError
from heliostat.graph import Resources, Retry
from heliostat.outcome import Decision, Ended, Fail, Failure, Skip, Snooze
from heliostat.workflow import Workflow

if TYPE_CHECKING:
    from heliostat.compose import open

__all__ = [
    "Artifact",
    "Context",
    "Decision",
    "Ended",
    "Fail",
    "Failure",
    "HeliostatError",
    "Resources",
    "Retry",
    "RunFailed",
    "Skip",
    "Snooze",
    "TaskError",
    "Workflow",
    "open",
]


def __getattr__(name: str) -> object:
    if name == "open":  # compose knows the families, which nobody needs before the first engine
        from heliostat.compose import open as opened

        return opened
    raise AttributeError(f"module 'heliostat' has no attribute {name!r}")
