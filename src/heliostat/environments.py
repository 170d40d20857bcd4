"""Environments: the packages that nodes require, installed once per machine and found by what they are.

An environment is known by its key, a digest of requirements, interpreter and platform. It is built where it stays,
under a name that nobody knows, and published by one rename of the note that names it: so what was cut off is never
used. A lock has one process build while others wait, and the installer ends with whoever began it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from heliostat.config import masked
from heliostat.errors import OperatorError, Stopped
from heliostat.secret import public

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LAYOUT = 1  #: of what lies in the directory; another one has other keys
LOOK_SECONDS = 0.1
BUILD_SECONDS = 1800.0  #: after which an installer is given up
TAIL_LINES, TAIL_BYTES = 15, 4000

#: Run by an environment's own interpreter: which it is, and what is installed beside it.
LOOK = """
import json, sys, sysconfig
from importlib.metadata import distributions
places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
found = {d.metadata["Name"]: d.version for d in distributions(path=sorted(places))}
print(json.dumps([sys.version, dict(sorted(found.items()))]))
"""
#: How it takes in what this interpreter finds, after what it has itself.
EXTEND = "import json, sys; sys.path += [p for p in json.loads(sys.argv.pop()) if p not in sys.path]; "
BECOME = "import sys; sys.path.insert(0, sys.argv.pop(1)); from heliostat.lifeline import main; main()"
ISOLATED = ("-E", "-P")  #: options of its interpreter: neither PYTHONPATH nor the current directory comes first


class Environments:
    """The environments of a machine, in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen: dict[str, Path] = {}  # interpreters that this process has verified, by key

    def python(
        self, requires: Sequence[str], goes_on: Callable[[], bool], told: Callable[[str], None] = lambda _: None
    ) -> Path:
        """The interpreter of an environment, which is built if it has to be; that is ``told``.

        Raises Stopped when it does not go on, and OperatorError with the installer's last words.
        """
        key = self.key(requires)
        note, known = self._directory / f"{key}.json", self._seen.get(key)
        if known is not None and known.exists() and note.exists():
            return known
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked(key, goes_on):
                home = self._published(key)
                if home is None:
                    told(f"installing {', '.join(requires)}")
                    home = self._build(key, requires, goes_on)
                os.utime(note)  # who prunes sees when it was used last
        except OSError as error:
            words = f"{error.strerror or error} ({error.filename})" if error.filename else error.strerror or str(error)
            raise OperatorError(f"the environment in {self._directory} cannot be made: {words}") from None
        self._seen[key] = _python(home)
        return self._seen[key]

    @staticmethod
    def key(requires: Sequence[str]) -> str:
        """What an environment is known by: equal keys mean the same packages for the same interpreter."""
        base = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
        parts = [LAYOUT, sorted(set(requires)), sys.version, base, sysconfig.get_platform()]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]

    @contextmanager
    def _locked(self, key: str, goes_on: Callable[[], bool]) -> Iterator[None]:
        """Let one process of this machine see to an environment; the lock goes with whoever has it."""
        with (self._directory / f"{key}.lock").open("a") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not goes_on():
                        raise Stopped("it waited for its environment") from None
                    time.sleep(LOOK_SECONDS)
            yield

    def _published(self, key: str) -> Path | None:
        """An environment that is there and as it was when it was built."""
        try:
            data = json.loads((self._directory / f"{key}.json").read_text("utf-8"))
            home = self._directory / str(data["home"])
            if home.parent != self._directory or not home.name.startswith(f"{key}."):
                return None
            return home if _look(home) == [data["python"], data["installed"]] else None
        except (OSError, ValueError, LookupError, TypeError, subprocess.SubprocessError):
            return None

    def _build(self, key: str, requires: Sequence[str], goes_on: Callable[[], bool]) -> Path:
        """Build an environment and publish it; what others left unfinished is removed."""
        for left in self._directory.glob(f"{key}.*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
        home = self._directory / f"{key}.{uuid4().hex[:8]}"
        try:
            for command in _commands(home, requires):
                code, said = _ran(command, goes_on)
                if code:
                    raise OperatorError(f"{', '.join(requires)} cannot be installed: {said or f'exit code {code}'}")
            python, installed = _look(home)
            code, said = _ran([*_isolated(home), EXTEND + "import heliostat.child", path()], goes_on)
            if code:
                raise OperatorError(f"Heliostat cannot run beside {', '.join(requires)}: {said}")
            note = {"home": home.name, "python": python, "installed": installed, "requires": sorted(requires)}
            mine = home / "note.json"
            mine.write_text(json.dumps(note, indent=1), "utf-8")
            mine.replace(self._directory / f"{key}.json")
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise
        return home


def places() -> list[str]:
    """Where this interpreter finds modules."""
    return [os.path.abspath(place) for place in sys.path]  # noqa: PTH100 - "" is where we are


def path() -> str:
    """The same as JSON."""
    return json.dumps(places())


def _python(home: Path) -> Path:
    return home / "bin" / "python"


def _isolated(home: Path) -> list[str]:
    return [str(_python(home)), *ISOLATED, "-c"]


def _look(home: Path) -> list[object]:
    """Which interpreter an environment has, and which packages."""
    command = [*_isolated(home), LOOK]
    found = subprocess.run(command, env=_surroundings(), capture_output=True, timeout=60, check=True)
    looked: list[object] = json.loads(found.stdout)
    return looked


def _commands(home: Path, requires: Sequence[str]) -> list[list[str]]:
    """How an environment is made and filled; whatever is required stands after ``--`` and is no option."""
    if uv := shutil.which("uv"):
        install = [uv, "pip", "install", "--python", str(_python(home)), "--", *requires]
        return [[uv, "venv", "--quiet", "--python", sys.executable, str(home)], install]
    pip = [str(_python(home)), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
    return [[sys.executable, "-I", "-m", "venv", str(home)], [*pip, "install", "--", *requires]]


def _surroundings() -> dict[str, str]:
    """An environment in which an installer sees its own packages and no secrets."""
    ours = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {name: value for name, value in public(os.environ).items() if name not in ours}


def _ran(command: Sequence[str], goes_on: Callable[[], bool]) -> tuple[int, str]:
    """Run a program that ends with this one; answers its exit code and its last words."""
    lifeline, ours = os.pipe()
    become = [sys.executable, "-c", BECOME, str(Path(__file__).parent.parent), str(os.getpid()), str(lifeline)]
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                [*become, *command],
                env=_surroundings(),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                pass_fds=[lifeline],
                start_new_session=True,
            )
        finally:
            os.close(lifeline)
        try:
            _wait(process, goes_on)
        finally:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(ours)
        said.seek(max(0, said.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = said.read().decode(errors="replace").replace("\0", "").splitlines()
    return process.returncode, masked("\n".join(lines[-TAIL_LINES:]).strip())


def _wait(process: subprocess.Popen[bytes], goes_on: Callable[[], bool]) -> None:
    until = time.monotonic() + BUILD_SECONDS
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_SECONDS)
            return
        if not goes_on():
            raise Stopped("it waited for its environment")
        if time.monotonic() > until:
            raise OperatorError(f"its environment was not ready within {BUILD_SECONDS:g} s")
