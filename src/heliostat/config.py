"""Configuration: where the database and the files are, and which queues there are.

``heliostat.toml``, over which the environment wins. It is read as a whole, so that all mistakes can be said at once.
"""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any

from heliostat.batch import CONTAINER_TOOLS, BatchQueue
from heliostat.codec import whole
from heliostat.errors import BadInput, nearest
from heliostat.files import opened
from heliostat.graph import NAME
from heliostat.queue import MOST, NO_TERMS, Terms, pace
from heliostat.transport import Address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FILE = "heliostat.toml"
SETTINGS = ("database", "artifacts", "apps", "broker", "executor", "site", "sites", "queues", "secrets", "environments")
DEFAULT_DATABASE = "sqlite:///heliostat.db"
DEFAULT_QUEUE = "default"  #: of nodes that name none; it is always there

#: What is one string: the setting, the variable that wins over it, and what holds where neither is given.
ADDRESSES = {
    "database": ("database", "HELIOSTAT_DATABASE", DEFAULT_DATABASE),
    "files": ("artifacts", "HELIOSTAT_FILES", ".heliostat"),
    "broker": ("broker", "HELIOSTAT_BROKER", ""),
    "site": ("site", "HELIOSTAT_SITE", ""),
    "executor": ("executor", "HELIOSTAT_EXECUTOR", "thread"),
    "secrets": ("secrets", "HELIOSTAT_SECRETS", ""),
    "environments": ("environments", "HELIOSTAT_ENVIRONMENTS", ""),
}
EXECUTORS = ("thread", "process")
BATCH_SYSTEMS = ("local", "slurm", "pbs", "torque")  #: what runs the jobs of a queue, and its functions as jobs
RUNNERS = (*EXECUTORS, *BATCH_SYSTEMS)
OF_A_QUEUE = ("limit", "rate", "executor", "containers")
OF_A_CLUSTER = ("partition", "account", "setup", "directives", "template", "array", "host", "directory", "python")
HELD = ("run", "header")  #: placeholders without which a template is none
MOST_ARRAY = 10_000
MOST_TEMPLATE = 1 << 20  #: bytes of a site's own script
_THERE = re.compile(r"(/[A-Za-z0-9_.,+@-]+)+")


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """What is configured of a queue: on what terms its tasks run, and what runs their functions.

    ``executor`` is empty where the worker decides; ``batch`` is there where the queue's tasks are jobs. ``containers``
    is what runs their images, a program and its options; empty where any will do.
    """

    terms: Terms = NO_TERMS
    executor: str = ""
    batch: BatchQueue | None = None
    containers: tuple[str, ...] = ()

    @property
    def runs(self) -> str:
        """What runs its tasks, as it is written; empty where the worker decides."""
        return self.executor if self.batch is None else self.batch.system


@dataclass(frozen=True, slots=True)
class Config:
    """What an engine is opened with.

    ``files`` is where artifacts, logs and attempts live, ``broker`` the address of what wakes Celery's workers.
    ``executor`` is what runs functions in a worker: its threads, or processes of their own.
    ``site`` is where this process runs, ``sites`` the queues that workers take from at each of those there are.
    ``queues`` are the queues that there are; where none is configured, every queue runs here.
    ``secrets`` is the directory with a file for each secret, where there is one.
    ``environments`` is the directory in which a machine has what nodes require.
    ``whence`` says of each of these by name where it comes from: a file, a variable, or the default.
    """

    database: str = DEFAULT_DATABASE
    files: Path = field(default_factory=lambda: Path(".heliostat"))
    apps: tuple[str, ...] = ()
    broker: str = ""
    executor: str = "thread"
    site: str = ""
    sites: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    queues: Mapping[str, QueueConfig] = field(default_factory=dict)
    secrets: Path | None = None
    environments: Path = field(default_factory=lambda: cache() / "environments")
    whence: Mapping[str, str] = field(default_factory=dict)

    def at(self, site: str) -> Config:
        """The same of a process that runs at a site; raises BadInput for one that is not among those there are."""
        if self.sites and site and site not in self.sites:
            raise BadInput(f"there is no site {site!r} in {FILE}{nearest(site, self.sites)}")
        return replace(self, site=site)

    def by(self, executor: str) -> Config:
        """The same with functions run by an executor; raises BadInput for one that there is not."""
        return replace(self, executor=_executor(executor, "executor"))

    @property
    def takes(self) -> tuple[str, ...] | None:
        """The queues that workers take from here; None where nobody has said so, and they take from all."""
        return self.sites.get(self.site) or None

    @property
    def batched(self) -> dict[str, BatchQueue]:
        """The queues whose functions run as jobs, as every job does there, and what is configured of them."""
        return {name: queue.batch for name, queue in self.queues.items() if queue.batch is not None}

    @property
    def containers(self) -> dict[str, tuple[str, ...]]:
        """What runs the images of jobs, by the queues of which that is configured."""
        return {name: queue.containers for name, queue in self.queues.items() if queue.containers}

    @property
    def known(self) -> frozenset[str] | None:
        """The queues that nodes may name; None where none is configured, and they may name any."""
        return frozenset(self.queues) | {DEFAULT_QUEUE} if self.queues else None


