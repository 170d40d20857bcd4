"""Make a virtual environment hold exactly what a lock says, and Heliostat itself, editable.

    python tools/environment.py .venv-dev requirements.lock

Every package is checked against the hashes of the lock.
uv installs them, ten times faster than pip would; pip fetches uv.
A stamp makes the second call a matter of milliseconds.
Needs nothing but the standard library, since it runs before anything is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from itertools import dropwhile, takewhile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# hatchling is in the lock, so the build needs no environment (and no unlocked package) of its own.
HELIOSTAT = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]


def main(directory: str, lock_file: str) -> None:
    """Bring the environment up to date, unless its stamp says that it is."""
    environment, lock = ROOT / directory, ROOT / lock_file
    stamp, wanted = environment / "installed", _digest(lock)
    # Two makes in one checkout take turns.
    checkout = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(checkout, fcntl.LOCK_EX)
    if _read(stamp) == wanted and _works(environment):
        return
    began = time.monotonic()
    _say(f"Preparing {directory} (Python {sys.version.split()[0]}) from {lock_file} ...")
    stamp.unlink(missing_ok=True)
    if not _works(environment):
        _create(environment)
    _install(environment, lock)
    stamp.write_text(wanted, encoding="utf-8")
    _say(f"Prepared {directory} in {time.monotonic() - began:.1f} s")


def _digest(lock: Path) -> str:
    """Sum up all that decides what an environment holds."""
    digest = hashlib.sha256()
    for part in (lock, ROOT / "pyproject.toml", Path(__file__)):
        digest.update(part.read_bytes())
    digest.update(f"{ROOT} {sys.version} {sys.base_prefix}".encode())
    return digest.hexdigest()


def _read(stamp: Path) -> str:
    return stamp.read_text(encoding="utf-8") if stamp.exists() else ""


def _works(environment: Path) -> bool:
    """Tell whether the environment is one of the running interpreter's."""
    ask = [_python(environment), "-c", "import sys; print(sys.version, sys.base_prefix)"]
    try:
        answer = subprocess.run(ask, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return answer.stdout.strip() == f"{sys.version} {sys.base_prefix}"


def _create(environment: Path) -> None:
    if environment.exists() and not (environment / "pyvenv.cfg").exists():
        sys.exit(f"{environment} is in the way: it is no virtual environment. Move it away, then try again.")
    shutil.rmtree(environment, ignore_errors=True)
    # Copying pip into the environment takes longer than all the rest; see _pip.
    venv.create(environment, symlinks=True, with_pip=False)


def _install(environment: Path, lock: Path) -> None:
    pip = [*_pip(environment), "install", "--quiet", "--require-hashes", "--requirement"]
    try:
        _install_with_uv(environment, lock, pip)
    except subprocess.CalledProcessError as failure:
        _say(f"{failure.stderr.strip()}\nuv could not do it; trying pip, which takes longer ...")
        try:
            _run([*pip, str(lock)])
            _run([*_pip(environment), "install", "--quiet", *HELIOSTAT])
        except subprocess.CalledProcessError as again:
            _say(f"{again.stdout}{again.stderr}")
            sys.exit(f"What {lock.name} lists could not be installed; the reason stands above.")


def _pip(environment: Path) -> list[str]:
    """Answer the command line of a pip that installs there: the interpreter's own, or a new one."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--python", _python(environment)]
    if importlib.util.find_spec("ensurepip"):
        _run([_python(environment), "-m", "ensurepip"])
        return [_python(environment), "-m", "pip"]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    sys.exit(
        f"Python {version} ({sys.executable}) has neither pip nor ensurepip, so nothing can be installed. "
        f"On Debian or Ubuntu: apt install python{version}-venv"
    )


def _install_with_uv(environment: Path, lock: Path, pip: list[str]) -> None:
    """Let the uv of the lock do it, once pip has fetched it and checked it like everything else."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as requirement:
        requirement.writelines(_entry(lock, "uv"))
        requirement.flush()
        _run([*pip, requirement.name])
    uv, into = str(environment / "bin" / "uv"), ["--quiet", "--python", _python(environment)]
    _run([uv, "pip", "sync", *into, "--require-hashes", str(lock)])
    _run([uv, "pip", "install", *into, *HELIOSTAT])


def _entry(lock: Path, package: str) -> list[str]:
    """The lines of one package in a lock: its pinned name, then the indented hashes."""
    lines = lock.read_text(encoding="utf-8").splitlines(keepends=True)
    name, *rest = dropwhile(lambda line: not line.startswith(f"{package}=="), lines)
    return [name, *takewhile(lambda line: line.startswith("    --hash"), rest)]


def _python(environment: Path) -> str:
    return str(environment / "bin" / "python")


def _run(command: list[str]) -> None:
    """Run quietly; a failure carries what was said."""
    environ = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_USER": "0"}
    # uv reads none of pip's settings: where pip was told of a mirror, tell uv.
    if mirror := os.environ.get("PIP_INDEX_URL"):
        environ.setdefault("UV_DEFAULT_INDEX", mirror)
    subprocess.run(command, check=True, cwd=ROOT, env=environ, capture_output=True, text=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
