"""Configuration: where the database and the files are. ``heliostat.toml``, over which the environment wins."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from heliostat.errors import BadInput, nearest

FILE = "heliostat.toml"
SETTINGS = ("database", "artifacts", "apps", "broker")
DEFAULT_DATABASE = "sqlite:///heliostat.db"


@dataclass(frozen=True, slots=True)
class Config:
    """What an engine is opened with.

    ``files`` is where artifacts, logs and attempts live, ``broker`` the address of what wakes Celery's workers.
    """

    database: str = DEFAULT_DATABASE
    files: Path = field(default_factory=lambda: Path(".heliostat"))
    apps: tuple[str, ...] = ()
    broker: str = ""


def read(directory: Path | None = None) -> Config:
    """The configuration of a directory (default: the current one); raises BadInput for what it cannot mean."""
    file = (directory or Path()) / FILE
    data: dict[str, object] = {}
    if file.exists():
        try:
            data = tomllib.loads(file.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadInput(f"{file}: {error}") from None
    for key in data:
        if key not in SETTINGS:
            raise BadInput(f"{file}: there is no setting {key!r}{nearest(key, SETTINGS)}")
    database = os.environ.get("HELIOSTAT_DATABASE") or data.get("database") or DEFAULT_DATABASE
    files = os.environ.get("HELIOSTAT_FILES") or data.get("artifacts") or ".heliostat"
    broker = os.environ.get("HELIOSTAT_BROKER") or data.get("broker") or ""
    apps = data.get("apps", [])
    if not isinstance(database, str) or not isinstance(files, str) or not isinstance(broker, str):
        raise BadInput(f"{file}: database, artifacts and broker are strings")
    if not isinstance(apps, list) or not all(isinstance(app, str) for app in apps):
        raise BadInput(f"{file}: apps is a list of strings")
    return Config(database, Path(files), tuple(apps), broker)