def cache() -> Path:
    """Where this user's programs keep what they can make again."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(os.environ.get("HOME") or "/var/tmp")  # noqa: S108 - for services without a home
    return (Path(given) if given.startswith("/") else home / ".cache") / "heliostat"


def read(directory: Path | None = None) -> Config:
    """The configuration of a directory (default: the current one); raises BadInput for what it cannot mean."""
    settings, mistakes = examine(directory)
    if not mistakes:
        return settings
    more = f" (and {len(mistakes) - 1} more: heliostat config check)" if len(mistakes) > 1 else ""
    raise BadInput(f"{mistakes[0]}{more}")


def examine(directory: Path | None = None) -> tuple[Config, list[str]]:
    """The same with a sentence for each mistake, as far as it can be read with them."""
    file = (directory or Path()) / FILE
    mistakes: list[str] = []
    given = _Given(_loaded(file, mistakes), file, mistakes)
    for key in given.data:
        if key not in SETTINGS:
            given.wrong(f"there is no setting {key!r}{nearest(key, SETTINGS)}")
    found: dict[str, str] = {}
    whence = {}
    for name, (setting, variable, default) in ADDRESSES.items():
        said = os.environ.get(variable)
        found[name] = said or given.text(setting) or default
        whence[name] = variable if said else FILE if setting in given.data else "default"
    apps = given.texts("apps", given.data.get("apps", []))
    whence |= {name: FILE if name in given.data else "default" for name in ("apps", "sites", "queues")}
    queues = {name: _queue(given, name, each) for name, each in given.tables("queues", "cluster = { limit = 8 }")}
    sites = {name: _site(given, name, each, queues) for name, each in given.tables("sites", "JAO = { queues = [] }")}
    settings = Config(found["database"], Path(found["files"]), apps, found["broker"], sites=sites, queues=queues)
    secrets = Path(found["secrets"]).absolute() if found["secrets"] else None
    environments = Path(found["environments"]).absolute() if found["environments"] else settings.environments
    settings = replace(settings, secrets=secrets, environments=environments, whence=whence)
    with _noting(mistakes):
        settings = settings.at(found["site"])
    with _noting(mistakes):
        settings = settings.by(found["executor"])
    return settings, mistakes


@contextmanager
def _noting(mistakes: list[str]) -> Iterator[None]:
    try:
        yield
    except BadInput as error:
        mistakes.append(str(error))


def _loaded(file: Path, mistakes: list[str]) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        mistakes.append(f"{file} cannot be read: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        mistakes.append(f'{file}: {error}; a line is name = "value"')
    return {}


@dataclass(frozen=True, slots=True)
class _Given:
    """What a file says, read value by value: what means nothing is noted, and passed over."""

    data: dict[str, object]
    file: Path
    mistakes: list[str]

    def wrong(self, sentence: str) -> None:
        self.mistakes.append(f"{self.file}: {sentence}")

    def text(self, setting: str) -> str:
        value = self.data.get(setting, "")
        if not isinstance(value, str):
            self.wrong(f"{setting} is a string, not {shortened(value)}")
            return ""
        return value

    def texts(self, where: str, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self.wrong(f"{where} is a list of strings, not {shortened(value)}")
            return ()
        return tuple(value)

    def tables(self, setting: str, such: str) -> list[tuple[str, dict[str, object]]]:
        """The tables of a table, each by its name."""
        value = self.data.get(setting, {})
        if not isinstance(value, dict):
            self.wrong(f"{setting} are tables, such as {setting}.{such}")
            return []
        for name, each in value.items():
            if not isinstance(each, dict):
                self.wrong(f"{setting} are tables, such as {setting}.{such}; {setting}.{name} is {shortened(each)}")
        return [(name, each) for name, each in value.items() if isinstance(each, dict)]

    def only(self, where: str, table: dict[str, object], known: tuple[str, ...]) -> None:
        """Note the settings that a table cannot have."""
        for key in table:
            if key not in known:
                self.wrong(f"{where} has no setting {key!r}{nearest(key, known)}")


def _site(given: _Given, name: str, table: dict[str, object], known: Mapping[str, QueueConfig]) -> tuple[str, ...]:
    """The queues of a site, which are among those that are configured, where any are."""
    given.only(f"sites.{name}", table, ("queues",))
    queues = given.texts(f"sites.{name}.queues", table.get("queues", []))
    for queue in queues:
        if known and queue not in (*known, DEFAULT_QUEUE):
            given.wrong(f"sites.{name}: there is no queue {queue!r}{nearest(queue, (*known, DEFAULT_QUEUE))}")
    return queues


def _queue(given: _Given, name: str, table: dict[str, object]) -> QueueConfig:
    """What is said of a queue."""
    where = f"queues.{name}"
    if not NAME.fullmatch(name):
        given.wrong(f"{name!r} is no name for a queue; use letters, digits, _ . -")
    given.only(where, table, (*OF_A_QUEUE, *OF_A_CLUSTER))
    limit, rate, executor, named = (table.get(setting) for setting in OF_A_QUEUE)
    containers: tuple[str, ...] = ()
    mistakes: list[str] = []
    with _noting(mistakes):
        _ = None if limit is None else whole(limit, f"{where}.limit", 1, MOST)
    with _noting(mistakes):
        _ = None if rate is None else pace(rate, f"{where}.rate")
    with _noting(mistakes):
        _ = None if executor is None else _executor(executor, f"{where}.executor", RUNNERS)
    with _noting(mistakes):
        containers = () if named is None else _containers(named, f"{where}.containers")
    batch = _batch(given.file.parent, where, table, mistakes)
    for mistake in mistakes:
        given.wrong(mistake)
    if mistakes:
        return QueueConfig()
    runs = "" if executor in BATCH_SYSTEMS else executor
    return QueueConfig(Terms(limit, rate), runs or "", batch, containers)  # type: ignore[arg-type]


def _batch(folder: Path, where: str, table: dict[str, object], mistakes: list[str]) -> BatchQueue | None:
    """What is said of a queue's batch system."""
    system = table.get("executor")
    given = {setting: table[setting] for setting in OF_A_CLUSTER if setting in table}
    clusters = [word for word in BATCH_SYSTEMS if word != "local"]
    if system not in clusters and given:
        words = f"{where}.{next(iter(given))} is for a cluster: write executor = {' or '.join(map(repr, clusters))} too"
        mistakes.append(words)
    if system not in BATCH_SYSTEMS:
        return None
    read: dict[str, Any] = {"system": system}
    for setting, value in given.items():
        with _noting(mistakes):
            read[setting] = _of_cluster(folder, f"{where}.{setting}", setting, value)
    if "directory" in read and "host" not in read:
        mistakes.append(f"{where}.directory is for a cluster behind ssh: write host too")
    return BatchQueue(**read)


