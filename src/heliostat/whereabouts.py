"""Whereabouts: by which names another process finds the functions of a workflow.

A function is found where it stands in its module, or in a workflow that a variable of a module holds. What is in
neither place (a function inside a function, a notebook's) is refused before anything is sent.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from heliostat.context import Context
from heliostat.errors import DefinitionError
from heliostat.graph import Graph
from heliostat.signature import Signature
from heliostat.workflow import NodeHandle, Workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    Importing = Callable[[str, str | None], ModuleType]

MAIN, MAIN_AGAIN = "__main__", "__mp_main__"  #: a program's own module, as it is called in its children


class Place(NamedTuple):
    """A module by name and file, what to look up there, and the node of it if that is a workflow."""

    module: str
    file: str | None
    name: str
    node: str | None = None


def written(graph: Graph, signatures: Mapping[str, Signature]) -> dict[str, Any]:
    """A graph and where its functions are, as JSON; raises DefinitionError for one that is nowhere."""
    return {
        "graph": graph.to_json(),
        "places": {name: list(place(name, signature.function)) for name, signature in signatures.items()},
    }


def read(data: dict[str, Any], importing: Importing) -> tuple[Graph, dict[str, Signature]]:
    """Read what ``written`` wrote, importing modules as they are needed."""
    places = {name: Place(*where) for name, where in data["places"].items()}
    return Graph.from_json(data["graph"]), {
        name: Signature(_found(where, importing), f"node {name}", Context) for name, where in places.items()
    }


def main() -> dict[str, Any]:
    """How ``multiprocessing`` would prepare a child for this program's own module; empty where none is to be found."""
    module = sys.modules[MAIN]
    spec, file = getattr(module, "__spec__", None), getattr(module, "__file__", None)
    if spec is not None:
        return {"init_main_from_name": spec.name}
    return {"init_main_from_path": str(Path(file).absolute())} if file and Path(file).is_file() else {}


def place(node: str, function: object) -> Place:
    """Where a node's function is; raises DefinitionError if no other process could find it."""
    module, name = getattr(function, "__module__", None) or "", getattr(function, "__qualname__", "")
    if module in sys.modules and _at(sys.modules[module], name) is function:
        return _known(node, module, name)
    for holder, held in list(sys.modules.items()):
        for variable, flow in list(getattr(held, "__dict__", {}).items()):
            if isinstance(flow, Workflow) and _of(flow, node) is function:
                return _known(node, holder, variable, node)
    raise DefinitionError(
        f"node {node}: another process cannot find its function {name or repr(function)}; define it at the top of a "
        "module, or keep its workflow in a variable there"
    )


def _known(node: str, module: str, name: str, of: str | None = None) -> Place:
    module = MAIN if module == MAIN_AGAIN else module
    if module == MAIN and not main():
        raise DefinitionError(
            f"node {node}: it is defined at the prompt or in a notebook, where another process cannot import it; "
            "put it into a file"
        )
    file = getattr(sys.modules[module], "__file__", None)
    return Place(module, file and str(Path(file).absolute()), name, of)


def _found(place: Place, importing: Importing) -> Callable[..., Any]:
    module = importing(place.module, place.file)
    found = _at(module, place.name) if place.node is None else _of(getattr(module, place.name, None), place.node)
    if not callable(found):
        raise DefinitionError(f"there is no function {place.name} in {place.file or place.module} any more")
    return found


def _at(module: ModuleType, name: str) -> object:
    found: object = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found.function if isinstance(found, NodeHandle) else found


def _of(flow: object, node: str) -> object:
    signature = flow.signatures.get(node) if isinstance(flow, Workflow) else None
    return None if signature is None else signature.function
