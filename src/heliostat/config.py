"""Configuration: where the database and the files are. ``heliostat.toml``, over which the environment wins."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from heliostat.errors import BadInput, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "heliostat.toml"
SETTINGS = ("database", "artifacts", "apps", "broker")
DEFAULT_DATABASE = "sqlite:///heliostat.db"

#: What is an address or a path: the setting, the variable that wins over it, and what holds where neither is given.
ADDRESSES = {
    "database": ("database", "HELIOSTAT_DATABASE", DEFAULT_DATABASE),
    "files": ("artifacts", "HELIOSTAT_FILES", ".heliostat"),
    "broker": ("broker", "HELIOSTAT_BROKER", ""),
}


@dataclass(frozen=True, slots=True)
class Config:
    """What an engine is opened with.

    ``files`` is where artifacts, logs and attempts live, ``broker`` the address of what wakes Celery's workers.
    ``whence`` says of each of these by name where it comes from: a file, a variable, or the default.
    """

    database: str = DEFAULT_DATABASE
    files: Path = field(default_factory=lambda: Path(".heliostat"))
    apps: tuple[str, ...] = ()
    broker: str = ""
    whence: Mapping[str, str] = field(default_factory=dict)


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
    found: dict[str, object] = {}
    whence = {}
    for name, (setting, variable, default) in ADDRESSES.items():
        given = os.environ.get(variable)
        found[name] = given or data.get(setting) or default
        whence[name] = variable if given else FILE if setting in data else "default"
    database, files, broker = found["database"], found["files"], found["broker"]
    apps = data.get("apps", [])
    if not isinstance(database, str) or not isinstance(files, str) or not isinstance(broker, str):
        raise BadInput(f"{file}: database, artifacts and broker are strings")
    if not isinstance(apps, list) or not all(isinstance(app, str) for app in apps):
        raise BadInput(f"{file}: apps is a list of strings")
    whence["apps"] = FILE if "apps" in data else "default"
    return Config(database, Path(files), tuple(apps), broker, whence)


def masked(url: str) -> str:
    """An address without its password."""
    url = re.sub(r"(://[^/@:]*):[^/]*@", r"\1:***@", url)
    return re.sub(r"(?i)([?&]password=)[^&]*", r"\1***", url)