def _of_cluster(folder: Path, where: str, setting: str, value: object) -> object:
    """One setting of a batch system; raises BadInput."""
    if setting in ("setup", "directives"):
        lines = value if isinstance(value, list) else [None]
        if not all(isinstance(line, str) and not set("\n\0") & set(line) for line in lines):
            raise BadInput(f"{where} is a list of strings, one a line, not {shortened(value)}")
        return tuple(lines)
    if setting == "array":
        return whole(value, where, 0, MOST_ARRAY)
    if not isinstance(value, str) or "\n" in value:
        raise BadInput(f"{where} is a string of one line, not {shortened(value)}")
    if setting == "host":
        return str(Address.of(value, where))
    if setting == "directory" and not _THERE.fullmatch(value):  # it stands in scripts, within quotes and without
        raise BadInput(
            f"{where}: {value!r} is no full path of plain letters; write one on that machine, such as /scratch/you/jobs"
        )
    return _template(folder / value, where) if setting == "template" else value


def _template(file: Path, where: str) -> str:
    """The text of a site's own script."""
    try:
        with opened(file) as found:
            text = found.read(MOST_TEMPLATE).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{where}: {file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    for placeholder in HELD:
        if f"{{{{{placeholder}}}}}" not in text:
            raise BadInput(f"{where}: {file} has no {{{{{placeholder}}}}}, without which it is no script of a job")
    return text


def _containers(words: object, where: str) -> tuple[str, ...]:
    """What runs containers: a program, by its name or its full path, and options of its own."""
    such = f'write {" or ".join(CONTAINER_TOOLS)}, or a full path of one, and its options: "docker --network none"'
    try:
        found = tuple(shlex.split(words)) if isinstance(words, str) and words.isprintable() else ()
    except ValueError as error:  # a quote that is never closed
        raise BadInput(f"{where}: {shortened(words)}: {str(error).lower()}; {such}") from None
    folder, _, program = (found or ("",))[0].rpartition("/")
    if program not in CONTAINER_TOOLS or not (folder == "" or folder.startswith("/")):
        raise BadInput(f"{where}: {shortened(words)} is no container tool; {such}")
    return found


def _executor(word: object, where: str, known: tuple[str, ...] = EXECUTORS) -> str:
    if not isinstance(word, str) or word not in known:
        likely = nearest(word, known) if isinstance(word, str) and word not in BATCH_SYSTEMS else ""
        raise BadInput(
            f"{where}: {shortened(word)} is none; write {' or '.join(known)}{likely if 'mean' in likely else ''}"
        )
    return word


def masked(url: str) -> str:
    """An address without its password."""
    url = re.sub(r"(://[^/@:]*):.*@", r"\1:***@", url)  # to the last @, should the password hold a / by mistake
    return re.sub(r"(?i)([?&]password=)[^&]*", r"\1***", url)
