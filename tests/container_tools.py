"""Stand-ins for docker, podman, apptainer and singularity, which really run a command in another root.

    tools = ContainerTools(directory, "docker")      # directory/bin/docker, which knows the images of directory/images

No container engine and no image is at hand where these tests run. So these read the options that the real ones are
documented to have, and refuse others, and do what those do with Linux's own means: a root with nothing of the machine
but its programs and what is mounted, an environment with nothing but what is passed, a process tree of its own
that is no child of whoever asked for it (docker, podman) or a child like any other (apptainer, singularity).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TOOLS = ("docker", "podman", "apptainer", "singularity")
NEW_MOUNTS, NEW_USER, NEW_PROCESSES = 0x00020000, 0x10000000, 0x20000000
PROGRAMS = ("/usr", "/bin", "/lib", "/lib64", "/sbin")
PATH = "/usr/local/bin:/usr/bin:/bin"
#: Options of ``run`` and ``exec``: with a value, and without.
ENGINE = (("--name", "--workdir", "--entrypoint", "--mount", "--env", "--user", "--network"), ("--rm", "--init"))
PODMAN = ((*ENGINE[0], "--userns"), ENGINE[1])
APPTAINER = (("--home", "--pwd", "--bind"), ("--cleanenv", "--nv"))


@dataclass
class ContainerTools:
    """What a test has of the stand-ins: where they are, what is called, what runs."""

    directory: Path
    names: tuple[str, ...] = ("docker",)
    images: tuple[str, ...] = ("python:3.12",)

    def __post_init__(self) -> None:
        for folder in ("bin", "containers", "calls"):
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        (self.directory / "images").write_text("".join(f"{image}\n" for image in self.images))
        for name in self.names:
            words = [sys.executable, "-I", "-S", str(Path(__file__).absolute()), str(self.directory), name]
            program = self.directory / "bin" / name
            program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
            program.chmod(0o755)

    def program(self, name: str | None = None) -> str:
        """The full path of one."""
        return str(self.directory / "bin" / (name or self.names[0]))

    def running(self) -> list[str]:
        """The names of the containers that engines have."""
        return sorted(path.name for path in (self.directory / "containers").iterdir() if path.suffix != ".new")

    def calls(self, verb: str) -> list[list[str]]:
        """The words of the calls with a verb, in their order."""
        found = [json.loads(path.read_text()) for path in sorted((self.directory / "calls").iterdir())]
        return [words for words in found if words[1:2] == [verb]]

    def fail(self, name: str, words: str) -> None:
        """Have an engine answer with nothing but a complaint, as one whose daemon is away."""
        (self.directory / f"{name}.away").write_text(words)


def isolated() -> bool:
    """Whether this process may have another root at all."""
    child = os.fork()
    if child == 0:
        os._exit(0 if _unshare(NEW_MOUNTS | NEW_PROCESSES) else 1)
    return os.waitpid(child, 0)[1] == 0


# --- the programs


def main() -> None:
    """Be the program that was called."""
    spool, name, *words = sys.argv[1:]
    directory = Path(spool)
    call = directory / "calls" / f"{time.time_ns():020d}.{os.getpid()}"
    call.write_text(json.dumps([name, *words]))
    if name in ("apptainer", "singularity"):
        _apptainer(directory, name, words)
    _engine(directory, name, words)


def _complain(words: str, code: int) -> None:
    os.write(2, f"{words}\n".encode())
    os._exit(code)


def _options(name: str, words: list[str], known: tuple[tuple[str, ...], tuple[str, ...]]) -> tuple[dict, list[str]]:
    """Options and their values, and the words that follow."""
    found: dict[str, list[str]] = {}
    while words and words[0].startswith("-"):
        word, equals, value = words.pop(0).partition("=")
        if word in known[1]:
            found[word] = []
        elif word in known[0]:
            found.setdefault(word, []).append(value if equals else words.pop(0))
        else:
            _complain(f"unknown flag: {word}\nSee '{name} --help'.", 125)
    return found, words


def _engine(directory: Path, name: str, words: list[str]) -> None:
    if words == ["--version"]:
        _complain_not(f"{name} version 4.3.1" if name == "podman" else "Docker version 26.1.5, build a72d7cd")
    away = directory / f"{name}.away"
    if away.exists():
        _complain(away.read_text(), 125 if words[0] == "run" else 1)
    verb, *rest = words
    if verb == "info":
        rootless = (directory / "rootless").exists()
        _complain_not(f"[name=seccomp,profile=builtin{' name=rootless' if rootless else ''}]")
    if verb in ("rm", "kill"):
        _remove(directory / "containers" / rest[-1])
    if verb != "run":
        _complain(f"{name}: '{verb}' is not a {name} command.", 1)
    options, rest = _options(name, rest, PODMAN if name == "podman" else ENGINE)
    image, *command = rest
    if image not in (directory / "images").read_text().split():
        _complain(f"{name}: Error response from daemon: pull access denied for {image}.", 125)
    container = directory / "containers" / options["--name"][0]
    if container.exists():
        _complain(f'{name}: Conflict. The container name "/{container.name}" is already in use.', 125)
    _run(container, name, options, [*options.get("--entrypoint", []), *command])


def _complain_not(words: str) -> None:
    os.write(1, f"{words}\n".encode())
    os._exit(0)


def _run(container: Path, name: str, options: dict, command: list[str]) -> None:
    """Be the client: have a container made that is no child of this one, pass signals on, and wait for its end."""
    come, tell = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.close(come)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.fork() == 0:
            _shim(container, name, options, command, tell)
        os._exit(0)
    os.close(tell)
    told = os.fdopen(come)
    pid = int(told.readline() or 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: os.kill(pid, number))
    code = told.readline()
    os._exit(int(code) if code.strip() else 125)


def _shim(container: Path, name: str, options: dict, command: list[str], tell: int) -> None:
    """Keep a container until its end, and then remove it."""
    for number in range(3, 20):
        if number != tell:
            with contextlib.suppress(OSError):
                os.close(number)
    _unshare(NEW_MOUNTS | NEW_PROCESSES)
    ready, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go)
        if os.read(ready, 1):
            _inside(name, options, command)
        os._exit(125)
    new = container.with_name(f"{container.name}.new")
    new.write_text(str(pid))
    new.rename(container)
    with contextlib.suppress(BrokenPipeError):  # to make a container is one call of the client, and to start it another
        os.write(tell, f"{pid}\n".encode())
        os.write(go, b".")
    os.close(go)
    _, status = os.waitpid(pid, 0)
    container.unlink(missing_ok=True)
    code = os.waitstatus_to_exitcode(status)
    with contextlib.suppress(OSError):
        os.write(tell, f"{code if code >= 0 else 128 - code}\n".encode())
    os._exit(0)


def _inside(name: str, options: dict, command: list[str]) -> None:
    """Be process 1 of a container."""
    environment = {"PATH": PATH, "HOSTNAME": "container", "HOME": "/"}
    for given in options.get("--env", []):
        variable, equals, value = given.partition("=")
        if equals or variable in os.environ:
            environment[variable] = value if equals else os.environ[variable]
    mounts = [dict(part.partition("=")[::2] for part in given.split(",")) for given in options.get("--mount", [])]
    for mount in mounts:
        if mount["type"] != "bind" or not Path(mount["source"]).exists():
            _complain(f"{name}: bind source path does not exist: {mount['source']}.", 125)
    _root([(mount["source"], mount["target"]) for mount in mounts], options["--workdir"][0])
    if "--user" in options and os.getuid() == 0:
        user, _, group = options["--user"][0].partition(":")
        os.setgid(int(group))
        os.setuid(int(user))
    child = 0
    if "--init" in options and (child := os.fork()) != 0:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _: os.kill(child, number))
        while True:
            ended, status = os.wait()
            if ended == child:
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)
    _exec(name, command, environment, 127)


def _apptainer(directory: Path, name: str, words: list[str]) -> None:
    """Be apptainer: a child like any other, with another root."""
    if words[:1] != ["exec"]:
        _complain(f"FATAL:   {words[:1]} is no command here", 255)
    options, (image, *command) = _options(name, words[1:], APPTAINER)
    if image.removeprefix("docker://") not in (directory / "images").read_text().split():
        _complain(f"FATAL:   Unable to handle {image} uri: while checking cache", 255)
    prefix = f"{name.upper()}ENV_"
    home = options["--home"][0]
    environment = {"PATH": PATH} if "--cleanenv" in options else dict(os.environ)
    for variable, value in os.environ.items():
        if variable.startswith(prefix):
            evaluated = value if os.environ.get(f"{name.upper()}_NO_EVAL") == "true" else _evaluated(value)
            environment[variable.removeprefix(prefix)] = evaluated
    _unshare(NEW_MOUNTS)
    _root([(home, home), ("/tmp", "/tmp")] if not home.startswith("/tmp") else [("/tmp", "/tmp")], options["--pwd"][0])
    _exec(name, command, environment | {"HOME": home}, 255)


def _evaluated(value: str) -> str:
    """What a shell makes of a value, as apptainer does unless it is told not to."""
    return subprocess.run(["/bin/sh", "-c", f'printf %s "{value}"'], capture_output=True, text=True, check=False).stdout


def _exec(name: str, command: list[str], environment: dict[str, str], missing: int) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, environment)
    except OSError as error:
        words = f'exec: "{command[0]}": executable file not found in $PATH: {error.strerror}'
        _complain(f"FATAL:   {words}" if missing == 255 else f"{name}: {words}", missing)


def _unshare(flags: int) -> bool:
    """Leave the mounts or processes of this machine; whoever is not root becomes so in a world of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    who = os.getuid(), os.getgid()
    if libc.unshare(flags | (NEW_USER if who[0] else 0)):
        return False
    if who[0]:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{who[0]} {who[0]} 1")
        Path("/proc/self/gid_map").write_text(f"{who[1]} {who[1]} 1")
    return True


