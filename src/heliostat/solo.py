"""A process that has one attempt at a time to itself: a child of the process executor, or a job.

The attempt has the environment, the directory and the memory of the process, and TERM is for it.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from heliostat import form, origin, whereabouts
from heliostat.errors import said
from heliostat.outcome import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from heliostat.context import Context
    from heliostat.executor import Perform, Work
    from heliostat.outcome import Outcome
    from heliostat.registry import Registry
    from heliostat.resources import Resources
    from heliostat.vault import Vault
    from heliostat.whereabouts import Importing


class Terminated(BaseException):
    """TERM came: what is open is closed on the way out."""


class Solo:
    """What such a process does with an attempt: load its code, surround its function, hear of its end.

    ``importing`` finds a module by name and file, and ``main`` is how the program's own is found, which has started
    all this.
    """

    def __init__(self, registry: Registry, vault: Vault, importing: Importing) -> None:
        self._registry, self._vault, self._importing = registry, vault, importing
        self._home = Path.cwd()
        self.main: dict[str, Any] = {}
        self.work: Work | None = None

    def loaded(self, given: dict[str, Any], definition: dict[str, Any] | None) -> Work | Failed:
        """The work as it was given, with its functions at hand; or why they cannot be."""
        try:
            if definition is not None:
                self._registry.keep(*whereabouts.read(definition, self._imported))
            graph = self._registry.graph(given["attempt"][3])
        except Terminated:
            raise
        except BaseException as error:  # noqa: BLE001 - other people's modules may raise anything
            words = f"{type(error).__name__}: {said(error)}".removesuffix(": ") + origin.place(error)
            return Failed(f"its workflow cannot be loaded in a process of its own: {words}", final=True)
        self.work = form.work_from_json(given, graph)
        return self.work

    def performed(self, work: Work, perform: Perform) -> Outcome:
        """The outcome of a work, when all that it has printed is on its way."""
        try:
            return cast("Outcome", perform(work))  # jobs do not come here, so nothing is only submitted
        except Terminated:
            raise
        except BaseException as error:  # noqa: BLE001 - no process ends because of what it performs
            return Failed(f"{type(error).__name__}: {said(error)}".removesuffix(": "), final=True)
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):  # whatever a function has put there
                    stream.flush()

    def terminated(self, *_: object) -> None:
        """TERM has come: what is performed is to stop, and all that is open is closed."""
        if self.work is not None:
            self.work.stop = self.work.stop or "its process is told to end"
            raise Terminated(self.work.stop)
        raise Terminated

    @contextmanager
    def within(self, work: Work, context: Context) -> Iterator[None]:
        """The surroundings of one attempt: its variables, its directory, its memory."""
        before = dict(os.environ)
        os.environ.update(self._vault.filled(work.node.env))
        os.chdir(context.dir)
        signal.signal(signal.SIGTERM, self.terminated)  # whatever the one before has made of it
        try:
            with limited(work.resources):
                yield
        finally:
            os.chdir(self._home if self._home.is_dir() else "/")
            for name in os.environ.keys() - before.keys():
                del os.environ[name]
            os.environ.update(before)

    def _imported(self, name: str, file: str | None) -> ModuleType:
        """A module; the program's own is run again, as ``multiprocessing`` does, under a name that starts nothing."""
        if name == whereabouts.MAIN and self.main:
            from multiprocessing import spawn

            main, self.main = self.main, {}
            spawn.prepare(main)
        return self._importing(name, file)


@contextmanager
def limited(resources: Resources | None) -> Iterator[None]:
    """Let this process have so much more memory than it has now; a MemoryError names the limit."""
    if resources is None or resources.memory_bytes is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = held() + resources.memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    try:
        yield
    except MemoryError as error:
        words = "; ".join(filter(None, (said(error), f"its memory is limited to {resources.memory}")))
        raise MemoryError(words).with_traceback(error.__traceback__) from None
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def held() -> int:
    """Bytes of data that this process has; 0 where that cannot be seen."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0
