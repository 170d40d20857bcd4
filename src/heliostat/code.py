"""Code: which one ran. A worker tells the digest of the code behind each workflow it offers, and since when."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import json
import marshal
import os
import sys
import sysconfig
from importlib.util import resolve_name
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from heliostat.graph import Graph
    from heliostat.queue import WorkerInfo
    from heliostat.store import Store


def digest(functions: Iterable[object]) -> str:
    """The digest of the code behind a workflow: of the files in which its functions stand, and what these import.

    Of what their text imports, modules in the same directory or package count; the libraries of an environment do not.
    A function without a file (a notebook's) counts by its own source. The same on every machine with the same files.
    """
    sources: set[tuple[str, bytes]] = set()
    for function in functions:
        plain = _plain(function)
        names = _names(plain)
        if (file := _file(names)) is not None:
            sources.update(_gathered(names, _root(names, file)))
        else:
            sources.add((getattr(plain, "__qualname__", ""), _own(plain)))
    hashed = hashlib.sha256()
    for name, source in sorted(sources):
        hashed.update(f"{name} {len(source)}\n".encode() + source)
    return f"sha256:{hashed.hexdigest()}"


def digest_of_data(graph: Graph) -> str:
    """The digest of a definition without functions: its commands are all the code there is."""
    return f"sha256:{hashlib.sha256(json.dumps(graph.to_json(), sort_keys=True).encode()).hexdigest()}"


def project_files(value: object) -> list[Path]:
    """The source files behind a function, class or module, with what they import; none of an environment's."""
    names = _names(_plain(value))
    file = _file(names)
    if file is None or _foreign(file, root := _root(names, file)):
        return []
    return [root / name for name, _ in _gathered(names, root)]


@functools.cache
def release() -> str:
    """The version of Heliostat that this is; sources that are not installed have none."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("heliostat")
    except PackageNotFoundError:
        return "not installed"


def ran(store: Store, graph: int, worker: str | None, began_at: float | None) -> str | None:
    """The digest of the code that a worker had for a graph when an attempt began; None where it told nothing."""
    return told(None if worker is None else store.worker(worker), graph, began_at)


def told(info: WorkerInfo | None, graph: int, began_at: float | None) -> str | None:
    """What a worker has told of its code for a graph, as of when an attempt began."""
    if info is None or began_at is None or not info.code:
        return None
    codes = [(since, code) for which, code, since in json.loads(info.code) if which == graph]
    before = [code for since, code in codes if since <= began_at]
    early: str | None = codes[0][1] if codes else None  # an adopted job began before its worker
    return before[-1] if before else early


def _plain(function: object) -> Any:
    """What was written, under its decorators."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.unwrap(function) if callable(function) else function


def _names(value: object) -> Mapping[str, Any]:
    """The names of the module in which a function or class was written, or of a module."""
    if isinstance(value, FunctionType):
        return value.__globals__
    module = value if isinstance(value, ModuleType) else sys.modules.get(getattr(value, "__module__", None) or "")
    return {} if module is None else vars(module)


def _file(names: Mapping[str, Any]) -> Path | None:
    """The source file of a module, if it has one."""
    name = names.get("__file__")
    file = Path(name).absolute() if isinstance(name, str) else None
    return file if file is not None and file.suffix == ".py" and file.is_file() else None


def _root(names: Mapping[str, Any], file: Path) -> Path:
    """The directory of a module, or of the outermost package it is in."""
    depth = str(names.get("__name__", "")).count(".") + (file.stem == "__init__")
    return file.parents[max(0, depth - 1)]


def _gathered(names: Mapping[str, Any], root: Path) -> Iterator[tuple[str, bytes]]:
    """The source of a module, and of those below a directory that it imports, also inside its functions.

    The packages that a module is in are imported with it.
    """
    if (start := _file(names)) is None:
        return
    depth = len(list(filter(None, str(names.get("__package__") or "").split("."))))
    top = start.parents[min(depth, len(start.parents) - 1)]
    around = (place / "__init__.py" for place in _outer(start.parent, top))
    waiting, seen = [start, *filter(Path.is_file, around)], set[Path]()
    while waiting:
        file = waiting.pop()
        if file in seen or _foreign(file, root):
            continue
        seen.add(file)
        source = file.read_bytes()
        yield file.relative_to(root).as_posix(), source
        waiting += _imported(source, file, top)


def _imported(source: bytes, file: Path, top: Path) -> Iterator[Path]:
    """The files of modules that a source imports, where they lie below the directory that has its outermost package."""
    package = ".".join(file.relative_to(top).parts[:-1])
    led = {name for statement in _imports(source) for name in leads_to(statement, package)}
    with_packages = {
        tuple(parts[:many]) for parts in (name.split(".") for name in led) for many in range(1, len(parts) + 1)
    }
    for parts in with_packages:
        place = os.path.join(top, *parts)  # noqa: PTH118 - there are many of them, and texts are quick
        yield from (Path(found) for found in (f"{place}.py", f"{place}/__init__.py") if os.path.isfile(found))  # noqa: PTH113


@functools.lru_cache(maxsize=256)  # the same files are behind each structure that a workflow takes
def _imports(source: bytes) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """The imports in a source, wherever they stand."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # it is in nobody's way until somebody imports it
        return ()
    return tuple(statement for statement in ast.walk(tree) if isinstance(statement, ast.Import | ast.ImportFrom))


def _outer(place: Path, top: Path) -> Iterator[Path]:
    """A place with the packages that it is in."""
    while place != top:
        yield place
        place = place.parent


def leads_to(statement: ast.Import | ast.ImportFrom, package: str | None) -> Iterator[str]:
    """The names of the modules that an import may lead to."""
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
        return
    base = f"{'.' * statement.level}{statement.module or ''}"
    if statement.level:
        try:
            base = resolve_name(base, package)
        except ImportError:
            return
    yield base
    yield from (f"{base}.{alias.name}" for alias in statement.names if alias.name != "*")


def _foreign(file: Path, root: Path) -> bool:
    """Whether a file is of the environment: Python's, an installed package's, Heliostat's, or from elsewhere."""
    if not file.is_relative_to(root) or "site-packages" in file.parts:
        return True
    return any(file.is_relative_to(place) for place in (Path(__file__).parent, sysconfig.get_path("stdlib")))


def _own(function: Any) -> bytes:
    """A function's own source, or its bytecode where there is none."""
    try:
        return inspect.getsource(function).encode()
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return b"" if code is None else marshal.dumps(code)