def _root(mounts: list[tuple[str, str]], place: str) -> None:
    """Have another root, in which are programs and mounts, and begin at a place in it."""
    _mount("--make-rprivate", "/")
    root = Path("/mnt")
    _mount("-t", "tmpfs", "none", str(root))
    for program in PROGRAMS:
        source, target = Path(program), root / program[1:]
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif source.is_dir():
            target.mkdir()
            _mount("--rbind", program, str(target))
    for folder in ("proc", "tmp", "etc", "dev"):
        (root / folder).mkdir()
    _mount("--rbind", "/dev", str(root / "dev"))
    (root / "etc" / "image").write_text("here\n")
    for where, target in mounts:
        inside = root / target[1:]
        inside.mkdir(parents=True, exist_ok=True)
        _mount("--bind", where, str(inside))
    os.chroot(root)
    os.chdir(place)


def _mount(*words: str) -> None:
    subprocess.run(["/bin/mount", *words], check=True)


def _remove(container: Path) -> None:
    """Be ``rm --force`` or, for a container that was run with ``--rm``, ``kill``."""
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(container.read_text()), signal.SIGKILL)
        while container.exists():
            time.sleep(0.01)
        _complain_not(container.name)
    _complain(f"Error: No such container: {container.name}", 1)


if __name__ == "__main__":
    main()
