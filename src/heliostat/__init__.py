"""Heliostat: a durable, message-driven workflow engine for science facilities."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliostat import testing as testing  # loaded when it is asked for; no name of ``import *``
    from heliostat.artifact import Artifact
    from heliostat.compose import open
    from heliostat.context import Context
    from heliostat.errors import HeliostatError, RunFailed, TaskError
    from heliostat.graph import Retry
    from heliostat.outcome import Decision, Ended, Fail, Failure, Skip, Snooze
    from heliostat.resources import Resources
    from heliostat.secret import Secret
    from heliostat.trigger import Cron, Every, Tick
    from heliostat.workflow import Workflow

__all__ = [
    "Artifact",
    "Context",
    "Cron",
    "Decision",
    "Ended",
    "Every",
    "Fail",
    "Failure",
    "HeliostatError",
    "Resources",
    "Retry",
    "RunFailed",
    "Secret",
    "Skip",
    "Snooze",
    "TaskError",
    "Tick",
    "Workflow",
    "open",
]

# Where each name lives. It is imported when it is first asked for, so that the command line starts without the
# validation of data, and a program without the families, until they are needed.
_HOMES = {
    "Artifact": "artifact",
    "Context": "context",
    "Cron": "trigger",
    "Decision": "outcome",
    "Ended": "outcome",
    "Every": "trigger",
    "Fail": "outcome",
    "Failure": "outcome",
    "HeliostatError": "errors",
    "Resources": "resources",
    "Retry": "graph",
    "RunFailed": "errors",
    "Secret": "secret",
    "Skip": "outcome",
    "Snooze": "outcome",
    "TaskError": "errors",
    "Tick": "trigger",
    "Workflow": "workflow",
    "open": "compose",
}


def __getattr__(name: str) -> object:
    if name == "testing":
        return import_module("heliostat.testing")
    if name not in _HOMES:
        raise AttributeError(f"module 'heliostat' has no attribute {name!r}")
    value: object = getattr(import_module(f"heliostat.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
