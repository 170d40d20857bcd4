"""Where workflows are: files and modules by the words that people type, and by those that processes tell each other."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliostat.errors import DefinitionError, HeliostatError, NotFound, nearest
from heliostat.workflow import Workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

GROUP = "heliostat.workflows"  #: of entry points: where an installed package has workflows for everybody


def load(where: str) -> list[Workflow]:
    """The workflows of ``file.py``, ``file.py:name``, ``package.module`` or ``package.module:name``."""
    return list(variables(where).values())


def variables(where: str) -> dict[str, Workflow]:
    """The same by the variables that hold them; the first name counts where there are several.

    A name is that of a variable, or else the one that the workflow has itself.
    """
    place, _, name = where.partition(":")
    held = {key: value for key, value in vars(_module(place)).items() if isinstance(value, Workflow)}
    if name and name not in held:
        meant = [variable for variable, flow in held.items() if flow.name == name]
        if len({id(held[variable]) for variable in meant}) != 1:
            raise NotFound(f"{place} has no workflow {name!r}{_offered(name, held)}")
        name = meant[0]
    if not held:
        raise NotFound(f"{place} defines no workflow")
    if name:
        return {name: held[name]}
    first = {id(flow): variable for variable, flow in reversed(held.items())}
    return {variable: flow for variable, flow in held.items() if first[id(flow)] == variable}


def installed() -> dict[str, str]:
    """Where installed packages offer workflows, by their entry points of ``GROUP``: package by place."""
    from importlib.metadata import entry_points  # late, for most commands ask for nobody's

    points = sorted(entry_points(group=GROUP), key=lambda point: point.value)
    return {each.value.partition("[")[0].strip(): each.dist.name if each.dist else each.name for each in points}


def besides(flows: Iterable[Workflow], complain: Callable[[str], object]) -> dict[str, Workflow]:
    """What installed packages offer besides some workflows, by what can be typed for each.

    A workflow that has the name of one of these is left out. What cannot be loaded is complained of, and stops nobody.
    """
    names = {flow.name for flow in flows}
    found: dict[str, Workflow] = {}
    try:
        offered = installed()
    except Exception as error:  # noqa: BLE001 - one package that is damaged spoils the list of all
        complain(f"what installed packages offer is left out: {type(error).__name__}: {error}")
        offered = {}
    for place, package in offered.items():
        try:
            there = variables(place)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - other people's code may raise anything
            what = f"{type(error).__name__}: " if not isinstance(error, HeliostatError) else ""
            complain(f"what package {package} offers is left out: {place} cannot be loaded: {what}{error}")
            continue
        module, known = place.partition(":")[0], {id(flow) for flow in found.values()}
        new = {variable: flow for variable, flow in there.items() if flow.name not in names and id(flow) not in known}
        found |= {f"{module}:{variable}": flow for variable, flow in new.items()}
    return found


def _offered(name: str, held: dict[str, Workflow]) -> str:
    """A clause that offers what may be meant: a variable, or a workflow's own name, either of which will do."""
    if "mean" in (close := nearest(name, [*held, *(flow.name for flow in held.values())])):
        return close
    known = [each if flow.name == each else f"{each} ({flow.name})" for each, flow in held.items()]
    return nearest(name, known)


def value(where: str) -> Any:
    """What ``file.py:name`` or ``package.module:name`` holds; raises NotFound."""
    place, _, name = where.partition(":")
    held = vars(_module(place))
    if name not in held:
        known = [each for each in held if not each.startswith("_")]
        raise NotFound(f"{place} has nothing called {name!r}{nearest(name, known)}")
    return held[name]


def module(name: str, file: str | None) -> ModuleType:
    """A module as another process of this program knows it, by its name or else by its file; raises NotFound."""
    if name in sys.modules:
        return sys.modules[name]
    if file is None or _leads_to(name, Path(file)):
        return importlib.import_module(name)
    found: ModuleType = _file(Path(file), file)
    return found


def _leads_to(name: str, file: Path) -> bool:
    """Whether importing a name would lead to a file."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return found is not None and found.origin is not None and Path(found.origin).absolute() == file


def _module(place: str) -> Any:
    path = Path(place)
    if path.suffix == ".py" or "/" in place:
        return _file(path.absolute(), place)
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name and place.startswith(error.name):
            raise NotFound(f"there is no module {place!r}") from None
        raise


def _file(path: Path, place: str) -> Any:
    """A file as a module under a name of its own, so that it stands in no other module's place.

    The file's bare name leads to it too, for the modules beside it, where that is nobody else's.
    """
    if not path.is_file():
        raise NotFound(f"there is no file {place!r}")
    name = f"{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    sys.path[:0] = [folder for folder in (str(path.parent), "") if folder not in sys.path]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise DefinitionError(f"{place} is no Python file")
    module = importlib.util.module_from_spec(spec)
    names = [name, *([path.stem] if _free(path) else [])]
    sys.modules.update(dict.fromkeys(names, module))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        for each in names:
            sys.modules.pop(each, None)
        raise
    return module


def _free(path: Path) -> bool:
    """Whether importing a file's bare name would lead to that file and is not done yet."""
    if path.stem in sys.modules or not path.stem.isidentifier():
        return False
    return _leads_to(path.stem, path)
