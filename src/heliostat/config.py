"""Configuration: where the database and the files are. ``heliostat.toml``, over which the environment wins."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from heliostat.errors import BadInput, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "heliostat.toml"
SETTINGS = ("database", "artifacts", "apps", "broker", "executor", "site", "sites")
DEFAULT_DATABASE = "sqlite:///heliostat.db"

#: What is one string: the setting, the variable that wins over it, and what holds where neither is given.
ADDRESSES = {
    "database": ("database", "HELIOSTAT_DATABASE", DEFAULT_DATABASE),
    "files": ("artifacts", "HELIOSTAT_FILES", ".heliostat"),
    "broker": ("broker", "HELIOSTAT_BROKER", ""),
    "site": ("site", "HELIOSTAT_SITE", ""),
    "executor": ("executor", "HELIOSTAT_EXECUTOR", "thread"),
}
EXECUTORS = ("thread", "process")


@dataclass(frozen=True, slots=True)
class Config:
    """What an engine is opened with.

    ``files`` is where artifacts, logs and attempts live, ``broker`` the address of what wakes Celery's workers.
    ``executor`` is what runs functions in a worker: its threads, or processes of their own.
    ``site`` is where this process runs, ``sites`` the queues that workers take from at each of those there are.
    ``whence`` says of each of these by name where it comes from: a file, a variable, or the default.
    """

    database: str = DEFAULT_DATABASE
    files: Path = field(default_factory=lambda: Path(".heliostat"))
    apps: tuple[str, ...] = ()
    broker: str = ""
    executor: str = "thread"
    site: str = ""
    sites: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    whence: Mapping[str, str] = field(default_factory=dict)

    def at(self, site: str) -> Config:
        """The same of a process that runs at a site; raises BadInput for one that is not among those there are."""
        if self.sites and site and site not in self.sites:
            raise BadInput(f"there is no site {site!r} in {FILE}{nearest(site, self.sites)}")
        return replace(self, site=site)

    def by(self, executor: str) -> Config:
        """The same with functions run by an executor; raises BadInput for one that there is not."""
        if executor not in EXECUTORS:
            raise BadInput(f"executor: {executor!r} is none; write {' or '.join(EXECUTORS)}")
        return replace(self, executor=executor)

    @property
    def queues(self) -> tuple[str, ...] | None:
        """The queues that workers take from here; None where nobody has said so, and they take from all."""
        return self.sites.get(self.site) or None


def read(directory: Path | None = None) -> Config:
    """The configuration of a directory (default: the current one); raises BadInput for what it cannot mean."""
    file = (directory or Path()) / FILE
    data: dict[str, object] = {}
    if file.exists():
        try:
            data = tomllib.loads(file.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadInput(f'{file}: {error}; a line is name = "value"') from None
    for key in data:
        if key not in SETTINGS:
            raise BadInput(f"{file}: there is no setting {key!r}{nearest(key, SETTINGS)}")
    found: dict[str, object] = {}
    whence = {}
    for name, (setting, variable, default) in ADDRESSES.items():
        given = os.environ.get(variable)
        found[name] = given or data.get(setting) or default
        whence[name] = variable if given else FILE if setting in data else "default"
    database, files, broker, site, executor = (found[name] for name in ADDRESSES)
    apps = data.get("apps", [])
    if not (
        isinstance(database, str)
        and isinstance(files, str)
        and isinstance(broker, str)
        and isinstance(site, str)
        and isinstance(executor, str)
    ):
        raise BadInput(f"{file}: database, artifacts, broker, site and executor are strings")
    if not _strings(apps):
        raise BadInput(f"{file}: apps is a list of strings")
    whence["apps"] = FILE if "apps" in data else "default"
    sites = _sites(data.get("sites", {}), file)
    settings = Config(database, Path(files), tuple(apps), broker, sites=sites, whence=whence)
    return settings.at(site).by(executor)


def _sites(given: object, file: Path) -> dict[str, tuple[str, ...]]:
    """The queues of each site."""
    if not isinstance(given, dict) or not all(isinstance(each, dict) for each in given.values()):
        raise BadInput(f'{file}: sites are tables, such as sites.JAO = {{ queues = ["default"] }}')
    for name, each in given.items():
        for key in each:
            if key != "queues":
                raise BadInput(f"{file}: sites.{name} has no setting {key!r}; there is queues")
        if not _strings(each.get("queues", [])):
            raise BadInput(f"{file}: sites.{name}.queues is a list of strings")
    return {name: tuple(each.get("queues", ())) for name, each in given.items()}


def _strings(given: object) -> TypeGuard[list[str]]:
    return isinstance(given, list) and all(isinstance(each, str) for each in given)


def masked(url: str) -> str:
    """An address without its password."""
    url = re.sub(r"(://[^/@:]*):.*@", r"\1:***@", url)  # to the last @, should the password hold a / by mistake
    return re.sub(r"(?i)([?&]password=)[^&]*", r"\1***", url)
