"""On what it was measured, and with which versions."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from benchmarks.peers.catalogue import POSTGRES, RABBIT, REDIS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.databases import Databases
    from benchmarks.peers.catalogue import Entry


def place(databases: Databases) -> dict[str, str]:
    """The machine, and how busy it was at the beginning."""
    with suppress(OSError):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        kept = databases.commit_seconds() * 1e3
        return {
            "processor": _processor(),
            "cores": str(os.cpu_count()),
            "memory": f"{memory:.0f} GiB",
            "system": f"{platform.system()} {platform.release().partition('-')[0]}",
            "a page kept on the disk": f"{kept:.2f} ms",
            "load before": f"{os.getloadavg()[0]:.1f}",
        }
    return {}


def _processor() -> str:
    with suppress(OSError):
        if found := re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE):
            return found[1]
    return platform.machine()


def versions(entries: Iterable[Entry], databases: Databases) -> dict[str, str]:
    """What took part, by its version."""
    entries = list(entries)
    needs = frozenset().union(*(entry.needs for entry in entries))
    found = {"Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}
    if POSTGRES in needs:
        with databases.fresh("postgresql") as url, psycopg.connect(url) as connection:
            number = connection.info.server_version
            found["PostgreSQL"] = f"{number // 10000}.{number % 10000}"
    if RABBIT in needs:
        found["RabbitMQ"] = _first_number("dpkg-query", "--show", "rabbitmq-server")
    if REDIS in needs:
        found["Redis"] = _first_number("redis-server", "--version")
    packages = sorted({package for entry in entries for package in entry.packages})
    return found | {package: version(package) for package in packages}


def _first_number(*command: str) -> str:
    """The first thing in what a program says that looks like a version."""
    with suppress(OSError):
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        if found := re.search(r"\d+(\.\d+)+", said):
            return found[0]
    return "unknown"
